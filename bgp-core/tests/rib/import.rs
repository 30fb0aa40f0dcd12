//! Which received routes may be used.

use crate::support::*;
use bgp_core::policy::{Action, Policy, PrefixRange, Rule};
use bgp_core::rib::{Ineligible, PathState, PathView, Reachability, Reason};
use bgp_core::types::{Asn, PeerRole};
use bgp_core::wire::{NextHop, PathAttributes};
use std::sync::Arc;

const P: &str = "10.1.0.0/24";

fn explain(lab: &Lab) -> Vec<PathView> {
    lab.rib.explain(&net(P)).paths
}

/// What becomes of one route from a peer of this role.
fn state(role: PeerRole, attributes: &PathAttributes, next_hop: NextHop) -> PathState {
    let mut lab = Lab::new();
    lab.up(facts(1, role));
    lab.update(1, &announce(attributes, next_hop, &[net(P)]));
    lab.rib.check().unwrap();
    explain(&lab)[0].state
}

#[test]
fn routes_that_may_not_be_used_say_why() {
    let plain = PathAttributes::default();
    let hop = next_hop(V4, 1);
    let looped = PathAttributes {
        as_path: path(&[65_001, OUR_AS.0, 65_002]),
        ..plain.clone()
    };
    let ours = PathAttributes {
        originator_id: Some(OUR_ID),
        ..plain.clone()
    };
    let cluster = PathAttributes {
        cluster_list: vec![bgp_core::types::ClusterId([1, 1, 1, 1].into()), OUR_CLUSTER],
        ..plain.clone()
    };
    for role in [PeerRole::Client, PeerRole::NonClient, PeerRole::External] {
        let because = |why| PathState::Ineligible(why);
        assert_eq!(state(role, &plain, hop), PathState::Best);
        assert_eq!(state(role, &looped, hop), because(Ineligible::AsPathLoop));
        assert_eq!(state(role, &ours, hop), because(Ineligible::OriginatorIsUs));
        assert_eq!(state(role, &cluster, hop), because(Ineligible::ClusterLoop));
        let own = NextHop::V4(OUR_ADDRESS);
        assert_eq!(state(role, &plain, own), because(Ineligible::NextHopIsUs));
        let nowhere = NextHop::V4(std::net::Ipv4Addr::new(127, 0, 0, 9));
        assert_eq!(
            state(role, &plain, nowhere),
            because(Ineligible::LoopbackNextHop)
        );
    }
}

#[test]
fn nothing_comes_in_from_external_peers_without_a_policy() {
    let mut lab = Lab::new();
    lab.up(with_settings(facts(1, PeerRole::External), |settings| {
        settings.import = None;
    }));
    let summary = lab.say(1, &PathAttributes::default(), &[net(P)]);
    assert_eq!((summary.accepted, summary.ineligible), (0, 1));
    assert_eq!(
        explain(&lab)[0].state,
        PathState::Ineligible(Ineligible::NoImportPolicy)
    );
}

#[test]
fn an_import_policy_decides_by_prefix() {
    let policy = Policy {
        name: "some".into(),
        rules: vec![Rule {
            prefixes: vec![PrefixRange::exact(net(P))],
            action: Action::Reject,
        }],
        default: Action::Accept,
    };
    let mut lab = Lab::new();
    lab.up(with_settings(facts(1, PeerRole::Client), |settings| {
        settings.import = Some(Arc::new(policy));
    }));
    let summary = lab.say(1, &PathAttributes::default(), &[net(P), net("10.2.0.0/24")]);
    assert_eq!((summary.accepted, summary.ineligible), (1, 1));
    assert_eq!(
        explain(&lab)[0].state,
        PathState::Ineligible(Ineligible::ImportPolicy)
    );
}

#[test]
fn a_replacement_that_loops_replaces() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    lab.up(facts(2, PeerRole::Client));
    lab.say(1, &PathAttributes::default(), &[net(P)]);
    lab.converge();
    assert_eq!(lab.client(2).announced(), [net(P)]);

    let looped = PathAttributes {
        as_path: path(&[OUR_AS.0]),
        ..PathAttributes::default()
    };
    let summary = lab.say(1, &looped, &[net(P)]);
    assert_eq!((summary.accepted, summary.ineligible), (0, 1));
    lab.converge();
    assert_eq!(explain(&lab).len(), 1, "the old route is gone");
    assert!(lab.client(2).routes.is_empty(), "and was withdrawn");

    lab.say(1, &PathAttributes::default(), &[net(P)]);
    lab.converge();
    assert_eq!(lab.client(2).announced(), [net(P)]);
}

