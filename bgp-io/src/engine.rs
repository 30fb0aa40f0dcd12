//! The engine's task: turns of bounded work, one after the other.
//!
//! # A turn
//!
//! 1. Which sockets became ready?
//! 2. Orders, at most [`MAX_ORDERS_PER_TURN`].
//! 3. Whoever comes in (see [`crate::entrance`]), and attempts to connect.
//! 4. Reads, round robin, within [`MAX_READS_PER_TURN`] and [`MAX_OCTETS_READ_PER_TURN`].
//! 5. Timers. They come after the reads, so that a peer is not called silent while its KEEPALIVE
//!    waits to be read.
//! 6. Writes, round robin, within [`MAX_WRITES_PER_TURN`] and [`MAX_OCTETS_WRITTEN_PER_TURN`].
//! 7. Connections whose time for last words is over.
//! 8. One batch of routes for whoever installs them, if there is room (see [`crate::Routes`]).
//!
//! What the speaker wants is taken from it after each call, as its contract says. After a turn
//! the task gives way to the rest of the runtime; if nothing is left to do it sleeps until a
//! socket, an order or a deadline wakes it. The budgets make a turn a few milliseconds at worst;
//! [`crate::Stats`] shows whether they do.
//!
//! # After a stall
//!
//! When a turn begins more than [`STALL`] after it was due (the process was stopped, or the
//! machine was too busy), all timers seem to have run out although the peers did nothing wrong:
//! their KEEPALIVEs are in the sockets. So timers wait until everything that can be read has been
//! read, or each connection twice.

use crate::clock::Clock;
use crate::connection::{Connection, Outbox, Phase, Writing};
use crate::entrance::Entrance;
use crate::handle::Order;
use crate::ready::{ReadyList, Token};
use crate::routes::RouteTap;
use crate::stats::Stats;
use bgp_core::session::Stop;
use bgp_core::speaker::{Event, Output, Speaker};
use bgp_core::time::{Duration, Instant};
use bgp_core::types::ConnectionId;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, watch};

mod traffic;

/// At most this many orders are carried out in one turn; the others wait in their queue.
const MAX_ORDERS_PER_TURN: usize = 8;

/// At most this many of those who wait at the entrance are let in in one turn; the others in the
/// next.
const MAX_ADMISSIONS_PER_TURN: usize = 32;

/// At most this many connections are read from in one turn; the others in the next.
const MAX_READS_PER_TURN: usize = 64;

/// No further connection is read from in a turn that has read this much.
const MAX_OCTETS_READ_PER_TURN: usize = 128 * 1024;

/// At most this many connections are written to in one turn; the others in the next.
const MAX_WRITES_PER_TURN: usize = 64;

/// No further connection is written to in a turn that has written this much.
const MAX_OCTETS_WRITTEN_PER_TURN: usize = 1024 * 1024;

/// At most this many attempts to connect begin in one turn; the others in the next.
const MAX_DIALS_PER_TURN: usize = 16;

/// How long an attempt to connect may take: time for the SYN and three more.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may take to get its last words across.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// At most this many connections are getting their last words across; with one more, the oldest
/// of them is closed as it is. What its socket took is on its way even so.
pub(crate) const MAX_LINGERING: usize = 1024;

/// A turn that begins this much too late makes timers wait for what has arrived.
const STALL: Duration = Duration::from_secs(1);

/// The longest time from an order to stop to the end.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// What the engine is made with.
pub(crate) struct Channels {
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) routes: RouteTap,
    pub(crate) stats: watch::Sender<Stats>,
}

/// The one owner of the speaker and of all sockets. Dropping it closes everything.
pub(crate) struct Engine {
    speaker: Speaker,
    clock: Clock,
    channels: Channels,
    stats: Stats,
    ready: Arc<ReadyList>,
    entrance: Entrance,
    connections: HashMap<ConnectionId, Connection>,
    /// Connections to try to read from. Each is here, or its socket holds its read waker, or
    /// nothing more will be read from it.
    reads: VecDeque<ConnectionId>,
    /// Connections in [`Writing::Queued`].
    writes: VecDeque<ConnectionId>,
    /// Attempts to connect that have not begun.
    dials: VecDeque<Dial>,
    /// Until when the attempts that have begun may take, in the order of those times. Entries of
    /// connections that are no longer dialing are skipped.
    dialing: VecDeque<(Instant, ConnectionId)>,
    /// The same for connections that get their last words across.
    lingering: VecDeque<(Instant, ConnectionId)>,
    /// When this turn was due: it may begin earlier.
    due: Option<Instant>,
    catch_up: Option<CatchUp>,
    /// By when the engine must have ended.
    stopping: Option<Instant>,
    buffer: Box<[u8]>,
    batch: Outbox,
    tokens: Vec<Token>,
}

