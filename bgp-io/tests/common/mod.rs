//! Speakers and clients for the tests of the edge: engines on loopback, each with an address of
//! its own in 127.0.0.0/8, and a client that speaks BGP by hand.

#![allow(dead_code, reason = "each test binary uses a part of this")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and says so"
)]

use bgp_core::config::{Config, DynamicGroup, Peer, PeerSettings, Router};
use bgp_core::family::{Family, FamilySet};
use bgp_core::prefix::{IpNet, Nlri};
use bgp_core::speaker::{Event, Speaker};
use bgp_core::time::Instant;
use bgp_core::types::{Asn, RouterId};
use bgp_core::wire::{Capability, Message, NextHop, Open, PathAttributes, Reach, Update};
use bgp_io::{BgpCodec, Clock, CodecError, Events, Handle, Heard, Listener};
use bytes::BytesMut;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::codec::{Decoder as _, Encoder as _};

pub(crate) const AS: Asn = Asn(64_512);

/// Fails a test that hangs. Not a measure of anything.
const PATIENCE: Duration = Duration::from_secs(300);

/// `work`, or a failed test when it does not come to an end.
///
/// A real-time limit even under a paused clock, where the runtime's own would run out at once.
pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    let (done, watchdog) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if watchdog.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            eprintln!("the test hangs");
            std::process::abort();
        }
    });
    let result = work.await;
    drop(done);
    result
}

/// Lets this process open as many descriptors as it may; the usual limit is too low for storms.
pub(crate) fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}

pub(crate) fn any_port() -> Listener {
    Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap()
}

pub(crate) fn address(n: usize) -> Ipv4Addr {
    let [.., high, low] = n.to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

pub(crate) fn prefix(n: usize) -> IpNet {
    let [.., high, middle, low] = n.to_be_bytes();
    format!("10.{high}.{middle}.{low}/32").parse().unwrap()
}

/// A reflector that takes every address of 127.1.0.0/16 as a client.
pub(crate) fn reflector() -> Config {
    let accept = vec!["127.1.0.0/16".parse().unwrap()];
    let group = DynamicGroup::new("clients", accept, PeerSettings::client(AS));
    Config::new(Router::new(AS, RouterId(Ipv4Addr::LOCALHOST))).with_dynamic(group)
}

/// The `n`th client of the reflector at `remote`. It does not ask for its routes to be kept when
/// it goes (RFC 4724).
pub(crate) fn client(n: usize, remote: SocketAddr) -> Config {
    let mut peer = Peer::new("reflector", remote.ip(), PeerSettings::non_client(AS));
    peer.port = remote.port();
    peer.local_address = Some(address(n).into());
    let mut router = Router::new(AS, RouterId(address(n)));
    router.restart_time = Duration::ZERO;
    Config::new(router).with_peer(peer)
}

pub(crate) fn start(config: Config, listeners: Vec<Listener>) -> (Handle, Events) {
    let clock = Clock::start();
    let speaker = Speaker::new(config, clock.now(), 1).unwrap();
    bgp_io::spawn(speaker, clock, listeners).unwrap()
}

/// The reflector, and where it listens.
pub(crate) fn start_reflector() -> (Handle, Events, SocketAddr) {
    let listener = any_port();
    let address = listener.local_addr();
    let (handle, events) = start(reflector(), vec![listener]);
    (handle, events, address)
}

pub(crate) async fn originate(handle: &Handle, prefixes: impl IntoIterator<Item = IpNet>) {
    let prefixes: Vec<IpNet> = prefixes.into_iter().collect();
    let tell = move |speaker: &mut Speaker, now: Instant| {
        for prefix in prefixes {
            speaker.originate(now, prefix, next_hop(), &attributes());
        }
    };
    handle.ask(tell).await.unwrap();
}

pub(crate) fn next_hop() -> NextHop {
    NextHop::V4(Ipv4Addr::new(192, 0, 2, 1))
}

pub(crate) fn attributes() -> PathAttributes {
    PathAttributes {
        local_pref: Some(100),
        ..PathAttributes::default()
    }
}

/// The next event that `wanted` picks.
pub(crate) async fn event<T>(events: &mut Events, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    loop {
        match events.next().await.expect("the engine runs") {
            Heard::Event(event) => {
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
            Heard::Missed(count) => panic!("{count} events missed"),
        }
    }
}

pub(crate) async fn established(events: &mut Events, count: usize) {
    for _ in 0..count {
        event(events, |event| {
            matches!(event, Event::Established { .. }).then_some(())
        })
        .await;
    }
}

/// Asks again whenever the engine has read something, until it gives an answer.
pub(crate) async fn eventually<T: Send + 'static>(
    handle: &Handle,
    question: impl Fn(&Speaker, Instant) -> Option<T> + Clone + Send + 'static,
) -> T {
    let mut stats = handle.watch_stats();
    loop {
        let read = stats.borrow_and_update().octets_read;
        let question = question.clone();
        let answer = handle.ask(move |speaker, now| question(speaker, now)).await;
        if let Some(answer) = answer.unwrap() {
            return answer;
        }
        stats
            .wait_for(|stats| stats.octets_read != read)
            .await
            .unwrap();
    }
}

/// How many prefixes the speaker has a route to.
pub(crate) fn count_routes(speaker: &Speaker) -> usize {
    speaker.counts().best[Family::Ipv4Unicast]
}

pub(crate) async fn until_routes(handle: &Handle, count: usize) {
    eventually(handle, move |speaker, _| {
        (count_routes(speaker) == count).then_some(())
    })
    .await;
}

/// A client that speaks by hand.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) codec: BgpCodec,
    buffer: BytesMut,
    number: usize,
}

