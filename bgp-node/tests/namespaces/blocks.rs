//! Blocks that come and go while the nodes run.

use crate::cluster::{Ground, can_run, configuration};
use bgp_lab::Result;

const BLOCK: &str = "10.244.5.0/26";

#[test]
fn a_block_moves_and_no_kernel_is_without_a_route_to_it() -> Result<()> {
    if !can_run("bgp-node blocks") {
        return Ok(());
    }
    let ground = Ground::new()?;
    let _reflector = ground.reflector(1)?;
    let mut nodes = [ground.node(11)?, ground.node(12)?, ground.node(13)?];
    for node in &mut nodes {
        let blocks: &[&str] = if node.number == 11 { &[BLOCK] } else { &[] };
        node.start_with(&configuration(node.number, &[1], blocks, ""))?;
    }
    let [old, new, third] = &mut nodes;
    let via = |number: u16| format!("{BLOCK} via 10.99.0.{number} dev lan metric 32");
    let blackhole = format!("blackhole {BLOCK} metric 32");
    for node in [&*new, &*third] {
        node.wait_routes(&[&via(11)])?;
    }
    let monitors = [old.monitor()?, new.monitor()?, third.monitor()?];
    new.ctl(&["block", "add", BLOCK]).unwrap();
    new.wait_routes(&[&blackhole])?;
    old.ctl(&["block", "remove", BLOCK]).unwrap();
    old.wait_routes(&[&via(12)])?;
    third.wait_routes(&[&via(12)])?;
    let [at_old, at_new, at_third] = monitors.map(|monitor| monitor.deleted("10.244.5.0"));
    assert_eq!(
        [at_old, at_new, at_third],
        [const { Vec::<String>::new() }; 3]
    );
    // Both orders outlive the processes.
    for node in [&mut *old, &mut *new] {
        node.terminate()?;
        node.start()?;
    }
    new.wait_routes(&[&blackhole])?;
    old.wait_routes(&[&via(12)])?;
    // What cannot be a block is refused, and said why.
    let refused = new.ctl(&["block", "add", "10.9.0.0/26"]).unwrap_err();
    assert!(refused.contains("lies in no pool"), "{refused}");
    Ok(())
}
