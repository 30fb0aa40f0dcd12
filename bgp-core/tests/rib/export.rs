//! What each kind of peer is told about a route from each kind of peer, attribute by attribute.

use crate::support::*;
use bgp_core::family::Family;
use bgp_core::policy::{Action, Policy, PrefixRange, Rule};
use bgp_core::rib::{GroupId, Refusal, Verdict};
use bgp_core::types::{Asn, ClusterId, PeerId, PeerRole, RouterId};
use bgp_core::wire::{
    Aggregator, Community, LargeCommunity, NextHop, Origin, PathAttributes, UnknownAttribute,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

const P: &str = "10.1.0.0/24";
const OUR_V6_ADDRESS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const ROLES: [PeerRole; 3] = [PeerRole::Client, PeerRole::NonClient, PeerRole::External];

/// A route with everything, as an internal peer might send it.
fn rich() -> PathAttributes {
    PathAttributes {
        origin: Origin::Egp,
        as_path: path(&[65_001, 70_000]),
        med: Some(7),
        local_pref: Some(300),
        atomic_aggregate: true,
        aggregator: Some(Aggregator {
            asn: Asn(70_000),
            address: Ipv4Addr::new(9, 9, 9, 9),
        }),
        communities: vec![Community(1), Community(2)],
        extended_communities: vec![[0, 2, 0, 0, 0, 0, 0, 1], [0x40, 4, 0, 0, 0, 0, 0, 2]],
        large_communities: vec![LargeCommunity {
            global: 1,
            local1: 2,
            local2: 3,
        }],
        unknown: vec![UnknownAttribute {
            code: 200,
            value: Box::new([1, 2, 3]),
        }],
        ..PathAttributes::default()
    }
}

/// What peer 2 of role `to` believes when peer 1 of role `from` says `attributes`.
fn told(
    from: PeerRole,
    to: PeerRole,
    attributes: &PathAttributes,
) -> Option<(PathAttributes, NextHop)> {
    let mut lab = Lab::new();
    lab.up(facts(1, from));
    lab.up(facts(2, to));
    lab.say(1, attributes, &[net(P)]);
    lab.converge();
    lab.client(2).routes.remove(&net(P))
}

#[test]
fn who_hears_from_whom() {
    for from in ROLES {
        for to in ROLES {
            let heard = told(from, to, &PathAttributes::default()).is_some();
            let two_non_clients = from == PeerRole::NonClient && to == PeerRole::NonClient;
            assert_eq!(heard, !two_non_clients, "{from:?} to {to:?}");
        }
    }
}

#[test]
fn reflection_adds_originator_and_cluster_and_changes_nothing_else() {
    for (from, to) in [
        (PeerRole::Client, PeerRole::Client),
        (PeerRole::Client, PeerRole::NonClient),
        (PeerRole::NonClient, PeerRole::Client),
    ] {
        let expected = PathAttributes {
            originator_id: Some(router_id(1)),
            cluster_list: vec![OUR_CLUSTER],
            ..rich()
        };
        assert_eq!(told(from, to, &rich()), Some((expected, next_hop(V4, 1))));

        let before = PathAttributes {
            originator_id: Some(RouterId(Ipv4Addr::new(3, 3, 3, 3))),
            cluster_list: vec![ClusterId(Ipv4Addr::new(4, 4, 4, 4))],
            local_pref: None,
            ..rich()
        };
        let (attributes, _) = told(from, to, &before).unwrap();
        assert_eq!(attributes.originator_id, before.originator_id);
        assert_eq!(
            attributes.cluster_list,
            [OUR_CLUSTER, before.cluster_list[0]]
        );
        assert_eq!(attributes.local_pref, Some(100));
    }
}

#[test]
fn from_external_to_internal_only_local_pref_comes_in() {
    let received = PathAttributes {
        local_pref: None,
        ..rich()
    };
    for to in [PeerRole::Client, PeerRole::NonClient] {
        let expected = PathAttributes {
            local_pref: Some(100),
            ..rich()
        };
        let told = told(PeerRole::External, to, &received);
        assert_eq!(told, Some((expected, next_hop(V4, 1))));
    }
}

#[test]
fn to_external_peers_what_is_internal_stays_behind() {
    for from in ROLES {
        let received = PathAttributes {
            originator_id: from
                .is_internal()
                .then_some(RouterId(Ipv4Addr::new(3, 3, 3, 3))),
            ..rich()
        };
        let expected = PathAttributes {
            as_path: path(&[OUR_AS.0, 65_001, 70_000]),
            med: None,
            local_pref: None,
            extended_communities: vec![[0, 2, 0, 0, 0, 0, 0, 1]],
            ..rich()
        };
        let told = told(from, PeerRole::External, &received);
        assert_eq!(told, Some((expected, NextHop::V4(OUR_ADDRESS))));
    }
}

#[test]
fn a_full_segment_is_not_overrun() {
    let full: Vec<u32> = (0..255).map(|n| 65_001 + n).collect();
    let received = PathAttributes {
        as_path: path(&full),
        ..PathAttributes::default()
    };
    let (attributes, _) = told(PeerRole::Client, PeerRole::External, &received).unwrap();
    let lengths: Vec<usize> = attributes
        .as_path
        .segments()
        .map(|s| s.numbers().len())
        .collect();
    assert_eq!(lengths, [1, 255]);
    assert_eq!(attributes.as_path.first_as(), Some(OUR_AS));
}

#[test]
fn two_octet_speakers_are_told_with_as4_attributes() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    let mut old = facts(2, PeerRole::External);
    old.four_octet_as = false;
    lab.up(old);
    lab.say(1, &rich(), &[net(P)]);
    lab.converge();
    let (attributes, _) = &lab.client(2).routes[&net(P)];
    assert_eq!(attributes.as_path, path(&[OUR_AS.0, 65_001, 70_000]));
    assert_eq!(attributes.aggregator, rich().aggregator);
}

