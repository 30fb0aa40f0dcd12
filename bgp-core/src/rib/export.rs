//! What goes out: whether a route is announced to a group of peers, and in which words.
//!
//! [`export`] takes the group's [`ExportProfile`] and the route, and nothing else: whatever
//! influences outgoing words is part of the profile, the profile is the key of the update group,
//! and so two peers that share a group cannot be owed different words. A knob that is forgotten
//! in the key is a knob that this room cannot read.
//!
//! # Rules
//!
//! | route from | to a client | to a non-client | to an external peer |
//! |---|---|---|---|
//! | ourselves | yes | yes | with an export policy |
//! | a client | if client-to-client | yes | with an export policy |
//! | a non-client | yes | no | with an export policy |
//! | an external peer | yes | yes | with an export policy |
//!
//! - Internal to internal (RFC 4456 §8): ORIGINATOR_ID is added if there is none, our cluster id
//!   goes in front of CLUSTER_LIST, towards clients and non-clients alike; the next hop and
//!   everything else stay as they are (§10).
//! - To internal peers LOCAL_PREF is always there (RFC 4271 §5.1.5): 100 if the route has none.
//! - To external peers (RFC 4271 §5.1): our AS in front of AS_PATH; next hop ourselves; without
//!   LOCAL_PREF, ORIGINATOR_ID, CLUSTER_LIST and non-transitive extended communities (RFC 4360
//!   §6); MED only on what we originate ourselves. Nothing without a policy (RFC 8212 §3).
//! - NO_ADVERTISE goes to nobody, NO_EXPORT and NO_EXPORT_SUBCONFED to no external peer
//!   (RFC 1997); we are in no confederation.
//! - Towards peers that take several paths to a prefix (RFC 7911) the same rules hold for each of
//!   the two that they are told of ([`Plane`]).
//! - What is long-lived stale goes only to peers that know what that means (RFC 9494 §4.3).
//! - A route whose message would be longer than the peer takes is not announced; it alone.

use super::attributes::RouteAttributes;
use super::decision::{DEFAULT_LOCAL_PREF, Source};
use crate::family::Family;
use crate::policy::{Action, Policy};
use crate::prefix::{IpNet, Nlri};
use crate::types::{Asn, ClusterId, PeerRole};
use crate::wire::{self, Community, EncodeContext, NextHop, PathAttributes};
use std::net::IpAddr;
use std::sync::Arc;

/// Which path to each prefix a group is told of (RFC 7911).
///
/// A peer that takes several paths hears two, and reads two groups: the best path, and the best of
/// those that have another originator than the best path. So it learns that a prefix has a second
/// owner, and has the other way at hand. More would cost every peer a path for each peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Plane {
    /// The best path, without identifier: several paths were not negotiated.
    Single,
    /// The best path, as path 1.
    Best,
    /// The best path of another originator than the best path's, as path 2.
    Rival,
}

impl Plane {
    /// The path identifier; `None` where there is none.
    pub fn path_id(self) -> Option<u32> {
        match self {
            Self::Single => None,
            Self::Best => Some(1),
            Self::Rival => Some(2),
        }
    }
}

/// All that may influence the words that a peer hears: the key of the update group.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ExportProfile {
    /// The family of the routes.
    pub family: Family,
    /// Which path to each prefix is told.
    pub plane: Plane,
    /// What the peers are to us.
    pub role: PeerRole,
    /// Whether they speak four-octet AS numbers (RFC 6793).
    pub four_octet_as: bool,
    /// The longest message that they take, in octets.
    pub send_limit: usize,
    /// Whether they take a next hop of the other family (RFC 8950).
    pub extended_next_hop: bool,
    /// Our AS.
    pub asn: Asn,
    /// Our cluster.
    pub cluster_id: ClusterId,
    /// Whether routes of clients are reflected to clients.
    pub client_to_client: bool,
    /// Whether they take routes that are long-lived stale (RFC 9494).
    pub long_lived: bool,
    /// The next hop that they are told.
    pub next_hop: NextHopRule,
    /// The export policy.
    pub policy: Option<Arc<Policy>>,
}

