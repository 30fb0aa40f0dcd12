//! What a reader hears, and in which order: End-of-RIB, late joiners, route refresh, slow readers.

use crate::support::*;
use bgp_core::family::{Family, FamilySet};
use bgp_core::prefix::IpNet;
use bgp_core::rib::{MAX_CACHE_BYTES, MAX_CHUNK_ENTRIES, PeerFacts};
use bgp_core::types::PeerRole;
use bgp_core::wire::{MAX_EXTENDED_LEN, PathAttributes, RefreshSubtype};
use std::collections::BTreeSet;

fn with_med(med: u32) -> PathAttributes {
    PathAttributes {
        med: Some(med),
        ..PathAttributes::default()
    }
}

fn nets(count: u32) -> Vec<IpNet> {
    (0..count).map(|n| nth_net(V4, n)).collect()
}

/// A lab in which client 1 has said `count` prefixes, with as many attribute sets.
fn lab_with(count: u32) -> Lab {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    for n in 0..count {
        lab.say(1, &with_med(n), &[nth_net(V4, n)]);
    }
    lab.converge();
    lab
}

fn v4_only(n: u32) -> PeerFacts {
    PeerFacts {
        families: [V4].into_iter().collect(),
        ..facts(n, PeerRole::Client)
    }
}

fn end_of_rib_at(client: &Client) -> usize {
    let is_marker = |heard: &Heard| *heard == Heard::EndOfRib(V4);
    client.heard.iter().position(is_marker).unwrap()
}

fn announced(heard: &[Heard]) -> Vec<IpNet> {
    let prefix = |heard: &Heard| match heard {
        Heard::Announce(prefix) => Some(*prefix),
        Heard::Withdraw(_) | Heard::EndOfRib(_) | Heard::Refresh(..) => None,
    };
    heard.iter().filter_map(prefix).collect()
}

#[test]
fn an_empty_table_ends_at_once() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    assert_eq!(
        lab.rib.poll_ready(),
        Some(lab.clients[&1].slot),
        "without a settle"
    );
    let client = lab.clients.get_mut(&1).unwrap();
    client.read_all(&mut lab.rib);
    assert_eq!(client.heard, [Heard::EndOfRib(V4), Heard::EndOfRib(V6)]);
    lab.converge();
}

#[test]
fn end_of_rib_comes_once_after_the_table() {
    let mut lab = lab_with(300);
    lab.up(v4_only(2));
    // Read in small bites; it is the last thing whatever the bites.
    let mut bites = 1;
    while lab.clients.get_mut(&2).unwrap().read(&mut lab.rib, 500) {
        bites += 1;
    }
    assert!(bites > 20);
    assert_eq!(end_of_rib_at(lab.client(2)), 300);
    lab.say(1, &with_med(9), &nets(10));
    lab.converge();
    assert_eq!(lab.client(2).end_of_rib[V4], 1);
}

#[test]
fn what_changes_while_the_table_is_read_still_comes_before_its_end() {
    let mut lab = lab_with(300);
    lab.up(v4_only(2));
    lab.clients.get_mut(&2).unwrap().read(&mut lab.rib, 2_000);
    // What has not been read yet moves behind the place where the log ended at the beginning.
    lab.say(1, &with_med(9_999), &nets(300)[250..]);
    lab.unsay(1, &nets(300)[240..250]);
    lab.work();
    lab.clients.get_mut(&2).unwrap().read_all(&mut lab.rib);
    let client = lab.client(2);
    let before: BTreeSet<IpNet> = announced(&client.heard[..end_of_rib_at(client)])
        .into_iter()
        .collect();
    assert!(
        nets(300)[250..]
            .iter()
            .all(|prefix| before.contains(prefix))
    );
    lab.converge();
    assert_eq!(lab.client(2).end_of_rib[V4], 1);
}

