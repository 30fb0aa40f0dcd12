//! Messages: `struct nlmsghdr`, what a message asks or tells, and answers.

use super::number::*;
use super::octets::{Reader, Writer, text};
use super::{link, neighbour, next_hop, route};
use crate::kernel::{Dump, How, KernelError, Notice, Request};
use std::sync::Arc;

/// Octets of a message before its payload.
pub(super) const HEADER: usize = 16;

/// Messages begin at multiples of this.
const ALIGNMENT: usize = 4;

/// A request that no message can hold: more hops or group members than the two octets for the
/// length of an attribute can count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("too many hops or group members for one netlink message")]
pub struct TooLong;

/// Appends `request` as one message to `out`; on error `out` is as before.
///
/// # Errors
///
/// [`TooLong`].
pub fn encode(request: &Request, sequence: u32, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let (kind, flags) = match request {
        Request::PutRoute(_, How::Create) => (RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL),
        Request::PutRoute(_, How::Replace) => (RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE),
        Request::DeleteRoute(..) => (RTM_DELROUTE, 0),
        Request::PutNextHop(_) => (RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_REPLACE),
        Request::DeleteNextHop(_) => (RTM_DELNEXTHOP, 0),
        Request::PutNeighbour(..) => (RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE),
        Request::DeleteNeighbour(_) => (RTM_DELNEIGH, 0),
    };
    write(out, kind, flags, sequence, |writer| match request {
        Request::PutRoute(route, _) => route::put(writer, route),
        Request::DeleteRoute(key, protocol) => route::delete(writer, key, *protocol),
        Request::PutNextHop(object) => next_hop::put(writer, object),
        Request::DeleteNextHop(id) => next_hop::delete(writer, *id),
        Request::PutNeighbour(key, target) => neighbour::put(writer, key, target),
        Request::DeleteNeighbour(key) => neighbour::delete(writer, key),
    })
}

fn write(
    out: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    body: impl FnOnce(&mut Writer<'_>),
) -> Result<(), TooLong> {
    let start = out.len();
    let mut writer = Writer::new(out);
    writer.u32(0);
    writer.u16(kind);
    writer.u16(flags | NLM_F_REQUEST);
    writer.u32(sequence);
    writer.u32(0);
    body(&mut writer);
    let too_long = writer.is_too_long();
    let length = u32::try_from(out.len() - start).map_err(|_| TooLong);
    match (length, out.get_mut(start..start + 4)) {
        (Ok(length), Some(field)) if !too_long => {
            field.copy_from_slice(&length.to_ne_bytes());
            Ok(())
        }
        _ => {
            out.truncate(start);
            Err(TooLong)
        }
    }
}

/// Sets NLM_F_ACK in the message that begins at `start`.
pub(super) fn ask_for_answer(out: &mut [u8], start: usize) {
    if let Some([low, high]) = out.get_mut(start + 6..start + 8) {
        let flags = u16::from_ne_bytes([*low, *high]) | NLM_F_ACK;
        [*low, *high] = flags.to_ne_bytes();
    }
}

/// What one request for a dump can ask for: a kind of object of one family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DumpPart {
    kind: u16,
    family: u8,
}

/// The requests that make up a dump, to be sent one after the other's end.
pub fn parts(dump: Dump) -> &'static [DumpPart] {
    const fn part(kind: u16, family: u8) -> DumpPart {
        DumpPart { kind, family }
    }
    match dump {
        Dump::Links => &const { [part(RTM_GETLINK, AF_UNSPEC)] },
        Dump::Addresses => &const { [part(RTM_GETADDR, AF_UNSPEC)] },
        Dump::Routes => &const { [part(RTM_GETROUTE, AF_INET), part(RTM_GETROUTE, AF_INET6)] },
        Dump::NextHops => &const { [part(RTM_GETNEXTHOP, AF_UNSPEC)] },
        Dump::Neighbours => {
            &const {
                [
                    part(RTM_GETNEIGH, AF_INET),
                    part(RTM_GETNEIGH, AF_INET6),
                    part(RTM_GETNEIGH, AF_BRIDGE),
                ]
            }
        }
    }
}

impl DumpPart {
    /// Whether `message` is of the family that was asked for. A kernel that was built or started
    /// without a family answers with those that it has.
    pub fn is_answered_by(self, message: &Message<'_>) -> bool {
        self.family == AF_UNSPEC || message.payload.first() == Some(&self.family)
    }
}

/// Appends a request for a dump, in the strict form (NETLINK_GET_STRICT_CHK), to `out`.
pub fn encode_dump(part: DumpPart, sequence: u32, out: &mut Vec<u8>) {
    // These are far too short to be too long.
    let _ = write(out, part.kind, NLM_F_DUMP, sequence, |writer| {
        match part.kind {
            RTM_GETLINK => link::ask(writer),
            RTM_GETADDR => link::ask_addresses(writer),
            RTM_GETROUTE => route::ask(writer, part.family),
            RTM_GETNEXTHOP => next_hop::ask(writer),
            _ => neighbour::ask(writer, part.family),
        }
    });
}

