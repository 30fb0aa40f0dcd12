//! Helping peers that restart (RFC 4724 §4.2, RFC 8538, RFC 9494).
//!
//! A peer that said so in its OPEN may lose its session without losing its ability to forward.
//! Its routes stay as they are, and are reflected, until one of these happens:
//!
//! - it does not come back within its Restart Time. Then they become long-lived stale
//!   (`rib/stale.rs`) where the peer announced a time for that and we are set to, and are dropped
//!   when that is over too; otherwise they are dropped at once;
//! - it comes back and does not say that it still forwards in a family: that family is dropped;
//! - it says End-of-RIB in a family: what it has not said again in that family is dropped;
//! - it comes back and says no End-of-RIB for [`STALE_TIME`], or is shut down: all that is left
//!   is dropped.
//!
//! The old session's slot in the RIB is what is kept. The new session gets a slot of its own, and
//! what it says takes the place of what the old one said, path by path.
//!
//! A peer that is lost again before it has said End-of-RIB leaves two sessions behind. What was
//! stale already goes then (RFC 4724 §4.2), but not where long-lived stale routes were agreed: they
//! stay for the time that began with the first loss (RFC 9494 §4.2), so that a peer that crashes
//! again and again does not take its routes with it. At most [`MAX_KEPT`] sessions are kept so.

use crate::config::PeerSettings;
use crate::family::{Family, FamilyMap, FamilySet};
use crate::rib::PeerSlot;
use crate::session::{DownReason, Negotiated};
use crate::time::{Duration, Instant};
use crate::wire::{GracefulRestart, LongLivedFamily};
use smallvec::SmallVec;

/// How long a peer that has come back may take until its End-of-RIB.
pub const STALE_TIME: Duration = Duration::from_secs(360);

/// Of so many sessions of one peer, each lost before its End-of-RIB, the routes are kept. At one
/// more those of one go of which nothing is left, or else those of the oldest.
pub const MAX_KEPT: usize = 4;

/// What a peer offered in an OPEN for the time when it is away.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Offered {
    graceful: Option<GracefulRestart>,
    long_lived: Vec<LongLivedFamily>,
}

impl Offered {
    /// What counts of a session's OPEN: a family that the session does not carry has no routes and
    /// gets no End-of-RIB.
    pub(super) fn in_session(negotiated: &Negotiated) -> Self {
        let carried = |family: Option<Family>| {
            family.is_some_and(|family| negotiated.families.contains(family))
        };
        let mut graceful = negotiated.graceful_restart.clone();
        if let Some(theirs) = &mut graceful {
            theirs
                .families
                .retain(|entry| carried(entry.family.family()));
        }
        let mut long_lived = negotiated.long_lived.clone().unwrap_or_default();
        long_lived.retain(|entry| carried(entry.family.family()));
        Self {
            graceful,
            long_lived,
        }
    }

    /// Whether it will say End-of-RIB without waiting for ours: who restarts itself would wait for
    /// us as we for it (RFC 4724 §4.1).
    pub(super) fn awaits_nobody(&self) -> bool {
        self.graceful
            .as_ref()
            .is_some_and(|theirs| !theirs.restarting)
    }

    /// Whether, for this `reason`, its routes stay at all.
    fn survives(&self, reason: &DownReason, settings: &PeerSettings) -> bool {
        let both_say_n = self
            .graceful
            .as_ref()
            .is_some_and(|theirs| theirs.notification);
        reason.keeps_routes(both_say_n, settings.keep_when_silent)
    }

    /// What becomes of the routes of each family when the session has ended now, for `reason`.
    pub(super) fn stages(
        &self,
        now: Instant,
        reason: &DownReason,
        settings: &PeerSettings,
    ) -> FamilyMap<Option<Stage>> {
        let Some(graceful) = &self.graceful else {
            return FamilyMap::default();
        };
        if !self.survives(reason, settings) {
            return FamilyMap::default();
        }
        let restart_time = Duration::from_secs(u64::from(graceful.restart_time));
        FamilyMap::new(|family| {
            let mut listed = graceful.families.iter();
            let listed = listed.any(|entry| entry.family == family.afi_safi());
            // RFC 9494 §4.2: what is not listed has no restart time.
            let wait = if listed { restart_time } else { Duration::ZERO };
            let then = self.stale_time(family).min(settings.long_lived_stale_time);
            let stays = !wait.is_zero() || !then.is_zero();
            stays.then_some(Stage::Restarting {
                until: now + wait,
                then,
            })
        })
    }

    fn stale_time(&self, family: Family) -> Duration {
        let mut listed = self.long_lived.iter();
        let entry = listed.find(|entry| entry.family == family.afi_safi());
        entry.map_or(Duration::ZERO, |entry| {
            Duration::from_secs(u64::from(entry.stale_time))
        })
    }

    /// The families in which a peer that is back says that it went on forwarding.
    fn still_forwarding(&self) -> FamilySet {
        let families = self.graceful.iter().flat_map(|graceful| &graceful.families);
        let forwarding = families.filter(|entry| entry.forwarding);
        forwarding
            .filter_map(|entry| entry.family.family())
            .collect()
    }