#[test]
fn communities_keep_routes_within() {
    for (community, to, heard) in [
        (Community::NO_EXPORT, PeerRole::Client, true),
        (Community::NO_EXPORT, PeerRole::NonClient, true),
        (Community::NO_EXPORT, PeerRole::External, false),
        (Community::NO_EXPORT_SUBCONFED, PeerRole::Client, true),
        (Community::NO_EXPORT_SUBCONFED, PeerRole::External, false),
        (Community::NO_ADVERTISE, PeerRole::Client, false),
        (Community::NO_ADVERTISE, PeerRole::NonClient, false),
        (Community::NO_ADVERTISE, PeerRole::External, false),
    ] {
        let attributes = PathAttributes {
            communities: vec![Community(1), community],
            ..PathAttributes::default()
        };
        let told = told(PeerRole::Client, to, &attributes);
        assert_eq!(told.is_some(), heard, "{community} to {to:?}");
    }
}

/// The verdict on peer 2's group about the route that peer 1 said.
fn verdict(lab: &Lab) -> Verdict {
    let slot = lab.clients[&2].slot;
    let group = lab.rib.summary(slot).unwrap().tables[V4].unwrap().group;
    let explanation = lab.rib.explain(&net(P));
    let of_group = |(id, _): &&(GroupId, Verdict)| *id == group;
    explanation.groups.iter().find(of_group).unwrap().1
}

#[test]
fn refusals_are_explained() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::NonClient));
    lab.up(facts(2, PeerRole::NonClient));
    lab.say(1, &rich(), &[net(P)]);
    assert_eq!(verdict(&lab), Verdict::Refused(Refusal::NotReflected));

    lab.up(facts(2, PeerRole::Client));
    assert_eq!(verdict(&lab), Verdict::Announced);

    lab.up(with_settings(facts(2, PeerRole::External), |s| {
        s.export = None
    }));
    assert_eq!(verdict(&lab), Verdict::Refused(Refusal::NoExportPolicy));
    lab.converge();
    assert!(lab.client(2).routes.is_empty());

    lab.up(with_settings(facts(2, PeerRole::Client), |settings| {
        settings.export = Some(Arc::new(Policy {
            name: "not-this".into(),
            rules: vec![Rule {
                prefixes: vec![PrefixRange::exact(net(P))],
                action: Action::Reject,
            }],
            default: Action::Accept,
        }));
    }));
    lab.say(1, &rich(), &[net(P), net("10.2.0.0/24")]);
    assert_eq!(verdict(&lab), Verdict::Refused(Refusal::ExportPolicy));
    lab.converge();
    assert_eq!(lab.client(2).announced(), [net("10.2.0.0/24")]);

    for (community, refusal) in [
        (Community::NO_ADVERTISE, Refusal::NoAdvertise),
        (Community::NO_EXPORT, Refusal::NoExport),
    ] {
        let attributes = PathAttributes {
            communities: vec![community],
            ..rich()
        };
        lab.up(facts(2, PeerRole::External));
        lab.say(1, &attributes, &[net(P)]);
        assert_eq!(verdict(&lab), Verdict::Refused(refusal));
    }
    lab.unsay(1, &[net(P)]);
    assert!(lab.rib.explain(&net(P)).paths.is_empty());
}

