//! Devices and addresses that come and go.

use crate::keeper::{Keeper, blocks, onlink, place, settings, through};
use crate::stage::{OURS, Stage, until};
use bgp_fib::fib::{Cause, RouteState};
use bgp_fib::kernel::{LinkIndex, Target};
use bgp_fib::wanted::Wanted;
use bgp_fib::{FibEvent, Resolution};

/// 200 routes through up0, of both families, and two holes.
fn fill(keeper: &Keeper) -> usize {
    let mut routes: Vec<_> = blocks(100)
        .map(|block| (block, through("10.0.0.2")))
        .collect();
    routes.extend((0..100).map(|number| {
        let block = place(&format!("2001:db8:0:{number:x}::/122"));
        (block, through("fd00:0::2"))
    }));
    routes.push((place("192.168.0.0/26"), Wanted::Blackhole));
    routes.push((place("2001:db8:1::/122"), Wanted::Blackhole));
    let count = routes.len();
    keeper.set(routes);
    count
}

#[test]
fn routes_come_back_with_their_link() {
    let Some(stage) = Stage::new("links::routes_come_back_with_their_link") else {
        return;
    };
    let mut wire = stage.wire();
    let keeper = Keeper::start(&stage, settings());
    let count = fill(&keeper);
    let before = keeper.check(&mut wire, count);
    for _ in 0..3 {
        stage.host.ip("link set up0 down").unwrap();
        keeper.until("the loss of the link", |fib| fib.counts().installed == 2);
        let status = keeper.status("16.0.0.0/26");
        assert!(matches!(status.state, RouteState::Waiting(_)), "{status:?}");
        assert_eq!(wire.routes(OURS).len(), 2);
        // IPv6 loses the addresses of a link that goes down.
        stage
            .host
            .ip("link set up0 up\naddr add fd00:0::1/64 dev up0 nodad")
            .unwrap();
        assert_eq!(keeper.check(&mut wire, count), before);
    }
}

/// A link that goes down and comes back before anybody can look leaves nothing of its routes.
#[test]
fn a_link_that_only_blinks_is_noticed() {
    let Some(stage) = Stage::new("links::a_link_that_only_blinks") else {
        return;
    };
    let mut wire = stage.wire();
    let keeper = Keeper::start(&stage, settings());
    let count = fill(&keeper);
    keeper.check(&mut wire, count);
    for _ in 0..10 {
        stage
            .host
            .ip("link set up0 down\nlink set up0 up\naddr add fd00:0::1/64 dev up0 nodad")
            .unwrap();
    }
    until("all routes in the kernel", || {
        wire.routes(OURS).len() == count
    });
    keeper.check(&mut wire, count);
}

#[test]
fn a_carrier_lost_and_found_costs_no_route() {
    let Some(stage) = Stage::new("links::a_carrier_lost_and_found") else {
        return;
    };
    let mut wire = stage.wire();
    let keeper = Keeper::start(&stage, settings());
    let count = fill(&keeper);
    let before = keeper.check(&mut wire, count);
    let requests = keeper.stats().requests;
    stage.far.ip("link set up0 down").unwrap();
    keeper.until("the loss of the carrier", |fib| {
        fib.links().named("up0").is_some_and(|link| !link.carrier)
    });
    assert_eq!(wire.routes(OURS).len(), count, "the kernel keeps them");
    stage.far.ip("link set up0 up").unwrap();
    keeper.until("the return of the carrier", |fib| {
        fib.links().named("up0").is_some_and(|link| link.carrier)
    });
    assert_eq!(keeper.check(&mut wire, count), before);
    assert_eq!(keeper.stats().requests, requests, "nothing had to be done");
}

