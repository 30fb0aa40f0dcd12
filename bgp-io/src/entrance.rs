//! Who comes in: listeners, and what keeps a storm of connections from hurting sessions that are
//! up.
//!
//! Accepting is cheap; a session that is coming up is not. So connections are accepted in batches
//! as soon as they are there, but only [`MAX_OPENING`] of them may be on their way to a session
//! at a time. The others wait here, outside the speaker, and **the newest is let in first**: who
//! connected last is the most likely to be still there. Served in order of arrival, a server that
//! falls behind spends itself on connections whose other end gave up long ago, and never catches
//! up. For the same reason a connection that has waited and whose other end has gone is thrown
//! away unserved, and when too many wait the oldest is closed: it may come again and be the
//! newest.
//!
//! Somebody who connects and then says nothing would hold its place until the speaker's own
//! timer of four minutes (RFC 4271 §8.2.2). While others wait, it keeps it no longer than
//! [`PATIENCE`].
//!
//! Addresses that are no peer's never take a place: the speaker turns them away when they are let
//! in.

use crate::ready::{ReadyList, Token};
use crate::socket::{self, Listener};
use bgp_core::time::{Duration, Instant};
use bgp_core::types::ConnectionId;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::net::{TcpListener, TcpStream};

/// At most this many accepted connections are on their way to a session; the others wait.
pub(crate) const MAX_OPENING: usize = 512;

/// At most this many wait; the oldest is closed for a newer one.
pub(crate) const MAX_WAITING: usize = 1024;

/// At most this many are accepted from one listener in one turn of the engine; the others a turn
/// later.
pub(crate) const MAX_ACCEPTS_PER_TURN: usize = 64;

/// How long an accepted connection may be without a session while others wait. A session comes
/// up within two round trips.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long accepting pauses when descriptors have run out. Those who connect meanwhile wait in
/// the kernel's backlog.
pub(crate) const PAUSE: Duration = Duration::from_millis(250);

/// A connection that has been accepted.
pub(crate) struct Arrival {
    pub(crate) stream: TcpStream,
    pub(crate) remote: SocketAddr,
}

/// The listeners and those who are on their way in.
#[derive(Default)]
pub(crate) struct Entrance {
    doors: Vec<Door>,
    paused_until: Option<Instant>,
    waiting: VecDeque<Arrival>,
    /// Who is on the way to a session, and since when: the numbers of connections ascend, so the
    /// first has been so for longest.
    opening: BTreeMap<ConnectionId, (Instant, IpAddr)>,
    /// The same by address, because the speaker tells by address that a session is up.
    by_address: HashMap<IpAddr, ConnectionId>,
}

struct Door {
    listener: TcpListener,
    waker: Waker,
    /// It may have more; else its waker will be called.
    ready: bool,
}

/// What one round of accepting came to.
#[derive(Default)]
pub(crate) struct Round {
    /// Waiting connections that had to go for newer ones.
    pub(crate) displaced: u64,
    /// The error that says that descriptors have run out.
    pub(crate) exhausted: Option<io::Error>,
}

impl Entrance {
    /// Opens the doors.
    ///
    /// # Errors
    ///
    /// The runtime does not take a listener.
    pub(crate) fn new(listeners: Vec<Listener>, ready: &Arc<ReadyList>) -> io::Result<Self> {
        let open = |(index, listener): (usize, Listener)| {
            Ok(Door {
                listener: listener.into_tokio()?,
                waker: ready.waker(Token::Accept(index)),
                ready: true,
            })
        };
        let doors = listeners.into_iter().enumerate().map(open);
        Ok(Self {
            doors: doors.collect::<io::Result<_>>()?,
            ..Self::default()
        })
    }

    /// The listener with this number has somebody.
    pub(crate) fn knock(&mut self, door: usize) {
        if let Some(door) = self.doors.get_mut(door) {
            door.ready = true;
        }
    }

    /// Accepts what is there, within [`MAX_ACCEPTS_PER_TURN`].
    pub(crate) fn accept(&mut self, now: Instant) -> Round {
        let mut round = Round::default();
        if self.paused_until.is_some_and(|until| now < until) {
            return round;
        }
        self.paused_until = None;
        for door in &mut self.doors {
            if let Err(error) = door.accept(&mut self.waiting) {
                self.paused_until = Some(now + PAUSE);
                round.exhausted = Some(error);
                break;
            }
        }
        let surplus = self.waiting.len().saturating_sub(MAX_WAITING);
        self.waiting.drain(..surplus);
        round.displaced = surplus as u64;
        round
    }

