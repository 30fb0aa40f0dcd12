//! Questions.

use super::{DeltaMap, Trouble, Value, View, view_of};
use std::ops::RangeBounds;

impl<K: Ord + Clone, V: Value, P> DeltaMap<K, V, P> {
    /// Everything about `key`.
    pub fn view(&self, key: &K) -> Option<View<'_, V, P>> {
        self.entries.get(key).map(view_of)
    }

    /// Everything about the keys in `range`, in order.
    pub fn range(
        &self,
        range: impl RangeBounds<K>,
    ) -> impl DoubleEndedIterator<Item = (&K, View<'_, V, P>)> {
        self.entries
            .range(range)
            .map(|(key, entry)| (key, view_of(entry)))
    }

    /// What is wanted at `key`.
    pub fn desired(&self, key: &K) -> Option<&V> {
        self.entries.get(key)?.desired.as_ref()
    }

    /// What is there at `key`, as far as we know.
    pub fn actual(&self, key: &K) -> Option<&V> {
        self.entries.get(key)?.actual.as_ref()
    }

    /// Everything that is there, in order.
    pub fn actuals(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries
            .iter()
            .filter_map(|(key, entry)| entry.actual.as_ref().map(|value| (key, value)))
    }

    /// Why `key` is not as it should be.
    pub fn trouble(&self, key: &K) -> Option<&Trouble<P>> {
        self.entries.get(key)?.trouble.as_deref()
    }

    /// Parked keys with their troubles, those that are due first.
    pub fn parked(&self) -> impl Iterator<Item = (&K, &Trouble<P>)> {
        self.retries
            .iter()
            .filter_map(|(_, key)| Some((key, self.trouble(key)?)))
    }

    /// How many keys wait for their turn.
    pub fn pending_len(&self) -> usize {
        self.queue.len()
    }

    /// How many answers are awaited.
    pub fn in_flight_len(&self) -> usize {
        self.in_flight
    }

    /// How many keys are parked.
    pub fn parked_len(&self) -> usize {
        self.retries.len()
    }

    /// How many keys are there though nobody asked for them.
    pub fn stale_len(&self) -> usize {
        self.stale
    }

    /// How many keys are there.
    pub fn actual_len(&self) -> usize {
        self.present
    }

    /// Whether a notification contradicted what an answer said, and no echo has come since.
    pub fn doubtful(&self) -> bool {
        !self.doubts.is_empty()
    }
}
