//! One transport connection: its socket, what it has still to say, and where it is in its life.
//!
//! ```text
//! dial ──► Dialing ──► Open ──► Closing ──► gone
//! accept ──────────────┘
//! ```
//!
//! The engine owns all connections and calls them; they call nobody. Reading and writing never
//! wait: either something moved, or the socket has been given the connection's waker.

use crate::ready::{ReadyList, Token};
use crate::socket;
use bgp_core::types::ConnectionId;
use bytes::{Buf as _, Bytes};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

/// At most this many messages leave with one system call. Beyond this a call costs what its
/// octets cost.
const MAX_SLICES: usize = 64;

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    pub(crate) remote: SocketAddr,
    pub(crate) phase: Phase,
    pub(crate) writing: Writing,
    /// What was handed out and not yet taken by the socket: empty but while it is blocked, and
    /// never more than one batch and the last words.
    pub(crate) outbox: Outbox,
    read_waker: Waker,
    write_waker: Waker,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// We connect; the speaker waits for the outcome.
    Dialing,
    /// The speaker knows it.
    Open,
    /// The speaker has forgotten it. What is in the outbox is written, then FIN; then what the
    /// peer still sends is read and thrown away until its FIN, because closing a socket with
    /// unread octets would send a reset, and that may overtake our last words.
    Closing {
        /// FIN has been sent.
        finished: bool,
        /// The peer's FIN has come.
        ended: bool,
        /// Octets thrown away so far.
        drained: usize,
    },
}

/// Whether the engine has this connection on its list for writing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Writing {
    /// Nothing to write that we know of.
    Idle,
    /// It is on the list.
    Queued,
    /// The socket takes no more and has been given the waker.
    Blocked,
}

/// How a read went.
#[derive(Debug)]
pub(crate) enum Read {
    /// This many octets are in the buffer.
    Some(usize),
    /// Nothing now; the waker will be called.
    Pending,
    /// The peer has said everything.
    End,
    /// The connection broke.
    Broken(io::Error),
}

/// How writing went.
#[derive(Debug)]
pub(crate) enum Written {
    /// Everything is with the kernel.
    All,
    /// Not everything; the waker will be called.
    Blocked,
    /// The connection broke.
    Broken(io::Error),
}

impl Connection {
    /// A connection in `phase` around `stream`.
    pub(crate) fn new(
        stream: TcpStream,
        remote: SocketAddr,
        id: ConnectionId,
        phase: Phase,
        ready: &Arc<ReadyList>,
    ) -> Self {
        Self {
            stream,
            remote,
            phase,
            writing: Writing::Idle,
            outbox: Outbox::default(),
            read_waker: ready.waker(Token::Read(id)),
            write_waker: ready.waker(Token::Write(id)),
        }
    }

    /// How the attempt to connect ended: our address, or why not.
    pub(crate) fn poll_outcome(&self) -> Poll<io::Result<SocketAddr>> {
        let mut task = Context::from_waker(&self.write_waker);
        self.stream
            .poll_write_ready(&mut task)
            .map(|ready| ready.and_then(|()| socket::outcome(&self.stream, self.remote)))
    }

    /// Reads into `buffer` what fits.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Read {
        let mut task = Context::from_waker(&self.read_waker);
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut self.stream).poll_read(&mut task, &mut buffer) {
            Poll::Pending => Read::Pending,
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Read::End,
            Poll::Ready(Ok(())) => Read::Some(buffer.filled().len()),
            Poll::Ready(Err(error)) => Read::Broken(error),
        }
    }

    /// Writes from `outbox` until it is empty or the socket takes no more. Gives the number of
    /// octets written, however it went.
    pub(crate) fn write(&mut self, outbox: &mut Outbox) -> (usize, Written) {
        let mut task = Context::from_waker(&self.write_waker);
        let mut total = 0;
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let used = outbox.slices(&mut slices);
            match Pin::new(&mut self.stream).poll_write_vectored(&mut task, used) {
                Poll::Pending => return (total, Written::Blocked),
                Poll::Ready(Ok(0)) => {
                    return (total, Written::Broken(io::ErrorKind::WriteZero.into()));
                }
                Poll::Ready(Ok(written)) => {
                    outbox.advance(written);
                    total += written;
                }
                Poll::Ready(Err(error)) => return (total, Written::Broken(error)),
            }
        }
        (total, Written::All)
    }

    /// Says FIN.
    pub(crate) fn finish_writing(&self) -> io::Result<()> {
        socket::finish_writing(&self.stream)
    }

    /// To be called before a connection is dropped that has not come to its end.
    pub(crate) fn give_up(&mut self, buffer: &mut [u8]) {
        if self.outbox.is_empty() {
            // Closing with unread octets would send a reset after our last words.
            self.read(buffer);
        } else {
            // The peer takes nothing: the kernel must not keep on trying for minutes with a full
            // buffer. Should this fail, it does: nothing worse.
            let _ = socket::reset_on_close(&self.stream);
        }
    }
}

