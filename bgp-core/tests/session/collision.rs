//! The truth table of the referee (RFC 4271 §6.8, RFC 6286 §2.3, RFC 4724 §4.2).

use bgp_core::session::State;
use bgp_core::session::collision::{Direction, Existing, Identity, Keep, winner};
use bgp_core::types::{Asn, RouterId};
use std::net::Ipv4Addr;

fn identity(last: u8, asn: u32) -> Identity {
    Identity {
        router_id: RouterId(Ipv4Addr::new(10, 0, 0, last)),
        asn: Asn(asn),
    }
}

const fn existing(state: State) -> Existing {
    Existing {
        state,
        peer_restarted: false,
    }
}

#[test]
fn in_open_confirm_the_dominant_speaker_s_connection_stays() {
    let rows = [
        // local, remote, newcomer opened by, who stays
        (
            identity(1, 1),
            identity(2, 1),
            Direction::Accepted,
            Keep::Newcomer,
        ),
        (
            identity(1, 1),
            identity(2, 1),
            Direction::Dialed,
            Keep::Existing,
        ),
        (
            identity(2, 1),
            identity(1, 1),
            Direction::Accepted,
            Keep::Existing,
        ),
        (
            identity(2, 1),
            identity(1, 1),
            Direction::Dialed,
            Keep::Newcomer,
        ),
        // Equal identifiers: the AS number decides (RFC 6286 §2.3).
        (
            identity(1, 1),
            identity(1, 2),
            Direction::Accepted,
            Keep::Newcomer,
        ),
        (
            identity(1, 1),
            identity(1, 2),
            Direction::Dialed,
            Keep::Existing,
        ),
        (
            identity(1, 2),
            identity(1, 1),
            Direction::Accepted,
            Keep::Existing,
        ),
        (
            identity(1, 2),
            identity(1, 1),
            Direction::Dialed,
            Keep::Newcomer,
        ),
        // The identifier counts more than the AS number.
        (
            identity(1, 9),
            identity(2, 1),
            Direction::Accepted,
            Keep::Newcomer,
        ),
        (
            identity(2, 1),
            identity(1, 9),
            Direction::Accepted,
            Keep::Existing,
        ),
    ];
    for (local, remote, newcomer, keep) in rows {
        let verdict = winner(local, remote, existing(State::OpenConfirm), newcomer);
        assert_eq!(verdict, keep, "{local:?} {remote:?} {newcomer:?}");
    }
}

/// Identifiers are unsigned numbers: 200.0.0.1 is greater than 100.0.0.1.
#[test]
fn identifiers_compare_as_unsigned_numbers() {
    let low = Identity {
        router_id: RouterId(Ipv4Addr::new(100, 0, 0, 1)),
        asn: Asn(1),
    };
    let high = Identity {
        router_id: RouterId(Ipv4Addr::new(200, 0, 0, 1)),
        asn: Asn(1),
    };
    let confirm = existing(State::OpenConfirm);
    assert_eq!(
        winner(low, high, confirm, Direction::Accepted),
        Keep::Newcomer
    );
    assert_eq!(
        winner(high, low, confirm, Direction::Accepted),
        Keep::Existing
    );
}

#[test]
fn established_stays_unless_the_peer_restarted() {
    for (local, remote) in [
        (identity(1, 1), identity(2, 1)),
        (identity(2, 1), identity(1, 1)),
    ] {
        for newcomer in [Direction::Accepted, Direction::Dialed] {
            let up = existing(State::Established);
            assert_eq!(winner(local, remote, up, newcomer), Keep::Existing);
            let lost = Existing {
                peer_restarted: true,
                ..up
            };
            assert_eq!(winner(local, remote, lost, newcomer), Keep::Newcomer);
        }
    }
}

#[test]
fn a_connection_without_their_open_never_wins() {
    for state in [State::Idle, State::Connect, State::Active, State::OpenSent] {
        for newcomer in [Direction::Accepted, Direction::Dialed] {
            let verdict = winner(identity(1, 1), identity(2, 1), existing(state), newcomer);
            assert_eq!(verdict, Keep::Newcomer, "{state} {newcomer:?}");
        }
    }
}

/// Both ends judge the same two connections and must agree, whichever OPEN each saw first.
#[test]
fn both_ends_keep_the_same_connection() {
    let ends = [
        (identity(1, 1), identity(2, 1)),
        (identity(1, 1), identity(1, 2)),
        (identity(7, 5), identity(3, 6)),
    ];
    for (left, right) in ends {
        for left_saw_own_first in [true, false] {
            for right_saw_own_first in [true, false] {
                let kept_by_left = keeps_own(left, right, left_saw_own_first);
                let kept_by_right = keeps_own(right, left, right_saw_own_first);
                assert_ne!(kept_by_left, kept_by_right, "{left:?} {right:?}");
            }
        }
    }
}

/// Whether `local` keeps the connection that it dialed.
fn keeps_own(local: Identity, remote: Identity, own_first: bool) -> bool {
    let newcomer = match own_first {
        true => Direction::Accepted,
        false => Direction::Dialed,
    };
    let verdict = winner(local, remote, existing(State::OpenConfirm), newcomer);
    (verdict == Keep::Existing) == own_first
}
