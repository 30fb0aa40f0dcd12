//! `bgpctl` against a reflector with two clients.

use crate::harness::{Client, Daemon, until};
use serde_json::json;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

const FIRST: &str = "10.244.17.64/26";
const SECOND: &str = "10.244.18.0/26";
const SHARED: &str = "10.99.0.0/16";

/// Two clients that both announce [`SHARED`], and one block each.
fn pair() -> (Daemon, Client, Client) {
    let more = "\n[[peer]]\nname = \"tor-1\"\naddress = \"127.0.9.9\"\nremote-as = 65001\n\
                passive = true\nimport = \"accept-all\"\nexport = \"accept-all\"\n";
    let daemon = Daemon::start(more, &[]);
    let first = Client::start(11, daemon.port, &[FIRST, SHARED]);
    let second = Client::start(12, daemon.port, &[SECOND, SHARED]);
    daemon.wait_established(2);
    daemon.wait_prefixes(3);
    until("both paths", || {
        let paths = &daemon.json(&["status"])["tables"]["ipv4-unicast"]["paths"];
        (*paths == 4).then_some(())
    });
    (daemon, first, second)
}

#[test]
fn peers_and_peer() {
    let (daemon, first, _second) = pair();
    let peers = daemon.json(&["peers"]);
    let peers = peers.as_array().unwrap();
    assert_eq!(peers.len(), 3);
    let of = |name: &str| peers.iter().find(|peer| peer["name"] == name).unwrap();
    let line = of("nodes:127.0.0.11");
    assert_eq!(line["address"], "127.0.0.11");
    assert_eq!(line["state"], "Established");
    assert_eq!(line["role"], "client");
    assert_eq!(line["dynamic"], true);
    assert_eq!(line["received"], 2);
    assert_eq!(of("tor-1")["state"], "Active");

    let peer = daemon.json(&["peer", &first.name()]);
    assert_eq!(peer["negotiated"]["router_id"], "10.0.1.11");
    assert_eq!(peer["negotiated"]["hold_time"], 90);
    assert_eq!(peer["messages_received"]["open"], 1);
    assert_eq!(peer["tables"]["ipv4-unicast"]["received"], 2);
    assert_eq!(peer["tables"]["ipv4-unicast"]["group_peers"], 2);
    // By its address too.
    assert_eq!(daemon.json(&["peer", "127.0.0.11"])["name"], peer["name"]);

    let table = daemon.ctl(&["peers"]).unwrap();
    assert!(table.starts_with("PEER "), "{table}");
    assert!(
        !table.contains('\u{1b}'),
        "coloured although piped: {table:?}"
    );
    assert_eq!(table.lines().count(), 4);
    let page = daemon.ctl(&["peer", "127.0.0.11"]).unwrap();
    assert!(
        page.contains("state              Established for "),
        "{page}"
    );
}

#[test]
fn routes_best_received_and_advertised() {
    let (daemon, first, second) = pair();
    let prefixes = |words: &[&str]| {
        let routes = daemon.json(words);
        let routes = routes.as_array().unwrap().iter();
        let mut prefixes: Vec<String> = routes
            .map(|route| route["prefix"].as_str().unwrap().to_owned())
            .collect();
        prefixes.sort();
        prefixes
    };
    assert_eq!(prefixes(&["routes"]), [FIRST, SECOND, SHARED]);
    assert_eq!(prefixes(&["routes", "10.244.0.0/16"]), [FIRST, SECOND]);
    assert_eq!(prefixes(&["routes", "2001:db8::/32"]), [] as [String; 0]);
    assert_eq!(prefixes(&["routes", "--limit", "1"]).len(), 1);
    assert_eq!(
        prefixes(&["routes", "--received", "127.0.0.12"]),
        [SECOND, SHARED]
    );
    // Nothing goes back to its source: the best path of the shared one is the first's.
    assert_eq!(
        prefixes(&["routes", "--advertised", &first.name()]),
        [SECOND]
    );
    assert_eq!(
        prefixes(&["routes", "--advertised", &second.name()]),
        [FIRST, SHARED]
    );

    let sent = daemon.json(&["routes", FIRST, "--advertised", &second.name()]);
    assert_eq!(
        sent[0],
        json!({
            "prefix": FIRST,
            "from": "nodes:127.0.0.11",
            "best": true,
            "next_hop": "10.0.1.11",
            "origin": "igp",
            "as_path": "",
            "local_pref": 100,
            "originator_id": "10.0.1.11",
            "cluster_list": ["192.0.2.1"],
        })
    );
    let table = daemon.ctl(&["routes"]).unwrap();
    assert!(table.starts_with("PREFIX "), "{table}");
    assert_eq!(
        daemon.ctl(&["routes", "192.0.2.0/24"]).unwrap(),
        "no routes\n"
    );
}