/// An attempt to connect.
struct Dial {
    connection: ConnectionId,
    remote: SocketAddr,
    local: Option<IpAddr>,
}

/// What is still to be read after a stall before timers run.
struct CatchUp {
    reads_left: usize,
    /// Whether the runtime has looked at its sockets since.
    looked: bool,
}

impl Engine {
    pub(crate) fn new(
        speaker: Speaker,
        clock: Clock,
        ready: Arc<ReadyList>,
        entrance: Entrance,
        channels: Channels,
    ) -> Self {
        Self {
            speaker,
            clock,
            channels,
            stats: Stats::default(),
            ready,
            entrance,
            connections: HashMap::new(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            dials: VecDeque::new(),
            dialing: VecDeque::new(),
            lingering: VecDeque::new(),
            due: None,
            catch_up: None,
            stopping: None,
            buffer: vec![0; traffic::READ_SIZE].into_boxed_slice(),
            batch: Outbox::default(),
            tokens: Vec::new(),
        }
    }

    /// Runs until it is told to stop.
    pub(crate) async fn run(mut self) {
        // What came of making the speaker, and of orders that it was given before.
        self.outputs(self.clock.now());
        loop {
            let began = std::time::Instant::now();
            let now = self.clock.now();
            self.turn(now);
            self.stats.turn(began.elapsed());
            self.publish();
            let now = self.clock.now();
            if self.has_ended(now) {
                return;
            }
            self.due = if self.is_busy(now) {
                Some(now)
            } else {
                self.deadline()
            };
            // The rest of the runtime has its turn, its look at the sockets included.
            tokio::task::yield_now().await;
            if !self.is_busy(now) {
                self.wait().await;
            }
        }
    }

    fn turn(&mut self, now: Instant) {
        self.notice_stall(now);
        self.sort_tokens();
        self.take_orders(now);
        self.come_in(now);
        self.dial(now);
        self.read(now);
        self.timers(now);
        self.write(now);
        self.give_up(now);
        self.channels.routes.fill(&mut self.speaker);
    }

    /// Sleeps until there may be something to do.
    async fn wait(&mut self) {
        let deadline = self.due.map(|due| self.clock.at(due));
        let timer = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.ready.rung() => {}
            order = self.channels.orders.recv() => {
                // Without anybody who could ask, the handle is gone and this task cancelled.
                if let Some(order) = order {
                    let now = self.clock.now();
                    self.carry_out(now, order);
                }
            }
            // A turn follows, and takes what there is.
            () = self.channels.routes.room(), if self.speaker.has_route_news() => {}
            () = timer => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let speaker = self.speaker.poll_timeout().map(|(at, _)| at);
        let dialing = self.dialing.front().map(|(at, _)| *at);
        let lingering = self.lingering.front().map(|(at, _)| *at);
        let all = [
            speaker,
            dialing,
            lingering,
            self.entrance.deadline(),
            self.stopping,
        ];
        all.into_iter().flatten().min()
    }

    fn is_busy(&self, now: Instant) -> bool {
        !self.reads.is_empty()
            || !self.writes.is_empty()
            || !self.dials.is_empty()
            || !self.channels.orders.is_empty()
            || self.entrance.is_busy()
            || self.deadline().is_some_and(|at| at <= now)
    }

    fn has_ended(&self, now: Instant) -> bool {
        self.stopping
            .is_some_and(|limit| self.connections.is_empty() || now >= limit)
    }

    fn publish(&mut self) {
        let (opening, waiting) = self.entrance.sizes();
        self.stats.connections = self.connections.len();
        self.stats.opening = opening;
        self.stats.waiting = waiting;
        self.channels.stats.send_replace(self.stats);
    }

    fn notice_stall(&mut self, now: Instant) {
        if self.due.is_some_and(|due| now.since(due) > STALL) {
            self.stats.stalls += 1;
            tracing::debug!(
                late = ?self.due.map(|due| now.since(due)),
                "stalled: reading before looking at timers"
            );
            self.catch_up = Some(CatchUp {
                reads_left: 2 * self.connections.len(),
                looked: false,
            });
        }
    }

    fn sort_tokens(&mut self) {
        let mut tokens = std::mem::take(&mut self.tokens);
        self.ready.swap(&mut tokens);
        for token in tokens.drain(..) {
            match token {
                Token::Read(id) => self.reads.push_back(id),
                Token::Write(id) => {
                    if let Some(connection) = self.connections.get_mut(&id)
                        && connection.writing != Writing::Queued
                    {
                        connection.writing = Writing::Queued;
                        self.writes.push_back(id);
                    }
                }
                Token::Accept(door) => self.entrance.knock(door),
            }
        }
        self.tokens = tokens;
    }

    fn take_orders(&mut self, now: Instant) {
        for _ in 0..MAX_ORDERS_PER_TURN {
            let Ok(order) = self.channels.orders.try_recv() else {
                return;
            };
            self.carry_out(now, order);
        }
    }

    fn carry_out(&mut self, now: Instant, order: Order) {
        match order {
            Order::Ask(question) => question(&mut self.speaker, now),
            Order::Stop(how) => self.stop(now, &how),
        }
        self.outputs(now);
    }

    fn stop(&mut self, now: Instant, how: &Stop) {
        self.entrance.close();
        self.speaker.stop(now, how);
        self.stopping.get_or_insert(now + STOP_LIMIT);
    }

    fn timers(&mut self, now: Instant) {
        if let Some(catch_up) = &mut self.catch_up {
            let drained = self.reads.is_empty() && catch_up.looked;
            if !drained && catch_up.reads_left > 0 {
                catch_up.looked = true;
                return;
            }
            self.catch_up = None;
        }
        let timeout = self.speaker.poll_timeout();
        if timeout.is_some_and(|(at, _)| at <= now) {
            self.speaker.handle_timeout(now);
            self.outputs(now);
        }
    }

    /// Takes from the speaker what it wants done.
    fn outputs(&mut self, now: Instant) {
        while let Some(output) = self.speaker.poll_output() {
            match output {
                Output::Connect {
                    connection,
                    remote,
                    local,
                } => self.dials.push_back(Dial {
                    connection,
                    remote,
                    local,
                }),
                Output::Transmit(connection) => self.want_write(connection),
                Output::Close { connection, last } => self.close(now, connection, last),
                Output::Event(event) => self.tell(event),
            }
        }
    }

    fn tell(&mut self, event: Event) {
        if let Event::Established { peer, .. } = &event {
            self.entrance.established(peer.address);
        }
        // Nobody may be listening.
        let _ = self.channels.events.send(event);
    }

    fn want_write(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id)
            && connection.writing == Writing::Idle
        {
            connection.writing = Writing::Queued;
            self.writes.push_back(id);
        }
    }

