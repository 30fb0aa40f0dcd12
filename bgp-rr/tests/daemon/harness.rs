//! A `bgp-rr` of its own for each test: loopback, a port that was free, and a folder that goes
//! with it. Clients are engines in the test's own process.

use bgp_core::config::{Config, Peer, PeerSettings, Router};
use bgp_core::session::DownReason;
use bgp_core::speaker::{Event, Speaker};
use bgp_core::types::{Asn, RouterId};
use bgp_core::wire::{NextHop, PathAttributes};
use bgp_io::{Clock, Events, Handle, Heard};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const AS: Asn = Asn(64_512);
/// Fails a test that waits for what does not happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "still waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The program, with nothing of the environment that could change what it does.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bgp-rr"));
    command
        .env_remove("RUST_LOG")
        .env_remove("XDG_RUNTIME_DIR")
        .stdin(Stdio::null());
    command
}

/// A running daemon, killed at the latest when it is dropped.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
}

/// A configuration with one group of clients on loopback, and `more`.
pub(crate) fn clients(port: u16, more: &str) -> String {
    format!(
        "[router]\nas = 64512\nrouter-id = \"192.0.2.1\"\nlisten = [\"127.0.0.1:{port}\"]\n\n\
         [[group]]\nname = \"nodes\"\naccept = [\"127.0.0.0/8\"]\nrole = \"client\"\n{more}"
    )
}

impl Daemon {
    /// One with a group of clients, and `more` in its configuration.
    pub(crate) fn start(more: &str, arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), free_port(), more, arguments)
    }

    /// One whose predecessor ran in `folder` and on `port`.
    pub(crate) fn start_in(folder: TempDir, port: u16, more: &str, arguments: &[&str]) -> Self {
        let file = folder.path().join("rr.toml");
        fs::write(&file, clients(port, more)).unwrap();
        let stderr = fs::File::create(folder.path().join("stderr")).unwrap();
        let mut command = program();
        command
            .args(["--config".as_ref(), file.as_os_str()])
            .args(["--admin-socket".as_ref(), socket(&folder).as_os_str()])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(stderr);
        Self::adopt(command.spawn().unwrap(), folder, port)
    }

    /// Takes care of a process that serves the admin socket in `folder`.
    pub(crate) fn adopt(child: Child, folder: TempDir, port: u16) -> Self {
        let mut daemon = Self {
            child,
            folder,
            port,
        };
        until("the admin socket", || {
            if let Ok(Some(status)) = daemon.child.try_wait() {
                panic!("ended early with {status}: {}", daemon.stderr());
            }
            daemon.ctl(&["status"]).ok()
        });
        daemon
    }

    pub(crate) fn socket(&self) -> PathBuf {
        socket(&self.folder)
    }

    /// What it has written to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    /// What `bgpctl` answers to these words.
    pub(crate) fn ctl(&self, words: &[&str]) -> Result<String, String> {
        let mut arguments: Vec<OsString> = vec!["bgpctl".into(), "--socket".into()];
        arguments.push(self.socket().into());
        arguments.extend(words.iter().map(OsString::from));
        let mut answer = Vec::new();
        match bgp_daemon::ctl::answer(arguments, &mut answer) {
            Ok(()) => Ok(String::from_utf8(answer).unwrap()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The same as JSON.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let words: Vec<&str> = ["--json"].iter().chain(words).copied().collect();
        serde_json::from_str(&self.ctl(&words).unwrap()).unwrap()
    }

    /// Waits until `count` peers are established.
    pub(crate) fn wait_established(&self, count: usize) {
        until("established peers", || {
            (self.json(&["status"])["established"] == count).then_some(())
        });
    }

    /// Waits until the Loc-RIB has `count` prefixes of IPv4.
    pub(crate) fn wait_prefixes(&self, count: usize) {
        until("prefixes", || {
            let status = self.json(&["status"]);
            (status["tables"]["ipv4-unicast"]["prefixes"] == count).then_some(())
        });
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        until("the end of the process", || self.child.try_wait().unwrap())
    }

    /// Its folder, for a successor.
    pub(crate) fn into_folder(mut self) -> TempDir {
        self.wait();
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            std::io::Write::write_all(&mut std::io::stderr(), self.stderr().as_bytes()).ok();
        }
    }
}

fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("admin.sock")
}

/// Where the restart mark of the daemon in `folder` would be.
pub(crate) fn mark(folder: &Path) -> PathBuf {
    folder.join("admin.restart")
}

/// An engine in this process that is a client of the daemon, at an address of its own.
pub(crate) struct Client {
    pub(crate) address: Ipv4Addr,
    handle: Option<Handle>,
    events: Events,
    runtime: Runtime,
}

impl Client {
    /// Client number `n`, at 127.0.0.`n`, which originates `prefixes`.
    pub(crate) fn start(n: u8, port: u16, prefixes: &[&str]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let address = Ipv4Addr::new(127, 0, 0, n);
        let mut settings = PeerSettings::non_client(AS);
        settings.connect_retry = Duration::from_millis(200);
        let daemon = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut peer = Peer::new("reflector", daemon, settings);
        peer.port = port;
        peer.local_address = Some(IpAddr::V4(address));
        let next_hop = Ipv4Addr::new(10, 0, 1, n);
        let router = Router::new(AS, RouterId(next_hop));
        let clock = Clock::start();
        let config = Config::new(router).with_peer(peer);
        let mut speaker = Speaker::new(config, clock.now(), u64::from(n)).unwrap();
        for prefix in prefixes {
            let attributes = PathAttributes::default();
            let prefix = prefix.parse().unwrap();
            speaker.originate(clock.now(), prefix, NextHop::V4(next_hop), &attributes);
        }
        let _guard = runtime.enter();
        let (handle, events) = bgp_io::spawn(speaker, clock, Vec::new()).unwrap();
        drop(_guard);
        Self {
            address,
            handle: Some(handle),
            events,
            runtime,
        }
    }

    /// The name that the daemon gives it.
    pub(crate) fn name(&self) -> String {
        format!("nodes:{}", self.address)
    }

    /// What the engine answers.
    pub(crate) fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Speaker, bgp_core::time::Instant) -> R + Send + 'static,
    ) -> R {
        let handle = self.handle.as_ref().unwrap();
        self.runtime.block_on(handle.ask(question)).unwrap()
    }

    /// Waits for the end of its session and says why it ended.
    pub(crate) fn wait_down(&mut self) -> DownReason {
        self.runtime.block_on(async {
            let down = async {
                loop {
                    match self.events.next().await {
                        Some(Heard::Event(Event::Down { reason, .. })) => return reason,
                        Some(_) => {}
                        None => panic!("the engine of the client ended"),
                    }
                }
            };
            tokio::time::timeout(PATIENCE, down).await.unwrap()
        })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.handle = None;
    }
}

/// The loopback address of the daemon at `port`.
pub(crate) fn at(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
