//! The rules of a node that owns address blocks.
//!
//! A pure value, [`Node`], is told which blocks are ours, which pools there are, what the routing
//! information base says and which host routes the kernel has; it says what is to be announced,
//! which kernel routes are wanted, and what a person has to hear. It has no socket, no clock and
//! no thread: equal inputs give equal orders.
//!
//! # The words
//!
//! - A **pool** is a range of addresses for workloads. It says how packets get from node to node.
//! - A **block** is a piece of a pool, of the pool's block size, that belongs to one node. The node
//!   announces the block and nothing inside it, and drops what no workload of it takes.
//! - A **borrowed address** is a workload's address outside all blocks of its node. It is announced
//!   by itself.
//! - A **service prefix** belongs to no node. It may pass, but no kernel gets a route to it.
//!
//! | file | what it holds |
//! |---|---|
//! | `settings.rs`, `check.rs`, `fault.rs` | what an operator asked for; all that can be wrong with it |
//! | `identity.rs` | the router id and the tunnel's hardware address, from what the node is called |
//! | `policy.rs` | which prefixes may come in and go out |
//! | `node/` | [`Node`]: what it is told, what it orders, what it has to say |
//!
//! # Invariants
//!
//! - Nothing is learned back: which blocks are ours is told, never read from the kernel.
//! - No address inside a block of ours is announced beside the block, unless it was announced
//!   before the block became ours and others may still need it.
//! - A route that we want in the kernel has the same place as the blackhole of a block, so that a
//!   block that moves is one replacement.

mod check;
mod fault;
mod identity;
mod node;
mod policy;
mod settings;

pub use bgp_fib::pattern::{Pattern, PatternError};
pub use fault::{
    BlockFault, Element, EndFault, Fault, NodeFault, PoolFault, ServiceFault, SettingsFault,
};
pub use identity::{router_id_of, tunnel_address, tunnel_mac};
pub use node::{
    BlockStatus, Claim, Conflict, LEAVE, LINGER, MAX_NOTICES, Node, NodeNotice, Order, Refusal,
};
pub use policy::POOLS_POLICY;
pub use settings::{
    DEFAULT_BLOCK_SIZES, DEFAULT_STALE_TIME, DEFAULT_WORKLOAD_DEVICES, Encapsulation, End,
    MAIN_TABLE, MAX_BLOCKS, MAX_POOLS, MAX_SERVICES, MAX_STALE_TIME, NodeSettings, OtherRoutes,
    Pool,
};
