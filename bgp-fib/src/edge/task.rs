//! The edge's task: turns of bounded work, one after the other.

use super::courier::Courier;
use super::handle::Question;
use super::monitor::{Heard, Monitor};
use super::{Sockets, Stats};
use crate::netlink::{Dumper, MAX_BATCH};
use crate::{Fib, FibEvent};
use bgp_core::time::{Duration, Instant};
use std::io;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

/// At most this many orders are carried out in one turn; the others wait in their queue.
const MAX_ORDERS_PER_TURN: usize = 8;

/// At most this many batches are sent in one turn; the rest in the next. Notices are told between
/// turns.
const MAX_BATCHES_PER_TURN: usize = 32;

/// No further batch is sent in a turn that has sent for so long: others hold the kernel's lock.
const MAX_SENDING_PER_TURN: Duration = Duration::from_millis(10);

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
    courier: Courier,
    dumper: Dumper,
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
            courier: Courier::start(commands)?,
            dumper,
            held: None,
            busy: false,
        })
    }

    /// Runs until it is cancelled.
    pub(super) async fn run(mut self) {
        loop {
            let began = std::time::Instant::now();
            self.turn().await;
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

    async fn turn(&mut self) {
        self.busy = false;
        let now = (self.clock)();
        self.take_orders(now);
        self.hear(now);
        if self.fib.poll_timeout().is_some_and(|at| at <= now) {
            self.fib.handle_timeout(now);
        }
        self.dump();
        self.command().await;
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

    /// Has requests carried out, and waits until all that were sent are answered: so notices are
    /// told when nothing is under way, and their order among our own changes is known. Orders are
    /// carried out meanwhile.
    async fn command(&mut self) {
        let began = (self.clock)();
        let mut sent = 0;
        loop {
            let now = (self.clock)();
            let may_send = sent < MAX_BATCHES_PER_TURN && now.since(began) <= MAX_SENDING_PER_TURN;
            let is_sent = may_send && self.send(now);
            sent += usize::from(is_sent);
            if is_sent {
                continue;
            }
            // Reading does not wait for the kernel, and need not be done afterwards.
            self.monitor.take_in(&mut self.stats);
            let back = tokio::select! {
                biased;
                back = self.courier.back() => back,
                Some(order) = self.channels.orders.recv() => {
                    order(&mut self.fib, (self.clock)());
                    continue;
                }
            };
            let Some(load) = back else {
                // What is left waits for the next turn.
                self.busy |= !may_send;
                return;
            };
            let now = (self.clock)();
            if load.lost {
                self.stats.answers_lost += 1;
                self.fib.handle_overrun(now);
            }
            self.fib.handle_answers(now, &load.answers);
            self.courier.unpacked(load);
        }
    }

    /// Sends one batch; whether there was room for it, and something in it.
    fn send(&mut self, now: Instant) -> bool {
        let Some(mut load) = self.courier.load() else {
            return false;
        };
        self.fib.poll_batch(now, MAX_BATCH, &mut load.requests);
        if load.requests.is_empty() {
            self.courier.unpacked(load);
            return false;
        }
        self.stats.requests += u64::try_from(load.requests.len()).unwrap_or(u64::MAX);
        self.courier.send(load);
        true
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
