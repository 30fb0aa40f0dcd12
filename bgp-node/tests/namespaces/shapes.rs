//! What stands in a kernel for each encapsulation, near and far.

use crate::cluster::{Ground, can_run, configuration};
use bgp_lab::Result;

/// In the same subnet as node 11.
const NEAR: u16 = 12;
/// In another: 10.99.1.13.
const FAR: u16 = 256 + 13;

#[test]
fn routes_have_the_shape_of_their_pool_and_subnet() -> Result<()> {
    if !can_run("bgp-node shapes") {
        return Ok(());
    }
    let ground = Ground::new()?;
    let _reflector = ground.reflector(1)?;
    let mut nodes = [ground.node(11)?, ground.node(NEAR)?, ground.node(FAR)?];
    for (index, node) in (1..).zip(&mut nodes) {
        let blocks = [244, 245, 246].map(|pool| format!("10.{pool}.{index}.0/26"));
        let blocks = blocks.each_ref().map(String::as_str);
        // A workload inside our block, one whose address is borrowed, and one outside all pools.
        node.namespace.ip(&format!(
            "route add 10.244.{index}.5/32 dev cali1 scope link\n\
             route add 10.244.9.{index}/32 dev cali1 scope link\n\
             route add 192.0.2.{index}/32 dev cali1 scope link"
        ))?;
        node.start_with(&configuration(node.number, &[1], &blocks, ""))?;
    }
    let [node, near, far] = &nodes;
    node.wait_routes(&[
        "blackhole 10.244.1.0/26 metric 32",
        "blackhole 10.245.1.0/26 metric 32",
        "blackhole 10.246.1.0/26 metric 32",
        "10.244.2.0/26 via 10.99.0.12 dev lan metric 32",
        "10.244.3.0/26 via 10.99.1.13 dev lan metric 32",
        "10.244.9.2 via 10.99.0.12 dev lan metric 32",
        "10.244.9.3 via 10.99.1.13 dev lan metric 32",
        "10.245.2.0/26 via 10.99.0.12 dev lan metric 32",
        "10.245.3.0/26 via 10.99.1.13 dev tunl0 metric 32 onlink",
        "10.246.2.0/26 via 10.99.0.12 dev vxlan.calico metric 32 onlink",
        "10.246.3.0/26 via 10.99.1.13 dev vxlan.calico metric 32 onlink",
    ])?;
    for node in [near, far] {
        node.wait_in_sync(1)?;
        assert_eq!(node.routes().len(), 11, "{:#?}", node.routes());
        assert_eq!(node.ctl(&["fib", "audit"]).unwrap()["equal"], true);
    }
    // A workload goes: its address is gone everywhere.
    near.namespace.ip("route del 10.244.9.2/32 dev cali1")?;
    bgp_lab::wait::until("the borrowed address to go", crate::cluster::LIMIT, || {
        let routes = node.routes();
        let there = routes.iter().any(|route| route.starts_with("10.244.9.2 "));
        if there { Err("it is there") } else { Ok(()) }
    })
}
