//! The socket through which everything of a kind is read.

use super::{DumpPart, Inbox, Message, Messages, Received, Reply, Socket};
use super::{encode_dump, notice, parts, reply};
use crate::kernel::{Dump, Notice};
use std::io;

/// `EOPNOTSUPP`: the kernel does not know that kind of object, so there are none.
const NOT_SUPPORTED: i32 = 95;

/// Reads dumps, one at a time and in pieces. Nothing waits: the kernel writes the next piece when
/// the one before it is read.
#[derive(Debug)]
pub struct Dumper {
    socket: Socket,
    inbox: Inbox,
    sequence: u32,
    octets: Vec<u8>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    dump: Dump,
    /// The part that is being read, and those after it.
    part: DumpPart,
    rest: &'static [DumpPart],
    entries: Vec<Notice>,
    complete: bool,
}

/// A dump that has come to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dumped {
    /// What was asked for.
    pub dump: Dump,
    /// What is there.
    pub entries: Vec<Notice>,
    /// False when something went wrong, or the kernel says that there were changes meanwhile:
    /// something may be missing.
    pub complete: bool,
}

impl Dumper {
    /// Through a new socket, which belongs to the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// See [`Socket::requests`].
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            socket: Socket::requests()?,
            inbox: Inbox::new(1),
            sequence: 0,
            octets: Vec::new(),
            running: None,
        })
    }

    /// Whether a dump is being read.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Begins to read `dump`, unless one is being read: a socket has one at a time.
    pub fn begin(&mut self, dump: Dump) {
        if self.is_running() {
            return;
        }
        let Some((part, rest)) = parts(dump).split_first() else {
            return;
        };
        let mut running = Running {
            dump,
            part: *part,
            rest,
            entries: Vec::new(),
            complete: true,
        };
        running.complete &= self.ask(running.part);
        self.running = Some(running);
    }

    fn ask(&mut self, part: DumpPart) -> bool {
        self.sequence = self.sequence.wrapping_add(1);
        self.octets.clear();
        encode_dump(part, self.sequence, &mut self.octets);
        self.socket.send(&self.octets).is_ok()
    }

    /// Reads a piece of at most 32 KiB; everything, once it has come to its end.
    pub fn read(&mut self) -> Option<Dumped> {
        let mut running = self.running.take()?;
        let received = self.socket.receive(&mut self.inbox);
        let end = match received {
            Ok(()) => running.take(&self.inbox, self.sequence),
            // The kernel had no memory, or has nothing more to say although it should.
            Err(_) => Some(false),
        };
        if let Some(good) = end {
            running.complete &= good;
            let Some((part, rest)) = running.rest.split_first() else {
                return Some(Dumped {
                    dump: running.dump,
                    entries: running.entries,
                    complete: running.complete,
                });
            };
            (running.part, running.rest) = (*part, rest);
            running.complete &= self.ask(running.part);
        }
        self.running = Some(running);
        None
    }
}

impl Running {
    /// Whether the part has come to a good or a bad end.
    fn take(&mut self, inbox: &Inbox, sequence: u32) -> Option<bool> {
        for datagram in inbox.datagrams() {
            let Received::Whole(octets) = datagram else {
                self.complete = false;
                continue;
            };
            for message in Messages::new(octets) {
                let Ok(message) = message else {
                    self.complete = false;
                    continue;
                };
                if message.sequence != sequence {
                    // Of a dump that was given up.
                    continue;
                }
                self.complete &= !message.is_interrupted();
                match reply(&message) {
                    Some(Reply::Done(result)) => return Some(result.is_ok()),
                    Some(Reply::Answer(Err(error))) => return Some(error.errno == NOT_SUPPORTED),
                    Some(Reply::Answer(Ok(()))) | None => self.entry(&message),
                }
            }
        }
        None
    }

    fn entry(&mut self, message: &Message<'_>) {
        if !self.part.is_answered_by(message) {
            return;
        }
        // Entries that are not permanent are told as the absence of one.
        self.entries
            .extend(notice(message).filter(|notice| !matches!(notice, Notice::NeighbourGone(_))));
    }
}
