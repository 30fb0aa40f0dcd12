//! A daemon from its arguments to its end: the composition of everything else.
//!
//! ```text
//! Options ─▶ configuration ─▶ listeners, admin socket ─▶ bgp_io::spawn, or node::start
//!                                                                       │
//!      signals, orders ─▶ watch ─▶ shutdown      events ─▶ log ◀────────┤
//!                                                admin API ◀────────────┤
//!      SIGHUP, orders ─▶ supervisor: reloads, blocks ───────────────────▶┘
//! ```
//!
//! # How it ends
//!
//! SIGTERM and SIGINT close all sessions without a NOTIFICATION, so that peers with graceful
//! restart keep our routes while we are away (RFC 4724 §4). Only `bgpctl shutdown --drain` tells
//! the peers that we go. A second signal ends the process at once. On a node the conductor ends
//! before the engine, and kernel routes stay; only a drained node takes its own out.
//!
//! # Invariants
//!
//! - Nothing is listened on, and no file is made, before the configuration is known to be good.
//! - The first line that is printed says who we are, where we listen and whom we accept.
//! - What the engine does never waits for a log line or an admin client.

pub mod blocks;
mod events;
mod listen;
mod mark;
mod supervisor;
mod throttle;
mod watch;

pub(crate) use supervisor::change_peers;

use crate::admin::directives::Superior;
use crate::admin::node::NodeControl;
use crate::admin::socket::{AdminSocket, SocketFile};
use crate::admin::{self, Api, Facts};
use crate::config::{DaemonConfig, Kind, Loaded, NodeConfig, Report};
use crate::host::{Host, everywhere};
use crate::log;
use crate::node::{self, Conducting};
use bgp_core::config::{Config, DEFAULT_PORT};
use bgp_core::speaker::Speaker;
use bgp_io::{Clock, Events, Handle, Listener};
use blocks::BlockStore;
use mark::RestartMark;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use supervisor::{Supervisor, Target};
use tokio::sync::{mpsc, oneshot};
use watch::{Running, Signals};

/// How long admin clients may take to read their last answer.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// What the arguments say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The name of the program.
    pub program: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The configuration file; without one the built-in default runs.
    pub config: Option<PathBuf>,
    /// Only print the effective configuration.
    pub check: bool,
    /// Where the admin socket goes; without it one of the usual places.
    pub admin_socket: Option<PathBuf>,
    /// Where a node keeps what outlives it; without it [`blocks::DEFAULT_STATE`]. A reflector
    /// keeps nothing.
    pub state: Option<PathBuf>,
    /// What log lines look like.
    pub log_format: log::Format,
    /// Least level of log lines; without it `RUST_LOG` decides.
    pub log_level: Option<String>,
}

/// Runs a daemon to its end, which is what the exit code tells: 0 when it was asked to end (or
/// the configuration was printed), 1 when something is wrong.
pub fn run(options: &Options) -> ExitCode {
    let outcome = if options.check {
        check(options)
    } else {
        start(options)
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error cannot be written there is nobody to tell.
            let _ = writeln!(io::stderr(), "{}: {error}", options.program);
            ExitCode::FAILURE
        }
    }
}

/// `--check`: the effective configuration, with every default, as a file.
fn check(options: &Options) -> Result<(), String> {
    let host = Host::look();
    let (config, warnings) = match load(options, &host)? {
        Some(Loaded {
            config, warnings, ..
        }) => (config, warnings.to_string()),
        None => {
            // What is in use now, perhaps by ourselves, says nothing against a configuration.
            let addresses = match listen::choose() {
                Ok(listening) => listening.addresses(),
                Err(_) => everywhere(DEFAULT_PORT),
            };
            (DaemonConfig::built_in(&host, addresses), String::new())
        }
    };
    let mut stderr = io::stderr();
    let mut stdout = io::stdout();
    stderr
        .write_all(warnings.as_bytes())
        .and_then(|()| stdout.write_all(config.to_string().as_bytes()))
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("cannot write the configuration: {error}"))
}

