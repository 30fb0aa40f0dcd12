//! Packing: as many routes to a message as fit, and lengths that are exact.

use crate::{external, read, writing};
use bgp_core::family::{Family, FamilySet};
use bgp_core::prefix::{IpNet, Nlri};
use bgp_core::wire::{
    Context, EncodeContext, EncodeError, MAX_EXTENDED_LEN, MAX_LEN, Message, NextHop,
    PathAttributes, UnknownAttribute, announce, announcement_len, end_of_rib, withdraw,
};
use bytes::Bytes;
use std::net::{Ipv4Addr, Ipv6Addr};

fn routes(family: Family, count: u32, path_id: u32) -> Vec<Nlri> {
    let prefix = |index: u32| match family {
        Family::Ipv4Unicast => IpNet::new(Ipv4Addr::from(index << 8).into(), 24),
        Family::Ipv6Unicast => IpNet::new(Ipv6Addr::from(u128::from(index) << 64).into(), 64),
    };
    (1..=count)
        .map(|index| Nlri {
            prefix: prefix(index).unwrap(),
            path_id,
        })
        .collect()
}

fn hop(family: Family) -> NextHop {
    match family {
        Family::Ipv4Unicast => NextHop::V4(Ipv4Addr::new(192, 0, 2, 1)),
        Family::Ipv6Unicast => over_ipv6(),
    }
}

fn over_ipv6() -> NextHop {
    NextHop::V6 {
        global: "2001:db8::1".parse().unwrap(),
        link_local: None,
    }
}

/// Attributes that take `size` octets more than the least.
fn attributes(size: usize) -> PathAttributes {
    let header = if size > 258 { 4 } else { 3 };
    let value = size.checked_sub(header).map(|length| UnknownAttribute {
        code: 200,
        value: vec![1; length].into(),
    });
    PathAttributes {
        unknown: value.into_iter().collect(),
        ..PathAttributes::default()
    }
}

fn context(add_path: bool, max_len: usize) -> EncodeContext {
    EncodeContext {
        four_octet_as: true,
        add_path: if add_path {
            crate::both()
        } else {
            FamilySet::EMPTY
        },
        max_len,
    }
}

/// What a peer reads in `messages`: routes that are there, routes that are gone.
fn heard(messages: &[Bytes], writing: &EncodeContext) -> (Vec<Nlri>, Vec<Nlri>) {
    let context = Context {
        add_path: writing.add_path,
        extended_next_hop: crate::both(),
        max_len: writing.max_len,
        ..external()
    };
    let (mut there, mut gone) = (Vec::new(), Vec::new());
    for message in messages {
        assert!(message.len() <= writing.max_len);
        let Ok(Message::Update(update)) = read(message, &context) else {
            panic!("cannot read what was written");
        };
        there.extend(update.reach.into_iter().flat_map(|reach| reach.nlri));
        gone.extend(update.unreach.into_iter().flat_map(|gone| gone.nlri));
    }
    (there, gone)
}

fn encoded_len(family: Family, add_path: bool) -> usize {
    let path_id = if add_path { 4 } else { 0 };
    path_id
        + match family {
            Family::Ipv4Unicast => 4,
            Family::Ipv6Unicast => 9,
        }
}

#[test]
fn messages_are_filled_to_the_limit_and_lose_nothing() {
    for family in Family::ALL {
        for next_hop in [hop(family), over_ipv6()] {
            for add_path in [false, true] {
                for max_len in [MAX_LEN, MAX_EXTENDED_LEN] {
                    let context = context(add_path, max_len);
                    let routes = routes(family, 20_000, if add_path { 3 } else { 0 });
                    let mut out = Vec::new();
                    let set = attributes(50);
                    announce(family, &next_hop, &set, &routes, &context, &mut out).unwrap();
                    assert_eq!(heard(&out, &context), (routes, Vec::new()));
                    // No message but the last has room for one route more.
                    let (_, full) = out.split_last().unwrap();
                    let one = encoded_len(family, add_path);
                    assert!(full.iter().all(|message| message.len() + one > max_len));
                    assert!(!full.is_empty());
                }
            }
        }
    }
}

