//! What the admin API says about a node and its kernel routes, as JSON; the rest of the contract
//! is [`view`](super::view), and the same rules hold.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// `GET /v1/node`: the node as a whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeSummary {
    /// Its name.
    pub name: String,
    /// Its addresses, each with the length of its subnet.
    pub addresses: Vec<String>,
    /// Its AS.
    pub asn: u32,
    /// Its BGP Identifier.
    pub router_id: Ipv4Addr,
    /// Its blocks.
    pub blocks: Vec<String>,
    /// Peers, whatever their state.
    pub peers: usize,
    /// Of these, the ones whose session is established.
    pub established: usize,
    /// Of the established ones, those that have not said End-of-RIB yet.
    pub owing: usize,
    /// Whether the kernel has every route that is wanted, and nothing stale is left.
    pub in_sync: bool,
    /// Families in which packets are forwarded by routes of ours: the F bits of the next OPEN.
    pub forwarding: Vec<String>,
    /// Whether what a predecessor left in the kernel is still kept because not every peer has
    /// told its routes yet.
    pub settling: bool,
    /// Routes by what has become of them.
    pub kernel: KernelCounts,
    /// Prefixes that somebody else claims too.
    pub conflicts: usize,
}

/// Kernel routes of ours, counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct KernelCounts {
    /// Routes that are wanted.
    pub wanted: usize,
    /// Of these, the ones that the kernel has.
    pub installed: usize,
    /// Of these, the ones on their way there.
    pub pending: usize,
    /// Of these, the ones that wait for a device, a next hop, or an address.
    pub waiting: usize,
    /// Of these, the ones that the kernel has refused.
    pub refused: usize,
    /// Of these, the ones whose place another's route holds.
    pub conflicts: usize,
    /// Routes that are there and not (yet) wanted: left by a predecessor, or on their way out.
    pub stale: usize,
    /// Neighbour and forwarding entries of tunnels.
    pub tunnel_ends: usize,
    /// How often the tables were read anew because notifications were lost.
    pub overruns: u64,
    /// How often a route of ours was put back after somebody had changed or deleted it.
    pub healed: u64,
}

/// `GET /v1/blocks`: a block of ours.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockLine {
    /// The block.
    pub prefix: String,
    /// The pool that it lies in.
    pub pool: String,
    /// Whether it is announced.
    pub announced: bool,
    /// Whether its blackhole is in the kernel.
    pub blackholed: bool,
    /// Who else announces it; empty where nobody does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rivals: Vec<String>,
}

/// `GET /v1/kernel`: a route that we want, or still have, in the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KernelRoute {
    /// Where to.
    pub prefix: String,
    /// In which table; 254 is `main`.
    pub table: u32,
    /// Its metric.
    pub metric: u32,
    /// What is wanted, in the words of `ip route`: `via 10.0.0.2 dev tunl0 onlink`, `blackhole`;
    /// absent for one that is on its way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// Its device, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// `installed`; `pending`, on its way; `waiting` for a device or a gateway; `refused` by the
    /// kernel or by us; `conflict`, another's route holds its place; `stale`, left by a
    /// predecessor and not asked for yet; `leaving`.
    pub state: String,
    /// How long it has been wanted, in seconds; absent where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// What is wrong, in the kernel's own words where it has any; absent when all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How often the kernel has refused it since it was last well.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// `POST /v1/kernel/audit`: the kernel's tables, read anew, beside what is wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Audit {
    /// Whether they are equal, as far as they could be read.
    pub equal: bool,
    /// Whether the kernel's tables could be read as a whole.
    pub complete: bool,
    /// Routes that were compared.
    pub checked: usize,
    /// Where they are not.
    pub differences: Vec<Difference>,
    /// Further differences that are not named here.
    pub more: usize,
}

/// A place where the kernel is not as it is wanted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Difference {
    /// The prefix.
    pub prefix: String,
    /// The table.
    pub table: u32,
    /// `missing`, `differs`, or `extra`: there, with our mark, and not wanted.
    pub what: String,
    /// What is wanted; absent where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// Why it is not there, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `GET /v1/conflicts`: a prefix that somebody else claims too.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Conflict {
    /// The prefix.
    pub prefix: String,
    /// `block` where two nodes announce it, `route` where another program's kernel route is in
    /// the place of ours.
    pub kind: String,
    /// Who wins, and what is used.
    pub used: String,
    /// Who else claims it: node names or addresses, or the kernel route of another.
    pub others: Vec<String>,
    /// How long it has been so, in seconds.
    pub since: u64,
}

/// `GET /v1/next-hops`: an address that routes lead through.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NextHopLine {
    /// The address.
    pub address: IpAddr,
    /// Whether the kernel has a way there.
    pub reachable: bool,
    /// The way, `dev eth0` or `via 10.0.0.1 dev eth0`; why not, where there is none.
    pub way: String,
}

/// The body of `POST /v1/blocks/add` and `POST /v1/blocks/remove`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockOrder {
    /// The block.
    pub prefix: String,
}

/// `POST /v1/reload`: what the new configuration changed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Reloaded {
    /// Each change, with what it costs; empty where the new file says the same.
    pub changes: Vec<ChangeLine>,
    /// What is perhaps not as meant, `file:line:column: …`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangeLine {
    /// What changed.
    pub what: String,
    /// What that disturbs.
    pub cost: String,
}
