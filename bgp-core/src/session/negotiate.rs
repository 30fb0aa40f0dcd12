//! What two OPENs agree on: one pure function (RFC 4271 §4.2 and §6.2, RFC 5492).
//!
//! [`our_open`] says what we offer, [`negotiate`] compares it with what they offer. The checks
//! run in the order of RFC 4271 §6.2 and the first that fails names the refusal. What is wrong in
//! any session (version, AS 0, identifier 0, a hold time of 1 or 2 s) never comes here: the codec
//! refuses to read it.
//!
//! | offer | RFC | rule |
//! |---|---|---|
//! | families | 4760 §8 | those of both; without any Multiprotocol capability: IPv4 unicast |
//! | four-octet AS | 6793 §4 | both |
//! | message size | 8654 §3 | each direction by itself: who announced it can receive it |
//! | several paths | 7911 §4 | each direction by itself: families where one sends and the other receives |
//! | IPv6 next hop for IPv4 | 8950 §4 | both |
//! | graceful restart | 4724 §3 | theirs counts when we sent ours |
//! | long-lived stale routes | 9494 §3.1 | theirs counts when we sent ours, and graceful restart counts |
//! | hold time | 4271 §4.2 | the smaller; zero turns it off |

use super::settings::{SessionSettings, truncated};
use crate::family::{AfiSafi, Family, FamilySet};
use crate::time::Duration;
use crate::types::{Asn, RouterId};
use crate::wire::{
    self, AddPath, Capability, ExtendedNextHop, GracefulFamily, GracefulRestart, LongLivedFamily,
    Notification, NotificationError, Open, OpenError,
};
use std::fmt;

/// AFI of IPv6 next hops for IPv4 prefixes (RFC 8950 §4).
const IPV6_NEXT_HOP: u16 = 2;

/// Longest Restart Time: the field has 12 bits (RFC 4724 §3).
pub const MAX_RESTART_TIME: u16 = 4095;

/// Longest Long-Lived Stale Time: the field has 24 bits (RFC 9494 §3.1).
pub const MAX_LONG_LIVED_TIME: u32 = (1 << 24) - 1;

/// Longest host name in the FQDN capability; a longer one is cut.
pub const MAX_HOST_NAME: usize = 64;

/// Which of our capabilities go into an OPEN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offer {
    /// All of them.
    Full,
    /// Only those without which the session could not work: for a peer that refused the others
    /// (RFC 5492 §3).
    Reduced,
}

/// What both OPENs agree on. It exists only where their OPEN was good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Negotiated {
    /// Their AS.
    pub remote_as: Asn,
    /// Their BGP Identifier.
    pub remote_id: RouterId,
    /// Whether both ends are in one AS.
    pub internal: bool,
    /// The session ends when they are silent for so long; zero: never.
    pub hold_time: Duration,
    /// How often we send a KEEPALIVE: a third of the hold time, at least 1 s; zero: never.
    pub keepalive_interval: Duration,
    /// The families of both sides.
    pub families: FamilySet,
    /// AS numbers take four octets in both directions (RFC 6793).
    pub four_octet_as: bool,
    /// The longest message that they may send.
    pub receive_limit: usize,
    /// The longest message that we may send.
    pub send_limit: usize,
    /// Families in which they send several paths per prefix (RFC 7911).
    pub add_path_receive: FamilySet,
    /// Families in which we send several paths per prefix.
    pub add_path_send: FamilySet,
    /// Families whose next hop may be an IPv6 address although their prefixes are not (RFC 8950).
    pub extended_next_hop: FamilySet,
    /// They answer ROUTE-REFRESH (RFC 2918).
    pub route_refresh: bool,
    /// Both sides mark the beginning and the end of a refresh (RFC 7313).
    pub enhanced_refresh: bool,
    /// Their graceful restart capability, when we sent ours (RFC 4724).
    pub graceful_restart: Option<GracefulRestart>,
    /// Their long-lived graceful restart capability, when we sent ours and graceful restart was
    /// negotiated (RFC 9494): families and how long we may keep their routes after the Restart
    /// Time. Also an empty one says that they know what long-lived stale routes are.
    pub long_lived: Option<Vec<LongLivedFamily>>,
    /// Everything that they announced, understood or not.
    pub remote_capabilities: Vec<Capability>,
}

