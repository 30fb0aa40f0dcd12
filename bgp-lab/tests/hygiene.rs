//! The laboratory cleans up after itself, also when a test does not.

use bgp_lab::capability::Need;
use bgp_lab::netns::{Lan, Namespace};
use bgp_lab::process::{Process, ask};
use bgp_lab::{Error, Result, capability, check, wait};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_process_ends_with_its_value() -> Result<()> {
    let Some((namespace, dir)) = begin("hygiene::a_process_ends_with_its_value")? else {
        return Ok(());
    };
    let process = Process::start(&namespace, "shell", dir.path(), family())?;
    let id = process.id();
    let child = child_of(&process)?;
    drop(process);
    check_gone(id)?;
    check_gone(child)
}

/// What happens to a test that is killed: its threads end without a word.
#[test]
fn a_process_ends_with_the_thread_that_started_it() -> Result<()> {
    let Some((namespace, dir)) = begin("hygiene::a_process_ends_with_its_thread")? else {
        return Ok(());
    };
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut command = Command::new("sleep");
            command.arg("1000");
            let process = Process::start(&namespace, "sleep", dir.path(), command);
            // Never dropped: only the parent-death signal is left to end it.
            let id = process.map(|process| std::mem::ManuallyDrop::new(process).id());
            sender.send(id)
        });
    });
    let id = receiver
        .recv()
        .map_err(|error| Error::Check(error.to_string()))??;
    check_gone(id)
}

#[test]
fn output_is_kept_and_an_end_is_seen() -> Result<()> {
    let Some((namespace, dir)) = begin("hygiene::output_is_kept")? else {
        return Ok(());
    };
    let mut command = Command::new("sh");
    command.args(["-c", "echo out; echo err >&2; exit 3"]);
    let mut process = Process::start(&namespace, "shell", dir.path(), command)?;
    let error = wait::until("the end", LIMIT, || match process.check_alive() {
        Ok(()) => Err("it runs"),
        Err(error) => Ok(error.to_string()),
    })?;
    check(error.contains("exit status: 3"), || error.clone())?;
    check(process.output() == "out\nerr\n", || process.output())
}

#[test]
fn namespaces_are_apart_and_a_lan_joins_them() -> Result<()> {
    let Some((hub, _dir)) = begin("hygiene::namespaces_are_apart")? else {
        return Ok(());
    };
    let far = Namespace::new("far")?;
    let lan = Lan::new(&hub, 1)?;
    lan.attach(&far, 300)?;
    let listener = hub.run(|| listen((Lan::v4(1), 179).into()))?;
    far.run(|| connect((Lan::v4(1), 179).into()))?;
    let six = hub.run(|| listen((Lan::v6(1), 179).into()))?;
    far.run(|| connect((Lan::v6(1), 179).into()))?;
    drop((listener, six));
    let apart = Namespace::new("apart")?.run(|| connect((Lan::v4(1), 179).into()));
    check(apart.is_err(), || "a third one reaches them".to_owned())?;
    let mut show = Command::new("ip");
    show.args(["-brief", "link"]);
    let devices = ask(&far, show)?;
    check(devices.lines().count() == 2, || devices.clone())
}

fn listen(address: std::net::SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| Error::Check(format!("{address}: {error}")))
}

fn connect(address: std::net::SocketAddr) -> Result<TcpStream> {
    TcpStream::connect_timeout(&address, LIMIT)
        .map_err(|error| Error::Check(format!("{address}: {error}")))
}

fn begin(test: &str) -> Result<Option<(Namespace, tempfile::TempDir)>> {
    if !capability::need(test, &[Need::Namespaces]) {
        return Ok(None);
    }
    let dir = tempfile::tempdir().map_err(|error| Error::Check(error.to_string()))?;
    Ok(Some((Namespace::new(test)?, dir)))
}

/// A shell with a child.
fn family() -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 1000 & echo $!; wait"]);
    command
}

fn child_of(process: &Process) -> Result<u32> {
    wait::until("the child's id", LIMIT, || {
        process.output().trim().parse::<u32>()
    })
}

/// Waits until there is no process `id`, or only its remains that nobody has asked for.
fn check_gone(id: u32) -> Result<()> {
    wait::until(&format!("the end of process {id}"), LIMIT, || {
        let status =
            std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("status"));
        match status {
            Err(_) => Ok(()),
            Ok(status) if status.contains("State:\tZ") => Ok(()),
            Ok(status) => Err(status.lines().take(3).collect::<Vec<_>>().join("; ")),
        }
    })
}
