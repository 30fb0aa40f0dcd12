//! Compares every table of every speaker with the model.
//!
//! For each host that runs and each prefix: what the Loc-RIB holds as best and from whom; for each
//! session, what the host has been told (Adj-RIB-In, with what may not be used marked as such),
//! and what the host says that it tells (its slow, per-peer answer). What one end tells, the other
//! must have heard, so the three together leave no room for a lost or forgotten message. Where
//! routes are installed, what is installed is what the Loc-RIB holds, with ways and rivals.

use crate::model::{Best, Heard, Knowledge, Situation, Words};
use crate::topology::Session;
use crate::world::{Fault, World};
use bgp_core::family::Family;
use bgp_core::prefix::{IpNet, family_of};
use bgp_core::rib::{AnnouncedView, Cursor, MAX_RIVALS, Page, PathState, PathView};
use bgp_core::speaker::{CommandError, MAX_PAGE, Speaker};
use bgp_core::types::RouterId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;

/// At most this many differences are told; a missing session alone makes hundreds.
const MAX_TOLD: usize = 4;

/// What the model says of every prefix.
type Tables = BTreeMap<IpNet, Vec<Knowledge>>;

/// Compares, and says how many routes were compared.
///
/// # Errors
///
/// The first differences, each in one sentence.
pub fn compare(world: &World) -> Result<u64, Fault> {
    let topology = world.topology();
    let hosts = topology.hosts.len();
    let own = |host| {
        world
            .own_routes(host)
            .map(|(p, r)| (*p, r.clone()))
            .collect()
    };
    let situation = Situation {
        topology,
        alive: (0..hosts)
            .map(|host| world.speaker(host).is_some())
            .collect(),
        own: (0..hosts).map(own).collect(),
        next_hops: (0..hosts)
            .map(|host| world.next_hops_of(host).cloned().unwrap_or_default())
            .collect(),
    };
    let tables = situation.tables()?;
    let mut comparison = Comparison {
        world,
        tables: &tables,
        compared: 0,
        differences: Vec::new(),
    };
    for host in 0..hosts {
        if let Some(speaker) = world.speaker(host) {
            comparison.host(host, speaker)?;
        }
    }
    let Comparison {
        compared,
        mut differences,
        ..
    } = comparison;
    if differences.is_empty() {
        return Ok(compared);
    }
    let count = differences.len();
    differences.truncate(MAX_TOLD);
    Err(format!(
        "{count} differences from the model:\n  {}",
        differences.join("\n  ")
    ))
}

/// What is installed for a prefix: from whom, the ways, the rivals, whether it is stale.
type Installed = (Option<IpAddr>, BTreeSet<IpAddr>, BTreeSet<RouterId>, bool);

struct Comparison<'a> {
    world: &'a World,
    tables: &'a Tables,
    compared: u64,
    differences: Vec<String>,
}