impl Negotiated {
    /// How to read what they send.
    pub fn receive_context(&self) -> wire::Context {
        wire::Context {
            internal: self.internal,
            four_octet_as: self.four_octet_as,
            families: self.families,
            add_path: self.add_path_receive,
            extended_next_hop: self.extended_next_hop,
            max_len: self.receive_limit,
        }
    }

    /// Whether a NOTIFICATION keeps the routes too, so that only a Hard Reset drops them
    /// (RFC 8538 §2). We always set our N bit.
    pub fn notification_keeps_routes(&self) -> bool {
        self.graceful_restart
            .as_ref()
            .is_some_and(|theirs| theirs.notification)
    }
}

/// Why an OPEN that could be read is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenRefusal {
    /// Not the AS that was configured (RFC 4271 §6.2), or a number that no peer may have:
    /// 0 (RFC 7607) or AS_TRANS (RFC 6793 §9).
    BadPeerAs {
        /// What their OPEN shows.
        theirs: Asn,
        /// What was configured.
        expected: Asn,
    },
    /// Our own, on an internal session (RFC 6286 §2.2).
    BadBgpIdentifier(RouterId),
    /// No family that both sides want (RFC 5492 §5).
    NoCommonFamily {
        /// What we offer.
        ours: FamilySet,
    },
}

impl fmt::Display for OpenRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadPeerAs { theirs, expected } => write!(
                f,
                "they say AS {theirs}, the configuration says {expected}: \
                 fix remote-as here or the AS there (RFC 4271 §6.2, code 2/2)"
            ),
            Self::BadBgpIdentifier(id) => write!(
                f,
                "their router id {id} is our own: give each router of the AS an id of its own \
                 (RFC 6286 §2.2, code 2/3)"
            ),
            Self::NoCommonFamily { ours } => {
                let names: Vec<String> = ours.iter().map(|family| family.to_string()).collect();
                write!(
                    f,
                    "they offer none of our families, {}: enable one on both sides \
                     (RFC 5492 §5, code 2/7)",
                    names.join(" and ")
                )
            }
        }
    }
}

impl From<&OpenRefusal> for Notification {
    fn from(refusal: &OpenRefusal) -> Self {
        let (error, data) = match refusal {
            OpenRefusal::BadPeerAs { .. } => (OpenError::BadPeerAs, Vec::new()),
            OpenRefusal::BadBgpIdentifier(_) => (OpenError::BadBgpIdentifier, Vec::new()),
            OpenRefusal::NoCommonFamily { ours } => {
                // RFC 5492 §5: the capabilities that we miss, as they would stand in an OPEN.
                let wanted: Vec<Capability> = multiprotocol(*ours).collect();
                (
                    OpenError::UnsupportedCapability,
                    wire::encode_capabilities(&wanted),
                )
            }
        };
        Self {
            error: NotificationError::OpenMessage(error),
            data,
        }
    }
}

/// The OPEN that we send.
pub fn our_open(settings: &SessionSettings, offer: Offer) -> Open {
    Open {
        my_as: settings.local_as.two_octet(),
        hold_time: u16::try_from(settings.hold_time.as_secs()).unwrap_or(u16::MAX),
        router_id: settings.router_id,
        capabilities: match offer {
            Offer::Full => full_offer(settings),
            Offer::Reduced => reduced_offer(settings),
        },
    }
}