/// Which next hop goes out. Reflected routes keep theirs whatever the rule (RFC 4456 §10).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NextHopRule {
    /// The one that came in.
    Keep,
    /// This address of ours.
    Ourselves(IpAddr),
}

/// A route that may be announced.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// Where to.
    pub prefix: IpNet,
    /// Who it came from.
    pub source: Source,
    /// What was said.
    pub attributes: &'a RouteAttributes,
}

/// The words for a route.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Exported {
    /// Everything but the next hop.
    pub attributes: PathAttributes,
    /// The next hop.
    pub next_hop: NextHop,
}

/// Why a route is not announced to a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// From a non-client to a non-client, or from a client to a client where that is switched off
    /// (RFC 4456 §6, §10).
    NotReflected,
    /// It carries NO_ADVERTISE.
    NoAdvertise,
    /// It carries NO_EXPORT or NO_EXPORT_SUBCONFED, and the peers are external.
    NoExport,
    /// It is long-lived stale, and the peers have not said that they know what that means
    /// (RFC 9494 §4.3).
    LongLivedStale,
    /// The export policy refused it.
    ExportPolicy,
    /// External peers without an export policy: nothing goes out (RFC 8212 §3).
    NoExportPolicy,
    /// The next hop is of a family that the peers cannot take with this one: extended next hop
    /// (RFC 8950) was not negotiated, or there is no address of ours to put in its place.
    NextHopFamily,
    /// The message would be longer than the peers take.
    TooLong {
        /// Its length in octets, with this prefix alone.
        len: usize,
        /// What they take.
        limit: usize,
    },
}

/// The words in which `route` is announced to peers of `profile`.
///
/// # Errors
/// Why it is not.
pub fn export(profile: &ExportProfile, route: &Route<'_>) -> Result<Exported, Refusal> {
    may_reach(profile, route)?;
    let reflected = is_reflected(profile, route);
    let next_hop = next_hop(profile, route, reflected)?;
    let attributes = if profile.role.is_internal() {
        internal_words(profile, route, reflected)
    } else {
        external_words(profile, route)
    };
    let exported = Exported {
        attributes,
        next_hop,
    };
    let len = message_len(profile, &exported, &route.prefix);
    if len > profile.send_limit {
        return Err(Refusal::TooLong {
            len,
            limit: profile.send_limit,
        });
    }
    Ok(exported)
}

/// Whether the route may go to these peers at all, whatever its words.
fn may_reach(profile: &ExportProfile, route: &Route<'_>) -> Result<(), Refusal> {
    match (route.source.role, profile.role) {
        (Some(PeerRole::NonClient), PeerRole::NonClient) => return Err(Refusal::NotReflected),
        (Some(PeerRole::Client), PeerRole::Client) if !profile.client_to_client => {
            return Err(Refusal::NotReflected);
        }
        (
            None | Some(PeerRole::Client | PeerRole::NonClient | PeerRole::External),
            PeerRole::Client | PeerRole::NonClient | PeerRole::External,
        ) => {}
    }
    let communities = &route.attributes.path.communities;
    if communities.contains(&Community::NO_ADVERTISE) {
        return Err(Refusal::NoAdvertise);
    }
    let within = [Community::NO_EXPORT, Community::NO_EXPORT_SUBCONFED];
    if !profile.role.is_internal() && communities.iter().any(|c| within.contains(c)) {
        return Err(Refusal::NoExport);
    }
    if route.attributes.is_long_lived_stale() && !profile.long_lived {
        return Err(Refusal::LongLivedStale);
    }
    match (&profile.policy, profile.role.is_internal()) {
        (None, false) => Err(Refusal::NoExportPolicy),
        (None, true) => Ok(()),
        (Some(policy), _) => match policy.evaluate(&route.prefix) {
            Action::Accept => Ok(()),
            Action::Reject => Err(Refusal::ExportPolicy),
        },
    }
}

