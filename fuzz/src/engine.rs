//! A speaker with two clients: one says what the input wants, the other keeps to the rules and
//! must never notice.

use crate::Input;
use bgp_core::config::{Config, Peer, PeerSettings, Router};
use bgp_core::family::{Family, FamilySet};
use bgp_core::prefix::Nlri;
use bgp_core::speaker::{Output, Speaker};
use bgp_core::time::{Duration, Instant};
use bgp_core::types::{Asn, ConnectionId, RouterId};
use bgp_core::wire::{self, Capability, Context, EncodeContext, MAX_LEN, Message, Open, Update};
use bytes::{Bytes, BytesMut};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const AS: Asn = Asn(64_512);
/// The last octets of the clients' addresses: the one that is heard, and the one that listens.
const TALKER: u8 = 2;
const LISTENER: u8 = 3;

/// Octets read by a session in one call.
const MAX_CHUNK: usize = 97;

struct Network {
    speaker: Speaker,
    now: Instant,
    talker: Option<ConnectionId>,
    listener: ConnectionId,
    /// What the listener has heard and not been told to forget.
    heard: BTreeSet<Nlri>,
}

/// Messages, whole or not, from a client whose neighbour must stay untouched.
pub fn engine(input: &[u8]) {
    let mut input = Input::new(input);
    let flags = input.octet();
    let mut network = Network::new(flags);
    while !input.is_empty() {
        network.step(&mut input, flags);
        network.check();
    }
    network.quiesce();
    network.check();
    network.compare();
}

fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))
}

fn context() -> Context {
    Context {
        internal: true,
        four_octet_as: true,
        families: FamilySet::from_iter(Family::ALL),
        add_path: FamilySet::EMPTY,
        extended_next_hop: FamilySet::EMPTY,
        max_len: MAX_LEN,
    }
}

fn encoded(message: &Message) -> BytesMut {
    let context = EncodeContext {
        four_octet_as: true,
        add_path: FamilySet::EMPTY,
        max_len: MAX_LEN,
    };
    let mut out = BytesMut::new();
    wire::encode_message(message, &context, &mut out).unwrap();
    out
}

fn open(host: u8, flags: u8) -> Message {
    let families = Family::ALL.map(|family| Capability::Multiprotocol(family.afi_safi()));
    let mut capabilities = families.to_vec();
    if host == LISTENER || flags & 1 == 0 {
        capabilities.push(Capability::FourOctetAs(AS));
    }
    if host == TALKER && flags & 2 != 0 {
        capabilities.push(Capability::ExtendedMessage);
    }
    Message::Open(Open {
        my_as: AS.two_octet(),
        hold_time: 90,
        router_id: RouterId([10, 0, 0, host].into()),
        capabilities,
    })
}

impl Network {
    fn new(flags: u8) -> Self {
        let mut config = Config::new(Router::new(AS, RouterId([10, 0, 0, 1].into())));
        for host in [TALKER, LISTENER] {
            let settings = PeerSettings {
                passive: true,
                ..PeerSettings::client(AS)
            };
            config = config.with_peer(Peer::new(format!("p{host}"), address(host), settings));
        }
        let now = Instant::from_micros(1_000_000);
        let mut network = Self {
            speaker: Speaker::new(config, now, 1).unwrap(),
            now,
            talker: None,
            listener: ConnectionId(u64::MAX),
            heard: BTreeSet::new(),
        };
        network.speaker.handle_timeout(now);
        network.listener = network.connect(LISTENER, flags);
        network.talker = Some(network.connect(TALKER, flags));
        network.quiesce();
        assert!(network.is_up(LISTENER) && network.is_up(TALKER));
        network
    }

    fn connect(&mut self, host: u8, flags: u8) -> ConnectionId {
        let (local, remote) = (address(1), address(host));
        let (local, remote) = (SocketAddr::new(local, 179), SocketAddr::new(remote, 40_000));
        let accepted = self.speaker.handle_accepted(self.now, local, remote);
        let id = accepted.unwrap();
        if host == LISTENER {
            self.listener = id;
        }
        for message in [open(host, flags), Message::Keepalive] {
            self.speaker
                .handle_received(self.now, id, &encoded(&message));
            self.settle();
        }
        id
    }

    fn is_up(&self, host: u8) -> bool {
        let view = self.speaker.peer(self.now, &format!("p{host}")).unwrap();
        view.negotiated.is_some()
    }

