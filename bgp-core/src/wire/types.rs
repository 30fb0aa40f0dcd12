//! What messages say, as plain values. How they are written is the business of the other files.

use crate::family::{AfiSafi, Family};
use crate::prefix::Nlri;
use crate::types::{Asn, ClusterId, RouterId};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A whole BGP message (RFC 4271 §4).
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all messages are UPDATEs, and they move once"
)]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Type 1 (RFC 4271 §4.2).
    Open(Open),
    /// Type 2 (RFC 4271 §4.3).
    Update(Update),
    /// Type 3 (RFC 4271 §4.5).
    Notification(Notification),
    /// Type 4 (RFC 4271 §4.4).
    Keepalive,
    /// Type 5 (RFC 2918, RFC 7313).
    RouteRefresh(RouteRefresh),
}

/// An OPEN (RFC 4271 §4.2) with its capabilities (RFC 5492) in the order received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Open {
    /// The two-octet My Autonomous System field; [`Asn::TRANS`] hides a larger number that is in
    /// the four-octet capability.
    pub my_as: u16,
    /// Proposed hold time in seconds: 0, or at least 3.
    pub hold_time: u16,
    /// BGP Identifier.
    pub router_id: RouterId,
    /// Capabilities from all Capabilities parameters, plain or extended (RFC 9072).
    pub capabilities: Vec<Capability>,
}

/// One capability (RFC 5492). A value that we cannot read is kept as [`Capability::Unknown`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Capability {
    /// Code 1 (RFC 4760 §8).
    Multiprotocol(AfiSafi),
    /// Code 2 (RFC 2918).
    RouteRefresh,
    /// Code 5 (RFC 8950): an IPv4 NLRI family with a next hop of another AFI.
    ExtendedNextHop(Vec<ExtendedNextHop>),
    /// Code 6 (RFC 8654).
    ExtendedMessage,
    /// Code 9 (RFC 9234).
    Role(BgpRole),
    /// Code 64 (RFC 4724, RFC 8538).
    GracefulRestart(GracefulRestart),
    /// Code 65 (RFC 6793).
    FourOctetAs(Asn),
    /// Code 69 (RFC 7911).
    AddPath(Vec<AddPath>),
    /// Code 70 (RFC 7313).
    EnhancedRouteRefresh,
    /// Code 71 (RFC 9494).
    LongLivedGracefulRestart(Vec<LongLivedFamily>),
    /// Code 73 (draft-walton-bgp-hostname-capability): host name and domain name, as bytes.
    Fqdn {
        /// The host name.
        host: Vec<u8>,
        /// The domain name; often empty.
        domain: Vec<u8>,
    },
    /// Code 75 (draft-abraitis-bgp-version-capability), as bytes.
    SoftwareVersion(Vec<u8>),
    /// Any other code, or a value of a known code that does not parse: kept and ignored.
    Unknown {
        /// Capability code.
        code: u8,
        /// Its value.
        value: Vec<u8>,
    },
}

/// One entry of the Extended Next Hop Encoding capability (RFC 8950 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExtendedNextHop {
    /// The family of the NLRI.
    pub nlri: AfiSafi,
    /// The AFI of the next hop: 2 for IPv6.
    pub next_hop_afi: u16,
}

/// A BGP Role (RFC 9234 §4.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BgpRole {
    /// 0
    Provider,
    /// 1
    RouteServer,
    /// 2
    RouteServerClient,
    /// 3
    Customer,
    /// 4
    Peer,
    /// A value that no RFC assigns.
    Unknown(u8),
}

/// The Graceful Restart capability (RFC 4724 §3, RFC 8538 §2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GracefulRestart {
    /// The R bit: the sender has restarted.
    pub restarting: bool,
    /// The N bit (RFC 8538): a NOTIFICATION keeps the routes too.
    pub notification: bool,
    /// Seconds to wait for the sender after its session ended: 12 bits.
    pub restart_time: u16,
    /// The families, and whether forwarding state was preserved for each.
    pub families: Vec<GracefulFamily>,
}

/// One family of a [`GracefulRestart`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GracefulFamily {
    /// The family.
    pub family: AfiSafi,
    /// The F bit: forwarding state was preserved.
    pub forwarding: bool,
}

