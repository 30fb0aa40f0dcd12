//! Neighbour and forwarding entries of VXLAN devices.

use crate::scene::Scene;
use bgp_core::time::Duration;
use bgp_fib::kernel::{Mac, NeighbourKey, NeighbourTarget};
use bgp_fib::wanted::TunnelEnd;
use bgp_fib::{FibEvent, Subject};
use std::net::IpAddr;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn end(number: u8) -> TunnelEnd {
    TunnelEnd {
        device: "vxlan.calico".into(),
        address: IpAddr::from([10, 1, number, 0]),
        mac: Mac([2, 0, 0, 0, 0, number]),
        host: IpAddr::from([10, 0, 0, number]),
    }
}

#[test]
fn two_entries_per_remote_host_that_come_back_with_the_device() {
    let mut scene = Scene::new();
    scene.fib.set_tunnel_end(end(2));
    scene.pump();
    assert_eq!(scene.kernel.neighbours().count(), 0);
    let link = scene.kernel.add_link("vxlan.calico");
    scene.pump();
    let there: Vec<_> = scene
        .kernel
        .neighbours()
        .map(|(key, to)| (*key, *to))
        .collect();
    let expected = [
        (
            NeighbourKey::Neighbour(link, address("10.1.2.0")),
            NeighbourTarget::Mac(end(2).mac),
        ),
        (
            NeighbourKey::Forwarding(link, end(2).mac),
            NeighbourTarget::Host(address("10.0.0.2")),
        ),
    ];
    assert_eq!(there, expected);
    assert!(scene.fib.in_sync());
    scene.kernel.set_up(link, false);
    scene.pump();
    assert_eq!(scene.kernel.neighbours().count(), 0);
    scene.kernel.set_up(link, true);
    scene.pump();
    assert_eq!(scene.kernel.neighbours().count(), 2);
    scene
        .fib
        .remove_tunnel_end(&"vxlan.calico".into(), address("10.0.0.2"));
    scene.pump();
    assert_eq!(scene.kernel.neighbours().count(), 0);
    assert_eq!(scene.fib.tunnel_ends().count(), 0);
}

#[test]
fn entries_of_others_are_left_alone_and_ours_are_repaired() {
    let mut scene = Scene::new();
    let link = scene.kernel.add_link("vxlan.calico");
    let stranger = NeighbourKey::Forwarding(link, Mac([9; 6]));
    let to = NeighbourTarget::Host(address("10.0.0.99"));
    scene.kernel.put_neighbour(stranger, to).unwrap();
    scene.pump();
    scene.fib.set_tunnel_end(end(2));
    scene.fib.set_tunnel_end(end(3));
    scene.pump();
    let ours = NeighbourKey::Forwarding(link, end(2).mac);
    scene.kernel.delete_neighbour(&ours).unwrap();
    scene
        .kernel
        .put_neighbour(NeighbourKey::Forwarding(link, end(3).mac), to)
        .unwrap();
    scene.pump();
    assert_eq!(scene.kernel.neighbours().count(), 5);
    let host = |key| scene.kernel.neighbours().find(|(other, _)| **other == key);
    assert_eq!(host(ours).unwrap().1, &NeighbourTarget::Host(end(2).host));
    // Without a notification the slow timer finds it.
    scene.kernel.delete_neighbour(&ours).unwrap();
    while scene.kernel.next_notice().is_some() {}
    scene.pass(Duration::from_secs(61));
    assert_eq!(scene.kernel.neighbours().count(), 5);
    scene.fib.remove_all();
    scene.pump();
    let left: Vec<_> = scene.kernel.neighbours().map(|(key, _)| *key).collect();
    assert_eq!(left, [stranger]);
}

#[test]
fn a_changed_end_leaves_nothing_behind_and_a_refusal_is_told() {
    let mut scene = Scene::new();
    scene.kernel.add_link("vxlan.calico");
    scene.fib.set_tunnel_end(end(2));
    scene.pump();
    let moved = TunnelEnd {
        mac: Mac([7; 6]),
        ..end(2)
    };
    scene.kernel.refuse([bgp_fib::kernel::KernelError {
        errno: 22,
        text: "no".into(),
    }]);
    scene.fib.set_tunnel_end(moved);
    scene.pump();
    let subject = Subject::TunnelEnd("vxlan.calico".into(), address("10.0.0.2"));
    let told = |event: &FibEvent| matches!(event, FibEvent::Refused { subject: about, .. } if *about == subject);
    assert_eq!(scene.heard(told), 1);
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.kernel.neighbours().count(), 2);
    assert!(scene.fib.in_sync());
}
