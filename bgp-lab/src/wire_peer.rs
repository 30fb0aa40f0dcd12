//! One speaker by hand: sends any octets, records all it hears with the time.
//!
//! It is blocking and has no thread: the socket is read while something is waited for. It never
//! answers by itself, so a test sees exactly what it asked for; with its hold time of 180 s no
//! test needs a KEEPALIVE but those that are about them.

use crate::netns::Namespace;
use crate::octets::{self, Attribute, Message, Open, ParsedUpdate, kind};
use crate::{During, Error, Result};
use bgp_core::prefix::IpNet;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How long one look at the socket may take.
const LOOK: Duration = Duration::from_millis(20);
/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A connection to the router under test.
#[derive(Debug)]
pub struct WirePeer {
    stream: TcpStream,
    buffer: Vec<u8>,
    heard: Vec<Heard>,
    table: BTreeMap<IpNet, Route>,
    ends_of_rib: Vec<u16>,
    closed: bool,
}

/// A message and when it was read.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// What.
    pub message: Message,
}

/// A route as the router under test announced it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// The next hop, as on the wire.
    pub next_hop: Vec<u8>,
    /// The attributes in their order, MP_REACH_NLRI left out.
    pub attributes: Vec<Attribute>,
}

impl Route {
    /// The value of the attribute with `code`.
    pub fn value(&self, code: u8) -> Option<&[u8]> {
        self.attribute(code)
            .map(|attribute| attribute.value.as_slice())
    }

    /// The attribute with `code`.
    pub fn attribute(&self, code: u8) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.code == code)
    }
}

/// What a NOTIFICATION said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Error code.
    pub code: u8,
    /// Error subcode.
    pub subcode: u8,
    /// The Data field.
    pub data: Vec<u8>,
}

