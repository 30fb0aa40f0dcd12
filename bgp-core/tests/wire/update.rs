//! UPDATE: what the fields mean, beside faulty attributes.

use crate::{
    NLRI, UPDATE, answer, as_path, attribute, both, external, internal, message, mp_reach,
    mp_unreach, next_hop, origin, read, read_update, update_body, writing,
};
use bgp_core::family::{Family, FamilySet};
use bgp_core::types::Asn;
use bgp_core::wire::{
    Aggregator, AsPath, Context, Message, NextHop, PathAttributes, SegmentKind, Update, announce,
};
use std::net::Ipv4Addr;

fn only(family: Family) -> Context {
    Context {
        families: FamilySet::from_iter([family]),
        ..external()
    }
}

fn good() -> [Vec<u8>; 3] {
    [origin(), as_path(), next_hop()]
}

// The frame of the message (RFC 4271 §6.3).

#[test]
fn lengths_that_overrun_are_a_malformed_attribute_list() {
    let bodies: [&[u8]; 6] = [
        &[0, 1, 0, 0],
        &[0, 0, 0, 1],
        &[0, 2, 16, 10],
        &[0, 0, 0, 5, 0x40, 1, 1, 0],
        &[0xff, 0xff, 0, 0],
        &[0, 0, 0xff, 0xff],
    ];
    for body in bodies {
        let result = read(&message(UPDATE, body), &external());
        assert_eq!(answer(&result.unwrap_err()), (3, 1, Vec::new()), "{body:?}");
    }
}

#[test]
fn classic_nlri_that_cannot_be_read_reset() {
    for nlri in [&[33, 1, 2, 3, 4, 5][..], &[16, 10], &[8], &[255]] {
        for result in [
            read_update(&[], &good(), nlri, &external()),
            read_update(nlri, &[], &[], &external()),
        ] {
            assert_eq!(answer(&result.unwrap_err()), (3, 10, Vec::new()));
        }
    }
}

#[test]
fn host_bits_of_prefixes_are_cleared() {
    let update = read_update(&[], &good(), &[12, 10, 0xff], &external()).unwrap();
    assert_eq!(format!("{:?}", update.reach[0].nlri), "[10.240.0.0/12]");
}

// Families.

#[test]
fn classic_fields_count_only_when_ipv4_was_negotiated() {
    let context = only(Family::Ipv6Unicast);
    let update = read_update(&NLRI, &good(), &NLRI, &context).unwrap();
    assert_eq!((update.reach, update.unreach), (Vec::new(), Vec::new()));
}

#[test]
fn mp_attributes_of_other_families_are_ignored() {
    let context = only(Family::Ipv4Unicast);
    let attributes = [mp_reach(), origin(), as_path(), next_hop(), mp_unreach()];
    let update = read_update(&[], &attributes, &NLRI, &context).unwrap();
    assert_eq!((update.reach.len(), update.unreach.len()), (1, 0));
    assert_eq!(update.reach[0].family, Family::Ipv4Unicast);
    // VPNv4, whose next hop and NLRI we could not even read.
    let strange = attribute(0x80, 14, &[0, 1, 128, 2, 1, 2, 0, 200, 1]);
    let attributes = [strange, origin(), as_path()];
    let update = read_update(&[], &attributes, &[], &external()).unwrap();
    assert_eq!((update.reach, update.faults), (Vec::new(), Vec::new()));
}

// End-of-RIB (RFC 4724 §2).

#[test]
fn a_marker_is_alone() {
    let empty = attribute(0x80, 15, &[0, 2, 1]);
    let marker = |withdrawn: &[u8], attributes: &[Vec<u8>], nlri: &[u8], context: &Context| {
        let update = read_update(withdrawn, attributes, nlri, context);
        update.unwrap().end_of_rib
    };
    let alone = std::slice::from_ref(&empty);
    assert_eq!(
        marker(&[], &[], &[], &external()),
        Some(Family::Ipv4Unicast)
    );
    assert_eq!(
        marker(&[], alone, &[], &external()),
        Some(Family::Ipv6Unicast)
    );
    let classic_as_mp = [attribute(0x80, 15, &[0, 1, 1])];
    assert_eq!(
        marker(&[], &classic_as_mp, &[], &external()),
        Some(Family::Ipv4Unicast)
    );
    assert_eq!(marker(&NLRI, alone, &[], &external()), None);
    assert_eq!(
        marker(&[], &[empty.clone(), origin()], &[], &external()),
        None
    );
    let with_nlri = [empty.clone(), origin(), as_path(), next_hop()];
    assert_eq!(marker(&[], &with_nlri, &NLRI, &external()), None);
    assert_eq!(marker(&[], &[origin()], &[], &external()), None);
    assert_eq!(marker(&[], &[], &[], &only(Family::Ipv6Unicast)), None);
    assert_eq!(marker(&[], alone, &[], &only(Family::Ipv4Unicast)), None);
}

