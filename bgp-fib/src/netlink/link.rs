//! Devices (`struct ifinfomsg`) and their addresses (`struct ifaddrmsg`).

use super::number::*;
use super::octets::{Reader, Writer, address, text};
use crate::kernel::{Address, Link, LinkIndex, Mac, Notice};
use bgp_core::prefix::IpNet;
use std::sync::Arc;

/// Number and flags; `None` for what other families say about a device: that it has become a port
/// of a bridge, or (RTM_DELLINK!) is no longer one.
fn header(reader: &mut Reader<'_>) -> Option<(LinkIndex, u32)> {
    let [family, ..] = reader.array::<4>()?;
    let index = LinkIndex(reader.u32()?);
    let flags = reader.u32()?;
    let _changed = reader.u32()?;
    (family == AF_UNSPEC).then_some((index, flags))
}

/// RTM_NEWLINK.
pub(super) fn is_there(payload: &[u8]) -> Option<Notice> {
    let mut reader = Reader::new(payload);
    let (index, flags) = header(&mut reader)?;
    let mut name = None;
    let mut kind = "";
    let mut mac = None;
    for attribute in reader.attributes() {
        match attribute? {
            (IFLA_IFNAME, value) => name = Some(text(value)?),
            (IFLA_ADDRESS, value) => mac = value.try_into().ok().map(Mac),
            (IFLA_LINKINFO, value) => kind = info_kind(value)?,
            _ => {}
        }
    }
    Some(Notice::Link(Link {
        index,
        name: Arc::from(name?),
        up: flags & IFF_UP != 0,
        carrier: flags & IFF_LOWER_UP != 0,
        loopback: flags & IFF_LOOPBACK != 0,
        kind: Arc::from(kind),
        mac,
    }))
}

fn info_kind(value: &[u8]) -> Option<&str> {
    for attribute in Reader::new(value).attributes() {
        if let (IFLA_INFO_KIND, value) = attribute? {
            return text(value);
        }
    }
    Some("")
}

/// RTM_DELLINK.
pub(super) fn is_gone(payload: &[u8]) -> Option<Notice> {
    let (index, _flags) = header(&mut Reader::new(payload))?;
    Some(Notice::LinkGone(index))
}

/// Asks for all devices, without their counters.
pub(super) fn ask(writer: &mut Writer<'_>) {
    writer.octets(&[0; 16]);
    writer.attribute_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
}

/// The address of a message. Where it has a peer, the length given is that of the peer's network,
/// and our own address stands by itself.
pub(super) fn get_address(payload: &[u8]) -> Option<Address> {
    let mut reader = Reader::new(payload);
    let [family, length, _flags, _scope] = reader.array()?;
    let link = LinkIndex(reader.u32()?);
    let mut local = None;
    let mut peer = None;
    for attribute in reader.attributes() {
        match attribute? {
            (IFA_LOCAL, value) => local = Some(address(family, value)?),
            (IFA_ADDRESS, value) => peer = Some(address(family, value)?),
            _ => {}
        }
    }
    let own = local.or(peer)?;
    let address = if peer.is_some_and(|peer| peer != own) {
        IpNet::from(own)
    } else {
        IpNet::new(own, length).ok()?
    };
    Some(Address { link, address })
}

/// Asks for all addresses.
pub(super) fn ask_addresses(writer: &mut Writer<'_>) {
    writer.octets(&[0; 8]);
}
