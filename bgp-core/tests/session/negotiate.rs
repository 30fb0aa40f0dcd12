//! What two OPENs agree on, offer by offer.

use crate::settings;
use bgp_core::family::{AfiSafi, Family, FamilySet};
use bgp_core::session::{
    MAX_HOST_NAME, Negotiated, Offer, OpenRefusal, SessionSettings, negotiate, our_open,
};
use bgp_core::time::Duration;
use bgp_core::types::{Asn, PeerRole, RouterId};
use bgp_core::wire::{
    AddPath, Capability, ExtendedNextHop, GracefulFamily, GracefulRestart, LongLivedFamily,
    MAX_EXTENDED_LEN, MAX_LEN, Notification, NotificationError, Open, OpenError,
};
use std::net::Ipv4Addr;

const IPV4: AfiSafi = AfiSafi { afi: 1, safi: 1 };
const IPV6: AfiSafi = AfiSafi { afi: 2, safi: 1 };

/// An OPEN of the peer with nothing but what every speaker must say.
fn plain() -> Open {
    Open {
        my_as: 64_512,
        hold_time: 90,
        router_id: RouterId(Ipv4Addr::new(10, 0, 0, 2)),
        capabilities: Vec::new(),
    }
}

fn with(capabilities: &[Capability]) -> Open {
    Open {
        capabilities: capabilities.to_vec(),
        ..plain()
    }
}

fn agree_with(settings: &SessionSettings, theirs: &Open) -> Result<Negotiated, OpenRefusal> {
    negotiate(&our_open(settings, Offer::Full), theirs, settings)
}

fn agree(theirs: &Open) -> Negotiated {
    agree_with(&settings(), theirs).unwrap()
}

fn refusal(theirs: &Open) -> OpenRefusal {
    agree_with(&settings(), theirs).unwrap_err()
}

fn both_families() -> FamilySet {
    FamilySet::from_iter(Family::ALL)
}

#[test]
fn two_of_us_agree_on_everything() {
    let ours = settings();
    let mut other = settings();
    other.router_id = RouterId(Ipv4Addr::new(10, 0, 0, 2));
    let theirs = our_open(&other, Offer::Full);
    let agreed = agree_with(&ours, &theirs).unwrap();
    assert_eq!(agreed.families, both_families());
    assert!(agreed.four_octet_as && agreed.route_refresh && agreed.enhanced_refresh);
    assert_eq!(agreed.receive_limit, MAX_EXTENDED_LEN);
    assert_eq!(agreed.send_limit, MAX_EXTENDED_LEN);
    assert_eq!(
        agreed.extended_next_hop,
        FamilySet::from_iter([Family::Ipv4Unicast])
    );
    assert_eq!(agreed.add_path_receive, FamilySet::ALL);
    assert_eq!(agreed.add_path_send, FamilySet::ALL);
    assert!(agreed.graceful_restart.is_some() && agreed.notification_keeps_routes());
    assert_eq!(agreed.remote_id, other.router_id);
    assert_eq!(agreed.remote_as, ours.remote_as);
    assert_eq!(agreed.remote_capabilities, theirs.capabilities);
}

#[test]
fn a_peer_without_capabilities_gets_classic_ipv4() {
    let agreed = agree(&plain());
    assert_eq!(agreed.families, FamilySet::from_iter([Family::Ipv4Unicast]));
    assert!(!agreed.four_octet_as && !agreed.route_refresh && !agreed.enhanced_refresh);
    assert_eq!(agreed.send_limit, MAX_LEN);
    assert_eq!(
        agreed.receive_limit, MAX_LEN,
        "they do not know of long messages"
    );
    assert_eq!(agreed.graceful_restart, None);
    assert!(!agreed.receive_context().four_octet_as);
}

