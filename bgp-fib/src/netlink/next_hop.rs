//! Nexthop objects: `struct nhmsg` and its attributes.

use super::number::*;
use super::octets::{Reader, Writer, address, family, number};
use crate::kernel::{Hop, LinkIndex, NextHopKind, NextHopObject, Notice};

/// The object as RTM_NEWNEXTHOP has it.
pub(super) fn put(writer: &mut Writer<'_>, object: &NextHopObject) {
    let (family, flags) = match &object.kind {
        NextHopKind::Hop(hop) => {
            let flags = if hop.onlink { RTNH_F_ONLINK } else { 0 };
            (hop.gateway.map_or(AF_INET, family), flags)
        }
        NextHopKind::Group(_) => (AF_UNSPEC, 0),
        // An object without a gateway must name a family; both may use an IPv4 one's drop.
        NextHopKind::Blackhole => (AF_INET, 0),
    };
    writer.octets(&[family, 0, object.protocol, 0]);
    writer.u32(u32::from(flags));
    writer.attribute_u32(NHA_ID, object.id);
    match &object.kind {
        NextHopKind::Hop(hop) => {
            if let Some(LinkIndex(link)) = hop.link {
                writer.attribute_u32(NHA_OIF, link);
            }
            if let Some(gateway) = hop.gateway {
                writer.attribute_address(NHA_GATEWAY, gateway);
            }
        }
        NextHopKind::Group(members) => writer.attribute(NHA_GROUP, |writer| {
            for (id, weight) in members {
                // Eight bits, and eight more that older kernels want to be zero.
                let [low, high] = (weight.max(&1) - 1).to_le_bytes();
                writer.u32(*id);
                writer.octets(&[low, high, 0, 0]);
            }
        }),
        NextHopKind::Blackhole => writer.attribute(NHA_BLACKHOLE, |_| {}),
    }
}

/// The number as RTM_DELNEXTHOP has it.
pub(super) fn delete(writer: &mut Writer<'_>, id: u32) {
    ask(writer);
    writer.attribute_u32(NHA_ID, id);
}

fn get(payload: &[u8]) -> Option<NextHopObject> {
    let mut reader = Reader::new(payload);
    let [family, _scope, protocol, _] = reader.array()?;
    let flags = reader.u32()?;
    let mut id = None;
    let mut link = None;
    let mut gateway = None;
    let mut members = None;
    let mut drops = false;
    for attribute in reader.attributes() {
        let (kind, value) = attribute?;
        match kind {
            NHA_ID => id = Some(number(value)?),
            NHA_OIF => link = Some(LinkIndex(number(value)?)),
            NHA_GATEWAY => gateway = Some(address(family, value)?),
            NHA_GROUP => members = Some(group(value)?),
            NHA_BLACKHOLE => drops = true,
            _ => {}
        }
    }
    let hop = Hop {
        gateway,
        link,
        onlink: flags & u32::from(RTNH_F_ONLINK) != 0,
        weight: 1,
    };
    let kind = match members {
        Some(members) => NextHopKind::Group(members),
        None if drops => NextHopKind::Blackhole,
        None => NextHopKind::Hop(hop),
    };
    Some(NextHopObject {
        id: id?,
        protocol,
        kind,
    })
}

fn group(value: &[u8]) -> Option<Vec<(u32, u16)>> {
    let mut members = Vec::new();
    let mut reader = Reader::new(value);
    while !reader.is_empty() {
        let id = reader.u32()?;
        let [low, high, _, _] = reader.array()?;
        members.push((id, u16::from_le_bytes([low, high]).saturating_add(1)));
    }
    Some(members)
}

/// RTM_NEWNEXTHOP.
pub(super) fn is_there(payload: &[u8]) -> Option<Notice> {
    get(payload).map(Notice::NextHop)
}

/// RTM_DELNEXTHOP.
pub(super) fn is_gone(payload: &[u8]) -> Option<Notice> {
    get(payload).map(|object| Notice::NextHopGone(object.id))
}

/// Asks for all.
pub(super) fn ask(writer: &mut Writer<'_>) {
    writer.octets(&[0; 8]);
}
