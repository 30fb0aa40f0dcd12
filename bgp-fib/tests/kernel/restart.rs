//! One reconciler ends and another takes its place.

use crate::keeper::{Keeper, blocks, place, settings, through};
use crate::stage::{OURS, Stage, route_of};
use bgp_core::family::{Family, FamilySet};
use bgp_fib::Settings;
use bgp_fib::fib::RouteState;
use bgp_fib::kernel::Notice;

#[test]
fn routes_stay_and_are_taken_over_and_the_rest_goes_at_the_sweep() {
    let Some(stage) = Stage::new("restart::routes_stay") else {
        return;
    };
    let mut wire = stage.wire();
    let first = Keeper::start(&stage, settings());
    first.set(
        blocks(300)
            .map(|block| (block, through("10.0.0.2")))
            .collect(),
    );
    first.want("2001:db8::/122", through("fd00:0::2"));
    let before = first.check(&mut wire, 301);
    first.stop();
    assert_eq!(wire.routes(OURS), before);
    wire.heard();

    let second = Keeper::start(&stage, settings());
    assert_eq!(second.status("16.0.0.0/26").state, RouteState::Stale);
    assert_eq!(second.ask(|fib, _| fib.forwarding()), FamilySet::ALL);
    // 100 as before, 100 through another router, 100 nobody asks for.
    let again = blocks(200).enumerate().map(|(number, block)| {
        let gateway = if number < 100 { "10.0.0.2" } else { "10.0.1.2" };
        (block, through(gateway))
    });
    second.set(again.collect());
    second.settle();
    assert_eq!(wire.routes(OURS).len(), 301);
    let heard = wire.heard();
    assert!(
        !heard
            .iter()
            .any(|notice| matches!(notice, Notice::RouteGone(_))),
        "no hole"
    );
    let put = heard.into_iter().filter_map(route_of);
    assert_eq!(put.count(), 100, "only what differs is put");

    second.ask(|fib, _| fib.sweep([Family::Ipv4Unicast].into_iter().collect()));
    second.check(&mut wire, 201);
    assert_eq!(second.status("2001:db8::/122").state, RouteState::Stale);
    second.ask(|fib, _| fib.sweep(FamilySet::ALL));
    second.check(&mut wire, 200);
}

#[test]
fn the_routes_of_a_predecessor_are_adopted() {
    let Some(stage) = Stage::new("restart::the_routes_of_a_predecessor") else {
        return;
    };
    let mut wire = stage.wire();
    stage
        .host
        .ip(
            "route add 192.168.0.0/26 via 10.0.0.2 proto bird metric 32\n\
             route add 192.168.0.64/26 via 10.0.0.2 proto bird\n\
             route add 192.168.0.128/26 via 10.0.0.2 proto bird\n\
             route add 192.168.0.192/26 via 10.0.0.2 proto static",
        )
        .unwrap();
    let keeper = Keeper::start(
        &stage,
        Settings {
            adopt: vec![12],
            ..settings()
        },
    );
    keeper.set(vec![
        (place("192.168.0.0/26"), through("10.0.0.2")),
        (place("192.168.0.64/26"), through("10.0.0.2")),
    ]);
    keeper.settle();
    assert_eq!(wire.routes(OURS).len(), 2);
    let left = wire.routes(12);
    assert_eq!(left.len(), 1, "asked for by nobody yet: {left:?}");
    keeper.ask(|fib, _| fib.sweep(FamilySet::ALL));
    keeper.check(&mut wire, 2);
    assert_eq!(wire.routes(12), []);
    assert_eq!(wire.routes(4).len(), 1, "static is nobody's predecessor");
}
