//! Writing UPDATEs: as messages with given parts, and packed, as many NLRI to a message as fit.
//!
//! IPv4 routes with an IPv4 next hop go out in the classic fields, all others in MP_REACH_NLRI,
//! which stands first (RFC 7606 §5.1). The other attributes follow by ascending type code.

use super::attribute::{Class, EXTENDED, PARTIAL, TABLE, code};
use super::context::{EncodeContext, HEADER_LEN};
use super::message::{EncodeError, MessageKind};
use super::nlri;
use super::sink::{Count, Sink};
use super::types::{Aggregator, AsPath, NextHop, PathAttributes, Reach, Unreach};
use crate::family::Family;
use crate::prefix::Nlri;
use bytes::{Bytes, BytesMut};

/// What the body of one UPDATE says.
#[derive(Clone, Copy, Default)]
pub(super) struct Parts<'a> {
    pub(super) reach: Option<&'a Reach>,
    pub(super) mp_reach: Option<&'a Reach>,
    pub(super) unreach: Option<&'a Unreach>,
    pub(super) mp_unreach: Option<&'a Unreach>,
    pub(super) end_of_rib: Option<Family>,
}

/// Whether a route goes into the classic fields.
pub(super) fn is_classic(family: Family, next_hop: &NextHop) -> bool {
    match (family, next_hop) {
        (Family::Ipv4Unicast, NextHop::V4(_)) => true,
        (Family::Ipv4Unicast | Family::Ipv6Unicast, NextHop::V6 { .. })
        | (Family::Ipv6Unicast, NextHop::V4(_)) => false,
    }
}

/// Writes a header whose length is filled in by [`end`].
pub(super) fn begin(kind: MessageKind, out: &mut BytesMut) {
    out.put(&[0xff; 16]);
    out.put(&[0, 0, kind.code()]);
}

/// Fills in the length of the message that began at `start`.
pub(super) fn end(start: usize, out: &mut BytesMut) {
    fill_length(start + 16, out.len() - start, out);
}

/// Writes a two-octet length at `at`.
fn fill_length(at: usize, length: usize, out: &mut BytesMut) {
    let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    if let Some(place) = out.get_mut(at..at + 2) {
        place.copy_from_slice(&length);
    }
}

/// Writes the body of an UPDATE.
pub(super) fn body(
    parts: &Parts<'_>,
    attributes: &PathAttributes,
    context: &EncodeContext,
    out: &mut BytesMut,
) {
    let classic_add_path = context.add_path.contains(Family::Ipv4Unicast);
    let at = out.len();
    out.put_u16(0);
    let withdrawn = parts
        .unreach
        .map(|unreach| &unreach.nlri[..])
        .unwrap_or_default();
    withdrawn
        .iter()
        .for_each(|route| nlri::write(route, classic_add_path, out));
    fill_length(at, out.len() - at - 2, out);

    let at = out.len();
    out.put_u16(0);
    if let Some(reach) = parts.mp_reach {
        put_mp_reach(reach, context, out);
    }
    if let Some(unreach) = parts.mp_unreach {
        put_mp_unreach(unreach.family, &unreach.nlri, context, out);
    }
    match parts.end_of_rib {
        Some(Family::Ipv4Unicast) | None => {}
        Some(family) => put_mp_unreach(family, &[], context, out),
    }
    if parts.reach.is_some() || parts.mp_reach.is_some() {
        let next_hop = parts.reach.map(|reach| &reach.next_hop);
        put_attributes(attributes, next_hop, context.four_octet_as, out);
    }
    fill_length(at, out.len() - at - 2, out);

    let announced = parts.reach.map(|reach| &reach.nlri[..]).unwrap_or_default();
    announced
        .iter()
        .for_each(|route| nlri::write(route, classic_add_path, out));
}

fn put_header(flags: u8, code: u8, length: usize, out: &mut impl Sink) {
    match u8::try_from(length) {
        Ok(length) => out.put(&[flags, code, length]),
        Err(_) => {
            out.put(&[flags | EXTENDED, code]);
            out.put_u16(u16::try_from(length).unwrap_or(u16::MAX));
        }
    }
}