#[test]
fn end_of_rib_can_be_held_back() {
    let mut lab = Lab::new();
    lab.rib.hold_end_of_rib(true);
    lab.up(v4_only(1));
    lab.up(v4_only(2));
    lab.converge();
    assert!(lab.client(2).heard.is_empty());
    // What comes meanwhile comes before it, although it came after the reader.
    lab.say(1, &with_med(1), &nets(20));
    lab.converge();
    lab.say(1, &with_med(2), &nets(30)[20..]);
    lab.rib.hold_end_of_rib(false);
    assert!(lab.rib.unsettled(), "readers have to be woken");
    lab.converge();
    assert_eq!(end_of_rib_at(lab.client(2)), 30);
    assert_eq!(lab.client(1).heard, [Heard::EndOfRib(V4)]);
    // Holding again concerns those only who have not had it.
    lab.rib.hold_end_of_rib(true);
    lab.up(v4_only(3));
    lab.converge();
    assert_eq!(lab.client(3).routes.len(), 30);
    assert_eq!(lab.client(3).end_of_rib[V4], 0);
}

#[test]
fn a_late_joiner_hears_each_prefix_once_in_its_last_state() {
    let mut lab = lab_with(50);
    lab.up(v4_only(2));
    lab.converge();
    for round in 0..40 {
        lab.say(1, &with_med(1_000 + round), &nets(50)[..10]);
        lab.converge();
    }
    lab.unsay(1, &nets(50)[..5]);
    lab.up(v4_only(3));
    lab.converge();
    let heard = announced(&lab.client(3).heard);
    assert_eq!(heard.len(), 45);
    assert_eq!(heard.iter().collect::<BTreeSet<_>>().len(), 45);
    let withdraws = |heard: &&Heard| matches!(heard, Heard::Withdraw(_));
    assert_eq!(lab.client(3).heard.iter().find(withdraws), None);
}

#[test]
fn a_group_beside_a_large_table_is_built_in_slices() {
    let mut lab = lab_with(2_000);
    let mut old = v4_only(2);
    old.four_octet_as = false;
    lab.up(old);
    assert_eq!(lab.rib.poll_ready(), None, "there is nothing to read yet");
    let mut slices = 0;
    let mut rounds = 0;
    while lab.rib.work(50) {
        slices += 1;
        lab.rib.check().unwrap();
        // Meanwhile prefixes change on both sides of the place where the build is.
        let n = (slices * 97) % 2_000;
        lab.say(1, &with_med(10_000 + n), &[nth_net(V4, n)]);
        lab.unsay(1, &[nth_net(V4, (slices * 31) % 2_000)]);
        if slices % 10 == 0 {
            lab.rib.settle();
            let client = lab.clients.get_mut(&2).unwrap();
            client.read_all(&mut lab.rib);
            assert_eq!(client.end_of_rib[V4], 0, "not before everything is built");
            rounds += 1;
        }
    }
    assert!(slices >= 39 && rounds >= 3);
    lab.clients.get_mut(&2).unwrap().read_all(&mut lab.rib);
    lab.converge();
    assert_eq!(lab.client(2).end_of_rib[V4], 1);
}

#[test]
fn large_tables_come_in_several_chunks() {
    let count = 2 * MAX_CHUNK_ENTRIES as u32 + 100;
    let mut lab = Lab::new();
    lab.up(v4_only(1));
    lab.say(1, &with_med(1), &nets(count));
    lab.converge();
    let mut long = v4_only(2);
    long.send_limit = MAX_EXTENDED_LEN;
    lab.up(v4_only(3));
    lab.up(long);
    lab.converge();
    // 5 octets for each NLRI, 4096 or 65535 for each message.
    let (short, long) = (lab.client(3).messages, lab.client(2).messages);
    assert!((11..=15).contains(&short), "{short} messages");
    assert_eq!(long, 3 + 1, "a message for each chunk, and End-of-RIB");
}

