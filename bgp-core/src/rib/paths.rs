//! Paths: what every peer said about every prefix (Adj-RIB-In, RFC 4271 §3.2), in one slab.
//!
//! A path is 28 octets and hangs in two lists: that of its prefix, which the decision process
//! walks, and that of its peer, which peer loss walks. A path never changes but for the reason
//! why it lost, and for whether it may be used when the peer's import policy changes: a replacement is a new path, so "the best path is another one" and "the best path
//! changed" are the same comparison of two numbers.
//!
//! Paths that may not be used (a loop, a policy) are kept with their reason: they count as
//! received, they are shown, and they replace what the peer said before.

use super::decision::Reason;
use super::ids::{AttributesId, Id, PathIndex, PrefixId};
use super::import::Ineligible;
use super::peers::PeerSlot;

/// One path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    /// Who said it.
    pub(super) peer: PeerSlot,
    /// Why it may not be used; decided on receipt, and when the peer's import policy changes.
    pub(super) ineligible: Option<Ineligible>,
    /// Why another path is preferred. `None` on the best path; meaningless on ineligible ones.
    pub(super) lost: Option<Reason>,
    /// Path identifier (RFC 7911); 0 without add-path.
    pub(super) path_id: u32,
    /// What was said.
    pub(super) attributes: AttributesId,
    /// About which prefix.
    pub(super) prefix: PrefixId,
    next_in_prefix: Option<PathIndex>,
    next_in_peer: Option<PathIndex>,
    previous_in_peer: Option<PathIndex>,
}

const _: () = assert!(size_of::<Path>() <= 28);

/// What a new path is made of.
pub(super) struct NewPath {
    pub(super) peer: PeerSlot,
    pub(super) ineligible: Option<Ineligible>,
    pub(super) path_id: u32,
    pub(super) attributes: AttributesId,
    pub(super) prefix: PrefixId,
}

/// The paths of one family.
#[derive(Default)]
pub(super) struct Paths {
    nodes: Vec<Path>,
    /// Freed places, linked through `next_in_prefix`.
    free: Option<PathIndex>,
    /// The newest path of each prefix.
    first: Vec<Option<PathIndex>>,
    used: usize,
}

impl Paths {
    /// How many paths there are.
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// The path at `index`.
    pub(super) fn get(&self, index: PathIndex) -> &Path {
        &self.nodes[index.0.index()]
    }

    /// Notes why the path at `index` lost.
    pub(super) fn set_lost(&mut self, index: PathIndex, lost: Option<Reason>) {
        self.nodes[index.0.index()].lost = lost;
    }

    /// Changes whether the path at `index` may be used: the peer's import policy has changed.
    pub(super) fn set_ineligible(&mut self, index: PathIndex, ineligible: Option<Ineligible>) {
        self.nodes[index.0.index()].ineligible = ineligible;
    }

    /// The paths to `prefix`, newest first.
    pub(super) fn of_prefix(&self, prefix: PrefixId) -> impl Iterator<Item = (PathIndex, &Path)> {
        let first = self.first.get(prefix.index()).copied().flatten();
        std::iter::successors(first, |index| self.get(*index).next_in_prefix)
            .map(|index| (index, self.get(index)))
    }

    /// The paths of the peer whose list begins with `first`, newest first.
    pub(super) fn of_peer(
        &self,
        first: Option<PathIndex>,
    ) -> impl Iterator<Item = (PathIndex, &Path)> {
        std::iter::successors(first, |index| self.get(*index).next_in_peer)
            .map(|index| (index, self.get(index)))
    }

    /// Adds a path to the lists of its prefix and of its peer, whose list begins with
    /// `first_of_peer`.
    pub(super) fn insert(
        &mut self,
        new: NewPath,
        first_of_peer: &mut Option<PathIndex>,
    ) -> PathIndex {
        if self.first.len() <= new.prefix.index() {
            self.first.resize(new.prefix.index() + 1, None);
        }
        let path = Path {
            peer: new.peer,
            ineligible: new.ineligible,
            // Until it is decided, it is as if it could not be used.
            lost: Some(Reason::NextHopUnreachable),
            path_id: new.path_id,
            attributes: new.attributes,
            prefix: new.prefix,
            next_in_prefix: self.first[new.prefix.index()],
            next_in_peer: *first_of_peer,
            previous_in_peer: None,
        };
        let index = self.place(path);
        self.first[new.prefix.index()] = Some(index);
        if let Some(next) = *first_of_peer {
            self.nodes[next.0.index()].previous_in_peer = Some(index);
        }
        *first_of_peer = Some(index);
        self.used += 1;
        index
    }

    fn place(&mut self, path: Path) -> PathIndex {
        match self.free {
            Some(index) => {
                let node = &mut self.nodes[index.0.index()];
                self.free = node.next_in_prefix;
                *node = path;
                index
            }
            None => {
                self.nodes.push(path);
                PathIndex(Id::new(self.nodes.len() - 1))
            }
        }
    }

