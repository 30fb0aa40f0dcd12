//! Processes end in every way; routes stay.

use crate::cluster::{Ground, LIMIT, Node, can_run, configuration};
use bgp_lab::reflector::Reflector;
use bgp_lab::{Result, wait};
use std::time::{Duration, Instant};

fn block(number: u16) -> String {
    format!("10.244.{number}.0/26")
}

/// Nodes 11 and 12, each with a block, with these peers.
fn two_nodes(ground: &Ground, peers: &[u16]) -> Result<[Node; 2]> {
    let mut nodes = [ground.node(11)?, ground.node(12)?];
    for node in &mut nodes {
        let block = block(node.number);
        node.start_with(&configuration(node.number, peers, &[&block], ""))?;
    }
    let [one, two] = &nodes;
    one.wait_routes(&[&blackhole(11), &via(12)])?;
    two.wait_routes(&[&blackhole(12), &via(11)])?;
    for node in [one, two] {
        node.wait_in_sync(peers.len() as u64)?;
    }
    Ok(nodes)
}

fn blackhole(number: u16) -> String {
    format!("blackhole {} metric 32", block(number))
}

fn via(number: u16) -> String {
    format!("{} via 10.99.0.{number} dev lan metric 32", block(number))
}

#[test]
fn a_node_that_is_killed_or_stopped_and_started_again_loses_no_route_anywhere() -> Result<()> {
    if !can_run("bgp-node restart") {
        return Ok(());
    }
    let ground = Ground::new()?;
    let _reflector = ground.reflector(1)?;
    let [mut one, two] = two_nodes(&ground, &[1])?;
    for is_killed in [true, false] {
        let monitors = [one.monitor()?, two.monitor()?];
        if is_killed {
            one.kill();
        } else {
            one.terminate()?;
        }
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(one.routes(), [via(12), blackhole(11)]);
        one.start()?;
        one.wait_in_sync(1)?;
        one.wait_routes(&[&blackhole(11), &via(12)])?;
        two.wait_routes(&[&blackhole(12), &via(11)])?;
        for monitor in monitors {
            assert_eq!(monitor.deleted("10.244."), [""; 0], "killed: {is_killed}");
        }
    }
    Ok(())
}

#[test]
fn what_went_while_a_node_was_down_is_swept_even_with_a_dead_reflector() -> Result<()> {
    if !can_run("bgp-node sweep") {
        return Ok(());
    }
    let ground = Ground::new()?;
    let _first = ground.reflector(1)?;
    let mut second = ground.reflector(2)?;
    let [mut one, two] = two_nodes(&ground, &[1, 2])?;
    for (is_alone, limit) in [(false, 2), (true, 5)] {
        if is_alone {
            two.ctl(&["block", "add", &block(12)]).unwrap();
            one.wait_routes(&[&blackhole(11), &via(12)])?;
            second.kill();
        }
        one.kill();
        two.ctl(&["block", "remove", &block(12)]).unwrap();
        two.wait_routes(&[&via(11)])?;
        assert_eq!(one.routes(), [via(12), blackhole(11)]);
        let begun = Instant::now();
        one.start()?;
        one.wait_routes(&[&blackhole(11)])?;
        let took = begun.elapsed();
        // The bound counts from End-of-RIB; the start itself takes less than a second.
        assert!(took < Duration::from_secs(limit + 1), "it took {took:?}");
    }
    Ok(())
}

#[test]
fn when_all_reflectors_are_gone_the_routes_stay() -> Result<()> {
    if !can_run("bgp-node headless") {
        return Ok(());
    }
    let ground = Ground::new()?;
    let mut reflectors = [ground.reflector(1)?, ground.reflector(2)?];
    let [one, two] = two_nodes(&ground, &[1, 2])?;
    let monitors = [one.monitor()?, two.monitor()?];
    for reflector in &mut reflectors {
        reflector.kill();
    }
    for node in [&one, &two] {
        wait::until("the loss to be noticed", LIMIT, || {
            let node = node.ctl(&["node"])?;
            if node["established"] == 0 {
                Ok(())
            } else {
                Err(node.to_string())
            }
        })?;
    }
    two.ctl(&["block", "remove", &block(12)]).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(one.routes(), [via(12), blackhole(11)]);
    for reflector in &mut reflectors {
        reflector.start()?;
    }
    // Whoever is back tells what is so now.
    one.wait_routes(&[&blackhole(11)])?;
    two.wait_routes(&[&via(11)])?;
    let [first, second] = monitors;
    assert_eq!(first.deleted("10.244.11.0"), [""; 0]);
    assert_eq!(second.deleted("10.244.11.0"), [""; 0]);
    Ok(())
}