#[test]
fn client_to_client_can_be_switched_off() {
    let mut lab = Lab::with(bgp_core::rib::RibSettings {
        client_to_client: false,
        ..settings()
    });
    lab.up(facts(1, PeerRole::Client));
    lab.up(facts(2, PeerRole::Client));
    lab.up(facts(3, PeerRole::NonClient));
    lab.say(1, &rich(), &[net(P)]);
    lab.say(3, &rich(), &[net("10.2.0.0/24")]);
    lab.converge();
    assert_eq!(lab.client(2).announced(), [net("10.2.0.0/24")]);
    assert_eq!(lab.client(3).announced(), [net(P)]);
    assert_eq!(verdict(&lab), Verdict::Refused(Refusal::NotReflected));
}

#[test]
fn next_hop_self_spares_what_is_reflected() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    lab.up(with_settings(facts(2, PeerRole::Client), |s| {
        s.next_hop_self = true
    }));
    lab.up(facts(3, PeerRole::External));
    lab.say(1, &rich(), &[net(P)]);
    lab.say(3, &PathAttributes::default(), &[net("10.2.0.0/24")]);
    lab.converge();
    let hop = |client: &Client, prefix| client.routes[&net(prefix)].1;
    assert_eq!(hop(lab.client(2), P), next_hop(V4, 1));
    assert_eq!(hop(lab.client(2), "10.2.0.0/24"), NextHop::V4(OUR_ADDRESS));
    assert_eq!(hop(lab.client(1), "10.2.0.0/24"), next_hop(V4, 3));
}

#[test]
fn what_we_originate_goes_to_everybody() {
    let mut lab = Lab::new();
    for (n, role) in (1..).zip(ROLES) {
        lab.up(facts(n, role));
    }
    let ours = PathAttributes {
        med: Some(5),
        ..PathAttributes::default()
    };
    let hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 77));
    lab.rib.originate(net(P), &ours, hop);
    lab.converge();
    let internal = PathAttributes {
        local_pref: Some(100),
        ..ours.clone()
    };
    for n in [1, 2] {
        assert_eq!(lab.client(n).routes[&net(P)], (internal.clone(), hop));
    }
    let external = PathAttributes {
        as_path: path(&[OUR_AS.0]),
        ..ours.clone()
    };
    assert_eq!(
        lab.client(3).routes[&net(P)],
        (external, NextHop::V4(OUR_ADDRESS))
    );

    // Ours comes first, whatever a peer says.
    let better = PathAttributes {
        local_pref: Some(500),
        ..PathAttributes::default()
    };
    lab.say(1, &better, &[net(P)]);
    lab.converge();
    assert_eq!(lab.client(2).routes[&net(P)].1, hop);
    assert!(lab.rib.withdraw(net(P)) && !lab.rib.withdraw(net(P)));
    lab.converge();
    assert_eq!(lab.client(2).routes[&net(P)].1, next_hop(V4, 1));
    assert!(lab.client(1).routes.is_empty(), "it is the source now");
}