#[test]
fn a_refresh_repeats_the_table_between_markers() {
    let mut lab = lab_with(100);
    let mut enhanced = v4_only(2);
    enhanced.enhanced_refresh = true;
    lab.up(enhanced);
    lab.up(v4_only(3));
    lab.converge();
    for n in [2, 3] {
        lab.client(n).heard.clear();
        let slot = lab.client(n).slot;
        lab.rib.refresh(slot, V4);
    }
    assert!(lab.rib.unsettled());
    lab.converge();
    let heard = &lab.client(2).heard;
    assert_eq!(heard[0], Heard::Refresh(V4, RefreshSubtype::Begin));
    assert_eq!(heard[101], Heard::Refresh(V4, RefreshSubtype::End));
    assert_eq!(heard.len(), 102);
    assert_eq!(announced(&lab.client(3).heard).len(), 100);
    assert_eq!(
        lab.client(3).heard.len(),
        100,
        "no marker, and no second End-of-RIB"
    );
    // Only who asked hears it again.
    assert!(announced(&lab.client(1).heard).is_empty());
}

#[test]
fn what_goes_during_a_refresh_is_withdrawn() {
    let mut lab = lab_with(100);
    for n in [2, 3] {
        let mut facts = v4_only(n);
        facts.enhanced_refresh = n == 2;
        lab.up(facts);
    }
    lab.converge();
    for n in [2, 3] {
        let slot = lab.client(n).slot;
        lab.rib.refresh(slot, V4);
    }
    // Before, during and after the repetition.
    lab.unsay(1, &nets(100)[..10]);
    lab.work();
    for n in [2, 3] {
        lab.clients.get_mut(&n).unwrap().read(&mut lab.rib, 1_000);
    }
    lab.unsay(1, &nets(100)[10..20]);
    lab.unsay(1, &nets(100)[90..]);
    lab.work();
    lab.clients
        .values_mut()
        .for_each(|client| client.read_all(&mut lab.rib));
    lab.converge();
    assert_eq!(lab.client(2).routes.len(), 70);
    assert_eq!(lab.client(3).routes.len(), 70);
}

#[test]
fn many_requests_cost_one_repetition_more() {
    let mut lab = lab_with(100);
    lab.up(v4_only(2));
    lab.converge();
    lab.client(2).heard.clear();
    let slot = lab.client(2).slot;
    for _ in 0..1_000 {
        lab.rib.refresh(slot, V4);
    }
    lab.work();
    lab.clients.get_mut(&2).unwrap().read(&mut lab.rib, 1_000);
    for _ in 0..1_000 {
        lab.rib.refresh(slot, V4);
    }
    lab.work();
    lab.clients.get_mut(&2).unwrap().read_all(&mut lab.rib);
    lab.converge();
    assert_eq!(announced(&lab.client(2).heard).len(), 200);
}

#[test]
fn markers_of_a_refresh_wait_for_end_of_rib() {
    let mut lab = lab_with(10);
    lab.rib.hold_end_of_rib(true);
    let mut enhanced = v4_only(2);
    enhanced.enhanced_refresh = true;
    let slot = lab.up(enhanced).slot;
    lab.rib.refresh(slot, V4);
    lab.converge();
    assert_eq!(lab.client(2).heard.len(), 10, "the table once, no marker");
    lab.rib.hold_end_of_rib(false);
    lab.converge();
    let heard = &lab.client(2).heard[10..];
    assert_eq!(heard[0], Heard::EndOfRib(V4));
    assert_eq!(heard[1], Heard::Refresh(V4, RefreshSubtype::Begin));
    assert_eq!(heard[12], Heard::Refresh(V4, RefreshSubtype::End));
}

#[test]
fn a_refresh_of_a_family_that_was_not_negotiated_is_nothing() {
    let mut lab = lab_with(1);
    let slot = lab.up(v4_only(2)).slot;
    lab.converge();
    lab.rib.refresh(slot, V6);
    assert!(!lab.rib.unsettled());
}

