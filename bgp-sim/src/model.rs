//! What every table must hold once all is quiet, worked out by the book.
//!
//! A second opinion, written from RFC 4271 and RFC 4456 alone: small, slow, without ids, caches or
//! increments, and without a line of the engine's RIB. For each prefix it begins with what hosts
//! announce themselves and lets them tell each other, one host at a time, until nobody has news.
//!
//! Where the prefix has several owners this is done in two orders, and both must end in the same
//! state: otherwise the RFCs do not determine the outcome and the scenario is a bad one, which is
//! reported as such.

use crate::scenario::OwnRoute;
use crate::topology::{Session, Topology};
use bgp_core::family::FamilySet;
use bgp_core::policy::Action;
use bgp_core::prefix::{IpNet, Nlri, family_of};
use bgp_core::rib::Reachability;
use bgp_core::types::{Asn, PeerRole, RouterId};
use bgp_core::wire::{
    Community, EncodeContext, MAX_EXTENDED_LEN, MAX_LEN, NextHop, PathAttributes, announce,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;

/// More turns than this for one prefix, and there is no stable state.
const MAX_TURNS: usize = 10_000;

/// What is known of the cluster once all is quiet.
pub struct Situation<'a> {
    /// Who is there and who talks to whom.
    pub topology: &'a Topology,
    /// Which hosts run.
    pub alive: Vec<bool>,
    /// What each host announces.
    pub own: Vec<BTreeMap<IpNet, OwnRoute>>,
    /// What each host has been told of next hops.
    pub next_hops: Vec<BTreeMap<IpAddr, Reachability>>,
}

/// What one host says to another about a prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words {
    /// Everything but the next hop.
    pub attributes: PathAttributes,
    /// The next hop.
    pub next_hop: NextHop,
}

/// Words that a host has heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard {
    /// What was said.
    pub words: Rc<Words>,
    /// Whether it may be used.
    pub eligible: bool,
}

/// A host's best route to a prefix, or its second best.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Best {
    /// The session that it was heard in; `None` for a route of its own.
    pub session: Option<usize>,
    /// What it says.
    pub words: Rc<Words>,
}

/// What one host knows about one prefix.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Knowledge {
    /// By session and path identifier, what was heard.
    pub heard: BTreeMap<(usize, u32), Heard>,
    /// The best of that and its own.
    pub best: Option<Best>,
    /// The best of what others originated than the best's originator: told as path 2.
    pub second: Option<Best>,
    /// Next hops of what is heard and as good as the best but for identifiers and addresses.
    pub ways: BTreeSet<IpAddr>,
    /// Originators of what could be used in place of the best, without the best's.
    pub rivals: BTreeSet<RouterId>,
}

