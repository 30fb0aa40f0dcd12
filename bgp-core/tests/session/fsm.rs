//! The whole table of the state machine, pair by pair, against `fsm.table`.
//!
//! The table is written by hand from RFC 4271 §8.2.2: it is what the machine must say, not what
//! it happened to say.

use bgp_core::session::State;
use bgp_core::session::fsm::{Action, Event, step};
use std::collections::BTreeMap;

const TABLE: &str = include_str!("fsm.table");

/// One answer, as text: the next state and the actions.
type Answer = (String, String);

fn table() -> BTreeMap<(String, u8), Answer> {
    let mut rows = BTreeMap::new();
    for line in TABLE.lines() {
        let line = line.split('#').next().unwrap().trim();
        if line.is_empty() {
            continue;
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [state, event, next, actions] = cells[..] else {
            panic!("four cells wanted: {line}");
        };
        let (number, name) = event.split_once(' ').unwrap();
        let number: u8 = number.parse().unwrap();
        let named = Event::ALL[usize::from(number) - 1];
        assert_eq!(name.trim(), format!("{named:?}"), "name of event {number}");
        let answer = (next.to_owned(), actions.to_owned());
        let before = rows.insert((state.to_owned(), number), answer);
        assert!(before.is_none(), "listed twice: {line}");
    }
    rows
}

fn answer(state: State, event: Event) -> Answer {
    let mut actions = Vec::new();
    let next = step(state, event, &mut actions);
    let actions: Vec<String> = actions.iter().map(|action| format!("{action:?}")).collect();
    (next.to_string(), actions.join(" "))
}

#[test]
fn every_pair_answers_as_the_table_says() {
    let table = table();
    assert_eq!(table.len(), State::ALL.len() * Event::ALL.len());
    for state in State::ALL {
        for event in Event::ALL {
            let row = &table[&(state.to_string(), event.number())];
            assert_eq!(&answer(state, event), row, "{state} x {event:?}");
        }
    }
}

#[test]
fn events_have_the_numbers_of_the_rfc() {
    for (index, event) in Event::ALL.iter().enumerate() {
        assert_eq!(usize::from(event.number()), index + 1);
    }
}

#[test]
fn a_step_leaves_earlier_actions_alone() {
    let mut actions = vec![Action::InitiateTcp];
    step(State::Established, Event::KeepAliveMsg, &mut actions);
    assert_eq!(actions, [Action::InitiateTcp, Action::StartHoldTimer]);
}

/// Only an answer that leaves a connection behind closes it, and routes go exactly when
/// Established is left.
#[test]
fn what_is_opened_is_closed() {
    for state in State::ALL {
        for event in Event::ALL {
            let mut actions = Vec::new();
            let next = step(state, event, &mut actions);
            let left = state == State::Established && next != State::Established;
            assert_eq!(
                actions.contains(&Action::DeleteRoutes),
                left,
                "{state} {event:?}"
            );
            let fell = next < state && next != State::Connect;
            let again = state == State::Connect
                && next == State::Connect
                && event == Event::ConnectRetryTimerExpires;
            assert_eq!(
                actions.contains(&Action::DropTcp),
                fell || again,
                "{state} {event:?}"
            );
        }
    }
}