// Next hops (RFC 2545, RFC 8950).

fn reach_of(family: [u8; 3], next_hop: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut value = family.to_vec();
    value.push(u8::try_from(next_hop.len()).unwrap());
    value.extend(next_hop);
    value.push(0);
    value.extend(nlri);
    attribute(0x80, 14, &value)
}

#[test]
fn next_hops_have_the_lengths_that_were_negotiated() {
    let global: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let local: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    let pair = [global, local].concat();
    let alone = [[0; 16], local].concat();
    let (ipv4, ipv6) = ([0, 1, 1], [0, 2, 1]);
    let over_ipv6 = Context {
        extended_next_hop: both(),
        ..external()
    };
    let rows: [(_, &[u8], &Context, Option<&str>); 11] = [
        (ipv6, &global, &external(), Some("2001:db8::1")),
        (ipv6, &pair, &external(), Some("2001:db8::1 fe80::2")),
        (ipv6, &alone, &external(), Some("fe80::2 fe80::2")),
        (ipv6, &[10, 0, 0, 1], &external(), None),
        (ipv6, &pair[..24], &external(), None),
        (ipv6, &[], &external(), None),
        (ipv4, &[10, 0, 0, 1], &external(), Some("10.0.0.1")),
        (ipv4, &global, &external(), None),
        (ipv4, &pair, &external(), None),
        (ipv4, &global, &over_ipv6, Some("2001:db8::1")),
        (ipv4, &pair, &over_ipv6, Some("2001:db8::1 fe80::2")),
    ];
    for (family, next_hop, context, expected) in rows {
        let own = reach_of(family, next_hop, &[8, 10]);
        let attributes = [own.clone(), origin(), as_path()];
        let result = read_update(&[], &attributes, &[], context);
        match expected {
            Some(text) => {
                let update = result.unwrap();
                assert_eq!(format!("{:?}", update.reach[0].next_hop), text);
            }
            None => assert_eq!(answer(&result.unwrap_err()), (3, 9, own)),
        }
    }
}

#[test]
fn an_mp_next_hop_that_is_no_host_withdraws() {
    let mut multicast = [0; 16];
    multicast[0] = 0xff;
    for next_hop in [[0; 16], multicast] {
        let attributes = [
            reach_of([0, 2, 1], &next_hop, &[8, 0x20]),
            origin(),
            as_path(),
        ];
        let update = read_update(&[], &attributes, &[], &external()).unwrap();
        assert_eq!((update.reach.len(), update.unreach.len()), (0, 1));
    }
}

// Add-path (RFC 7911 §3).

#[test]
fn path_identifiers_are_read_where_they_were_negotiated() {
    let nlri = [[0, 0, 0, 7].as_slice(), &NLRI].concat();
    let context = Context {
        add_path: FamilySet::from_iter([Family::Ipv4Unicast]),
        ..external()
    };
    let update = read_update(&nlri, &good(), &nlri, &context).unwrap();
    assert_eq!(format!("{:?}", update.reach[0].nlri), "[10.1.0.0/16#7]");
    assert_eq!(format!("{:?}", update.unreach[0].nlri), "[10.1.0.0/16#7]");
    // The other family has none.
    let update = read_update(&[], &[mp_unreach()], &[], &context).unwrap();
    assert_eq!(format!("{:?}", update.unreach[0].nlri), "[2001:db8::/32]");
    let cut = read_update(&[], &good(), &nlri[..5], &context);
    assert_eq!(answer(&cut.unwrap_err()).1, 10);
}

// Attributes that travel (RFC 4271 §5).

