//! What a kernel really has, read by netlink: the laboratory's own eyes, independent of the code
//! under test.
//!
//! Reading is all it does. One request is under way at a time, so a reply needs no bookkeeping.
//! The layouts are those of `rtnetlink(7)`: a header of 16 octets, a body that depends on the kind
//! of message, then attributes of length, type and value, each padded to four octets.

use crate::netns::Namespace;
use crate::{During, Error, Result};
use bgp_core::family::Family;
use bgp_core::prefix::IpNet;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

/// A reply larger than this is cut off; the kernel sends at most 32 KiB at a time.
const MAX_REPLY: usize = 64 * 1024;
/// How long the kernel may take to answer.
const PATIENCE_SECONDS: i64 = 5;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct rtmsg`.
const BODY: usize = 12;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
pub(super) const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const RTN_UNICAST: u8 = 1;
const RTN_BLACKHOLE: u8 = 6;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTNH_F_LINKDOWN: u32 = 16;
const RTNH_F_ONLINK: u32 = 4;
pub(super) const RT_TABLE_MAIN: u8 = 254;

/// What becomes of packets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// They go somewhere.
    Unicast,
    /// They are dropped without a word.
    Blackhole,
    /// Another kind, by its number in the kernel.
    Other(u8),
}

/// A route in the main table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct KernelRoute {
    /// To where.
    pub prefix: IpNet,
    /// What becomes of packets.
    pub kind: Kind,
    /// The next router.
    pub gateway: Option<IpAddr>,
    /// The index of the device.
    pub device: Option<u32>,
    /// Who made it, by number.
    pub protocol: u8,
    /// Its priority.
    pub metric: u32,
    /// The gateway need not be in a subnet of the device.
    pub onlink: bool,
    /// The device has no carrier.
    pub link_down: bool,
}

/// A netlink socket in one namespace.
#[derive(Debug)]
pub struct Kernel {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Kernel {
    /// Opens a socket in `namespace`; it stays there.
    ///
    /// # Errors
    /// When the kernel refuses the socket.
    pub fn open(namespace: &Namespace) -> Result<Self> {
        let socket = namespace.run(|| {
            let opened = || {
                let socket = socket(
                    AddressFamily::Netlink,
                    SockType::Raw,
                    SockFlag::SOCK_CLOEXEC,
                    SockProtocol::NetlinkRoute,
                )?;
                bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
                let patience = TimeVal::seconds(PATIENCE_SECONDS);
                setsockopt(&socket, sockopt::ReceiveTimeout, &patience)?;
                Ok::<_, nix::Error>(socket)
            };
            opened().during(|| "opening a netlink socket".to_owned())
        })?;
        Ok(Self {
            socket,
            buffer: vec![0; MAX_REPLY],
        })
    }

    /// All routes of one family in the main table, sorted.
    ///
    /// # Errors
    /// When the kernel does not answer, or with an error.
    pub fn routes(&mut self, family: Family) -> Result<Vec<KernelRoute>> {
        self.ask(&request(family, NLM_F_REQUEST | NLM_F_DUMP, &[]))?;
        let mut routes = Vec::new();
        loop {
            let length = self.receive()?;
            let reply = self.buffer.get(..length).unwrap_or_default();
            for (kind, payload) in Messages(reply) {
                match kind {
                    NLMSG_DONE => {
                        routes.sort();
                        return Ok(routes);
                    }
                    NLMSG_ERROR => return Err(refused(payload)),
                    RTM_NEWROUTE => routes.extend(read_route(payload, Some(RT_TABLE_MAIN))),
                    _ => {}
                }
            }
        }
    }

    /// The route that the kernel would take for a packet to `address`; `None` when it has none.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn lookup(&mut self, address: IpAddr) -> Result<Option<KernelRoute>> {
        self.ask(&lookup_request(address))?;
        let length = self.receive()?;
        let reply = self.buffer.get(..length).unwrap_or_default();
        Ok(Messages(reply).find_map(|(kind, payload)| {
            (kind == RTM_NEWROUTE)
                .then(|| read_route(payload, None))
                .flatten()
        }))
    }

    fn ask(&self, message: &[u8]) -> Result<()> {
        send(self.socket.as_raw_fd(), message, MsgFlags::empty())
            .map(drop)
            .during(|| "asking the kernel for routes".to_owned())
    }

    fn receive(&mut self) -> Result<usize> {
        recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty())
            .during(|| "reading routes from the kernel".to_owned())
    }
}

fn number(family: Family) -> u8 {
    match family {
        Family::Ipv4Unicast => AF_INET,
        Family::Ipv6Unicast => AF_INET6,
    }
}

fn lookup_request(address: IpAddr) -> Vec<u8> {
    let (family, octets) = match address {
        IpAddr::V4(address) => (Family::Ipv4Unicast, address.octets().to_vec()),
        IpAddr::V6(address) => (Family::Ipv6Unicast, address.octets().to_vec()),
    };
    request(family, NLM_F_REQUEST, &octets)
}

/// An `RTM_GETROUTE`; with a destination it asks for the route to that.
fn request(family: Family, flags: u16, destination: &[u8]) -> Vec<u8> {
    let attribute = if destination.is_empty() {
        0
    } else {
        4 + destination.len()
    };
    let total = HEADER + BODY + attribute;
    let mut message = Vec::with_capacity(total);
    message.extend(u32::try_from(total).unwrap_or(u32::MAX).to_ne_bytes());
    message.extend(RTM_GETROUTE.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]); // sequence number and port: one request at a time
    let bits = u8::try_from(destination.len() * 8).unwrap_or(u8::MAX);
    message.extend([number(family), bits]);
    message.extend([0; BODY - 2]);
    if !destination.is_empty() {
        message.extend(u16::try_from(attribute).unwrap_or(u16::MAX).to_ne_bytes());
        message.extend(RTA_DST.to_ne_bytes());
        message.extend(destination);
    }
    message
}

fn refused(payload: &[u8]) -> Error {
    let code = word(payload, 0).unwrap_or_default().cast_signed();
    Error::System {
        what: "reading routes".to_owned(),
        source: std::io::Error::from_raw_os_error(code.wrapping_neg()),
    }
}

/// The messages of one reply: their types and what follows their headers.
pub(super) struct Messages<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::try_from(word(self.0, 0)?).ok()?;
        let kind = half(self.0, 4)?;
        let payload = self.0.get(HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    }
}

/// The attributes of a message: their types and values.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(half(self.0, 0)?);
        let kind = half(self.0, 2)?;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// Reads a `struct rtmsg` and its attributes; `None` for what is not in `table`.
pub(super) fn read_route(payload: &[u8], table: Option<u8>) -> Option<KernelRoute> {
    let family = *payload.first()?;
    let bits = *payload.get(1)?;
    if table.is_some_and(|table| payload.get(4) != Some(&table)) {
        return None;
    }
    let flags = word(payload, 8)?;
    let nothing: IpAddr = match family {
        AF_INET => Ipv4Addr::UNSPECIFIED.into(),
        AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let mut route = KernelRoute {
        prefix: IpNet::new(nothing, bits).ok()?,
        kind: match *payload.get(7)? {
            RTN_UNICAST => Kind::Unicast,
            RTN_BLACKHOLE => Kind::Blackhole,
            other => Kind::Other(other),
        },
        gateway: None,
        device: None,
        protocol: *payload.get(5)?,
        metric: 0,
        onlink: flags & RTNH_F_ONLINK != 0,
        link_down: flags & RTNH_F_LINKDOWN != 0,
    };
    for (kind, value) in Attributes(payload.get(BODY..)?) {
        match kind {
            RTA_DST => route.prefix = IpNet::new(address(value)?, bits).ok()?,
            RTA_GATEWAY => route.gateway = address(value),
            RTA_OIF => route.device = word(value, 0),
            RTA_PRIORITY => route.metric = word(value, 0)?,
            _ => {}
        }
    }
    Some(route)
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(octets) {
        return Some(four.into());
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}

fn word(octets: &[u8], at: usize) -> Option<u32> {
    let four = octets.get(at..at + 4)?;
    Some(u32::from_ne_bytes(four.try_into().ok()?))
}

fn half(octets: &[u8], at: usize) -> Option<u16> {
    let two = octets.get(at..at + 2)?;
    Some(u16::from_ne_bytes(two.try_into().ok()?))
}