fn full_offer(settings: &SessionSettings) -> Vec<Capability> {
    let ipv4 = Family::Ipv4Unicast;
    let mut offer: Vec<Capability> = multiprotocol(settings.families).collect();
    offer.push(Capability::RouteRefresh);
    offer.push(Capability::EnhancedRouteRefresh);
    offer.push(Capability::FourOctetAs(settings.local_as));
    if settings.extended_messages {
        offer.push(Capability::ExtendedMessage);
    }
    if settings.families.contains(ipv4) {
        offer.push(Capability::ExtendedNextHop(vec![ExtendedNextHop {
            nlri: ipv4.afi_safi(),
            next_hop_afi: IPV6_NEXT_HOP,
        }]));
    }
    if settings.add_path_receive || settings.add_path_send {
        let families = settings.families.iter().map(|family| AddPath {
            family: family.afi_safi(),
            receive: settings.add_path_receive,
            send: settings.add_path_send,
        });
        offer.push(Capability::AddPath(families.collect()));
    }
    let graceful = graceful_restart(settings);
    // RFC 9494 §3.1: it is ignored without the other.
    let long_lived = graceful.as_ref().and_then(|_| long_lived(settings));
    offer.extend(graceful.into_iter().chain(long_lived));
    if !settings.host_name.is_empty() {
        offer.push(Capability::Fqdn {
            host: truncated(&settings.host_name, MAX_HOST_NAME).into(),
            domain: Vec::new(),
        });
        let version = concat!("bgp-rr/", env!("CARGO_PKG_VERSION"));
        offer.push(Capability::SoftwareVersion(version.into()));
    }
    offer
}

fn reduced_offer(settings: &SessionSettings) -> Vec<Capability> {
    let mut offer = Vec::new();
    if !settings.families.contains(Family::Ipv4Unicast) {
        // Without the capability we would offer IPv4 (RFC 4760 §8), which is not ours.
        offer.extend(multiprotocol(settings.families));
    }
    if Asn(u32::from(settings.local_as.two_octet())) != settings.local_as {
        offer.push(Capability::FourOctetAs(settings.local_as));
    }
    offer
}

/// RFC 4724 §3.
fn graceful_restart(settings: &SessionSettings) -> Option<Capability> {
    let seconds = u16::try_from(settings.restart_time.as_secs()).unwrap_or(MAX_RESTART_TIME);
    (seconds > 0).then(|| {
        Capability::GracefulRestart(GracefulRestart {
            restarting: settings.restarting,
            notification: true,
            restart_time: seconds.min(MAX_RESTART_TIME),
            families: settings
                .families
                .iter()
                .map(|family| GracefulFamily {
                    family: family.afi_safi(),
                    forwarding: settings.forwarding.contains(family),
                })
                .collect(),
        })
    })
}

/// RFC 9494 §3.1.
fn long_lived(settings: &SessionSettings) -> Option<Capability> {
    let stale_time = settings.long_lived_restart_time?.as_secs();
    let stale_time = u32::try_from(stale_time).unwrap_or(MAX_LONG_LIVED_TIME);
    let families = settings.families.iter().map(|family| LongLivedFamily {
        family: family.afi_safi(),
        forwarding: settings.forwarding.contains(family),
        stale_time: stale_time.min(MAX_LONG_LIVED_TIME),
    });
    Some(Capability::LongLivedGracefulRestart(families.collect()))
}

fn multiprotocol(families: FamilySet) -> impl Iterator<Item = Capability> {
    families
        .iter()
        .map(|family| Capability::Multiprotocol(family.afi_safi()))
}

/// What `ours` and `theirs` agree on, or why theirs is refused.
pub fn negotiate(
    ours: &Open,
    theirs: &Open,
    settings: &SessionSettings,
) -> Result<Negotiated, OpenRefusal> {
    let internal = settings.role.is_internal();
    let remote_as = check_peer_as(theirs, settings.remote_as)?;
    check_router_id(theirs.router_id, settings.router_id, internal)?;
    let hold_time = Duration::from_secs(u64::from(ours.hold_time.min(theirs.hold_time)));
    let families = families(ours).intersection(families(theirs));
    if families.is_empty() {
        let ours = settings.families;
        return Err(OpenRefusal::NoCommonFamily { ours });
    }
    let both = |capability: &Capability| has(ours, capability) && has(theirs, capability);
    // Only when both sides know of long messages, as everybody does it: what looks like one from
    // a peer that does not is damaged (docs/rfc-notes.md, RFC 8654).
    let limit = match both(&Capability::ExtendedMessage) {
        true => wire::MAX_EXTENDED_LEN,
        false => wire::MAX_LEN,
    };
    let graceful_restart = graceful_restart_of(ours)
        .and(graceful_restart_of(theirs))
        .cloned();
    let long_lived = long_lived_of(ours).and(long_lived_of(theirs));
    Ok(Negotiated {
        remote_as,
        remote_id: theirs.router_id,
        internal,
        hold_time,
        // RFC 4271 §10. A hold time is at least 3 s, so this is at least the second of §4.4.
        keepalive_interval: hold_time / 3,
        families,
        four_octet_as: four_octet_as(ours).is_some() && four_octet_as(theirs).is_some(),
        receive_limit: limit,
        send_limit: limit,
        add_path_receive: add_path(ours, |entry| entry.receive)
            .intersection(add_path(theirs, |entry| entry.send))
            .intersection(families),
        add_path_send: add_path(ours, |entry| entry.send)
            .intersection(add_path(theirs, |entry| entry.receive))
            .intersection(families),
        extended_next_hop: extended_next_hop(ours)
            .intersection(extended_next_hop(theirs))
            .intersection(families),
        route_refresh: has(theirs, &Capability::RouteRefresh),
        enhanced_refresh: both(&Capability::EnhancedRouteRefresh),
        long_lived: long_lived.filter(|_| graceful_restart.is_some()).cloned(),
        graceful_restart,
        remote_capabilities: theirs.capabilities.clone(),
    })
}

