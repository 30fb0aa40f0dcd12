//! The program `bgpctl` itself: exit codes, and where it writes. What it says of a running daemon
//! is tested with `bgp-rr`.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must stop"
)]

use std::os::unix::net::UnixListener;
use std::process::{Command, Output};

fn bgpctl(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bgpctl"));
    command.args(words).output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

#[test]
fn without_a_daemon_it_says_what_it_tried() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let path = path.to_str().unwrap();
    let output = bgpctl(&["--socket", path, "peers"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let stderr = text(&output.stderr);
    let expected = format!(
        "bgpctl: cannot reach the daemon; is it running? tried {path} (no such file); name \
         another with --socket\n"
    );
    assert_eq!(stderr, expected);

    // What a crashed daemon leaves behind.
    drop(UnixListener::bind(path).unwrap());
    let output = bgpctl(&["peers", "--socket", path]);
    assert!(text(&output.stderr).contains("(nobody answers there)"));
}

#[test]
fn all_usual_places_are_tried_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bgpctl"));
    command.env("XDG_RUNTIME_DIR", folder.path()).arg("status");
    let output = command.output().unwrap();
    // A daemon may be running on this machine.
    if !output.status.success() {
        let stderr = text(&output.stderr);
        let own = folder.path().join("bgp-rr.sock");
        for place in ["/run/bgp-rr.sock", own.to_str().unwrap(), "/tmp/bgp-rr-"] {
            assert!(stderr.contains(place), "{stderr}");
        }
    }
}

#[test]
fn wrong_usage_and_help_are_told_apart() {
    let output = bgpctl(&["explode"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(text(&output.stderr).contains("unrecognized subcommand 'explode'"));
    let output = bgpctl(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("Usage: bgpctl"));
    assert!(output.stderr.is_empty());
}
