//! The thread that carries requests to the kernel.
//!
//! A send returns when the kernel has done what it says. So that the reconciler prepares the next
//! requests, and takes in the last answers, while the kernel works, sends are made on a thread of
//! their own. It is never more than [`DEPTH`] batches behind, carries them out in their order, and
//! ends with the edge: what it is doing then it does to the end, the rest it does not begin.

use crate::kernel::{Answer, Request, Ticket};
use crate::netlink::Commands;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use tokio::sync::mpsc;

/// At most this many batches are under way; more would only make answers later.
const DEPTH: usize = 4;

/// Requests on their way out, and their answers on their way back.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) requests: Vec<(Ticket, Request)>,
    pub(super) answers: Vec<Answer>,
    /// Answers were lost: what the kernel did is unknown.
    pub(super) lost: bool,
}

/// The way to the thread and back.
#[derive(Debug)]
pub(super) struct Courier {
    out: SyncSender<Load>,
    back: mpsc::Receiver<Load>,
    under_way: usize,
    /// Loads that were unpacked, for use again.
    empty: Vec<Load>,
}

impl Courier {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// There can be no further thread.
    pub(super) fn start(commands: Commands) -> io::Result<Self> {
        let (out, loads) = sync_channel(DEPTH);
        let (done, back) = mpsc::channel(DEPTH);
        thread::Builder::new()
            .name("kernel-routes".to_owned())
            .spawn(move || carry(commands, &loads, &done))?;
        Ok(Self {
            out,
            back,
            under_way: 0,
            empty: Vec::new(),
        })
    }

    /// Something to fill, if there is room for one more.
    pub(super) fn load(&mut self) -> Option<Load> {
        (self.under_way < DEPTH).then(|| self.empty.pop().unwrap_or_default())
    }

    /// Sends it off.
    pub(super) fn send(&mut self, load: Load) {
        match self.out.try_send(load) {
            Ok(()) => self.under_way += 1,
            // The thread is gone, or behind, which it cannot be: the answers are given up by time.
            Err(TrySendError::Full(load) | TrySendError::Disconnected(load)) => self.unpacked(load),
        }
    }

    /// Waits for the next one that is back; `None` when none is under way.
    pub(super) async fn back(&mut self) -> Option<Load> {
        if self.under_way == 0 {
            return None;
        }
        let load = self.back.recv().await;
        self.under_way = match &load {
            Some(_) => self.under_way - 1,
            None => 0,
        };
        load
    }

    /// Takes one that is unpacked for use again.
    pub(super) fn unpacked(&mut self, mut load: Load) {
        load.requests.clear();
        load.answers.clear();
        self.empty.push(load);
    }
}

fn carry(mut commands: Commands, loads: &Receiver<Load>, done: &mpsc::Sender<Load>) {
    while let Ok(mut load) = loads.recv() {
        load.lost = !commands.carry_out(&load.requests, &mut load.answers);
        if done.blocking_send(load).is_err() {
            return;
        }
    }
}
