//! Round trips: what is written is read as it was meant, and what was read can be written.

use crate::{both, internal, read, writing};
use bgp_core::family::{Family, FamilySet};
use bgp_core::prefix::{IpNet, Nlri};
use bgp_core::types::{Asn, ClusterId, RouterId};
use bgp_core::wire::{
    Aggregator, AsPath, Community, Context, EncodeError, LargeCommunity, MAX_EXTENDED_LEN, Message,
    NextHop, Origin, PathAttributes, Reach, SegmentKind, UnknownAttribute, Unreach, Update,
    encode_message,
};
use bytes::BytesMut;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Codes of recognised attributes that may carry the Partial bit.
const PARTIAL: [u8; 5] = [7, 8, 16, 32, 35];

fn context(internal: bool, four_octet_as: bool, add_path: bool) -> Context {
    Context {
        internal,
        four_octet_as,
        add_path: if add_path { both() } else { FamilySet::EMPTY },
        extended_next_hop: both(),
        max_len: MAX_EXTENDED_LEN,
        ..crate::internal()
    }
}

fn any_context() -> impl Strategy<Value = Context> {
    (any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(|(internal, four, add_path)| context(internal, four, add_path))
}

fn asn() -> impl Strategy<Value = Asn> {
    prop_oneof![1..=65_535_u32, 65_536..=u32::MAX].prop_map(Asn)
}

/// A path; neighbouring sequences are one, as an old speaker's attributes cannot tell them apart.
fn as_path(context: Context) -> impl Strategy<Value = AsPath> {
    use SegmentKind::{ConfedSequence, ConfedSet, Sequence, Set};
    let confederations = context.internal && context.four_octet_as;
    let kinds = if confederations {
        vec![Sequence, Set, ConfedSequence, ConfedSet]
    } else {
        vec![Sequence, Set]
    };
    let segment = (proptest::sample::select(kinds), vec(asn(), 1..6));
    vec(segment, 0..4).prop_map(|mut segments| {
        segments.dedup_by_key(|(kind, _)| *kind);
        AsPath::from_segments(segments)
    })
}

fn address() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from)
}

fn nlri(family: Family, add_path: bool) -> impl Strategy<Value = Nlri> {
    let ids = if add_path { 0..=u32::MAX } else { 0..=0 };
    let lengths = 0..=family.max_prefix_len();
    (any::<u128>(), lengths, ids).prop_map(move |(bits, length, path_id)| {
        let net = match family {
            Family::Ipv4Unicast => {
                let [.., a, b, c, d] = bits.to_be_bytes();
                IpNet::new(Ipv4Addr::new(a, b, c, d).into(), length)
            }
            Family::Ipv6Unicast => IpNet::new(Ipv6Addr::from(bits).into(), length),
        };
        let prefix = net.unwrap().trunc();
        Nlri { prefix, path_id }
    })
}

fn next_hop_v6() -> impl Strategy<Value = NextHop> {
    (any::<u64>(), proptest::option::of(any::<u64>())).prop_map(|(global, local)| NextHop::V6 {
        global: Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(global)),
        link_local: local.map(|local| Ipv6Addr::from(0xfe80_u128 << 112 | u128::from(local))),
    })
}

type Routes = (Vec<Nlri>, Vec<Nlri>, Vec<Nlri>, Vec<Nlri>);

fn routes(add_path: bool) -> impl Strategy<Value = Routes> {
    let v4 = || vec(nlri(Family::Ipv4Unicast, add_path), 0..5);
    let v6 = || vec(nlri(Family::Ipv6Unicast, add_path), 0..5);
    (v4(), v6(), v4(), v6())
}

fn communities() -> impl Strategy<Value = PathAttributes> {
    let large = (any::<u32>(), any::<u32>(), any::<u32>());
    (
        vec(any::<u32>().prop_map(Community), 0..70),
        vec(any::<[u8; 8]>(), 0..4),
        btree_set(large, 0..30),
    )
        .prop_map(
            |(communities, extended_communities, large)| PathAttributes {
                communities,
                extended_communities,
                large_communities: large
                    .into_iter()
                    .map(|(global, local1, local2)| LargeCommunity {
                        global,
                        local1,
                        local2,
                    })
                    .collect(),
                ..PathAttributes::default()
            },
        )
}