#[test]
fn unrecognised_transitive_attributes_leave_with_the_partial_bit() {
    let long = vec![5; 300];
    let attributes = [
        origin(),
        as_path(),
        next_hop(),
        attribute(0xd0, 250, &long),
        attribute(0xc0, 11, &[]),
        attribute(0x80, 77, &[1]),
    ];
    let update = read_update(&[], &attributes, &NLRI, &external()).unwrap();
    let mut out = Vec::new();
    let reach = &update.reach[0];
    announce(
        reach.family,
        &reach.next_hop,
        &update.attributes,
        &reach.nlri,
        &writing(&external()),
        &mut out,
    )
    .unwrap();
    let expected = [
        origin(),
        as_path(),
        next_hop(),
        attribute(0xe0, 11, &[]),
        attribute(0xf0, 250, &long),
    ];
    assert_eq!(
        out[0],
        message(UPDATE, &update_body(&[], &expected, &NLRI))[..]
    );
}

#[test]
fn the_partial_bit_of_recognised_attributes_survives() {
    let lists = [
        attribute(0xe0, 7, &[0, 0, 0, 1, 10, 0, 0, 1]),
        attribute(0xe0, 8, &[0, 1, 0, 1]),
        attribute(0xe0, 16, &[0, 2, 0, 1, 0, 0, 0, 1]),
        attribute(0xe0, 32, &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]),
        attribute(0xe0, 35, &[0, 0, 0, 1]),
    ];
    for own in lists {
        let attributes = [origin(), as_path(), next_hop(), own];
        let octets = message(UPDATE, &update_body(&[], &attributes, &NLRI));
        let read = read(&octets, &external()).unwrap();
        let mut out = bytes::BytesMut::new();
        bgp_core::wire::encode_message(&read, &writing(&external()), &mut out).unwrap();
        assert_eq!(out, octets[..]);
    }
}

