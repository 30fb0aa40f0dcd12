//! What the kernel says by itself.

use super::Stats;
use crate::kernel::{NeighbourKey, Notice, RouteKey};
use crate::netlink::{Inbox, Messages, Received, Socket, notice};
use std::collections::HashMap;
use std::io;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// At most so many times a turn are notifications read, 32 at a time; the rest in the next turn.
/// More than the requests of a turn, so that their echoes cannot fill the socket.
const MAX_READS_PER_TURN: usize = 64;

/// At most so many notices are held until everything is read. With one more they are told at
/// once; then one that is history may be told as news, and costs a needless request or a
/// comparison of everything.
const MAX_HELD: usize = 16 * 1024;

/// The socket that hears of every change.
pub(super) struct Monitor {
    socket: AsyncFd<Socket>,
    inbox: Inbox,
    held: Held,
}

/// What happened on the monitor.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Heard {
    Notice(Notice),
    /// Something was lost.
    Overrun,
}

impl Monitor {
    pub(super) fn new(socket: Socket, ours: u32) -> io::Result<Self> {
        Ok(Self {
            socket: socket.register()?,
            inbox: Inbox::new(32),
            held: Held::new(ours),
        })
    }

    /// Waits until there may be something to read.
    pub(super) async fn readable(&self) {
        // Fails only while the runtime ends, and this task with it.
        if self.socket.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Reads what is there, within the turn's bound, and gives it to `tell`; whether there is
    /// nothing left.
    pub(super) fn read(&mut self, stats: &mut Stats, mut tell: impl FnMut(Heard)) -> bool {
        for _ in 0..MAX_READS_PER_TURN {
            if !self.receive(stats) && !self.receive_last(stats) {
                self.held.tell(&mut tell);
                return true;
            }
            if self.held.heard.len() >= MAX_HELD {
                self.held.tell(&mut tell);
            }
        }
        false
    }

    /// Reads what is there, within the turn's bound, and holds it until [`Monitor::read`].
    pub(super) fn take_in(&mut self, stats: &mut Stats) {
        for _ in 0..MAX_READS_PER_TURN {
            if self.held.heard.len() >= MAX_HELD || !self.receive(stats) {
                return;
            }
        }
    }

    /// Reads some notifications; whether there were any.
    fn receive(&mut self, stats: &mut Stats) -> bool {
        let received = self.socket.get_ref().receive(&mut self.inbox);
        self.received(received, stats)
    }

    /// The same, and if there are none, the runtime watches for the next.
    fn receive_last(&mut self, stats: &mut Stats) -> bool {
        let inbox = &mut self.inbox;
        let received = self
            .socket
            .try_io(Interest::READABLE, |socket| socket.receive(inbox));
        self.received(received, stats)
    }

    fn received(&mut self, received: io::Result<()>, stats: &mut Stats) -> bool {
        match received {
            Ok(()) => {
                for datagram in self.inbox.datagrams() {
                    self.held.take(datagram, stats);
                }
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            // ENOBUFS; and whatever else it may be, what we know may be wrong now.
            Err(error) => {
                tracing::debug!(%error, "notifications of the kernel were lost");
                self.held.lose(stats);
                true
            }
        }
    }
}

/// What notices and echoes are about.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Route(RouteKey),
    Neighbour(NeighbourKey),
}

/// `None` for what echoes say nothing about. What happens to a nexthop object in the wake of a
/// request for another one, such as a group that shrinks, bears our port too and is in no answer.
fn key_of(notice: &Notice) -> Option<Key> {
    match notice {
        Notice::Route { route, .. } | Notice::RouteGone(route) => Some(Key::Route(route.key)),
        Notice::Neighbour(key, _) | Notice::NeighbourGone(key) => Some(Key::Neighbour(*key)),
        Notice::Link(_)
        | Notice::LinkGone(_)
        | Notice::Address(_)
        | Notice::AddressGone(_)
        | Notice::NextHop(_)
        | Notice::NextHopGone(_) => None,
    }
}

/// Notices in the order of their coming, until it is known which of them are history.
struct Held {
    /// The port of the socket for requests.
    ours: u32,
    heard: Vec<Heard>,
    /// How many were held when the last echo of a key came: these of the key are history.
    echoed: HashMap<Key, usize>,
}

impl Held {
    fn new(ours: u32) -> Self {
        Self {
            ours,
            heard: Vec::new(),
            echoed: HashMap::new(),
        }
    }

    fn take(&mut self, datagram: Received<'_>, stats: &mut Stats) {
        let Received::Whole(octets) = datagram else {
            self.lose(stats);
            return;
        };
        for message in Messages::new(octets) {
            let Ok(message) = message else {
                self.lose(stats);
                continue;
            };
            let echo = message.port == self.ours && message.is_about_key();
            if echo && self.heard.is_empty() {
                // There is nothing that it could overtake.
                stats.echoes += 1;
                continue;
            }
            let Some(notice) = notice(&message) else {
                continue;
            };
            match key_of(&notice).filter(|_| echo) {
                Some(key) => {
                    stats.echoes += 1;
                    self.echoed.insert(key, self.heard.len());
                }
                None => {
                    stats.notices += 1;
                    self.heard.push(Heard::Notice(notice));
                }
            }
        }
    }