#[test]
fn extended_messages_need_both_sides() {
    let mut ours = settings();
    ours.extended_messages = false;
    let agreed = agree_with(&ours, &with(&[Capability::ExtendedMessage])).unwrap();
    assert_eq!(
        (agreed.receive_limit, agreed.send_limit),
        (MAX_LEN, MAX_LEN)
    );
}

#[test]
fn peer_as_matrix() {
    let four = |asn| Capability::FourOctetAs(Asn(asn));
    // configured, my_as, capability, accepted
    let rows: [(u32, u16, Option<u32>, bool); 12] = [
        (64_512, 64_512, None, true),
        (64_512, 64_512, Some(64_512), true),
        (64_512, 64_513, None, false),
        (64_512, 64_512, Some(64_513), false),
        // The capability counts, whatever the two octets say.
        (64_512, 23_456, Some(64_512), true),
        (4_200_000_000, 23_456, Some(4_200_000_000), true),
        (4_200_000_000, 23_456, Some(4_200_000_001), false),
        (4_200_000_000, 23_456, None, false),
        // AS_TRANS is nobody's number (RFC 6793 §9), zero neither (RFC 7607).
        (23_456, 23_456, None, false),
        (23_456, 23_456, Some(23_456), false),
        (64_512, 64_512, Some(0), false),
        (0, 0, None, false),
    ];
    for (configured, my_as, capability, accepted) in rows {
        let mut ours = settings();
        ours.remote_as = Asn(configured);
        ours.role = PeerRole::External;
        let theirs = Open {
            my_as,
            capabilities: capability.map(four).into_iter().collect(),
            ..plain()
        };
        let verdict = agree_with(&ours, &theirs);
        let row = format!("{configured} {my_as} {capability:?}");
        match accepted {
            true => assert_eq!(verdict.unwrap().remote_as, Asn(configured), "{row}"),
            false => {
                let refusal = verdict.unwrap_err();
                assert!(matches!(refusal, OpenRefusal::BadPeerAs { .. }), "{row}");
                assert_eq!(code(&refusal), OpenError::BadPeerAs);
            }
        }
    }
}

#[test]
fn router_ids() {
    let ours = settings();
    let same = Open {
        router_id: ours.router_id,
        ..plain()
    };
    assert_eq!(
        refusal(&same),
        OpenRefusal::BadBgpIdentifier(ours.router_id)
    );
    assert_eq!(code(&refusal(&same)), OpenError::BadBgpIdentifier);
    // Another AS may use our identifier (RFC 6286 §2.2).
    let mut external = settings();
    external.role = PeerRole::External;
    assert!(agree_with(&external, &same).is_ok());
}

#[test]
fn hold_times() {
    // ours, theirs, agreed, keepalive
    let rows = [
        (90, 90, 90, 30),
        (90, 30, 30, 10),
        (30, 90, 30, 10),
        (90, 3, 3, 1),
        (90, 5, 5, 1),
        (0, 90, 0, 0),
        (90, 0, 0, 0),
        (0, 0, 0, 0),
        (65_535, 65_535, 65_535, 21_845),
    ];
    for (ours, theirs, agreed, keepalive) in rows {
        let mut mine = settings();
        mine.hold_time = Duration::from_secs(ours);
        let open = Open {
            hold_time: theirs,
            ..plain()
        };
        let verdict = agree_with(&mine, &open).unwrap();
        assert_eq!(verdict.hold_time.as_secs(), agreed, "{ours} {theirs}");
        assert_eq!(
            verdict.keepalive_interval.as_secs(),
            keepalive,
            "{ours} {theirs}"
        );
    }
}

