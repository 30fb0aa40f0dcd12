//! The timetable, drawn: who may announce what, which changes come when, and what goes wrong.

use super::{Operation, OwnRoute, Stopping};
use crate::topology::{CLUSTER_AS, EXTERNAL_AS, Kind, REFLECTORS, Topology, pick};
use bgp_core::family::Family;
use bgp_core::prefix::{IpNet, Ipv4Net, Ipv6Net};
use bgp_core::rib::Reachability;
use bgp_core::rng::Rng;
use bgp_core::time::{Duration, Instant};
use bgp_core::types::Asn;
use bgp_core::wire::{
    Aggregator, AsPath, Community, LargeCommunity, NextHop, Origin, PathAttributes, SegmentKind,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which routes to one prefix carry MULTI_EXIT_DISC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum MedRule {
    /// None.
    Never,
    /// All, and they share one neighbouring AS.
    OneAs,
    /// All, with several neighbouring ASes.
    Mixed,
}

/// A prefix and who may announce it.
#[derive(Clone, Debug)]
struct Block {
    prefix: IpNet,
    owners: Vec<usize>,
    med: MedRule,
}

/// Neighbouring ASes of routes that nodes announce.
const NEIGHBOURS: [Asn; 3] = [EXTERNAL_AS, Asn(65_002), Asn(4_200_000_003)];

/// What [`timetable`] draws.
pub(super) struct Drawn {
    pub(super) timetable: Vec<(Instant, Operation)>,
    pub(super) dead: Vec<usize>,
    pub(super) epilogue: Vec<(Duration, Operation)>,
}

/// What is done when, in order, and who is down for good in the end.
pub(super) fn timetable(
    rng: Rng,
    topology: &Topology,
    (quiet_at, faults): (Instant, bool),
) -> Drawn {
    let mut draw = Draw {
        quiet_at,
        topology,
        blocks: Vec::new(),
        timetable: Vec::new(),
        dead: Vec::new(),
        rng,
    };
    draw.blocks();
    draw.beginnings();
    draw.changes();
    if faults {
        draw.failures();
    }
    let mut timetable = std::mem::take(&mut draw.timetable);
    timetable.sort_by_key(|(at, _)| *at);
    draw.ending(faults);
    draw.timetable.sort_by_key(|(at, _)| *at);
    let since_quiet = |(at, operation): (Instant, Operation)| (at.since(quiet_at), operation);
    Drawn {
        timetable,
        dead: draw.dead,
        epilogue: draw.timetable.into_iter().map(since_quiet).collect(),
    }
}

struct Draw<'a> {
    rng: Rng,
    topology: &'a Topology,
    quiet_at: Instant,
    blocks: Vec<Block>,
    timetable: Vec<(Instant, Operation)>,
    dead: Vec<usize>,
}

