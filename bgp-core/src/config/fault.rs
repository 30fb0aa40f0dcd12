//! What can be wrong with a [`Config`](super::Config), and how it is said.

use crate::complaint::Complaint;
use crate::prefix::IpNet;
use crate::types::{Asn, PeerRole, RouterId};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Longest name of a peer or a group, in octets. A longer one is refused.
pub const MAX_NAME: usize = 64;
/// Longest host name, in octets. A longer one is refused: it would crowd the OPEN.
pub const MAX_HOST_NAME: usize = 64;
/// Most ways to one prefix. More are refused: kernels hash badly over many, and each costs a place
/// in every route.
pub const MAX_MULTIPATH: u8 = 16;
/// Longest gathering window. A longer one is refused: it would look like a fault.
pub const MAX_SETTLE: Duration = Duration::from_secs(1);
/// Most seconds that the Restart Time field can say (12 bits, RFC 4724 §3).
pub const MAX_RESTART_SECONDS: u64 = 4_095;
/// Shortest pause between attempts to connect. A shorter one is refused.
pub const MIN_CONNECT_RETRY: Duration = Duration::from_millis(100);
/// Longest hold time (16 bits, RFC 4271 §4.2) and longest pause between attempts to connect.
pub const MAX_TIMER: Duration = Duration::from_secs(65_535);
/// Longest time for which routes can be long-lived stale (24 bits, RFC 9494 §3.1).
pub const MAX_LONG_LIVED: Duration = Duration::from_secs((1 << 24) - 1);
/// Most peers, configured and dynamic together: half of the numbers that the RIB has for
/// sessions, so that all of them can return before the last has been drained. A configuration
/// that could have more is refused.
pub const MAX_PEERS: usize = 32_768;

/// One thing that is wrong with a configuration, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The element at fault.
    pub element: Element,
    /// What is wrong with it; boxed, because errors are rare and results are small.
    pub fault: Box<Fault>,
}

/// A part of a [`Config`](super::Config).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Element {
    /// `Config::router`.
    Router,
    /// `Config::peers[index]`.
    Peer {
        /// Its place.
        index: usize,
        /// Its name.
        name: String,
    },
    /// `Config::dynamic[index]`.
    Group {
        /// Its place.
        index: usize,
        /// Its name.
        name: String,
    },
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Of the router.
    Router(RouterFault),
    /// Of a peer.
    Peer(PeerFault),
    /// Of a group of dynamic neighbours.
    Group(GroupFault),
    /// Of what a peer or a group asks of its sessions.
    Settings(SettingsFault),
}

/// What is wrong with the router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouterFault {
    /// Our AS is 0 or AS_TRANS (RFC 7607, RFC 6793).
    ReservedAs(Asn),
    /// A router id of zero (RFC 6286).
    ZeroRouterId(RouterId),
    /// A gathering window above [`MAX_SETTLE`].
    Settle(Duration),
    /// A Restart Time that its field cannot say.
    RestartTime(Duration),
    /// A time to hold End-of-RIB back that is too long.
    RestartDeferral(Duration),
    /// No way to a prefix, or more than [`MAX_MULTIPATH`].
    Multipath(u8),
    /// A host name that is too long, or has more than printable ASCII.
    HostName(String),
}

/// What is wrong with a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NameFault {
    /// It is not of the form that names have.
    Form(String),
    /// Another element of the kind has it already.
    Duplicate {
        /// The name.
        name: String,
        /// The place of the other.
        first: usize,
    },
}

/// What is wrong with a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PeerFault {
    /// Its name.
    Name(NameFault),
    /// Another peer has its address already.
    DuplicateAddress {
        /// The address.
        address: IpAddr,
        /// The place of the other.
        first: usize,
        /// The name of the other.
        first_name: String,
    },
    /// An address that no peer can have.
    Address(IpAddr),
    /// An address that we cannot connect from.
    LocalAddress(IpAddr),
    /// Its address and the one that we connect from are of different families.
    LocalFamily {
        /// The peer's.
        address: IpAddr,
        /// Ours.
        local: IpAddr,
    },
    /// Port 0.
    Port,
    /// More peers than [`MAX_PEERS`].
    TooMany,
}