fn reflection(internal: bool) -> impl Strategy<Value = PathAttributes> {
    let ids = vec(address().prop_map(ClusterId), 0..4);
    let id = proptest::option::of(address().prop_map(RouterId));
    let preference = any::<u32>().prop_map(Some);
    (ids, id, preference).prop_map(move |(cluster_list, originator_id, local_pref)| {
        if !internal {
            return PathAttributes::default();
        }
        PathAttributes {
            cluster_list,
            originator_id,
            local_pref,
            ..PathAttributes::default()
        }
    })
}

fn attributes(context: Context) -> impl Strategy<Value = PathAttributes> {
    let origin = proptest::sample::select(vec![Origin::Igp, Origin::Egp, Origin::Incomplete]);
    let aggregator = proptest::option::of((asn(), address()))
        .prop_map(|pair| pair.map(|(asn, address)| Aggregator { asn, address }));
    let small = (
        proptest::option::of(any::<u32>()),
        any::<bool>(),
        proptest::option::of(asn()),
        any::<u8>(),
    );
    let unknown = btree_map(36..=255_u8, vec(any::<u8>(), 0..400), 0..3);
    let parts = (communities(), reflection(context.internal));
    (origin, as_path(context), aggregator, small, unknown, parts).prop_map(
        |(origin, as_path, aggregator, small, unknown, (communities, reflection))| {
            let (med, atomic_aggregate, otc, partial) = small;
            let mut attributes = PathAttributes {
                origin,
                as_path,
                med,
                atomic_aggregate,
                aggregator,
                otc,
                local_pref: reflection.local_pref,
                originator_id: reflection.originator_id,
                cluster_list: reflection.cluster_list,
                unknown: unknown
                    .into_iter()
                    .map(|(code, value)| UnknownAttribute {
                        code,
                        value: value.into(),
                    })
                    .collect(),
                ..communities
            };
            let present = [
                attributes.aggregator.is_some(),
                !attributes.communities.is_empty(),
                !attributes.extended_communities.is_empty(),
                !attributes.large_communities.is_empty(),
                attributes.otc.is_some(),
            ];
            for (bit, (code, present)) in PARTIAL.into_iter().zip(present).enumerate() {
                if present && partial & (1 << bit) != 0 {
                    attributes.partial.insert(code);
                }
            }
            attributes
        },
    )
}

fn update(context: Context) -> impl Strategy<Value = Update> {
    let hops = (
        any::<[u8; 3]>().prop_map(|[b, c, d]| NextHop::V4(Ipv4Addr::new(10, b, c, d))),
        next_hop_v6(),
    );
    let add_path = !context.add_path.is_empty();
    (attributes(context), routes(add_path), hops).prop_map(
        |(attributes, (v4, v6, gone4, gone6), (hop4, hop6))| {
            let reach = |family, next_hop, nlri: Vec<Nlri>| {
                (!nlri.is_empty()).then_some(Reach {
                    family,
                    next_hop,
                    nlri,
                })
            };
            let unreach =
                |family, nlri: Vec<Nlri>| (!nlri.is_empty()).then_some(Unreach { family, nlri });
            let reach: Vec<Reach> = [
                reach(Family::Ipv6Unicast, hop6, v6),
                reach(Family::Ipv4Unicast, hop4, v4),
            ]
            .into_iter()
            .flatten()
            .collect();
            let unreach: Vec<Unreach> = [
                unreach(Family::Ipv4Unicast, gone4),
                unreach(Family::Ipv6Unicast, gone6),
            ]
            .into_iter()
            .flatten()
            .collect();
            let is_marker = reach.is_empty() && unreach.is_empty();
            Update {
                attributes: if reach.is_empty() {
                    PathAttributes::default()
                } else {
                    attributes
                },
                reach,
                unreach,
                end_of_rib: is_marker.then_some(Family::Ipv4Unicast),
                faults: Vec::new(),
            }
        },
    )
}

