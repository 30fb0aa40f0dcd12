//! `bgp-rr` without a configuration: what it chooses, and that its first line says so.

use bgp_lab::capability::Need;
use bgp_lab::netns::Namespace;
use bgp_lab::process::{Process, ask};
use bgp_lab::reflector::binary;
use bgp_lab::{Error, Result, capability, check, wait};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// A namespace with a global address, as every host has one.
fn begin(test: &str) -> Result<Option<(Namespace, tempfile::TempDir)>> {
    let needs = [
        Need::Namespaces,
        Need::Program("/usr/bin/setpriv", "util-linux"),
    ];
    if !capability::need(test, &needs) {
        return Ok(None);
    }
    let namespace = Namespace::new(test)?;
    namespace.ip("link set lo up\naddr add 192.0.2.7/32 dev lo\n")?;
    let dir = tempfile::tempdir().map_err(|error| Error::Check(error.to_string()))?;
    Ok(Some((namespace, dir)))
}

/// Starts the daemon through `wrapper` and gives its first line.
fn start(
    namespace: &Namespace,
    dir: &Path,
    name: &str,
    wrapper: &[&str],
) -> Result<(Process, String)> {
    let program = binary("bgp-rr", "BGP_RR_BIN")?;
    let mut command = match wrapper {
        [] => Command::new(program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    command.arg("--admin-socket").arg(dir.join(name));
    let mut process = Process::start(namespace, name, dir, command)?;
    let line = wait::until("the first line", LIMIT, || {
        process.check_alive().map_err(|error| error.to_string())?;
        let output = process.output();
        let (line, _) = output.split_once('\n').ok_or("nothing yet")?;
        Ok::<_, String>(line.to_owned())
    })?;
    Ok((process, line))
}

fn check_contains(line: &str, part: &str) -> Result<()> {
    check(line.contains(part), || {
        format!("{part:?} is not in {line:?}")
    })
}

#[test]
fn it_takes_port_179_and_accepts_loopback_alone() -> Result<()> {
    let Some((namespace, dir)) = begin("built_in::port_179")? else {
        return Ok(());
    };
    let (_process, line) = start(&namespace, dir.path(), "first", &[])?;
    for part in [
        ": AS 64512, router id 192.0.2.7 (address of lo), listening on 0.0.0.0:179, [::]:179, \
         accepting peers from 127.0.0.0/8, ::1/128; admin socket ",
        "use --config FILE for your own",
    ] {
        check_contains(&line, part)?;
    }
    // One that finds the port taken says so, and takes the other.
    let (_second, line) = start(&namespace, dir.path(), "second", &[])?;
    let part = "listening on 0.0.0.0:1179, [::]:1179 (port 179 is in use)";
    check_contains(&line, part)
}

#[test]
fn without_the_right_to_port_179_it_takes_1179() -> Result<()> {
    let Some((namespace, dir)) = begin("built_in::port_1179")? else {
        return Ok(());
    };
    let wrapper = ["setpriv", "--bounding-set=-net_bind_service"];
    let (_process, line) = start(&namespace, dir.path(), "plain", &wrapper)?;
    let part = "listening on 0.0.0.0:1179, [::]:1179 (port 179 needs CAP_NET_BIND_SERVICE)";
    check_contains(&line, part)?;
    // What --check prints is a configuration that does the same.
    let mut print = Command::new(binary("bgp-rr", "BGP_RR_BIN")?);
    print.arg("--check");
    let printed = ask(&namespace, print)?;
    for part in [
        "as = 64512\n",
        "router-id = \"192.0.2.7\"\n",
        "accept = [\"127.0.0.0/8\", \"::1/128\"]\n",
    ] {
        check_contains(&printed, part)?;
    }
    Ok(())
}
