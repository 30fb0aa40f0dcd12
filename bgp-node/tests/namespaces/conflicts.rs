//! Others claim what is ours: nodes a block, programs a place in the kernel.

use crate::cluster::{Ground, LIMIT, can_run, configuration};
use bgp_lab::{Result, wait};

const BLOCK: &str = "10.244.5.0/26";

#[test]
fn two_owners_and_every_observer_say_who_claims_a_block() -> Result<()> {
    if !can_run("bgp-node conflicts") {
        return Ok(());
    }
    let ground = Ground::new()?;
    let numbers = [11, 12, 13];
    let mut nodes = [ground.node(11)?, ground.node(12)?, ground.node(13)?];
    for node in &mut nodes {
        let peers: Vec<u16> = numbers.into_iter().filter(|n| *n != node.number).collect();
        let blocks: &[&str] = if node.number == 13 { &[] } else { &[BLOCK] };
        node.start_with(&configuration(node.number, &peers, blocks, ""))?;
    }
    for node in &nodes {
        wait::until("the conflict", LIMIT, || {
            let text = node.ctl(&["conflicts"])?.to_string();
            let is_told = ["10.244.5.0/26", "node-11", "node-12"]
                .iter()
                .all(|word| text.contains(word) && node.log().contains(word));
            if is_told { Ok(()) } else { Err(text) }
        })?;
    }
    let [one, two, observer] = &nodes;
    for owner in [one, two] {
        owner.wait_routes(&[&format!("blackhole {BLOCK} metric 32")])?;
    }
    observer.wait_routes(&[&format!("{BLOCK} via 10.99.0.11 dev lan metric 32")])?;
    one.ctl(&["block", "remove", BLOCK]).unwrap();
    for node in [one, observer] {
        node.wait_routes(&[&format!("{BLOCK} via 10.99.0.12 dev lan metric 32")])?;
    }
    for node in &nodes {
        wait::until("the conflict's end", LIMIT, || {
            let conflicts = node.ctl(&["conflicts"])?;
            let none = conflicts.as_array().is_some_and(Vec::is_empty);
            if none {
                Ok(())
            } else {
                Err(conflicts.to_string())
            }
        })?;
    }
    Ok(())
}

#[test]
fn a_foreign_route_in_our_place_is_kept_and_reported_and_ours_heals() -> Result<()> {
    if !can_run("bgp-node foreign") {
        return Ok(());
    }
    let ground = Ground::new()?;
    let _reflector = ground.reflector(1)?;
    let mut node = ground.node(11)?;
    let foreign = "route add 10.244.5.0/26 dev cali1 metric 32 proto static";
    node.namespace.ip(foreign)?;
    node.start_with(&configuration(11, &[1], &[BLOCK, "10.244.6.0/26"], ""))?;
    node.wait_routes(&["blackhole 10.244.6.0/26 metric 32"])?;
    wait::until("the report", LIMIT, || {
        let conflicts = node.ctl(&["conflicts"])?;
        let text = conflicts.to_string();
        if text.contains("10.244.5.0/26") {
            Ok(())
        } else {
            Err(text)
        }
    })?;
    node.namespace
        .ip("route del 10.244.5.0/26 dev cali1 metric 32 proto static")?;
    let both = [
        "blackhole 10.244.5.0/26 metric 32",
        "blackhole 10.244.6.0/26 metric 32",
    ];
    node.wait_routes(&both)?;
    // Ours are put back when somebody takes them away.
    node.namespace
        .ip("route del blackhole 10.244.6.0/26 metric 32")?;
    node.wait_routes(&both)
}