#[test]
fn families() {
    let v4 = Capability::Multiprotocol(IPV4);
    let v6 = Capability::Multiprotocol(IPV6);
    let evpn = Capability::Multiprotocol(AfiSafi { afi: 25, safi: 70 });
    let only = |family| FamilySet::from_iter([family]);
    assert_eq!(
        agree(&with(std::slice::from_ref(&v4))).families,
        only(Family::Ipv4Unicast)
    );
    assert_eq!(
        agree(&with(std::slice::from_ref(&v6))).families,
        only(Family::Ipv6Unicast)
    );
    assert_eq!(agree(&with(&[v6.clone(), v4])).families, both_families());
    assert_eq!(
        agree(&with(&[evpn.clone(), v6])).families,
        only(Family::Ipv6Unicast)
    );
    // Only families that we do not carry: nothing is implied.
    let none = refusal(&with(&[evpn]));
    assert_eq!(
        none,
        OpenRefusal::NoCommonFamily {
            ours: both_families()
        }
    );
    assert_eq!(code(&none), OpenError::UnsupportedCapability);
}

/// RFC 5492 §5: the Data field lists the capabilities that are missing, as in an OPEN.
#[test]
fn no_common_family_says_which_are_wanted() {
    let mut ours = settings();
    ours.families = FamilySet::from_iter([Family::Ipv6Unicast]);
    let refusal = agree_with(&ours, &plain()).unwrap_err();
    let told = Notification::from(&refusal);
    assert_eq!(told.data, [1, 4, 0, 2, 0, 1]);
}

#[test]
fn add_path_needs_their_send_and_our_receive() {
    let entry = |family, receive, send| AddPath {
        family,
        receive,
        send,
    };
    let families = [
        Capability::Multiprotocol(IPV4),
        Capability::Multiprotocol(IPV6),
    ];
    let theirs = |entries: &[AddPath]| {
        let mut capabilities = families.to_vec();
        capabilities.push(Capability::AddPath(entries.to_vec()));
        with(&capabilities)
    };
    let both = theirs(&[entry(IPV4, true, true), entry(IPV6, true, false)]);
    let v4 = FamilySet::from_iter([Family::Ipv4Unicast]);
    assert_eq!(agree(&both).add_path_receive, v4);
    assert_eq!(agree(&both).receive_context().add_path, v4);
    let mut ours = settings();
    ours.add_path_receive = false;
    assert_eq!(
        agree_with(&ours, &both).unwrap().add_path_receive,
        FamilySet::EMPTY
    );
    // A family that was not negotiated has no paths at all.
    let only_v6 = with(&[
        Capability::Multiprotocol(IPV6),
        Capability::AddPath(vec![entry(IPV4, false, true)]),
    ]);
    assert_eq!(agree(&only_v6).add_path_receive, FamilySet::EMPTY);
}

#[test]
fn several_paths_are_sent_where_they_receive_and_we_send() {
    let entry = |family, receive, send| AddPath {
        family,
        receive,
        send,
    };
    let theirs = with(&[
        Capability::Multiprotocol(IPV4),
        Capability::Multiprotocol(IPV6),
        Capability::AddPath(vec![entry(IPV4, false, true), entry(IPV6, true, true)]),
    ]);
    let v6 = FamilySet::from_iter([Family::Ipv6Unicast]);
    assert_eq!(agree(&theirs).add_path_send, v6);
    let mut ours = settings();
    ours.add_path_receive = false;
    assert_eq!(agree_with(&ours, &theirs).unwrap().add_path_send, v6);
    let offered = |ours: &SessionSettings| our_open(ours, Offer::Full).capabilities;
    let send_alone = Capability::AddPath(vec![entry(IPV4, false, true), entry(IPV6, false, true)]);
    assert!(offered(&ours).contains(&send_alone));
    ours.add_path_send = false;
    let agreed = agree_with(&ours, &theirs).unwrap();
    assert_eq!(agreed.add_path_send, FamilySet::EMPTY);
    let several = |capability: &Capability| matches!(capability, Capability::AddPath(_));
    assert!(!offered(&ours).iter().any(several));
    // Nothing is sent with identifiers to who did not ask for them.
    assert_eq!(agree(&with(&[])).add_path_send, FamilySet::EMPTY);
}