impl Draw<'_> {
    fn chance(&mut self, one_in: u64) -> bool {
        self.rng.below(one_in) == 0
    }

    fn moment(&mut self) -> Instant {
        Instant::from_micros(self.rng.below(self.quiet_at.as_micros()))
    }

    /// A moment from `least` to `most` milliseconds after `at`, but not after quiet.
    fn later(&mut self, at: Instant, least: u64, most: u64) -> Instant {
        let span = Duration::from_micros(1_000 * least + self.rng.below(1_000 * (most - least)));
        (at + span).min(self.quiet_at)
    }

    fn at(&mut self, at: Instant, operation: Operation) {
        self.timetable.push((at, operation));
    }

    fn hosts(&self, kind: Kind) -> Vec<usize> {
        let hosts = self.topology.hosts.iter().enumerate();
        hosts
            .filter(|(_, host)| host.kind == kind)
            .map(|(number, _)| number)
            .collect()
    }

    // Who may announce what.

    fn blocks(&mut self) {
        let nodes = self.hosts(Kind::Node);
        let mut number = 0;
        for node in &nodes {
            for _ in 0..=self.rng.below(2) {
                let prefix = self.prefix(number);
                number += 1;
                self.block(prefix, vec![*node]);
            }
        }
        for _ in 0..2 + self.rng.below(8) {
            let prefix = self.prefix(number);
            number += 1;
            let owners = (0..2 + self.rng.below(4)).map(|_| *pick(&mut self.rng, &nodes));
            let mut owners: Vec<usize> = owners.collect();
            if self.chance(3) {
                owners.push(REFLECTORS);
            }
            if self.chance(8) {
                owners.push(self.rng.below(REFLECTORS as u64) as usize);
            }
            owners.sort_unstable();
            owners.dedup();
            self.block(prefix, owners);
        }
        for _ in 0..self.rng.below(8) {
            let prefix = self.prefix(number);
            number += 1;
            self.block(prefix, vec![REFLECTORS]);
        }
    }

    fn block(&mut self, prefix: IpNet, owners: Vec<usize>) {
        let both = |host: &usize| {
            let node = self.topology.hosts[*host].kind == Kind::Node;
            node && self.topology.sessions_of(*host).count() == REFLECTORS
        };
        let all_see_all = owners.iter().all(both);
        let med = match self.rng.below(4) {
            0 if all_see_all => MedRule::Mixed,
            0 | 1 => MedRule::OneAs,
            _ => MedRule::Never,
        };
        self.blocks.push(Block {
            prefix,
            owners,
            med,
        });
    }

    /// The prefix of a number: policies cut by its remainder modulo 40.
    fn prefix(&mut self, number: u32) -> IpNet {
        let [.., low] = (number % 40).to_be_bytes();
        let [.., turn] = (number / 40).to_be_bytes();
        if self.chance(2) {
            let address = Ipv4Addr::new(172, 16 + turn / 4, low, 64 * (turn % 4));
            Ipv4Net::new_assert(address, 26).into()
        } else {
            let segment = u16::from_be_bytes([low, turn]);
            let address = Ipv6Addr::new(0x2001, 0xdb8, segment, 0, 0, 0, 0, 0);
            Ipv6Net::new_assert(address, *pick(&mut self.rng, &[48, 64, 122])).into()
        }
    }

    // What a route says.

    fn route(&mut self, host: usize, block: usize) -> Box<OwnRoute> {
        let Block { prefix, med, .. } = self.blocks[block];
        Box::new(OwnRoute {
            next_hop: self.next_hop(host, &prefix),
            attributes: self.attributes(host, med),
        })
    }

    fn next_hop(&mut self, host: usize, prefix: &IpNet) -> NextHop {
        let plan = &self.topology.hosts[host];
        // IPv4 through an IPv6 next hop (RFC 8950) now and then.
        let v6 = NextHop::V6 {
            global: plan.v6,
            link_local: None,
        };
        match prefix {
            IpNet::V4(_) if !self.chance(8) => NextHop::V4(plan.v4),
            IpNet::V4(_) | IpNet::V6(_) => v6,
        }
    }

    fn attributes(&mut self, host: usize, med: MedRule) -> PathAttributes {
        let origins = [Origin::Igp, Origin::Igp, Origin::Egp, Origin::Incomplete];
        let preferences = [None, None, None, Some(50), Some(200)];
        let mut attributes = PathAttributes {
            origin: *pick(&mut self.rng, &origins),
            local_pref: *pick(&mut self.rng, &preferences),
            as_path: self.as_path(host, med),
            communities: self.communities(),
            ..PathAttributes::default()
        };
        if med != MedRule::Never {
            attributes.med = *pick(&mut self.rng, &[None, Some(0), Some(5), Some(10)]);
        }
        if self.chance(6) {
            attributes.atomic_aggregate = true;
            attributes.aggregator = Some(Aggregator {
                asn: *pick(&mut self.rng, &NEIGHBOURS),
                address: Ipv4Addr::new(192, 0, 2, 1),
            });
        }
        if self.chance(6) {
            attributes.large_communities = vec![LargeCommunity {
                global: CLUSTER_AS.0,
                local1: self.rng.below(3) as u32,
                local2: 7,
            }];
        }
        if self.chance(6) {
            let transitive = *pick(&mut self.rng, &[0x00, 0x40]);
            attributes.extended_communities = vec![[transitive, 2, 0, 1, 0, 0, 0, 9]];
        }
        attributes
    }

    fn as_path(&mut self, host: usize, med: MedRule) -> AsPath {
        let external = self.topology.hosts[host].kind == Kind::External;
        let begin = match med {
            // The external router prepends the one AS itself.
            MedRule::OneAs if external => None,
            MedRule::OneAs => Some(EXTERNAL_AS),
            MedRule::Mixed => Some(*pick(&mut self.rng, &NEIGHBOURS)),
            MedRule::Never if self.chance(3) => Some(*pick(&mut self.rng, &NEIGHBOURS[1..])),
            MedRule::Never => None,
        };
        let mut sequence: Vec<Asn> = begin.into_iter().collect();
        if self.chance(4) {
            sequence.push(Asn(65_010 + self.rng.below(4) as u32));
        }
        let mut segments = Vec::new();
        if !sequence.is_empty() {
            segments.push((SegmentKind::Sequence, sequence));
            if self.chance(8) {
                segments.push((SegmentKind::Set, vec![Asn(65_020), Asn(65_021)]));
            }
        }
        AsPath::from_segments(segments)
    }

    fn communities(&mut self) -> Vec<Community> {
        let plain = Community(0xfc00_0001);
        if self.chance(64) {
            // Now and then so many that what is added on the way decides whether the message still
            // fits into 4,096 octets.
            let number = 985 + self.rng.below(30) as u32;
            return (1..=number)
                .map(|low| Community(0xfc01_0000 + low))
                .collect();
        }
        match self.rng.below(16) {
            0 => vec![Community::NO_EXPORT],
            1 => vec![Community::NO_ADVERTISE],
            2 => vec![plain, Community::NO_EXPORT_SUBCONFED],
            3..=6 => vec![plain],
            _ => Vec::new(),
        }
    }

    // Who does what when.

    /// Most hosts announce their own blocks at once; contested ones have one owner or more.
    fn beginnings(&mut self) {
        for block in 0..self.blocks.len() {
            for owner in self.blocks[block].owners.clone() {
                if self.chance(4) {
                    continue;
                }
                let at = match self.chance(2) {
                    true => Instant::ZERO,
                    false => self.moment(),
                };
                self.originate(at, owner, block);
            }
        }
    }

    fn originate(&mut self, at: Instant, host: usize, block: usize) {
        let prefix = self.blocks[block].prefix;
        let route = self.route(host, block);
        self.at(
            at,
            Operation::Originate {
                host,
                prefix,
                route,
            },
        );
    }

    fn changes(&mut self) {
        for _ in 0..5 + self.rng.below(80) {
            let at = self.moment();
            let block = self.rng.below(self.blocks.len() as u64) as usize;
            let host = *pick(&mut self.rng, &self.blocks[block].owners);
            let prefix = self.blocks[block].prefix;
            match self.rng.below(8) {
                0..=2 => self.originate(at, host, block),
                3 | 4 => self.at(at, Operation::Withdraw { host, prefix }),
                5 => self.flap(at, host, block),
                6 => self.step(at, block),
                _ => self.question(at),
            }
        }
    }

    /// Several changes in a row, faster than anyone can follow.
    fn flap(&mut self, mut at: Instant, host: usize, block: usize) {
        let prefix = self.blocks[block].prefix;
        for _ in 0..2 + self.rng.below(6) {
            match self.chance(2) {
                true => self.at(at, Operation::Withdraw { host, prefix }),
                false => self.originate(at, host, block),
            }
            at = self.later(at, 0, 100);
        }
    }

    /// A block moves from one owner to another, with a gap or an overlap.
    fn step(&mut self, at: Instant, block: usize) {
        let owners = self.blocks[block].owners.clone();
        let (from, to) = (*pick(&mut self.rng, &owners), *pick(&mut self.rng, &owners));
        let prefix = self.blocks[block].prefix;
        let (gone, there) = (self.later(at, 0, 2_000), self.later(at, 0, 2_000));
        self.at(gone, Operation::Withdraw { host: from, prefix });
        self.originate(there, to, block);
    }

    /// A route refresh, or news of a next hop.
    fn question(&mut self, at: Instant) {
        let session = self.rng.below(self.topology.sessions.len() as u64) as usize;
        let side = self.rng.below(2) as usize;
        let operation = if self.chance(3) {
            let host = self.topology.sessions[session].ends[0].host;
            let plan = &self.topology.hosts[host];
            let address: IpAddr = *pick(&mut self.rng, &[plan.v4.into(), plan.v6.into()]);
            let choices = [
                Reachability::Unreachable,
                Reachability::Reachable { metric: 0 },
                Reachability::Reachable { metric: 20 },
            ];
            let reachability = *pick(&mut self.rng, &choices);
            Operation::NextHop {
                address,
                reachability,
            }
        } else {
            let family = *pick(&mut self.rng, &Family::ALL);
            Operation::Refresh {
                session,
                side,
                family,
            }
        };
        self.at(at, operation);
    }

    // What goes wrong.

    fn failures(&mut self) {
        for _ in 0..1 + self.rng.below(25) {
            let at = self.moment();
            let host = self.host();
            let session = self.rng.below(self.topology.sessions.len() as u64) as usize;
            let side = self.rng.below(2) as usize;
            let until = self.later(at, 10, 30_000);
            let operation = match self.rng.below(9) {
                0 | 1 => {
                    self.restart(at, host);
                    continue;
                }
                2 => Operation::Freeze { host, until },
                3 => Operation::Cut { session, until },
                4 => Operation::Isolate { host, until },
                5 => Operation::Stall {
                    session,
                    side,
                    until,
                },
                6 => Operation::Break { session },
                7 => Operation::Reset { session, side },
                _ => {
                    self.shut(at, session, side);
                    continue;
                }
            };
            self.at(at, operation);
        }
    }

    /// A reflector one time in four: that is where most sessions are.
    fn host(&mut self) -> usize {
        match self.chance(4) {
            true => self.rng.below(REFLECTORS as u64) as usize,
            false => self.rng.below(self.topology.hosts.len() as u64) as usize,
        }
    }

    fn restart(&mut self, at: Instant, host: usize) {
        let ways = [
            Stopping::PowerLoss,
            Stopping::Crash,
            Stopping::Silent,
            Stopping::Cease,
        ];
        let how = *pick(&mut self.rng, &ways);
        self.at(at, Operation::Stop { host, how });
        let node = self.topology.hosts[host].kind == Kind::Node;
        if node && self.chance(6) {
            self.dead.push(host);
            return;
        }
        let back = match self.chance(2) {
            true => self.later(at, 1, 200),
            false => self.later(at, 200, 20_000),
        };
        self.at(back, Operation::Start { host });
    }

    /// Some blocks go for good, a few change; then sessions begin again, one way or another.
    fn ending(&mut self, faults: bool) {
        let begin = self.quiet_at;
        for _ in 0..1 + self.rng.below(8) {
            let at = begin + Duration::from_micros(self.rng.below(500_000));
            let block = self.rng.below(self.blocks.len() as u64) as usize;
            let owners = self.blocks[block].owners.clone();
            if self.chance(3) {
                let host = *pick(&mut self.rng, &owners);
                self.originate(at, host, block);
                continue;
            }
            let prefix = self.blocks[block].prefix;
            for host in owners {
                self.at(at, Operation::Withdraw { host, prefix });
            }
        }
        for _ in 0..1 + self.rng.below(8) {
            let at = begin + Duration::from_micros(400_000 + self.rng.below(1_000_000));
            let session = self.rng.below(self.topology.sessions.len() as u64) as usize;
            let side = self.rng.below(2) as usize;
            let host = self.rng.below(self.topology.hosts.len() as u64) as usize;
            match self.rng.below(4) {
                1 if faults => self.at(at, Operation::Break { session }),
                2 if faults => self.at(at, Operation::Reset { session, side }),
                3 if faults && !self.dead.contains(&host) => {
                    let ways = [Stopping::Crash, Stopping::Silent, Stopping::Cease];
                    let how = *pick(&mut self.rng, &ways);
                    self.at(at, Operation::Stop { host, how });
                    let back = at + Duration::from_micros(self.rng.below(1_000_000));
                    self.at(back, Operation::Start { host });
                }
                _ => {
                    let family = *pick(&mut self.rng, &Family::ALL);
                    let refresh = Operation::Refresh {
                        session,
                        side,
                        family,
                    };
                    self.at(at, refresh);
                }
            }
        }
    }

    fn shut(&mut self, at: Instant, session: usize, side: usize) {
        let off = Operation::Enable {
            session,
            side,
            enabled: false,
        };
        self.at(at, off);
        let back = self.later(at, 10, 20_000);
        let on = Operation::Enable {
            session,
            side,
            enabled: true,
        };
        self.at(back, on);
    }
}