fn check_peer_as(theirs: &Open, expected: Asn) -> Result<Asn, OpenRefusal> {
    let shown = four_octet_as(theirs).unwrap_or(Asn(u32::from(theirs.my_as)));
    if shown != expected || shown == Asn(0) || shown == Asn::TRANS {
        return Err(OpenRefusal::BadPeerAs {
            theirs: shown,
            expected,
        });
    }
    Ok(shown)
}

fn check_router_id(theirs: RouterId, ours: RouterId, internal: bool) -> Result<(), OpenRefusal> {
    match internal && theirs == ours {
        true => Err(OpenRefusal::BadBgpIdentifier(theirs)),
        false => Ok(()),
    }
}

fn has(open: &Open, capability: &Capability) -> bool {
    open.capabilities.contains(capability)
}

/// The values of one kind of capability, wherever they stand.
fn pick<'a, T>(
    open: &'a Open,
    value: impl Fn(&'a Capability) -> Option<T> + 'a,
) -> impl Iterator<Item = T> + 'a {
    open.capabilities.iter().filter_map(value)
}

/// RFC 4760 §8: a speaker without Multiprotocol capabilities offers IPv4 unicast.
fn families(open: &Open) -> FamilySet {
    let mut announced = pick(open, |capability| {
        let Capability::Multiprotocol(family) = capability else {
            return None;
        };
        Some(*family)
    })
    .peekable();
    if announced.peek().is_none() {
        return FamilySet::from_iter([Family::Ipv4Unicast]);
    }
    announced.filter_map(AfiSafi::family).collect()
}

/// RFC 6793 §4.1: their AS number, whatever the two-octet field says.
fn four_octet_as(open: &Open) -> Option<Asn> {
    pick(open, |capability| {
        let Capability::FourOctetAs(asn) = capability else {
            return None;
        };
        Some(*asn)
    })
    .next()
}

fn graceful_restart_of(open: &Open) -> Option<&GracefulRestart> {
    pick(open, |capability| {
        let Capability::GracefulRestart(restart) = capability else {
            return None;
        };
        Some(restart)
    })
    .next()
}

fn long_lived_of(open: &Open) -> Option<&Vec<LongLivedFamily>> {
    pick(open, |capability| {
        let Capability::LongLivedGracefulRestart(families) = capability else {
            return None;
        };
        Some(families)
    })
    .next()
}

fn add_path(open: &Open, wanted: impl Fn(&AddPath) -> bool) -> FamilySet {
    pick(open, |capability| {
        let Capability::AddPath(entries) = capability else {
            return None;
        };
        Some(entries)
    })
    .flatten()
    .filter(|entry| wanted(entry))
    .filter_map(|entry| entry.family.family())
    .collect()
}

fn extended_next_hop(open: &Open) -> FamilySet {
    pick(open, |capability| {
        let Capability::ExtendedNextHop(entries) = capability else {
            return None;
        };
        Some(entries)
    })
    .flatten()
    .filter(|entry| entry.next_hop_afi == IPV6_NEXT_HOP)
    .filter_map(|entry| entry.nlri.family())
    .collect()
}
