//! What the admin API says, as JSON: the contract between the daemon and its clients.
//!
//! Plain values with text for everything that the engine has a type for, so that a client needs
//! nothing of ours. A later version may add keys; it does not change the meaning of these. Times
//! are seconds, families are `ipv4-unicast` and `ipv6-unicast`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Why a request was not answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// What is wrong.
    pub error: String,
    /// What to do about it.
    pub advice: String,
}

/// A part of a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Page<T> {
    /// The part; it may be empty although there is more.
    pub items: Vec<T>,
    /// What to ask with, as `cursor`, for the next part; absent in the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /v1/status`: the router as a whole.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The program.
    pub program: String,
    /// Its version.
    pub version: String,
    /// Its configuration file; absent on the built-in default.
    pub configuration: Option<String>,
    /// Our AS.
    pub asn: u32,
    /// Our BGP Identifier.
    pub router_id: Ipv4Addr,
    /// Our cluster.
    pub cluster_id: Ipv4Addr,
    /// The host name that we send.
    pub host_name: String,
    /// Where we listen.
    pub listen: Vec<SocketAddr>,
    /// How long the process has been running.
    pub uptime: u64,
    /// Whether End-of-RIB is held back because we have restarted (RFC 4724 §4.1).
    pub restarting: bool,
    /// Peers, configured and dynamic.
    pub peers: usize,
    /// Of these, the ones whose session is established.
    pub established: usize,
    /// The Loc-RIB, by family.
    pub tables: BTreeMap<String, TableSize>,
    /// Attribute sets, each kept once.
    pub attribute_sets: usize,
    /// Update groups.
    pub update_groups: Vec<UpdateGroup>,
    /// What the edge has counted.
    pub engine: Engine,
}

/// How much a table holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TableSize {
    /// Prefixes with at least one path.
    pub prefixes: usize,
    /// Paths.
    pub paths: usize,
}

/// Peers that are told the same in the same words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UpdateGroup {
    /// Its number.
    pub id: String,
    /// Its family.
    pub family: String,
    /// How many peers share it.
    pub peers: usize,
    /// Prefixes announced to it.
    pub announced: usize,
}

/// What the edge has counted about itself since it started.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Engine {
    /// Turns by their length: `"<=0.001"` for those of at most 1 ms that were longer than the
    /// bound before, `">0.1"` for the longest.
    pub turns: BTreeMap<String, u64>,
    /// The longest turn, in seconds.
    pub longest_turn: f64,
    /// Turns that began late.
    pub stalls: u64,
    /// Transport connections right now.
    pub connections: usize,
    /// Connections accepted and turned away.
    pub refused: u64,
    /// Octets read.
    pub octets_read: u64,
    /// Octets written.
    pub octets_written: u64,
    /// Octets encoded for a connection and not yet taken by its socket.
    pub octets_held: usize,
}

/// `GET /v1/peers`: a peer in a line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeerLine {
    /// Its name; `GROUP:ADDRESS` for a dynamic one.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its AS.
    pub remote_as: u32,
    /// `client`, `non-client` or `external`.
    pub role: String,
    /// The group that it belongs to; empty for none.
    pub group: String,
    /// Whether it was accepted by prefix.
    pub dynamic: bool,
    /// Whether its session is administratively down.
    pub disabled: bool,
    /// The state of its session, by its name in RFC 4271 §8.2.2.
    pub state: String,
    /// How long it has been established.
    pub uptime: Option<u64>,
    /// Routes that it has announced to us, while it is established.
    pub received: Option<usize>,
    /// Routes that we have for it, while it is established.
    pub advertised: Option<usize>,
    /// How its last session, or attempt at one, ended.
    pub last_down: Option<LastDown>,
}

/// The end of a session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LastDown {
    /// How long ago.
    pub ago: u64,
    /// Why.
    pub reason: String,
}

/// `GET /v1/peers/{name}`: all about a peer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// What the list says.
    #[serde(flatten)]
    pub line: PeerLine,
    /// Families that we offer.
    pub offered: Vec<String>,
    /// Sessions established so far.
    pub sessions: u64,
    /// What was negotiated, while it is established.
    pub negotiated: Option<Negotiated>,
    /// Its routes by family, while it is established.
    pub tables: BTreeMap<String, PeerTable>,
    /// Messages received, by type.
    pub messages_received: BTreeMap<String, u64>,
    /// Messages sent, by type.
    pub messages_sent: BTreeMap<String, u64>,
    /// Families whose routes from its last session stay for now, because it may be restarting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keeps: Vec<String>,
    /// How long they stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps_for: Option<u64>,
    /// Those of them whose routes are long-lived stale (RFC 9494).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub long_lived_stale: Vec<String>,
    /// What it waits for next, and how long still.
    pub waits_for: Option<Wait>,
}