#[test]
fn withdraws_are_filled_to_the_limit_and_lose_nothing() {
    for family in Family::ALL {
        for add_path in [false, true] {
            for max_len in [MAX_LEN, MAX_EXTENDED_LEN] {
                let context = context(add_path, max_len);
                let routes = routes(family, 20_000, if add_path { 3 } else { 0 });
                let mut out = Vec::new();
                withdraw(family, &routes, &context, &mut out);
                assert_eq!(heard(&out, &context), (Vec::new(), routes));
                let (_, full) = out.split_last().unwrap();
                let one = encoded_len(family, add_path);
                assert!(full.iter().all(|message| message.len() + one > max_len));
            }
        }
    }
}

#[test]
fn the_length_of_an_announcement_is_exact_up_to_the_limit_and_beyond() {
    for family in Family::ALL {
        for next_hop in [hop(family), over_ipv6()] {
            for add_path in [false, true] {
                let context = context(add_path, MAX_LEN);
                let route = routes(family, 1, 0)[0];
                let least = announcement_len(&route, family, &next_hop, &attributes(0), &context);
                for total in (MAX_LEN - 300..MAX_LEN + 3).chain([least]) {
                    let set = attributes(total - least);
                    let len = announcement_len(&route, family, &next_hop, &set, &context);
                    assert_eq!(len, total);
                    let mut out = Vec::new();
                    let result = announce(family, &next_hop, &set, &[route], &context, &mut out);
                    let max_len = MAX_LEN;
                    if total <= max_len {
                        assert_eq!((result, out[0].len()), (Ok(()), total));
                    } else {
                        assert_eq!(result, Err(EncodeError::TooLong { len, max_len }));
                        assert_eq!(out, Vec::<Bytes>::new());
                    }
                }
            }
        }
    }
}

/// Where the MP attribute's header grows from three octets to four.
#[test]
fn the_last_octets_of_a_message_are_used() {
    for room in 40..400 {
        let context = context(false, MAX_LEN);
        let route =
            |length: u8| Nlri::plain(IpNet::new(Ipv6Addr::UNSPECIFIED.into(), length).unwrap());
        let base = announcement_len(
            &route(0),
            Family::Ipv6Unicast,
            &over_ipv6(),
            &attributes(0),
            &context,
        );
        let set = attributes(MAX_LEN - base - room);
        // Routes of one octet: any octet left free could have held one.
        let many = vec![route(0); 2 * room];
        let mut out = Vec::new();
        announce(
            Family::Ipv6Unicast,
            &over_ipv6(),
            &set,
            &many,
            &context,
            &mut out,
        )
        .unwrap();
        // One octet may be lost where the next would make the header longer.
        assert!(out[0].len() >= MAX_LEN - 1, "{room}: {}", out[0].len());
        assert!(
            out[0].len() == MAX_LEN || room.abs_diff(255 - 21) <= 3,
            "{room}"
        );
        let routes: usize = out
            .iter()
            .map(|m| heard(std::slice::from_ref(m), &context).0.len())
            .sum();
        assert_eq!(routes, 2 * room);
    }
}

#[test]
fn nothing_to_say_is_no_message() {
    let mut out = Vec::new();
    let writing = writing(&external());
    for family in Family::ALL {
        announce(
            family,
            &hop(family),
            &attributes(0),
            &[],
            &writing,
            &mut out,
        )
        .unwrap();
        withdraw(family, &[], &writing, &mut out);
    }
    assert_eq!(out, Vec::<Bytes>::new());
}

#[test]
fn markers_of_both_families_are_read_as_such() {
    for family in Family::ALL {
        let Ok(Message::Update(update)) = read(&end_of_rib(family), &external()) else {
            panic!("cannot read a marker");
        };
        assert_eq!(update.end_of_rib, Some(family));
    }
}