/// What is wrong with a group of dynamic neighbours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupFault {
    /// Its name.
    Name(NameFault),
    /// No prefix to accept from.
    AcceptsNothing,
    /// A prefix with host bits.
    HostBits {
        /// Its place in `accept`.
        item: usize,
        /// The prefix.
        prefix: IpNet,
    },
    /// A prefix that shares addresses with one of another group.
    Overlap {
        /// Its place in `accept`.
        item: usize,
        /// The prefix.
        prefix: IpNet,
        /// The place of the other prefix in the `accept` of its group.
        other_item: usize,
        /// The other group's prefix.
        other: IpNet,
        /// The place of the other group.
        first: usize,
        /// The name of the other group.
        first_name: String,
    },
    /// A limit of none or of more than [`MAX_PEERS`].
    Limit(usize),
    /// The peers and the limits of all groups together are more than [`MAX_PEERS`].
    TooMany(usize),
}

/// What is wrong with the settings of a peer or a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SettingsFault {
    /// Their AS is 0 or AS_TRANS (RFC 7607, RFC 6793).
    ReservedAs(Asn),
    /// An internal role with another AS than ours, or an external one with ours.
    Role {
        /// The role.
        role: PeerRole,
        /// Their AS.
        remote_as: Asn,
        /// Our AS.
        local_as: Asn,
    },
    /// No family to exchange routes of.
    NoFamilies,
    /// A hold time that RFC 4271 §4.2 does not know, or that its field cannot say.
    HoldTime(Duration),
    /// A pause between attempts to connect that is too short or too long.
    ConnectRetry(Duration),
    /// A time for long-lived stale routes that its field cannot say.
    LongLived {
        /// Which of the two keys.
        key: &'static str,
        /// The time.
        span: Duration,
    },
    /// A limit of no prefix at all.
    MaxPrefixes,
}

impl ConfigError {
    /// What to tell the operator.
    pub fn complaint(&self) -> Complaint {
        self.fault.complaint()
    }
}

impl Fault {
    /// The key at fault, as it is spelt in configuration files; empty where it is the element as
    /// a whole.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Router(fault) => fault.key(),
            Self::Peer(fault) => fault.key(),
            Self::Group(fault) => fault.key(),
            Self::Settings(fault) => fault.key(),
        }
    }

    /// The place of the item at fault, where the key holds a list.
    pub fn item(&self) -> Option<usize> {
        match self {
            Self::Group(GroupFault::HostBits { item, .. } | GroupFault::Overlap { item, .. }) => {
                Some(*item)
            }
            Self::Router(_) | Self::Peer(_) | Self::Group(_) | Self::Settings(_) => None,
        }
    }

    /// The earlier element that this one clashes with, if it clashes: its place in its list, and
    /// the place of the item under the same key, where that holds a list.
    pub fn clashes_with(&self) -> Option<(usize, Option<usize>)> {
        match self {
            Self::Peer(
                PeerFault::Name(NameFault::Duplicate { first, .. })
                | PeerFault::DuplicateAddress { first, .. },
            )
            | Self::Group(GroupFault::Name(NameFault::Duplicate { first, .. })) => {
                Some((*first, None))
            }
            Self::Group(GroupFault::Overlap {
                first, other_item, ..
            }) => Some((*first, Some(*other_item))),
            Self::Router(_) | Self::Peer(_) | Self::Group(_) | Self::Settings(_) => None,
        }
    }

    /// What to tell the operator.
    pub fn complaint(&self) -> Complaint {
        match self {
            Self::Router(fault) => fault.complaint(),
            Self::Peer(fault) => fault.complaint(),
            Self::Group(fault) => fault.complaint(),
            Self::Settings(fault) => fault.complaint(),
        }
    }
}

