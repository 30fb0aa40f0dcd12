//! Whatever happens in whatever order: what was ordered is what should be, and equal inputs give
//! equal orders.

use crate::world::{World, change, external, from, net, origin, own, owning, reflected};
use bgp_blocks::{LEAVE, LINGER};
use bgp_core::prefix::IpNet;
use bgp_fib::wanted::Wanted;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const BLOCKS: [&str; 3] = ["10.3.0.0/26", "10.3.0.64/26", "fd13::40/122"];
const ADDRESSES: [&str; 4] = ["10.3.0.1/32", "10.3.0.70/32", "10.3.9.1/32", "fd13::41/128"];
const HOSTS: [&str; 3] = ["10.0.1.12", "10.0.2.13", "10.0.1.11"];

#[derive(Clone, Debug)]
enum Step {
    Add(usize),
    Remove(usize),
    Workload(usize, bool),
    /// A prefix, who announces it, and whether there is a rival.
    Best(usize, Said, bool),
    Headless,
    Heard,
    Pass(u64),
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Nobody,
    Own,
    Node(usize),
    Reflector(usize),
    Outside(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let said = prop_oneof![
        Just(Said::Nobody),
        Just(Said::Own),
        (0..HOSTS.len()).prop_map(Said::Node),
        (0..HOSTS.len()).prop_map(Said::Reflector),
        (0..HOSTS.len()).prop_map(Said::Outside),
    ];
    prop_oneof![
        (0..BLOCKS.len()).prop_map(Step::Add),
        (0..BLOCKS.len()).prop_map(Step::Remove),
        (0..ADDRESSES.len(), any::<bool>()).prop_map(|(at, there)| Step::Workload(at, there)),
        (0..BLOCKS.len() + ADDRESSES.len(), said, any::<bool>())
            .prop_map(|(at, said, rival)| Step::Best(at, said, rival)),
        Just(Step::Headless),
        Just(Step::Heard),
        (1_u64..5_000).prop_map(Step::Pass),
    ]
}

/// What the steps add up to, kept in the plainest way.
#[derive(Default)]
struct Model {
    blocks: BTreeSet<IpNet>,
    workloads: BTreeSet<IpNet>,
    said: BTreeMap<IpNet, Said>,
}

fn prefix(at: usize) -> &'static str {
    BLOCKS.iter().chain(&ADDRESSES).nth(at).unwrap()
}

fn apply(world: &mut World, model: &mut Model, step: &Step) {
    match step {
        Step::Add(at) => {
            let block = net(BLOCKS[*at]);
            let added = world.node.add_block(world.now, block);
            assert_eq!(added.is_ok(), model.blocks.insert(block));
        }
        Step::Remove(at) => {
            let block = net(BLOCKS[*at]);
            let removed = world.node.remove_block(world.now, block);
            assert_eq!(removed.is_ok(), model.blocks.remove(&block));
        }
        Step::Workload(at, there) => {
            let address = net(ADDRESSES[*at]);
            if *there {
                model.workloads.insert(address);
            } else {
                model.workloads.remove(&address);
            }
            world.workload(ADDRESSES[*at], "cali1", *there);
        }
        Step::Best(at, said, rival) => {
            let prefix = prefix(*at);
            model.said.insert(net(prefix), *said);
            let best = match said {
                Said::Nobody => None,
                Said::Own => Some(own()),
                Said::Node(host) => Some(from(HOSTS[*host])),
                Said::Reflector(host) => Some(reflected(HOSTS[*host])),
                Said::Outside(host) => Some(external(HOSTS[*host])),
            };
            let rivals = [origin("10.0.7.7", "10.0.7.7")];
            let rivals: &[_] = if *rival { &rivals } else { &[] };
            world.tell(&change(prefix, best, rivals));
        }
        Step::Headless => world.node.handle_headless(world.now),
        Step::Heard => world.node.handle_heard(world.now),
        Step::Pass(millis) => world.pass(Duration::from_millis(*millis)),
    }
    world.run();
}

/// What must have been ordered when everything that waits has had its time.
fn expected(model: &Model) -> (BTreeSet<IpNet>, BTreeMap<IpNet, String>) {
    let mut announced = model.blocks.clone();
    let inside = |address: &IpNet| model.blocks.iter().any(|block| block.contains(address));
    announced.extend(model.workloads.iter().filter(|address| !inside(address)));
    let mut kernel = BTreeMap::new();
    for (prefix, said) in &model.said {
        let (Said::Node(host) | Said::Reflector(host) | Said::Outside(host)) = said else {
            continue;
        };
        let v6 = matches!(prefix, IpNet::V6(_));
        if *host != 2 && !v6 && !model.workloads.contains(prefix) {
            let device = "dev vxlan.calico onlink";
            kernel.insert(*prefix, format!("via {} {device}", HOSTS[*host]));
        }
    }
    kernel.extend(
        model
            .blocks
            .iter()
            .map(|block| (*block, "blackhole".to_owned())),
    );
    (announced, kernel)
}

fn run(steps: &[Step]) -> World {
    let mut world = World::new(owning(&[]));
    let mut model = Model::default();
    for step in steps {
        apply(&mut world, &mut model, step);
    }
    // Nobody else claims a block of ours, all have told all, and time passes.
    for block in model.blocks.clone() {
        apply(&mut world, &mut model, &settled(&block));
    }
    apply(&mut world, &mut model, &Step::Heard);
    world.pass(LINGER.max(LEAVE) + Duration::from_millis(1));
    let (announced, kernel) = expected(&model);
    assert_eq!(world.announced, announced);
    let there: BTreeMap<IpNet, String> = world
        .kernel
        .iter()
        .map(|(prefix, wanted)| (*prefix, crate::world::words(wanted)))
        .collect();
    assert_eq!(there, kernel);
    let tunnels: BTreeSet<&str> = kernel
        .values()
        .filter_map(|r| r.split(' ').nth(1))
        .collect();
    let ends: BTreeSet<String> = world
        .ends
        .keys()
        .map(|(_, host)| host.to_string())
        .collect();
    assert_eq!(
        ends.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        tunnels
    );
    assert_eq!(world.node.poll_timeout(), None, "something still waits");
    world
}

fn settled(block: &IpNet) -> Step {
    let at = BLOCKS.iter().position(|name| net(name) == *block).unwrap();
    Step::Best(at, Said::Own, false)
}

proptest! {
    #[test]
    fn what_was_ordered_is_what_should_be(steps in prop::collection::vec(step(), 1..60)) {
        let once = run(&steps);
        let again = run(&steps);
        prop_assert_eq!(once.log, again.log);
        prop_assert_eq!(once.notices, again.notices);
    }

    #[test]
    fn a_block_of_ours_is_never_without_its_blackhole(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut world = World::new(owning(&[]));
        let mut model = Model::default();
        for step in &steps {
            apply(&mut world, &mut model, step);
            for block in &model.blocks {
                prop_assert_eq!(world.kernel.get(block), Some(&Wanted::Blackhole));
                prop_assert!(world.announced.contains(block));
            }
        }
    }
}