    fn lose(&mut self, stats: &mut Stats) {
        stats.overruns += 1;
        self.heard.push(Heard::Overrun);
    }

    fn tell(&mut self, tell: &mut impl FnMut(Heard)) {
        let echoed = &self.echoed;
        let is_history = |place: usize, heard: &Heard| {
            let Heard::Notice(notice) = heard else {
                return false;
            };
            let key = key_of(notice).filter(|_| !echoed.is_empty());
            key.and_then(|key| echoed.get(&key))
                .is_some_and(|echo| place < *echo)
        };
        for (place, heard) in self.heard.drain(..).enumerate() {
            if !is_history(place, &heard) {
                tell(heard);
            }
        }
        self.echoed.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{How, Mac, NeighbourTarget, Request, Route, Target};
    use crate::kernel::{LinkIndex, NextHopKind, NextHopObject};
    use crate::netlink::encode;

    const OURS: u32 = 77;

    fn held() -> (Held, Stats) {
        (Held::new(OURS), Stats::default())
    }

    /// The notification of what `request` did, by a socket of this port.
    fn notification(request: &Request, port: u32) -> Vec<u8> {
        let mut octets = Vec::new();
        encode(request, 1, &mut octets).unwrap();
        octets[12..16].copy_from_slice(&port.to_ne_bytes());
        octets
    }

    fn route(prefix: &str, protocol: u8) -> Request {
        let key = RouteKey {
            table: 254,
            prefix: prefix.parse().unwrap(),
            metric: 32,
        };
        let route = Route {
            key,
            protocol,
            target: Target::Blackhole,
            source: None,
        };
        Request::PutRoute(route, How::Create)
    }

    fn told(held: &mut Held) -> Vec<Heard> {
        let mut told = Vec::new();
        held.tell(&mut |heard| told.push(heard));
        told
    }

    /// Protocols of the routes that were told.
    fn protocols(held: &mut Held) -> Vec<u8> {
        let protocol = |heard| {
            let Heard::Notice(Notice::Route { route, .. }) = heard else {
                return None;
            };
            Some(route.protocol)
        };
        told(held).into_iter().filter_map(protocol).collect()
    }

    #[test]
    fn echoes_are_no_news() {
        let (mut held, mut stats) = held();
        let echo = notification(&route("10.0.0.0/26", 1), OURS);
        held.take(Received::Whole(&echo), &mut stats);
        assert_eq!(told(&mut held), []);
        let foreign = notification(&route("10.0.0.64/26", 2), 0);
        held.take(Received::Whole(&foreign), &mut stats);
        held.take(Received::Whole(&echo), &mut stats);
        assert_eq!(protocols(&mut held), [2]);
        assert_eq!((stats.echoes, stats.notices), (2, 1));
    }

    #[test]
    fn what_an_echo_has_overtaken_is_history() {
        let (mut held, mut stats) = held();
        let ours = notification(&route("10.0.0.0/26", 1), OURS);
        let mut take = |octets: &[u8]| held.take(Received::Whole(octets), &mut stats);
        take(&notification(&route("10.0.0.0/26", 2), 0));
        take(&notification(&route("10.0.0.64/26", 3), 0));
        take(&notification(&route("10.0.0.0/26", 4), 5));
        take(&ours);
        take(&notification(&route("10.0.0.0/26", 6), 0));
        assert_eq!(protocols(&mut held), [3, 6]);
        // What is held next is not overtaken by what came before.
        held.take(
            Received::Whole(&notification(&route("10.0.0.0/26", 7), 0)),
            &mut stats,
        );
        assert_eq!(protocols(&mut held), [7]);
    }

    #[test]
    fn neighbours_have_echoes_and_nexthop_objects_have_not() {
        let (mut held, mut stats) = held();
        let key = NeighbourKey::Neighbour(LinkIndex(1), [10, 0, 0, 1].into());
        let entry = |last| {
            let mac = Mac([2, 0, 0, 0, 0, last]);
            Request::PutNeighbour(key, NeighbourTarget::Mac(mac))
        };
        let object = NextHopObject {
            id: 1,
            protocol: 2,
            kind: NextHopKind::Blackhole,
        };
        let object = notification(&Request::PutNextHop(object), OURS);
        held.take(Received::Whole(&object), &mut stats);
        held.take(Received::Whole(&notification(&entry(1), 0)), &mut stats);
        held.take(Received::Whole(&notification(&entry(2), OURS)), &mut stats);
        let told = told(&mut held);
        assert!(
            matches!(told[..], [Heard::Notice(Notice::NextHop(_))]),
            "{told:?}"
        );
    }

    #[test]
    fn losses_are_told_in_their_place() {
        let (mut held, mut stats) = held();
        held.take(Received::Cut, &mut stats);
        held.take(Received::Whole(&[1, 2, 3]), &mut stats);
        assert_eq!(told(&mut held), [Heard::Overrun, Heard::Overrun]);
        assert_eq!(stats.overruns, 2);
    }
}