    /// Who may come in next, if anybody may. Counts in `gone` those who did not wait for it.
    pub(crate) fn admit(&mut self, gone: &mut u64) -> Option<Arrival> {
        while self.opening.len() < MAX_OPENING {
            let arrival = self.waiting.pop_back()?;
            if !socket::has_gone(&arrival.stream) {
                return Some(arrival);
            }
            *gone += 1;
        }
        None
    }

    /// An arrival has become this connection of a peer.
    pub(crate) fn opening(&mut self, now: Instant, from: IpAddr, connection: ConnectionId) {
        self.opening.insert(connection, (now, from));
        // A second connection from the same address: the session decides which one it keeps, and
        // they have one place together.
        if let Some(first) = self.by_address.insert(from, connection) {
            self.opening.remove(&first);
        }
    }

    /// The peer with this address has a session: its place is free.
    pub(crate) fn established(&mut self, address: IpAddr) {
        if let Some(connection) = self.by_address.remove(&address) {
            self.opening.remove(&connection);
        }
    }

    /// The connection has ended: its place is free, if it had one.
    pub(crate) fn ended(&mut self, connection: ConnectionId) {
        if let Some((_, address)) = self.opening.remove(&connection) {
            self.by_address.remove(&address);
        }
    }

    /// Who has had a place for longer than [`PATIENCE`] while others wait for one.
    pub(crate) fn overdue(&self, now: Instant) -> Option<ConnectionId> {
        let (connection, until) = self.next_overdue()?;
        (until <= now).then_some(connection)
    }

    fn next_overdue(&self) -> Option<(ConnectionId, Instant)> {
        if self.waiting.is_empty() {
            return None;
        }
        let (connection, (since, _)) = self.opening.first_key_value()?;
        Some((*connection, *since + PATIENCE))
    }

    /// When time alone will let something happen here.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let overdue = self.next_overdue().map(|(_, until)| until);
        [self.paused_until, overdue].into_iter().flatten().min()
    }

    /// Whether there is something to do without waiting for anything.
    pub(crate) fn is_busy(&self) -> bool {
        let accepting = self.paused_until.is_none() && self.doors.iter().any(|door| door.ready);
        accepting || (!self.waiting.is_empty() && self.opening.len() < MAX_OPENING)
    }

    /// How many are on their way to a session, and how many wait.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.opening.len(), self.waiting.len())
    }

    /// Closes the doors and sends those who wait away.
    pub(crate) fn close(&mut self) {
        *self = Self::default();
    }
}