    /// The same for what is long-lived stale already (RFC 9494 §4.2).
    fn still_forwarding_long_lived(&self) -> FamilySet {
        let forwarding = self.long_lived.iter().filter(|entry| entry.forwarding);
        forwarding
            .filter_map(|entry| entry.family.family())
            .collect()
    }
}

/// How long the routes of one family are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Until the restart time is over; then they are long-lived stale for `then`, or go.
    Restarting { until: Instant, then: Duration },
    /// They are long-lived stale.
    LongLived { until: Instant },
}

impl Stage {
    fn until(self) -> Instant {
        match self {
            Self::Restarting { until, .. } | Self::LongLived { until } => until,
        }
    }

    fn ends(self) -> Instant {
        match self {
            Self::Restarting { until, then } => until + then,
            Self::LongLived { until } => until,
        }
    }
}

/// Routes of a session that is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    /// Where the RIB has them.
    pub(super) slot: PeerSlot,
    stages: FamilyMap<Option<Stage>>,
    /// The peer is back and has so long to say End-of-RIB.
    back_until: Option<Instant>,
}

/// All kept sessions of one peer, the oldest first.
pub(super) type AllKept = SmallVec<[Kept; 1]>;

/// What the time has done.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Due {
    /// Families that go.
    pub(super) gone: FamilySet,
    /// Families that are long-lived stale from now on.
    pub(super) aged: FamilySet,
}

impl Kept {
    pub(super) fn new(slot: PeerSlot, stages: FamilyMap<Option<Stage>>) -> Self {
        Self {
            slot,
            stages,
            back_until: None,
        }
    }

    /// The families that are left.
    pub(super) fn families(&self) -> FamilySet {
        self.iter().map(|(family, _)| family).collect()
    }

    /// Those of them that are long-lived stale.
    pub(super) fn long_lived(&self) -> FamilySet {
        self.iter()
            .filter(|(_, stage)| matches!(stage, Stage::LongLived { .. }))
            .map(|(family, _)| family)
            .collect()
    }

    /// When something becomes due.
    pub(super) fn next(&self) -> Option<Instant> {
        let ages = self.iter().map(|(_, stage)| match self.back_until {
            // A peer that is back is waited for otherwise.
            Some(back) => match stage {
                Stage::Restarting { .. } => back,
                Stage::LongLived { until } => back.min(until),
            },
            None => stage.until(),
        });
        ages.min()
    }

    /// When the last of it goes, if nothing happens before.
    pub(super) fn ends(&self) -> Option<Instant> {
        let ends = self.iter().map(|(_, stage)| stage.ends()).max()?;
        Some(self.back_until.map_or(ends, |back| back.min(ends)))
    }

    /// What has become due. What goes has to be given up.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        let mut due = Due::default();
        if self.back_until.is_some_and(|back| back <= now) {
            due.gone = self.families();
            return due;
        }
        for (family, place) in self.stages.iter_mut() {
            match *place {
                Some(Stage::Restarting { until, then })
                    if self.back_until.is_none() && until <= now =>
                {
                    if then.is_zero() {
                        due.gone.insert(family);
                    } else {
                        let until = until + then;
                        *place = Some(Stage::LongLived { until });
                        due.aged.insert(family);
                    }
                }
                Some(Stage::LongLived { until }) if until <= now => due.gone.insert(family),
                Some(Stage::Restarting { .. } | Stage::LongLived { .. }) | None => {}
            }
        }
        due
    }

    /// The peer is back and offers this; says what it does not forward any more.
    pub(super) fn peer_is_back(&mut self, now: Instant, offered: &Offered) -> FamilySet {
        self.back_until = Some(now + STALE_TIME);
        let forwarding = offered.still_forwarding();
        let long_lived = offered.still_forwarding_long_lived();
        self.iter()
            .filter(|(family, stage)| match stage {
                Stage::Restarting { .. } => !forwarding.contains(*family),
                Stage::LongLived { .. } => !long_lived.contains(*family),
            })
            .map(|(family, _)| family)
            .collect()
    }

    /// The peer is lost again before it has said End-of-RIB; `again` is what becomes of the routes
    /// of that session. Says what goes now.
    pub(super) fn peer_is_lost_again(&mut self, again: &FamilyMap<Option<Stage>>) -> FamilySet {
        self.back_until = None;
        let mut gone = FamilySet::EMPTY;
        for (family, place) in self.stages.iter_mut() {
            match (*place, again[family]) {
                (Some(Stage::Restarting { then, .. }), Some(Stage::Restarting { until, .. }))
                    if !then.is_zero() =>
                {
                    // They wait for the same return.
                    *place = Some(Stage::Restarting { until, then });
                }
                (Some(Stage::LongLived { .. }), Some(_)) | (None, _) => {}
                (Some(_), Some(_) | None) => gone.insert(family),
            }
        }
        gone
    }

    /// Takes `gone` out of what is kept, and says what of it there was.
    pub(super) fn give_up(&mut self, gone: FamilySet) -> FamilySet {
        let given_up = self.families().intersection(gone);
        given_up
            .iter()
            .for_each(|family| self.stages[family] = None);
        given_up
    }

    fn iter(&self) -> impl Iterator<Item = (Family, Stage)> {
        let stages = self.stages.iter();
        stages.filter_map(|(family, stage)| Some((family, (*stage)?)))
    }
}