/// Readers that stall at different places, under churn: memory stays what the table takes, and
/// the others are served as if nothing were.
#[test]
fn stalled_readers_cost_a_cursor_each() {
    const STALLED: u32 = 60;
    let mut lab = lab_with(200);
    lab.up(v4_only(2));
    for n in 3..3 + STALLED {
        lab.up(v4_only(n));
    }
    // Each reads a different part of the table, and then no more.
    for n in 3..3 + STALLED {
        lab.clients
            .get_mut(&n)
            .unwrap()
            .read(&mut lab.rib, 300 * (n as usize - 3));
    }
    for round in 0..400u32 {
        let attributes = with_med(1_000_000 + round);
        lab.say(
            1,
            &attributes,
            &nets(200)[(round as usize % 10) * 20..][..20],
        );
        if round % 3 == 0 {
            lab.unsay(1, &nets(200)[(round as usize * 7) % 190..][..10]);
        }
        lab.work();
        lab.clients.get_mut(&2).unwrap().read_all(&mut lab.rib);
        let client = &lab.clients[&2];
        assert_eq!(
            client.routes,
            client.should_believe(&lab.rib)[0],
            "the fast one keeps up"
        );
        for group in lab.rib.groups() {
            assert!(group.announced + group.tombstones <= 200);
            assert!(group.log_records <= 2 * 200 + 8 * 1024);
            assert!(group.cached_bytes <= MAX_CACHE_BYTES);
        }
    }
    lab.rib.check().unwrap();
    // They wake up, and hear the last state.
    lab.clients
        .values_mut()
        .for_each(|client| client.read_all(&mut lab.rib));
    lab.converge();
    let heard: usize = lab.clients[&40].heard.len();
    assert!(
        heard < 700,
        "{heard} words for 200 prefixes that changed 8000 times"
    );
}

#[test]
fn withdraws_of_lost_peers_share_a_message() {
    let mut lab = Lab::new();
    for n in 1..=30 {
        lab.up(v4_only(n));
    }
    for n in 2..=30 {
        lab.say(n, &with_med(n), &[nth_net(V4, n)]);
    }
    lab.converge();
    let before = lab.client(1).messages;
    (2..=30).for_each(|n| lab.down(n));
    lab.converge();
    assert_eq!(lab.client(1).messages, before + 1);
    assert!(lab.client(1).routes.is_empty());
}

#[test]
fn a_client_does_not_hear_its_own_withdraw() {
    let mut lab = lab_with(5);
    lab.up(v4_only(2));
    lab.converge();
    lab.unsay(1, &nets(5));
    lab.converge();
    assert_eq!(
        lab.client(1).heard,
        [Heard::EndOfRib(V4), Heard::EndOfRib(V6)]
    );
    assert!(lab.client(2).routes.is_empty());
}

#[test]
fn families_take_turns() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    for n in 0..50 {
        lab.say(1, &with_med(n), &[nth_net(V4, n), nth_net(V6, n)]);
    }
    lab.converge();
    lab.up(facts(2, PeerRole::Client));
    for _ in 0..10 {
        lab.clients.get_mut(&2).unwrap().read(&mut lab.rib, 200);
    }
    let count = |family: Family| {
        let of_family = |prefix: &&IpNet| bgp_core::prefix::family_of(prefix) == family;
        lab.clients[&2].routes.keys().filter(of_family).count()
    };
    assert!(
        count(V4) >= 5 && count(V6) >= 5,
        "{} and {}",
        count(V4),
        count(V6)
    );
}

#[test]
fn a_session_that_is_gone_reads_nothing() {
    let mut lab = lab_with(5);
    let slot = lab.up(v4_only(2)).slot;
    lab.rib.peer_down(slot, FamilySet::EMPTY);
    lab.rib.peer_down(slot, FamilySet::EMPTY);
    let mut out = Vec::new();
    assert!(!lab.rib.transmit(slot, 10_000, &mut out));
    assert!(out.is_empty());
    assert_eq!(lab.rib.poll_ready(), None);
    let summary = lab
        .rib
        .update(slot, &announce(&with_med(1), next_hop(V4, 2), &nets(1)));
    assert_eq!(summary.accepted, 0);
    lab.clients.remove(&2);
    lab.converge();
}
