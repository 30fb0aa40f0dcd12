//! A thousand clients with two blocks each, all at once.

use bgp_core::family::Family;
use bgp_core::prefix::{IpNet, Ipv4Net};
use bgp_core::types::PeerRole;
use bgp_lab::netns::{Lan, Namespace};
use bgp_lab::reflector::{Make, Range, Setup, Terms};
use bgp_lab::swarm::{Member, Settings, Swarm};
use bgp_lab::{Error, Result, capability, check};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

const CLIENTS: u16 = 1_000;
const ASN: u32 = 64_512;
/// The LAN has the reflector as host 1 and the clients' namespace as host 2.
const REFLECTOR: u16 = 1;
const HOME: u16 = 2;
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn a_thousand_clients_at_once() -> Result<()> {
    let make = Make::from_environment();
    if !capability::need("swarm::a_thousand_clients_at_once", make.needs()) {
        return Ok(());
    }
    let dir = tempfile::tempdir().map_err(|error| Error::Check(error.to_string()))?;
    let hub = Arc::new(Namespace::new("reflector")?);
    let home = Namespace::new("clients")?;
    let lan = Lan::new(&hub, REFLECTOR)?;
    lan.attach(&home, HOME)?;
    home.own_prefix("10.100.0.0/16")?;
    hub.ip(&format!("route add 10.100.0.0/16 via {}", Lan::v4(HOME)))?;
    let mut reflector = make.install(setup(), Arc::clone(&hub), dir.path())?;
    reflector.start()?;
    let seen = home.run(|| clients(make));
    let seen = seen.map_err(|error| Error::Check(format!("{error}\n{}", reflector.tail())))?;
    check(seen == usize::from(CLIENTS), || {
        format!("{seen} clients at the end")
    })?;
    reflector.check_alive()
}

/// Everything that happens among the clients; answers how many are Established at the end.
fn clients(make: Make) -> Result<usize> {
    let settings = Settings {
        reflector: (Lan::v4(REFLECTOR), 179).into(),
        cluster_id: Lan::v4(REFLECTOR),
        asn: ASN,
        connecting: match make {
            Make::BgpRr => usize::from(CLIENTS),
            // Its listen backlog is 8.
            Make::Bird => 8,
        },
    };
    let mut swarm = Swarm::new(settings, (0..CLIENTS).map(member).collect())?;
    let all = swarm.len();
    swarm.run_until("a thousand sessions", LIMIT, |swarm| {
        established(swarm, all)
    })?;
    swarm.run_until("a thousand tables", LIMIT, Swarm::check_tables)?;
    check_quiet(&swarm)?;

    let (killed, withdrawn) = (all / 3, all / 2);
    swarm.kill(killed);
    swarm.run_until("one killed", LIMIT, Swarm::check_tables)?;
    swarm.revive(killed)?;
    swarm.run_until("it is back", LIMIT, |swarm| established(swarm, all))?;
    swarm.run_until("with its routes", LIMIT, Swarm::check_tables)?;

    swarm.set_announced(withdrawn, false);
    swarm.run_until("one withdraws its blocks", LIMIT, Swarm::check_tables)?;
    swarm.set_announced(withdrawn, true);
    swarm.run_until("and announces them again", LIMIT, Swarm::check_tables)?;
    check_quiet(&swarm)?;
    Ok(swarm.established())
}

fn established(swarm: &Swarm, wanted: usize) -> Result<(), String> {
    let established = swarm.established();
    if established == wanted {
        return Ok(());
    }
    Err(format!(
        "{established} of {wanted} Established; faults: {:?}",
        swarm.faults()
    ))
}

/// Nothing went to its source, no session was lost, and every UPDATE was as RFC 4456 demands.
fn check_quiet(swarm: &Swarm) -> Result<()> {
    let total = swarm.total();
    let faults = swarm.faults();
    check(faults.is_empty(), || format!("faults: {faults:#?}"))?;
    let quiet = (total.own_prefixes, total.drops, total.notifications) == (0, 0, 0);
    check(quiet, || format!("{total:?}"))
}

/// Client `index` and its two /26 blocks.
fn member(index: u16) -> Member {
    let [high, low] = (index + 1).to_be_bytes();
    let block = |half: u8| -> IpNet {
        let address = Ipv4Addr::new(10, 128 + high, low, half * 64);
        Ipv4Net::new_assert(address, 26).into()
    };
    Member {
        address: Ipv4Addr::new(10, 100, high, low),
        prefixes: vec![block(0), block(1)],
    }
}

fn setup() -> Setup {
    Setup {
        asn: ASN,
        router_id: Lan::v4(REFLECTOR),
        cluster_id: Lan::v4(REFLECTOR),
        listen: vec![Lan::v4(REFLECTOR).into()],
        hold_time: 90,
        peers: Vec::new(),
        ranges: vec![Range {
            name: "nodes".to_owned(),
            accept: Ipv4Net::new_assert(Ipv4Addr::new(10, 100, 0, 0), 16).into(),
            limit: 5_000,
            terms: Terms {
                asn: ASN,
                role: PeerRole::Client,
                families: Family::ALL.to_vec(),
            },
        }],
    }
}
