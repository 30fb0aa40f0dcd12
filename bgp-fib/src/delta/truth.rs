//! What the other side says: notifications and dumps.

use super::{DeltaMap, Heard, Stage, Value, alike};

impl<K: Ord + Clone, V: Value, P> DeltaMap<K, V, P> {
    /// A notification: `key` is `value` now, or is gone. `keep` makes what nobody asked for stale.
    pub fn heard(&mut self, key: &K, value: Option<V>, keep: bool) -> Heard {
        if value.is_none() && !self.entries.contains_key(key) {
            return Heard::Known;
        }
        let entry = self.entries.entry(key.clone()).or_default();
        if let Stage::Sent(sent) = &mut entry.stage {
            if alike(sent.value.as_ref(), value.as_ref()) {
                sent.echoed = true;
                sent.overtaken = false;
            } else if sent.echoed {
                sent.overtaken = true;
            }
            let (was, is) = (entry.actual.is_some(), value.is_some());
            entry.actual = value;
            self.count_present(was, is);
            return Heard::Known;
        }
        if entry.awaits_echo {
            if alike(entry.actual.as_ref(), value.as_ref()) {
                entry.awaits_echo = false;
                entry.actual = value;
                self.doubts.remove(key);
                self.review(key);
                return Heard::Known;
            }
            self.doubts.insert(key.clone());
            return Heard::Older;
        }
        self.generation += 1;
        entry.changed = self.generation;
        self.take_word(key, value, keep)
    }

    /// What the other side has is not known any more to be there, for a reason that it does not
    /// tell (a device is gone, or down).
    pub fn lost(&mut self, key: &K) -> Heard {
        let Some(entry) = self.entries.get_mut(key) else {
            return Heard::Known;
        };
        entry.awaits_echo = false;
        self.doubts.remove(key);
        self.heard(key, None, false)
    }

    /// A dump begins.
    pub fn begin_dump(&mut self) {
        self.generation += 1;
        self.dump = Some(self.generation);
    }

    /// A dump names `key`.
    pub fn dumped(&mut self, key: &K, value: V, keep: bool) -> Heard {
        let Some(begin) = self.dump else {
            return Heard::Older;
        };
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.changed > begin || matches!(entry.stage, Stage::Sent(_)) {
            return Heard::Older;
        }
        entry.marked = begin;
        entry.awaits_echo = false;
        self.doubts.remove(key);
        self.take_word(key, Some(value), keep)
    }

    /// The dump ends. If it was complete, keys that it did not name are gone, except those of which
    /// we know better; answers those that were as wanted and are gone.
    pub fn end_dump(&mut self, complete: bool) -> Vec<K> {
        let Some(begin) = self.dump.take() else {
            return Vec::new();
        };
        let mut missing = Vec::new();
        let mut empty = Vec::new();
        for (key, entry) in &mut self.entries {
            if matches!(entry.stage, Stage::Sent(_)) {
                continue;
            }
            let known = entry.changed > begin || entry.marked == begin;
            if complete && !known {
                entry.awaits_echo = false;
                if entry.actual.is_some() {
                    missing.push(key.clone());
                }
            }
            if entry.desired.is_none() && entry.actual.is_none() {
                empty.push(key.clone());
            }
        }
        let mut drifted = Vec::new();
        for key in missing {
            self.doubts.remove(&key);
            if self.take_word(&key, None, false) == Heard::Drift {
                drifted.push(key);
            }
        }
        for key in empty {
            self.review(&key);
        }
        drifted
    }

    /// Whether a dump runs.
    pub fn dumping(&self) -> bool {
        self.dump.is_some()
    }

    fn take_word(&mut self, key: &K, value: Option<V>, keep: bool) -> Heard {
        let Some(entry) = self.entries.get_mut(key) else {
            return Heard::Known;
        };
        let known = match (&value, &entry.actual) {
            (Some(value), Some(actual)) => actual.satisfied_by(value) && value.satisfied_by(actual),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let settled = entry.need().is_none();
        let (was, is) = (entry.actual.is_some(), value.is_some());
        entry.actual = value;
        let stale = is && entry.desired.is_none() && (keep || (was && entry.stale));
        if stale != entry.stale {
            entry.stale = stale;
            self.stale = if stale {
                self.stale + 1
            } else {
                self.stale - 1
            };
        }
        let drift = settled && entry.desired.is_some() && entry.need().is_some();
        self.count_present(was, is);
        self.review(key);
        match (known, drift) {
            (_, true) => Heard::Drift,
            (true, false) => Heard::Known,
            (false, false) => Heard::News,
        }
    }
}
