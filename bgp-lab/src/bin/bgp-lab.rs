//! `bgp-lab`: a whole cluster in one command.

#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

use bgp_core::family::Family;
use bgp_lab::cluster::plan::Encapsulation;
use bgp_lab::cluster::state::State;
use bgp_lab::cluster::{Cluster, START_LIMIT, Settings, chaos, folder, router, show, speaker};
use bgp_lab::{Error, Result, check, reflector};
use clap::{Parser, Subcommand};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A cluster in network namespaces: reflectors, nodes, workloads, a top-of-rack router.
#[derive(Parser)]
#[command(name = "bgp-lab", version)]
struct Arguments {
    #[command(subcommand)]
    order: Order,
}

#[derive(Subcommand)]
enum Order {
    /// Builds a cluster, shows its routes and pings, and keeps it until Ctrl-C.
    Up(Up),
    /// Runs a command in a node, workload, reflector or the router (`tor`) of a running cluster.
    Exec {
        /// The process id of the cluster, where more than one runs.
        #[arg(long)]
        lab: Option<u32>,
        /// node-1, w1a, rr-a, tor …
        place: String,
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

#[derive(clap::Args)]
struct Up {
    /// How packets between nodes are wrapped: none, ipip, cross-subnet or vxlan.
    #[arg(long, default_value_t = Encapsulation::CrossSubnet)]
    encapsulation: Encapsulation,
    /// How many nodes.
    #[arg(long, default_value_t = 4, default_value_if("chaos", "true", "6"))]
    nodes: u8,
    /// The nodes' speakers; with more than one, nodes take them in turn.
    #[arg(long, value_delimiter = ',', default_value = "ours")]
    speaker: Vec<speaker::Make>,
    /// BIRD as reflector, for comparison.
    #[arg(long)]
    bird_reflectors: bool,
    /// A full mesh of the nodes instead of reflectors.
    #[arg(long)]
    mesh: bool,
    /// IPv4 alone.
    #[arg(long)]
    only_ipv4: bool,
    /// Only says whether this machine has what the cluster needs.
    #[arg(long)]
    check: bool,
    /// Ends after the pings; exit code 1 when one was lost.
    #[arg(long)]
    once: bool,
    /// Scripted failures under steady pings, then the end; exit code 1 when a bound was missed.
    #[arg(long)]
    chaos: bool,
    /// Only these failures.
    #[arg(long, value_delimiter = ',', requires = "chaos")]
    only: Vec<String>,
    /// Stretches the bounds of time: for a machine that does other things as well.
    #[arg(long, default_value_t = 1, requires = "chaos", value_parser = clap::value_parser!(u32).range(1..=100))]
    patience: u32,
    /// Leaves logs and configurations behind, and says where. BGP_NODE_LOG_LEVEL=debug makes the
    /// logs say more.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse().order) {
        Ok(code) => code,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(order: Order) -> Result<ExitCode> {
    match order {
        Order::Up(up) => {
            become_root()?;
            let cleaner = Cleaner::new()?;
            up_and_down(&up, &cleaner)
        }
        Order::Exec {
            lab,
            place,
            command,
        } => {
            State::find(lab)?.exec(&place, &command)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Without root: enters a user namespace in which we are root. Before any thread is started.
fn become_root() -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let (user, group) = (nix::unistd::getuid(), nix::unistd::getgid());
    let failed = |what: &str, source| Error::System {
        what: format!("{what} (without root the lab needs unprivileged user namespaces)"),
        source,
    };
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
        .map_err(|errno| failed("making a user namespace", errno.into()))?;
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {user} 1")),
        ("gid_map", format!("0 {group} 1")),
    ] {
        std::fs::write(format!("/proc/self/{file}"), text)
            .map_err(|error| failed(&format!("writing {file}"), error))?;
    }
    println!("not root: everything runs in a user namespace of its own");
    Ok(())
}

/// Removes what has a name in the file system when the program is ended by a signal, and ends the
/// daemons that the parent-death signal does not reach; all else ends by itself.
struct Cleaner(Arc<Mutex<Leftovers>>);

#[derive(Default)]
struct Leftovers {
    paths: Vec<PathBuf>,
    processes: Vec<Pid>,
}

impl Cleaner {
    fn new() -> Result<Self> {
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        signals.thread_block().map_err(|errno| Error::System {
            what: "blocking signals".to_owned(),
            source: errno.into(),
        })?;
        let leftovers: Arc<Mutex<Leftovers>> = Arc::default();
        let known = Arc::clone(&leftovers);
        std::thread::spawn(move || {
            if signals.wait().is_ok() {
                println!("\nending: namespaces, daemons and files go");
                known
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove();
                std::process::exit(0);
            }
        });
        Ok(Self(leftovers))
    }

    fn add_path(&self, path: &Path) {
        let mut leftovers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        leftovers.paths.push(path.to_owned());
    }

    fn add_processes(&self, ids: &[u32]) {
        let mut leftovers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = ids.iter().filter_map(|id| i32::try_from(*id).ok());
        leftovers.processes.extend(ids.map(Pid::from_raw));
    }
}

impl Leftovers {
    /// What is gone already cannot be removed, and nothing more can be done about the rest.
    fn remove(&self) {
        for process in &self.processes {
            let _ = killpg(*process, Signal::SIGKILL);
        }
        for path in &self.paths {
            let _ = std::fs::remove_file(path);
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

fn up_and_down(up: &Up, cleaner: &Cleaner) -> Result<ExitCode> {
    let started = Instant::now();
    let mut say = |text: &str| println!("[{:5.1} s] {text}", started.elapsed().as_secs_f64());
    let reflectors = if up.bird_reflectors {
        reflector::Make::Bird
    } else {
        reflector::Make::BgpRr
    };
    let silent_router = up.chaos && up.encapsulation != Encapsulation::None;
    chaos::check_names(&up.only)?;
    let settings = Settings {
        nodes: up.nodes,
        encapsulation: up.encapsulation,
        speakers: up.speaker.clone(),
        reflectors: (!up.mesh).then_some(reflectors),
        mesh: up.mesh,
        // In the failures nothing may find its way past a node that has lost its routes.
        router: (!silent_router).then(router::Make::available),
        // No tunnel carries IPv6, and a router that knows no blocks does not either.
        families: if up.only_ipv4 || silent_router {
            vec![Family::Ipv4Unicast]
        } else {
            Family::ALL.to_vec()
        },
    };
    settings.check()?;
    if up.check {
        say("this machine has all that is needed");
        return Ok(ExitCode::SUCCESS);
    }
    let mut dir = folder()?;
    if up.keep {
        dir.disable_cleanup(true);
        say(&format!(
            "logs and configurations stay in {}",
            dir.path().display()
        ));
    } else {
        cleaner.add_path(dir.path());
    }
    let mut cluster = Cluster::start(settings, dir, &mut say)?;
    if let Some(router) = &cluster.router {
        cleaner.add_processes(&router.process_ids());
    }
    let state = State::of(&cluster).write()?;
    cleaner.add_path(state.path());
    let enough = !up.chaos || up.nodes >= chaos::MIN_NODES;
    check(enough, || {
        format!("the failures need {} nodes", chaos::MIN_NODES)
    })?;
    cluster.wait_established(START_LIMIT)?;
    say("all sessions are Established");
    cluster.wait_routes(START_LIMIT)?;
    say("every kernel has every block");
    println!("\n{}", show::blocks(&mut cluster)?);
    println!("\n{}", show::routes(&cluster)?);
    let good = matrices(&cluster, &mut say)?;
    if up.chaos {
        let (table, kept) = chaos::run(&mut cluster, &up.only, up.patience, &mut say)?;
        println!("\n{table}");
        return Ok(code(good && kept));
    }
    if up.once {
        return Ok(code(good));
    }
    explain(&cluster);
    loop {
        std::thread::park();
    }
}

fn code(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn matrices(cluster: &Cluster, say: &mut dyn FnMut(&str)) -> Result<bool> {
    let mut good = true;
    for family in &cluster.settings.families {
        let matrix = show::matrix(cluster, *family)?;
        println!("\npings, {family}\n{}", matrix.text);
        say(&format!(
            "{} of {} pings answered",
            matrix.pairs - matrix.lost.len(),
            matrix.pairs
        ));
        good &= matrix.lost.is_empty();
    }
    Ok(good)
}

fn explain(cluster: &Cluster) {
    println!("\nThe cluster is yours until Ctrl-C. In another terminal:");
    let program = std::env::current_exe().unwrap_or_else(|_| "bgp-lab".into());
    let exec = format!("  {} exec", program.display());
    println!("{exec} node-1 -- ip route");
    if Path::new("/usr/bin/ping").exists() {
        println!("{exec} w1a -- ping -c 3 10.244.2.10");
    }
    if !cluster.reflectors.is_empty() {
        println!("{exec} rr-a -- bgpctl peers");
    }
    if let Some(node) = cluster.nodes.first() {
        for command in node.speaker.explore() {
            println!("{exec} {} -- {command}", node.number.name());
        }
    }
    if let Some(router) = &cluster.router {
        println!("{exec} tor -- {}", router.explore());
    }
}
