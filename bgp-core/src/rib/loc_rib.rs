//! The Loc-RIB (RFC 4271 §3.2): the best path of each prefix.
//!
//! [`LocRib::set_best`] is the only place where a best path changes and the only maker of a
//! [`BestChange`]; who wants to know of changes (the update groups, and whoever installs routes)
//! is told from the one place that receives it, `Table::decide`.
//!
//! Where a group tells of second paths (RFC 7911) there is a *rival* beside the best path: the
//! best of the paths that have another originator. Where none does, none is kept.

use super::ids::{PathIndex, PrefixId};

/// The best path of each prefix of one family, and its rival.
#[derive(Default)]
pub(super) struct LocRib {
    best: Vec<Option<PathIndex>>,
    len: usize,
    /// Empty where nobody is told.
    rivals: Vec<Option<PathIndex>>,
}

/// The best path of a prefix, or its rival, has become another one. A path never changes, so one that says
/// something new is another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct BestChange {
    prefix: PrefixId,
    old: Option<PathIndex>,
    new: Option<PathIndex>,
}

impl BestChange {
    /// Of which prefix.
    pub(super) fn prefix(&self) -> PrefixId {
        self.prefix
    }

    /// What was best before. The path can still be read while the change is told.
    pub(super) fn before(&self) -> Option<PathIndex> {
        self.old
    }

    /// What is best now.
    pub(super) fn after(&self) -> Option<PathIndex> {
        self.new
    }
}

impl LocRib {
    /// The best path to `prefix`.
    pub(super) fn best(&self, prefix: PrefixId) -> Option<PathIndex> {
        self.best.get(prefix.index()).copied().flatten()
    }

    /// The rival of the best path to `prefix`.
    pub(super) fn rival(&self, prefix: PrefixId) -> Option<PathIndex> {
        self.rivals.get(prefix.index()).copied().flatten()
    }

    /// How many prefixes have a best path.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Makes `new` the best path to `prefix`; `None` when it is already.
    pub(super) fn set_best(
        &mut self,
        prefix: PrefixId,
        new: Option<PathIndex>,
    ) -> Option<BestChange> {
        let change = replace(&mut self.best, prefix, new)?;
        self.len = self.len + usize::from(new.is_some()) - usize::from(change.old.is_some());
        Some(change)
    }

    /// Makes `new` the rival of the best path to `prefix`; `None` when it is already.
    pub(super) fn set_rival(
        &mut self,
        prefix: PrefixId,
        new: Option<PathIndex>,
    ) -> Option<BestChange> {
        replace(&mut self.rivals, prefix, new)
    }

    /// Nobody is told of rivals any more.
    pub(super) fn forget_rivals(&mut self) {
        self.rivals = Vec::new();
    }
}

fn replace(
    paths: &mut Vec<Option<PathIndex>>,
    prefix: PrefixId,
    new: Option<PathIndex>,
) -> Option<BestChange> {
    let old = paths.get(prefix.index()).copied().flatten();
    if old == new {
        return None;
    }
    if paths.len() <= prefix.index() {
        paths.resize(prefix.index() + 1, None);
    }
    paths[prefix.index()] = new;
    Some(BestChange { prefix, old, new })
}