impl Door {
    /// Accepts who is there. An error says that descriptors have run out.
    fn accept(&mut self, waiting: &mut VecDeque<Arrival>) -> io::Result<()> {
        for _ in 0..MAX_ACCEPTS_PER_TURN {
            if !self.ready {
                break;
            }
            let mut task = Context::from_waker(&self.waker);
            match self.listener.poll_accept(&mut task) {
                Poll::Pending => self.ready = false,
                Poll::Ready(Ok((stream, remote))) => waiting.push_back(Arrival {
                    stream,
                    remote: socket::canonical(remote),
                }),
                Poll::Ready(Err(error)) if socket::is_exhaustion(&error) => return Err(error),
                // The connection died before it was accepted.
                Poll::Ready(Err(_)) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream as Client;

    const START: Instant = Instant::ZERO;

    struct Bench {
        entrance: Entrance,
        ready: Arc<ReadyList>,
        address: SocketAddr,
        next: u64,
    }

    impl Bench {
        fn new() -> Self {
            let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = listener.local_addr();
            let ready = Arc::new(ReadyList::default());
            let entrance = Entrance::new(vec![listener], &ready).unwrap();
            Self {
                entrance,
                ready,
                address,
                next: 1,
            }
        }

        /// Clients that connect, in this order, and are accepted.
        async fn arrive(&mut self, count: usize) -> (Vec<Client>, u64) {
            let mut clients = Vec::new();
            let mut displaced = 0;
            while clients.len() < count {
                let batch = MAX_ACCEPTS_PER_TURN.min(count - clients.len());
                clients.extend((0..batch).map(|_| Client::connect(self.address).unwrap()));
                displaced += self.accept_all().await;
            }
            (clients, displaced)
        }

        /// Accepts until the doors say that nobody else is there.
        async fn accept_all(&mut self) -> u64 {
            let mut displaced = self.entrance.accept(START).displaced;
            self.ready.rung().await;
            let mut tokens = Vec::new();
            self.ready.swap(&mut tokens);
            assert_eq!(tokens, [Token::Accept(0)]);
            self.entrance.knock(0);
            while self.entrance.doors[0].ready {
                displaced += self.entrance.accept(START).displaced;
            }
            displaced
        }

        fn admit(&mut self) -> Option<Arrival> {
            let mut gone = 0;
            let arrival = self.entrance.admit(&mut gone);
            assert_eq!(gone, 0);
            arrival
        }

        /// Gives somebody from this address a place.
        fn open(&mut self, now: Instant, last_octet: u64) -> ConnectionId {
            let id = ConnectionId(self.next);
            self.next += 1;
            let [_, _, high, low] = u32::try_from(last_octet).unwrap().to_be_bytes();
            self.entrance.opening(now, [127, 1, high, low].into(), id);
            id
        }
    }

    fn port(client: &Client) -> u16 {
        client.local_addr().unwrap().port()
    }

    #[tokio::test]
    async fn the_newest_comes_in_first() {
        let mut bench = Bench::new();
        let (clients, _) = bench.arrive(3).await;
        for client in clients.iter().rev() {
            assert_eq!(bench.admit().unwrap().remote.port(), port(client));
        }
        assert!(bench.admit().is_none());
    }

    #[tokio::test]
    async fn too_many_displace_the_oldest() {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
        let mut bench = Bench::new();
        let (mut clients, displaced) = bench.arrive(MAX_WAITING + 2).await;
        assert_eq!(displaced, 2);
        assert_eq!(bench.entrance.sizes(), (0, MAX_WAITING));
        let oldest = &mut clients[0];
        assert_eq!(io::Read::read(oldest, &mut [0]).unwrap(), 0);
    }

    #[tokio::test]
    async fn who_has_gone_is_not_served() {
        let mut bench = Bench::new();
        let (mut clients, _) = bench.arrive(2).await;
        drop(clients.pop());
        // Loopback delivers the FIN before `close` returns, or soon after it.
        while !socket::has_gone(&bench.entrance.waiting[1].stream) {
            tokio::task::yield_now().await;
        }
        let mut gone = 0;
        let arrival = bench.entrance.admit(&mut gone).unwrap();
        assert_eq!(gone, 1);
        assert_eq!(arrival.remote.port(), port(&clients[0]));
    }

    #[tokio::test]
    async fn places_are_limited_and_given_back() {
        let mut bench = Bench::new();
        let (_clients, _) = bench.arrive(2).await;
        let first = bench.open(START, 0);
        for n in 1..MAX_OPENING as u64 {
            bench.open(START, n);
        }
        assert!(bench.admit().is_none());
        assert!(!bench.entrance.is_busy());
        bench.entrance.ended(first);
        assert!(bench.entrance.is_busy());
        assert!(bench.admit().is_some());
        bench.entrance.established([127, 1, 0, 1].into());
        assert!(bench.admit().is_some());
        assert_eq!(bench.entrance.sizes(), (MAX_OPENING - 2, 0));
    }

    #[tokio::test]
    async fn two_connections_of_one_address_have_one_place() {
        let mut bench = Bench::new();
        let first = bench.open(START, 1);
        let second = bench.open(START, 1);
        assert_eq!(bench.entrance.sizes().0, 1);
        bench.entrance.ended(first);
        assert_eq!(bench.entrance.sizes().0, 1);
        bench.entrance.ended(second);
        assert_eq!(bench.entrance.sizes().0, 0);
    }

    #[tokio::test]
    async fn the_silent_lose_their_place_when_others_wait() {
        let mut bench = Bench::new();
        let silent = bench.open(START, 1);
        bench.open(START + Duration::from_secs(1), 2);
        let late = START + PATIENCE;
        assert_eq!(bench.entrance.overdue(late), None);
        assert_eq!(bench.entrance.deadline(), None);
        let (_clients, _) = bench.arrive(1).await;
        assert_eq!(bench.entrance.deadline(), Some(late));
        assert_eq!(bench.entrance.overdue(late), Some(silent));
        assert_eq!(
            bench.entrance.overdue(late - Duration::from_micros(1)),
            None
        );
    }
}