fn put_mp_reach(reach: &Reach, context: &EncodeContext, out: &mut impl Sink) {
    let add_path = context.add_path.contains(reach.family);
    let length = 5
        + next_hop_len(&reach.next_hop)
        + reach
            .nlri
            .iter()
            .map(|route| nlri::encoded_len(route, add_path))
            .sum::<usize>();
    put_header(
        Class::OptionalNonTransitive.flags(),
        code::MP_REACH_NLRI,
        length,
        out,
    );
    let numbers = reach.family.afi_safi();
    out.put_u16(numbers.afi);
    out.put_u8(numbers.safi);
    match reach.next_hop {
        NextHop::V4(address) => {
            out.put_u8(4);
            out.put(&address.octets());
        }
        NextHop::V6 { global, link_local } => {
            out.put_u8(if link_local.is_some() { 32 } else { 16 });
            out.put(&global.octets());
            link_local
                .iter()
                .for_each(|address| out.put(&address.octets()));
        }
    }
    out.put_u8(0);
    reach
        .nlri
        .iter()
        .for_each(|route| nlri::write(route, add_path, out));
}

fn next_hop_len(next_hop: &NextHop) -> usize {
    match next_hop {
        NextHop::V4(_) => 4,
        NextHop::V6 {
            link_local: None, ..
        } => 16,
        NextHop::V6 {
            link_local: Some(_),
            ..
        } => 32,
    }
}

fn put_mp_unreach(family: Family, routes: &[Nlri], context: &EncodeContext, out: &mut impl Sink) {
    let add_path = context.add_path.contains(family);
    let length = 3 + routes
        .iter()
        .map(|route| nlri::encoded_len(route, add_path))
        .sum::<usize>();
    put_header(
        Class::OptionalNonTransitive.flags(),
        code::MP_UNREACH_NLRI,
        length,
        out,
    );
    let numbers = family.afi_safi();
    out.put_u16(numbers.afi);
    out.put_u8(numbers.safi);
    routes
        .iter()
        .for_each(|route| nlri::write(route, add_path, out));
}

/// Writes all attributes but the MP ones, by ascending type code.
fn put_attributes(
    attributes: &PathAttributes,
    next_hop: Option<&NextHop>,
    four_octet: bool,
    out: &mut impl Sink,
) {
    let mut unknown = attributes.unknown.iter().peekable();
    for row in &TABLE {
        while let Some(attribute) = unknown.next_if(|attribute| attribute.code < row.code) {
            put_unknown(attribute, out);
        }
        put_known(row.code, row.class, attributes, next_hop, four_octet, out);
    }
    unknown.for_each(|attribute| put_unknown(attribute, out));
}

fn put_unknown(attribute: &super::types::UnknownAttribute, out: &mut impl Sink) {
    let flags = Class::OptionalTransitive.flags() | PARTIAL;
    put_header(flags, attribute.code, attribute.value.len(), out);
    out.put(&attribute.value);
}

/// Writes the attribute `code`, when there is one.
fn put_known(
    code: u8,
    class: Class,
    attributes: &PathAttributes,
    next_hop: Option<&NextHop>,
    four_octet: bool,
    out: &mut impl Sink,
) {
    let partial = if attributes.partial.contains(code) {
        PARTIAL
    } else {
        0
    };
    let flags = class.flags() | partial;
    match code {
        code::AS_PATH => put_path(flags, code, &attributes.as_path, four_octet, out),
        code::AS4_PATH => {
            // RFC 6793 §4.2.2.
            if !four_octet && !attributes.as_path.is_two_octet() {
                let path = attributes.as_path.without_confederations();
                if !path.is_two_octet() {
                    put_path(flags, code, &path, true, out);
                }
            }
        }
        code::COMMUNITIES
        | code::CLUSTER_LIST
        | code::EXTENDED_COMMUNITIES
        | code::LARGE_COMMUNITY => put_list(code, flags, attributes, out),
        code::ATOMIC_AGGREGATE => {
            if attributes.atomic_aggregate {
                put_header(flags, code, 0, out);
            }
        }
        _ => {
            let value = small_value(code, attributes, next_hop, four_octet);
            if let Some((octets, length)) = value {
                put_header(flags, code, length, out);
                out.put(octets.get(..length).unwrap_or_default());
            }
        }
    }
}

fn put_path(flags: u8, code: u8, path: &AsPath, four_octet: bool, out: &mut impl Sink) {
    put_header(flags, code, path.encoded_len(four_octet), out);
    path.write(four_octet, out);
}

