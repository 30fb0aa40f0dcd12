//! A list of prefixes in the order of their last change.
//!
//! A change appends a record (sequence number, prefix) and makes the prefix's older record dead:
//! the owner knows, because it keeps the sequence number of the last change of each prefix. Dead
//! records are not searched for; a sweep passes over the list block by block, paid for by appends
//! and deaths, drops what is dead and joins what has become small.
//!
//! A reader's place is a sequence number and nothing else, so sweeping never has to tell a
//! reader, and the next record after any place is found by two binary searches.
//!
//! # Invariants
//!
//! - Records are in ascending order of sequence numbers; every live record is in the list.
//! - There are at most `2 × live + 8 × BLOCK` records, whatever the churn: neighbouring blocks
//!   that fit into one are joined, so blocks are half full on average or better and a sweep of R
//!   records is over after R / 4 changes. What dies behind the sweep's back is thus at most a
//!   quarter of the list, and sweeping begins when half as many are dead as are alive.
//! - One call does at most one block of sweeping.

use super::ids::PrefixId;
use std::collections::VecDeque;

/// Records in one block: what one step of sweeping touches.
const BLOCK: usize = 1024;

/// One step of sweeping is done for this many appends and deaths.
const CHANGES_PER_STEP: usize = BLOCK / 8;

/// Sweeping begins when there are more than this many dead records beyond half of the live ones.
const SLACK: usize = 2 * BLOCK;

/// Eight octets: the sequence number is counted from the block's first.
#[derive(Clone, Copy)]
struct Record {
    offset: u32,
    prefix: PrefixId,
}

struct Block {
    base: u64,
    records: Vec<Record>,
}

/// The list.
#[derive(Default)]
pub(super) struct Log {
    blocks: VecDeque<Block>,
    /// Records, dead ones included.
    records: usize,
    dead: usize,
    /// Changes that no sweeping has been done for.
    unpaid: usize,
    /// The block that is swept next.
    sweep: usize,
}

impl Log {
    /// Appends a record. `seq` is larger than every one before. Call [`Log::pay`] afterwards.
    pub(super) fn append(&mut self, seq: u64, prefix: PrefixId) {
        let offset = self.blocks.back().and_then(|last| {
            let room = last.records.len() < BLOCK;
            u32::try_from(seq - last.base).ok().filter(|_| room)
        });
        if offset.is_none() {
            self.blocks.push_back(Block {
                base: seq,
                records: Vec::new(),
            });
        }
        if let Some(last) = self.blocks.back_mut() {
            last.records.push(Record {
                offset: offset.unwrap_or(0),
                prefix,
            });
        }
        self.records += 1;
        self.unpaid += 1;
    }

    /// Notes that one record has become dead. Call [`Log::pay`] afterwards.
    pub(super) fn note_dead(&mut self) {
        self.dead += 1;
        self.unpaid += 1;
    }

    /// Sweeps one block if enough has changed since the last time. `is_live` says whether a
    /// record is its prefix's last one.
    pub(super) fn pay(&mut self, is_live: impl Fn(u64, PrefixId) -> bool) {
        if self.unpaid < CHANGES_PER_STEP {
            return;
        }
        self.unpaid -= CHANGES_PER_STEP;
        if self.dead > self.live() / 2 + SLACK {
            self.sweep_step(is_live);
        }
    }

    fn sweep_step(&mut self, is_live: impl Fn(u64, PrefixId) -> bool) {
        if self.sweep >= self.blocks.len() {
            self.sweep = 0;
        }
        let at = self.sweep;
        let Some(block) = self.blocks.get_mut(at) else {
            return;
        };
        let (base, before) = (block.base, block.records.len());
        block
            .records
            .retain(|record| is_live(base + u64::from(record.offset), record.prefix));
        let dropped = before - block.records.len();
        self.records -= dropped;
        self.dead = self.dead.saturating_sub(dropped);
        if block.records.is_empty() {
            self.blocks.remove(at);
        } else if !self.join_with_previous(at) {
            self.sweep += 1;
        }
    }

    /// Moves the records of the block at `at` into the one before, if they fit.
    fn join_with_previous(&mut self, at: usize) -> bool {
        let Some(previous) = at.checked_sub(1).and_then(|at| self.blocks.get(at)) else {
            return false;
        };
        let Some(block) = self.blocks.get(at) else {
            return false;
        };
        let shift = block.base - previous.base;
        let last = block.records.last().map_or(0, |record| record.offset);
        let fits = previous.records.len() + block.records.len() <= BLOCK
            && u32::try_from(shift + u64::from(last)).is_ok();
        if !fits {
            return false;
        }
        let (Ok(shift), Some(block)) = (u32::try_from(shift), self.blocks.remove(at)) else {
            return false;
        };
        if let Some(previous) = self.blocks.get_mut(at - 1) {
            previous
                .records
                .extend(block.records.iter().map(|record| Record {
                    offset: record.offset + shift,
                    prefix: record.prefix,
                }));
        }
        true
    }

    /// The records after `seq`, in order, dead ones included.
    pub(super) fn after(&self, seq: u64) -> impl Iterator<Item = (u64, PrefixId)> {
        let block = self
            .blocks
            .partition_point(|block| block.base <= seq)
            .saturating_sub(1);
        let within = self.blocks.get(block).map_or(0, |block| {
            block
                .records
                .partition_point(|record| block.base + u64::from(record.offset) <= seq)
        });
        self.blocks
            .range(block.min(self.blocks.len())..)
            .flat_map(|block| {
                block
                    .records
                    .iter()
                    .map(|record| (block.base + u64::from(record.offset), record.prefix))
            })
            .skip(within)
    }

