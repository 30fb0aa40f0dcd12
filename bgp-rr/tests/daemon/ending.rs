//! How it ends, what peers hear of it, and what a successor knows.

use crate::harness::{Client, Daemon, mark, until};
use bgp_core::session::DownReason;
use nix::sys::signal::Signal;

/// Whether the client was told by the daemon that it has restarted (the R bit, RFC 4724 §3).
fn is_told_of_a_restart(client: &Client) -> Option<bool> {
    client.ask(|speaker, now| {
        let peer = speaker.peer(now, "reflector")?;
        Some(peer.negotiated?.graceful_restart?.restarting)
    })
}

#[test]
fn a_signal_ends_it_without_a_word_and_the_successor_says_that_it_restarted() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = Daemon::start("", &[]);
        let port = daemon.port;
        let mut client = Client::start(11, port, &["10.244.17.64/26"]);
        daemon.wait_established(1);
        assert!(!until("an OPEN", || is_told_of_a_restart(&client)));
        daemon.signal(signal);
        assert!(daemon.wait().success());
        assert_eq!(client.wait_down(), DownReason::ConnectionClosed);
        assert!(!daemon.socket().exists());
        assert!(mark(daemon.folder.path()).exists());

        let successor = Daemon::start_in(daemon.into_folder(), port, "", &[]);
        successor.wait_established(1);
        assert!(until("an OPEN", || is_told_of_a_restart(&client)));
        successor.wait_prefixes(1);
    }
}

#[test]
fn a_crash_is_known_to_the_successor_too() {
    let mut daemon = Daemon::start("", &[]);
    let port = daemon.port;
    let client = Client::start(11, port, &[]);
    daemon.wait_established(1);
    until("the mark", || {
        mark(daemon.folder.path()).exists().then_some(())
    });
    daemon.signal(Signal::SIGKILL);
    assert!(!daemon.wait().success());
    // What it left of its socket is replaced.
    assert!(daemon.socket().exists());
    let successor = Daemon::start_in(daemon.into_folder(), port, "", &[]);
    successor.wait_established(1);
    assert!(until("an OPEN", || is_told_of_a_restart(&client)));
}

#[test]
fn a_drained_shutdown_tells_the_peers_and_leaves_no_mark() {
    let mut daemon = Daemon::start("", &[]);
    let mut client = Client::start(11, daemon.port, &[]);
    daemon.wait_established(1);
    until("the mark", || {
        mark(daemon.folder.path()).exists().then_some(())
    });
    let done = daemon
        .ctl(&["shutdown", "--drain", "rack 7 is moving"])
        .unwrap();
    assert_eq!(done, "ending; peers are told, and turn to other paths\n");
    assert!(daemon.wait().success());
    // A Hard Reset, because the client would keep our routes after a plain NOTIFICATION.
    let reason = client.wait_down().to_string();
    assert!(reason.contains("Administrative Shutdown (6/2)"), "{reason}");
    assert!(
        reason.contains("rack 7 is moving") && reason.contains("6/9"),
        "{reason}"
    );
    assert!(!mark(daemon.folder.path()).exists());
    assert!(!daemon.socket().exists());
}

#[test]
fn a_shutdown_without_drain_says_nothing_to_peers() {
    let mut daemon = Daemon::start("", &[]);
    let mut client = Client::start(11, daemon.port, &[]);
    daemon.wait_established(1);
    daemon.ctl(&["shutdown"]).unwrap();
    assert!(daemon.wait().success());
    assert_eq!(client.wait_down(), DownReason::ConnectionClosed);
}

/// What a restart is for: nobody loses a route.
#[test]
fn a_restart_takes_no_route_from_anybody() {
    const BLOCK: &str = "10.244.17.64/26";
    let has_block = |client: &Client| {
        client.ask(|speaker, _| {
            let found = speaker.explain(&BLOCK.parse().unwrap());
            found.paths.iter().any(|path| path.peer.is_some())
        })
    };
    let mut daemon = Daemon::start("", &[]);
    let port = daemon.port;
    let _owner = Client::start(11, port, &[BLOCK]);
    let reader = Client::start(12, port, &[]);
    until("the route", || has_block(&reader).then_some(()));
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert!(has_block(&reader), "lost with the daemon");

    let successor = Daemon::start_in(daemon.into_folder(), port, "", &[]);
    until("End-of-RIB from the successor", || {
        assert!(has_block(&reader), "lost by the restart");
        let is_kept = |peer: bgp_core::speaker::PeerView| peer.keeps.is_some();
        let stale = reader
            .ask(|speaker, now| speaker.peer(now, "reflector"))
            .map(is_kept);
        let status = successor.json(&["status"]);
        let settled = status["established"] == 2 && status["restarting"] == false;
        (settled && stale == Some(false)).then_some(())
    });
    assert!(has_block(&reader), "lost at End-of-RIB");
}