/// Octets on their way out, in the order in which they leave. The octets are shared with other
/// connections and never copied.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    chunks: Vec<Bytes>,
    /// The first chunk that has not left; those before it have.
    next: usize,
}

impl Outbox {
    /// Whether everything has left.
    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.chunks.len()
    }

    /// How many octets have not left.
    pub(crate) fn octets(&self) -> usize {
        self.chunks.iter().skip(self.next).map(Bytes::len).sum()
    }

    /// Adds what `fill` appends, which must go behind what is there.
    pub(crate) fn fill<R>(&mut self, fill: impl FnOnce(&mut Vec<Bytes>) -> R) -> R {
        if self.is_empty() {
            self.chunks.clear();
            self.next = 0;
        }
        let before = self.chunks.len();
        let result = fill(&mut self.chunks);
        // An empty chunk would look like a socket that takes nothing.
        if self.chunks.iter().skip(before).any(Bytes::is_empty) {
            self.chunks.retain(|chunk| !chunk.is_empty());
        }
        result
    }

    /// Takes out what has not left. The allocation stays here.
    pub(crate) fn split_rest(&mut self) -> Self {
        let chunks = self.chunks.split_off(self.next);
        self.chunks.clear();
        self.next = 0;
        Self { chunks, next: 0 }
    }

    fn slices<'slices, 'chunks>(
        &'chunks self,
        slices: &'slices mut [IoSlice<'chunks>; MAX_SLICES],
    ) -> &'slices [IoSlice<'chunks>] {
        let mut used = 0;
        for (slice, chunk) in slices.iter_mut().zip(self.chunks.iter().skip(self.next)) {
            *slice = IoSlice::new(chunk);
            used += 1;
        }
        slices.split_at(used).0
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(chunk) = self.chunks.get_mut(self.next) {
            if written < chunk.len() {
                chunk.advance(written);
                return;
            }
            written -= chunk.len();
            // The octets may be freed as soon as nobody else needs them.
            *chunk = Bytes::new();
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(chunks: &[&'static [u8]]) -> Outbox {
        let mut outbox = Outbox::default();
        outbox.fill(|all| all.extend(chunks.iter().map(|chunk| Bytes::from_static(chunk))));
        outbox
    }

    fn text(outbox: &Outbox) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let slices = outbox.slices(&mut slices).iter();
        slices.flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn what_has_left_is_not_said_again() {
        let mut outbox = outbox(&[b"ab", b"", b"cde", b"f"]);
        assert_eq!(text(&outbox), b"abcdef");
        outbox.advance(1);
        assert_eq!(text(&outbox), b"bcdef");
        outbox.advance(2);
        assert_eq!(text(&outbox), b"def");
        outbox.fill(|all| all.push(Bytes::from_static(b"last")));
        assert_eq!(text(&outbox), b"deflast");
        let mut rest = outbox.split_rest();
        assert!(outbox.is_empty());
        assert_eq!(text(&rest), b"deflast");
        rest.advance(7);
        assert!(rest.is_empty());
    }

    #[test]
    fn one_call_takes_a_bounded_number_of_messages() {
        let outbox = outbox(&[&b"x"[..]; MAX_SLICES + 1]);
        assert_eq!(text(&outbox).len(), MAX_SLICES);
    }
}