    /// The first record after `seq`, dead or not.
    pub(super) fn next_after(&self, seq: u64) -> Option<(u64, PrefixId)> {
        self.after(seq).next()
    }

    /// How many records there are, dead ones included.
    pub(super) fn len(&self) -> usize {
        self.records
    }

    /// How many records are live.
    pub(super) fn live(&self) -> usize {
        self.records - self.dead
    }

    /// The most records that there may be.
    pub(super) fn bound(&self) -> usize {
        self.live() * 2 + 8 * BLOCK
    }

    /// Whether order, counts and the bound hold.
    ///
    /// # Errors
    /// What does not.
    pub(super) fn check(&self, is_live: impl Fn(u64, PrefixId) -> bool) -> Result<(), String> {
        let all: Vec<_> = self.after(0).collect();
        if !all.is_sorted_by(|a, b| a.0 < b.0) {
            return Err("log records out of order".into());
        }
        let live = all
            .iter()
            .filter(|(seq, prefix)| is_live(*seq, *prefix))
            .count();
        if all.len() != self.records || live != self.live() {
            return Err(format!(
                "log counts {} records and {} live ones, it has {} and {live}",
                self.records,
                self.live(),
                all.len(),
            ));
        }
        if self.records > self.bound() {
            return Err(format!("{} log records for {live} live ones", self.records));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A log with the owner that it needs: the last change of each prefix.
    struct Owned {
        log: Log,
        last: Vec<u64>,
        tail: u64,
    }

    impl Owned {
        fn new(prefixes: usize) -> Self {
            Self {
                log: Log::default(),
                last: vec![0; prefixes],
                tail: 0,
            }
        }

        fn change(&mut self, prefix: usize) {
            self.tail += 1;
            if self.last[prefix] != 0 {
                self.log.note_dead();
            }
            self.last[prefix] = self.tail;
            self.log.append(self.tail, PrefixId::new(prefix));
            self.pay();
        }

        fn forget(&mut self, prefix: usize) {
            if std::mem::take(&mut self.last[prefix]) != 0 {
                self.log.note_dead();
                self.pay();
            }
        }

        fn pay(&mut self) {
            let last = &self.last;
            self.log.pay(|seq, prefix| last[prefix.index()] == seq);
        }

        fn check(&self) {
            let last = &self.last;
            let is_live = |seq, prefix: PrefixId| last[prefix.index()] == seq;
            self.log.check(is_live).unwrap();
            let mut expected: Vec<_> = last.iter().copied().filter(|seq| *seq != 0).collect();
            expected.sort_unstable();
            let live = self
                .log
                .after(0)
                .filter(|(seq, prefix)| is_live(*seq, *prefix));
            assert_eq!(live.map(|(seq, _)| seq).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn after_begins_behind_the_given_place() {
        let mut owned = Owned::new(5_000);
        (0..5_000).for_each(|prefix| owned.change(prefix));
        for seq in [0, 1, 1_023, 1_024, 1_025, 2_048, 4_999] {
            assert_eq!(
                owned.log.after(seq).next(),
                Some((seq + 1, PrefixId::new(seq as usize)))
            );
            assert_eq!(owned.log.after(seq).count(), 5_000 - seq as usize);
        }
        assert_eq!(owned.log.after(5_000).next(), None);
    }

    #[test]
    fn one_prefix_changing_for_ever_stays_small() {
        let mut owned = Owned::new(1);
        for _ in 0..200_000 {
            owned.change(0);
            assert!(owned.log.len() <= owned.log.bound());
        }
        owned.check();
    }

    #[test]
    fn deaths_alone_are_swept_too() {
        let mut owned = Owned::new(200_000);
        (0..200_000).for_each(|prefix| owned.change(prefix));
        for prefix in 0..200_000 {
            owned.forget(prefix);
            assert!(
                owned.log.len() <= owned.log.bound(),
                "after {prefix} deaths"
            );
        }
        owned.check();
    }

    #[test]
    fn the_worst_order_of_deaths_stays_within_the_bound() {
        // Always what was swept longest ago dies last: a long tail dies behind the sweep.
        let mut owned = Owned::new(60_000);
        (0..60_000).for_each(|prefix| owned.change(prefix));
        for round in 0..20 {
            for prefix in (0..60_000).rev().step_by(1 + round % 3) {
                owned.change(prefix);
                assert!(owned.log.len() <= owned.log.bound());
            }
        }
        owned.check();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn live_records_are_never_lost(
            prefixes in 1usize..4_000,
            hot in 1usize..50,
            seed in any::<u64>(),
            steps in 1usize..20_000,
        ) {
            let mut rng = crate::rng::Rng::new(seed);
            let mut owned = Owned::new(prefixes);
            for _ in 0..steps {
                let among = if rng.below(2) == 0 { prefixes } else { hot.min(prefixes) };
                let prefix = rng.below(among as u64) as usize;
                if rng.below(4) == 0 {
                    owned.forget(prefix);
                } else {
                    owned.change(prefix);
                }
                prop_assert!(owned.log.len() <= owned.log.bound());
            }
            owned.check();
        }
    }
}