/// One family of the Long-Lived Graceful Restart capability (RFC 9494 §3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LongLivedFamily {
    /// The family.
    pub family: AfiSafi,
    /// The F bit: forwarding state was preserved.
    pub forwarding: bool,
    /// Seconds to keep stale routes: 24 bits.
    pub stale_time: u32,
}

/// One family of the ADD-PATH capability (RFC 7911 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddPath {
    /// The family.
    pub family: AfiSafi,
    /// The sender can receive several paths.
    pub receive: bool,
    /// The sender would send several paths.
    pub send: bool,
}

/// An UPDATE after decoding: what is gone, what is there, and with which attributes.
///
/// RFC 7606 has been applied: where a fault means treat-as-withdraw, `reach` is empty, its NLRI
/// stand in `unreach`, and `faults` says why.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Update {
    /// Routes that are there: the MP_REACH_NLRI one first, then the classic NLRI; at most two.
    pub reach: Vec<Reach>,
    /// Routes that are gone: the classic Withdrawn Routes first, then MP_UNREACH_NLRI, then those
    /// treated as withdrawn.
    pub unreach: Vec<Unreach>,
    /// The attributes of everything in `reach`; meaningless when that is empty.
    pub attributes: PathAttributes,
    /// Set when the UPDATE is an End-of-RIB marker (RFC 4724 §2) of a family that we carry.
    pub end_of_rib: Option<Family>,
    /// Attribute faults that did not reset the session, for the log. Bounded by
    /// [`MAX_FAULTS`].
    pub faults: Vec<AttributeFault>,
}

/// At most this many faults of one UPDATE are kept for the log; further ones are only counted in
/// the handling they cause.
pub const MAX_FAULTS: usize = 4;

/// Prefixes of one family that can be reached through one next hop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reach {
    /// Their family.
    pub family: Family,
    /// Their next hop.
    pub next_hop: NextHop,
    /// The prefixes.
    pub nlri: Vec<Nlri>,
}

/// Prefixes of one family that can no longer be reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreach {
    /// Their family.
    pub family: Family,
    /// The prefixes.
    pub nlri: Vec<Nlri>,
}

/// A next hop (RFC 4271 §5.1.3, RFC 2545 §3, RFC 8950).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHop {
    /// Four octets.
    V4(Ipv4Addr),
    /// Sixteen octets, or thirty-two with a link-local address.
    V6 {
        /// The global address (or the link-local one alone, where there is no global one).
        global: Ipv6Addr,
        /// The link-local address of a 32-octet next hop.
        link_local: Option<Ipv6Addr>,
    },
}

impl NextHop {
    /// The address that reachability is asked for: the global one.
    pub fn address(&self) -> IpAddr {
        match self {
            Self::V4(address) => IpAddr::V4(*address),
            Self::V6 { global, .. } => IpAddr::V6(*global),
        }
    }
}

impl From<IpAddr> for NextHop {
    /// The next hop that is this address and nothing else.
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(global) => Self::V6 {
                global,
                link_local: None,
            },
        }
    }
}

impl std::fmt::Debug for NextHop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::V6 {
                global,
                link_local: Some(link_local),
            } => write!(f, "{global} {link_local}"),
            Self::V4(_) | Self::V6 { .. } => write!(f, "{}", self.address()),
        }
    }
}

/// The path attributes of a route, but for its next hop, which stands beside its NLRI.
///
/// Lists keep the order received. Optional transitive attributes that arrived with the Partial
/// bit are named in `partial`, because the bit must survive (RFC 4271 §5).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct PathAttributes {
    /// Type 1, mandatory.
    pub origin: Origin,
    /// Type 2, mandatory; AS4_PATH (17) is already merged in (RFC 6793 §4.2.3).
    pub as_path: AsPath,
    /// Type 4, MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// Type 5. `None` on external sessions, where it is discarded on receipt.
    pub local_pref: Option<u32>,
    /// Type 6.
    pub atomic_aggregate: bool,
    /// Type 7; AS4_AGGREGATOR (18) is already merged in.
    pub aggregator: Option<Aggregator>,
    /// Type 8 (RFC 1997).
    pub communities: Vec<Community>,
    /// Type 9 (RFC 4456). `None` on external sessions, where it is discarded on receipt.
    pub originator_id: Option<RouterId>,
    /// Type 10 (RFC 4456). Empty on external sessions, where it is discarded on receipt.
    pub cluster_list: Vec<ClusterId>,
    /// Type 16 (RFC 4360).
    pub extended_communities: Vec<[u8; 8]>,
    /// Type 32 (RFC 8092).
    pub large_communities: Vec<LargeCommunity>,
    /// Type 35, Only to Customer (RFC 9234 §5).
    pub otc: Option<Asn>,
    /// Unrecognised optional transitive attributes, by ascending type code, with the Partial bit
    /// already set; non-transitive ones were dropped (RFC 4271 §9).
    pub unknown: Vec<UnknownAttribute>,
    /// Which recognised optional transitive attributes arrived with the Partial bit.
    pub partial: PartialSet,
}

