//! Whole messages: the header, the types, and what goes where.

use super::context::{Context, EncodeContext, HEADER_LEN, MAX_LEN};
use super::notification::DecodeError;
use super::reader::Reader;
use super::types::{
    Message, Notification, NotificationError, Reach, RefreshSubtype, RouteRefresh, Unreach,
};
use super::{open, update, write};
use crate::family::AfiSafi;
use bytes::{BufMut, BytesMut};
use std::fmt;

/// Message types (RFC 4271 §4.1, RFC 2918).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MessageKind {
    /// 1
    Open,
    /// 2
    Update,
    /// 3
    Notification,
    /// 4
    Keepalive,
    /// 5
    RouteRefresh,
}

impl MessageKind {
    const ALL: [Self; 5] = [
        Self::Open,
        Self::Update,
        Self::Notification,
        Self::Keepalive,
        Self::RouteRefresh,
    ];

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Its number on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Update => 2,
            Self::Notification => 3,
            Self::Keepalive => 4,
            Self::RouteRefresh => 5,
        }
    }

    /// The shortest message of this type that the header alone lets through (RFC 4271 §6.1). Two
    /// types are judged when they are read: a NOTIFICATION because it is never answered
    /// (RFC 4271 §6.4), a ROUTE-REFRESH because it has an error of its own (RFC 7313 §5).
    fn min_len(self) -> usize {
        HEADER_LEN
            + match self {
                Self::Open => 10,
                Self::Update => 4,
                Self::Notification | Self::Keepalive | Self::RouteRefresh => 0,
            }
    }

    /// The longest, on a session that allows `max_len`. OPEN and KEEPALIVE never grow (RFC 8654 §4).
    fn max_len(self, max_len: usize) -> usize {
        match self {
            Self::Keepalive => HEADER_LEN,
            Self::Open => MAX_LEN,
            Self::Update | Self::Notification | Self::RouteRefresh => max_len,
        }
    }
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "OPEN",
            Self::Update => "UPDATE",
            Self::Notification => "NOTIFICATION",
            Self::Keepalive => "KEEPALIVE",
            Self::RouteRefresh => "ROUTE-REFRESH",
        })
    }
}

/// A whole message that has been cut off a stream and not been read yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// Its type.
    pub kind: MessageKind,
    /// What follows the header.
    pub body: &'a [u8],
    /// Octets of header and body together.
    pub len: usize,
}

impl Frame<'_> {
    /// The message as it was received.
    fn octets(&self) -> Vec<u8> {
        let mut octets = vec![0xff; 16];
        octets.put_u16(u16::try_from(self.len).unwrap_or(u16::MAX));
        octets.put_u8(self.kind.code());
        octets.put_slice(self.body);
        octets
    }
}

/// Cuts the first message off `buffer`: `None` when more octets are needed. The header is judged
/// as soon as it is there (RFC 4271 §6.1).
///
/// # Errors
///
/// What the header violates.
pub fn frame(buffer: &[u8], max_len: usize) -> Result<Option<Frame<'_>>, DecodeError> {
    let mut reader = Reader::new(buffer);
    let Some(marker) = reader.take(16) else {
        return Ok(None);
    };
    if marker != [0xff; 16] {
        return Err(DecodeError::Marker);
    }
    let (Some(length), Some(code)) = (reader.u16(), reader.u8()) else {
        return Ok(None);
    };
    let len = usize::from(length);
    if len < HEADER_LEN || len > max_len {
        return Err(DecodeError::Length(length));
    }
    let kind = MessageKind::from_code(code).ok_or(DecodeError::Type(code))?;
    if len < kind.min_len() || len > kind.max_len(max_len) {
        return Err(DecodeError::Length(length));
    }
    Ok(buffer
        .get(HEADER_LEN..len)
        .map(|body| Frame { kind, body, len }))
}

/// Reads a message.
///
/// # Errors
///
/// What cannot be read at all; milder faults are in the [`Update`](super::Update).
pub fn decode(frame: &Frame<'_>, context: &Context) -> Result<Message, DecodeError> {
    match frame.kind {
        MessageKind::Open => open::read(frame.body).map(Message::Open),
        MessageKind::Update => update::read(frame.body, context).map(Message::Update),
        MessageKind::Notification => {
            let mut reader = Reader::new(frame.body);
            let (Some(code), Some(subcode)) = (reader.u8(), reader.u8()) else {
                return Err(wrong_length(frame));
            };
            let error = NotificationError::from_codes(code, subcode);
            Ok(Message::Notification(Notification {
                error,
                data: reader.rest().to_vec(),
            }))
        }
        MessageKind::Keepalive => Ok(Message::Keepalive),
        MessageKind::RouteRefresh => refresh(frame).map(Message::RouteRefresh),
    }
}