impl Comparison<'_> {
    fn host(&mut self, host: usize, speaker: &Speaker) -> Result<(), Fault> {
        self.loc_rib(host, speaker)?;
        self.installed(host);
        let topology = self.world.topology();
        for (number, session) in topology.sessions_of(host) {
            let side = usize::from(session.ends[1].host == host);
            let other = &session.ends[1 - side];
            if self.world.speaker(other.host).is_none() {
                continue;
            }
            let peer = other.address.to_string();
            for family in session.families().iter() {
                self.heard(host, (number, session), (speaker, &peer, family))?;
                self.told(host, (number, session), (speaker, &peer, family))?;
            }
        }
        Ok(())
    }

    fn loc_rib(&mut self, host: usize, speaker: &Speaker) -> Result<(), Fault> {
        for family in Family::ALL {
            let paths = all(|from| Ok(speaker.loc_rib(family, from, MAX_PAGE)));
            let paths = paths.map_err(|error| self.refused(host, &error))?;
            let best = paths.into_iter().map(|path| {
                let from = path.peer.and_then(|peer| speaker.peer_name(peer));
                let from = from.map(|name| name.address);
                (path.prefix, (from, words(&path)))
            });
            let expected = self.known(host, family, |known| {
                let best = known.best.as_ref()?;
                let from = self.peer_of(host, best);
                Some((from, Rc::unwrap_or_clone(Rc::clone(&best.words))))
            });
            self.differ(
                &format!("Loc-RIB of {}", self.name(host)),
                &best.collect(),
                &expected,
            );
        }
        Ok(())
    }

    /// Who a host has its best route from; `None` for its own.
    fn peer_of(&self, host: usize, best: &Best) -> Option<IpAddr> {
        let [one, two] = &self.world.topology().sessions[best.session?].ends;
        let other = if one.host == host { two } else { one };
        Some(other.address)
    }

    fn installed(&mut self, host: usize) {
        let router = &self.world.topology().hosts[host].router;
        let expected = self.tables.iter().filter_map(|(prefix, known)| {
            let known = known.get(host).filter(|_| router.install)?;
            let best = known.best.as_ref()?;
            let own = best.words.next_hop.address();
            let others = known.ways.iter().copied().filter(|way| *way != own);
            let ways = others.take(usize::from(router.multipath) - 1).chain([own]);
            let from = self.peer_of(host, best);
            let held = (from, ways.collect(), known.rivals.clone(), false);
            Some((*prefix, held))
        });
        let expected: BTreeMap<IpNet, Installed> = expected.collect();
        let installed = self.world.installed(host).iter();
        let installed = installed.filter_map(|(prefix, change)| {
            let best = change.best.as_ref()?;
            let from = (!best.own).then_some(best.origin.peer_address);
            let rivals = change.rivals.iter().map(|rival| rival.router_id);
            let mut rivals: BTreeSet<RouterId> = rivals.collect();
            // Of very many rivals only some are told.
            if let Some((_, _, all, _)) = expected.get(prefix)
                && rivals.len() == MAX_RIVALS
                && rivals.is_subset(all)
            {
                rivals.clone_from(all);
            }
            let ways = best.next_hops.iter().copied().collect();
            Some((*prefix, (from, ways, rivals, best.stale)))
        });
        let installed = installed.collect();
        self.differ(
            &format!("installed at {}", self.name(host)),
            &installed,
            &expected,
        );
    }

    fn heard(
        &mut self,
        host: usize,
        (number, session): (usize, &Session),
        (speaker, peer, family): (&Speaker, &str, Family),
    ) -> Result<(), Fault> {
        let paths = all(|from| speaker.adj_rib_in(peer, family, from, MAX_PAGE))
            .map_err(|error| self.refused(host, &error))?;
        let heard = paths.iter().map(|path| {
            let eligible = !matches!(path.state, PathState::Ineligible(_));
            let words = Rc::new(words(path));
            ((path.prefix, path.path_id), Heard { words, eligible })
        });
        let expected = self.heard_in(number, host, family);
        let what = format!(
            "heard by {} from {}",
            self.name(host),
            self.other(session, host)
        );
        self.differ(&what, &heard.collect(), &expected);
        Ok(())
    }

    fn told(
        &mut self,
        host: usize,
        (number, session): (usize, &Session),
        (speaker, peer, family): (&Speaker, &str, Family),
    ) -> Result<(), Fault> {
        let told = all(|from| speaker.adj_rib_out(peer, family, from, MAX_PAGE))
            .map_err(|error| self.refused(host, &error))?;
        let told = told.into_iter().map(|route: AnnouncedView| {
            let words = Words {
                attributes: route.attributes,
                next_hop: route.next_hop,
            };
            ((route.prefix, route.path_id), words)
        });
        let side = usize::from(session.ends[1].host == host);
        let other = session.ends[1 - side].host;
        // What is told here is what is heard there.
        let expected = self.heard_in(number, other, family).into_iter();
        let expected = expected.map(|(place, heard)| (place, Words::clone(&heard.words)));
        let what = format!(
            "told by {} to {}",
            self.name(host),
            self.other(session, host)
        );
        self.differ(&what, &told.collect(), &expected.collect());
        Ok(())
    }

    /// What a host hears in a session by what the model says, by prefix and path identifier.
    fn heard_in(
        &self,
        number: usize,
        host: usize,
        family: Family,
    ) -> BTreeMap<(IpNet, u32), Heard> {
        let known = self.known(host, family, |known| Some(known.heard.clone()));
        let of_prefix = |(prefix, heard): (IpNet, BTreeMap<(usize, u32), Heard>)| {
            let here = heard
                .into_iter()
                .filter(move |((session, _), _)| *session == number);
            here.map(move |((_, path_id), heard)| ((prefix, path_id), heard))
        };
        known.into_iter().flat_map(of_prefix).collect()
    }

    /// What the model says of a host, prefix by prefix.
    fn known<T>(
        &self,
        host: usize,
        family: Family,
        part: impl Fn(&Knowledge) -> Option<T>,
    ) -> BTreeMap<IpNet, T> {
        let of_family = self
            .tables
            .iter()
            .filter(|(prefix, _)| family_of(prefix) == family);
        of_family
            .filter_map(|(prefix, known)| Some((*prefix, part(&known[host])?)))
            .collect()
    }

    fn differ<K: Ord + std::fmt::Debug, T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: &str,
        is: &BTreeMap<K, T>,
        ought: &BTreeMap<K, T>,
    ) {
        self.compared += ought.len() as u64;
        for (prefix, expected) in ought {
            match is.get(prefix) {
                Some(found) if found == expected => {}
                Some(found) => self.differences.push(format!(
                    "{what}: {prefix:?} is\n    {found:?}, and ought to be\n    {expected:?}"
                )),
                None => self
                    .differences
                    .push(format!("{what}: {prefix:?} is missing: {expected:?}")),
            }
        }
        let extra = is.iter().filter(|(prefix, _)| !ought.contains_key(*prefix));
        for (prefix, found) in extra {
            self.differences.push(format!(
                "{what}: {prefix:?} ought not to be there: {found:?}"
            ));
        }
    }

    fn refused(&self, host: usize, error: &CommandError) -> Fault {
        format!("{}: {error}", self.name(host))
    }

    fn name(&self, host: usize) -> &str {
        &self.world.topology().hosts[host].name
    }

    fn other(&self, session: &Session, host: usize) -> &str {
        let [one, two] = &session.ends;
        self.name(if one.host == host { two.host } else { one.host })
    }
}

fn words(path: &PathView) -> Words {
    Words {
        attributes: path.attributes.path.clone(),
        next_hop: path.attributes.next_hop,
    }
}

/// All pages of an answer.
fn all<T>(
    page: impl Fn(Option<Cursor>) -> Result<Page<T>, CommandError>,
) -> Result<Vec<T>, CommandError> {
    let mut items = Vec::new();
    let mut from = None;
    loop {
        let mut next = page(from)?;
        items.append(&mut next.items);
        from = next.next;
        if from.is_none() {
            return Ok(items);
        }
    }
}
