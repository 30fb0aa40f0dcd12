//! The questions and orders of a node over the admin socket, answered by a conductor that is made
//! up: what goes in, what comes out, and what `bgpctl` makes of it.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must stop"
)]

use bgp_core::config::{Config, Router};
use bgp_core::speaker::Speaker;
use bgp_core::types::{Asn, RouterId};
use bgp_daemon::admin::directives::{Directive, Superior};
use bgp_daemon::admin::node::{Found, NodeControl, Request};
use bgp_daemon::admin::node_view::{
    Audit, BlockLine, Conflict, Difference, KernelRoute, NextHopLine, NodeSummary,
};
use bgp_daemon::admin::socket::AdminSocket;
use bgp_daemon::admin::view::Problem;
use bgp_daemon::admin::{Api, Facts, serve};
use bgp_fib::wanted::Place;
use bgp_io::Clock;
use serde_json::Value;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Routes that the conductor knows: more than `bgpctl` asks for at a time.
const ROUTES: u16 = 1_200;

fn place(number: u16) -> Place {
    let [high, low] = number.to_be_bytes();
    Place {
        table: 254,
        prefix: format!("10.{high}.{low}.0/26").parse().unwrap(),
    }
}

fn route(place: Place) -> KernelRoute {
    let refused = place == self::place(7);
    KernelRoute {
        prefix: place.prefix.to_string(),
        table: place.table,
        metric: 32,
        wanted: Some("blackhole".to_owned()),
        device: None,
        state: if refused { "refused" } else { "installed" }.to_owned(),
        since: Some(3),
        error: refused.then(|| "File exists (error 17)".to_owned()),
        tries: u32::from(refused),
    }
}

fn summary() -> NodeSummary {
    NodeSummary {
        name: "node-11".to_owned(),
        addresses: vec!["10.0.1.11/24".to_owned()],
        asn: 64_512,
        router_id: [10, 0, 1, 11].into(),
        blocks: vec!["10.244.17.64/26".to_owned()],
        peers: 2,
        established: 1,
        owing: 0,
        in_sync: false,
        forwarding: Vec::new(),
        settling: true,
        kernel: Default::default(),
        conflicts: 1,
    }
}

fn audit() -> Audit {
    Audit {
        equal: false,
        complete: true,
        checked: 9,
        differences: vec![Difference {
            prefix: "10.0.7.0/26".to_owned(),
            table: 254,
            what: "missing".to_owned(),
            wanted: Some("blackhole".to_owned()),
            error: None,
        }],
        more: 2,
    }
}

/// Answers as a conductor would.
async fn conduct(mut requests: mpsc::Receiver<Request>) {
    while let Some(request) = requests.recv().await {
        match request {
            Request::Summary(reply) => reply.send(summary()).unwrap(),
            Request::Blocks(reply) => {
                let block = BlockLine {
                    prefix: "10.244.17.64/26".to_owned(),
                    pool: "10.244.0.0/16".to_owned(),
                    announced: true,
                    blackholed: true,
                    rivals: vec!["node-12 (10.0.1.12)".to_owned()],
                };
                reply.send(vec![block]).unwrap();
            }
            Request::KernelRoutes(part, reply) => {
                let all = (0..ROUTES).map(place);
                let mut left = all.filter(|place| {
                    part.after.is_none_or(|after| *place > after)
                        && part.within.is_none_or(|net| net.contains(&place.prefix))
                });
                let items: Vec<Place> = left.by_ref().take(part.limit).collect();
                let next = left.next().and(items.last().copied());
                let items = items.into_iter().map(route).collect();
                assert!(reply.send(Found { items, next }).is_ok());
            }
            Request::Conflicts(_, reply) => {
                let conflict = Conflict {
                    prefix: "10.244.17.64/26".to_owned(),
                    kind: "block".to_owned(),
                    used: "ours".to_owned(),
                    others: vec!["node-12 (10.0.1.12)".to_owned()],
                    since: 61,
                };
                let items = vec![conflict];
                assert!(reply.send(Found { items, next: None }).is_ok());
            }
            Request::NextHops(_, reply) => {
                let items = vec![NextHopLine {
                    address: [10, 0, 1, 12].into(),
                    reachable: true,
                    way: "dev eth0".to_owned(),
                }];
                assert!(reply.send(Found { items, next: None }).is_ok());
            }
            Request::Audit(reply) => reply.send(audit()).unwrap(),
            Request::Flush(reply) => reply.send(5).unwrap(),
            Request::Change(_, reply) => reply.send(Ok(())).unwrap(),
        }
    }
}

/// Takes every block but one.
async fn supervise(mut orders: mpsc::Receiver<Directive>) {
    while let Some(order) = orders.recv().await {
        match order {
            Directive::AddBlock(block, reply) if block.prefix_len() == 26 => {
                reply.send(Ok(format!("block {block} is ours"))).unwrap();
            }
            Directive::AddBlock(block, reply) | Directive::RemoveBlock(block, reply) => {
                let problem = Problem {
                    error: format!("block {block} is not as it should be"),
                    advice: "mend it".to_owned(),
                };
                reply.send(Err(problem)).unwrap();
            }
            Directive::Reload(reply) => assert!(reply.send(Ok(Default::default())).is_ok()),
        }
    }
}

