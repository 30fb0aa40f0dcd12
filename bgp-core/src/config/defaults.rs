//! Defaults, and constructors that fill them in.

use super::{Config, DynamicGroup, Peer, PeerSettings, Router};
use crate::family::FamilySet;
use crate::prefix::IpNet;
use crate::types::{Asn, ClusterId, PeerRole, RouterId};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The well-known port of BGP (RFC 4271 §8.2.1).
pub const DEFAULT_PORT: u16 = 179;
/// Hold time: what RFC 4271 §10 suggests.
pub const DEFAULT_HOLD_TIME: Duration = Duration::from_secs(90);
/// Pause between attempts to connect. RFC 4271 §10 suggests 120 s, from a time when an attempt
/// was dear; a cluster wants its reflector back sooner.
pub const DEFAULT_CONNECT_RETRY: Duration = Duration::from_secs(5);
/// Gathering window: far below what a person or a health check notices, long enough to gather the
/// burst of one event.
pub const DEFAULT_SETTLE: Duration = Duration::from_millis(5);
/// Restart Time: long enough to upgrade and start again.
pub const DEFAULT_RESTART_TIME: Duration = Duration::from_secs(120);
/// How long routes told by a reflector outlive it: what it told stays true without it, and a network
/// that has lost all its reflectors must not be deleted before somebody has had a day to look.
pub const DEFAULT_LONG_LIVED: Duration = Duration::from_secs(86_400);
/// How long End-of-RIB is held back at most: far more than live peers need to come back and tell
/// their tables.
pub const DEFAULT_RESTART_DEFERRAL: Duration = Duration::from_secs(30);
/// Dynamic neighbours of one group.
pub const DEFAULT_ACCEPT_LIMIT: usize = 1_000;

impl Config {
    /// A speaker without peers.
    pub fn new(router: Router) -> Self {
        Self {
            router,
            peers: Vec::new(),
            dynamic: Vec::new(),
        }
    }

    /// The same with one peer more.
    #[must_use]
    pub fn with_peer(mut self, peer: Peer) -> Self {
        self.peers.push(peer);
        self
    }

    /// The same with one group of dynamic neighbours more.
    #[must_use]
    pub fn with_dynamic(mut self, group: DynamicGroup) -> Self {
        self.dynamic.push(group);
        self
    }
}

impl Router {
    /// A router that is its own cluster and reflects between its clients.
    pub fn new(asn: Asn, router_id: RouterId) -> Self {
        Self {
            asn,
            router_id,
            cluster_id: ClusterId(router_id.0),
            client_to_client: true,
            settle: DEFAULT_SETTLE,
            restart_time: DEFAULT_RESTART_TIME,
            restarting: false,
            restart_deferral: DEFAULT_RESTART_DEFERRAL,
            forwarding: FamilySet::ALL,
            install: false,
            multipath: 1,
            track_next_hops: false,
            host_name: String::new(),
        }
    }
}

impl Peer {
    /// A peer at `address`, to which we connect.
    pub fn new(
        name: impl Into<String>,
        address: IpAddr,
        settings: impl Into<Arc<PeerSettings>>,
    ) -> Self {
        Self {
            name: name.into(),
            address,
            port: DEFAULT_PORT,
            local_address: None,
            settings: settings.into(),
        }
    }
}

impl DynamicGroup {
    /// Peers that connect from `accept`, at most [`DEFAULT_ACCEPT_LIMIT`] at a time.
    pub fn new(name: impl Into<String>, accept: Vec<IpNet>, settings: PeerSettings) -> Self {
        let name = name.into();
        let settings = Arc::new(PeerSettings {
            group: name.clone(),
            ..settings
        });
        Self {
            name,
            accept,
            limit: DEFAULT_ACCEPT_LIMIT,
            settings,
        }
    }
}

impl PeerSettings {
    /// Clients of our reflector (RFC 4456); `asn` is our own AS.
    pub fn client(asn: Asn) -> Self {
        Self::new(asn, PeerRole::Client)
    }

    /// Internal peers that are not our clients; `asn` is our own AS.
    pub fn non_client(asn: Asn) -> Self {
        Self::new(asn, PeerRole::NonClient)
    }

    /// Peers in another AS. Nothing passes before `import` and `export` are set (RFC 8212).
    pub fn external(remote_as: Asn) -> Self {
        Self::new(remote_as, PeerRole::External)
    }

    /// Peers of any role, with every default.
    ///
    /// Who tells a client is its reflector, so clients may keep what we told, and we keep nothing
    /// of theirs beyond the restart time; to a non-client it is the other way round, for as long
    /// as it announces: a reflector does, a node does not.
    pub fn new(remote_as: Asn, role: PeerRole) -> Self {
        let (keep_theirs, keep_ours) = match role {
            PeerRole::Client => (Duration::ZERO, DEFAULT_LONG_LIVED),
            PeerRole::NonClient => (DEFAULT_LONG_LIVED, Duration::ZERO),
            PeerRole::External => (Duration::ZERO, Duration::ZERO),
        };
        Self {
            group: String::new(),
            remote_as,
            role,
            families: FamilySet::ALL,
            hold_time: DEFAULT_HOLD_TIME,
            connect_retry: DEFAULT_CONNECT_RETRY,
            passive: false,
            shutdown: false,
            add_path_receive: false,
            // Within the AS a second owner of a prefix is everybody's business.
            add_path_send: role.is_internal(),
            extended_messages: true,
            next_hop_self: false,
            import: None,
            export: None,
            keep_when_silent: false,
            long_lived_stale_time: keep_theirs,
            long_lived_restart_time: keep_ours,
            max_prefixes: None,
        }
    }

    /// Whether long-lived graceful restart is offered at all.
    pub fn knows_long_lived(&self) -> bool {
        !(self.long_lived_stale_time.is_zero() && self.long_lived_restart_time.is_zero())
    }
}
