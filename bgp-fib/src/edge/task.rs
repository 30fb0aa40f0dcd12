//! The edge's task: turns of bounded work, one after the other.

use super::handle::Question;
use super::monitor::{Heard, Monitor};
use super::{Sockets, Stats};
use crate::kernel::{Answer, Request, Ticket};
use crate::netlink::{Commands, Dumper, MAX_BATCH};
use crate::{Fib, FibEvent};
use bgp_core::time::{Duration, Instant};
use std::io;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

/// At most this many orders are carried out in one turn; the others wait in their queue.
const MAX_ORDERS_PER_TURN: usize = 8;

/// At most this many batches are sent in one turn; the rest in the next.
const MAX_BATCHES_PER_TURN: usize = 16;

/// No further batch is sent in a turn that has sent for so long: others hold the kernel's lock.
const MAX_SENDING_PER_TURN: Duration = Duration::from_millis(5);

/// At most this many pieces of a dump, 32 KiB each, are read in one turn; the rest in the next.
const MAX_PIECES_PER_TURN: usize = 16;

/// What an edge is made with.
pub(super) struct Channels {
    pub(super) orders: mpsc::Receiver<Question>,
    pub(super) events: mpsc::Sender<FibEvent>,
    pub(super) stats: watch::Sender<Stats>,
}

pub(super) type Clock = Box<dyn Fn() -> Instant + Send>;

/// The one owner of the reconciler and its sockets.
pub(super) struct Edge {
    fib: Fib,
    clock: Clock,
    channels: Channels,
    stats: Stats,
    monitor: Monitor,
    commands: Commands,
    dumper: Dumper,
    requests: Vec<(Ticket, Request)>,
    answers: Vec<Answer>,
    /// An event that found the channel full.
    held: Option<FibEvent>,
    /// Whether the last turn left something to do.
    busy: bool,
}

impl Edge {
    pub(super) fn new(
        fib: Fib,
        clock: Clock,
        sockets: Sockets,
        channels: Channels,
    ) -> io::Result<Self> {
        let Sockets {
            commands,
            monitor,
            dumper,
        } = sockets;
        Ok(Self {
            fib,
            clock,
            channels,
            stats: Stats::default(),
            monitor: Monitor::new(monitor, commands.port())?,
            commands,
            dumper,
            requests: Vec::new(),
            answers: Vec::new(),
            held: None,
            busy: false,
        })
    }

    /// Runs until it is cancelled.
    pub(super) async fn run(mut self) {
        loop {
            let began = std::time::Instant::now();
            self.turn();
            self.stats.turns += 1;
            self.stats.longest_turn = self.stats.longest_turn.max(began.elapsed());
            self.channels.stats.send_replace(self.stats);
            // The rest of the runtime has its turn, its look at the sockets included.
            tokio::task::yield_now().await;
            if !self.busy && self.channels.orders.is_empty() {
                self.wait().await;
            }
        }
    }

    fn turn(&mut self) {
        self.busy = false;
        let now = (self.clock)();
        self.take_orders(now);
        self.hear(now);
        if self.fib.poll_timeout().is_some_and(|at| at <= now) {
            self.fib.handle_timeout(now);
        }
        self.dump();
        self.command();
        self.tell();
    }

    /// Sleeps until there may be something to do.
    async fn wait(&mut self) {
        let deadline = self.fib.poll_timeout();
        let span = deadline.map(|at| at.since((self.clock)()));
        let timer = async {
            match span {
                Some(span) => tokio::time::sleep(span).await,
                None => std::future::pending().await,
            }
        };
        let room = async {
            if self.held.is_none() || self.channels.events.reserve().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = self.monitor.readable() => {}
            order = self.channels.orders.recv() => {
                // Without anybody who could ask, the handle is gone and this task cancelled.
                if let Some(order) = order {
                    order(&mut self.fib, (self.clock)());
                }
            }
            () = room => {}
            () = timer => {}
        }
    }

    fn take_orders(&mut self, now: Instant) {
        for _ in 0..MAX_ORDERS_PER_TURN {
            let Ok(order) = self.channels.orders.try_recv() else {
                return;
            };
            order(&mut self.fib, now);
        }
    }

    fn hear(&mut self, now: Instant) {
        let fib = &mut self.fib;
        let drained = self.monitor.read(&mut self.stats, |heard| match heard {
            Heard::Notice(notice) => fib.handle_notice(now, notice),
            Heard::Overrun => fib.handle_overrun(now),
        });
        self.busy |= !drained;
    }

    fn command(&mut self) {
        let began = (self.clock)();
        for _ in 0..MAX_BATCHES_PER_TURN {
            let now = (self.clock)();
            if now.since(began) > MAX_SENDING_PER_TURN {
                break;
            }
            self.requests.clear();
            self.fib.poll_batch(now, MAX_BATCH, &mut self.requests);
            if self.requests.is_empty() {
                return;
            }
            self.stats.requests += u64::try_from(self.requests.len()).unwrap_or(u64::MAX);
            self.answers.clear();
            if !self.commands.carry_out(&self.requests, &mut self.answers) {
                self.stats.answers_lost += 1;
                self.fib.handle_overrun(now);
            }
            self.fib.handle_answers((self.clock)(), &self.answers);
        }
        self.busy = true;
    }

    fn dump(&mut self) {
        let now = (self.clock)();
        if !self.dumper.is_running()
            && let Some(dump) = self.fib.poll_dump(now)
        {
            self.dumper.begin(dump);
        }
        for _ in 0..MAX_PIECES_PER_TURN {
            if !self.dumper.is_running() {
                return;
            }
            if let Some(dumped) = self.dumper.read() {
                self.stats.dumps += 1;
                self.stats.incomplete_dumps += u64::from(!dumped.complete);
                let now = (self.clock)();
                self.fib
                    .handle_dump(now, dumped.dump, dumped.entries, dumped.complete);
                // Perhaps the next one.
                self.busy = true;
                return;
            }
        }
        self.busy |= self.dumper.is_running();
    }

    /// Hands over events while there is room for them.
    fn tell(&mut self) {
        while let Some(event) = self.held.take().or_else(|| self.fib.poll_event()) {
            match self.channels.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.held = Some(event);
                    return;
                }
                // Nobody wants them.
                Err(TrySendError::Closed(_)) => {}
            }
        }
    }
}