/// The configuration of the file; `None` where none is named and there is a built-in one.
fn load(options: &Options, host: &Host) -> Result<Option<Loaded>, String> {
    if options.config.is_none() && options.kind == Kind::Node {
        return Err("which node is this? name its configuration with --config FILE".to_owned());
    }
    let loaded = options
        .config
        .as_deref()
        .map(|path| DaemonConfig::load(path, options.kind, host));
    loaded
        .transpose()
        .map_err(|error| format!("the configuration is refused\n\n{error}"))
}

/// Everything that is ready before the runtime starts.
struct Prepared {
    config: DaemonConfig,
    /// What the supervisor starts with.
    kind: Kind,
    host: Host,
    file: Option<PathBuf>,
    store: Option<BlockStore>,
    listeners: Vec<Listener>,
    socket: AdminSocket,
    mark: RestartMark,
    facts: Facts,
}

fn start(options: &Options) -> Result<(), String> {
    let host = Host::look();
    let (config, warnings, listening) = match load(options, &host)? {
        Some(Loaded {
            config, warnings, ..
        }) => {
            let listening = listen::bind(&config.listen)?;
            (config, Some(warnings), listening)
        }
        None => {
            let listening = listen::choose()?;
            let config = DaemonConfig::built_in(&host, listening.addresses());
            (config, None, listening)
        }
    };
    let store = match options.kind {
        Kind::Reflector => None,
        Kind::Node => {
            let folder = options.state.as_deref();
            let folder = folder.unwrap_or(Path::new(blocks::DEFAULT_STATE));
            Some(BlockStore::open(folder).map_err(|error| error.to_string())?)
        }
    };
    let socket = AdminSocket::bind(options.program, options.admin_socket.as_deref())
        .map_err(|error| error.to_string())?;
    let _guard = log::set_up(options.log_format, options.log_level.as_deref())?;
    let first_line = first_line(options, &host, &config, &listening, &socket);
    match options.log_format {
        log::Format::Human => {
            let _ = writeln!(io::stderr(), "{first_line}");
        }
        log::Format::Json => tracing::info!("{first_line}"),
    }
    tell(warnings.as_ref(), &listening);
    let facts = Facts {
        program: options.program,
        version: env!("CARGO_PKG_VERSION"),
        configuration: options
            .config
            .as_ref()
            .map(|path| path.display().to_string()),
        listen: listening.addresses(),
        started: std::time::Instant::now(),
    };
    let prepared = Prepared {
        mark: RestartMark::beside(socket.path()),
        config,
        kind: options.kind,
        host,
        file: options.config.clone(),
        store,
        listeners: listening.listeners,
        socket,
        facts,
    };
    // One thread for the engine, one for the admin API and everything else.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let outcome = runtime.block_on(serve(prepared));
    // Nothing of ours is left; a thread that hangs in a system call must not keep us.
    runtime.shutdown_background();
    outcome
}

fn tell(warnings: Option<&Report>, listening: &listen::Listening) {
    for line in warnings.iter().flat_map(|report| report.lines()) {
        tracing::warn!("{line}");
    }
    for left_out in &listening.left_out {
        tracing::warn!("{left_out}");
    }
}

/// Who we are, where we listen, whom we accept, and where to ask more.
fn first_line(
    options: &Options,
    host: &Host,
    config: &DaemonConfig,
    listening: &listen::Listening,
    socket: &AdminSocket,
) -> String {
    let router = &config.speaker.router;
    let source = if router.router_id == host.router_id {
        format!(" ({})", host.router_id_source)
    } else {
        String::new()
    };
    let addresses = listening.addresses();
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let addresses = match addresses.as_slice() {
        [] => "not listening".to_owned(),
        some => format!("listening on {}", some.join(", ")),
    };
    let why = listening
        .why_not_179
        .map(|why| format!(" (port 179 {why})"));
    let groups = config.speaker.dynamic.iter();
    let accepted: Vec<String> = groups
        .flat_map(|group| group.accept.iter())
        .map(ToString::to_string)
        .collect();
    let accepted = match accepted.as_slice() {
        [] => "accepting configured peers only".to_owned(),
        some => format!("accepting peers from {}", some.join(", ")),
    };
    let configuration = match &options.config {
        Some(path) => {
            let peers = match config.speaker.peers.len() {
                1 => "1 configured peer".to_owned(),
                count => format!("{count} configured peers"),
            };
            format!("{peers}; configuration {}", path.display())
        }
        None => "built-in default: use --config FILE for your own".to_owned(),
    };
    format!(
        "{} {}: AS {}, router id {}{source}, {addresses}{}, {accepted}; admin socket {}; \
         {configuration}",
        options.program,
        env!("CARGO_PKG_VERSION"),
        router.asn,
        router.router_id,
        why.unwrap_or_default(),
        socket.path().display(),
    )
}