impl Client {
    /// The `n`th client, connected and no more.
    pub(crate) async fn connect(n: usize, remote: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Small, so that a table is much larger than what fits into sockets.
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.bind(SocketAddr::new(address(n).into(), 0)).unwrap();
        Self::from_stream(n, socket.connect(remote).await.unwrap())
    }

    pub(crate) fn from_stream(number: usize, stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        let families = FamilySet::from_iter([Family::Ipv4Unicast]);
        Self {
            stream,
            codec: BgpCodec::new(true, families),
            buffer: BytesMut::new(),
            number,
        }
    }

    /// With a session.
    pub(crate) async fn established(n: usize, remote: SocketAddr) -> Self {
        let mut client = Self::connect(n, remote).await;
        client.establish().await;
        client
    }

    pub(crate) async fn establish(&mut self) {
        let open = self.open();
        self.send(open).await;
        let answer = self.next().await;
        assert!(matches!(answer, Some(Message::Open(_))), "{answer:?}");
        self.send(Message::Keepalive).await;
        assert_eq!(self.next().await, Some(Message::Keepalive));
    }

    pub(crate) fn open(&self) -> Message {
        Message::Open(Open {
            my_as: AS.two_octet(),
            hold_time: 90,
            router_id: RouterId(address(self.number)),
            capabilities: vec![
                Capability::Multiprotocol(Family::Ipv4Unicast.afi_safi()),
                Capability::FourOctetAs(AS),
            ],
        })
    }

    pub(crate) fn update(prefix: IpNet) -> Message {
        Message::Update(Update {
            reach: vec![Reach {
                family: Family::Ipv4Unicast,
                next_hop: next_hop(),
                nlri: vec![Nlri::plain(prefix)],
            }],
            attributes: attributes(),
            ..Update::default()
        })
    }

    pub(crate) fn encode(&mut self, message: Message) -> BytesMut {
        let mut bytes = BytesMut::new();
        self.codec.encode(message, &mut bytes).unwrap();
        bytes
    }

    pub(crate) async fn send(&mut self, message: Message) {
        let bytes = self.encode(message);
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The next message; `None` when they have closed, in whichever way.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            match self.codec.decode(&mut self.buffer) {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(CodecError::Io(_)) => return None,
                Err(error) => panic!("{error}"),
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Everything until they close; the octets of each message with it.
    pub(crate) async fn rest(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            messages.push(message);
        }
        messages
    }
}
