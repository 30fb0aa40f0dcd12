//! Clients that do not read, or read late: what they cost, and whom.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use bgp_core::prefix::IpNet;
use bgp_core::session::DownReason;
use bgp_core::speaker::{Event, Speaker};
use bgp_core::time::Instant;
use bgp_core::wire::{Community, Message, PathAttributes};
use bgp_io::{Handle, Stats};
use common::{
    Client, address, attributes, client, established, event, in_time, next_hop, prefix, start,
    start_reflector, until_routes,
};
use std::time::Duration;

/// Routes, each with attributes of its own, so that each needs an UPDATE of its own: far more
/// octets than sockets hold.
const TABLE: usize = 12_000;

/// About as many octets as each of them takes on the wire at least.
const MESSAGE: usize = 50;

/// More than the sockets of one connection hold, and less than the table.
const IN_FLIGHT: usize = 512 * 1024;

fn table() -> impl Iterator<Item = (IpNet, PathAttributes)> {
    (0..TABLE).map(|n| {
        let communities = vec![Community(u32::try_from(n).unwrap())];
        let attributes = PathAttributes {
            communities,
            ..attributes()
        };
        (prefix(n), attributes)
    })
}

async fn originate_table(handle: &Handle) {
    let tell = |speaker: &mut Speaker, now: Instant| {
        for (prefix, attributes) in table() {
            speaker.originate(now, prefix, next_hop(), &attributes);
        }
    };
    handle.ask(tell).await.unwrap();
}

async fn until_blocked(handle: &Handle) {
    let mut stats = handle.watch_stats();
    stats.wait_for(|stats| stats.octets_held > 0).await.unwrap();
}

#[tokio::test]
async fn who_never_reads_hurts_nobody_and_is_closed() {
    in_time(async {
        let (reflector, mut events, remote) = start_reflector();
        let mut stuck = Client::established(1, remote).await;
        let (reader, _) = start(client(2, remote), Vec::new());
        established(&mut events, 2).await;
        originate_table(&reflector).await;
        until_routes(&reader, TABLE).await;
        until_blocked(&reflector).await;
        assert!(reflector.stats().octets_held < 128 * 1024);

        // It says that it is alive, so only the send hold timer can tell (RFC 9687).
        tokio::time::pause();
        let keepalive = stuck.encode(Message::Keepalive);
        let alive = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_secs(20));
            while stuck.stream.try_write(&keepalive).is_ok() {
                tick.tick().await;
            }
        });
        let down = |event| {
            if let Event::Down { peer, reason, .. } = event {
                return Some((peer.address, reason));
            }
            None
        };
        let (who, why) = event(&mut events, down).await;
        assert_eq!(who, address(1));
        assert!(
            matches!(why, DownReason::SendHoldTimerExpired(_)),
            "{why:?}"
        );
        let mut stats = reflector.watch_stats();
        stats
            .wait_for(|stats| stats.connections == 1 && stats.octets_held == 0)
            .await
            .unwrap();
        alive.abort();
    })
    .await;
}

#[tokio::test]
async fn a_keepalive_does_not_wait_for_the_table() {
    in_time(async {
        let (reflector, mut events, remote) = start_reflector();
        let mut client = Client::established(1, remote).await;
        established(&mut events, 1).await;
        originate_table(&reflector).await;
        until_blocked(&reflector).await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(31)).await;
        tokio::time::resume();
        let (mut before, mut after) = (0, 0);
        let mut keepalive = false;
        while before + after < TABLE {
            match client.next().await.expect("the session stays") {
                Message::Keepalive => keepalive = true,
                Message::Update(_) if keepalive => after += 1,
                Message::Update(_) => before += 1,
                Message::Open(_) | Message::Notification(_) | Message::RouteRefresh(_) => {
                    panic!("neither table nor keepalive");
                }
            }
        }
        assert!(keepalive);

        assert!(
            before * MESSAGE < IN_FLIGHT,
            "{before} before, {after} after"
        );
        assert!(after > before);
    })
    .await;
}

/// More than are read from in one turn.
const PEERS: usize = 100;

#[tokio::test]
async fn after_a_stall_what_has_arrived_counts() {
    in_time(async {
        let (reflector, mut events, remote) = start_reflector();
        let mut clients = Vec::new();
        for n in 0..PEERS {
            clients.push(Client::established(n, remote).await);
        }
        established(&mut events, PEERS).await;
        tokio::time::pause();
        let mut stats = reflector.watch_stats();
        let mut expected = stats.borrow().octets_read;
        for client in &mut clients {
            // Without an await up to the leap in time, so that the engine sees both at once: the
            // hold time has long passed, and a KEEPALIVE is in each socket.
            let keepalive = client.encode(Message::Keepalive);
            expected += client.stream.try_write(&keepalive).unwrap() as u64;
        }
        tokio::time::advance(Duration::from_secs(200)).await;
        let all_read = |stats: &Stats| stats.octets_read >= expected;
        stats.wait_for(all_read).await.unwrap();
        assert_eq!(reflector.stats().stalls, 1);
        let up = |speaker: &mut Speaker, now: Instant| {
            let peers = speaker.peers(now).into_iter();
            peers.filter(|peer| peer.uptime.is_some()).count()
        };
        // A turn later timers have run too.
        reflector.ask(|_, _| ()).await.unwrap();
        assert_eq!(reflector.ask(up).await, Ok(PEERS));
    })
    .await;
}