fn written(message: &Message, context: &Context) -> BytesMut {
    let mut out = BytesMut::new();
    encode_message(message, &writing(context), &mut out).unwrap();
    out
}

/// Whether one message can say this again: something, and each family in one place only.
fn is_sayable(update: &Update) -> bool {
    let twice = |families: Vec<Family>| families.len() > 1 && families[0] == families[1];
    let is_empty = update.reach.is_empty() && update.unreach.is_empty();
    !(is_empty && update.end_of_rib.is_none()
        || twice(update.reach.iter().map(|reach| reach.family).collect())
        || twice(update.unreach.iter().map(|gone| gone.family).collect()))
}

proptest! {
    #[test]
    fn an_update_is_read_as_it_was_written(
        (context, update) in any_context().prop_flat_map(|context| (Just(context), update(context)))
    ) {
        let message = Message::Update(update);
        let octets = written(&message, &context);
        prop_assert_eq!(read(&octets, &context), Ok(message));
    }

    /// A damaged message is refused, or says something that can be said again.
    #[test]
    fn what_was_read_can_be_written_and_read_again(
        update in update(context(true, true, false)),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let context = context(true, true, false);
        let mut octets = written(&Message::Update(update), &context);
        for (at, octet) in damage {
            let at = 19 + at.index(octets.len() - 19);
            octets[at] = octet;
        }
        if let Ok(Message::Update(update)) = read(&octets, &context)
            && update.faults.is_empty()
        {
            let is_sayable = is_sayable(&update);
            let reaches = !update.reach.is_empty();
            let said = Update {
                attributes: if reaches { update.attributes.clone() } else { PathAttributes::default() },
                ..update
            };
            let message = Message::Update(said);
            let mut out = BytesMut::new();
            let result = encode_message(&message, &writing(&context), &mut out);
            if is_sayable {
                prop_assert_eq!(result, Ok(()));
                prop_assert_eq!(read(&out, &context), Ok(message));
            } else {
                prop_assert_eq!(result, Err(EncodeError::NotOneMessage));
            }
        }
    }

    #[test]
    fn octets_without_sense_are_read_without_panic(
        kind in 1..=5_u8,
        body in vec(any::<u8>(), 0..200),
        context in any_context(),
    ) {
        let octets = crate::message(kind, &body);
        if let Ok(Some(frame)) = bgp_core::wire::frame(&octets, context.max_len) {
            prop_assert_eq!(frame.len, octets.len());
            if let Ok(message) = bgp_core::wire::decode(&frame, &context) {
                prop_assert_eq!(message.kind(), frame.kind);
            }
        }
    }
}

#[test]
fn an_update_that_says_nothing_is_not_written_as_a_marker() {
    let nothing = Message::Update(Update::default());
    let mut out = BytesMut::new();
    let result = encode_message(&nothing, &writing(&internal()), &mut out);
    assert_eq!((result, out.len()), (Err(EncodeError::NotOneMessage), 0));
}

/// What is treated as withdrawn names every prefix that the message announced.
#[test]
fn damaged_attributes_never_announce_a_part() {
    let body = crate::update_body(
        &[],
        &[
            crate::mp_reach(),
            crate::origin(),
            crate::as_path(),
            crate::next_hop(),
        ],
        &crate::NLRI,
    );
    for at in 4..body.len() - crate::NLRI.len() {
        for octet in 0..=u8::MAX {
            let mut damaged = body.clone();
            damaged[at] = octet;
            let octets = crate::message(crate::UPDATE, &damaged);
            if let Ok(Message::Update(update)) = read(&octets, &internal()) {
                let reached = update.reach.iter().any(|r| r.family == Family::Ipv4Unicast);
                let gone = update
                    .unreach
                    .iter()
                    .any(|u| u.family == Family::Ipv4Unicast);
                assert!(reached != gone, "octet {at} = {octet}: {update:?}");
            }
        }
    }
}