#[test]
fn repeated_large_communities_count_once() {
    let one = [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    let other = [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1];
    let list = attribute(0xc0, 32, &[one, other, one, other].concat());
    let attributes = [origin(), as_path(), next_hop(), list];
    let update = read_update(&[], &attributes, &NLRI, &external()).unwrap();
    let local2: Vec<u32> = update
        .attributes
        .large_communities
        .iter()
        .map(|c| c.local2)
        .collect();
    assert_eq!(local2, [3, 1]);
}

// Four-octet AS numbers (RFC 6793 §4.2).

fn two_octet() -> Context {
    Context {
        four_octet_as: false,
        ..internal()
    }
}

fn path_attribute(code: u8, segments: &[(u8, &[u32])]) -> Vec<u8> {
    let mut value = Vec::new();
    for (kind, numbers) in segments {
        value.extend([*kind, u8::try_from(numbers.len()).unwrap()]);
        for number in *numbers {
            match code {
                2 => value.extend(u16::try_from(*number).unwrap().to_be_bytes()),
                _ => value.extend(number.to_be_bytes()),
            }
        }
    }
    attribute(if code == 2 { 0x40 } else { 0xc0 }, code, &value)
}

#[test]
fn as4_path_is_merged_by_the_rules() {
    const T: u32 = 23_456;
    type Segments<'a> = &'a [(u8, &'a [u32])];
    // AS_PATH, AS4_PATH, what they mean together
    let rows: [(Segments<'_>, Segments<'_>, &str); 11] = [
        (
            &[(2, &[1, T, T])],
            &[(2, &[70_000, 80_000])],
            "1 70000 80000",
        ),
        (&[(2, &[T, T])], &[(2, &[70_000, 80_000])], "70000 80000"),
        // Longer than AS_PATH: not to be believed.
        (&[(2, &[T])], &[(2, &[70_000, 80_000])], "23456"),
        // Sets count as one number.
        (
            &[(2, &[1, T]), (1, &[5, T])],
            &[(2, &[70_000]), (1, &[5, 80_000])],
            "1 70000 {5,80000}",
        ),
        (
            &[(1, &[1, 2, 3]), (2, &[T])],
            &[(2, &[70_000])],
            "{1,2,3} 70000",
        ),
        (
            &[(2, &[1, 2]), (2, &[3, T])],
            &[(2, &[70_000])],
            "1 2 3 70000",
        ),
        // Confederation segments stay where they lead or follow one taken whole.
        (&[(3, &[9]), (2, &[T])], &[(2, &[70_000])], "(9) 70000"),
        (
            &[(2, &[1]), (3, &[9]), (2, &[T])],
            &[(2, &[70_000])],
            "1 (9) 70000",
        ),
        (
            &[(2, &[1, T]), (3, &[9]), (2, &[T])],
            &[(2, &[70_000, 80_000])],
            "1 70000 80000",
        ),
        (
            &[(3, &[9]), (4, &[8]), (2, &[T])],
            &[(2, &[70_000])],
            "(9) [8] 70000",
        ),
        // In AS4_PATH they are dropped (RFC 6793 §6).
        (
            &[(2, &[1, T])],
            &[(3, &[66_000]), (2, &[70_000])],
            "1 70000",
        ),
    ];
    for (own, as4, expected) in rows {
        let attributes = [
            origin(),
            path_attribute(2, own),
            next_hop(),
            path_attribute(17, as4),
        ];
        let update = read_update(&[], &attributes, &NLRI, &two_octet()).unwrap();
        assert_eq!(update.attributes.as_path.to_string(), expected);
    }
}

#[test]
fn merged_sequences_of_more_than_255_numbers_are_cut() {
    let (front, back) = ([1; 255], [70_000; 200]);
    let attributes = [
        origin(),
        {
            let value: Vec<u8> = [front.as_slice(), &[1; 200]]
                .into_iter()
                .flat_map(|numbers| {
                    let mut segment = vec![2, u8::try_from(numbers.len()).unwrap()];
                    segment.extend(numbers.iter().flat_map(|_| [0, 1]));
                    segment
                })
                .collect();
            attribute(0x50, 2, &value)
        },
        next_hop(),
        {
            let mut value = vec![2, 200];
            value.extend(back.iter().flat_map(|number: &u32| number.to_be_bytes()));
            attribute(0xd0, 17, &value)
        },
    ];
    let update = read_update(&[], &attributes, &NLRI, &two_octet()).unwrap();
    let path = &update.attributes.as_path;
    let lengths: Vec<usize> = path.segments().map(|s| s.numbers().len()).collect();
    assert_eq!(lengths, [255, 200]);
    assert_eq!(path.origin_as(), Some(Asn(70_000)));
}

#[test]
fn as4_aggregator_counts_only_beside_as_trans() {
    let old = |asn: u16| {
        let [a, b] = asn.to_be_bytes();
        attribute(0xc0, 7, &[a, b, 10, 0, 0, 1])
    };
    let new = attribute(0xc0, 18, &[0, 1, 0x11, 0x70, 10, 0, 0, 2]);
    let path = path_attribute(2, &[(2, &[1, 23_456])]);
    let as4 = path_attribute(17, &[(2, &[70_000])]);
    let read = |aggregator: &[Vec<u8>]| {
        let mut attributes = vec![origin(), path.clone(), next_hop(), as4.clone()];
        attributes.extend_from_slice(aggregator);
        let update = read_update(&[], &attributes, &NLRI, &two_octet()).unwrap();
        let aggregator = update.attributes.aggregator.map(|a| a.asn.0);
        (update.attributes.as_path.to_string(), aggregator)
    };
    let merged = "1 70000".to_string();
    assert_eq!(
        read(&[old(23_456), new.clone()]),
        (merged.clone(), Some(70_000))
    );
    // An AGGREGATOR that says another AS makes both AS4 attributes stale.
    assert_eq!(
        read(&[old(5), new.clone()]),
        ("1 23456".to_string(), Some(5))
    );
    assert_eq!(read(&[new]), (merged.clone(), None));
    assert_eq!(read(&[old(23_456)]), (merged, Some(23_456)));
}

#[test]
fn wide_numbers_go_to_old_speakers_in_as4_attributes() {
    let write = |attributes: &PathAttributes| {
        let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
        let mut out = Vec::new();
        let nlri = [bgp_core::prefix::Nlri::plain(
            "10.1.0.0/16".parse().unwrap(),
        )];
        let context = writing(&two_octet());
        announce(
            Family::Ipv4Unicast,
            &next_hop,
            attributes,
            &nlri,
            &context,
            &mut out,
        )
        .unwrap();
        let Ok(Message::Update(update)) = read(&out[0], &two_octet()) else {
            panic!("cannot read what was written");
        };
        let codes = attribute_codes(&out[0]);
        (update, codes)
    };
    let path = |kind, asn| {
        AsPath::from_segments([
            (kind, vec![Asn(9)]),
            (SegmentKind::Sequence, vec![Asn(asn)]),
        ])
    };
    let with = |as_path, asn| PathAttributes {
        as_path,
        aggregator: Some(Aggregator {
            asn: Asn(asn),
            address: Ipv4Addr::new(10, 0, 0, 1),
        }),
        ..PathAttributes::default()
    };
    let rows: [(PathAttributes, &[u8]); 4] = [
        (
            with(path(SegmentKind::Sequence, 70_000), 70_000),
            &[1, 2, 3, 7, 17, 18],
        ),
        (with(path(SegmentKind::Sequence, 5), 5), &[1, 2, 3, 7]),
        (
            with(path(SegmentKind::ConfedSequence, 70_000), 5),
            &[1, 2, 3, 7, 17],
        ),
        (with(path(SegmentKind::Set, 70_000), 5), &[1, 2, 3, 7, 17]),
    ];
    for (attributes, expected) in rows {
        let (update, codes): (Update, Vec<u8>) = write(&attributes);
        assert_eq!(codes, expected);
        // An AGGREGATOR that is not AS_TRANS hides AS4_PATH only beside AS4_AGGREGATOR.
        assert_eq!(
            update.attributes.as_path.numbers().last(),
            attributes.as_path.numbers().last()
        );
        assert_eq!(update.attributes.aggregator, attributes.aggregator);
    }
    // A wide number only where AS4_PATH may not say it: there is none.
    let hidden = AsPath::from_segments([(SegmentKind::ConfedSequence, vec![Asn(70_000)])]);
    let (update, codes) = write(&with(hidden, 5));
    assert_eq!(codes, [1, 2, 3, 7]);
    assert_eq!(update.attributes.as_path.to_string(), "(23456)");
}

/// Type codes of the attributes of an UPDATE without withdrawn routes, in order.
fn attribute_codes(octets: &[u8]) -> Vec<u8> {
    let mut rest = &octets[23..23 + usize::from(u16::from_be_bytes([octets[21], octets[22]]))];
    let mut codes = Vec::new();
    while let [flags, code, length, ..] = *rest {
        let (header, length) = if flags & 0x10 == 0 {
            (3, usize::from(length))
        } else {
            (4, usize::from(u16::from_be_bytes([length, rest[3]])))
        };
        codes.push(code);
        rest = &rest[header + length..];
    }
    codes
}

// AS_PATH.

#[test]
fn as_paths_are_measured_and_extended() {
    use SegmentKind::{ConfedSequence, ConfedSet, Sequence, Set};
    let path = |segments: &[(SegmentKind, &[u32])]| {
        AsPath::from_segments(
            segments
                .iter()
                .map(|(kind, numbers)| (*kind, numbers.iter().copied().map(Asn).collect())),
        )
    };
    // segments, length, first AS, origin AS, with AS 1 in front
    let rows = [
        (path(&[]), 0, None, None, "1"),
        (path(&[(Sequence, &[2, 3])]), 2, Some(2), Some(3), "1 2 3"),
        (path(&[(Set, &[2, 3])]), 1, None, None, "1 {2,3}"),
        (
            path(&[(Sequence, &[2]), (Set, &[3, 4])]),
            2,
            Some(2),
            None,
            "1 2 {3,4}",
        ),
        (
            path(&[(ConfedSequence, &[9]), (Sequence, &[2])]),
            1,
            Some(2),
            Some(2),
            "1 (9) 2",
        ),
        (path(&[(ConfedSet, &[9, 8])]), 0, None, None, "1 [9,8]"),
    ];
    for (path, length, first, origin, extended) in rows {
        assert_eq!(path.length(), length, "{path:?}");
        assert_eq!(path.first_as(), first.map(Asn), "{path:?}");
        assert_eq!(path.origin_as(), origin.map(Asn), "{path:?}");
        assert_eq!(path.prepend(Asn(1)).to_string(), extended);
        assert!(path.prepend(Asn(1)).contains(Asn(1)) && !path.contains(Asn(1)));
    }
    let full = AsPath::sequence((0..255).map(Asn));
    let longer = full.prepend(Asn(1));
    assert_eq!((longer.segments().count(), longer.length()), (2, 256));
}
