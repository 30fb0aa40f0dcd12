//! Work: what is sent, how it ends, and what waits.

use super::{DeltaMap, Phase, Sent, Stage, Trouble, Value, alike};
use bgp_core::time::Instant;

impl<K: Ord + Clone, V: Value, P> DeltaMap<K, V, P> {
    /// The key whose turn it is. It keeps its turn until it is sent, parked or settled.
    pub fn next(&self) -> Option<&K> {
        self.queue.first_key_value().map(|(_, key)| key)
    }

    /// Whether the next key is one to put.
    pub fn next_is_put(&self) -> bool {
        self.queue
            .first_key_value()
            .is_some_and(|((phase, _), _)| *phase < Phase::DeleteFirst)
    }

    /// The message for a queued `key` is on its way. Answers what it says (`None`: delete) and what
    /// is there as far as we know; `None` when the key has no work.
    pub fn send(&mut self, key: &K) -> Option<(Option<V>, Option<V>)> {
        let entry = self.entries.get_mut(key)?;
        let Stage::Queued(phase, turn) = entry.stage else {
            return None;
        };
        self.queue.remove(&(phase, turn));
        self.generation += 1;
        entry.changed = self.generation;
        entry.awaits_echo = false;
        self.doubts.remove(key);
        let value = entry.desired.clone();
        entry.stage = Stage::Sent(Box::new(Sent {
            value: value.clone(),
            echoed: false,
            overtaken: false,
        }));
        self.in_flight += 1;
        Some((value, entry.actual.clone()))
    }

    /// The message for `key` was obeyed, or what it asked for was so already: then no `echo` is to
    /// be expected, nor where notifications leave out what we did.
    pub fn obeyed(&mut self, key: &K, echo: bool) {
        let Some((entry, sent)) = self.take_sent(key) else {
            return;
        };
        if !sent.overtaken {
            let was = entry.actual.is_some();
            entry.awaits_echo = echo && !sent.echoed;
            entry.actual = sent.value;
            let is = entry.actual.is_some();
            self.count_present(was, is);
        }
        self.review(key);
    }

    /// The message for `key` was refused. If what it asked for is still wanted, the key is parked
    /// for `cause` until `until`; answers whether it is.
    pub fn refused(&mut self, key: &K, cause: P, now: Instant, until: Instant) -> bool {
        let Some((entry, sent)) = self.take_sent(key) else {
            return false;
        };
        let same = alike(entry.desired.as_ref(), sent.value.as_ref())
            && alike(sent.value.as_ref(), entry.desired.as_ref());
        self.review(key);
        same && self.park(key, cause, now, until)
    }

    /// Nobody knows what became of the message for `key`; it may be sent again.
    pub fn forgotten(&mut self, key: &K) {
        if self.take_sent(key).is_some() {
            self.review(key);
        }
    }

    /// Parks a queued `key` for `cause` until `until`; answers whether there was work to park.
    pub fn park(&mut self, key: &K, cause: P, now: Instant, until: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        let Stage::Queued(phase, turn) = entry.stage else {
            return false;
        };
        self.queue.remove(&(phase, turn));
        entry.stage = Stage::Parked(until);
        self.retries.insert((until, key.clone()));
        let (tries, since) = entry
            .trouble
            .as_ref()
            .map_or((0, now), |trouble| (trouble.tries, trouble.since));
        entry.trouble = Some(Box::new(Trouble {
            cause,
            tries: tries.saturating_add(1),
            since,
        }));
        true
    }

    /// Parked keys whose time has come, or for which `which` holds, get another turn.
    pub fn release(&mut self, now: Instant, mut which: impl FnMut(&K, &P) -> bool) -> usize {
        let free: Vec<K> = self
            .retries
            .iter()
            .filter(|(until, key)| {
                *until <= now
                    || self
                        .trouble(key)
                        .is_some_and(|trouble| which(key, &trouble.cause))
            })
            .map(|(_, key)| key.clone())
            .collect();
        for key in &free {
            self.unpark(key);
            self.review(key);
        }
        free.len()
    }

    /// A parked `key` gets another turn.
    pub fn wake(&mut self, key: &K) {
        self.unpark(key);
        self.review(key);
    }

    /// Only what is due by time: see [`DeltaMap::release`].
    pub fn release_due(&mut self, now: Instant) -> usize {
        let mut freed = 0;
        while let Some((until, key)) = self.retries.first().cloned() {
            if until > now {
                break;
            }
            self.unpark(&key);
            self.review(&key);
            freed += 1;
        }
        freed
    }

    /// When the next parked key is due.
    pub fn next_retry(&self) -> Option<Instant> {
        self.retries.first().map(|(until, _)| *until)
    }
}
