//! What an operator or an embedder may order.

use super::{AdminState, Speaker};
use crate::config::ConfigError;
use crate::family::{Family, FamilySet};
use crate::prefix::IpNet;
use crate::rib::Reachability;
use crate::session::Stop;
use crate::time::Instant;
use crate::types::PeerId;
use crate::wire::{Message, NextHop, PathAttributes, RefreshSubtype, RouteRefresh};
use std::net::IpAddr;

/// Why an order was not carried out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandError {
    /// No peer has this name or address.
    #[error("no peer is named `{0}`, and none has that address")]
    UnknownPeer(String),
    /// The session has to be established for this.
    #[error("the session with {0} is not established")]
    NotEstablished(String),
    /// The peer did not offer what this needs.
    #[error("{peer} did not negotiate {what}")]
    NotNegotiated {
        /// Its name.
        peer: String,
        /// The capability that is missing.
        what: &'static str,
    },
    /// It was accepted by prefix: its group is configured, it is not.
    #[error("{0} is a dynamic neighbour: its group is configured, it is not")]
    Dynamic(String),
    /// The change would make an invalid configuration.
    #[error("{0}")]
    Invalid(ConfigError),
}

impl Speaker {
    /// Ends all sessions and accepts no more. With [`Stop::Silent`] peers that negotiated
    /// graceful restart keep our routes; with any other value they are told why.
    pub fn stop(&mut self, now: Instant, how: &Stop) {
        self.now = now;
        self.stopping = true;
        for id in self.peers.ids() {
            self.with_session(id, |session| session.handle_stop(now, how.clone()));
        }
    }

    /// Ends the session of the peer named so and begins a new one.
    ///
    /// # Errors
    ///
    /// [`CommandError::UnknownPeer`].
    pub fn reset_peer(&mut self, now: Instant, peer: &str, how: Stop) -> Result<(), CommandError> {
        self.now = now;
        let id = self.id_of(peer)?;
        self.with_session(id, |session| {
            session.handle_stop(now, how);
            session.handle_start(now);
        });
        Ok(())
    }

    /// Ends the session of the peer named so and lets none come up until
    /// [`Speaker::enable_peer`]. A dynamic peer that leaves is forgotten, and with it this order.
    ///
    /// # Errors
    ///
    /// [`CommandError::UnknownPeer`].
    pub fn disable_peer(
        &mut self,
        now: Instant,
        peer: &str,
        how: Stop,
    ) -> Result<(), CommandError> {
        self.now = now;
        let id = self.id_of(peer)?;
        if let Some(entry) = self.peers.get_mut(id) {
            entry.admin = AdminState::Disabled;
        }
        self.hearing.expect(id, false);
        self.give_up(id, FamilySet::ALL);
        self.with_session(id, |session| session.handle_stop(now, how));
        Ok(())
    }

    /// Lets the session of the peer named so come up again.
    ///
    /// # Errors
    ///
    /// [`CommandError::UnknownPeer`].
    pub fn enable_peer(&mut self, now: Instant, peer: &str) -> Result<(), CommandError> {
        self.now = now;
        let id = self.id_of(peer)?;
        if let Some(entry) = self.peers.get_mut(id) {
            entry.admin = AdminState::Enabled;
            let configured = entry.dynamic.is_none();
            self.hearing.expect(id, configured);
        }
        self.with_session(id, |session| session.handle_start(now));
        Ok(())
    }

    /// Asks the peer named so to send its routes of `family` again (RFC 2918).
    ///
    /// # Errors
    ///
    /// Unknown, not established, or without the capability.
    pub fn request_refresh(
        &mut self,
        now: Instant,
        peer: &str,
        family: Family,
    ) -> Result<(), CommandError> {
        self.now = now;
        let id = self.id_of(peer)?;
        let negotiated = self
            .peers
            .get(id)
            .and_then(|entry| entry.session.established());
        let Some((_, negotiated)) = negotiated else {
            return Err(CommandError::NotEstablished(peer.to_owned()));
        };
        if !negotiated.route_refresh || !negotiated.families.contains(family) {
            let peer = peer.to_owned();
            return Err(CommandError::NotNegotiated {
                peer,
                what: "route refresh for the family",
            });
        }
        let request = RouteRefresh {
            family: family.afi_safi(),
            subtype: RefreshSubtype::Request,
        };
        self.with_session(id, |session| session.send(&Message::RouteRefresh(request)));
        Ok(())
    }

    /// Drops what is kept of reflectors that are away: peers with `keep_when_silent`. For when
    /// others have told all they know: what only an absent one knows is old by then, and could
    /// otherwise win over what is so.
    pub fn forget_absent_reflectors(&mut self, now: Instant) {
        self.now = now;
        for id in self.peers.ids() {
            let is_absent = self.peers.get(id).is_some_and(|entry| {
                entry.settings.keep_when_silent && entry.session.established().is_none()
            });
            if is_absent {
                self.give_up(id, FamilySet::ALL);
            }
        }
    }

    /// Announces a route of our own. An earlier one to the same prefix is replaced.
    pub fn originate(
        &mut self,
        now: Instant,
        prefix: IpNet,
        next_hop: NextHop,
        attributes: &PathAttributes,
    ) {
        self.now = now;
        self.rib.originate(prefix, attributes, next_hop);
    }

    /// Takes back a route of our own.
    pub fn withdraw(&mut self, now: Instant, prefix: IpNet) {
        self.now = now;
        self.rib.withdraw(prefix);
    }

    /// Says whether, and at which cost, a next hop can be reached. Until told otherwise every
    /// next hop is trusted or, with `Router::track_next_hops`, none is.
    pub fn set_next_hop(&mut self, now: Instant, address: IpAddr, reachability: Reachability) {
        self.now = now;
        self.rib.set_next_hop(address, reachability);
        self.work_left = true;
    }

    /// Says in which families what we forward with survives a restart of this process: the F bit
    /// of OPENs to come (RFC 4724 §3). A node tells what is really in its kernel.
    pub fn set_forwarding(&mut self, families: FamilySet) {
        self.peers.set_forwarding(families);
    }

    fn id_of(&self, peer: &str) -> Result<PeerId, CommandError> {
        let found = self.peers.find(peer).map(|entry| entry.name.id);
        found.ok_or_else(|| CommandError::UnknownPeer(peer.to_owned()))
    }
}