#[test]
fn next_hops_of_the_other_family_need_the_capability() {
    let v6 = NextHop::V6 {
        global: OUR_V6_ADDRESS,
        link_local: None,
    };
    let with_extended = |n, role, extended: bool| {
        let mut facts = facts(n, role);
        if extended {
            facts.extended_next_hop.insert(V4);
        }
        facts
    };
    for extended in [false, true] {
        let mut lab = Lab::new();
        lab.up(facts(1, PeerRole::Client));
        lab.up(with_extended(2, PeerRole::Client, extended));
        lab.update(1, &announce(&rich(), v6, &[net(P)]));
        lab.converge();
        assert_eq!(!lab.client(2).routes.is_empty(), extended);
        if !extended {
            assert_eq!(verdict(&lab), Verdict::Refused(Refusal::NextHopFamily));
        }
    }
    // The session's own address in the place of the next hop.
    for (local, family, extended, heard) in [
        (IpAddr::V4(OUR_ADDRESS), V4, false, true),
        (IpAddr::V4(OUR_ADDRESS), V6, false, false),
        (IpAddr::V6(OUR_V6_ADDRESS), V6, false, true),
        (IpAddr::V6(OUR_V6_ADDRESS), V4, false, false),
        (IpAddr::V6(OUR_V6_ADDRESS), V4, true, true),
    ] {
        let mut lab = Lab::new();
        lab.up(facts(1, PeerRole::Client));
        let mut external = with_extended(2, PeerRole::External, extended);
        external.local_address = local;
        lab.up(external);
        lab.say(1, &rich(), &[nth_net(family, 1)]);
        lab.converge();
        let told = lab
            .client(2)
            .routes
            .values()
            .next()
            .map(|(_, hop)| hop.address());
        assert_eq!(told, heard.then_some(local), "{local} for {family}");
    }
}

#[test]
fn what_may_differ_does_not_share_and_what_may_not_does() {
    let groups_of = |change: &dyn Fn(&mut bgp_core::rib::PeerFacts)| {
        let mut lab = Lab::new();
        lab.up(facts(1, PeerRole::Client));
        let mut other = facts(2, PeerRole::Client);
        other.families = [Family::Ipv4Unicast].into_iter().collect();
        change(&mut other);
        lab.up(other);
        let groups = lab.rib.groups();
        assert_eq!(groups.iter().map(|group| group.readers).sum::<usize>(), 3);
        groups.iter().filter(|group| group.id.family == V4).count()
    };
    assert_eq!(groups_of(&|_| {}), 1);
    assert_eq!(
        groups_of(&|f| f.local_address = IpAddr::V4(Ipv4Addr::LOCALHOST)),
        1
    );
    assert_eq!(groups_of(&|f| f.enhanced_refresh = true), 1);
    assert_eq!(groups_of(&|f| f.router_id = router_id(99)), 1);
    assert_eq!(
        groups_of(&|f| *f = with_settings(f.clone(), |s| s.max_prefixes = Some(1))),
        1
    );
    assert_eq!(
        groups_of(&|f| *f = with_settings(f.clone(), |s| s.group = "other".into())),
        1
    );
    assert_eq!(groups_of(&|f| f.four_octet_as = false), 2);
    assert_eq!(groups_of(&|f| f.send_limit = 65_535), 2);
    assert_eq!(groups_of(&|f| f.extended_next_hop.insert(V4)), 2);
    assert_eq!(
        groups_of(&|f| *f = with_settings(f.clone(), |s| s.next_hop_self = true)),
        2
    );
    let policy = |name: &str| {
        let policy = Policy {
            name: name.into(),
            ..Policy::accept_all()
        };
        Some(Arc::new(policy))
    };
    assert_eq!(
        groups_of(&|f| *f = with_settings(f.clone(), |s| s.export = policy("a"))),
        2
    );
    assert_eq!(
        groups_of(&|f| *f = with_settings(f.clone(), |s| s.import = policy("a"))),
        1
    );
}

#[test]
fn equal_policies_share_although_they_are_two_values() {
    let mut lab = Lab::new();
    for n in 1..=2 {
        lab.up(with_settings(facts(n, PeerRole::External), |s| {
            s.export = Some(Arc::new(Policy::accept_all()));
        }));
    }
    assert_eq!(lab.rib.groups().len(), 2, "one for each family");
}

#[test]
fn equal_words_from_different_sources_share_a_message_where_no_source_listens() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    lab.up(facts(2, PeerRole::Client));
    lab.up(facts(3, PeerRole::External));
    lab.say(1, &rich(), &[nth_net(V4, 1)]);
    lab.say(2, &rich(), &[nth_net(V4, 2)]);
    lab.converge();
    assert_eq!(lab.client(3).announced(), [nth_net(V4, 1), nth_net(V4, 2)]);
    assert_eq!(lab.client(3).messages, 1 + 2, "one UPDATE, two End-of-RIB");
    let peers: Vec<Option<PeerId>> = adj_rib_out(&lab.rib, lab.clients[&3].slot, V4)
        .iter()
        .map(|view| view.peer)
        .collect();
    assert_eq!(peers, [Some(PeerId(1)), Some(PeerId(2))]);
}
