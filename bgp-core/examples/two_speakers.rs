//! Two BGP speakers in one process: no runtime, no socket, no clock.
//!
//! The "network" is a loop that carries bytes from one to the other. Run it with
//! `cargo run -p bgp-core --example two_speakers`.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use bgp_core::config::{Config, Peer, PeerSettings, Router};
use bgp_core::family::Family;
use bgp_core::speaker::{Output, Speaker};
use bgp_core::time::Instant;
use bgp_core::types::{Asn, ConnectionId, RouterId};
use bgp_core::wire::{NextHop, PathAttributes};
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

fn speaker(own: [u8; 4], other: [u8; 4], passive: bool) -> Result<Speaker, Box<dyn Error>> {
    let mut settings = PeerSettings::client(Asn(64_512));
    settings.passive = passive;
    let config = Config::new(Router::new(Asn(64_512), RouterId(own.into()))).with_peer(Peer::new(
        "other",
        IpAddr::from(other),
        settings,
    ));
    Ok(Speaker::new(config, Instant::ZERO, 1)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let (left, right) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let mut speakers = [speaker(left, right, false)?, speaker(right, left, true)?];
    let next_hop = NextHop::V4(Ipv4Addr::from(left));
    speakers[0].originate(
        Instant::ZERO,
        "10.244.17.64/26".parse()?,
        next_hop,
        &PathAttributes::default(),
    );

    // One connection joins the two; each side has its own number for it.
    let mut ends: [Option<ConnectionId>; 2] = [None, None];
    let mut now = Instant::ZERO;
    for _ in 0..1_000 {
        for from in [0, 1] {
            speakers[from].handle_timeout(now);
            while let Some(output) = speakers[from].poll_output() {
                match output {
                    Output::Connect {
                        connection, remote, ..
                    } => {
                        let local = SocketAddr::new(IpAddr::from(left), 40_000);
                        ends[from] = Some(connection);
                        ends[1 - from] =
                            speakers[1 - from].handle_accepted(now, remote, local).ok();
                        speakers[from].handle_connected(now, connection, local);
                    }
                    Output::Transmit(connection) => {
                        let mut messages = Vec::new();
                        speakers[from].poll_transmit(now, connection, 65_536, &mut messages);
                        if let Some(there) = ends[1 - from] {
                            speakers[1 - from].handle_received(now, there, &messages.concat());
                        }
                    }
                    Output::Close { .. } => ends = [None, None],
                    Output::Event(event) => println!("{now:?} speaker {from}: {event:?}"),
                }
            }
        }
        let page = speakers[1].loc_rib(Family::Ipv4Unicast, None, 10);
        if let Some(route) = page.items.first() {
            println!("{now:?} speaker 1 has learned {route:?}");
            return Ok(());
        }
        // Nothing happens by itself: time is what we say it is.
        let next = speakers
            .iter()
            .filter_map(Speaker::poll_timeout)
            .map(|(at, _)| at)
            .min();
        now = next.unwrap_or(now).max(now);
    }
    Err("the route did not arrive".into())
}
