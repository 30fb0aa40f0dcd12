//! Routes out of the engine: what a reader hears, and what one costs who does not read.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use bgp_core::config::Config;
use bgp_core::prefix::IpNet;
use bgp_core::rib::{Reachability, RouteChange};
use bgp_core::speaker::Speaker;
use bgp_core::wire::NextHop;
use bgp_io::{
    Clock, Events, Handle, Listener, MAX_ROUTE_BATCHES, MAX_ROUTE_NEWS, RouteNews, Routes,
};
use common::{
    address, any_port, attributes, client, established, in_time, next_hop, originate, prefix, start,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

fn start_installing(mut config: Config, listeners: Vec<Listener>) -> (Handle, Events, Routes) {
    config.router.install = true;
    config.router.track_next_hops = true;
    let clock = Clock::start();
    let speaker = Speaker::new(config, clock.now(), 1).unwrap();
    bgp_io::spawn_with_routes(speaker, clock, listeners).unwrap()
}

/// Somebody without peers.
fn alone() -> (Handle, Events, Routes) {
    let mut config = client(1, "127.0.0.1:179".parse().unwrap());
    config.peers.clear();
    start_installing(config, Vec::new())
}

async fn originate_with(handle: &Handle, prefixes: std::ops::Range<usize>, host: u8) {
    let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, host));
    let tell = move |speaker: &mut Speaker, now| {
        for n in prefixes {
            speaker.originate(now, prefix(n), next_hop, &attributes());
        }
    };
    handle.ask(tell).await.unwrap();
}

/// Enters a batch, and says how many pieces of news it had.
fn enter(batch: Vec<RouteNews>, table: &mut BTreeMap<IpNet, IpAddr>) -> usize {
    let count = batch.len();
    assert!((1..=MAX_ROUTE_NEWS).contains(&count));
    for news in batch {
        if let RouteNews::Change(RouteChange { prefix, best, .. }) = news {
            match best {
                Some(best) => drop(table.insert(prefix, best.next_hops[0])),
                None => drop(table.remove(&prefix)),
            }
        }
    }
    count
}

#[tokio::test]
async fn who_does_not_read_gets_what_holds_when_it_does() {
    in_time(async {
        const TABLE: usize = 10_000;
        let (handle, _events, mut routes) = alone();
        // Many times over, while nobody reads: the engine goes on answering.
        for host in 1..=20 {
            originate_with(&handle, 0..TABLE, host).await;
        }
        let withdraw = |speaker: &mut Speaker, now| speaker.withdraw(now, prefix(0));
        handle.ask(withdraw).await.unwrap();
        let mut table = BTreeMap::new();
        let (mut news, mut batches) = (0, 0);
        let mut last = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        while table.len() != TABLE - 1 || table.values().any(|hop| *hop != last) {
            news += enter(routes.next().await.unwrap(), &mut table);
            batches += 1;
            last = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 20));
        }
        // What waited in the channel is told again; all else was told once.
        assert!(news <= TABLE + MAX_ROUTE_BATCHES * MAX_ROUTE_NEWS, "{news}");
        assert!(batches >= TABLE / MAX_ROUTE_NEWS);
    })
    .await;
}

#[tokio::test]
async fn who_reads_no_more_is_not_waited_for() {
    in_time(async {
        let (handle, _events, routes) = alone();
        originate_with(&handle, 0..5_000, 1).await;
        drop(routes);
        originate_with(&handle, 0..5_000, 2).await;
        let table = |speaker: &mut Speaker, _| speaker.counts().best;
        let best = handle.ask(table).await.unwrap();
        assert_eq!(best[bgp_core::family::Family::Ipv4Unicast], 5_000);
    })
    .await;
}

#[tokio::test]
async fn the_end_of_the_engine_is_the_end_of_its_routes() {
    in_time(async {
        let (handle, _events, mut routes) = alone();
        originate_with(&handle, 0..1, 1).await;
        assert_eq!(routes.next().await.unwrap().len(), 1);
        drop(handle);
        assert_eq!(routes.next().await, None);
    })
    .await;
}

/// A route of a peer: its next hop is asked for, and it is told when that can be reached.
#[tokio::test]
async fn a_route_waits_for_its_next_hop() {
    in_time(async {
        let listener = any_port();
        let mut config = common::reflector();
        config.router.settle = std::time::Duration::ZERO;
        let remote = listener.local_addr();
        let (handle, mut events, mut routes) = start_installing(config, vec![listener]);
        let (other, _) = start(client(2, remote), Vec::new());
        established(&mut events, 1).await;
        originate(&other, [prefix(7)]).await;

        let asked = routes.next().await.unwrap();
        let [RouteNews::NextHop(interest)] = asked.as_slice() else {
            panic!("{asked:?}");
        };
        assert!(interest.wanted && interest.address == next_hop().address());
        let address_of_hop = interest.address;
        let tell = move |speaker: &mut Speaker, now| {
            let reachable = Reachability::Reachable { metric: 10 };
            speaker.set_next_hop(now, address_of_hop, reachable);
        };
        handle.ask(tell).await.unwrap();
        let told = routes.next().await.unwrap();
        let [RouteNews::Change(change)] = told.as_slice() else {
            panic!("{told:?}");
        };
        let best = change.best.as_ref().unwrap();
        assert_eq!(change.prefix, prefix(7));
        assert_eq!(best.origin.peer_address, IpAddr::V4(address(2)));
        assert_eq!(best.next_hops.as_slice(), [address_of_hop]);

        other.shutdown(bgp_core::session::Stop::Silent).await;
        let gone = routes.next().await.unwrap();
        let is_gone = |news: &RouteNews| matches!(news, RouteNews::Change(c) if c.best.is_none());
        assert!(gone.iter().any(is_gone), "{gone:?}");
    })
    .await;
}
