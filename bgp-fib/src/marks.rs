//! Which keys changed, and which were named, while a dump ran.

use std::collections::BTreeSet;

/// Bookkeeping of one dump at a time: a key that changed after the dump began is not judged by it.
#[derive(Clone, Debug)]
pub(crate) struct Marks<K> {
    running: bool,
    touched: BTreeSet<K>,
    named: BTreeSet<K>,
}

/// So many changes during one dump and no more are remembered; with more, the dump counts as
/// incomplete: nothing is taken to be gone on its word.
pub const MAX_CHANGES_DURING_DUMP: usize = 65_536;

impl<K: Ord> Marks<K> {
    pub(crate) fn new() -> Self {
        Self {
            running: false,
            touched: BTreeSet::new(),
            named: BTreeSet::new(),
        }
    }

    /// A dump begins.
    pub(crate) fn begin(&mut self) {
        self.running = true;
        self.touched.clear();
        self.named.clear();
    }

    /// `key` changed by other means than the dump.
    pub(crate) fn touch(&mut self, key: K) {
        if self.running && self.touched.len() < MAX_CHANGES_DURING_DUMP {
            self.touched.insert(key);
        }
    }

    /// The dump names `key`; answers whether its word counts.
    pub(crate) fn name(&mut self, key: K) -> bool {
        if !self.running || self.touched.contains(&key) {
            return false;
        }
        self.named.insert(key);
        true
    }

    /// The dump ends. Answers whether absence from it says anything.
    pub(crate) fn end(&mut self, complete: bool) -> bool {
        let usable = self.running && complete && self.touched.len() < MAX_CHANGES_DURING_DUMP;
        self.running = false;
        usable
    }

    /// After the end of a usable dump: whether it neither named `key` nor was overtaken.
    pub(crate) fn is_missing(&self, key: &K) -> bool {
        !self.named.contains(key) && !self.touched.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_changed_meanwhile_is_not_judged() {
        let mut marks = Marks::new();
        marks.begin();
        marks.touch(1);
        assert!(!marks.name(1));
        assert!(marks.name(2));
        assert!(marks.end(true));
        assert!(!marks.is_missing(&1));
        assert!(!marks.is_missing(&2));
        assert!(marks.is_missing(&3));
    }

    #[test]
    fn too_many_changes_make_a_dump_incomplete() {
        let mut marks = Marks::new();
        marks.begin();
        (0..MAX_CHANGES_DURING_DUMP).for_each(|key| marks.touch(key));
        assert!(!marks.end(true));
        marks.begin();
        assert!(marks.end(true));
    }
}