impl Situation<'_> {
    /// Every prefix that somebody announces, with what each host knows about it.
    ///
    /// # Errors
    ///
    /// The scenario has no single stable outcome.
    pub fn tables(&self) -> Result<BTreeMap<IpNet, Vec<Knowledge>>, String> {
        let announced = (0..self.alive.len())
            .filter(|host| self.alive[*host])
            .flat_map(|host| self.own[host].keys().copied());
        let mut owners: BTreeMap<IpNet, usize> = BTreeMap::new();
        for prefix in announced {
            *owners.entry(prefix).or_default() += 1;
        }
        let tables = owners.into_iter().map(|(prefix, owners)| {
            let knowledge = self.settle(prefix, |dirty| dirty.pop_first())?;
            let other = || self.settle(prefix, |dirty| dirty.pop_last());
            if owners > 1 && other()? != knowledge {
                return Err(format!("bad scenario: {prefix} has more than one outcome"));
            }
            Ok((prefix, knowledge))
        });
        tables.collect()
    }

    /// Lets hosts tell each other about `prefix` until nobody has news; `turn` picks who is next.
    fn settle(
        &self,
        prefix: IpNet,
        turn: impl Fn(&mut BTreeSet<usize>) -> Option<usize>,
    ) -> Result<Vec<Knowledge>, String> {
        let hosts = self.alive.len();
        let mut known = vec![Knowledge::default(); hosts];
        let alive = (0..hosts).filter(|host| self.alive[*host]);
        let mut dirty: BTreeSet<usize> = alive.collect();
        for _ in 0..MAX_TURNS {
            let Some(host) = turn(&mut dirty) else {
                return Ok(known);
            };
            let heard = self.hear(&prefix, host, &known);
            let now = self.select(&prefix, host, heard);
            let before = &known[host];
            if (&now.best, &now.second) != (&before.best, &before.second) {
                let sessions = self.topology.sessions_of(host);
                let others = sessions.map(|(_, session)| other_host(session, host));
                dirty.extend(others.filter(|other| self.alive[*other]));
            }
            known[host] = now;
        }
        Err(format!("bad scenario: {prefix} never settles"))
    }

    /// What the others tell `host` now.
    fn hear(
        &self,
        prefix: &IpNet,
        host: usize,
        known: &[Knowledge],
    ) -> BTreeMap<(usize, u32), Heard> {
        let mut heard = BTreeMap::new();
        for (number, session) in self.topology.sessions_of(host) {
            let other = other_host(session, host);
            if !self.alive[other] {
                continue;
            }
            let first = u32::from(session.has_two_paths_to(host));
            let second = known[other].second.as_ref().filter(|_| first == 1);
            let told = [(first, known[other].best.as_ref()), (2, second)];
            for (path_id, route) in told {
                let words =
                    route.and_then(|route| self.say(prefix, (number, other), route, path_id));
                if let Some(words) = words {
                    let eligible = self.may_use(prefix, (session, host), &words);
                    let words = Rc::new(words);
                    heard.insert((number, path_id), Heard { words, eligible });
                }
            }
        }
        heard
    }

    // What is said (RFC 4271 §5 and §9.1.3, RFC 4456 §6, §8 and §10).

    /// What `host` says in a session about its best route to `prefix`, or its second best.
    fn say(
        &self,
        prefix: &IpNet,
        (number, host): (usize, usize),
        best: &Best,
        path_id: u32,
    ) -> Option<Words> {
        let session = &self.topology.sessions[number];
        let own = &session.ends[session.side_of(host)?];
        if best.session == Some(number) || !session.families().contains(family_of(prefix)) {
            return None;
        }
        let from = best.session.map(|heard_in| self.role(heard_in, host));
        let to = own.settings.role;
        let router = &self.topology.hosts[host].router;
        let may_pass = match (from, to) {
            (Some(PeerRole::NonClient), PeerRole::NonClient) => false,
            (Some(PeerRole::Client), PeerRole::Client) => router.client_to_client,
            _ => true,
        };
        if !may_pass || !community_allows(&best.words.attributes, to) {
            return None;
        }
        match &own.settings.export {
            Some(policy) if policy.evaluate(prefix) == Action::Reject => return None,
            None if to == PeerRole::External => return None,
            Some(_) | None => {}
        }
        let reflected = from.is_some_and(PeerRole::is_internal) && to.is_internal();
        let ourselves = to == PeerRole::External || (own.settings.next_hop_self && !reflected);
        let next_hop = if ourselves {
            NextHop::from(own.address)
        } else {
            best.words.next_hop
        };
        // All speakers here negotiate IPv4 through IPv6 next hops (RFC 8950); there is no such
        // thing the other way round.
        if matches!((prefix, next_hop), (IpNet::V6(_), NextHop::V4(_))) {
            return None;
        }
        let attributes = if to == PeerRole::External {
            outside_words(best, router.asn)
        } else {
            let source = best.session.map(|heard_in| self.peer_id(heard_in, host));
            let mut attributes = best.words.attributes.clone();
            attributes.local_pref.get_or_insert(100);
            if reflected {
                attributes.originator_id = attributes.originator_id.or(source);
                attributes.cluster_list.insert(0, router.cluster_id);
            }
            attributes
        };
        let words = Words {
            attributes,
            next_hop,
        };
        let other = &session.ends[usize::from(session.ends[0].host == host)];
        let extended = own.settings.extended_messages && other.settings.extended_messages;
        fits(prefix, path_id, &words, extended).then_some(words)
    }

    // What is believed (RFC 4271 §9.1.2, RFC 4456 §8, RFC 8212).

    fn may_use(&self, prefix: &IpNet, (session, host): (&Session, usize), words: &Words) -> bool {
        let router = &self.topology.hosts[host].router;
        let own = session.ends.iter().find(|end| end.host == host);
        let Some(own) = own else {
            return false;
        };
        let said = &words.attributes;
        let looped = said.as_path.numbers().any(|asn| asn == router.asn)
            || said.originator_id == Some(router.router_id)
            || said.cluster_list.contains(&router.cluster_id);
        let policy = match &own.settings.import {
            Some(policy) => policy.evaluate(prefix) == Action::Accept,
            None => own.settings.role != PeerRole::External,
        };
        !looped && policy && words.next_hop.address() != own.address
    }

    // What is chosen (RFC 4271 §9.1.2.2, RFC 4456 §9).

    fn select(
        &self,
        prefix: &IpNet,
        host: usize,
        heard: BTreeMap<(usize, u32), Heard>,
    ) -> Knowledge {
        let usable: Vec<(usize, &Heard)> = heard
            .iter()
            .filter(|(_, h)| h.eligible && self.metric(host, &h.words.next_hop).is_some())
            .map(|((number, _), h)| (*number, h))
            .collect();
        let (best, ways) = match self.own(prefix, host) {
            Some(own) => (Some(own), BTreeSet::new()),
            None => self.best_of(host, usable.clone()),
        };
        let originator = best
            .as_ref()
            .map(|best| self.originator(host, best.session, &best.words));
        let others: Vec<(usize, &Heard)> = usable
            .into_iter()
            .filter(|(number, h)| {
                Some(self.originator(host, Some(*number), &h.words)) != originator
            })
            .collect();
        let rivals = others
            .iter()
            .map(|(number, h)| self.originator(host, Some(*number), &h.words))
            .collect();
        let (second, _) = self.best_of(host, others);
        Knowledge {
            heard,
            best,
            second,
            ways,
            rivals,
        }
    }

    /// Who brought a route into the AS, as far as `host` can tell (RFC 4456 §8).
    fn originator(&self, host: usize, session: Option<usize>, words: &Words) -> RouterId {
        let said = words.attributes.originator_id;
        match session {
            Some(number) => said.unwrap_or(self.peer_id(number, host)),
            None => self.topology.hosts[host].router.router_id,
        }
    }

    /// A host's own route. A speaker prefers its own word to anyone's; it never doubts its own
    /// next hop, unless it was told to and does not leave that to others.
    fn own(&self, prefix: &IpNet, host: usize) -> Option<Best> {
        let own = self.own[host].get(prefix)?;
        let tracks = self.topology.hosts[host].router.track_next_hops;
        let words = Words {
            attributes: own.attributes.clone(),
            next_hop: own.next_hop,
        };
        let best = Best {
            session: None,
            words: Rc::new(words),
        };
        (tracks || self.metric(host, &own.next_hop).is_some()).then_some(best)
    }

    /// The best of what can be used, and the next hops of what is as good up to the interior cost.
    fn best_of(
        &self,
        host: usize,
        mut left: Vec<(usize, &Heard)>,
    ) -> (Option<Best>, BTreeSet<IpAddr>) {
        let left = &mut left;
        let said = |h: &(usize, &'_ Heard)| Rc::clone(&h.1.words);
        keep_least(left, |h| {
            Reverse(said(h).attributes.local_pref.unwrap_or(100))
        });
        keep_least(left, |h| said(h).attributes.as_path.length());
        keep_least(left, |h| said(h).attributes.origin);
        self.remove_by_med(host, left);
        keep_least(left, |h| self.role(h.0, host).is_internal());
        keep_least(left, |h| self.metric(host, &h.1.words.next_hop));
        let ways = left.iter().map(|h| h.1.words.next_hop.address()).collect();
        keep_least(left, |h| self.originator(host, Some(h.0), &h.1.words));
        keep_least(left, |h| said(h).attributes.cluster_list.len());
        keep_least(left, |h| self.peer_address(h.0, host));
        let best = left.first().map(|(number, h)| Best {
            session: Some(*number),
            words: Rc::clone(&h.words),
        });
        (best, ways)
    }

    /// RFC 4271 §9.1.2.2 c, as the text has it: for every pair of the same neighbouring AS, the
    /// one with the higher MULTI_EXIT_DISC goes.
    fn remove_by_med(&self, host: usize, left: &mut Vec<(usize, &Heard)>) {
        let key = |(number, heard): &(usize, &Heard)| {
            let said = &heard.words.attributes;
            let neighbour = said.as_path.first_as();
            let neighbour = neighbour.unwrap_or(self.peer_as(*number, host));
            (neighbour, said.med.unwrap_or(0))
        };
        let all: Vec<(Asn, u32)> = left.iter().map(key).collect();
        left.retain(|route| {
            let (neighbour, med) = key(route);
            let beaten = |(other, lower): &(Asn, u32)| *other == neighbour && *lower < med;
            !all.iter().any(beaten)
        });
    }

    /// The interior cost of a next hop; `None` when there is no way to it.
    fn metric(&self, host: usize, next_hop: &NextHop) -> Option<u32> {
        match self.next_hops[host].get(&next_hop.address()) {
            None => Some(0),
            Some(Reachability::Reachable { metric }) => Some(*metric),
            Some(Reachability::Unreachable) => None,
        }
    }

    // Who is at the other end.

    /// What the other end of a session is to `host`.
    fn role(&self, number: usize, host: usize) -> PeerRole {
        let [one, two] = &self.topology.sessions[number].ends;
        let own = if one.host == host { one } else { two };
        own.settings.role
    }

    fn peer_id(&self, number: usize, host: usize) -> RouterId {
        let other = other_host(&self.topology.sessions[number], host);
        self.topology.hosts[other].router.router_id
    }

    fn peer_as(&self, number: usize, host: usize) -> Asn {
        let other = other_host(&self.topology.sessions[number], host);
        self.topology.hosts[other].router.asn
    }

    fn peer_address(&self, number: usize, host: usize) -> IpAddr {
        let [one, two] = &self.topology.sessions[number].ends;
        if one.host == host {
            two.address
        } else {
            one.address
        }
    }
}