/// An admin socket in a folder of its own.
struct Node {
    _folder: TempDir,
    socket: PathBuf,
    _runtime: tokio::runtime::Runtime,
    _engine: bgp_io::Handle,
}

impl Node {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("node.sock");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let _guard = runtime.enter();
        let clock = Clock::start();
        let id = RouterId([10, 0, 1, 11].into());
        let config = Config::new(Router::new(Asn(64_512), id));
        let speaker = Speaker::new(config, clock.now(), 1).unwrap();
        let (engine, _) = bgp_io::spawn(speaker, clock, Vec::new()).unwrap();
        let (control, requests) = NodeControl::new();
        let (superior, orders) = Superior::new();
        let api = Api {
            engine: engine.asker(),
            stats: engine.watch_stats(),
            facts: Arc::new(Facts {
                program: "bgp-node",
                version: "0",
                configuration: None,
                listen: Vec::new(),
                started: std::time::Instant::now(),
            }),
            stop: mpsc::channel(1).0,
            superior,
            node: Some(control),
        };
        let (listener, file) = AdminSocket::bind("bgp-node", Some(&socket))
            .unwrap()
            .listen()
            .unwrap();
        tokio::spawn(conduct(requests));
        tokio::spawn(supervise(orders));
        tokio::spawn(async move {
            serve(listener, api, std::future::pending()).await;
            drop(file);
        });
        drop(_guard);
        Self {
            _folder: folder,
            socket,
            _runtime: runtime,
            _engine: engine,
        }
    }

    /// What `bgpctl` prints, and why it fails if it does.
    fn ctl(&self, words: &[&str]) -> (String, Option<String>) {
        let mut arguments: Vec<OsString> = vec!["bgpctl".into(), "--socket".into()];
        arguments.push(self.socket.clone().into());
        arguments.extend(words.iter().map(OsString::from));
        let mut printed = Vec::new();
        let outcome = bgp_daemon::ctl::answer(arguments, &mut printed);
        let error = outcome.err().map(|error| error.to_string());
        (String::from_utf8(printed).unwrap(), error)
    }

    fn text(&self, words: &[&str]) -> String {
        let (text, error) = self.ctl(words);
        assert_eq!(error, None);
        text
    }

    fn json(&self, words: &[&str]) -> Value {
        let words: Vec<&str> = ["--json"].iter().chain(words).copied().collect();
        serde_json::from_str(&self.ctl(&words).0).unwrap()
    }
}

#[test]
fn everything_is_asked_for_and_printed() {
    let node = Node::start();
    let cases = [
        (["node"].as_slice(), "not as wanted"),
        (&["block", "list"], "also announced by node-12 (10.0.1.12)"),
        (&["conflicts"], "1m01s"),
        (&["next-hops"], "dev eth0"),
        (
            &["block", "add", "10.244.18.0/26"],
            "block 10.244.18.0/26 is ours",
        ),
        (&["reload"], "says the same as before"),
        (&["fib", "flush"], "5 routes removed"),
        (&["fib", "10.0.7.0/24"], "File exists (error 17)"),
    ];
    for (words, expected) in cases {
        let text = node.text(words);
        assert!(text.contains(expected), "{words:?}: {text}");
        assert!(!node.json(words).is_null());
    }
}

#[test]
fn a_long_table_comes_in_parts_and_is_whole() {
    let node = Node::start();
    let routes = node.json(&["fib"]);
    let routes = routes.as_array().unwrap();
    assert_eq!(routes.len(), usize::from(ROUTES));
    for (number, route) in (0..ROUTES).zip(routes) {
        assert_eq!(route["prefix"], place(number).prefix.to_string());
    }
    let troubled = node.json(&["fib", "--troubled"]);
    assert_eq!(troubled.as_array().unwrap().len(), 1);
    assert_eq!(troubled[0]["state"], "refused");
    assert_eq!(node.text(&["fib", "--troubled"]).lines().count(), 2);
}

#[test]
fn an_audit_that_finds_something_fails() {
    let node = Node::start();
    let (text, error) = node.ctl(&["fib", "audit"]);
    assert_eq!(text, "10.0.7.0/26 missing, wanted blackhole\nand 2 more\n");
    assert_eq!(
        error.unwrap(),
        "the kernel is not as wanted: 3 routes differ"
    );
}

#[test]
fn what_is_refused_says_why() {
    let node = Node::start();
    let cases = [
        (
            ["block", "add", "10.244.0.0/16"].as_slice(),
            "not as it should be; mend it",
        ),
        (&["block", "add", "10.244.0.1/26"], "has host bits"),
        (&["block", "remove", "nonsense"], "nonsense"),
        (&["fib", "nonsense"], "nonsense"),
    ];
    for (words, expected) in cases {
        let (_, error) = node.ctl(words);
        let error = error.unwrap();
        assert!(error.contains(expected), "{words:?}: {error}");
    }
}
