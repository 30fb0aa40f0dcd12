//! What a new configuration changes while the daemon runs.

use crate::harness::{Client, Daemon, clients, until};
use nix::sys::signal::Signal;
use std::fs;

const PEER: &str = "\n[[peer]]\nname = \"rr-b\"\naddress = \"127.0.1.9\"\nrole = \"non-client\"\n\
                    passive = true\n";

/// Puts a new file in the place of the daemon's.
fn write(daemon: &Daemon, more: &str) {
    let file = daemon.folder.path().join("rr.toml");
    fs::write(file, clients(daemon.port, more)).unwrap();
}

fn sessions(daemon: &Daemon, peer: &str) -> u64 {
    daemon.json(&["peer", peer])["sessions"].as_u64().unwrap()
}

#[test]
fn peers_come_change_and_go_and_nobody_else_notices() {
    let daemon = Daemon::start("", &[]);
    let _client = Client::start(11, daemon.port, &["10.244.17.64/26"]);
    daemon.wait_established(1);

    write(&daemon, PEER);
    assert_eq!(
        daemon.ctl(&["reload"]).unwrap(),
        "peer \"rr-b\" is new; disturbs: nothing\n"
    );
    assert_eq!(daemon.json(&["peer", "rr-b"])["role"], "non-client");

    write(
        &daemon,
        &PEER.replace("passive = true", "passive = true\nhold-time = 30"),
    );
    let answer = daemon.ctl(&["reload"]).unwrap();
    assert_eq!(
        answer,
        "peer \"rr-b\" has other settings; disturbs: its session ends and comes back\n"
    );

    // By a signal it is the same; the log says what became of it.
    write(&daemon, "");
    daemon.signal(Signal::SIGHUP);
    until("the peer to be gone", || {
        daemon.ctl(&["peer", "rr-b"]).err()
    });
    until("a line about it", || {
        daemon
            .stderr()
            .contains("reloaded: peer \"rr-b\" is gone")
            .then_some(())
    });
    assert_eq!(
        daemon.ctl(&["reload"]).unwrap(),
        "reloaded; the configuration says the same as before\n"
    );
    assert_eq!(sessions(&daemon, "nodes:127.0.0.11"), 1);
}

#[test]
fn a_broken_file_changes_nothing_and_is_told_with_its_line() {
    let daemon = Daemon::start("", &[]);
    write(&daemon, &format!("{PEER}hold-tme = 9\n"));
    let error = daemon.ctl(&["reload"]).unwrap_err();
    assert!(error.contains("unknown key \"hold-tme\""), "{error}");
    assert!(error.contains("rr.toml:16:1"), "{error}");
    assert!(error.contains("nothing was changed"), "{error}");
    assert!(daemon.ctl(&["peer", "rr-b"]).is_err());
    daemon.signal(Signal::SIGHUP);
    until("a line about it", || {
        daemon.stderr().contains("reload refused").then_some(())
    });
    // Mended, it is taken.
    write(&daemon, PEER);
    daemon.ctl(&["reload"]).unwrap();
    assert!(daemon.ctl(&["peer", "rr-b"]).is_ok());
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_waits_with_it() {
    let daemon = Daemon::start("", &[]);
    write(&daemon, &format!("accept-limit = 7\n{PEER}"));
    let error = daemon.ctl(&["reload"]).unwrap_err();
    let expected = "group \"nodes\" accept-limit: needs a restart: 1000 before, 7 now";
    assert!(error.contains(expected), "{error}");
    assert!(error.contains("rr.toml:10:16"), "{error}");
    assert!(daemon.ctl(&["peer", "rr-b"]).is_err());
}

#[test]
fn a_reflector_says_that_it_has_no_kernel() {
    let daemon = Daemon::start("", &[]);
    for words in [
        ["block", "add", "10.244.17.64/26"].as_slice(),
        &["block", "list"],
        &["fib"],
        &["fib", "audit"],
        &["node"],
    ] {
        let error = daemon.ctl(words).unwrap_err();
        assert!(error.contains("ask a bgp-node"), "{words:?}: {error}");
    }
}