/// The recognised optional transitive attributes that carry the Partial bit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct PartialSet(pub(super) u8);

/// ORIGIN (RFC 4271 §5.1.1), in order of preference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Origin {
    /// 0: interior to the originating AS.
    #[default]
    Igp,
    /// 1: learned by EGP.
    Egp,
    /// 2: learned by other means.
    Incomplete,
}

/// An AS_PATH in its four-octet wire form, well-formed by construction.
///
/// Kept as bytes so that a path is one allocation and reflection is a copy.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct AsPath(pub(super) Box<[u8]>);

/// The kind of an AS_PATH segment (RFC 4271 §4.3, RFC 5065 §3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SegmentKind {
    /// 1: unordered; counts as one in the path length.
    Set,
    /// 2: ordered.
    Sequence,
    /// 3: ordered, within a confederation; counts as nothing.
    ConfedSequence,
    /// 4: unordered, within a confederation; counts as nothing.
    ConfedSet,
}

/// AGGREGATOR (RFC 4271 §5.1.7).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Aggregator {
    /// The AS that formed the aggregate.
    pub asn: Asn,
    /// The speaker that formed it.
    pub address: Ipv4Addr,
}

/// A community (RFC 1997).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Community(pub u32);

impl Community {
    /// Not beyond the AS (or confederation) boundary.
    pub const NO_EXPORT: Self = Self(0xffff_ff01);
    /// To no peer at all.
    pub const NO_ADVERTISE: Self = Self(0xffff_ff02);
    /// Not to any external peer, other members of the confederation included.
    pub const NO_EXPORT_SUBCONFED: Self = Self(0xffff_ff03);
    /// The route is long-lived stale (RFC 9494 §3.2): the least preferred of all.
    pub const LLGR_STALE: Self = Self(0xffff_0006);
    /// The route must not become long-lived stale (RFC 9494 §3.3).
    pub const NO_LLGR: Self = Self(0xffff_0007);
}

impl std::fmt::Display for Community {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::NO_EXPORT => f.write_str("no-export"),
            Self::NO_ADVERTISE => f.write_str("no-advertise"),
            Self::NO_EXPORT_SUBCONFED => f.write_str("no-export-subconfed"),
            Self::LLGR_STALE => f.write_str("llgr-stale"),
            Self::NO_LLGR => f.write_str("no-llgr"),
            Self(value) => write!(f, "{}:{}", value >> 16, value & 0xffff),
        }
    }
}

impl std::fmt::Debug for Community {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// A large community (RFC 8092).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LargeCommunity {
    /// Global Administrator: an AS number.
    pub global: u32,
    /// Local Data Part 1.
    pub local1: u32,
    /// Local Data Part 2.
    pub local2: u32,
}

/// An attribute that we do not recognise, as received but for the Partial bit.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct UnknownAttribute {
    /// Type code.
    pub code: u8,
    /// Its value.
    pub value: Box<[u8]>,
}

/// An attribute fault that did not reset the session (RFC 7606).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttributeFault {
    /// The attribute's type code; 0 where no attribute can be named.
    pub code: u8,
    /// What it cost.
    pub handling: Handling,
    /// What was wrong, in a few words.
    pub what: &'static str,
    /// The beginning of the attribute as received, at most [`MAX_FAULT_BYTES`].
    pub bytes: Vec<u8>,
}

/// How many octets of a faulty attribute are kept for the log.
pub const MAX_FAULT_BYTES: usize = 32;

/// What a fault in an attribute costs (RFC 7606 §2), mildest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Handling {
    /// The attribute is dropped, the routes stay.
    AttributeDiscard,
    /// The routes of the UPDATE are withdrawn.
    TreatAsWithdraw,
    /// The session is reset.
    SessionReset,
}