    /// The speaker has forgotten the connection: get its last words across, then close it.
    fn close(&mut self, now: Instant, id: ConnectionId, last: Vec<Bytes>) {
        self.dials.retain(|dial| dial.connection != id);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        self.entrance.ended(id);
        self.stats.octets_held += last.iter().map(Bytes::len).sum::<usize>();
        connection.outbox.fill(|chunks| chunks.extend(last));
        if connection.phase == Phase::Dialing || connection.outbox.is_empty() {
            self.forget(id, "closed");
            return;
        }
        connection.phase = Phase::Closing {
            finished: false,
            ended: false,
            drained: 0,
        };
        // At once if the socket takes it: when very many close together, not all may linger.
        let blocked = connection.writing == Writing::Blocked;
        self.lingering.push_back((now + LINGER, id));
        if !blocked {
            self.say_last_words(id);
        }
        if self.lingering.len() > MAX_LINGERING {
            self.cut_short();
        }
    }

    /// Closes what has had its time.
    fn give_up(&mut self, now: Instant) {
        while self.dialing.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, id)) = self.dialing.pop_front() else {
                return;
            };
            if self.phase(id) == Some(Phase::Dialing) {
                self.dial_failed(now, id, &"no answer");
            }
        }
        while self.lingering.front().is_some_and(|(at, _)| *at <= now) {
            self.cut_short();
        }
    }

    fn cut_short(&mut self) {
        if let Some((_, id)) = self.lingering.pop_front()
            && let Some(connection) = self.connections.get_mut(&id)
        {
            self.stats.cut_short += 1;
            connection.give_up(&mut self.buffer);
            self.forget(id, "closed: the peer did not take the last words in time");
        }
    }

    fn phase(&self, id: ConnectionId) -> Option<Phase> {
        self.connections.get(&id).map(|connection| connection.phase)
    }

    /// Closes the socket.
    fn forget(&mut self, id: ConnectionId, why: &str) {
        if let Some(connection) = self.connections.remove(&id) {
            self.stats.octets_held -= connection.outbox.octets();
            tracing::debug!(connection = %id, peer = %connection.remote, "{why}");
        }
    }
}
