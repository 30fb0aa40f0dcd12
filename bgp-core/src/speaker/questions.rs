//! What a speaker knows, as plain values that share nothing with it.
//!
//! Every answer is bounded: peers are as many as are configured or accepted, routes come in
//! pages. Asking never changes anything.

use super::graceful::Kept;
use super::output::PeerName;
use super::peers::{AdminState, PeerEntry};
use super::{CommandError, Heard, Speaker};
use crate::config::Router;
use crate::family::{Family, FamilySet};
use crate::prefix::IpNet;
use crate::rib::{
    AnnouncedView, Counts, Cursor, Explanation, GroupView, Page, PathView, PeerSlot, PeerSummary,
};
use crate::session::{Counters, DownReason, Negotiated, State, TimerName};
use crate::time::{Duration, Instant};
use crate::types::{Asn, PeerId, PeerRole};
use std::net::IpAddr;

/// A peer as an operator sees it.
#[derive(Clone, Debug)]
pub struct PeerView {
    /// Its handle.
    pub id: PeerId,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// The group it was configured in or accepted by; empty when it stands alone.
    pub group: String,
    /// Whether it was accepted by prefix.
    pub dynamic: bool,
    /// Whether an operator has disabled it, or it is configured so.
    pub disabled: bool,
    /// What it is to us.
    pub role: PeerRole,
    /// Its configured AS.
    pub remote_as: Asn,
    /// The families that we offer.
    pub offered: FamilySet,
    /// The state of its session.
    pub state: State,
    /// What was negotiated, while it is established.
    pub negotiated: Option<Negotiated>,
    /// How long it has been established.
    pub uptime: Option<Duration>,
    /// How long ago and why the last session, or attempt at one, ended.
    pub last_down: Option<(Duration, DownReason)>,
    /// How many sessions have been established so far.
    pub sessions: u64,
    /// Messages and octets in both directions.
    pub counters: Counters,
    /// What it has told us and been told, while it is established.
    pub routes: Option<PeerSummary>,
    /// The families of earlier sessions whose routes are kept because it may come back, and for how
    /// long still (RFC 4724 §4.2, RFC 9494).
    pub keeps: Option<(FamilySet, Duration)>,
    /// Those of them whose routes are long-lived stale.
    pub long_lived_stale: FamilySet,
    /// What it waits for, and how long still.
    pub waits: Option<(TimerName, Duration)>,
}

/// The most routes that one page holds.
pub const MAX_PAGE: usize = 1_000;

impl Speaker {
    /// Who we are.
    pub fn router(&self) -> &Router {
        self.peers.router()
    }

    /// Every peer, in the order of its handle.
    pub fn peers(&self, now: Instant) -> Vec<PeerView> {
        self.peers
            .iter()
            .map(|entry| self.view(entry, now))
            .collect()
    }

    /// At most `limit` peers, from the handle `from` on. Peers come and go between two calls; one
    /// that stays is in exactly one answer.
    pub fn peers_from(&self, now: Instant, from: PeerId, limit: usize) -> Vec<PeerView> {
        let entries = self.peers.iter().filter(|entry| entry.name.id >= from);
        entries
            .take(limit.min(MAX_PAGE))
            .map(|entry| self.view(entry, now))
            .collect()
    }

    /// Whose tables we have heard.
    pub fn heard(&self) -> Heard {
        self.hearing.heard()
    }

    /// How many peers there are, and how many of them are established.
    pub fn peer_counts(&self) -> (usize, usize) {
        let established = self.peers.iter().filter(|entry| entry.slot.is_some());
        (self.peers.iter().count(), established.count())
    }

    /// How many peers would keep our routes if we went now without a word (RFC 4724 §4.2).
    pub fn kept_by(&self) -> usize {
        let negotiated = self
            .peers
            .iter()
            .filter_map(|entry| entry.session.established());
        negotiated
            .filter(|(_, negotiated)| negotiated.graceful_restart.is_some())
            .count()
    }

    /// The peer with this name or address.
    pub fn peer(&self, now: Instant, name: &str) -> Option<PeerView> {
        self.peers.find(name).map(|entry| self.view(entry, now))
    }

    /// The name of a peer that routes refer to.
    pub fn peer_name(&self, id: PeerId) -> Option<&PeerName> {
        self.peers.get(id).map(|entry| &entry.name)
    }

    /// One page of the best paths of a family: at most `limit` (and [`MAX_PAGE`]) prefixes,
    /// beginning where the last page ended.
    pub fn loc_rib(&self, family: Family, from: Option<Cursor>, limit: usize) -> Page<PathView> {
        self.rib.loc_rib(family, from, limit.min(MAX_PAGE))
    }

