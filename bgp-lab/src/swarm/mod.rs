//! Thousands of light clients in one thread.
//!
//! Each client is a BGP speaker with an address of its own, announces its own prefixes, and keeps
//! a bit per prefix of the whole swarm for what it holds. All sockets are non-blocking and belong
//! to one epoll; nothing happens but inside [`Swarm::run_until`]. What many clients are sent in
//! the same words is read once: the reading of an UPDATE is kept by its octets.
//!
//! Use it in a thread inside the clients' namespace ([`crate::netns::Namespace::run`]), where the
//! addresses have been made local ([`crate::netns::Namespace::own_prefix`]).
//!
//! # Invariants
//!
//! - Every UPDATE is checked against the client that its prefixes belong to: next hop,
//!   ORIGINATOR_ID and CLUSTER_LIST. What does not fit is a fault ([`Swarm::faults`]).
//! - A client that hears of a prefix of its own, reachable or not, counts it
//!   ([`Tally::own_prefixes`]).

mod client;
mod reading;

use crate::{During, Error, Result};
use bgp_core::prefix::IpNet;
use client::{Client, Step};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use reading::Readings;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// How long one look at the sockets may last before the probe is asked again.
const LOOK_MILLIS: u16 = 20;
/// Events per look.
const EVENTS: usize = 1024;
/// Pause between the KEEPALIVEs of a client; a third of its hold time.
const KEEPALIVE_PAUSE: Duration = Duration::from_secs(30);
/// The hold time that clients propose, in seconds.
const HOLD_TIME: u16 = 90;

/// What all clients have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The reflector.
    pub reflector: SocketAddr,
    /// Its cluster, the only one in CLUSTER_LIST.
    pub cluster_id: Ipv4Addr,
    /// The AS of all.
    pub asn: u32,
    /// At most this many connections in the making at a time.
    pub connecting: usize,
}

/// One client before it is started.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its address, BGP Identifier and next hop.
    pub address: Ipv4Addr,
    /// What it announces.
    pub prefixes: Vec<IpNet>,
}

/// What a client has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// UPDATE messages received, End-of-RIB markers included.
    pub updates: u64,
    /// Octets received.
    pub octets: u64,
    /// Prefixes of its own, announced or withdrawn to it: must stay 0.
    pub own_prefixes: u64,
    /// Sessions that ended otherwise than by [`Swarm::kill`]: must stay 0.
    pub drops: u64,
    /// NOTIFICATIONs received: must stay 0.
    pub notifications: u64,
}

/// Many clients of one reflector.
#[derive(Debug)]
pub struct Swarm {
    settings: Settings,
    clients: Vec<Client>,
    readings: Readings,
    epoll: Epoll,
    /// Clients from here on have not been told to connect yet.
    next: usize,
    last_keepalives: Instant,
    last_change: Instant,
}

impl Swarm {
    /// A swarm that has not connected yet. Raises the limit of open files of the process as far
    /// as it may.
    ///
    /// # Errors
    /// When there is no epoll.
    pub fn new(settings: Settings, members: Vec<Member>) -> Result<Self> {
        raise_open_files()?;
        let readings = Readings::new(settings.cluster_id, &members);
        let prefixes = readings.prefixes();
        let clients = members
            .into_iter()
            .map(|member| Client::new(member, &readings, prefixes))
            .collect();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).during(|| "epoll".to_owned())?;
        let now = Instant::now();
        Ok(Self {
            settings,
            clients,
            readings,
            epoll,
            next: 0,
            last_keepalives: now,
            last_change: now,
        })
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether there is no client.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// How many clients are Established.
    pub fn established(&self) -> usize {
        let established = self.clients.iter().filter(|client| client.is_established());
        established.count()
    }

    /// What client `index` has seen.
    pub fn tally(&self, index: usize) -> Tally {
        self.clients
            .get(index)
            .map_or_else(Tally::default, Client::tally)
    }

    /// All tallies added up.
    pub fn total(&self) -> Tally {
        self.clients
            .iter()
            .map(Client::tally)
            .fold(Tally::default(), |sum, one| Tally {
                updates: sum.updates + one.updates,
                octets: sum.octets + one.octets,
                own_prefixes: sum.own_prefixes + one.own_prefixes,
                drops: sum.drops + one.drops,
                notifications: sum.notifications + one.notifications,
            })
    }

    /// When a client last gained or lost a route.
    pub fn last_change(&self) -> Instant {
        self.last_change
    }

    /// What was wrong with UPDATEs, in words; the first few alone.
    pub fn faults(&self) -> &[String] {
        self.readings.faults()
    }