/// A NOTIFICATION (RFC 4271 §4.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification {
    /// Error code and subcode.
    pub error: NotificationError,
    /// The Data field.
    pub data: Vec<u8>,
}

/// A ROUTE-REFRESH (RFC 2918, RFC 7313).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteRefresh {
    /// The family it is about, carried by us or not.
    pub family: AfiSafi,
    /// Request or marker.
    pub subtype: RefreshSubtype,
}

/// The Message Subtype of a ROUTE-REFRESH (RFC 7313 §3.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RefreshSubtype {
    /// 0: please send again.
    Request,
    /// 1: Beginning of Route Refresh.
    Begin,
    /// 2: End of Route Refresh.
    End,
    /// A value that no RFC assigns: ignored.
    Unknown(u8),
}

/// Error code and subcode of a NOTIFICATION, from every RFC that assigns one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NotificationError {
    /// Code 1 (RFC 4271 §6.1).
    MessageHeader(HeaderError),
    /// Code 2 (RFC 4271 §6.2).
    OpenMessage(OpenError),
    /// Code 3 (RFC 4271 §6.3).
    UpdateMessage(UpdateError),
    /// Code 4 (RFC 4271 §6.5).
    HoldTimerExpired,
    /// Code 5 (RFC 6608).
    FiniteStateMachine(FsmError),
    /// Code 6 (RFC 4486, 8538, 9003, 9384).
    Cease(Cease),
    /// Code 7 (RFC 7313 §5).
    RouteRefresh(RefreshError),
    /// Code 8 (RFC 9687): the Send Hold Timer expired.
    SendHoldTimerExpired,
    /// A code that no RFC assigns.
    Unknown {
        /// Error code.
        code: u8,
        /// Error subcode.
        subcode: u8,
    },
}

/// Subcodes of Message Header Error.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HeaderError {
    /// 1
    ConnectionNotSynchronized,
    /// 2
    BadMessageLength,
    /// 3
    BadMessageType,
    /// 0, or a value that no RFC assigns.
    Unknown(u8),
}

/// Subcodes of OPEN Message Error.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OpenError {
    /// 1
    UnsupportedVersionNumber,
    /// 2
    BadPeerAs,
    /// 3
    BadBgpIdentifier,
    /// 4
    UnsupportedOptionalParameter,
    /// 6
    UnacceptableHoldTime,
    /// 7 (RFC 5492)
    UnsupportedCapability,
    /// 11 (RFC 9234)
    RoleMismatch,
    /// 0 (unspecific), or a value that no RFC assigns.
    Unknown(u8),
}

/// Subcodes of UPDATE Message Error.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UpdateError {
    /// 1
    MalformedAttributeList,
    /// 2
    UnrecognizedWellKnownAttribute,
    /// 3
    MissingWellKnownAttribute,
    /// 4
    AttributeFlags,
    /// 5
    AttributeLength,
    /// 6
    InvalidOrigin,
    /// 8
    InvalidNextHop,
    /// 9
    OptionalAttribute,
    /// 10
    InvalidNetworkField,
    /// 11
    MalformedAsPath,
    /// 0, or a value that no RFC assigns.
    Unknown(u8),
}

/// Subcodes of Finite State Machine Error (RFC 6608): where an unexpected message arrived.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FsmError {
    /// 1
    UnexpectedInOpenSent,
    /// 2
    UnexpectedInOpenConfirm,
    /// 3
    UnexpectedInEstablished,
    /// 0, or a value that no RFC assigns.
    Unknown(u8),
}

/// Subcodes of Cease.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cease {
    /// 1
    MaximumPrefixes,
    /// 2, with a shutdown communication (RFC 9003)
    AdministrativeShutdown,
    /// 3
    PeerDeconfigured,
    /// 4, with a shutdown communication (RFC 9003)
    AdministrativeReset,
    /// 5
    ConnectionRejected,
    /// 6
    OtherConfigurationChange,
    /// 7
    ConnectionCollisionResolution,
    /// 8
    OutOfResources,
    /// 9 (RFC 8538): drop the routes although the N bit was negotiated.
    HardReset,
    /// 10 (RFC 9384)
    BfdDown,
    /// 0, or a value that no RFC assigns.
    Unknown(u8),
}

/// Subcodes of ROUTE-REFRESH Message Error (RFC 7313 §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RefreshError {
    /// 1
    InvalidMessageLength,
    /// 0, or a value that no RFC assigns.
    Unknown(u8),
}