impl RouterFault {
    fn key(&self) -> &'static str {
        match self {
            Self::ReservedAs(_) => "as",
            Self::ZeroRouterId(_) => "router-id",
            Self::Settle(_) => "settle",
            Self::RestartTime(_) => "restart-time",
            Self::RestartDeferral(_) => "restart-deferral",
            Self::Multipath(_) => "multipath",
            Self::HostName(_) => "host-name",
        }
    }

    fn complaint(&self) -> Complaint {
        match self {
            Self::ReservedAs(asn) => reserved_as("our AS", *asn),
            Self::ZeroRouterId(id) => Complaint::new(
                format!("router id {id}"),
                "any IPv4 address but 0.0.0.0 (RFC 6286)",
                "take an address of this host, unique within the AS",
            ),
            Self::Settle(span) => Complaint::new(
                format!("a gathering window of {span:?}"),
                format!("0 to {MAX_SETTLE:?}"),
                "a few milliseconds gather a burst; peers wait for the rest",
            ),
            Self::RestartTime(span) => Complaint::new(
                format!("a restart time of {span:?}"),
                format!(
                    "whole seconds, 0 (no graceful restart) to {MAX_RESTART_SECONDS} (RFC 4724)"
                ),
                "take the time that a restart needs",
            ),
            Self::RestartDeferral(span) => Complaint::new(
                format!("a restart deferral of {span:?}"),
                format!("0 (never hold End-of-RIB back) to {MAX_TIMER:?}"),
                "take the time in which peers come back and tell their tables",
            ),
            Self::Multipath(ways) => Complaint::new(
                format!("{ways} ways to a prefix"),
                format!("1 (no multipath) to {MAX_MULTIPATH}"),
                "take as many as there are equal links",
            ),
            Self::HostName(name) => Complaint::new(
                format!("host name {name:?}"),
                format!("at most {MAX_HOST_NAME} printable ASCII characters, or none"),
                "shorten it, or leave it empty to send none",
            ),
        }
    }
}

impl NameFault {
    fn complaint(&self, kind: &str) -> Complaint {
        match self {
            Self::Form(name) => Complaint::new(
                format!("{name:?} is not a name for a {kind}"),
                name_form(kind),
                "names stand in log lines, tables and addresses of the admin interface",
            ),
            Self::Duplicate { name, .. } => Complaint::new(
                format!("a second {kind} named {name:?}"),
                format!("one {kind} of a name"),
                "rename one of them",
            ),
        }
    }
}

fn name_form(kind: &str) -> String {
    let (begin, more) = if kind == "group" {
        ("a letter", "")
    } else {
        ("a letter or digit", ", or the peer's own address")
    };
    format!("1 to {MAX_NAME} letters, digits, '-', '_' and '.', beginning with {begin}{more}")
}

impl PeerFault {
    fn key(&self) -> &'static str {
        match self {
            Self::Name(_) => "name",
            Self::DuplicateAddress { .. } | Self::Address(_) => "address",
            Self::LocalAddress(_) | Self::LocalFamily { .. } => "local-address",
            Self::Port => "port",
            Self::TooMany => "",
        }
    }

    fn complaint(&self) -> Complaint {
        match self {
            Self::Name(fault) => fault.complaint("peer"),
            Self::DuplicateAddress {
                address,
                first_name,
                ..
            } => Complaint::new(
                format!("a second peer with address {address}"),
                "one peer of an address",
                format!("{first_name:?} has it already: remove one of the two"),
            ),
            Self::Address(address) => unusable_address("peer", *address),
            Self::LocalAddress(address) => unusable_address("local", *address),
            Self::LocalFamily { address, local } => Complaint::new(
                format!("local address {local} for a peer at {address}"),
                "two addresses of one family",
                "take an address of this host of the peer's family, or leave it out",
            ),
            Self::Port => Complaint::new(
                "port 0",
                "1 to 65535",
                "leave it out for port 179, where BGP speakers listen",
            ),
            Self::TooMany => Complaint::new(
                format!("more than {MAX_PEERS} peers"),
                format!("at most {MAX_PEERS}, the limits of groups included"),
                "share them among several reflectors",
            ),
        }
    }
}

fn unusable_address(whose: &str, address: IpAddr) -> Complaint {
    let advice = match address {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => format!("write {v4}"),
            None if v6.is_unicast_link_local() => {
                "a link-local address does not say on which interface: take a global one".to_owned()
            }
            None => "take the address of one host".to_owned(),
        },
        IpAddr::V4(_) => "take the address of one host".to_owned(),
    };
    Complaint::new(
        format!("{whose} address {address}"),
        "a unicast address, not an IPv6 link-local one",
        advice,
    )
}

