//! Many requests in one send, and which of them an answer is for.

use super::message::{TooLong, ask_for_answer, encode};
use crate::kernel::{Answer, KernelError, Request, Ticket};
use std::sync::Arc;

/// At most this many requests are in a batch: more gain nothing (measured), and their answers
/// could fill a receive buffer.
pub const MAX_BATCH: usize = 64;

/// A batch that has grown to this takes no more requests. With the one that made it grow, 64 KiB
/// at most, it fits a send buffer of the usual size (about 200 KB).
pub const MAX_BATCH_OCTETS: usize = 64 * 1024;

/// `EMSGSIZE`: what the answer to a request says that no message can hold.
const TOO_LONG: i32 = 90;

/// `ENOBUFS`: what the answer to a request says whose real answer was lost.
const LOST: i32 = 105;

/// Requests that go to the kernel with one `sendmsg`; kept and reused, so that nothing is
/// allocated for the next.
#[derive(Debug, Default)]
pub struct Batch {
    octets: Vec<u8>,
    /// By sequence number, from `first` on.
    tickets: Vec<Ticket>,
    answers: Vec<Option<Result<(), KernelError>>>,
    first: u32,
    last_start: usize,
}

impl Batch {
    /// Empties it; its requests bear sequence numbers from `first` on.
    pub fn begin(&mut self, first: u32) {
        self.octets.clear();
        self.tickets.clear();
        self.answers.clear();
        self.first = first;
        self.last_start = 0;
    }

    /// How many requests are in it.
    pub fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Whether no request is in it.
    pub fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    /// Whether it takes no more requests.
    pub fn is_full(&self) -> bool {
        self.len() >= MAX_BATCH || self.octets.len() >= MAX_BATCH_OCTETS
    }

    /// Adds a request. One that no message can hold is answered at once (`EMSGSIZE`) and uses up
    /// no sequence number.
    pub fn push(&mut self, ticket: Ticket, request: &Request) -> Option<Answer> {
        let start = self.octets.len();
        let sequence = self.first.wrapping_add(self.len_u32());
        if let Err(error @ TooLong) = encode(request, sequence, &mut self.octets) {
            let text = Arc::from(error.to_string());
            let errno = TOO_LONG;
            return Some((ticket, Err(KernelError { errno, text })));
        }
        self.tickets.push(ticket);
        self.answers.push(None);
        self.last_start = start;
        None
    }

    /// The octets to send: the last request asks for an answer.
    pub fn finish(&mut self) -> &[u8] {
        ask_for_answer(&mut self.octets, self.last_start);
        &self.octets
    }

    /// The sequence number after those of this batch.
    pub fn next_sequence(&self) -> u32 {
        self.first.wrapping_add(self.len_u32())
    }

    /// Notes an answer; whether it was the one to the last request, after which no more come.
    /// Answers to requests of earlier batches are ignored.
    pub fn answered(&mut self, sequence: u32, result: Result<(), KernelError>) -> bool {
        let place = sequence.wrapping_sub(self.first);
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        if let Some(answer) = self.answers.get_mut(place) {
            *answer = Some(result);
        }
        place.checked_add(1) == Some(self.tickets.len())
    }

    /// Puts the answers to all requests into `out`. Those of which nothing was heard were carried
    /// out, unless `lost` says that answers may have been lost: then nobody knows, and they say
    /// `ENOBUFS`.
    pub fn answers(&mut self, lost: bool, out: &mut Vec<Answer>) {
        for (ticket, answer) in self.tickets.drain(..).zip(self.answers.drain(..)) {
            let result = answer.unwrap_or_else(|| {
                if lost {
                    let text = Arc::from("the kernel's answer was lost");
                    Err(KernelError { errno: LOST, text })
                } else {
                    Ok(())
                }
            });
            out.push((ticket, result));
        }
    }

    /// Puts `error` into `out` as the answer to each request: nothing was carried out.
    pub fn refuse(&mut self, error: &KernelError, out: &mut Vec<Answer>) {
        self.answers.clear();
        let tickets = self.tickets.drain(..);
        out.extend(tickets.map(|ticket| (ticket, Err(error.clone()))));
    }

    fn len_u32(&self) -> u32 {
        // At most MAX_BATCH.
        u32::try_from(self.tickets.len()).unwrap_or(u32::MAX)
    }
}
