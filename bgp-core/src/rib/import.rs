//! What comes in: which received routes may be used.
//!
//! A route that may not be used is kept with its reason (see [`Ineligible`]): it replaces what
//! the peer said before about the prefix, so that no old route lives on because its replacement
//! loops.

use super::RibSettings;
use super::peers::PeerFacts;
use crate::policy::Action;
use crate::prefix::IpNet;
use crate::types::PeerRole;
use crate::wire::{NextHop, PathAttributes};

/// Why a received route may not be used, whatever else there is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ineligible {
    /// Our own AS is in the AS_PATH (RFC 4271 §9.1.2).
    AsPathLoop,
    /// ORIGINATOR_ID is our router id (RFC 4456 §8).
    OriginatorIsUs,
    /// Our cluster id is in the CLUSTER_LIST (RFC 4456 §8).
    ClusterLoop,
    /// The next hop is our own address (RFC 4271 §6.3).
    NextHopIsUs,
    /// The next hop is a loopback address, and the peer is not on this host: it leads nowhere
    /// (RFC 4271 §6.3).
    LoopbackNextHop,
    /// The peer's import policy refused it.
    ImportPolicy,
    /// An external peer without an import policy: nothing comes in (RFC 8212 §3).
    NoImportPolicy,
}

/// The verdict on everything that an UPDATE says with these attributes; the prefix is not asked.
pub(super) fn judge_attributes(
    settings: &RibSettings,
    facts: &PeerFacts,
    attributes: &PathAttributes,
    next_hop: &NextHop,
) -> Option<Ineligible> {
    if attributes.as_path.contains(settings.asn) {
        return Some(Ineligible::AsPathLoop);
    }
    if attributes.originator_id == Some(settings.router_id) {
        return Some(Ineligible::OriginatorIsUs);
    }
    if attributes.cluster_list.contains(&settings.cluster_id) {
        return Some(Ineligible::ClusterLoop);
    }
    if next_hop.address() == facts.local_address {
        return Some(Ineligible::NextHopIsUs);
    }
    if next_hop.address().is_loopback() && !facts.address.is_loopback() {
        return Some(Ineligible::LoopbackNextHop);
    }
    match (facts.role, &facts.settings.import) {
        (PeerRole::External, None) => Some(Ineligible::NoImportPolicy),
        (PeerRole::External | PeerRole::Client | PeerRole::NonClient, _) => None,
    }
}

/// The import policy's verdict on one prefix.
pub(super) fn judge_prefix(facts: &PeerFacts, prefix: &IpNet) -> Option<Ineligible> {
    let policy = facts.settings.import.as_ref()?;
    match policy.evaluate(prefix) {
        Action::Accept => None,
        Action::Reject => Some(Ineligible::ImportPolicy),
    }
}
