//! The example of the library does what it says.

#[path = "../../examples/reconcile.rs"]
mod reconcile;

use crate::stage::{OURS, Stage, until};
use bgp_fib::FibEvent;
use bgp_fib::edge::Sockets;

#[test]
fn the_example_keeps_its_route_and_takes_it_away() {
    let Some(stage) = Stage::new("example::the_example_keeps_its_route") else {
        return;
    };
    let mut wire = stage.wire();
    let sockets = stage.host.run(|| Ok(Sockets::open())).unwrap().unwrap();
    let words = "192.168.0.0/26 via 10.0.0.2 dev up0 onlink for 2";
    let task = reconcile::read(&words.split(' ').collect::<Vec<_>>()).unwrap();
    let healed = std::thread::scope(|scope| {
        let keeping = scope.spawn(|| {
            let mut healed = 0;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let tell = |event: &FibEvent| {
                healed += usize::from(matches!(event, FibEvent::Healed { .. }));
            };
            runtime
                .block_on(reconcile::keep(task, sockets, tell))
                .unwrap();
            healed
        });
        until("the route", || wire.routes(OURS).len() == 1);
        stage.host.ip("route del 192.168.0.0/26").unwrap();
        until("the route again", || wire.routes(OURS).len() == 1);
        keeping.join().unwrap()
    });
    assert_eq!(healed, 1);
    assert_eq!(wire.routes(OURS), []);
    assert!(reconcile::read(&["192.168.0.0/26"]).is_err());
    assert!(reconcile::read(&["192.168.0.0/26", "onlink"]).is_err());
}