impl GroupFault {
    fn key(&self) -> &'static str {
        match self {
            Self::Name(_) => "name",
            Self::AcceptsNothing | Self::HostBits { .. } | Self::Overlap { .. } => "accept",
            Self::Limit(_) | Self::TooMany(_) => "accept-limit",
        }
    }

    fn complaint(&self) -> Complaint {
        match self {
            Self::Name(fault) => fault.complaint("group"),
            Self::AcceptsNothing => Complaint::new(
                "nothing to accept from",
                "at least one prefix",
                "add one, or leave the key out if peers refer to the group by name",
            ),
            Self::HostBits { prefix, .. } => {
                crate::policy::PrefixFault::HostBits(*prefix).complaint()
            }
            Self::Overlap {
                prefix,
                other,
                first_name,
                ..
            } => Complaint::new(
                format!("{prefix} shares addresses with {other} of group {first_name:?}"),
                "each address in one group",
                "divide the range, or give single hosts of it a peer of their own",
            ),
            Self::Limit(limit) => Complaint::new(
                format!("a limit of {limit}"),
                format!("1 to {MAX_PEERS}"),
                "to accept nobody for a while set shutdown",
            ),
            Self::TooMany(total) => Complaint::new(
                format!("{total} peers, with this group full"),
                format!("at most {MAX_PEERS} in all groups together"),
                "lower the limits, or share the peers among several reflectors",
            ),
        }
    }
}

impl SettingsFault {
    fn key(&self) -> &'static str {
        match self {
            Self::ReservedAs(_) => "remote-as",
            Self::Role { .. } => "role",
            Self::NoFamilies => "families",
            Self::HoldTime(_) => "hold-time",
            Self::ConnectRetry(_) => "connect-retry",
            Self::LongLived { key, .. } => key,
            Self::MaxPrefixes => "max-prefixes",
        }
    }

    fn complaint(&self) -> Complaint {
        match self {
            Self::ReservedAs(asn) => reserved_as("their AS", *asn),
            Self::Role {
                role,
                remote_as,
                local_as,
            } => role_mismatch(*role, *remote_as, *local_as),
            Self::NoFamilies => Complaint::new(
                "no family",
                "at least one of ipv4-unicast and ipv6-unicast",
                "leave the key out for both",
            ),
            Self::HoldTime(span) => Complaint::new(
                format!("a hold time of {span:?}"),
                "0 (no keepalives), or 3 to 65535 whole seconds (RFC 4271 §4.2)",
                "90 s suits most; 9 s notices a dead peer sooner",
            ),
            Self::ConnectRetry(span) => Complaint::new(
                format!("a pause of {span:?} between attempts to connect"),
                format!("{MIN_CONNECT_RETRY:?} to {MAX_TIMER:?}"),
                "a few seconds suit most",
            ),
            Self::LongLived { span, .. } => Complaint::new(
                format!("{span:?} for long-lived stale routes"),
                format!(
                    "whole seconds, 0 to {} (RFC 9494)",
                    MAX_LONG_LIVED.as_secs()
                ),
                "take the time in which somebody will have brought the peer back",
            ),
            Self::MaxPrefixes => Complaint::new(
                "a limit of 0 prefixes",
                "1 or more",
                "leave the key out for no limit; to let nothing in use import = \"reject-all\"",
            ),
        }
    }
}

fn reserved_as(whose: &str, asn: Asn) -> Complaint {
    Complaint::new(
        format!("{whose} is {asn}"),
        "1 to 4294967295, but not 23456 (RFC 7607, RFC 6793)",
        "private numbers are 64512 to 65534 and 4200000000 to 4294967294",
    )
}

fn role_mismatch(role: PeerRole, remote_as: Asn, local_as: Asn) -> Complaint {
    if role.is_internal() {
        Complaint::new(
            format!("role {role} with remote AS {remote_as}, and ours is {local_as}"),
            format!("an internal role with remote AS {local_as}, or role external"),
            format!("for a peer in AS {remote_as} write role = \"external\""),
        )
    } else {
        Complaint::new(
            format!("role {role} with remote AS {remote_as}, which is ours"),
            "an external role with an AS other than ours, or an internal role",
            "for a peer in our own AS write role = \"client\" or role = \"non-client\"",
        )
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Router => f.write_str("router"),
            Self::Peer { name, .. } => write!(f, "peer {name:?}"),
            Self::Group { name, .. } => write!(f, "group {name:?}"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.element, self.complaint())
    }
}

impl std::error::Error for ConfigError {}