/// The value of an attribute that takes at most eight octets, and how many it takes.
fn small_value(
    code: u8,
    attributes: &PathAttributes,
    next_hop: Option<&NextHop>,
    four_octet: bool,
) -> Option<([u8; 8], usize)> {
    let four = |octets: [u8; 4]| {
        let [a, b, c, d] = octets;
        ([a, b, c, d, 0, 0, 0, 0], 4)
    };
    let eight = |aggregator: &Aggregator| {
        let ([a, b, c, d], [e, f, g, h]) =
            (aggregator.asn.0.to_be_bytes(), aggregator.address.octets());
        ([a, b, c, d, e, f, g, h], 8)
    };
    match code {
        code::ORIGIN => Some(([attributes.origin as u8, 0, 0, 0, 0, 0, 0, 0], 1)),
        code::NEXT_HOP => match next_hop? {
            NextHop::V4(address) => Some(four(address.octets())),
            NextHop::V6 { .. } => None,
        },
        code::MED => attributes.med.map(|med| four(med.to_be_bytes())),
        code::LOCAL_PREF => attributes.local_pref.map(|value| four(value.to_be_bytes())),
        code::ORIGINATOR_ID => attributes.originator_id.map(|id| four(id.0.octets())),
        code::OTC => attributes.otc.map(|asn| four(asn.0.to_be_bytes())),
        code::AGGREGATOR if four_octet => attributes.aggregator.as_ref().map(eight),
        code::AGGREGATOR => attributes.aggregator.as_ref().map(|aggregator| {
            let [a, b] = aggregator.asn.two_octet().to_be_bytes();
            let [c, d, e, f] = aggregator.address.octets();
            ([a, b, c, d, e, f, 0, 0], 6)
        }),
        code::AS4_AGGREGATOR if !four_octet => attributes
            .aggregator
            .as_ref()
            .filter(|aggregator| aggregator.asn.0 > u32::from(u16::MAX))
            .map(eight),
        _ => None,
    }
}

/// Writes the attributes whose value is a list of equal items.
fn put_list(code: u8, flags: u8, attributes: &PathAttributes, out: &mut impl Sink) {
    let (count, size) = match code {
        code::COMMUNITIES => (attributes.communities.len(), 4),
        code::CLUSTER_LIST => (attributes.cluster_list.len(), 4),
        code::EXTENDED_COMMUNITIES => (attributes.extended_communities.len(), 8),
        code::LARGE_COMMUNITY => (attributes.large_communities.len(), 12),
        _ => (0, 0),
    };
    if count == 0 {
        return;
    }
    put_header(flags, code, count * size, out);
    match code {
        code::COMMUNITIES => attributes.communities.iter().for_each(|c| out.put_u32(c.0)),
        code::CLUSTER_LIST => {
            attributes
                .cluster_list
                .iter()
                .for_each(|id| out.put(&id.0.octets()));
        }
        code::EXTENDED_COMMUNITIES => {
            attributes
                .extended_communities
                .iter()
                .for_each(|c| out.put(c));
        }
        _ => {
            for community in &attributes.large_communities {
                out.put_u32(community.global);
                out.put_u32(community.local1);
                out.put_u32(community.local2);
            }
        }
    }
}

/// Octets of an UPDATE that announces one route with these attributes.
pub fn announcement_len(
    route: &Nlri,
    family: Family,
    next_hop: &NextHop,
    attributes: &PathAttributes,
    context: &EncodeContext,
) -> usize {
    // One route and its next hop never need an MP_REACH_NLRI of more than 255 octets.
    let attribute_header = if is_classic(family, next_hop) { 0 } else { 3 };
    announcement_overhead(family, next_hop, attributes, context)
        + attribute_header
        + nlri::encoded_len(route, context.add_path.contains(family))
}

/// Octets of an UPDATE but for its NLRI and the header of the attribute that holds them.
fn announcement_overhead(
    family: Family,
    next_hop: &NextHop,
    attributes: &PathAttributes,
    context: &EncodeContext,
) -> usize {
    let mut count = Count::default();
    let classic = is_classic(family, next_hop);
    let own = classic.then_some(next_hop);
    put_attributes(attributes, own, context.four_octet_as, &mut count);
    let mp = if classic {
        0
    } else {
        5 + next_hop_len(next_hop)
    };
    HEADER_LEN + 4 + count.0 + mp
}

