//! Tests of the session room: the machine's table, negotiation, collision, and whole sessions in
//! virtual time.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests fail by panicking, and pick out the events they are about"
)]

mod collision;
mod fsm;
mod lone;
mod negotiate;
mod pair;
mod protocol;
mod redial;
mod sentences;
mod transport;
mod walk;
mod walker;
mod world;

use bgp_core::family::{Family, FamilySet};
use bgp_core::session::SessionSettings;
use bgp_core::time::Duration;
use bgp_core::types::{Asn, PeerRole, RouterId};
use std::net::Ipv4Addr;

/// An internal session of router 10.0.0.1 in AS 64512 that offers everything.
fn settings() -> SessionSettings {
    SessionSettings {
        local_as: Asn(64_512),
        router_id: RouterId(Ipv4Addr::new(10, 0, 0, 1)),
        remote_as: Asn(64_512),
        role: PeerRole::Client,
        families: FamilySet::from_iter(Family::ALL),
        hold_time: Duration::from_secs(90),
        connect_retry: Duration::from_secs(5),
        passive: false,
        add_path_receive: true,
        add_path_send: true,
        extended_messages: true,
        restart_time: Duration::from_secs(120),
        restarting: false,
        long_lived_restart_time: Some(Duration::from_secs(3_600)),
        forwarding: FamilySet::ALL,
        host_name: "rr-1".into(),
    }
}