    /// Whether client `index` holds a route to `prefix`.
    pub fn holds(&self, index: usize, prefix: &IpNet) -> bool {
        let Some(id) = self.readings.id(prefix) else {
            return false;
        };
        self.clients
            .get(index)
            .is_some_and(|client| client.holds(id))
    }

    /// Fails unless every Established client holds exactly the routes of all other Established
    /// clients.
    ///
    /// # Errors
    /// In words, with the first client that does not.
    pub fn check_tables(&self) -> Result<(), String> {
        let alive: Vec<&Client> = self
            .clients
            .iter()
            .filter(|client| client.is_established())
            .collect();
        let mut all = reading::Bits::new(self.readings.prefixes());
        for id in alive.iter().flat_map(|client| client.own()) {
            all.set(*id, true);
        }
        for client in alive {
            let mut expected = all.clone();
            for id in client.own() {
                expected.set(*id, false);
            }
            if *client.held() != expected {
                return Err(format!(
                    "{} holds {} of {} routes",
                    client.address(),
                    client.held().count(),
                    expected.count()
                ));
            }
        }
        Ok(())
    }

    /// Pumps all sockets until `probe` is satisfied.
    ///
    /// # Errors
    /// [`Error::Timeout`] with the last answer of the probe.
    pub fn run_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut probe: impl FnMut(&Self) -> Result<(), String>,
    ) -> Result<()> {
        let started = Instant::now();
        loop {
            let Err(missing) = probe(self) else {
                return Ok(());
            };
            if started.elapsed() >= limit {
                return Err(Error::Timeout {
                    what: what.to_owned(),
                    waited: started.elapsed(),
                    missing,
                });
            }
            // A probe may look at every table: let some traffic pass between two of them.
            let pause = Instant::now();
            while pause.elapsed() < Duration::from_millis(LOOK_MILLIS.into()) {
                self.look()?;
            }
        }
    }

    /// Ends the connection of client `index` with a reset, without a word.
    pub fn kill(&mut self, index: usize) {
        if let Some(client) = self.clients.get_mut(index) {
            client.kill();
        }
    }

    /// Makes client `index`, killed before, connect again and announce its prefixes.
    ///
    /// # Errors
    /// When its socket cannot be made.
    pub fn revive(&mut self, index: usize) -> Result<()> {
        self.connect(index)
    }

    /// Makes client `index` withdraw all its prefixes, or announce them again.
    pub fn set_announced(&mut self, index: usize, announced: bool) {
        if let Some(client) = self.clients.get_mut(index) {
            client.set_announced(announced);
        }
    }

    fn connect(&mut self, index: usize) -> Result<()> {
        let Some(client) = self.clients.get_mut(index) else {
            return Ok(());
        };
        let token = u64::try_from(index).unwrap_or(u64::MAX);
        client.connect(self.settings.reflector)?;
        if let Some(socket) = client.socket() {
            let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
            self.epoll
                .add(socket, EpollEvent::new(flags, token))
                .during(|| "adding a socket to epoll".to_owned())?;
        }
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        while self.next < self.clients.len() {
            let making = self.clients.iter().filter(|client| client.is_connecting());
            if making.count() >= self.settings.connecting {
                break;
            }
            self.connect(self.next)?;
            self.next += 1;
        }
        let mut events = [EpollEvent::empty(); EVENTS];
        let count = self
            .epoll
            .wait(&mut events, EpollTimeout::from(LOOK_MILLIS))
            .or_else(|errno| {
                if errno == nix::Error::EINTR {
                    Ok(0)
                } else {
                    Err(errno)
                }
            })
            .during(|| "waiting for sockets".to_owned())?;
        for event in events.iter().take(count) {
            self.handle(usize::try_from(event.data()).unwrap_or(usize::MAX))?;
        }
        if self.last_keepalives.elapsed() >= KEEPALIVE_PAUSE {
            self.last_keepalives = Instant::now();
            self.clients.iter_mut().for_each(Client::send_keepalive);
        }
        Ok(())
    }

    fn handle(&mut self, index: usize) -> Result<()> {
        let Some(client) = self.clients.get_mut(index) else {
            return Ok(());
        };
        match client.pump(self.settings.asn, HOLD_TIME, &mut self.readings)? {
            Step::Quiet => {}
            Step::Changed => self.last_change = Instant::now(),
            // A SYN that met a full backlog or a listener that was not there yet.
            Step::ConnectFailed => self.connect(index)?,
        }
        Ok(())
    }
}

fn raise_open_files() -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .during(|| "asking for the open files limit".to_owned())?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
            .during(|| "raising the open files limit".to_owned())?;
    }
    Ok(())
}