async fn serve(prepared: Prepared) -> Result<(), String> {
    let Prepared {
        config,
        kind,
        host,
        file,
        store,
        listeners,
        socket,
        mut mark,
        facts,
    } = prepared;
    let mut speaker_config = config.speaker.clone();
    take_mark(&mut mark, &mut speaker_config);
    listen::raise_descriptor_limit(&speaker_config);
    let signals = Signals::new().map_err(|error| format!("cannot wait for signals: {error}"))?;
    let (listener, socket_file) = socket
        .listen()
        .map_err(|error| format!("cannot listen on the admin socket: {error}"))?;
    let running = config.clone();
    let Engine {
        handle,
        events,
        target,
        node,
    } = start_engine(speaker_config, config.node.zip(store), listeners).await?;
    let (stop, stopped) = mpsc::channel(1);
    let (superior, orders) = Superior::new();
    let supervisor = Supervisor {
        kind,
        host,
        file,
        running,
        target,
    };
    tokio::spawn(supervisor.run(orders));
    let api = Api {
        engine: handle.asker(),
        stats: handle.watch_stats(),
        facts: Arc::new(facts),
        stop,
        superior: superior.clone(),
        node: node.as_ref().map(|(control, _)| control.clone()),
    };
    let (end, ended) = oneshot::channel::<()>();
    let admin = tokio::spawn(admin::serve(listener, api, async move {
        let _ = ended.await;
    }));
    let running = Running {
        engine: handle,
        events,
        node,
        signals,
        stopped,
        superior,
        mark,
    };
    let outcome = running.watch().await;
    let _ = end.send(());
    let _ = tokio::time::timeout(LAST_ANSWERS, admin).await;
    remove(socket_file);
    outcome
}

/// Whether peers may be keeping routes of a predecessor.
fn take_mark(mark: &mut RestartMark, config: &mut Config) {
    let router = &mut config.router;
    router.restarting = mark.take(router.restart_time);
    if router.restarting {
        let waits = if router.restart_deferral.is_zero() {
            "they are told that we have restarted"
        } else {
            "End-of-RIB waits for theirs"
        };
        tracing::info!("peers may be keeping routes of a predecessor: {waits} (RFC 4724)");
    }
}

/// The engine, and whom changes of the configuration are told.
struct Engine {
    handle: Handle,
    events: Events,
    target: Target,
    node: Option<(NodeControl, Conducting)>,
}

async fn start_engine(
    config: Config,
    node: Option<(NodeConfig, BlockStore)>,
    listeners: Vec<Listener>,
) -> Result<Engine, String> {
    let clock = Clock::start();
    let seed = RandomState::new().hash_one(std::process::id());
    let Some((mut node, store)) = node else {
        let speaker = Speaker::new(config, clock.now(), seed);
        let speaker = speaker.map_err(|error| error.to_string())?;
        let started = bgp_io::spawn(speaker, clock, listeners);
        let (handle, events) =
            started.map_err(|error| format!("cannot start the engine: {error}"))?;
        return Ok(Engine {
            target: Target::Engine(handle.asker()),
            handle,
            events,
            node: None,
        });
    };
    for refused in store.overlay(&mut node.settings) {
        tracing::error!("{refused}");
    }
    let parts = node::Parts {
        speaker: config,
        node,
        clock,
        seed,
        listeners,
    };
    let started = node::start(parts).await?;
    Ok(Engine {
        handle: started.engine,
        events: started.events,
        target: Target::Node(started.control.clone(), store),
        node: Some((started.control, started.conducting)),
    })
}

/// Takes the admin socket away last, so that who asks meanwhile is answered.
fn remove(file: SocketFile) {
    drop(file);
}