#[test]
fn saying_it_again_changes_nothing() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    lab.up(facts(2, PeerRole::Client));
    lab.say(1, &PathAttributes::default(), &[net(P)]);
    lab.converge();
    let heard = lab.client(2).heard.len();
    let summary = lab.say(1, &PathAttributes::default(), &[net(P)]);
    assert_eq!((summary.accepted, summary.unchanged), (0, 1));
    assert!(!lab.rib.unsettled());
    lab.converge();
    assert_eq!(lab.client(2).heard.len(), heard);
}

#[test]
fn a_prefix_in_both_halves_of_an_update_is_announced() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    lab.up(facts(2, PeerRole::Client));
    let mut update = announce(&PathAttributes::default(), next_hop(V4, 1), &[net(P)]);
    update.unreach = withdraw(&[net(P)]).unreach;
    for _ in 0..2 {
        lab.update(1, &update);
        lab.converge();
        assert_eq!(lab.client(2).announced(), [net(P)]);
    }
}

#[test]
fn withdrawing_what_was_never_said_is_harmless() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    lab.up(facts(2, PeerRole::Client));
    lab.say(1, &PathAttributes::default(), &[net(P)]);
    assert_eq!(lab.unsay(2, &[net(P), net("10.9.0.0/24")]).withdrawn, 0);
    lab.converge();
    assert_eq!(lab.client(2).announced(), [net(P)]);
}

#[test]
fn a_next_hop_that_goes_away_takes_its_routes_with_it() {
    let mut lab = Lab::new();
    for n in 1..=3 {
        lab.up(facts(n, PeerRole::Client));
    }
    let low = PathAttributes {
        local_pref: Some(50),
        ..PathAttributes::default()
    };
    lab.say(1, &PathAttributes::default(), &[net(P)]);
    lab.say(2, &low, &[net(P)]);
    lab.converge();
    let hop = |lab: &mut Lab| lab.client(3).routes.get(&net(P)).map(|(_, hop)| *hop);
    assert_eq!(hop(&mut lab), Some(next_hop(V4, 1)));

    let first = next_hop(V4, 1).address();
    lab.rib.set_next_hop(first, Reachability::Unreachable);
    lab.converge();
    assert_eq!(hop(&mut lab), Some(next_hop(V4, 2)));
    let lost = explain(&lab)
        .iter()
        .find(|path| path.peer == Some(bgp_core::types::PeerId(1)))
        .unwrap()
        .state;
    assert_eq!(lost, PathState::Lost(Reason::NextHopUnreachable));

    lab.rib
        .set_next_hop(next_hop(V4, 2).address(), Reachability::Unreachable);
    lab.converge();
    assert_eq!(hop(&mut lab), None);

    lab.rib
        .set_next_hop(first, Reachability::Reachable { metric: 9 });
    lab.converge();
    assert_eq!(hop(&mut lab), Some(next_hop(V4, 1)));
}

#[test]
fn one_sweep_follows_many_next_hops_and_reaches_the_end_of_the_table() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    lab.up(facts(2, PeerRole::Client));
    let all: Vec<_> = (0..500).map(|n| nth_net(V4, n)).collect();
    lab.say(1, &PathAttributes::default(), &all);
    lab.converge();
    // A next hop changes after every slice, before a sweep could ever reach the end.
    lab.rib
        .set_next_hop(next_hop(V4, 1).address(), Reachability::Unreachable);
    for n in 100..150 {
        lab.rib.work(20);
        let other = next_hop(V4, n).address();
        lab.rib
            .set_next_hop(other, Reachability::Reachable { metric: 1 });
    }
    assert_eq!(
        lab.rib.counts().best[V4],
        0,
        "50 slices of 20 have passed 500 prefixes"
    );
    lab.converge();
    assert!(lab.client(2).routes.is_empty());
}

#[test]
fn the_first_as_of_an_external_path_is_not_checked() {
    // RFC 4271 §6.3 allows to check it; route servers do not put theirs there.
    let attributes = PathAttributes {
        as_path: path(&[65_099]),
        ..PathAttributes::default()
    };
    assert_ne!(facts(1, PeerRole::External).remote_as, Asn(65_099));
    assert_eq!(
        state(PeerRole::External, &attributes, next_hop(V4, 1)),
        PathState::Best
    );
}