fn other_host(session: &Session, host: usize) -> usize {
    let [one, two] = &session.ends;
    if one.host == host { two.host } else { one.host }
}

/// RFC 1997: NO_ADVERTISE to nobody; the two NO_EXPORTs to nobody outside.
fn community_allows(said: &PathAttributes, to: PeerRole) -> bool {
    let has = |community| said.communities.contains(&community);
    let inside_only = has(Community::NO_EXPORT) || has(Community::NO_EXPORT_SUBCONFED);
    !has(Community::NO_ADVERTISE) && (to.is_internal() || !inside_only)
}

/// What leaves the AS: our AS in front; MULTI_EXIT_DISC only of our own (RFC 4271 §5.1.4); nothing
/// that is meant for within (RFC 4271 §5.1.5, RFC 4456 §8, RFC 4360 §6).
fn outside_words(best: &Best, asn: Asn) -> PathAttributes {
    let mut attributes = best.words.attributes.clone();
    attributes.as_path = attributes.as_path.prepend(asn);
    attributes.local_pref = None;
    attributes.originator_id = None;
    attributes.cluster_list.clear();
    if best.session.is_some() {
        attributes.med = None;
    }
    let stays_within = |community: &[u8; 8]| community[0] & 0x40 != 0;
    attributes
        .extended_communities
        .retain(|community| !stays_within(community));
    attributes
}

/// Whether a message with this route alone is one that the other end takes (RFC 8654).
fn fits(prefix: &IpNet, path_id: u32, words: &Words, extended: bool) -> bool {
    // Nothing but communities makes a message long here.
    if words.attributes.communities.len() < 900 {
        return true;
    }
    let context = EncodeContext {
        four_octet_as: true,
        add_path: if path_id > 0 {
            FamilySet::ALL
        } else {
            FamilySet::EMPTY
        },
        max_len: if extended { MAX_EXTENDED_LEN } else { MAX_LEN },
    };
    let mut messages = Vec::new();
    let announced = announce(
        family_of(prefix),
        &words.next_hop,
        &words.attributes,
        &[Nlri::plain(*prefix)],
        &context,
        &mut messages,
    );
    announced.is_ok()
}

fn keep_least<T, K: Ord>(left: &mut Vec<T>, key: impl Fn(&T) -> K) {
    if let Some(least) = left.iter().map(&key).min() {
        left.retain(|one| key(one) == least);
    }
}
