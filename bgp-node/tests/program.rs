//! The program `bgp-node` as far as it goes without touching a kernel: its arguments, `--check`,
//! and what keeps it from starting. How it works is tested in network namespaces, with `bgp-lab`.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must stop"
)]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn bgp_node(arguments: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bgp-node"));
    command
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .args(arguments);
    command.output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// A configuration that listens on a port that was free.
fn configuration() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    format!(
        "[node]\nname = \"n\"\nas = 64512\naddress = \"192.0.2.1/24\"\nlisten = [\"{address}\"]\n\
         [[pool]]\nprefix = \"10.244.0.0/16\"\n"
    )
}

#[test]
fn check_prints_what_gives_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    let text_of = |source: &str| {
        fs::write(&file, source).unwrap();
        let output = bgp_node(&["--config".as_ref(), &file, "--check".as_ref()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let source = "[node]\nname = \"node-11\"\nas = 64512\naddress = \"10.0.1.11/24\"\n";
    let printed = text_of(source);
    assert!(printed.contains("protocol = 201"), "{printed}");
    assert_eq!(text_of(&printed), printed);
}

#[test]
fn a_node_has_to_be_told_who_it_is() {
    let output = bgp_node(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--config <FILE>"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rr.toml");
    fs::write(&file, "[router]\nas = 64512\n").unwrap();
    let output = bgp_node(&["--config".as_ref(), &file]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("run bgp-rr with this file"), "{error}");
    assert!(error.contains("rr.toml:1:2"), "{error}");
}

/// Without the blocks that it names their workloads would be cut off.
#[test]
fn a_state_that_makes_no_sense_keeps_it_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    fs::write(&file, configuration()).unwrap();
    let state = folder.path().join("blocks.json");
    fs::write(&state, "{\"version\": 1, \"added\": [").unwrap();
    let socket = folder.path().join("admin.sock");
    let output = bgp_node(&[
        "--config".as_ref(),
        &file,
        "--state".as_ref(),
        folder.path(),
        "--admin-socket".as_ref(),
        &socket,
    ]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains(state.to_str().unwrap()), "{error}");
    assert!(error.contains("correct it, or remove it"), "{error}");
    let kept = fs::read_to_string(&state).unwrap();
    assert_eq!(kept, "{\"version\": 1, \"added\": [");
    assert!(!socket.exists());
}
