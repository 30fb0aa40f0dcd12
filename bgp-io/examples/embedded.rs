//! The engine inside a program's own tokio runtime: two speakers on loopback exchange a route.
//!
//! Run it with `cargo run -p bgp-io --example embedded`.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use bgp_core::config::{Config, DynamicGroup, Peer, PeerSettings, Router};
use bgp_core::family::Family;
use bgp_core::speaker::{Event, Speaker};
use bgp_core::types::{Asn, RouterId};
use bgp_core::wire::{NextHop, PathAttributes};
use bgp_io::{Clock, Heard, Listener};
use std::net::Ipv4Addr;

const AS: Asn = Asn(64_512);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Clock::start();

    // A reflector: everybody on this machine is a client.
    let listener = Listener::bind("127.0.0.1:0".parse()?)?;
    let address = listener.local_addr();
    let clients = PeerSettings::client(AS);
    let group = DynamicGroup::new("clients", vec!["127.0.0.0/8".parse()?], clients);
    let router = Router::new(AS, RouterId(Ipv4Addr::new(192, 0, 2, 1)));
    let speaker = Speaker::new(Config::new(router).with_dynamic(group), clock.now(), 1)?;
    let (reflector, mut events) = bgp_io::spawn(speaker, clock, vec![listener])?;

    // A node: one session to the reflector, one route of its own.
    let mut peer = Peer::new("reflector", address.ip(), PeerSettings::non_client(AS));
    peer.port = address.port();
    let router = Router::new(AS, RouterId(Ipv4Addr::new(192, 0, 2, 2)));
    let mut speaker = Speaker::new(Config::new(router).with_peer(peer), clock.now(), 2)?;
    let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 2));
    speaker.originate(
        clock.now(),
        "10.0.0.0/26".parse()?,
        next_hop,
        &PathAttributes::default(),
    );
    let (node, _) = bgp_io::spawn(speaker, clock, Vec::new())?;

    // The node says End-of-RIB when it has told everything it knows.
    while let Some(heard) = events.next().await {
        println!("reflector: {heard:?}");
        if matches!(heard, Heard::Event(Event::EndOfRib { .. })) {
            break;
        }
    }
    let page = reflector.ask(|speaker, _| speaker.loc_rib(Family::Ipv4Unicast, None, 10));
    for path in page.await?.items {
        println!("reflector: {} {:?}", path.prefix, path.state);
    }

    // Dropping a handle ends its engine; the other one sees the session go down.
    drop(node);
    while let Some(heard) = events.next().await {
        println!("reflector: {heard:?}");
        if matches!(heard, Heard::Event(Event::Down { .. })) {
            break;
        }
    }
    Ok(())
}
