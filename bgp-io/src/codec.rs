//! Messages over any byte stream, for embedders who speak BGP without an engine: tests, probes,
//! collectors.

use bgp_core::family::FamilySet;
use bgp_core::wire::{self, Context, DecodeError, EncodeContext, EncodeError, MAX_LEN, Message};
use bytes::{Buf as _, BytesMut};
use std::io;
use tokio_util::codec::{Decoder, Encoder};

/// Reads and writes BGP messages, as [`wire`] understands them, with `tokio_util`'s
/// [`Framed`](tokio_util::codec::Framed).
///
/// What octets mean depends on what the session negotiated, and that changes with the OPEN
/// messages: begin with the contexts that hold before them, and set both fields when they have
/// been exchanged.
#[derive(Clone, Debug)]
pub struct BgpCodec {
    /// How to read.
    pub decode: Context,
    /// How to write.
    pub encode: EncodeContext,
}

impl BgpCodec {
    /// What nearly every session negotiates: four-octet AS numbers, no path identifiers, messages
    /// of at most 4,096 octets, next hops of the routes' own family.
    pub fn new(internal: bool, families: FamilySet) -> Self {
        Self {
            decode: Context {
                internal,
                four_octet_as: true,
                families,
                add_path: FamilySet::EMPTY,
                extended_next_hop: FamilySet::EMPTY,
                max_len: MAX_LEN,
            },
            encode: EncodeContext {
                four_octet_as: true,
                add_path: FamilySet::EMPTY,
                max_len: MAX_LEN,
            },
        }
    }
}

/// What can go wrong with a stream of messages.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// What arrived is no message; the stream cannot be read on. [`wire::Notification`] can be
    /// made from the reason.
    #[error("unreadable message: {0}")]
    Decode(DecodeError),
    /// The message cannot be written; nothing of it was.
    #[error("unwritable message: {0}")]
    Encode(EncodeError),
    /// The stream itself failed, or ended within a message.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Decoder for BgpCodec {
    type Item = Message;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, CodecError> {
        let frame = wire::frame(buffer, self.decode.max_len).map_err(CodecError::Decode)?;
        let Some(frame) = frame else {
            return Ok(None);
        };
        let message = wire::decode(&frame, &self.decode).map_err(CodecError::Decode)?;
        let len = frame.len;
        buffer.advance(len);
        Ok(Some(message))
    }
}

impl Encoder<Message> for BgpCodec {
    type Error = CodecError;

    fn encode(&mut self, message: Message, buffer: &mut BytesMut) -> Result<(), CodecError> {
        wire::encode_message(&message, &self.encode, buffer).map_err(CodecError::Encode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgp_core::family::Family;
    use bgp_core::prefix::Nlri;
    use bgp_core::types::{Asn, RouterId};
    use bgp_core::wire::{Capability, NextHop, Open, PathAttributes, Reach, Update};
    use std::net::Ipv4Addr;

    fn codec() -> BgpCodec {
        BgpCodec::new(true, FamilySet::from_iter([Family::Ipv4Unicast]))
    }

    fn conversation() -> Vec<Message> {
        let open = Open {
            my_as: 64_512,
            hold_time: 90,
            router_id: RouterId(Ipv4Addr::LOCALHOST),
            capabilities: vec![Capability::FourOctetAs(Asn(64_512))],
        };
        let reach = Reach {
            family: Family::Ipv4Unicast,
            next_hop: NextHop::V4(Ipv4Addr::new(192, 0, 2, 1)),
            nlri: vec![Nlri::plain("10.0.0.0/26".parse().unwrap())],
        };
        let update = Update {
            reach: vec![reach],
            attributes: PathAttributes {
                local_pref: Some(100),
                ..PathAttributes::default()
            },
            ..Update::default()
        };
        vec![
            Message::Open(open),
            Message::Keepalive,
            Message::Update(update),
            Message::Keepalive,
        ]
    }

    fn written() -> BytesMut {
        let mut octets = BytesMut::new();
        for message in conversation() {
            codec().encode(message, &mut octets).unwrap();
        }
        octets
    }

    #[test]
    fn what_is_written_is_read_wherever_it_is_cut() {
        let octets = written();
        for piece in 1..=octets.len() {
            let mut codec = codec();
            let mut buffer = BytesMut::new();
            let mut read = Vec::new();
            for piece in octets.chunks(piece) {
                buffer.extend_from_slice(piece);
                while let Some(message) = codec.decode(&mut buffer).unwrap() {
                    read.push(message);
                }
            }
            assert_eq!(read, conversation());
            assert!(codec.decode_eof(&mut buffer).unwrap().is_none());
        }
    }

    #[test]
    fn an_end_within_a_message_is_an_error() {
        let mut octets = written();
        octets.truncate(octets.len() - 1);
        let mut codec = codec();
        let ended = loop {
            match codec.decode_eof(&mut octets) {
                Ok(message) => assert!(message.is_some()),
                Err(error) => break error,
            }
        };
        assert!(matches!(ended, CodecError::Io(_)), "{ended}");
    }

    #[test]
    fn what_is_no_message_is_an_error_with_its_notification() {
        let mut octets = BytesMut::from(&b"GET / HTTP/1.1\r\nHost: example\r\n\r\n"[..]);
        let error = codec().decode(&mut octets).unwrap_err();
        let CodecError::Decode(error) = error else {
            panic!("{error}");
        };
        let notification = wire::Notification::from(&error);
        let not_synchronized = wire::HeaderError::ConnectionNotSynchronized;
        let expected = wire::NotificationError::MessageHeader(not_synchronized);
        assert_eq!(notification.error, expected);
    }

    #[test]
    fn what_cannot_be_written_leaves_the_stream_alone() {
        let mut octets = written();
        let before = octets.clone();
        let nlri = Nlri::plain("10.0.0.0/26".parse().unwrap());
        let too_long = Update {
            unreach: vec![wire::Unreach {
                family: Family::Ipv4Unicast,
                nlri: vec![nlri; MAX_LEN],
            }],
            ..Update::default()
        };
        let error = codec()
            .encode(Message::Update(too_long), &mut octets)
            .unwrap_err();
        assert!(matches!(error, CodecError::Encode(_)), "{error}");
        assert_eq!(octets, before);
    }
}
