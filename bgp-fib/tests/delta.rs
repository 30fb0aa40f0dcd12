//! The map of what is wanted and what is there, against a model of the other side.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use bgp_core::time::{Duration, Instant};
use bgp_fib::delta::{DeltaMap, Heard, Standing, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Word(u8);

impl Value for Word {
    fn satisfied_by(&self, found: &Self) -> bool {
        self == found
    }
}

type Map = DeltaMap<u8, Word, &'static str>;

const NOW: Instant = Instant::from_micros(5);

/// Does all work in one go; answers how many messages that took.
fn obey(map: &mut Map, there: &mut BTreeMap<u8, Word>) -> usize {
    let mut messages = 0;
    while let Some(key) = map.next().copied() {
        let (value, _) = map.send(&key).unwrap();
        match value {
            Some(value) => there.insert(key, value),
            None => there.remove(&key),
        };
        map.obeyed(&key, true);
        map.heard(&key, value, false);
        messages += 1;
    }
    messages
}

fn dump(map: &mut Map, there: &BTreeMap<u8, Word>) {
    map.begin_dump();
    for (key, value) in there {
        map.dumped(key, *value, false);
    }
    map.end_dump(true);
}

#[derive(Clone, Debug)]
enum Step {
    Set(u8, u8),
    Unset(u8),
    /// The other side changes, and the word of it comes or is lost.
    Other(u8, Option<u8>, bool),
    Work,
    Send,
    /// The oldest answer arrives: obeyed or refused.
    Answer(bool),
    BeginDump,
    EndDump(bool),
    Wake,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..6_u8;
    let value = 0..3_u8;
    prop_oneof![
        (key.clone(), value.clone()).prop_map(|(key, value)| Step::Set(key, value)),
        key.clone().prop_map(Step::Unset),
        (key, proptest::option::of(value), any::<bool>())
            .prop_map(|(key, value, told)| Step::Other(key, value, told)),
        Just(Step::Work),
        Just(Step::Send),
        any::<bool>().prop_map(Step::Answer),
        Just(Step::BeginDump),
        any::<bool>().prop_map(Step::EndDump),
        Just(Step::Wake),
    ]
}

#[derive(Default)]
struct Model {
    wanted: BTreeMap<u8, Word>,
    there: BTreeMap<u8, Word>,
    /// Sent, with what the other side will make of it.
    sent: Vec<(u8, Option<Word>)>,
    listed: Option<BTreeMap<u8, Word>>,
}

impl Model {
    fn step(&mut self, map: &mut Map, step: &Step) {
        match *step {
            Step::Set(key, value) => {
                self.wanted.insert(key, Word(value));
                map.set(key, Word(value));
            }
            Step::Unset(key) => {
                self.wanted.remove(&key);
                map.unset(&key, false);
            }
            Step::Other(key, value, told) => {
                let value = value.map(Word);
                match value {
                    Some(value) => self.there.insert(key, value),
                    None => self.there.remove(&key),
                };
                if told {
                    map.heard(&key, value, false);
                }
            }
            Step::Work => {
                obey(map, &mut self.there);
            }
            Step::Send => {
                if let Some(key) = map.next().copied() {
                    let (value, _) = map.send(&key).unwrap();
                    self.sent.push((key, value));
                }
            }
            Step::Answer(obeyed) => self.answer(map, obeyed),
            Step::BeginDump => {
                if !map.dumping() {
                    map.begin_dump();
                    self.listed = Some(self.there.clone());
                }
            }
            Step::EndDump(complete) => {
                for (key, value) in self.listed.take().unwrap_or_default() {
                    map.dumped(&key, value, false);
                }
                map.end_dump(complete);
            }
            Step::Wake => {
                map.release(NOW, |_, _| true);
            }
        }
    }

    fn answer(&mut self, map: &mut Map, obeyed: bool) {
        if self.sent.is_empty() {
            return;
        }
        let (key, value) = self.sent.remove(0);
        if !obeyed {
            map.refused(&key, "refused", NOW, NOW + Duration::from_secs(1));
            return;
        }
        match value {
            Some(value) => self.there.insert(key, value),
            None => self.there.remove(&key),
        };
        map.obeyed(&key, true);
        map.heard(&key, value, false);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever happened: once answers are in and one look was taken, work leads to what is wanted.
    #[test]
    fn converges_from_any_drift(steps in proptest::collection::vec(step(), 0..60)) {
        let mut map = Map::new();
        let mut model = Model::default();
        for step in &steps {
            model.step(&mut map, step);
            prop_assert!(map.pending_len() + map.in_flight_len() + map.parked_len() <= 6);
        }
        while !model.sent.is_empty() {
            model.answer(&mut map, true);
        }
        map.end_dump(false);
        map.release(NOW, |_, _| true);
        dump(&mut map, &model.there);
        obey(&mut map, &mut model.there);
        prop_assert_eq!(&model.there, &model.wanted);
        let known: BTreeMap<u8, Word> = map.actuals().map(|(key, value)| (*key, *value)).collect();
        prop_assert_eq!(&known, &model.wanted);
        prop_assert_eq!(map.actual_len(), known.len());
        prop_assert_eq!(map.in_flight_len() + map.pending_len() + map.parked_len(), 0);
        // Nothing is kept about what is neither wanted nor there.
        prop_assert_eq!(map.range(..).count(), known.len());
    }

    /// However often a key changed, one pass says it once.
    #[test]
    fn a_flap_costs_one_message(values in proptest::collection::vec(proptest::option::of(0..3_u8), 1..50)) {
        let mut map = Map::new();
        let mut there = BTreeMap::new();
        for value in values {
            match value {
                Some(value) => map.set(1, Word(value)),
                None => map.unset(&1, false),
            }
        }
        prop_assert!(obey(&mut map, &mut there) <= 1);
    }
}

#[test]
fn a_dump_says_nothing_about_what_changed_after_it_began() {
    let mut map = Map::new();
    map.set(1, Word(1));
    map.set(2, Word(2));
    map.begin_dump();
    map.send(&1).unwrap();
    map.obeyed(&1, true);
    map.send(&2).unwrap();
    // The dump was taken before: it lists neither.
    assert!(map.end_dump(true).is_empty());
    assert_eq!(map.actual(&1), Some(&Word(1)));
    assert_eq!(map.in_flight_len(), 1);
    map.obeyed(&2, true);
    assert_eq!(map.actual(&2), Some(&Word(2)));

    map.unset(&1, false);
    map.begin_dump();
    map.send(&1).unwrap();
    map.obeyed(&1, true);
    assert_eq!(map.dumped(&1, Word(1), false), Heard::Older);
    map.end_dump(true);
    assert_eq!(map.actual(&1), None);
}

#[test]
fn a_late_answer_does_not_undo_what_came_after_its_echo() {
    let mut map = Map::new();
    map.set(1, Word(1));
    map.send(&1).unwrap();
    map.heard(&1, Some(Word(1)), false);
    map.heard(&1, None, false);
    map.obeyed(&1, true);
    assert_eq!(map.actual(&1), None);
    assert_eq!(map.next(), Some(&1));
}

#[test]
fn an_old_notification_does_not_undo_an_answer() {
    let mut map = Map::new();
    map.set(1, Word(1));
    map.send(&1).unwrap();
    map.obeyed(&1, true);
    // Somebody deleted an earlier one before ours was put; the word of it comes late.
    assert_eq!(map.heard(&1, None, false), Heard::Older);
    assert!(map.doubtful());
    assert_eq!(map.heard(&1, Some(Word(1)), false), Heard::Known);
    assert!(!map.doubtful());
    assert_eq!(map.heard(&1, None, false), Heard::Drift);
    assert_eq!(map.next(), Some(&1));
}

#[test]
fn a_refused_key_waits_and_another_value_is_tried_at_once() {
    let mut map = Map::new();
    map.set(1, Word(1));
    map.send(&1).unwrap();
    let later = NOW + Duration::from_secs(1);
    assert!(map.refused(&1, "why", NOW, later));
    assert_eq!(map.next(), None);
    assert_eq!(map.next_retry(), Some(later));
    assert_eq!(map.trouble(&1).unwrap().tries, 1);
    map.release_due(later);
    map.send(&1).unwrap();
    map.set(1, Word(2));
    assert!(!map.refused(&1, "why", NOW, later));
    assert_eq!(map.next(), Some(&1));
    map.send(&1).unwrap();
    map.obeyed(&1, true);
    assert_eq!(map.trouble(&1), None);
}

#[test]
fn what_is_stale_is_kept_until_swept_or_asked_for() {
    let mut map = Map::new();
    map.begin_dump();
    for key in 1..4 {
        map.dumped(&key, Word(key), true);
    }
    map.end_dump(true);
    assert_eq!((map.stale_len(), map.next()), (3, None));
    map.set(1, Word(1));
    assert_eq!(map.view(&1).unwrap().standing, Standing::Settled);
    assert_eq!(map.next(), None);
    assert_eq!(map.sweep(|key, _| *key == 2), 1);
    assert_eq!(map.next(), Some(&2));
    assert_eq!(map.stale_len(), 1);
}
