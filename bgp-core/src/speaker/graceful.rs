//! Helping peers that restart (RFC 4724 §4.2, RFC 8538).
//!
//! A peer that said so in its OPEN may lose its session without losing its ability to forward.
//! Its routes stay as they are, and are reflected, until one of these happens:
//!
//! - it does not come back within its Restart Time: all are dropped;
//! - it comes back and does not say that it still forwards in a family: that family is dropped;
//! - it says End-of-RIB in a family: what it has not said again in that family is dropped;
//! - it comes back and says no End-of-RIB for [`STALE_TIME`], or is lost again, or is shut down:
//!   all that is left of the first session is dropped.
//!
//! The old session's slot in the RIB is what is kept. The new session gets a slot of its own, and
//! what it says takes the place of what the old one said, path by path.

use crate::family::FamilySet;
use crate::rib::PeerSlot;
use crate::time::{Duration, Instant};
use crate::wire::GracefulRestart;

/// How long a peer that has come back may take until its End-of-RIB.
pub const STALE_TIME: Duration = Duration::from_secs(360);

/// Routes of a session that is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    /// Where the RIB has them.
    pub(super) slot: PeerSlot,
    /// The families that are left.
    pub(super) families: FamilySet,
    /// When all are dropped.
    pub(super) until: Instant,
}

/// The families whose routes stay when a session ends in which the peer offered `graceful`.
pub(super) fn families_to_keep(graceful: Option<&GracefulRestart>) -> FamilySet {
    let offered = graceful.filter(|graceful| graceful.restart_time > 0);
    let families = offered.into_iter().flat_map(|graceful| &graceful.families);
    families.filter_map(|entry| entry.family.family()).collect()
}

/// The families in which a peer that is back says that it went on forwarding.
pub(super) fn still_forwarding(graceful: Option<&GracefulRestart>) -> FamilySet {
    let families = graceful.into_iter().flat_map(|graceful| &graceful.families);
    let forwarding = families.filter(|entry| entry.forwarding);
    forwarding
        .filter_map(|entry| entry.family.family())
        .collect()
}

impl Kept {
    /// Takes `gone` out of what is kept, and says what of it there was.
    pub(super) fn give_up(&mut self, gone: FamilySet) -> FamilySet {
        let given_up = self.families.intersection(gone);
        given_up
            .iter()
            .for_each(|family| self.families.remove(family));
        given_up
    }
}
