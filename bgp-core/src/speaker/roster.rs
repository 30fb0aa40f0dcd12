//! Peers come, go and change while the speaker runs.
//!
//! What a whole [`Config`] has to be (unique names and addresses, limits) holds after each of these
//! calls too, and is checked by the same rules. A call that is refused changes nothing.
//!
//! Groups of dynamic neighbours do not change. A peer that is added at the address of a dynamic
//! one takes its place: the dynamic one is sent away first.

use super::peers::AdminState;
use super::{CommandError, Speaker};
use crate::config::{Config, ConfigError, Disruption, Peer};
use crate::family::FamilySet;
use crate::session::Stop;
use crate::time::Instant;
use crate::types::PeerId;

impl Speaker {
    /// Adds a peer and, unless it is shut down, begins to look for it.
    ///
    /// # Errors
    ///
    /// What [`Config::validate`] would find with it.
    pub fn add_peer(&mut self, now: Instant, peer: Peer) -> Result<PeerId, ConfigError> {
        self.now = now;
        self.config_with(peer.clone(), None).validate()?;
        if let Some(dynamic) = self.peers.at_address(peer.address) {
            let how = Stop::OtherConfigurationChange;
            self.give_up(dynamic, FamilySet::ALL);
            self.with_session(dynamic, |session| session.handle_stop(now, how));
            self.give_up(dynamic, FamilySet::ALL);
            self.peers.remove(dynamic);
        }
        let enabled = !peer.settings.shutdown;
        let id = self.peers.insert(peer, None);
        self.hearing.expect(id, enabled);
        if enabled && !self.stopping {
            self.with_session(id, |session| session.handle_start(now));
        }
        Ok(id)
    }

    /// Ends the session of the peer named so and forgets the peer, with all routes of its that
    /// were kept.
    ///
    /// # Errors
    ///
    /// [`CommandError::UnknownPeer`], or [`CommandError::Dynamic`] for one that a group accepted.
    pub fn remove_peer(&mut self, now: Instant, peer: &str, how: Stop) -> Result<(), CommandError> {
        self.now = now;
        let id = self.configured(peer)?;
        self.give_up(id, FamilySet::ALL);
        self.with_session(id, |session| session.handle_stop(now, how));
        self.give_up(id, FamilySet::ALL);
        self.hearing.expect(id, false);
        self.peers.remove(id);
        Ok(())
    }

    /// Makes the peer of the same name into `new`, and says what that did to its session.
    ///
    /// # Errors
    ///
    /// As [`Speaker::add_peer`] and [`Speaker::remove_peer`].
    pub fn update_peer(&mut self, now: Instant, new: Peer) -> Result<Disruption, CommandError> {
        self.now = now;
        let id = self.configured(&new.name)?;
        let valid = self.config_with(new.clone(), Some(id)).validate();
        valid.map_err(CommandError::Invalid)?;
        let Some(old) = self.peers.get(id).map(|entry| entry.configuration()) else {
            return Err(CommandError::UnknownPeer(new.name));
        };
        let disruption = old.disruption(&new);
        match disruption {
            Disruption::Nothing | Disruption::Import => self.change_in_place(id, &old, &new),
            Disruption::NewSession => self.change_session(id, &old, new),
            Disruption::NewPeer => {
                self.remove_peer(now, &new.name, Stop::PeerDeconfigured)?;
                self.add_peer(now, new).map_err(CommandError::Invalid)?;
            }
        }
        Ok(disruption)
    }

    fn change_in_place(&mut self, id: PeerId, old: &Peer, new: &Peer) {
        let Some(entry) = self.peers.get_mut(id) else {
            return;
        };
        entry.settings = new.settings.clone();
        entry.session.set_connect_retry(new.settings.connect_retry);
        if let Some(slot) = entry.slot {
            self.rib.set_settings(slot, new.settings.clone());
            self.work_left = true;
        }
        if old.settings.shutdown != new.settings.shutdown {
            self.set_enabled(id, !new.settings.shutdown);
        }
    }

    fn change_session(&mut self, id: PeerId, old: &Peer, new: Peer) {
        let now = self.now;
        self.with_session(id, |session| {
            session.handle_stop(now, Stop::OtherConfigurationChange);
        });
        if !old.settings.is_same_speaker(&new.settings) {
            self.give_up(id, FamilySet::ALL);
        }
        // What an operator has ordered stays, unless the configuration says something new.
        let enabled = match self.peers.get(id).map(|entry| entry.admin) {
            Some(AdminState::Disabled) if old.settings.shutdown == new.settings.shutdown => false,
            Some(AdminState::Enabled | AdminState::Disabled) | None => !new.settings.shutdown,
        };
        self.peers.reconfigure(id, new);
        self.set_enabled(id, enabled);
    }

    fn set_enabled(&mut self, id: PeerId, enabled: bool) {
        let now = self.now;
        let Some(entry) = self.peers.get_mut(id) else {
            return;
        };
        entry.admin = if enabled {
            AdminState::Enabled
        } else {
            AdminState::Disabled
        };
        self.hearing.expect(id, enabled);
        if enabled && !self.stopping {
            self.with_session(id, |session| session.handle_start(now));
        } else {
            self.give_up(id, FamilySet::ALL);
            let how = Stop::AdministrativeShutdown(String::new());
            self.with_session(id, |session| session.handle_stop(now, how));
        }
    }

    /// The configuration with `peer` in it, in the place of `instead` or behind all others.
    fn config_with(&self, peer: Peer, instead: Option<PeerId>) -> Config {
        let mut config = self.peers.configuration(instead);
        config.peers.push(peer);
        config
    }

    fn configured(&self, peer: &str) -> Result<PeerId, CommandError> {
        let entry = self.peers.find(peer);
        let entry = entry.ok_or_else(|| CommandError::UnknownPeer(peer.to_owned()))?;
        match entry.dynamic {
            None => Ok(entry.name.id),
            Some(_) => Err(CommandError::Dynamic(peer.to_owned())),
        }
    }
}
