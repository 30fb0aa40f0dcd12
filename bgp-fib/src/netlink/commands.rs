//! The socket through which requests go to the kernel and their answers come back.

use super::{Batch, Inbox, MAX_BATCH, Messages, Received, Reply, Socket, reply};
use crate::kernel::{Answer, KernelError, Request, Ticket};
use std::io;
use std::sync::Arc;

/// Requests in, answers out. Nothing waits: the kernel carries requests out, and answers, before
/// a send returns.
#[derive(Debug)]
pub struct Commands {
    socket: Socket,
    inbox: Inbox,
    batch: Batch,
    sequence: u32,
}

impl Commands {
    /// Through a new socket, which belongs to the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// See [`Socket::requests`].
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            socket: Socket::requests()?,
            // Each answer is a datagram.
            inbox: Inbox::new(16),
            batch: Batch::default(),
            sequence: 1,
        })
    }

    /// The port that notifications bear of what was done through here.
    pub fn port(&self) -> u32 {
        self.socket.port()
    }

    /// Carries out `requests`, in batches of [`MAX_BATCH`], and appends the answer to each to
    /// `answers`; whether none was lost. Where one was, the kernel had no memory, and what it
    /// did is unknown (`ENOBUFS`).
    pub fn carry_out(&mut self, requests: &[(Ticket, Request)], answers: &mut Vec<Answer>) -> bool {
        let mut all_told = true;
        let mut requests = requests.iter().peekable();
        while requests.peek().is_some() {
            self.batch.begin(self.sequence);
            while !self.batch.is_full()
                && let Some((ticket, request)) = requests.next()
            {
                answers.extend(self.batch.push(*ticket, request));
            }
            self.sequence = self.batch.next_sequence();
            all_told &= self.batch.is_empty() || self.send(answers);
        }
        all_told
    }

    fn send(&mut self, answers: &mut Vec<Answer>) -> bool {
        if let Err(error) = self.socket.send(self.batch.finish()) {
            let error = KernelError {
                errno: error.raw_os_error().unwrap_or_default(),
                text: Arc::from("no request was taken"),
            };
            self.batch.refuse(&error, answers);
            return true;
        }
        let lost = !self.read();
        self.batch.answers(lost, answers);
        !lost
    }

    /// Reads answers up to the one to the last request; whether it was there, and none was lost.
    fn read(&mut self) -> bool {
        // One for each request; more would be of another batch.
        for _ in 0..=MAX_BATCH {
            if self.socket.receive(&mut self.inbox).is_err() {
                // Also when nothing is there.
                return false;
            }
            for datagram in self.inbox.datagrams() {
                let Received::Whole(octets) = datagram else {
                    return false;
                };
                for message in Messages::new(octets).flatten() {
                    if let Some(Reply::Answer(result)) = reply(&message)
                        && self.batch.answered(message.sequence, result)
                    {
                        return true;
                    }
                }
            }
        }
        false
    }
}
