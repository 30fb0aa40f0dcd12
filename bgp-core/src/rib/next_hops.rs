//! Next hops: what can be reached, and how far away it is (RFC 4271 §9.1.2.1).
//!
//! Whoever knows the host's routes tells us through [`Rib::set_next_hop`](super::Rib). Of what is
//! not told there are two opinions ([`RibSettings::track_next_hops`](super::RibSettings)):
//!
//! - *Trust* it, at cost 0: a pure reflector is told nothing, because the traffic does not pass
//!   through it. Then nothing is counted, and what is told is written by our own side alone.
//! - *Track* it: a path may not be used before its next hop is known to be reachable. Then the
//!   paths of each next hop are counted, and [`Rib::poll_next_hop`](super::Rib) says which came
//!   into use and which went out of it, so that somebody can watch just these.
//!
//! What we originate ourselves is not tracked: its next hop is our own affair.
//!
//! # Invariants
//!
//! - While tracking, `uses` has an entry for each next hop that a usable path of a peer has, or
//!   that somebody still watches because of us; so it is bounded by the paths and by what was
//!   taken from the queue.
//! - An address is in the queue once, and exactly while what was said last about it differs from
//!   what holds. So a reader who never reads costs no more than one who does.

use super::Rib;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What is known about a next hop.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reachability {
    /// There is no way to it: its routes are no candidates.
    Unreachable,
    /// It can be reached at this interior cost; lower is better.
    Reachable {
        /// The interior cost.
        metric: u32,
    },
}

impl Reachability {
    /// What holds for a next hop of which we have been told nothing and which we trust.
    pub const TRUSTED: Self = Self::Reachable { metric: 0 };

    /// Whether there is a way.
    pub fn is_reachable(self) -> bool {
        match self {
            Self::Unreachable => false,
            Self::Reachable { .. } => true,
        }
    }

    /// The interior cost; the highest there is when there is no way.
    pub fn metric(self) -> u32 {
        match self {
            Self::Unreachable => u32::MAX,
            Self::Reachable { metric } => metric,
        }
    }
}

/// A next hop has come into use, or has gone out of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NextHopInterest {
    /// Its address.
    pub address: IpAddr,
    /// Whether any path has it now: then say what holds for it, and say it again whenever that
    /// changes (`set_next_hop`). When no path has it any more, what was said of it is forgotten.
    pub wanted: bool,
}

/// What is known about next hops, and who wants to know.
pub(super) struct NextHops {
    told: HashMap<IpAddr, Reachability, FixedState>,
    /// `None`: untold next hops are trusted, and nothing is counted.
    tracked: Option<Tracked>,
}

/// The next hops in use. Maps are only ever probed.
struct Tracked {
    uses: HashMap<IpAddr, Use, FixedState>,
    /// What has to be said, in the order in which it came up.
    queue: BTreeMap<u64, IpAddr>,
    tail: u64,
}

#[derive(Default)]
struct Use {
    /// Usable paths of peers with this next hop.
    paths: u64,
    /// What was said last: somebody watches it.
    watched: bool,
    /// Its place in the queue.
    queued: Option<u64>,
}

impl NextHops {
    /// Nothing has been told yet. `track`: what is untold cannot be reached. `seed` guards hash
    /// tables whose keys peers choose.
    pub(super) fn new(track: bool, seed: u64) -> Self {
        let tracked = Tracked {
            uses: HashMap::with_hasher(FixedState::with_seed(seed)),
            queue: BTreeMap::new(),
            tail: 0,
        };
        Self {
            told: HashMap::with_hasher(FixedState::with_seed(seed)),
            tracked: track.then_some(tracked),
        }
    }

    fn untold(&self) -> Reachability {
        match self.tracked {
            Some(_) => Reachability::Unreachable,
            None => Reachability::TRUSTED,
        }
    }

    /// What holds for `address` in what a peer said.
    pub(super) fn get(&self, address: IpAddr) -> Reachability {
        if self.told.is_empty() {
            return self.untold();
        }
        let told = self.told.get(&address).copied();
        told.unwrap_or_else(|| self.untold())
    }

    /// What holds for `address` in what we originate ourselves.
    pub(super) fn of_our_own(&self, address: IpAddr) -> Reachability {
        match self.tracked {
            Some(_) => Reachability::TRUSTED,
            None => self.get(address),
        }
    }

    /// Notes what holds for `address` from now on; says whether that is news.
    pub(super) fn set(&mut self, address: IpAddr, reachability: Reachability) -> bool {
        let before = self.get(address);
        if reachability == self.untold() {
            self.told.remove(&address);
        } else {
            self.told.insert(address, reachability);
        }
        before != reachability
    }

    /// A usable path of a peer has come, with this next hop.
    pub(super) fn hold(&mut self, address: IpAddr) {
        self.count(address, |paths| paths + 1);
    }

    /// A usable path of a peer has gone.
    pub(super) fn release(&mut self, address: IpAddr) {
        self.count(address, |paths| paths.saturating_sub(1));
    }

    fn count(&mut self, address: IpAddr, change: impl Fn(u64) -> u64) {
        let Some(tracked) = &mut self.tracked else {
            return;
        };
        let of_address = tracked.uses.entry(address).or_default();
        of_address.paths = change(of_address.paths);
        let news = of_address.watched != (of_address.paths > 0);
        match of_address.queued {
            None if news => {
                tracked.tail += 1;
                of_address.queued = Some(tracked.tail);
                tracked.queue.insert(tracked.tail, address);
            }
            Some(place) if !news => {
                of_address.queued = None;
                tracked.queue.remove(&place);
            }
            None | Some(_) => {}
        }
        let forgotten = of_address.paths == 0 && !of_address.watched && of_address.queued.is_none();
        if forgotten {
            tracked.uses.remove(&address);
        }
    }

