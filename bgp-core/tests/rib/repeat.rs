//! A peer repeats its table between two markers (RFC 7313): what it leaves out goes.

use crate::support::*;
use bgp_core::prefix::IpNet;
use bgp_core::rng::Rng;
use bgp_core::types::PeerRole;
use bgp_core::wire::PathAttributes;
use std::collections::BTreeSet;

fn med(med: u32) -> PathAttributes {
    PathAttributes {
        med: Some(med),
        ..PathAttributes::default()
    }
}

fn nets(range: std::ops::Range<u32>) -> Vec<IpNet> {
    range.map(|n| nth_net(V4, n)).collect()
}

fn lab() -> Lab {
    let mut lab = Lab::new();
    for n in [1, 2] {
        lab.up(facts(n, PeerRole::Client));
    }
    lab
}

#[test]
fn what_is_not_repeated_goes() {
    let mut lab = lab();
    lab.say(1, &med(1), &nets(0..100));
    lab.say(1, &med(1), &[nth_net(V6, 1)]);
    lab.converge();
    let slot = lab.clients[&1].slot;
    lab.rib.begin_repeat(slot, V4);
    // In the same words, in others, withdrawn and said again, new.
    assert_eq!(lab.say(1, &med(1), &nets(0..30)).unchanged, 30);
    lab.say(1, &med(2), &nets(30..40));
    lab.unsay(1, &nets(40..50));
    lab.say(1, &med(1), &nets(40..50));
    lab.say(1, &med(1), &nets(100..110));
    lab.converge();
    assert_eq!(
        lab.client(2).routes.len(),
        111,
        "nothing goes before the end"
    );
    lab.rib.end_repeat(slot, V4);
    // In slices, and what is said before its turn comes stays.
    assert!(lab.rib.work(10));
    lab.rib.check().unwrap();
    lab.say(1, &med(1), &nets(50..51));
    lab.converge();
    let mut left: Vec<IpNet> = nets(0..51);
    left.extend(nets(100..110));
    left.push(nth_net(V6, 1));
    let announced: BTreeSet<IpNet> = lab.client(2).announced().into_iter().collect();
    assert_eq!(announced, left.into_iter().collect());
}

#[test]
fn a_repetition_that_begins_anew_counts_from_there() {
    let mut lab = lab();
    lab.say(1, &med(1), &nets(0..10));
    let slot = lab.clients[&1].slot;
    lab.rib.end_repeat(slot, V4);
    lab.converge();
    assert_eq!(lab.client(2).routes.len(), 10, "an end without a beginning");
    lab.rib.begin_repeat(slot, V4);
    lab.say(1, &med(1), &nets(0..10));
    lab.rib.begin_repeat(slot, V4);
    lab.say(1, &med(1), &nets(0..3));
    lab.rib.end_repeat(slot, V4);
    lab.rib.end_repeat(slot, V4);
    lab.converge();
    assert_eq!(lab.client(2).announced(), nets(0..3));
    // A session that ends takes its beginning along.
    lab.rib.begin_repeat(slot, V4);
    lab.restart(1);
    lab.rib.end_repeat(slot, V4);
    lab.converge();
    assert_eq!(lab.client(2).announced(), nets(0..3));
}

#[test]
fn what_was_repeated_stays_whatever_happens_beside() {
    for seed in 0..40 {
        let mut lab = lab();
        let mut rng = Rng::new(seed);
        lab.say(1, &med(0), &nets(0..40));
        lab.say(2, &med(9), &nets(20..60));
        let slot = lab.clients[&1].slot;
        lab.rib.begin_repeat(slot, V4);
        let mut said = BTreeSet::new();
        for step in 0..200 {
            if step == 150 {
                lab.rib.end_repeat(slot, V4);
            }
            let net = nth_net(V4, rng.below(60) as u32);
            match rng.below(4) {
                0 | 1 => {
                    lab.say(1, &med(rng.below(2) as u32), &[net]);
                    said.insert(net);
                }
                2 => {
                    lab.unsay(1, &[net]);
                    said.remove(&net);
                }
                _ => drop(lab.rib.work(3)),
            }
            lab.rib.check().unwrap();
        }
        lab.converge();
        let left = adj_rib_in(&lab.rib, slot, V4);
        let left: BTreeSet<IpNet> = left.into_iter().map(|path| path.prefix).collect();
        assert_eq!(left, said, "seed {seed}");
    }
}
