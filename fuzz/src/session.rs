//! One session that is led through any events at any times.

use crate::Input;
use bgp_core::family::{AfiSafi, Family, FamilySet};
use bgp_core::rng::Rng;
use bgp_core::session::{MAX_CONNECTIONS, Session, SessionEvent, SessionSettings, State, Stop};
use bgp_core::time::{Duration, Instant};
use bgp_core::types::{Asn, ConnectionId, PeerRole, RouterId};
use bgp_core::wire::{
    self, Capability, Cease, Context, EncodeContext, MAX_EXTENDED_LEN, MAX_LEN, Message,
    Notification, NotificationError, Open, RefreshSubtype, RouteRefresh, Update,
};
use bytes::BytesMut;

const AS: u16 = 64_512;

struct Walk {
    session: Session,
    now: Instant,
    next_id: u64,
    /// The attempt that we were asked for.
    dialing: Option<ConnectionId>,
    /// Connections that have not been closed.
    live: Vec<ConnectionId>,
    is_up: bool,
}

/// Events and the time between them.
pub fn fsm_walk(input: &[u8]) {
    let mut input = Input::new(input);
    let flags = input.octet();
    let mut walk = Walk {
        session: Session::new(settings(flags), Rng::new(u64::from(flags))),
        now: Instant::from_micros(1_000_000),
        next_id: 1,
        dialing: None,
        live: Vec::new(),
        is_up: false,
    };
    let now = walk.now;
    walk.session.handle_start(now);
    walk.settle();
    while !input.is_empty() {
        walk.step(&mut input);
        walk.settle();
        walk.check();
    }
}

fn settings(flags: u8) -> SessionSettings {
    let bit = |bit: u8| flags & (1 << bit) != 0;
    SessionSettings {
        local_as: Asn(u32::from(AS)),
        router_id: RouterId([10, 0, 0, 1].into()),
        remote_as: Asn(u32::from(AS)),
        role: PeerRole::Client,
        families: FamilySet::from_iter(Family::ALL),
        hold_time: Duration::from_secs(if bit(0) { 0 } else { 9 }),
        connect_retry: Duration::from_secs(5),
        passive: bit(1),
        add_path_receive: bit(2),
        add_path_send: bit(3),
        extended_messages: bit(3),
        restart_time: Duration::from_secs(if bit(4) { 0 } else { 120 }),
        restarting: bit(5),
        long_lived_restart_time: Some(Duration::from_secs(3_600)),
        forwarding: FamilySet::ALL,
        host_name: "fuzz".into(),
    }
}

fn message(input: &mut Input<'_>) -> Message {
    match input.octet() % 6 {
        0 => Message::Keepalive,
        1 => open(input.octet()),
        2 => Message::Update(Update {
            end_of_rib: Some(Family::Ipv4Unicast),
            ..Update::default()
        }),
        3 => Message::Notification(Notification::bare(NotificationError::from_codes(
            input.octet(),
            input.octet(),
        ))),
        4 => Message::RouteRefresh(refresh(input.octet())),
        _ => Message::Notification(Notification::bare(NotificationError::Cease(
            Cease::ConnectionCollisionResolution,
        ))),
    }
}

fn open(flags: u8) -> Message {
    let bit = |bit: u8| flags & (1 << bit) != 0;
    let unicast = AfiSafi { afi: 1, safi: 1 };
    let optional = [
        (0, Capability::FourOctetAs(Asn(u32::from(AS)))),
        (1, Capability::RouteRefresh),
        (2, Capability::EnhancedRouteRefresh),
        (3, Capability::ExtendedMessage),
    ];
    let mut capabilities = vec![Capability::Multiprotocol(unicast)];
    let chosen = optional.into_iter().filter(|(place, _)| bit(*place));
    capabilities.extend(chosen.map(|(_, capability)| capability));
    Message::Open(Open {
        my_as: if bit(7) { 1 } else { AS },
        hold_time: if bit(4) { 0 } else { 9 },
        router_id: RouterId([10, 0, 0, if bit(5) { 0 } else { 2 }].into()),
        capabilities,
    })
}

