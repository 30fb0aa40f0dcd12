//! What a change of a peer's configuration costs.

use super::{Peer, PeerSettings};

/// What a change does to the peer's session. Each is worse than the one before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Disruption {
    /// Nothing: it counts from now on.
    Nothing,
    /// What the peer has told is judged again; the session stays.
    Import,
    /// The session ends and comes back: something changed that was said in our OPEN, or that
    /// decides what the peer has been told. With a peer that negotiated the N bit (RFC 8538) both
    /// sides keep the routes meanwhile.
    NewSession,
    /// Another address: it is another peer, and what was known of it goes.
    NewPeer,
}

impl Peer {
    /// What it costs to make `self` into `new`.
    pub fn disruption(&self, new: &Self) -> Disruption {
        if self.address != new.address {
            return Disruption::NewPeer;
        }
        if (self.port, self.local_address) != (new.port, new.local_address) {
            return Disruption::NewSession;
        }
        self.settings.disruption(&new.settings)
    }
}

impl PeerSettings {
    /// What it costs to make `self` into `new`.
    pub fn disruption(&self, new: &Self) -> Disruption {
        // What is not named here needs a new session.
        let with_new = Self {
            group: new.group.clone(),
            connect_retry: new.connect_retry,
            shutdown: new.shutdown,
            import: new.import.clone(),
            keep_when_silent: new.keep_when_silent,
            max_prefixes: new.max_prefixes,
            ..self.clone()
        };
        if with_new != *new {
            Disruption::NewSession
        } else if self.import != new.import {
            Disruption::Import
        } else {
            Disruption::Nothing
        }
    }

    /// Whether `new` could be the same peer with the same routes: its routes are worth keeping
    /// over a new session.
    pub(crate) fn is_same_speaker(&self, new: &Self) -> bool {
        (self.remote_as, self.role) == (new.remote_as, new.role)
    }
}
