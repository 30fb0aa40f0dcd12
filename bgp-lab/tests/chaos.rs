//! The shorter ones of the scripted failures. All of them, with their bounds of time as they are,
//! are run by `cargo xtask lab --chaos`.

use bgp_core::family::Family;
use bgp_lab::cluster::plan::Encapsulation;
use bgp_lab::cluster::speaker::Make;
use bgp_lab::cluster::{Cluster, START_LIMIT, Settings, chaos, folder};
use bgp_lab::{Result, capability, check, reflector};

/// Other tests run beside this one.
const PATIENCE: u32 = 10;

fn settings() -> Settings {
    Settings {
        nodes: chaos::MIN_NODES,
        encapsulation: Encapsulation::CrossSubnet,
        speakers: vec![Make::Ours],
        reflectors: Some(reflector::Make::BgpRr),
        mesh: false,
        // It would find the way for packets that a node has lost.
        router: None,
        families: vec![Family::Ipv4Unicast],
    }
}

#[test]
fn short_failures_cost_what_they_may() -> Result<()> {
    let settings = settings();
    if !capability::need("chaos::short_failures", &settings.needs()) {
        return Ok(());
    }
    let mut cluster = Cluster::start(settings, folder()?, &mut |_| {})?;
    cluster.wait_established(START_LIMIT)?;
    cluster.wait_routes(START_LIMIT)?;
    let names = [
        "speaker-killed",
        "routes-deleted",
        "foreign-takes-key",
        "block-moves",
        "two-claim-one-block",
        "broken-reload",
        "unused-address",
    ];
    let names = names.map(str::to_owned);
    let mut steps = Vec::new();
    let (table, kept) = chaos::run(&mut cluster, &names, PATIENCE, &mut |step| {
        steps.push(step.to_owned());
    })?;
    check(kept, || format!("{}\n{table}", steps.join("\n")))
}
