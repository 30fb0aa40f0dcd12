//! Many clients with two blocks each.

use crate::report::Figure;
use crate::{host, stage};
use bgp_core::family::Family;
use bgp_core::prefix::{IpNet, Ipv4Net};
use bgp_lab::reflector::Make;
use bgp_lab::swarm::{Member, Settings, Swarm};
use bgp_lab::{Error, Result};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(300);

/// Starts all clients, waits until each holds exactly the others' blocks, then loses one.
pub(crate) fn run(make: Make, clients: u16) -> Result<Vec<Figure>> {
    let stage = stage::set(make, &Family::ALL)?;
    let reflector = &*stage.reflector;
    let idle = host::usage(reflector.id())?;
    let id = reflector.id();
    let figures = stage.home.run(|| {
        let settings = Settings {
            reflector: stage::address(),
            cluster_id: stage::cluster_id(),
            asn: stage::ASN,
            connecting: match make {
                Make::BgpRr => usize::from(clients),
                // Its listen backlog is 8; more at once would measure the kernel's SYN timers.
                Make::Bird => 8,
            },
        };
        let mut swarm = Swarm::new(settings, (0..clients).map(member).collect())?;
        let began = Instant::now();
        swarm.run_until("all sessions", LIMIT, |swarm| {
            established(swarm, usize::from(clients))
        })?;
        let established = began.elapsed();
        swarm.run_until("all tables", LIMIT, Swarm::check_tables)?;
        // The probe runs now and then; the clock stops at the last change that any client saw.
        let complete = swarm.last_change().duration_since(began);
        let full = host::usage(id)?;

        let lost = usize::from(clients / 2);
        let began = Instant::now();
        swarm.kill(lost);
        swarm.run_until("one lost", LIMIT, Swarm::check_tables)?;
        let withdrawn = swarm.last_change().duration_since(began);

        let churned = usize::from(clients / 3);
        let before = host::usage(id)?;
        let began = Instant::now();
        for _ in 0..CHURN {
            swarm.set_announced(churned, false);
            swarm.run_until("blocks withdrawn", LIMIT, Swarm::check_tables)?;
            swarm.set_announced(churned, true);
            swarm.run_until("blocks announced", LIMIT, Swarm::check_tables)?;
        }
        let churn = began.elapsed().as_secs_f64() / f64::from(2 * CHURN);
        let after = host::usage(id)?;
        let total = swarm.total();
        if (total.own_prefixes, total.drops) != (0, 0) || !swarm.faults().is_empty() {
            return Err(Error::Check(format!("{total:?}, {:?}", swarm.faults())));
        }
        Ok(vec![
            ("all established, s", established.as_secs_f64()),
            ("all tables complete, s", complete.as_secs_f64()),
            ("processor time until then, s", full.cpu - idle.cpu),
            (
                "memory per client, KiB",
                (full.memory - idle.memory) * 1024.0 / f64::from(clients),
            ),
            (
                "one client lost, last withdraw seen, s",
                withdrawn.as_secs_f64(),
            ),
            ("one change seen by all, s", churn),
            (
                "processor time per change, ms",
                (after.cpu - before.cpu) * 1e3 / f64::from(2 * CHURN),
            ),
        ])
    });
    figures.map_err(|error| Error::Check(format!("{error}\n{}", reflector.tail())))
}

/// How often the churned client withdraws and announces its blocks.
const CHURN: u32 = 20;

fn established(swarm: &Swarm, wanted: usize) -> std::result::Result<(), String> {
    let established = swarm.established();
    if established == wanted {
        Ok(())
    } else {
        Err(format!("{established} of {wanted}"))
    }
}

/// Client `index` and its two /26 blocks.
fn member(index: u16) -> Member {
    let [high, low] = (index + 1).to_be_bytes();
    let block = |half: u8| -> IpNet {
        Ipv4Net::new_assert(Ipv4Addr::new(10, 128 + high, low, half * 64), 26).into()
    };
    Member {
        address: Ipv4Addr::new(10, 100, high, low),
        prefixes: vec![block(0), block(1)],
    }
}