impl WirePeer {
    /// Connects from `from` to `to` inside `namespace`.
    ///
    /// # Errors
    /// When nobody listens there, or nobody answers.
    pub fn connect(namespace: &Namespace, from: IpAddr, to: SocketAddr) -> Result<Self> {
        namespace.run(|| {
            let what = || format!("connecting from {from} to {to}");
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))
                .during(what)?;
            socket.bind(&SocketAddr::new(from, 0).into()).during(what)?;
            socket
                .connect_timeout(&to.into(), CONNECT_LIMIT)
                .during(what)?;
            Self::new(socket.into())
        })
    }

    /// Takes over a connection.
    ///
    /// # Errors
    /// When its options cannot be set.
    pub fn new(stream: TcpStream) -> Result<Self> {
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(LOOK)))
            .during(|| "setting up a socket".to_owned())?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
            heard: Vec::new(),
            table: BTreeMap::new(),
            ends_of_rib: Vec::new(),
            closed: false,
        })
    }

    /// Sends octets as they are. That the other side has closed is seen when reading.
    pub fn send(&mut self, octets: &[u8]) {
        if self.stream.write_all(octets).is_err() {
            self.closed = true;
        }
    }

    /// Exchanges OPEN and KEEPALIVE until the session is Established on both sides.
    ///
    /// # Errors
    /// When the router refuses, or does not answer in time.
    pub fn establish(&mut self, open: &Open, limit: Duration) -> Result<()> {
        self.send(&open.encode());
        self.wait_message("an OPEN", kind::OPEN, limit)?;
        self.send(&octets::keepalive());
        self.wait_message("a KEEPALIVE", kind::KEEPALIVE, limit)
    }

    fn wait_message(&mut self, what: &str, kind: u8, limit: Duration) -> Result<()> {
        self.wait(what, limit, |peer| {
            let found = peer.heard.iter().any(|heard| heard.message.kind == kind);
            if found { Ok(()) } else { Err(peer.story()) }
        })
    }

    /// Reads until `probe` is satisfied.
    ///
    /// # Errors
    /// [`Error::Timeout`] with the last answer of the probe; at once when the connection has been
    /// closed and the probe is still not satisfied.
    pub fn wait<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut probe: impl FnMut(&Self) -> Result<T, String>,
    ) -> Result<T> {
        let started = Instant::now();
        loop {
            let missing = match probe(self) {
                Ok(found) => return Ok(found),
                Err(missing) => missing,
            };
            if self.closed || started.elapsed() >= limit {
                return Err(Error::Timeout {
                    what: what.to_owned(),
                    waited: started.elapsed(),
                    missing,
                });
            }
            self.look()?;
        }
    }

    /// Waits for a NOTIFICATION.
    ///
    /// # Errors
    /// [`Error::Timeout`].
    pub fn wait_refusal(&mut self, limit: Duration) -> Result<Refusal> {
        self.wait("a NOTIFICATION", limit, |peer| {
            peer.refusal().ok_or_else(|| peer.story())
        })
    }

    /// Waits until the other side has closed the connection.
    ///
    /// # Errors
    /// [`Error::Timeout`].
    pub fn wait_closed(&mut self, limit: Duration) -> Result<()> {
        self.wait("the end of the connection", limit, |peer| {
            if peer.closed {
                Ok(())
            } else {
                Err(peer.story())
            }
        })
    }

    /// Waits for the route to `prefix` and answers it.
    ///
    /// # Errors
    /// [`Error::Timeout`].
    pub fn wait_route(&mut self, prefix: &IpNet, limit: Duration) -> Result<Route> {
        self.wait(&format!("a route to {prefix}"), limit, |peer| {
            peer.table.get(prefix).cloned().ok_or_else(|| peer.story())
        })
    }

    /// Waits until there is no route to `prefix`.
    ///
    /// # Errors
    /// [`Error::Timeout`].
    pub fn wait_no_route(&mut self, prefix: &IpNet, limit: Duration) -> Result<()> {
        self.wait(
            &format!("the end of the route to {prefix}"),
            limit,
            |peer| {
                if peer.table.contains_key(prefix) {
                    Err("it is still there".to_owned())
                } else {
                    Ok(())
                }
            },
        )
    }

    /// The route to `prefix` as far as it has been read.
    pub fn route(&self, prefix: &IpNet) -> Option<&Route> {
        self.table.get(prefix)
    }

    /// All routes as far as they have been read.
    pub fn table(&self) -> &BTreeMap<IpNet, Route> {
        &self.table
    }

    /// The AFIs of the End-of-RIB markers, in their order.
    pub fn ends_of_rib(&self) -> &[u16] {
        &self.ends_of_rib
    }

    /// Everything that has been read.
    pub fn heard(&self) -> &[Heard] {
        &self.heard
    }

    /// How many messages of `kind` have been read.
    pub fn count(&self, kind: u8) -> usize {
        let of_kind = self.heard.iter().filter(|heard| heard.message.kind == kind);
        of_kind.count()
    }

    /// Whether the other side has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The NOTIFICATION that has been read, if any.
    pub fn refusal(&self) -> Option<Refusal> {
        self.heard.iter().find_map(|heard| {
            let message = &heard.message;
            match message.body.as_slice() {
                [code, subcode, data @ ..] if message.kind == kind::NOTIFICATION => Some(Refusal {
                    code: *code,
                    subcode: *subcode,
                    data: data.to_vec(),
                }),
                _ => None,
            }
        })
    }

    /// The types of the messages read so far, for messages to people.
    pub fn story(&self) -> String {
        let kinds: Vec<u8> = self.heard.iter().map(|heard| heard.message.kind).collect();
        let closed = if self.closed { ", closed" } else { "" };
        match self.refusal() {
            Some(refusal) => format!("heard {kinds:?}{closed}, {refusal:?}"),
            None => format!("heard {kinds:?}{closed}"),
        }
    }

    /// Says that nothing more will be sent, and still reads.
    ///
    /// # Errors
    /// When the socket refuses for another reason than that the connection has ended.
    pub fn finish(&mut self) -> Result<()> {
        match self.stream.shutdown(Shutdown::Write) {
            Err(error) if error.kind() != ErrorKind::NotConnected => {
                Err(error).during(|| "finishing".to_owned())
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Ends the connection with a reset, without a word.
    pub fn abort(self) {
        // Without the option it is an ordinary close, which the router must bear as well.
        let _ = Socket::from(self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Reads what is there, for at most [`LOOK`].
    fn look(&mut self) -> Result<()> {
        let mut chunk = [0; 65_536];
        match self.stream.read(&mut chunk) {
            Ok(0) => self.closed = true,
            Ok(length) => self.buffer.extend(chunk.iter().take(length)),
            Err(error) if is_passing(error.kind()) => {}
            Err(_) => self.closed = true,
        }
        while let Some(message) = octets::take_message(&mut self.buffer).map_err(Error::Check)? {
            if message.kind == kind::UPDATE {
                self.apply(&ParsedUpdate::parse(&message.body).map_err(Error::Check)?);
            }
            self.heard.push(Heard {
                at: Instant::now(),
                message,
            });
        }
        Ok(())
    }

    fn apply(&mut self, update: &ParsedUpdate) {
        for prefix in &update.unreach {
            self.table.remove(prefix);
        }
        for (prefix, next_hop) in &update.reach {
            let route = Route {
                next_hop: next_hop.clone(),
                attributes: update.attributes.clone(),
            };
            self.table.insert(*prefix, route);
        }
        self.ends_of_rib.extend(update.end_of_rib);
    }
}

/// Whether an error of the socket means no more than "not now".
fn is_passing(kind: ErrorKind) -> bool {
    [
        ErrorKind::WouldBlock,
        ErrorKind::TimedOut,
        ErrorKind::Interrupted,
    ]
    .contains(&kind)
}

/// Waits for the router under test to connect.
#[derive(Debug)]
pub struct Doorway {
    listener: TcpListener,
}

impl Doorway {
    /// Listens on port 179 of `address` inside `namespace`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn open(namespace: &Namespace, address: Ipv4Addr) -> Result<Self> {
        let listener = namespace.run(|| {
            TcpListener::bind((address, 179)).during(|| format!("listening on {address}"))
        })?;
        listener
            .set_nonblocking(true)
            .during(|| "setting up a listener".to_owned())?;
        Ok(Self { listener })
    }

    /// The next connection.
    ///
    /// # Errors
    /// [`Error::Timeout`].
    pub fn accept(&self, limit: Duration) -> Result<WirePeer> {
        let stream = crate::wait::until("a connection", limit, || {
            self.listener.accept().map(|(stream, _)| stream)
        })?;
        stream
            .set_nonblocking(false)
            .during(|| "setting up a socket".to_owned())?;
        WirePeer::new(stream)
    }
}