    /// One page of what the peer with this name or address has told us.
    ///
    /// # Errors
    ///
    /// There is no such peer, or it is not established.
    pub fn adj_rib_in(
        &self,
        peer: &str,
        family: Family,
        from: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<PathView>, CommandError> {
        let slot = self.slot_of(peer)?;
        Ok(self.rib.adj_rib_in(slot, family, from, limit.min(MAX_PAGE)))
    }

    /// One page of what the peer with this name or address is to know, worked out route by route
    /// and without its update group.
    ///
    /// # Errors
    ///
    /// There is no such peer, or it is not established.
    pub fn adj_rib_out(
        &self,
        peer: &str,
        family: Family,
        from: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<AnnouncedView>, CommandError> {
        let slot = self.slot_of(peer)?;
        Ok(self
            .rib
            .adj_rib_out(slot, family, from, limit.min(MAX_PAGE)))
    }

    /// What the peer with this name or address is to know of one prefix; `None` for nothing.
    ///
    /// # Errors
    ///
    /// There is no such peer, or it is not established.
    pub fn announced_to(
        &self,
        peer: &str,
        prefix: &IpNet,
    ) -> Result<Option<AnnouncedView>, CommandError> {
        Ok(self.rib.announced_to(self.slot_of(peer)?, prefix))
    }

    /// The longest known prefix that covers `prefix`, or is it.
    pub fn lookup(&self, prefix: &IpNet) -> Option<IpNet> {
        self.rib.lookup(prefix)
    }

    /// Everything known about one prefix: all paths, why each is not the best, and what each
    /// update group is told.
    pub fn explain(&self, prefix: &IpNet) -> Explanation {
        self.rib.explain(prefix)
    }

    /// The update groups. Comparing the profiles of two says why their peers do not share.
    pub fn groups(&self) -> Vec<GroupView> {
        self.rib.groups()
    }

    /// How much there is of everything in the RIB.
    pub fn counts(&self) -> Counts {
        self.rib.counts()
    }

    /// Asks every invariant; for tests and simulations.
    ///
    /// # Errors
    ///
    /// The first one that does not hold.
    pub fn check(&self) -> Result<(), String> {
        self.rib.check()?;
        for entry in self.peers.iter() {
            let name = &entry.name.name;
            if entry.slot.is_some() != entry.session.established().is_some() {
                return Err(format!("{name}: slot and session disagree"));
            }
            if entry.slot.is_some() && entry.session.poll_timeout().is_none() {
                let hold = entry.session.established().map(|(_, n)| n.hold_time);
                if hold != Some(Duration::ZERO) {
                    return Err(format!("{name}: established without a deadline"));
                }
            }
        }
        Ok(())
    }

    fn slot_of(&self, peer: &str) -> Result<PeerSlot, CommandError> {
        let entry = self
            .peers
            .find(peer)
            .ok_or_else(|| CommandError::UnknownPeer(peer.to_owned()))?;
        entry
            .slot
            .ok_or_else(|| CommandError::NotEstablished(peer.to_owned()))
    }

    fn view(&self, entry: &PeerEntry, now: Instant) -> PeerView {
        let session = &entry.session;
        let ends = entry.kept.iter().filter_map(Kept::ends).max();
        PeerView {
            id: entry.name.id,
            name: entry.name.name.to_string(),
            address: entry.name.address,
            group: entry.settings.group.clone(),
            dynamic: entry.dynamic.is_some(),
            disabled: entry.admin == AdminState::Disabled,
            role: entry.settings.role,
            remote_as: entry.settings.remote_as,
            offered: entry.settings.families,
            state: session.state(),
            negotiated: session
                .established()
                .map(|(_, negotiated)| negotiated.clone()),
            uptime: entry.established_at.map(|at| now.since(at)),
            last_down: session
                .last_error()
                .map(|error| (now.since(error.at), error.reason.clone())),
            sessions: entry.sessions,
            counters: *session.counters(),
            routes: entry.slot.and_then(|slot| self.rib.summary(slot)),
            keeps: ends.map(|ends| (families_of(&entry.kept, Kept::families), ends.since(now))),
            long_lived_stale: families_of(&entry.kept, Kept::long_lived),
            waits: session
                .poll_timeout()
                .map(|(at, timer)| (timer, at.since(now))),
        }
    }
}

/// The families of all that is kept of one peer.
fn families_of(kept: &[Kept], families: impl Fn(&Kept) -> FamilySet) -> FamilySet {
    kept.iter().flat_map(|kept| families(kept).iter()).collect()
}