    fn step(&mut self, input: &mut Input<'_>, flags: u8) {
        let kind = input.octet();
        if self.talker.is_none() {
            self.talker = Some(self.connect(TALKER, flags));
        }
        match kind % 8 {
            // A message whose header is right; mostly UPDATEs.
            0..=4 => {
                let body = input.piece();
                let mut octets = vec![0xff; 16];
                let len = u16::try_from(19 + body.len()).unwrap();
                octets.extend(len.to_be_bytes());
                octets.push(if kind < 0xc0 { 2 } else { kind % 7 });
                octets.extend(body);
                self.say(&octets, 1 + usize::from(kind >> 3) % MAX_CHUNK);
            }
            5 => {
                let octets = input.piece();
                self.say(octets, MAX_CHUNK);
            }
            6 => self.pass(Duration::from_millis(u64::from(input.octet()) * 100)),
            _ => {
                if let Some(talker) = self.talker.take() {
                    self.speaker.handle_closed(self.now, talker);
                }
            }
        }
        self.settle();
    }

    /// The talker says this, in pieces.
    fn say(&mut self, octets: &[u8], chunk: usize) {
        for piece in octets.chunks(chunk) {
            let Some(talker) = self.talker else {
                return;
            };
            self.speaker.handle_received(self.now, talker, piece);
            self.settle();
        }
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        let keepalive = encoded(&Message::Keepalive);
        self.speaker
            .handle_received(self.now, self.listener, &keepalive);
        self.settle();
        self.speaker.handle_timeout(self.now);
        self.settle();
    }

    /// Time until nothing is left to be done at once.
    fn quiesce(&mut self) {
        self.settle();
        for _ in 0..1_000 {
            let soon = self.now + Duration::from_secs(1);
            match self.speaker.poll_timeout() {
                Some((at, _)) if at <= soon => self.pass(at.since(self.now)),
                _ => return,
            }
        }
        panic!("work without end");
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            let Some(output) = self.speaker.poll_output() else {
                return;
            };
            match output {
                Output::Connect { .. } => panic!("all peers are passive"),
                Output::Transmit(connection) => self.transmit(connection),
                Output::Close { connection, last } => {
                    assert_ne!(connection, self.listener, "the listener was cut off");
                    self.talker.take_if(|talker| *talker == connection);
                    last.iter().for_each(check_frame);
                }
                Output::Event(_) => {}
            }
        }
        panic!("outputs without end");
    }

    fn transmit(&mut self, connection: ConnectionId) {
        for _ in 0..10_000 {
            let mut messages = Vec::new();
            let more = self
                .speaker
                .poll_transmit(self.now, connection, 16_384, &mut messages);
            messages.iter().for_each(check_frame);
            if connection == self.listener {
                messages.iter().for_each(|message| self.hear(message));
            }
            self.speaker.handle_written(self.now, connection);
            if !more {
                return;
            }
        }
        panic!("messages without end");
    }

    /// What the listener hears is without fault, and ends no session.
    fn hear(&mut self, octets: &Bytes) {
        let frame = wire::frame(octets, MAX_LEN).unwrap().unwrap();
        match wire::decode(&frame, &context()).unwrap() {
            Message::Update(update) => self.learn(update),
            Message::Notification(notification) => panic!("the listener was told {notification}"),
            Message::Open(_) | Message::Keepalive | Message::RouteRefresh(_) => {}
        }
    }

    fn learn(&mut self, update: Update) {
        assert_eq!(update.faults, []);
        for gone in update.unreach.iter().flat_map(|gone| &gone.nlri) {
            self.heard.remove(gone);
        }
        for reach in update.reach {
            self.heard.extend(reach.nlri);
        }
    }

    fn check(&self) {
        assert!(self.is_up(LISTENER));
        assert_eq!(self.speaker.check(), Ok(()));
    }

    /// What the listener has heard is what it is to know.
    fn compare(&self) {
        let mut expected = BTreeSet::new();
        for family in Family::ALL {
            let mut from = None;
            loop {
                let page = self.speaker.adj_rib_out("p3", family, from, 1_000).unwrap();
                expected.extend(page.items.iter().map(|item| Nlri::plain(item.prefix)));
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
        }
        assert_eq!(self.heard, expected);
    }
}

/// A whole message and nothing more.
fn check_frame(octets: &Bytes) {
    let frame = wire::frame(octets, wire::MAX_EXTENDED_LEN);
    assert_eq!(frame.unwrap().unwrap().len, octets.len());
}