#[test]
fn routes_come_back_with_the_address_they_need() {
    let Some(stage) = Stage::new("links::routes_come_back_with_the_address") else {
        return;
    };
    let mut wire = stage.wire();
    let keeper = Keeper::start(&stage, settings());
    let mut with_source = through("10.0.1.2");
    if let Wanted::Via { source, .. } = &mut with_source {
        *source = Some("10.0.1.7".parse().unwrap());
    }
    stage.host.ip("addr add 10.0.1.7/32 dev up1").unwrap();
    keeper.want("192.168.0.0/26", with_source);
    keeper.want("192.168.0.64/26", through("10.0.0.2"));
    keeper.want("192.168.0.128/26", Wanted::Blackhole);
    keeper.check(&mut wire, 3);
    // The preferred source goes, and the route with it; told.
    stage.host.ip("addr del 10.0.1.7/32 dev up1").unwrap();
    keeper.until("the loss of the source", |fib| fib.counts().installed == 2);
    stage.host.ip("addr add 10.0.1.7/32 dev up1").unwrap();
    keeper.check(&mut wire, 3);
    // The gateway's network goes, and the route with it; not told.
    stage.host.ip("addr del 10.0.0.1/24 dev up0").unwrap();
    keeper.until("the loss of the network", |fib| fib.counts().installed == 2);
    let status = keeper.status("192.168.0.64/26");
    let gateway = "10.0.0.2".parse().unwrap();
    assert_eq!(status.state, RouteState::Waiting(Cause::NextHop(gateway)));
    stage.host.ip("addr add 10.0.0.1/24 dev up0").unwrap();
    keeper.check(&mut wire, 3);
}

#[test]
fn a_device_made_anew_gets_its_routes_again() {
    let Some(stage) = Stage::new("links::a_device_made_anew") else {
        return;
    };
    let mut wire = stage.wire();
    let keeper = Keeper::start(&stage, settings());
    let old = stage.index("up0");
    keeper.set(
        blocks(50)
            .map(|block| (block, onlink("203.0.113.9", "up0")))
            .collect(),
    );
    keeper.want("192.168.0.0/26", through("10.0.0.2"));
    keeper.check(&mut wire, 51);
    stage.host.ip("link del up0").unwrap();
    keeper.until("the loss of the device", |fib| fib.counts().installed == 0);
    let status = keeper.status("16.0.0.0/26");
    assert_eq!(status.state, RouteState::Waiting(Cause::Link("up0".into())));
    stage.add_link(0);
    let new = stage.index("up0");
    assert_ne!(old, new);
    let routes = keeper.check(&mut wire, 51);
    let through_new = |hop: &bgp_fib::kernel::Hop| hop.link == Some(new);
    assert!(routes.iter().all(|route| {
        matches!(&route.target, Target::Unicast(hops) if hops.iter().all(through_new))
    }));
    // A device that takes the name of another is the one that is meant.
    stage.host.ip("link set up0 down\nlink set up0 name old0\nlink set up1 down\nlink set up1 name up0\nlink set up0 up").unwrap();
    keeper.until("the routes on the renamed device", |fib| {
        fib.counts().installed == 50
    });
    let renamed: LinkIndex = stage.index("up0");
    let on_it = wire.routes(OURS).into_iter().filter(
        |route| matches!(&route.target, Target::Unicast(hops) if hops[0].link == Some(renamed)),
    );
    assert_eq!(on_it.count(), 50);
}

#[test]
fn a_watched_next_hop_is_followed() {
    let Some(stage) = Stage::new("links::a_watched_next_hop") else {
        return;
    };
    let mut keeper = Keeper::start(&stage, settings());
    let watched = "10.0.0.77".parse().unwrap();
    keeper.ask(move |fib, _| fib.watch(watched));
    let mut found = |what: &str, wanted: Resolution| {
        let wanted = FibEvent::NextHop(watched, wanted);
        keeper.event(what, |event| *event == wanted);
    };
    let connected = Resolution::Connected {
        device: "up0".into(),
        carrier: true,
    };
    found("its network", connected.clone());
    stage
        .host
        .ip("route add 10.0.0.77/32 via 10.0.1.2 metric 7")
        .unwrap();
    found(
        "a router before it",
        Resolution::Via {
            gateway: "10.0.1.2".parse().unwrap(),
            device: "up1".into(),
            metric: 7,
            carrier: true,
        },
    );
    stage.host.ip("link set up1 down").unwrap();
    found("its network again", connected);
    stage.host.ip("link set up0 down").unwrap();
    found("nothing", Resolution::Unreachable);
}