fn wrong_length(frame: &Frame<'_>) -> DecodeError {
    DecodeError::Length(u16::try_from(frame.len).unwrap_or(u16::MAX))
}

/// RFC 2918 §3, RFC 7313 §5.
fn refresh(frame: &Frame<'_>) -> Result<RouteRefresh, DecodeError> {
    // RFC 7313 §5 ignores subtypes that it does not know, whatever may follow in them.
    let known = frame.body.get(2).is_none_or(|subtype| *subtype <= 2);
    let Some(([a, b, subtype, safi], _)) = frame
        .body
        .split_first_chunk::<4>()
        .filter(|(_, rest)| rest.is_empty() || !known)
    else {
        // RFC 7313 has an error of its own for its markers, and wants the message back.
        return Err(match frame.body.get(2) {
            Some(1 | 2) => DecodeError::RefreshLength(frame.octets()),
            _ => wrong_length(frame),
        });
    };
    let subtype = match *subtype {
        0 => RefreshSubtype::Request,
        1 => RefreshSubtype::Begin,
        2 => RefreshSubtype::End,
        other => RefreshSubtype::Unknown(other),
    };
    Ok(RouteRefresh {
        family: AfiSafi {
            afi: u16::from_be_bytes([*a, *b]),
            safi: *safi,
        },
        subtype,
    })
}

impl Message {
    /// Its type.
    pub fn kind(&self) -> MessageKind {
        match self {
            Self::Open(_) => MessageKind::Open,
            Self::Update(_) => MessageKind::Update,
            Self::Notification(_) => MessageKind::Notification,
            Self::Keepalive => MessageKind::Keepalive,
            Self::RouteRefresh(_) => MessageKind::RouteRefresh,
        }
    }
}

/// Why a message cannot be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EncodeError {
    /// It would be longer than the peer accepts.
    TooLong {
        /// What it would take.
        len: usize,
        /// What the peer accepts.
        max_len: usize,
    },
    /// An UPDATE with more than one message can say (several next hops of one family, or faults),
    /// or with nothing at all: its octets would be the End-of-RIB marker that it is not.
    NotOneMessage,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len, max_len } => {
                write!(
                    f,
                    "the message would take {len} octets, the peer accepts {max_len}"
                )
            }
            Self::NotOneMessage => f.write_str("this is more than one UPDATE can say, or nothing"),
        }
    }
}

impl std::error::Error for EncodeError {}

/// Appends a message to `out`. On an error `out` is as before.
///
/// # Errors
///
/// [`EncodeError`].
pub fn encode_message(
    message: &Message,
    context: &EncodeContext,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let start = out.len();
    let kind = message.kind();
    write::begin(kind, out);
    match message {
        Message::Open(message) => open::write(message, out),
        Message::Update(message) => {
            let classic = |reach: &&Reach| write::is_classic(reach.family, &reach.next_hop);
            let reach: Vec<&Reach> = message.reach.iter().filter(classic).collect();
            let mp: Vec<&Reach> = message.reach.iter().filter(|r| !classic(r)).collect();
            let v4 = |u: &&Unreach| u.family == crate::family::Family::Ipv4Unicast;
            let unreach: Vec<&Unreach> = message.unreach.iter().filter(v4).collect();
            let mp_unreach: Vec<&Unreach> = message.unreach.iter().filter(|u| !v4(u)).collect();
            let parts = [reach.len(), mp.len(), unreach.len(), mp_unreach.len()];
            let says_nothing = parts == [0; 4] && message.end_of_rib.is_none();
            let says_too_much = parts.iter().any(|count| *count > 1);
            if says_nothing || says_too_much || !message.faults.is_empty() {
                out.truncate(start);
                return Err(EncodeError::NotOneMessage);
            }
            let parts = write::Parts {
                reach: reach.first().copied(),
                mp_reach: mp.first().copied(),
                unreach: unreach.first().copied(),
                mp_unreach: mp_unreach.first().copied(),
                end_of_rib: message.end_of_rib,
            };
            write::body(&parts, &message.attributes, context, out);
        }
        Message::Notification(message) => {
            let (code, subcode) = message.error.codes();
            out.put_slice(&[code, subcode]);
            out.put_slice(&message.data);
        }
        Message::Keepalive => {}
        Message::RouteRefresh(message) => {
            out.put_u16(message.family.afi);
            out.put_u8(match message.subtype {
                RefreshSubtype::Request => 0,
                RefreshSubtype::Begin => 1,
                RefreshSubtype::End => 2,
                RefreshSubtype::Unknown(other) => other,
            });
            out.put_u8(message.family.safi);
        }
    }
    let len = out.len() - start;
    let max_len = kind.max_len(context.max_len);
    if len > max_len {
        out.truncate(start);
        return Err(EncodeError::TooLong { len, max_len });
    }
    write::end(start, out);
    Ok(())
}
