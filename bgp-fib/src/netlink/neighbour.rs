//! Neighbours and forwarding entries: `struct ndmsg` and its attributes.

use super::number::*;
use super::octets::{Reader, Writer, address, family};
use crate::kernel::{LinkIndex, Mac, NeighbourKey, NeighbourTarget, Notice};
use std::net::IpAddr;

/// The entry as RTM_NEWNEIGH has it. A target that does not go with the key leaves the entry
/// without one, which the kernel refuses.
pub(super) fn put(writer: &mut Writer<'_>, key: &NeighbourKey, target: &NeighbourTarget) {
    delete(writer, key);
    match (key, target) {
        (NeighbourKey::Neighbour(..), NeighbourTarget::Mac(mac)) => {
            writer.attribute(NDA_LLADDR, |writer| writer.octets(&mac.0));
        }
        (NeighbourKey::Forwarding(..), NeighbourTarget::Host(host)) => {
            writer.attribute_address(NDA_DST, *host);
        }
        (NeighbourKey::Neighbour(..), NeighbourTarget::Host(_))
        | (NeighbourKey::Forwarding(..), NeighbourTarget::Mac(_)) => {}
    }
}

/// The key as RTM_DELNEIGH has it.
pub(super) fn delete(writer: &mut Writer<'_>, key: &NeighbourKey) {
    match key {
        NeighbourKey::Neighbour(link, address) => {
            header(writer, family(*address), *link, 0);
            writer.attribute_address(NDA_DST, *address);
        }
        NeighbourKey::Forwarding(link, mac) => {
            header(writer, AF_BRIDGE, *link, NTF_SELF);
            writer.attribute(NDA_LLADDR, |writer| writer.octets(&mac.0));
        }
    }
}

fn header(writer: &mut Writer<'_>, family: u8, link: LinkIndex, flags: u8) {
    writer.octets(&[family, 0, 0, 0]);
    writer.u32(link.0);
    writer.u16(NUD_PERMANENT);
    writer.octets(&[flags, 0]);
}

/// What a message tells of.
struct Entry {
    key: NeighbourKey,
    target: Option<NeighbourTarget>,
    permanent: bool,
}

/// `None` also for addresses that we answer for, and for what bridges have learned.
fn get(payload: &[u8]) -> Option<Entry> {
    let mut reader = Reader::new(payload);
    let [entry_family, ..] = reader.array::<4>()?;
    let link = LinkIndex(reader.u32()?);
    let state = reader.u16()?;
    let [flags, _kind] = reader.array()?;
    let mut destination = None;
    let mut mac = None;
    for attribute in reader.attributes() {
        match attribute? {
            (NDA_DST, value) => destination = Some(any_address(value)?),
            (NDA_LLADDR, value) => mac = value.try_into().ok().map(Mac),
            _ => {}
        }
    }
    let (key, target) = match entry_family {
        AF_INET | AF_INET6 if flags & NTF_PROXY == 0 => {
            let address = destination.filter(|address| family(*address) == entry_family)?;
            let target = mac.map(NeighbourTarget::Mac);
            (NeighbourKey::Neighbour(link, address), target)
        }
        AF_BRIDGE if flags & NTF_SELF != 0 => {
            let target = destination.map(NeighbourTarget::Host);
            (NeighbourKey::Forwarding(link, mac?), target)
        }
        _ => return None,
    };
    Some(Entry {
        key,
        target,
        permanent: state & NUD_PERMANENT != 0,
    })
}

/// An address whose family is told by its length, as in a forwarding entry.
fn any_address(value: &[u8]) -> Option<IpAddr> {
    address(AF_INET, value).or_else(|| address(AF_INET6, value))
}

/// RTM_NEWNEIGH. An entry that is not permanent is, to us, the absence of one.
pub(super) fn is_there(payload: &[u8]) -> Option<Notice> {
    let entry = get(payload)?;
    let notice = match entry.target {
        Some(target) if entry.permanent => Notice::Neighbour(entry.key, target),
        _ => Notice::NeighbourGone(entry.key),
    };
    Some(notice)
}

/// RTM_DELNEIGH.
pub(super) fn is_gone(payload: &[u8]) -> Option<Notice> {
    get(payload).map(|entry| Notice::NeighbourGone(entry.key))
}

/// Asks for all entries of a family.
pub(super) fn ask(writer: &mut Writer<'_>, family: u8) {
    writer.octets(&[family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}
