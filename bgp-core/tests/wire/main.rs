//! Tests of the wire room: golden messages, the fault table of RFC 7606, rules of single RFCs,
//! packing, and round trips of arbitrary messages.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, where the lint only knows test functions"
)]

mod faults;
mod goldens;
mod open;
mod packing;
mod roundtrip;
mod update;

use bgp_core::family::{Family, FamilySet};
use bgp_core::wire::{
    Context, DecodeError, EncodeContext, MAX_LEN, Message, Notification, Update, decode, frame,
};

const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const NOTIFICATION: u8 = 3;
const ROUTE_REFRESH: u8 = 5;

fn both() -> FamilySet {
    FamilySet::from_iter(Family::ALL)
}

/// An internal session with four-octet AS numbers and both families, and nothing further.
fn internal() -> Context {
    Context {
        internal: true,
        four_octet_as: true,
        families: both(),
        add_path: FamilySet::EMPTY,
        extended_next_hop: FamilySet::EMPTY,
        max_len: MAX_LEN,
    }
}

fn external() -> Context {
    Context {
        internal: false,
        ..internal()
    }
}

/// How our end would write to a peer that reads by `context`.
fn writing(context: &Context) -> EncodeContext {
    EncodeContext {
        four_octet_as: context.four_octet_as,
        add_path: context.add_path,
        max_len: context.max_len,
    }
}

/// A whole message with the given body.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![0xff; 16];
    octets.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
    octets.push(kind);
    octets.extend(body);
    octets
}

fn read(octets: &[u8], context: &Context) -> Result<Message, DecodeError> {
    let frame = frame(octets, context.max_len)?.unwrap();
    decode(&frame, context)
}

/// An attribute with a length of one octet, or of two when the flags say so.
fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let mut octets = vec![flags, code];
    let length = u16::try_from(value.len()).unwrap();
    if flags & 0x10 == 0 {
        octets.push(u8::try_from(length).unwrap());
    } else {
        octets.extend(length.to_be_bytes());
    }
    octets.extend(value);
    octets
}

/// The body of an UPDATE.
fn update_body(withdrawn: &[u8], attributes: &[Vec<u8>], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let mut body = u16::try_from(withdrawn.len())
        .unwrap()
        .to_be_bytes()
        .to_vec();
    body.extend(withdrawn);
    body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    body.extend(attributes);
    body.extend(nlri);
    body
}

fn read_update(
    withdrawn: &[u8],
    attributes: &[Vec<u8>],
    nlri: &[u8],
    context: &Context,
) -> Result<Update, DecodeError> {
    let octets = message(UPDATE, &update_body(withdrawn, attributes, nlri));
    match read(&octets, context)? {
        Message::Update(update) => Ok(update),
        other @ (Message::Open(_)
        | Message::Notification(_)
        | Message::Keepalive
        | Message::RouteRefresh(_)) => panic!("an UPDATE was read as {other:?}"),
    }
}

fn origin() -> Vec<u8> {
    attribute(0x40, 1, &[0])
}

fn as_path() -> Vec<u8> {
    attribute(0x40, 2, &[2, 1, 0, 0, 0xfd, 0xe9])
}

fn next_hop() -> Vec<u8> {
    attribute(0x40, 3, &[192, 0, 2, 1])
}

/// 10.1.0.0/16
const NLRI: [u8; 3] = [16, 10, 1];

/// MP_REACH_NLRI of 2001:db8::/32 through 2001:db8::1.
fn mp_reach() -> Vec<u8> {
    let mut value = vec![0, 2, 1, 16, 0x20, 1, 0x0d, 0xb8];
    value.extend([0; 11]);
    value.extend([1, 0]);
    value.extend([32, 0x20, 1, 0x0d, 0xb8]);
    attribute(0x80, 14, &value)
}

/// MP_UNREACH_NLRI of 2001:db8::/32.
fn mp_unreach() -> Vec<u8> {
    attribute(0x80, 15, &[0, 2, 1, 32, 0x20, 1, 0x0d, 0xb8])
}

/// Error code, subcode and data of the NOTIFICATION that an error leads to.
fn answer(error: &DecodeError) -> (u8, u8, Vec<u8>) {
    let notification = Notification::from(error);
    let (code, subcode) = notification.error.codes();
    (code, subcode, notification.data)
}