/// Octets that are left for NLRI in a message with `used` octets of other things, `in_value` of
/// them in the value of the attribute that holds the NLRI. Its header has three octets, or four
/// when the value is longer than 255.
fn attribute_room(used: usize, in_value: usize, max_len: usize) -> usize {
    let value = (max_len + in_value).saturating_sub(used);
    let value = if value <= 255 + 3 {
        value.saturating_sub(3)
    } else {
        value - 4
    };
    value.saturating_sub(in_value)
}

/// Announces routes with equal attributes: as few UPDATEs as can hold them, appended to `out`.
///
/// # Errors
///
/// [`EncodeError::TooLong`] when the attributes leave no room for a single route; nothing has been
/// appended then.
pub fn announce(
    family: Family,
    next_hop: &NextHop,
    attributes: &PathAttributes,
    routes: &[Nlri],
    context: &EncodeContext,
    out: &mut Vec<Bytes>,
) -> Result<(), EncodeError> {
    let overhead = announcement_overhead(family, next_hop, attributes, context);
    let classic = is_classic(family, next_hop);
    let room = if classic {
        context.max_len.saturating_sub(overhead)
    } else {
        attribute_room(overhead, 5 + next_hop_len(next_hop), context.max_len)
    };
    let add_path = context.add_path.contains(family);
    let longest = routes
        .iter()
        .max_by_key(|route| nlri::encoded_len(route, add_path));
    if let Some(longest) = longest
        && nlri::encoded_len(longest, add_path) > room
    {
        return Err(EncodeError::TooLong {
            len: announcement_len(longest, family, next_hop, attributes, context),
            max_len: context.max_len,
        });
    }
    for part in pack(family, routes, room, context) {
        let reach = Reach {
            family,
            next_hop: *next_hop,
            nlri: part.to_vec(),
        };
        let parts = if classic {
            Parts {
                reach: Some(&reach),
                ..Parts::default()
            }
        } else {
            Parts {
                mp_reach: Some(&reach),
                ..Parts::default()
            }
        };
        out.push(message(&parts, attributes, context));
    }
    Ok(())
}

/// Withdraws routes: as few UPDATEs as can hold them, appended to `out`.
pub fn withdraw(family: Family, routes: &[Nlri], context: &EncodeContext, out: &mut Vec<Bytes>) {
    let room = match family {
        Family::Ipv4Unicast => context.max_len.saturating_sub(HEADER_LEN + 4),
        Family::Ipv6Unicast => attribute_room(HEADER_LEN + 4 + 3, 3, context.max_len),
    };
    for part in pack(family, routes, room, context) {
        let unreach = Unreach {
            family,
            nlri: part.to_vec(),
        };
        let parts = match family {
            Family::Ipv4Unicast => Parts {
                unreach: Some(&unreach),
                ..Parts::default()
            },
            Family::Ipv6Unicast => Parts {
                mp_unreach: Some(&unreach),
                ..Parts::default()
            },
        };
        out.push(message(&parts, &PathAttributes::default(), context));
    }
}

/// The End-of-RIB marker of a family (RFC 4724 §2).
pub fn end_of_rib(family: Family) -> Bytes {
    let parts = Parts {
        end_of_rib: Some(family),
        ..Parts::default()
    };
    let context = EncodeContext {
        four_octet_as: true,
        add_path: crate::family::FamilySet::EMPTY,
        max_len: super::context::MAX_LEN,
    };
    message(&parts, &PathAttributes::default(), &context)
}

fn message(parts: &Parts<'_>, attributes: &PathAttributes, context: &EncodeContext) -> Bytes {
    let mut out = BytesMut::with_capacity(128);
    begin(MessageKind::Update, &mut out);
    body(parts, attributes, context, &mut out);
    end(0, &mut out);
    out.freeze()
}

/// Cuts `routes` into runs that take at most `room` octets.
fn pack<'a>(
    family: Family,
    routes: &'a [Nlri],
    room: usize,
    context: &EncodeContext,
) -> impl Iterator<Item = &'a [Nlri]> {
    let add_path = context.add_path.contains(family);
    let mut rest = routes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut taken = 0;
        let fits = |route: &&Nlri| {
            taken += nlri::encoded_len(route, add_path);
            taken <= room
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (part, behind) = rest.split_at(count);
        rest = behind;
        Some(part)
    })
}
