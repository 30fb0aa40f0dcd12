//! What a new configuration changes in a running one.

use bgp_core::prefix::IpNet;
use bgp_core::types::RouterId;
use bgp_daemon::config::{DaemonConfig, Kind, Loaded, Plan};
use bgp_daemon::host::Host;
use std::net::Ipv4Addr;

const NODE: &str = r#"
[node]
name = "node-11"
as = 64512
address = "10.0.1.11/24"

[[pool]]
prefix = "10.244.0.0/16"
"#;

fn load(text: &str) -> Loaded {
    let host = Host {
        router_id: RouterId(Ipv4Addr::new(192, 0, 2, 7)),
        router_id_source: String::new(),
        name: "here".to_owned(),
    };
    let kind = if text.contains("[node]") {
        Kind::Node
    } else {
        Kind::Reflector
    };
    DaemonConfig::parse(text, "new.toml", kind, &host).unwrap_or_else(|report| panic!("{report}"))
}

/// The plan, or the lines that say why there is none.
fn plan(old: &str, new: &str) -> Result<Plan, Vec<String>> {
    let old = load(old).config;
    let plan = load(new).plan_from(&old);
    plan.map_err(|report| report.lines().collect())
}

fn names(plan: &Plan) -> [Vec<String>; 5] {
    let change = &plan.change;
    let blocks =
        |blocks: &[IpNet]| -> Vec<String> { blocks.iter().map(ToString::to_string).collect() };
    [
        blocks(&change.add_blocks),
        blocks(&change.remove_blocks),
        change.add_peers.iter().map(|p| p.name.clone()).collect(),
        change.remove_peers.clone(),
        change.update_peers.iter().map(|p| p.name.clone()).collect(),
    ]
}

#[test]
fn the_same_in_other_words_is_no_change() {
    let new = format!("# another comment\n{NODE}block-size = 26\n[fib]\nmetric = 32\n");
    let plan = plan(NODE, &new).unwrap();
    assert!(plan.change.is_empty() && plan.steps.is_empty(), "{plan:?}");
}

#[test]
fn blocks_and_peers_come_and_go() {
    let old = format!(
        "{NODE}[[block]]\nprefix = \"10.244.0.0/26\"\n[[block]]\nprefix = \"10.244.0.64/26\"\n\
         [mesh.nodes]\nnode-12 = \"10.0.1.12\"\nnode-13 = \"10.0.1.13\"\n"
    );
    let new = format!(
        "{NODE}[[block]]\nprefix = \"10.244.0.64/26\"\n[[block]]\nprefix = \"10.244.1.0/26\"\n\
         [[peer]]\nname = \"rr-a\"\naddress = \"10.0.0.1\"\n\
         [mesh.nodes]\nnode-12 = \"10.0.1.12\"\n[mesh]\nhold-time = 9\n"
    );
    let plan = plan(&old, &new).unwrap();
    let expected: [Vec<String>; 5] = [
        vec!["10.244.1.0/26".into()],
        vec!["10.244.0.0/26".into()],
        vec!["rr-a".into()],
        vec!["node-13".into()],
        vec!["node-12".into()],
    ];
    assert_eq!(names(&plan), expected);
    let said: Vec<String> = plan
        .steps
        .iter()
        .map(|step| format!("{}: {}", step.what, step.cost))
        .collect();
    assert_eq!(said.len(), 5, "{said:?}");
    assert!(said.contains(&"peer \"rr-a\" is new: nothing".to_owned()));
    let reset = "peer \"node-12\" has other settings: its session ends and comes back";
    assert!(said.iter().any(|line| line == reset), "{said:?}");
}

/// A change of a policy is one of the peers that name it, whatever its name is.
#[test]
fn a_policy_that_says_something_else_changes_its_peers() {
    let text = |prefix: &str| {
        format!(
            "[router]\nas = 64512\nrouter-id = \"192.0.2.1\"\n[[policy]]\nname = \"p\"\n\
             [[policy.rule]]\nprefixes = [\"{prefix}\"]\naction = \"accept\"\n\
             [[peer]]\nname = \"tor\"\naddress = \"10.0.0.254\"\nremote-as = 65001\n\
             import = \"p\"\nexport = \"reject-all\"\n"
        )
    };
    let plan = plan(&text("10.0.0.0/8"), &text("10.0.0.0/9")).unwrap();
    assert_eq!(names(&plan)[4], ["tor"]);
    assert_eq!(plan.steps.len(), 2, "{:?}", plan.steps);
    assert!(
        plan.steps
            .iter()
            .any(|step| step.cost.contains("the session stays"))
    );
}

#[test]
fn everything_else_needs_a_restart_and_says_where() {
    let cases = [
        (
            NODE.replace("64512", "64513"),
            "new.toml:4:6: node as: needs a restart: 64512 before, 64513 now",
        ),
        (
            NODE.replace("/16", "/15"),
            "new.toml:7:1: pool 10.244.0.0/15: needs a restart: it is new",
        ),
        (
            format!("{NODE}encapsulation = \"ipip\"\n"),
            "new.toml:9:17: pool 10.244.0.0/16 encapsulation",
        ),
        (
            format!("{NODE}[[pool]]\nprefix = \"10.245.0.0/16\"\n"),
            "new.toml:9:1: pool 10.245.0.0/16: needs a restart: it is new",
        ),
        (
            format!("{NODE}[fib]\nmetric = 7\n"),
            "new.toml:10:10: fib metric: needs a restart: 32 before, 7 now",
        ),
        (
            format!("{NODE}[fib]\ncalico = true\n"),
            "fib protocol: needs a restart: 201 before, 12 now",
        ),
    ];
    for (new, expected) in cases {
        // Together with something that could be changed.
        let new = format!("{new}[[peer]]\naddress = \"10.0.0.1\"\n");
        let lines = plan(NODE, &new).unwrap_err();
        assert!(
            lines.iter().any(|line| line.contains(expected)),
            "{expected}: {lines:#?}"
        );
    }
}

/// Two names for one address cannot be there at the same time.
#[test]
fn a_peer_that_is_renamed_needs_a_restart() {
    let text = |name: &str| format!("{NODE}[[peer]]\nname = \"{name}\"\naddress = \"10.0.0.1\"\n");
    let lines = plan(&text("a"), &text("b")).unwrap_err();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("new.toml:10:8: peer \"b\" name: needs a restart"),
        "{lines:?}"
    );
}

#[test]
fn what_groups_of_dynamic_neighbours_have_stays() {
    let text = |rule: &str, more: &str| {
        format!(
            "[router]\nas = 64512\nrouter-id = \"192.0.2.1\"\n[[policy]]\nname = \"p\"\n\
             [[policy.rule]]\nprefixes = [\"{rule}\"]\naction = \"accept\"\n\
             [[group]]\nname = \"nodes\"\naccept = [\"10.0.0.0/16\"]\nrole = \"client\"\n\
             import = \"p\"\n{more}"
        )
    };
    let old = text("10.0.0.0/8", "");
    let lines = plan(&old, &text("10.0.0.0/8", "hold-time = 9\n")).unwrap_err();
    assert!(
        lines[0].contains("group \"nodes\" hold-time: needs a restart"),
        "{lines:?}"
    );
    let lines = plan(&old, &text("10.0.0.0/9", "")).unwrap_err();
    assert!(
        lines[0].contains("policy \"p\" says something else"),
        "{lines:?}"
    );
}
