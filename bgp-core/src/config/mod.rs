//! What an operator asked for: typed, complete and valid.
//!
//! Text becomes a [`Config`] elsewhere (`bgp-daemon` reads TOML, an embedder writes Rust). Every
//! default has been filled in by then, so nothing in the engine asks "was it set?".
//!
//! # Types
//!
//! ```text
//! Config ── Router                          who we are
//!        ├─ Peer          ── PeerSettings   a peer with an address; we may connect to it
//!        └─ DynamicGroup  ── PeerSettings   peers accepted by prefix; only they connect
//! ```
//!
//! `PeerSettings` are shared (`Arc`) by the peers of a group. The fields are public and plain;
//! the constructors in `defaults.rs` fill in all that most embedders leave alone.
//!
//! # Invariants
//!
//! [`Config::check`] finds nothing in a `Config` that a speaker takes: names and addresses are
//! unique, roles agree with AS numbers, spans fit into their fields on the wire. It reports all
//! that is wrong, and each [`ConfigError`] names the element and the key, so that whoever read
//! the text can point at the line; the rules stand here alone (`check.rs`).
//!
//! # What it must not know
//!
//! Files, TOML, sockets, and what the host looks like.

mod change;
mod check;
mod defaults;
mod fault;

use crate::family::FamilySet;
use crate::policy::Policy;
use crate::prefix::IpNet;
use crate::types::{Asn, ClusterId, PeerRole, RouterId};
pub use change::Disruption;
pub use defaults::{
    DEFAULT_ACCEPT_LIMIT, DEFAULT_CONNECT_RETRY, DEFAULT_HOLD_TIME, DEFAULT_LONG_LIVED,
    DEFAULT_PORT, DEFAULT_RESTART_DEFERRAL, DEFAULT_RESTART_TIME, DEFAULT_SETTLE,
};
pub use fault::{
    ConfigError, Element, Fault, GroupFault, MAX_HOST_NAME, MAX_LONG_LIVED, MAX_MULTIPATH,
    MAX_NAME, MAX_PEERS, MAX_RESTART_SECONDS, MAX_SETTLE, MAX_TIMER, MIN_CONNECT_RETRY, NameFault,
    PeerFault, RouterFault, SettingsFault,
};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Everything a speaker needs to know to run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Who we are.
    pub router: Router,
    /// Peers with an address of their own.
    pub peers: Vec<Peer>,
    /// Peers that are accepted by prefix.
    pub dynamic: Vec<DynamicGroup>,
}

/// Who we are, and what holds for all peers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Router {
    /// Our AS.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterId,
    /// Our cluster (RFC 4456 §7); by default the router id.
    pub cluster_id: ClusterId,
    /// Whether routes of one client are reflected to other clients. Off where the clients of a
    /// cluster are fully meshed (RFC 4456 §10).
    pub client_to_client: bool,
    /// How long changes that follow each other are gathered before they are sent. The first
    /// change after quiet never waits. 0 to 1 s.
    pub settle: Duration,
    /// Restart Time that we announce (RFC 4724): how long peers keep our routes while we are
    /// away. Zero turns graceful restart off. Whole seconds, at most 4095.
    pub restart_time: Duration,
    /// Whether this process follows one that peers may be keeping routes of: sets the R bit, and
    /// holds back End-of-RIB until the peers have told us what they know (RFC 4724 §4.1).
    pub restarting: bool,
    /// How long at most End-of-RIB is held back then (the Selection_Deferral_Timer): a reflector
    /// knows only what its peers tell it. Zero holds nothing back: right for a node, which knows
    /// its own routes. At most [`MAX_TIMER`].
    pub restart_deferral: Duration,
    /// The families in which what we forward with survives a restart of this process: the F bit of
    /// our OPENs, until `Speaker::set_forwarding` says otherwise.
    /// All for a reflector: it is not in the way of the traffic.
    pub forwarding: FamilySet,
    /// Whether routes are installed in a kernel: then the speaker tells of every change of a best
    /// path and of next hops (`poll_route_change`). Off on a reflector, which pays nothing for it.
    pub install: bool,
    /// At most this many equal ways to a prefix are told with it: 1 to [`MAX_MULTIPATH`].
    pub multipath: u8,
    /// Whether a received path may be used only when we have been told that its next hop can be
    /// reached; then the speaker says which next hops it wants to know of (`poll_next_hop`).
    /// Otherwise a next hop is trusted until we are told that it cannot be reached.
    pub track_next_hops: bool,
    /// Sent in the software version and FQDN capabilities, at most [`MAX_HOST_NAME`] printable
    /// ASCII characters; empty sends neither.
    pub host_name: String,
}