/// One message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    kind: u16,
    flags: u16,
    /// The number of the request that it answers, or whose effect it is.
    pub sequence: u32,
    /// The port of the socket that made the request; 0 where the kernel acted by itself.
    pub port: u32,
    payload: &'a [u8],
}

impl Message<'_> {
    /// Whether a dump was disturbed by changes, so that something may be missing or double
    /// (NLM_F_DUMP_INTR). Where this is not said, the same may be true of IPv4 routes.
    pub fn is_interrupted(&self) -> bool {
        self.flags & NLM_F_DUMP_INTR != 0
    }

    /// Whether it tells of a route or a neighbour, which a request names by its key: where the
    /// request was ours, its answer has told all.
    pub fn is_about_key(&self) -> bool {
        matches!(
            self.kind,
            RTM_NEWROUTE | RTM_DELROUTE | RTM_NEWNEIGH | RTM_DELNEIGH
        )
    }
}

/// Octets that are no message; the rest of the datagram is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a netlink message is cut off")]
pub struct Malformed;

/// The messages of a datagram.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Of these octets.
    pub fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }

    fn read(&mut self) -> Option<Message<'a>> {
        let mut reader = Reader::new(self.rest);
        let length = usize::try_from(reader.u32()?).ok()?;
        let mut reader = Reader::new(self.rest.get(4..length)?);
        let message = Message {
            kind: reader.u16()?,
            flags: reader.u16()?,
            sequence: reader.u32()?,
            port: reader.u32()?,
            payload: reader.rest(),
        };
        let next = length.next_multiple_of(ALIGNMENT);
        self.rest = self.rest.get(next..).unwrap_or_default();
        Some(message)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let message = self.read();
        if message.is_none() {
            self.rest = &[];
        }
        Some(message.ok_or(Malformed))
    }
}

/// What `message` tells; `None` where it tells nothing that concerns us.
pub fn notice(message: &Message<'_>) -> Option<Notice> {
    let payload = message.payload;
    match message.kind {
        RTM_NEWROUTE => route::is_there(payload, message.flags),
        RTM_DELROUTE => route::is_gone(payload),
        RTM_NEWLINK => link::is_there(payload),
        RTM_DELLINK => link::is_gone(payload),
        RTM_NEWADDR => link::get_address(payload).map(Notice::Address),
        RTM_DELADDR => link::get_address(payload).map(Notice::AddressGone),
        RTM_NEWNEXTHOP => next_hop::is_there(payload),
        RTM_DELNEXTHOP => next_hop::is_gone(payload),
        RTM_NEWNEIGH => neighbour::is_there(payload),
        RTM_DELNEIGH => neighbour::is_gone(payload),
        _ => None,
    }
}

/// The end of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// An answer to a request (NLMSG_ERROR, which also says that all went well).
    Answer(Result<(), KernelError>),
    /// A dump is at its end (NLMSG_DONE).
    Done(Result<(), KernelError>),
}

/// How a request ended, if `message` says so.
pub fn reply(message: &Message<'_>) -> Option<Reply> {
    match message.kind {
        NLMSG_ERROR => Some(Reply::Answer(answer(message)?)),
        NLMSG_DONE => Some(Reply::Done(done(message)?)),
        _ => None,
    }
}

fn answer(message: &Message<'_>) -> Option<Result<(), KernelError>> {
    let mut reader = Reader::new(message.payload);
    let error = reader.u32()?.cast_signed();
    // The request's header, and the rest of it unless it is left out.
    let length = usize::try_from(reader.u32()?).ok()?;
    let capped = message.flags & NLM_F_CAPPED != 0 || error == 0;
    let length = if capped { HEADER } else { length };
    reader.take(length.checked_sub(4)?.next_multiple_of(ALIGNMENT))?;
    Some(ended(error, message.flags, reader))
}

fn done(message: &Message<'_>) -> Option<Result<(), KernelError>> {
    // Old kernels end a dump without a number.
    if message.payload.is_empty() {
        return Some(Ok(()));
    }
    let mut reader = Reader::new(message.payload);
    let error = reader.u32()?.cast_signed();
    Some(ended(error, message.flags, reader))
}

fn ended(error: i32, flags: u16, attributes: Reader<'_>) -> Result<(), KernelError> {
    if error >= 0 {
        return Ok(());
    }
    let mut words = "";
    if flags & NLM_F_ACK_TLVS != 0 {
        for (kind, value) in attributes.attributes().map_while(|attribute| attribute) {
            if kind == NLMSGERR_ATTR_MSG {
                words = text(value).unwrap_or_default();
            }
        }
    }
    Err(KernelError {
        errno: error.saturating_neg(),
        text: Arc::from(words),
    })
}