    /// Takes the path at `index` out of both lists. It can still be read until [`Paths::free`].
    pub(super) fn unlink(&mut self, index: PathIndex, first_of_peer: &mut Option<PathIndex>) {
        let path = *self.get(index);
        let before = self
            .of_prefix(path.prefix)
            .find(|(_, other)| other.next_in_prefix == Some(index))
            .map(|(before, _)| before);
        match before {
            Some(before) => self.nodes[before.0.index()].next_in_prefix = path.next_in_prefix,
            None => self.first[path.prefix.index()] = path.next_in_prefix,
        }
        self.unlink_from_peer(path, first_of_peer);
        self.used -= 1;
    }

    fn unlink_from_peer(&mut self, path: Path, first_of_peer: &mut Option<PathIndex>) {
        match path.previous_in_peer {
            Some(previous) => self.nodes[previous.0.index()].next_in_peer = path.next_in_peer,
            None => *first_of_peer = path.next_in_peer,
        }
        if let Some(next) = path.next_in_peer {
            self.nodes[next.0.index()].previous_in_peer = path.previous_in_peer;
        }
    }

    /// The path behind the one at `index` in the list of its peer.
    pub(super) fn next_of_peer(&self, index: PathIndex) -> Option<PathIndex> {
        self.get(index).next_in_peer
    }

    /// Makes the path at `index` the first in the list of its peer.
    pub(super) fn move_to_front(
        &mut self,
        index: PathIndex,
        first_of_peer: &mut Option<PathIndex>,
    ) {
        if *first_of_peer == Some(index) {
            return;
        }
        self.unlink_from_peer(*self.get(index), first_of_peer);
        let node = &mut self.nodes[index.0.index()];
        (node.previous_in_peer, node.next_in_peer) = (None, *first_of_peer);
        if let Some(next) = *first_of_peer {
            self.nodes[next.0.index()].previous_in_peer = Some(index);
        }
        *first_of_peer = Some(index);
    }

    /// Gives the place of an unlinked path back.
    pub(super) fn free(&mut self, index: PathIndex) {
        self.nodes[index.0.index()].next_in_prefix = self.free;
        self.free = Some(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(peer: u16, prefix: u32) -> NewPath {
        NewPath {
            peer: PeerSlot(peer),
            ineligible: None,
            path_id: 0,
            attributes: AttributesId(Id::new(0)),
            prefix: PrefixId(prefix),
        }
    }

    fn of_prefix(paths: &Paths, prefix: u32) -> Vec<PathIndex> {
        paths
            .of_prefix(PrefixId(prefix))
            .map(|(at, _)| at)
            .collect()
    }

    fn of_peer(paths: &Paths, first: Option<PathIndex>) -> Vec<PathIndex> {
        paths.of_peer(first).map(|(at, _)| at).collect()
    }

    #[test]
    fn every_path_hangs_in_two_lists() {
        let (mut paths, mut one, mut two) = (Paths::default(), None, None);
        let a = paths.insert(new(1, 0), &mut one);
        let b = paths.insert(new(2, 0), &mut two);
        let c = paths.insert(new(1, 5), &mut one);
        assert_eq!(of_prefix(&paths, 0), [b, a]);
        assert_eq!(of_prefix(&paths, 5), [c]);
        assert!(of_prefix(&paths, 3).is_empty() && of_prefix(&paths, 99).is_empty());
        assert_eq!(of_peer(&paths, one), [c, a]);
        assert_eq!(of_peer(&paths, two), [b]);
    }

    #[test]
    fn any_path_can_be_the_first_of_its_peer() {
        for moved in 0..4 {
            let (mut paths, mut first) = (Paths::default(), None);
            let mut order: Vec<_> = (0..4)
                .map(|n| paths.insert(new(1, n), &mut first))
                .collect();
            let index = order.remove(moved);
            order.push(index);
            paths.move_to_front(index, &mut first);
            order.reverse();
            assert_eq!(of_peer(&paths, first), order);
            // Both directions of the list: the last is found when it goes.
            let last = order.pop().unwrap();
            paths.unlink(last, &mut first);
            assert_eq!(of_peer(&paths, first), order);
        }
    }

    #[test]
    fn unlinking_keeps_the_others_in_order() {
        for victim in 0..4 {
            let (mut paths, mut first) = (Paths::default(), None);
            let mut left: Vec<_> = (0..4)
                .map(|_| paths.insert(new(1, 0), &mut first))
                .collect();
            let index = left.remove(victim);
            paths.unlink(index, &mut first);
            paths.free(index);
            left.reverse();
            assert_eq!(of_prefix(&paths, 0), left);
            assert_eq!(of_peer(&paths, first), left);
            assert_eq!(paths.len(), 3);
            assert_eq!(
                paths.insert(new(1, 1), &mut first),
                index,
                "the place is reused"
            );
        }
    }
}
