//! Arguments, configuration, the first line, logs.

use crate::harness::{Client, Daemon, at, clients, free_port, program, until};
use serde_json::Value;
use std::fs;
use std::net::TcpStream;
use std::process::Stdio;

#[test]
fn the_first_line_says_who_where_and_whom() {
    let daemon = Daemon::start("", &[]);
    let stderr = daemon.stderr();
    let first = stderr.lines().next().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let port = daemon.port;
    let begin = format!(
        "bgp-rr {version}: AS 64512, router id 192.0.2.1, listening on 127.0.0.1:{port}, \
         accepting peers from 127.0.0.0/8; admin socket "
    );
    assert!(first.starts_with(&begin), "{first}");
    assert!(first.contains("admin.sock"), "{first}");
    assert!(first.contains("rr.toml"), "{first}");
}

#[test]
fn check_prints_a_configuration_that_is_accepted_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rr.toml");
    fs::write(&file, clients(1179, "hold-time = 9\n")).unwrap();
    let check = || {
        let output = program()
            .arg("--check")
            .arg("--config")
            .arg(&file)
            .output()
            .unwrap();
        assert!(output.status.success());
        assert!(output.stderr.is_empty());
        String::from_utf8(output.stdout).unwrap()
    };
    let first = check();
    assert!(first.contains("hold-time = \"9s\""), "{first}");
    fs::write(&file, &first).unwrap();
    assert_eq!(check(), first);
}

#[test]
fn a_bad_configuration_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rr.toml");
    let socket = folder.path().join("admin.sock");
    fs::write(
        &file,
        "[router]\nas = 64512\ncluster-id = 7\nrouter_id = \"10.0.0.1\"\n",
    )
    .unwrap();
    for check in [true, false] {
        let mut command = program();
        command
            .arg("--config")
            .arg(&file)
            .arg("--admin-socket")
            .arg(&socket);
        if check {
            command.arg("--check");
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("rr.toml:3:14\n"), "{stderr}");
        assert!(stderr.contains("did you mean \"router-id\"?"), "{stderr}");
        assert!(stderr.contains("2 errors in "), "{stderr}");
        assert!(!socket.exists());
    }
}

#[test]
fn a_missing_file_is_named() {
    let output = program()
        .args(["--config", "/nonexistent/rr.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("cannot read /nonexistent/rr.toml: No such file"),
        "{stderr}"
    );
}

#[test]
fn warnings_are_printed_by_check_and_logged_at_the_start() {
    let more = "\n[[peer]]\nname = \"tor\"\naddress = \"127.9.9.9\"\nremote-as = 65001\n\
                passive = true\n";
    let daemon = Daemon::start(more, &[]);
    let warned = until("the warning", || {
        let stderr = daemon.stderr();
        let mut lines = stderr
            .lines()
            .filter(|line| line.contains("without import"));
        lines.next().map(str::to_owned)
    });
    assert!(
        warned.contains("WARN") && warned.contains("rr.toml:"),
        "{warned}"
    );
}

#[test]
fn the_version_is_that_of_the_package() {
    let output = program().arg("--version").output().unwrap();
    let version = concat!("bgp-rr ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), version);
}

#[test]
fn a_port_that_is_taken_is_named_with_advice() {
    let first = Daemon::start("", &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rr.toml");
    fs::write(&file, clients(first.port, "")).unwrap();
    let socket = folder.path().join("admin.sock");
    let mut command = program();
    command
        .arg("--config")
        .arg(&file)
        .arg("--admin-socket")
        .arg(&socket);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let begin = format!("bgp-rr: cannot listen on 127.0.0.1:{}", first.port);
    assert!(stderr.starts_with(&begin), "{stderr}");
    assert!(
        stderr.contains("another BGP speaker may be running here"),
        "{stderr}"
    );
}

#[test]
fn a_socket_of_a_running_daemon_is_left_alone() {
    let first = Daemon::start("", &[]);
    let file = first.folder.path().join("other.toml");
    fs::write(&file, clients(free_port(), "")).unwrap();
    let mut command = program();
    command
        .arg("--config")
        .arg(&file)
        .arg("--admin-socket")
        .arg(first.socket());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("another process answers there"), "{stderr}");
    assert!(first.ctl(&["status"]).is_ok());
}

#[test]
fn json_lines_of_a_session_name_the_peer() {
    let daemon = Daemon::start("", &["--log-format", "json", "--log-level", "debug"]);
    let client = Client::start(11, daemon.port, &[]);
    daemon.wait_established(1);
    let name = client.name();
    let line = until("the line of the session", || {
        let stderr = daemon.stderr();
        let lines = stderr
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut lines = lines.filter(|line| line["message"] == "established");
        lines.next()
    });
    assert_eq!(line["peer"], name);
    assert_eq!(line["address"], "127.0.0.11");
    assert_eq!(line["level"], "INFO");
    // Every line is JSON, and every line about a session names it.
    for line in daemon.stderr().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let message = line["message"].as_str().unwrap();
        assert!(
            !message.contains(" to OpenSent") || line["peer"] == name,
            "{line}"
        );
    }
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let file = folder.path().join("rr.toml");
    fs::write(&file, clients(port, "")).unwrap();
    let socket = folder.path().join("admin.sock");
    let mut command = program();
    command
        .arg("--config")
        .arg(&file)
        .arg("--admin-socket")
        .arg(&socket)
        .args(["--log-level", "trace"])
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Kept and not read: the pipe takes 64 KiB.
    let _unread = child.stderr.take();
    let mut daemon = Daemon::adopt(child, folder, port);
    let _client = Client::start(11, port, &["10.244.17.64/26"]);
    for _ in 0..500 {
        drop(TcpStream::connect(at(port)).unwrap());
    }
    daemon.wait_established(1);
    daemon.wait_prefixes(1);
    daemon.ctl(&["shutdown"]).unwrap();
    assert!(daemon.wait().success());
}
