//! The stage of every scenario: a reflector in one namespace, its clients in another.

use bgp_core::family::Family;
use bgp_core::types::PeerRole;
use bgp_lab::netns::{Lan, Namespace};
use bgp_lab::reflector::{Make, Range, Reflector, Setup, Terms};
use bgp_lab::{Error, Result};
use ipnet::Ipv4Net;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tempfile::TempDir;

/// The AS of everybody.
pub(crate) const ASN: u32 = 64_512;

const REFLECTOR: u16 = 1;
const HOME: u16 = 2;

/// Fields are dropped in order: the reflector before its files and its namespace.
pub(crate) struct Stage {
    pub(crate) reflector: Box<dyn Reflector>,
    pub(crate) home: Namespace,
    _files: TempDir,
    _hub: Arc<Namespace>,
}

/// Where the reflector listens.
pub(crate) fn address() -> SocketAddr {
    (Lan::v4(REFLECTOR), 179).into()
}

/// The reflector's cluster.
pub(crate) fn cluster_id() -> Ipv4Addr {
    Lan::v4(REFLECTOR)
}

/// Sets the stage and starts the reflector, which accepts clients from 10.100.0.0/16.
pub(crate) fn set(make: Make, families: &[Family]) -> Result<Stage> {
    let files = tempfile::tempdir().map_err(|error| Error::Check(error.to_string()))?;
    let hub = Arc::new(Namespace::new("reflector")?);
    let home = Namespace::new("clients")?;
    let lan = Lan::new(&hub, REFLECTOR)?;
    lan.attach(&home, HOME)?;
    home.own_prefix("10.100.0.0/16")?;
    hub.ip(&format!("route add 10.100.0.0/16 via {}", Lan::v4(HOME)))?;
    let setup = Setup {
        asn: ASN,
        router_id: Lan::v4(REFLECTOR),
        cluster_id: cluster_id(),
        listen: vec![Lan::v4(REFLECTOR).into()],
        hold_time: 90,
        peers: Vec::new(),
        ranges: vec![Range {
            name: "nodes".to_owned(),
            accept: Ipv4Net::new_assert(Ipv4Addr::new(10, 100, 0, 0), 16).into(),
            limit: 10_000,
            terms: Terms {
                asn: ASN,
                role: PeerRole::Client,
                families: families.to_vec(),
            },
        }],
    };
    let mut reflector = make.install(setup, Arc::clone(&hub), files.path())?;
    reflector.start()?;
    Ok(Stage {
        reflector,
        home,
        _files: files,
        _hub: hub,
    })
}