/// Whether this is reflection: from an internal peer to an internal peer.
fn is_reflected(profile: &ExportProfile, route: &Route<'_>) -> bool {
    profile.role.is_internal() && route.source.role.is_some_and(PeerRole::is_internal)
}

fn next_hop(
    profile: &ExportProfile,
    route: &Route<'_>,
    reflected: bool,
) -> Result<NextHop, Refusal> {
    let next_hop = match profile.next_hop {
        NextHopRule::Ourselves(address) if !reflected => NextHop::from(address),
        NextHopRule::Ourselves(_) | NextHopRule::Keep => route.attributes.next_hop,
    };
    match (profile.family, next_hop) {
        (Family::Ipv4Unicast, NextHop::V4(_)) | (Family::Ipv6Unicast, NextHop::V6 { .. }) => {
            Ok(next_hop)
        }
        (Family::Ipv4Unicast, NextHop::V6 { .. }) if profile.extended_next_hop => Ok(next_hop),
        (Family::Ipv4Unicast, NextHop::V6 { .. }) | (Family::Ipv6Unicast, NextHop::V4(_)) => {
            Err(Refusal::NextHopFamily)
        }
    }
}

fn internal_words(profile: &ExportProfile, route: &Route<'_>, reflected: bool) -> PathAttributes {
    let mut words = route.attributes.path.clone();
    words.local_pref = words.local_pref.or(Some(DEFAULT_LOCAL_PREF));
    if reflected {
        words.originator_id = words.originator_id.or(Some(route.source.router_id));
        words.cluster_list.insert(0, profile.cluster_id);
    }
    words
}

fn external_words(profile: &ExportProfile, route: &Route<'_>) -> PathAttributes {
    /// The bit in the first octet of an extended community that keeps it within the AS.
    const NON_TRANSITIVE: u8 = 0x40;
    let received = &route.attributes.path;
    let mut words = PathAttributes {
        as_path: received.as_path.prepend(profile.asn),
        med: received.med.filter(|_| route.source.role.is_none()),
        local_pref: None,
        originator_id: None,
        cluster_list: Vec::new(),
        ..received.clone()
    };
    words
        .extended_communities
        .retain(|community| community[0] & NON_TRANSITIVE == 0);
    words
}

/// The length of an UPDATE with these words and one prefix.
pub(super) fn message_len(profile: &ExportProfile, exported: &Exported, prefix: &IpNet) -> usize {
    wire::announcement_len(
        &profile.nlri(*prefix),
        profile.family,
        &exported.next_hop,
        &exported.attributes,
        &profile.encode_context(),
    )
}

/// Whether [`export`] would give words for `route`. Only where the message might come near to the
/// limit are the words chosen to find out.
///
/// # Errors
/// Why it would not.
pub(super) fn admit(profile: &ExportProfile, route: &Route<'_>) -> Result<(), Refusal> {
    /// More than all that export adds to attributes: towards two-octet speakers AS_PATH can
    /// become one and a half times as long (RFC 6793), everything else grows by a few octets.
    const GROWTH: usize = 128;
    may_reach(profile, route)?;
    next_hop(profile, route, is_reflected(profile, route))?;
    if 2 * route.attributes.message_len() + GROWTH <= profile.send_limit {
        return Ok(());
    }
    export(profile, route).map(|_| ())
}

impl ExportProfile {
    /// How messages for this group are written.
    pub(super) fn encode_context(&self) -> EncodeContext {
        let identified = self.plane.path_id().map(|_| self.family);
        EncodeContext {
            four_octet_as: self.four_octet_as,
            add_path: identified.into_iter().collect(),
            max_len: self.send_limit,
        }
    }

    /// A prefix as it stands in messages for this group.
    pub(super) fn nlri(&self, prefix: IpNet) -> Nlri {
        Nlri {
            path_id: self.plane.path_id().unwrap_or(0),
            ..Nlri::plain(prefix)
        }
    }
}