#[test]
fn extended_next_hop_is_for_ipv4_over_ipv6_alone() {
    let entry = |nlri, next_hop_afi| ExtendedNextHop { nlri, next_hop_afi };
    let theirs = |entries: &[ExtendedNextHop]| {
        with(&[
            Capability::Multiprotocol(IPV4),
            Capability::ExtendedNextHop(entries.to_vec()),
        ])
    };
    let v4 = FamilySet::from_iter([Family::Ipv4Unicast]);
    assert_eq!(agree(&theirs(&[entry(IPV4, 2)])).extended_next_hop, v4);
    assert_eq!(
        agree(&theirs(&[entry(IPV4, 1)])).extended_next_hop,
        FamilySet::EMPTY
    );
    assert_eq!(
        agree(&theirs(&[entry(IPV6, 2)])).extended_next_hop,
        FamilySet::EMPTY
    );
}

#[test]
fn graceful_restart_counts_when_both_sent_it() {
    let restart = GracefulRestart {
        restarting: true,
        notification: false,
        restart_time: 120,
        families: vec![GracefulFamily {
            family: IPV4,
            forwarding: true,
        }],
    };
    let theirs = with(&[Capability::GracefulRestart(restart.clone())]);
    assert_eq!(agree(&theirs).graceful_restart, Some(restart));
    assert!(
        !agree(&theirs).notification_keeps_routes(),
        "their N bit is not set"
    );
    let mut ours = settings();
    ours.restart_time = Duration::ZERO;
    assert_eq!(agree_with(&ours, &theirs).unwrap().graceful_restart, None);
}

#[test]
fn long_lived_restart_counts_beside_graceful_restart_when_both_sent_it() {
    let restart = Capability::GracefulRestart(GracefulRestart {
        restarting: false,
        notification: true,
        restart_time: 120,
        families: Vec::new(),
    });
    let long_lived = vec![LongLivedFamily {
        family: IPV4,
        forwarding: true,
        stale_time: 60,
    }];
    let theirs = Capability::LongLivedGracefulRestart(long_lived.clone());
    let both = with(&[restart, theirs.clone()]);
    assert_eq!(agree(&both).long_lived, Some(long_lived));
    assert_eq!(agree(&with(&[theirs])).long_lived, None);
    let mut ours = settings();
    ours.long_lived_restart_time = None;
    assert_eq!(agree_with(&ours, &both).unwrap().long_lived, None);
    let mut ours = settings();
    ours.restart_time = Duration::ZERO;
    assert_eq!(agree_with(&ours, &both).unwrap().long_lived, None);
}

#[test]
fn our_full_offer() {
    let mut ours = settings();
    ours.local_as = Asn(4_200_000_000);
    ours.restarting = true;
    ours.host_name = "reflector".into();
    let forwarding = |family| GracefulFamily {
        family,
        forwarding: true,
    };
    let long_lived = |family| LongLivedFamily {
        family,
        forwarding: true,
        stale_time: 3_600,
    };
    let receive = |family| AddPath {
        family,
        receive: true,
        send: true,
    };
    let open = our_open(&ours, Offer::Full);
    assert_eq!(
        (open.my_as, open.hold_time, open.router_id),
        (23_456, 90, ours.router_id)
    );
    assert_eq!(
        open.capabilities,
        [
            Capability::Multiprotocol(IPV4),
            Capability::Multiprotocol(IPV6),
            Capability::RouteRefresh,
            Capability::EnhancedRouteRefresh,
            Capability::FourOctetAs(Asn(4_200_000_000)),
            Capability::ExtendedMessage,
            Capability::ExtendedNextHop(vec![ExtendedNextHop {
                nlri: IPV4,
                next_hop_afi: 2
            }]),
            Capability::AddPath(vec![receive(IPV4), receive(IPV6)]),
            Capability::GracefulRestart(GracefulRestart {
                restarting: true,
                notification: true,
                restart_time: 120,
                families: vec![forwarding(IPV4), forwarding(IPV6)],
            }),
            Capability::LongLivedGracefulRestart(vec![long_lived(IPV4), long_lived(IPV6)]),
            Capability::Fqdn {
                host: b"reflector".to_vec(),
                domain: Vec::new()
            },
            Capability::SoftwareVersion(
                format!("bgp-rr/{}", env!("CARGO_PKG_VERSION")).into_bytes()
            ),
        ]
    );
}

