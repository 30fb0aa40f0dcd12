//! Routes of every kind, kept by the reconciler.

use crate::keeper::{Keeper, hop, place, settings, through};
use crate::stage::{METRIC, OURS, Stage, until, via};
use bgp_fib::kernel::{Dump, Hop, Mac, NeighbourKey, NeighbourTarget, Notice, Target};
use bgp_fib::wanted::{Place, TunnelEnd, Wanted, WantedHop};

fn ways(hops: Vec<WantedHop>) -> Wanted {
    Wanted::Via { hops, source: None }
}

fn every_kind() -> Vec<(Place, Wanted)> {
    let weighted = |gateway: &str, weight| WantedHop {
        weight,
        ..hop(gateway)
    };
    let far_table = Place {
        table: 100_000,
        ..place("192.168.6.0/26")
    };
    vec![
        (place("192.168.0.0/26"), through("10.0.0.2")),
        (
            place("192.168.1.0/26"),
            ways(vec![weighted("10.0.0.2", 3), weighted("10.0.1.2", 256)]),
        ),
        (place("192.168.2.0/26"), Wanted::Blackhole),
        (place("192.168.2.64/26"), Wanted::Unreachable),
        (place("192.168.2.128/26"), Wanted::Prohibit),
        (place("192.168.3.0/26"), through("fd00:0::2")),
        (place("2001:db8::/122"), through("fd00:0::2")),
        (
            place("2001:db8:1::/122"),
            ways(vec![hop("fd00:0::2"), hop("fd00:1::2")]),
        ),
        (place("2001:db8:2::/122"), Wanted::Blackhole),
        (far_table, through("10.0.0.2")),
    ]
}

#[test]
fn every_kind_of_route_is_put_and_taken_away() {
    let Some(stage) = Stage::new("kinds::every_kind_of_route") else {
        return;
    };
    let mut wire = stage.wire();
    let keeper = Keeper::start(&stage, settings());
    let (up0, up1) = (stage.index("up0"), stage.index("up1"));
    let wanted = every_kind();
    let count = wanted.len();
    keeper.set(wanted.clone());
    let routes = keeper.check(&mut wire, count);
    let target = |prefix: &str| {
        let found = routes
            .iter()
            .find(|route| route.key.prefix == place(prefix).prefix);
        found.unwrap().target.clone()
    };
    assert_eq!(
        target("192.168.0.0/26"),
        Target::Unicast(vec![via("10.0.0.2", up0)])
    );
    let heavy = |hop, weight| Hop { weight, ..hop };
    let legs = vec![
        heavy(via("10.0.0.2", up0), 3),
        heavy(via("10.0.1.2", up1), 256),
    ];
    assert_eq!(target("192.168.1.0/26"), Target::Unicast(legs));
    assert_eq!(
        target("192.168.3.0/26"),
        Target::Unicast(vec![via("fd00:0::2", up0)])
    );
    let legs = vec![via("fd00:0::2", up0), via("fd00:1::2", up1)];
    assert_eq!(target("2001:db8:1::/122"), Target::Unicast(legs));
    assert!(routes.iter().all(|route| route.key.metric == METRIC));

    // Every kind turns into every other, in one step each.
    for shift in 1..count {
        let turned = wanted
            .iter()
            .enumerate()
            .filter_map(|(number, (place, _))| {
                let (from, wanted) = &wanted[(number + shift) % count];
                let same_family = from.prefix.addr().is_ipv4() == place.prefix.addr().is_ipv4();
                same_family.then(|| (*place, wanted.clone()))
            });
        keeper.set(turned.collect());
        keeper.check(&mut wire, count);
    }
    let places: Vec<Place> = wanted.iter().map(|(place, _)| *place).collect();
    keeper.ask(move |fib, _| places.iter().for_each(|place| fib.remove(*place)));
    keeper.check(&mut wire, 0);
}