fn refresh(octet: u8) -> RouteRefresh {
    RouteRefresh {
        family: AfiSafi {
            afi: u16::from(octet & 3),
            safi: 1,
        },
        subtype: match octet >> 6 {
            0 => RefreshSubtype::Request,
            1 => RefreshSubtype::Begin,
            2 => RefreshSubtype::End,
            _ => RefreshSubtype::Unknown(9),
        },
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

impl Walk {
    fn new_id(&mut self) -> ConnectionId {
        self.next_id += 1;
        ConnectionId(self.next_id)
    }

    /// A connection, usually one that lives.
    fn some_connection(&self, octet: u8) -> ConnectionId {
        let at = usize::from(octet & 3);
        self.live.get(at).copied().unwrap_or(ConnectionId(1))
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let (kind, which) = (input.octet(), input.octet());
        let (now, id) = (self.now, self.some_connection(which));
        match kind % 16 {
            0 => self.session.handle_start(now),
            1 => self.session.handle_stop(now, stop(which)),
            2 => {
                let id = self.new_id();
                self.live.push(id);
                self.session.handle_accepted(now, id);
            }
            3 => {
                let id = self.dialing.take().unwrap_or(id);
                if !self.live.contains(&id) {
                    self.live.push(id);
                }
                self.session.handle_connected(now, id);
            }
            4 => {
                let id = self.dialing.take().unwrap_or(id);
                self.session.handle_connect_failed(now, id);
            }
            5 => self.session.handle_received(now, id, input.piece()),
            6..=9 => {
                let octets = encoded(&message(input));
                let cut = usize::from(which >> 2).min(octets.len());
                self.session.handle_received(now, id, &octets[..cut]);
                self.settle();
                self.session.handle_received(now, id, &octets[cut..]);
            }
            10 => {
                self.live.retain(|other| *other != id);
                self.session.handle_closed(now, id);
            }
            11 => self.session.handle_written(now, id),
            12 => self.session.handle_blocked(now, id),
            13 => {
                self.session.send(&Message::RouteRefresh(refresh(which)));
                let error = NotificationError::Cease(Cease::MaximumPrefixes);
                if which & 0x20 != 0 {
                    self.session.reset(now, Notification::bare(error));
                }
            }
            14 => self.pass(Duration::from_millis(u64::from(input.short()))),
            _ => {
                let next = self.session.poll_timeout();
                if let Some((at, _)) = next {
                    self.pass(at.since(now));
                }
            }
        }
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        let now = self.now;
        self.session.handle_timeout(now);
        if let Some((at, timer)) = self.session.poll_timeout() {
            assert!(at > now, "{timer:?} is due again at once");
        }
    }

    /// Takes everything that the session has to say.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            let Some(event) = self.session.poll_event() else {
                return self.transmit();
            };
            match event {
                SessionEvent::Connect => {
                    let id = self.new_id();
                    self.dialing = Some(id);
                    self.session.dialing(id);
                }
                SessionEvent::Close(id) => {
                    self.drain(id);
                    self.live.retain(|other| *other != id);
                    self.dialing.take_if(|dialing| *dialing == id);
                }
                SessionEvent::Established(_) => {
                    assert!(!self.is_up, "established twice");
                    self.is_up = true;
                }
                SessionEvent::Down(_) => {
                    assert!(self.is_up, "down without having been up");
                    self.is_up = false;
                }
                SessionEvent::Update(_)
                | SessionEvent::RefreshRequest(_)
                | SessionEvent::RefreshMarker(_) => assert!(self.is_up),
                SessionEvent::StateChanged { from, to } => assert_ne!(from, to),
                SessionEvent::Note(note) => assert!(!note.to_string().is_empty()),
            }
        }
        panic!("events without end");
    }

    fn transmit(&mut self) {
        let waiting: Vec<ConnectionId> = self.session.wants_transmit().collect();
        waiting.into_iter().for_each(|id| self.drain(id));
    }

    /// All that is said can be read.
    fn drain(&mut self, id: ConnectionId) {
        let context = Context {
            internal: true,
            four_octet_as: true,
            families: FamilySet::from_iter(Family::ALL),
            add_path: FamilySet::EMPTY,
            extended_next_hop: FamilySet::EMPTY,
            max_len: MAX_EXTENDED_LEN,
        };
        while let Some(octets) = self.session.poll_control(id) {
            let frame = wire::frame(&octets, MAX_EXTENDED_LEN).unwrap().unwrap();
            assert_eq!(frame.len, octets.len());
            wire::decode(&frame, &context).unwrap();
        }
    }

    fn check(&self) {
        let states: Vec<State> = self.session.connections().map(|(_, _, s)| s).collect();
        assert!(states.len() <= MAX_CONNECTIONS);
        let opened = |state: &&State| matches!(state, State::OpenConfirm | State::Established);
        assert!(states.iter().filter(opened).count() <= 1, "{states:?}");
        let is_up = self.session.state() == State::Established;
        assert_eq!(is_up, self.is_up);
        assert_eq!(is_up, self.session.established().is_some());
        assert!(self.session.is_started() || self.session.state() == State::Idle);
        for (id, _, _) in self.session.connections() {
            assert!(self.live.contains(&id), "{id} is kept though it was closed");
        }
        let rests = !self.session.is_started() || self.session.settings().passive;
        let waits = self.session.poll_timeout().is_some();
        // Without hold time an established session waits for nothing.
        assert!(rests || is_up || waits, "nothing would ever happen again");
    }
}

fn stop(octet: u8) -> Stop {
    match octet % 5 {
        0 => Stop::AdministrativeShutdown("bye".into()),
        1 => Stop::AdministrativeReset("\u{20ac}".repeat(200)),
        2 => Stop::PeerDeconfigured,
        3 => Stop::OtherConfigurationChange,
        _ => Stop::Silent,
    }
}
