//! Messages over any byte stream, for embedders who speak BGP without an engine: tests, probes,
//! collectors.

use bgp_core::wire::{self, Context, DecodeError, EncodeContext, EncodeError, Message};
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