/// The field has twelve bits (RFC 4724 §3).
#[test]
fn a_long_restart_time_is_cut() {
    for seconds in [4_095, 4_096, 65_535, 100_000] {
        let mut ours = settings();
        ours.restart_time = Duration::from_secs(seconds);
        let open = our_open(&ours, Offer::Full);
        let announced = open
            .capabilities
            .iter()
            .find_map(|capability| match capability {
                Capability::GracefulRestart(restart) => Some(restart.restart_time),
                _ => None,
            });
        assert_eq!(announced, Some(4_095), "{seconds}");
    }
}

#[test]
fn what_is_turned_off_is_not_offered() {
    let mut ours = settings();
    ours.families = FamilySet::from_iter([Family::Ipv6Unicast]);
    ours.extended_messages = false;
    ours.add_path_receive = false;
    ours.add_path_send = false;
    ours.restart_time = Duration::ZERO;
    ours.host_name = "".into();
    assert_eq!(
        our_open(&ours, Offer::Full).capabilities,
        [
            Capability::Multiprotocol(IPV6),
            Capability::RouteRefresh,
            Capability::EnhancedRouteRefresh,
            Capability::FourOctetAs(Asn(64_512)),
        ]
    );
}

#[test]
fn the_reduced_offer_keeps_what_the_session_needs() {
    let mut ours = settings();
    assert_eq!(our_open(&ours, Offer::Reduced).capabilities, []);
    ours.local_as = Asn(4_200_000_000);
    ours.families = FamilySet::from_iter([Family::Ipv6Unicast]);
    assert_eq!(
        our_open(&ours, Offer::Reduced).capabilities,
        [
            Capability::Multiprotocol(IPV6),
            Capability::FourOctetAs(Asn(4_200_000_000)),
        ]
    );
}

/// What we did not offer this time does not count, however they offer it.
#[test]
fn a_reduced_offer_agrees_on_less() {
    let ours = settings();
    let theirs = our_open(&ours, Offer::Full);
    let theirs = Open {
        router_id: RouterId(Ipv4Addr::new(10, 0, 0, 2)),
        ..theirs
    };
    let agreed = negotiate(&our_open(&ours, Offer::Reduced), &theirs, &ours).unwrap();
    assert_eq!(agreed.families, FamilySet::from_iter([Family::Ipv4Unicast]));
    assert!(!agreed.four_octet_as && agreed.graceful_restart.is_none());
    assert_eq!(agreed.receive_limit, MAX_LEN);
}

#[test]
fn long_host_names_are_cut_between_characters() {
    let mut ours = settings();
    ours.host_name = "ü".repeat(MAX_HOST_NAME).into();
    let open = our_open(&ours, Offer::Full);
    let host = open
        .capabilities
        .iter()
        .find_map(|capability| match capability {
            Capability::Fqdn { host, .. } => Some(host),
            _ => None,
        });
    assert_eq!(host.map(Vec::len), Some(MAX_HOST_NAME));
}

#[test]
fn refusals_say_what_to_do() {
    let sentence = refusal(&Open {
        my_as: 64_513,
        ..plain()
    })
    .to_string();
    assert_eq!(
        sentence,
        "they say AS 64513, the configuration says 64512: fix remote-as here or the AS there \
         (RFC 4271 §6.2, code 2/2)"
    );
}

fn code(refusal: &OpenRefusal) -> OpenError {
    match Notification::from(refusal).error {
        NotificationError::OpenMessage(error) => error,
        other => panic!("not an OPEN error: {other:?}"),
    }
}