/// A peer with an address of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Name in logs and tables; unique. Letters, digits, `-`, `_` and `.`, beginning with a letter
    /// or digit, at most [`MAX_NAME`]; or the peer's own address.
    pub name: String,
    /// Its address; unique.
    pub address: IpAddr,
    /// Its port: 179 but in tests.
    pub port: u16,
    /// Where we connect from; `None` lets the host choose.
    pub local_address: Option<IpAddr>,
    /// The rest, shared by all peers of a group.
    pub settings: Arc<PeerSettings>,
}

/// Neighbours accepted by prefix (dynamic neighbours): they connect, we never do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DynamicGroup {
    /// Name of the group, beginning with a letter; its peers are named `group:address`.
    pub name: String,
    /// From where connections are accepted.
    pub accept: Vec<IpNet>,
    /// At most this many at a time: one more is refused with Cease/Connection Rejected and logged.
    /// 1 to [`MAX_PEERS`].
    pub limit: usize,
    /// What each of them gets.
    pub settings: Arc<PeerSettings>,
}

/// What several peers have in common.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PeerSettings {
    /// The group's name; empty for a peer that stands alone.
    pub group: String,
    /// The AS their OPEN must show.
    pub remote_as: Asn,
    /// What they are to us.
    pub role: PeerRole,
    /// Families that we offer.
    pub families: FamilySet,
    /// Hold time that we propose: zero (none), or 3 to 65,535 whole seconds (RFC 4271 §4.2).
    pub hold_time: Duration,
    /// Pause before another attempt to connect: [`MIN_CONNECT_RETRY`] to [`MAX_TIMER`].
    pub connect_retry: Duration,
    /// Wait for them to connect; never connect.
    pub passive: bool,
    /// Administratively down: no session.
    pub shutdown: bool,
    /// Offer to receive several paths per prefix (RFC 7911).
    pub add_path_receive: bool,
    /// Offer to send two paths per prefix: the best one, and the best of another originator
    /// (RFC 7911).
    pub add_path_send: bool,
    /// Offer messages of up to 65,535 octets (RFC 8654).
    pub extended_messages: bool,
    /// Announce our own address as next hop to internal peers too, except for reflected routes,
    /// whose next hop a reflector must not change (RFC 4456 §10). External peers always get it.
    pub next_hop_self: bool,
    /// What may come in. `None`: everything on internal sessions, nothing on external ones
    /// (RFC 8212).
    pub import: Option<Arc<Policy>>,
    /// What may go out, with the same default.
    pub export: Option<Arc<Policy>>,
    /// Whether routes of a peer that has fallen silent stay for its restart time, like those of one
    /// whose connection broke (RFC 8538). False: they go as soon as the hold time is over, for who
    /// says nothing may be a host that is gone.
    pub keep_when_silent: bool,
    /// How long at most we keep routes of a peer that does not come back within its restart time,
    /// as the least preferred ones (RFC 9494); what the peer announced is the other limit. Zero:
    /// not at all. Whole seconds, at most [`MAX_LONG_LIVED`].
    pub long_lived_stale_time: Duration,
    /// How long the peer may keep ours so: what we announce. Zero: not at all. Whole seconds, at
    /// most [`MAX_LONG_LIVED`].
    pub long_lived_restart_time: Duration,
    /// The session is ended (Cease, subcode 1) when the peer announces more than this many
    /// prefixes, at least 1; `None` is no limit (RFC 4486 §4).
    pub max_prefixes: Option<u32>,
}
