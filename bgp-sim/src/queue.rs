//! What is going to happen, in the order in which it will.
//!
//! Two things due at one moment happen in the order in which they were planned, so that a run
//! depends on nothing but its seed.

use bgp_core::time::Instant;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Planned happenings, soonest first.
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Entry<T>>,
    planned: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    sequence: u64,
    what: T,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            planned: 0,
        }
    }
}

impl<T> Queue<T> {
    /// Plans `what` for `at`.
    pub fn plan(&mut self, at: Instant, what: T) {
        let sequence = self.planned;
        self.planned += 1;
        self.heap.push(Entry { at, sequence, what });
    }

    /// Takes the next happening that is due at `until` or before.
    pub fn next(&mut self, until: Instant) -> Option<(Instant, T)> {
        if self.heap.peek()?.at > until {
            return None;
        }
        self.heap.pop().map(|entry| (entry.at, entry.what))
    }

    /// How many happenings have been planned so far.
    pub fn planned(&self) -> u64 {
        self.planned
    }
}

impl<T> Entry<T> {
    fn key(&self) -> (Instant, u64) {
        (self.at, self.sequence)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    // Reversed: the heap gives its greatest entry first, and the soonest is wanted.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soonest_first_and_first_planned_first() {
        let mut queue = Queue::default();
        let at = Instant::from_micros;
        queue.plan(at(5), 'c');
        queue.plan(at(1), 'a');
        queue.plan(at(5), 'd');
        queue.plan(at(2), 'b');
        queue.plan(at(9), 'e');
        let mut seen = String::new();
        while let Some((_, what)) = queue.next(at(5)) {
            seen.push(what);
        }
        assert_eq!(seen, "abcd");
        assert_eq!(queue.next(at(9)), Some((at(9), 'e')));
    }
}