    fn poll(&mut self) -> Option<NextHopInterest> {
        let tracked = self.tracked.as_mut()?;
        let (_, address) = tracked.queue.pop_first()?;
        let of_address = tracked.uses.get_mut(&address)?;
        let wanted = of_address.paths > 0;
        of_address.queued = None;
        of_address.watched = wanted;
        if !wanted {
            // Nobody will keep it true from here on.
            tracked.uses.remove(&address);
            self.told.remove(&address);
        }
        Some(NextHopInterest { address, wanted })
    }

    fn has_news(&self) -> bool {
        let queue = self.tracked.as_ref().map(|tracked| &tracked.queue);
        queue.is_some_and(|queue| !queue.is_empty())
    }

    /// Whether `counts` says how many usable paths each next hop has, and the queue agrees.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn check(&self, counts: &BTreeMap<IpAddr, u64>) -> Result<(), String> {
        let Some(tracked) = &self.tracked else {
            return Ok(());
        };
        for (address, of_address) in &tracked.uses {
            let counted = counts.get(address).copied().unwrap_or(0);
            if of_address.paths != counted {
                return Err(format!("next hop {address} has {counted} paths"));
            }
            let news = of_address.watched != (counted > 0);
            let queued = of_address
                .queued
                .is_some_and(|place| tracked.queue.get(&place) == Some(address));
            if news != queued || (!news && counted == 0) {
                return Err(format!("next hop {address}: queued should be {news}"));
            }
        }
        let known = counts
            .keys()
            .all(|address| tracked.uses.contains_key(address));
        if !known || tracked.queue.len() > tracked.uses.len() {
            return Err("next hops are not counted".into());
        }
        Ok(())
    }
}

impl Rib {
    /// What holds for a next hop from now on. Best paths follow in slices of [`Rib::work`].
    pub fn set_next_hop(&mut self, address: IpAddr, reachability: Reachability) {
        if self.shared.next_hops.set(address, reachability) {
            self.tables
                .iter_mut()
                .for_each(|(_, table)| table.begin_sweep());
        }
    }

    /// A next hop that has come into use or gone out of it, if next hops are tracked. Each is
    /// given once, with what holds now; one that came and went meanwhile is not given at all.
    pub fn poll_next_hop(&mut self) -> Option<NextHopInterest> {
        self.shared.next_hops.poll()
    }

    /// Whether [`Rib::poll_next_hop`] has something to say.
    pub fn has_next_hop_news(&self) -> bool {
        self.shared.next_hops.has_news()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn drain(hops: &mut NextHops) -> Vec<(IpAddr, bool)> {
        std::iter::from_fn(|| hops.poll())
            .map(|interest| (interest.address, interest.wanted))
            .collect()
    }

    #[test]
    fn trust_is_the_default_and_can_be_given_back() {
        let address = address(1);
        let mut hops = NextHops::new(false, 1);
        assert_eq!(hops.get(address), Reachability::TRUSTED);
        assert!(hops.set(address, Reachability::Unreachable));
        assert!(!hops.set(address, Reachability::Unreachable));
        assert_eq!(hops.get(address), Reachability::Unreachable);
        assert_eq!(hops.of_our_own(address), Reachability::Unreachable);
        assert!(hops.set(address, Reachability::TRUSTED));
        assert!(hops.told.is_empty());
        hops.hold(address);
        assert_eq!(hops.poll(), None);
    }

    #[test]
    fn what_is_tracked_cannot_be_reached_before_it_is_told() {
        let mut hops = NextHops::new(true, 1);
        assert_eq!(hops.get(address(1)), Reachability::Unreachable);
        assert_eq!(hops.of_our_own(address(1)), Reachability::TRUSTED);
        assert!(hops.set(address(1), Reachability::TRUSTED));
        assert_eq!(hops.get(address(1)), Reachability::TRUSTED);
    }

    #[test]
    fn interest_is_what_holds_now_and_not_what_happened() {
        let mut hops = NextHops::new(true, 1);
        hops.hold(address(1));
        hops.hold(address(2));
        hops.hold(address(1));
        hops.release(address(2));
        assert_eq!(drain(&mut hops), [(address(1), true)]);
        hops.release(address(1));
        assert_eq!(drain(&mut hops), []);
        hops.release(address(1));
        hops.hold(address(1));
        assert_eq!(drain(&mut hops), [], "gone and back before anybody asked");
        hops.check(&BTreeMap::from([(address(1), 1)])).unwrap();
        hops.release(address(1));
        assert_eq!(drain(&mut hops), [(address(1), false)]);
        hops.check(&BTreeMap::new()).unwrap();
    }

    #[test]
    fn a_reader_who_never_reads_costs_nothing() {
        let mut hops = NextHops::new(true, 1);
        for n in 0..10_000u32 {
            let address = IpAddr::from(n.to_be_bytes());
            hops.hold(address);
            hops.release(address);
        }
        let tracked = hops.tracked.as_ref().unwrap();
        assert!(tracked.uses.is_empty() && tracked.queue.is_empty());
    }

    #[test]
    fn what_nobody_watches_any_more_is_forgotten() {
        let mut hops = NextHops::new(true, 1);
        hops.hold(address(1));
        assert_eq!(drain(&mut hops), [(address(1), true)]);
        hops.set(address(1), Reachability::TRUSTED);
        hops.release(address(1));
        assert_eq!(drain(&mut hops), [(address(1), false)]);
        assert_eq!(hops.get(address(1)), Reachability::Unreachable);
        assert!(hops.told.is_empty());
    }
}
