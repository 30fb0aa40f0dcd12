//! Dense numbers that stand for things in slabs.

use std::num::NonZeroU32;

/// The place of an item in a slab. Never zero inside, so that `Option<Id>` takes four octets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Id(NonZeroU32);

impl Id {
    /// The id of the item at `index`. A slab of 2^32 items does not fit into memory, so the
    /// number saturates instead of failing.
    pub(super) fn new(index: usize) -> Self {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Self(NonZeroU32::MIN.saturating_add(index))
    }

    /// The place in the slab.
    pub(super) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// A prefix of one family: its place in that family's `PrefixTable`. Reused after the last path
/// and the last group entry of the prefix are gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct PrefixId(pub(super) u32);

impl PrefixId {
    /// The place in everything that is indexed by prefix.
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }

    /// The id of the prefix at `index`; saturates like [`Id::new`].
    pub(super) fn new(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }
}

/// An interned attribute set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct AttributesId(pub(super) Id);

/// A path in the path slab of its family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct PathIndex(pub(super) Id);

/// One session of one peer, numbered in the order of establishment and, unlike a
/// [`PeerSlot`](super::PeerSlot), never given to another session: what was said about a session
/// that ended can never be taken for its successor's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Serial(NonZeroU32);

impl Serial {
    /// The first session.
    pub(super) const FIRST: Self = Self(NonZeroU32::MIN);

    /// The session after this one. After 2^32 sessions the numbers begin again; by then nothing
    /// speaks of the first ones any more.
    pub(super) fn next(self) -> Self {
        Self(self.0.checked_add(1).unwrap_or(NonZeroU32::MIN))
    }
}
