//! What is known and what has been ordered for one prefix.

use bgp_core::rib::{BestRoute, RouteOrigin};
use bgp_core::time::Instant;
use bgp_fib::wanted::{TunnelEnd, Wanted};

/// One prefix: what the engine says of it, and what has been ordered.
#[derive(Clone, Debug, Default)]
pub(super) struct Seat {
    /// What the engine said last.
    pub(super) best: Option<BestRoute>,
    /// See [`RouteChange::rivals`](bgp_core::rib::RouteChange).
    pub(super) rivals: Vec<RouteOrigin>,
    /// What was ordered last.
    pub(super) ordered: Ordered,
    /// A block that was ours until a moment ago: its blackhole stays until then, unless another
    /// owner's route takes its place before.
    pub(super) leaves: Option<Instant>,
    /// The route is gone because who told us is gone: it stays in the kernel until then.
    pub(super) held: Option<Instant>,
    /// Our block: since when nobody else has claimed it.
    pub(super) alone: Option<Instant>,
    /// When to look at it again.
    pub(super) deadline: Option<Instant>,
    /// Why it is not in the kernel as the engine has it.
    pub(super) refusal: Option<super::Refusal>,
}

/// What was ordered last.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Ordered {
    /// It is announced as ours.
    pub(super) announced: bool,
    /// The kernel route.
    pub(super) route: Option<Wanted>,
    /// The tunnel ends that the route uses, each once.
    pub(super) ends: Vec<TunnelEnd>,
}

impl Seat {
    /// Whether there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        let nothing_told = self.best.is_none() && self.rivals.is_empty();
        let waits = self.leaves.is_some() || self.held.is_some();
        nothing_told && self.ordered == Ordered::default() && !waits
    }

    /// Whether our own path is the best, and nobody else has one.
    pub(super) fn is_ours_alone(&self) -> bool {
        self.rivals.is_empty() && self.best.as_ref().is_some_and(|best| best.own)
    }

    /// The best path of somebody else.
    pub(super) fn foreign(&self) -> Option<&BestRoute> {
        self.best.as_ref().filter(|best| !best.own)
    }
}