/// What two OPENs agreed on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Negotiated {
    /// Their BGP Identifier.
    pub router_id: Ipv4Addr,
    /// Families of both sides.
    pub families: Vec<String>,
    /// Hold time; 0 is none.
    pub hold_time: u64,
    /// Whether AS numbers take four octets.
    pub four_octet_as: bool,
    /// Longest message that they may send.
    pub receive_limit: usize,
    /// Longest message that we may send.
    pub send_limit: usize,
    /// Families in which they send several paths for a prefix.
    pub add_path_receive: Vec<String>,
    /// Families in which we send two paths for a prefix.
    pub add_path_send: Vec<String>,
    /// Families whose next hop may be of another family.
    pub extended_next_hop: Vec<String>,
    /// Whether they answer ROUTE-REFRESH.
    pub route_refresh: bool,
    /// Whether refreshes are marked.
    pub enhanced_refresh: bool,
    /// How long they want us to keep their routes over a restart; absent without graceful restart.
    pub restart_time: Option<u16>,
    /// Everything that they announced.
    pub their_capabilities: Vec<String>,
}

/// The routes of a peer in one family.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PeerTable {
    /// Routes that it has announced to us.
    pub received: usize,
    /// Of these, the ones that may not be used.
    pub ineligible: usize,
    /// Of these, the ones that are best.
    pub best: usize,
    /// Routes that we have for it.
    pub advertised: usize,
    /// Changes that it has not been sent yet.
    pub behind: usize,
    /// Whether it has been sent everything up to End-of-RIB.
    pub in_sync: bool,
    /// Its update group.
    pub update_group: String,
    /// How many peers share that group.
    pub group_peers: usize,
}

/// A timer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wait {
    /// Its name.
    pub timer: String,
    /// Seconds until it expires.
    pub seconds: u64,
}

/// `GET /v1/routes`: one path, or one route announced.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Route {
    /// Where to.
    pub prefix: String,
    /// Path identifier; absent without add-path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_id: Option<u32>,
    /// The peer that it came from; absent for what we originate ourselves.
    pub from: Option<String>,
    /// Whether it is the best path of its prefix.
    pub best: bool,
    /// Why it is not: the numbered step of the decision process that it lost by, or why it may
    /// not be used; absent for the best path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
    /// Its attributes.
    #[serde(flatten)]
    pub attributes: Attributes,
}

/// The path attributes of a route; those that it does not have are absent.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Attributes {
    /// NEXT_HOP, or the one in MP_REACH_NLRI; two addresses where it carries a link-local one.
    pub next_hop: String,
    /// `igp`, `egp` or `incomplete`.
    pub origin: String,
    /// AS_PATH; empty within the AS.
    pub as_path: String,
    /// MULTI_EXIT_DISC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
    /// LOCAL_PREF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub atomic_aggregate: bool,
    /// AGGREGATOR: AS and address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregator: Option<String>,
    /// ORIGINATOR_ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_list: Vec<Ipv4Addr>,
    /// COMMUNITIES.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<String>,
    /// EXTENDED COMMUNITIES, in hexadecimal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extended_communities: Vec<String>,
    /// LARGE_COMMUNITY.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub large_communities: Vec<String>,
    /// Only to Customer (RFC 9234).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_to_customer: Option<u32>,
    /// Attributes that we do not know: type code and value in hexadecimal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// `GET /v1/routes/explain`: all that is known about a prefix.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The prefix.
    pub prefix: String,
    /// Every path to it, the best one first.
    pub paths: Vec<Route>,
    /// What a peer is told, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertised: Option<Advertised>,
}

/// Whether and how a peer is told of a prefix.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Advertised {
    /// The peer.
    pub peer: String,
    /// The route in the words that it is sent; absent when it is not.
    pub route: Option<Attributes>,
    /// Why it is not sent; absent when it is.
    pub why_not: Option<String>,
}

/// `POST /v1/shutdown` and `POST /v1/peers/{name}/…`: what to say with it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Only for a shutdown: tell peers, so that they drop our routes.
    #[serde(default)]
    pub drain: bool,
    /// Sent to the peer's operator (RFC 9003); at most 255 octets arrive.
    #[serde(default)]
    pub message: String,
}

/// The answer to an order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Done {
    /// What was done.
    pub done: String,
}