#[test]
fn route_explains_who_won_and_who_is_told() {
    let (daemon, _first, second) = pair();
    let known = daemon.json(&["route", SHARED, "--peer", &second.name()]);
    let paths = known["paths"].as_array().unwrap();
    assert_eq!(paths.len(), 2);
    assert_eq!(
        (&paths[0]["best"], &paths[0]["from"]),
        (&json!(true), &json!("nodes:127.0.0.11"))
    );
    let why = paths[1]["why_not"].as_str().unwrap();
    assert_eq!(why, "step 8, higher BGP Identifier or ORIGINATOR_ID");
    assert_eq!(known["advertised"]["route"]["originator_id"], "10.0.1.11");

    let own = daemon.json(&["route", SECOND, "--peer", &second.name()]);
    let why = &own["advertised"]["why_not"];
    assert_eq!(*why, "the best path came from this very peer");
    // An address finds the longest prefix that covers it.
    assert_eq!(daemon.json(&["route", "10.244.17.77"])["prefix"], FIRST);
    let text = daemon.ctl(&["route", SHARED]).unwrap();
    assert!(
        text.starts_with("10.99.0.0/16: 2 paths\n* best: from nodes:127.0.0.11\n"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_answered_is_said_with_advice() {
    let (daemon, ..) = pair();
    for (words, begin) in [
        (
            vec!["peer", "nobody"],
            "no peer is named `nobody`, and none has that address; `bgpctl",
        ),
        (
            vec!["routes", "--received", "tor-1"],
            "the session with tor-1 is not established; ",
        ),
        (
            vec!["routes", "10.0.0.1/8"],
            "10.0.0.1/8 has host bits; allowed: ",
        ),
        (vec!["route", "192.0.2.0/24"], "no path to 192.0.2.0/24; "),
        (vec!["route", "everything"], "\"everything\" is no prefix; "),
        (vec!["reset", "nobody"], "no peer is named `nobody`"),
    ] {
        let error = daemon.ctl(&words).unwrap_err();
        assert!(error.starts_with(begin), "{words:?}: {error}");
    }
}

/// Speaks HTTP by hand, for what `bgpctl` would never ask.
fn raw(daemon: &Daemon, request: &str) -> String {
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn bad_requests_get_json_with_error_and_advice() {
    let daemon = Daemon::start("", &[]);
    for (line, status) in [
        ("GET /v1/nothing", "404"),
        ("POST /v1/status", "405"),
        ("GET /v1/routes?colour=blue", "400"),
        ("GET /v1/routes?limit=many", "400"),
        ("GET /v1/routes?cursor=7", "400"),
        ("GET /v1/routes?received=a&advertised=b", "400"),
        ("GET /v1/peers?cursor=-1", "400"),
        ("GET /v1/routes/explain", "400"),
        ("POST /v1/shutdown", "415"),
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = raw(&daemon, &request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{line}: {answer}"
        );
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(
            body["error"].is_string() && body["advice"].is_string(),
            "{line}: {body}"
        );
    }
    let long = "x".repeat(20_000);
    let request = format!(
        "POST /v1/shutdown HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n{{\"message\":\"{long}\"}}",
        long.len() + 14
    );
    assert!(raw(&daemon, &request).starts_with("HTTP/1.1 413"));
    assert!(daemon.ctl(&["status"]).is_ok());
}

#[test]
fn orders_reset_disable_enable_and_refresh() {
    let more = "\n[[peer]]\nname = \"one\"\naddress = \"127.0.0.21\"\nrole = \"client\"\n\
                passive = true\n";
    let daemon = Daemon::start(more, &[]);
    let mut client = Client::start(21, daemon.port, &[FIRST]);
    daemon.wait_prefixes(1);
    let updates =
        |daemon: &Daemon| daemon.json(&["peer", "one"])["messages_received"]["update"].as_u64();
    let before = updates(&daemon);
    let done = daemon.ctl(&["refresh", "one"]).unwrap();
    assert_eq!(done, "one: asked for ipv4-unicast, ipv6-unicast again\n");
    until("routes told again", || {
        (updates(&daemon) > before).then_some(())
    });

    daemon
        .ctl(&["reset", "one", "--message", "new key"])
        .unwrap();
    let reason = client.wait_down().to_string();
    assert!(
        reason.contains("Administrative Reset") && reason.contains("new key"),
        "{reason}"
    );
    until("a new session", || {
        let peer = daemon.json(&["peer", "one"]);
        (peer["sessions"] == 2 && peer["state"] == "Established").then_some(())
    });

    daemon.ctl(&["disable", "one"]).unwrap();
    let reason = client.wait_down().to_string();
    assert!(reason.contains("Administrative Shutdown"), "{reason}");
    let peer = daemon.json(&["peer", "one"]);
    assert_eq!(
        (&peer["state"], &peer["disabled"]),
        (&json!("Idle"), &json!(true))
    );
    daemon.wait_prefixes(0);

    daemon.ctl(&["enable", "127.0.0.21"]).unwrap();
    daemon.wait_established(1);
}

#[test]
fn only_owner_and_group_may_use_the_socket() {
    let daemon = Daemon::start("", &[]);
    let mode = std::fs::metadata(daemon.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
}

/// Idle clients fill every place there is: the engine does not notice, and whoever waits is served
/// when one of them goes.
#[test]
fn idle_admin_clients_hold_nothing_up_but_each_other() {
    let daemon = Daemon::start("", &[]);
    let max = bgp_daemon::admin::socket::MAX_CONNECTIONS;
    let idle: Vec<UnixStream> = (0..max)
        .map(|_| UnixStream::connect(daemon.socket()).unwrap())
        .collect();
    let client = Client::start(11, daemon.port, &[FIRST]);
    until("the session", || {
        client
            .ask(|speaker, _| speaker.peer_counts().1 == 1)
            .then_some(())
    });
    drop(idle);
    daemon.wait_prefixes(1);
}