/// One leg of an IPv6 route is lost: the kernel takes the legs apart.
#[test]
fn an_ipv6_route_of_two_ways_survives_the_loss_of_one() {
    let Some(stage) = Stage::new("kinds::an_ipv6_route_of_two_ways") else {
        return;
    };
    let mut wire = stage.wire();
    let keeper = Keeper::start(&stage, settings());
    keeper.want(
        "2001:db8::/122",
        ways(vec![hop("fd00:0::2"), hop("fd00:1::2")]),
    );
    let whole = keeper.check(&mut wire, 1);
    stage.host.ip("link set up1 down").unwrap();
    let up0 = stage.index("up0");
    until("the way that is left", || {
        let routes = wire.routes(OURS);
        routes.len() == 1 && routes[0].target == Target::Unicast(vec![via("fd00:0::2", up0)])
    });
    stage
        .host
        .ip("link set up1 up\naddr add fd00:1::1/64 dev up1 nodad")
        .unwrap();
    assert_eq!(keeper.check(&mut wire, 1), whole);
    // Somebody takes one leg away.
    stage
        .host
        .ip("route del 2001:db8::/122 via fd00:1::2 dev up1 metric 32")
        .unwrap();
    until("both ways", || wire.routes(OURS) == whole);
    keeper.check(&mut wire, 1);
}

#[test]
fn the_ends_of_a_vxlan_are_kept() {
    let Some(stage) = Stage::new("kinds::the_ends_of_a_vxlan") else {
        return;
    };
    let make = "link add vxlan.calico type vxlan id 4096 dstport 4789 dev up0 nolearning\n\
                link set vxlan.calico up\n\
                addr add 192.168.0.0/32 dev vxlan.calico";
    stage.host.ip(make).unwrap();
    let mut wire = stage.wire();
    let keeper = Keeper::start(&stage, settings());
    let end = TunnelEnd {
        device: "vxlan.calico".into(),
        address: "192.168.0.64".parse().unwrap(),
        mac: Mac([0x66, 0, 0, 0, 0, 2]),
        host: "10.0.0.2".parse().unwrap(),
    };
    let set = end.clone();
    keeper.ask(move |fib, _| fib.set_tunnel_end(set));
    keeper.want(
        "192.168.0.64/26",
        crate::keeper::onlink("192.168.0.64", "vxlan.calico"),
    );
    keeper.settle();
    let expected = |stage: &Stage| {
        let vxlan = stage.index("vxlan.calico");
        [
            Notice::Neighbour(
                NeighbourKey::Neighbour(vxlan, end.address),
                NeighbourTarget::Mac(end.mac),
            ),
            Notice::Neighbour(
                NeighbourKey::Forwarding(vxlan, end.mac),
                NeighbourTarget::Host(end.host),
            ),
        ]
    };
    let mut in_place = |stage: &Stage, what: &str| {
        let expected = expected(stage);
        until(what, || {
            let told = wire.dump(Dump::Neighbours);
            expected.iter().all(|entry| told.contains(entry)) && wire.routes(OURS).len() == 1
        });
    };
    in_place(&stage, "the entries");
    stage
        .host
        .ip("neigh del 192.168.0.64 dev vxlan.calico")
        .unwrap();
    in_place(&stage, "the neighbour");
    stage
        .host
        .ip("neigh replace 192.168.0.64 dev vxlan.calico lladdr 02:00:00:00:00:99 nud reachable")
        .unwrap();
    in_place(&stage, "the right neighbour");
    let mut bridge = std::process::Command::new("bridge");
    bridge.args("fdb del 66:00:00:00:00:02 dev vxlan.calico dst 10.0.0.2 self".split(' '));
    bgp_lab::process::ask(&stage.host, bridge).unwrap();
    in_place(&stage, "the forwarding entry");
    stage.host.ip("link del vxlan.calico").unwrap();
    stage.host.ip(make).unwrap();
    in_place(&stage, "the entries on the new device");
    let gone = expected(&stage);
    keeper.ask(move |fib, _| {
        fib.remove_tunnel_end(&"vxlan.calico".into(), "10.0.0.2".parse().unwrap());
    });
    until("the end's end", || {
        let told = wire.dump(Dump::Neighbours);
        gone.iter().all(|entry| !told.contains(entry))
    });
}
