//! RFC 7606 as a table: every attribute with every fault, on external and internal sessions.

use crate::{
    NLRI, answer, as_path, attribute, external, internal, mp_reach, mp_unreach, next_hop, origin,
    read_update,
};
use bgp_core::wire::{Context, DecodeError, Handling, Update};

/// What a faulty attribute costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cost {
    Nothing,
    Discard,
    /// Treated as withdraw; without reachable NLRI a reset with this subcode (RFC 7606 §5.2).
    Withdraw(u8),
    /// A reset with this subcode of UPDATE Message Error.
    Reset(u8),
}
use Cost::{Discard, Nothing, Reset, Withdraw};

const LIST: u8 = 1;
const UNRECOGNIZED: u8 = 2;
const FLAGS: u8 = 4;
const LENGTH: u8 = 5;
const ORIGIN: u8 = 6;
const NEXT_HOP: u8 = 8;
const OPTIONAL: u8 = 9;
const PATH: u8 = 11;

/// Flags, code, value; what it costs on external and on internal sessions.
type Row = (u8, u8, &'static [u8], Cost, Cost);

const fn same(flags: u8, code: u8, value: &'static [u8], cost: Cost) -> Row {
    (flags, code, value, cost, cost)
}

const A: [u8; 4] = [10, 0, 0, 1];

/// Sessions with four-octet AS numbers.
const FOUR_OCTET: [Row; 91] = [
    // ORIGIN (RFC 7606 §7.1)
    same(0x40, 1, &[0], Nothing),
    same(0x40, 1, &[2], Nothing),
    same(0x40, 1, &[3], Withdraw(ORIGIN)),
    same(0x40, 1, &[], Withdraw(LENGTH)),
    same(0x40, 1, &[0, 0], Withdraw(LENGTH)),
    same(0xc0, 1, &[0], Withdraw(FLAGS)),
    same(0x00, 1, &[0], Withdraw(FLAGS)),
    same(0x60, 1, &[0], Nothing),
    // The four low bits mean nothing but for the length (RFC 4271 §4.3).
    same(0x4f & !0x10, 1, &[0], Nothing),
    same(0x50, 1, &[0], Nothing),
    // AS_PATH (§7.2)
    same(0x40, 2, &[], Nothing),
    same(0x40, 2, &[2, 1, 0, 0, 0, 1], Nothing),
    same(0x40, 2, &[1, 1, 0, 0, 0, 1], Nothing),
    same(0x40, 2, &[0, 1, 0, 0, 0, 1], Withdraw(PATH)),
    same(0x40, 2, &[5, 1, 0, 0, 0, 1], Withdraw(PATH)),
    same(0x40, 2, &[2, 0], Withdraw(PATH)),
    same(0x40, 2, &[2, 2, 0, 0, 0, 1], Withdraw(PATH)),
    same(0x40, 2, &[2, 1, 0, 0, 0, 1, 2], Withdraw(PATH)),
    same(0x40, 2, &[2, 1, 0, 0, 0], Withdraw(PATH)),
    same(0x40, 2, &[2, 1, 0, 0, 0, 0], Withdraw(PATH)),
    same(0xc0, 2, &[], Withdraw(FLAGS)),
    // RFC 5065 §5
    (0x40, 2, &[3, 1, 0, 0, 0, 1], Withdraw(PATH), Nothing),
    (0x40, 2, &[4, 1, 0, 0, 0, 1], Withdraw(PATH), Nothing),
    // NEXT_HOP (§7.3)
    same(0x40, 3, &A, Nothing),
    same(0x40, 3, &[10, 0, 0], Withdraw(LENGTH)),
    same(0x40, 3, &[], Withdraw(LENGTH)),
    same(0x40, 3, &[10, 0, 0, 1, 0], Withdraw(LENGTH)),
    same(0x40, 3, &[0, 0, 0, 0], Withdraw(NEXT_HOP)),
    same(0x40, 3, &[127, 0, 0, 1], Nothing),
    same(0x40, 3, &[240, 0, 0, 1], Withdraw(NEXT_HOP)),
    same(0x40, 3, &[224, 0, 0, 5], Withdraw(NEXT_HOP)),
    same(0x40, 3, &[255, 255, 255, 255], Withdraw(NEXT_HOP)),
    same(0x80, 3, &A, Withdraw(FLAGS)),
    // MULTI_EXIT_DISC (§7.4)
    same(0x80, 4, &A, Nothing),
    same(0x80, 4, &[0, 0, 1], Withdraw(LENGTH)),
    same(0x80, 4, &[], Withdraw(LENGTH)),
    same(0xc0, 4, &A, Withdraw(FLAGS)),
    same(0x40, 4, &A, Withdraw(FLAGS)),
    // LOCAL_PREF (§7.5)
    (0x40, 5, &A, Discard, Nothing),
    (0x40, 5, &[0, 0, 1], Discard, Withdraw(LENGTH)),
    (0x40, 5, &[], Discard, Withdraw(LENGTH)),
    (0xc0, 5, &A, Discard, Withdraw(FLAGS)),
    // ATOMIC_AGGREGATE (§7.6)
    same(0x40, 6, &[], Nothing),
    same(0x40, 6, &[0], Discard),
    same(0xc0, 6, &[], Withdraw(FLAGS)),
    // AGGREGATOR (§7.7)
    same(0xc0, 7, &[0, 0, 0, 1, 10, 0, 0, 1], Nothing),
    same(0xe0, 7, &[0, 0, 0, 1, 10, 0, 0, 1], Nothing),
    same(0xc0, 7, &[0, 1, 10, 0, 0, 1], Discard),
    same(0xc0, 7, &[], Discard),
    same(0xc0, 7, &[0, 0, 0, 0, 10, 0, 0, 1], Discard),
    same(0x40, 7, &[0, 0, 0, 1, 10, 0, 0, 1], Withdraw(FLAGS)),
    // COMMUNITIES (§7.8)
    same(0xc0, 8, &A, Nothing),
    same(0xc0, 8, &[], Withdraw(LENGTH)),
    same(0xc0, 8, &[0, 1, 0, 1, 0], Withdraw(LENGTH)),
    same(0x80, 8, &A, Withdraw(FLAGS)),
    // ORIGINATOR_ID (§7.9)
    (0x80, 9, &A, Discard, Nothing),
    (0x80, 9, &[10, 0, 0], Discard, Withdraw(LENGTH)),
    (0x80, 9, &[], Discard, Withdraw(LENGTH)),
    (0xc0, 9, &A, Discard, Withdraw(FLAGS)),
    // CLUSTER_LIST (§7.10)
    (0x80, 10, &A, Discard, Nothing),
    (0x80, 10, &[], Discard, Withdraw(LENGTH)),
    (0x80, 10, &[10, 0, 0], Discard, Withdraw(LENGTH)),
    (0x40, 10, &A, Discard, Withdraw(FLAGS)),
    // EXTENDED COMMUNITIES (§7.14)
    same(0xc0, 16, &[0, 2, 0, 1, 0, 0, 0, 1], Nothing),
    same(0xc0, 16, &[], Withdraw(LENGTH)),
    same(0xc0, 16, &[0, 2, 0, 1, 0, 0, 0], Withdraw(LENGTH)),
    same(0x80, 16, &[0, 2, 0, 1, 0, 0, 0, 1], Withdraw(FLAGS)),
    // AS4_PATH and AS4_AGGREGATOR: dropped, whatever they say (RFC 6793 §3)
    same(0xc0, 17, &[2, 1, 0, 0, 0, 1], Discard),
    same(0xc0, 17, &[9], Discard),
    same(0x40, 17, &[2, 1, 0, 0, 0, 1], Discard),
    same(0xc0, 18, &[0, 0, 0, 1, 10, 0, 0, 1], Discard),
    same(0x40, 18, &[], Discard),
    // LARGE_COMMUNITY (RFC 8092 §6)
    same(0xc0, 32, &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3], Nothing),
    same(0xc0, 32, &[], Withdraw(LENGTH)),
    same(
        0xc0,
        32,
        &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0],
        Withdraw(LENGTH),
    ),
    same(
        0x40,
        32,
        &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3],
        Withdraw(FLAGS),
    ),
    // Only to Customer (RFC 9234 §5)
    same(0xc0, 35, &[0, 0, 0, 1], Nothing),
    same(0xc0, 35, &[0, 0, 1], Withdraw(LENGTH)),
    same(0xc0, 35, &[], Withdraw(LENGTH)),
    same(0x80, 35, &[0, 0, 0, 1], Withdraw(FLAGS)),
    // Unrecognised (RFC 4271 §5, §6.3)
    same(0xc0, 99, &[], Nothing),
    same(0xe0, 99, &[1, 2, 3], Nothing),
    same(0x80, 99, &[1, 2, 3], Nothing),
    same(0xd0, 99, &[1, 2, 3], Nothing),
    same(0x40, 99, &[1, 2, 3], Reset(UNRECOGNIZED)),
    same(0x00, 0, &[], Reset(UNRECOGNIZED)),
    same(0xc0, 0, &[], Nothing),
    // MP_REACH_NLRI and MP_UNREACH_NLRI that cannot be read (§5.3, §7.11, §7.12)
    same(0x80, 14, &[0, 2, 1, 4, 10, 0, 0, 1, 0], Reset(OPTIONAL)),
    same(0x80, 14, &[0, 1, 1, 4, 10, 0, 0], Reset(OPTIONAL)),
    same(0x80, 15, &[0, 2], Reset(OPTIONAL)),
    same(0x80, 15, &[0, 2, 1, 129], Reset(OPTIONAL)),
];

/// Sessions with two-octet AS numbers.
const TWO_OCTET: [Row; 16] = [
    same(0x40, 2, &[2, 1, 0, 1], Nothing),
    same(0x40, 2, &[2, 1, 0, 0], Withdraw(PATH)),
    same(0x40, 2, &[2, 1, 0, 1, 0], Withdraw(PATH)),
    same(0xc0, 7, &[0, 1, 10, 0, 0, 1], Nothing),
    same(0xc0, 7, &[0, 0, 10, 0, 0, 1], Discard),
    same(0xc0, 7, &[0, 0, 0, 1, 10, 0, 0, 1], Discard),
    // RFC 6793 §6
    same(0xc0, 17, &[2, 1, 0, 0, 0, 1], Nothing),
    same(0xc0, 17, &[], Discard),
    same(0xc0, 17, &[2, 2, 0, 0, 0, 1], Discard),
    same(0xc0, 17, &[7, 1, 0, 0, 0, 1], Discard),
    same(0xc0, 17, &[2, 1, 0, 0, 0, 0], Discard),
    same(0x40, 17, &[2, 1, 0, 0, 0, 1], Withdraw(FLAGS)),
    same(0xc0, 18, &[0, 0, 0, 1, 10, 0, 0, 1], Nothing),
    same(0xc0, 18, &[0, 1, 10, 0, 0, 1], Discard),
    same(0xc0, 18, &[0, 0, 0, 0, 10, 0, 0, 1], Discard),
    same(0x80, 18, &[0, 0, 0, 1, 10, 0, 0, 1], Withdraw(FLAGS)),
];

/// The mandatory attributes, but for those in `but`.
fn mandatory(but: &[u8], context: &Context) -> Vec<Vec<u8>> {
    let path = if context.four_octet_as {
        as_path()
    } else {
        attribute(0x40, 2, &[2, 1, 0xfd, 0xe9])
    };
    let local_pref = attribute(0x40, 5, &[0, 0, 0, 100]);
    [(1, origin()), (2, path), (3, next_hop()), (5, local_pref)]
        .into_iter()
        .filter(|(code, _)| !but.contains(code) && (*code != 5 || context.internal))
        .map(|(_, attribute)| attribute)
        .collect()
}

fn verdict(result: &Result<Update, DecodeError>) -> Cost {
    match result {
        Ok(update) => {
            let worst = update.faults.iter().map(|fault| fault.handling).max();
            match worst {
                None => Nothing,
                Some(Handling::AttributeDiscard) => Discard,
                Some(Handling::TreatAsWithdraw) => Withdraw(0),
                Some(Handling::SessionReset) => Reset(0),
            }
        }
        Err(error) => {
            let (code, subcode, _) = answer(error);
            assert_eq!(code, 3);
            Reset(subcode)
        }
    }
}

fn check(row: &Row, context: &Context) {
    let (flags, code, value, on_external, on_internal) = *row;
    let cost = if context.internal {
        on_internal
    } else {
        on_external
    };
    let own = attribute(flags, code, value);
    let what = format!("{own:02x?} internal={}", context.internal);
    let mut attributes = mandatory(&[code], context);
    attributes.push(own.clone());
    // What follows the faulty one is still read.
    attributes.push(attribute(0xc0, 200, &[7]));

    let with_nlri = read_update(&[], &attributes, &NLRI, context);
    let expected = match cost {
        Withdraw(_) => Withdraw(0),
        Nothing | Discard | Reset(_) => cost,
    };
    assert_eq!(verdict(&with_nlri), expected, "{what}: {with_nlri:?}");
    if let Ok(update) = &with_nlri {
        let reached = update.reach.iter().flat_map(|reach| &reach.nlri).count();
        let gone = update.unreach.iter().flat_map(|gone| &gone.nlri).count();
        let withdrawn = matches!(cost, Withdraw(_));
        assert_eq!(
            (reached, gone),
            if withdrawn { (0, 1) } else { (1, 0) },
            "{what}"
        );
        let last = update.attributes.unknown.last().unwrap();
        assert_eq!((last.code, &last.value[..]), (200, &[7][..]), "{what}");
    }

    let without_nlri = read_update(&[], &attributes, &[], context);
    let expected = match cost {
        Withdraw(subcode) => Reset(subcode),
        Nothing | Discard | Reset(_) => cost,
    };
    assert_eq!(verdict(&without_nlri), expected, "{what}: {without_nlri:?}");
    if let Err(error) = &without_nlri {
        let (_, subcode, data) = answer(error);
        let has_data = ![LIST, PATH].contains(&subcode);
        assert_eq!(data, if has_data { own } else { Vec::new() }, "{what}");
    }
}

#[test]
fn every_attribute_fault_costs_what_its_rfc_says() {
    for row in &FOUR_OCTET {
        check(row, &external());
        check(row, &internal());
    }
    for row in &TWO_OCTET {
        for context in [external(), internal()] {
            let four_octet_as = false;
            check(
                row,
                &Context {
                    four_octet_as,
                    ..context
                },
            );
        }
    }
}

#[test]
fn a_missing_mandatory_attribute_withdraws() {
    for code in [1, 2, 3, 5] {
        let attributes = mandatory(&[code], &internal());
        let update = read_update(&[], &attributes, &NLRI, &internal()).unwrap();
        assert_eq!(update.reach, []);
        assert_eq!(update.unreach.len(), 1);
        assert_eq!(update.faults.len(), 1);
        assert_eq!(
            (update.faults[0].code, update.faults[0].handling),
            (code, Handling::TreatAsWithdraw)
        );
    }
    // Without reachable NLRI nothing is mandatory.
    let alone = read_update(&[], &[origin()], &[], &internal());
    assert_eq!(verdict(&alone), Nothing);
}

#[test]
fn local_pref_may_be_missing_on_external_sessions() {
    let attributes = mandatory(&[], &external());
    let update = read_update(&[], &attributes, &NLRI, &external()).unwrap();
    assert_eq!(update.attributes.local_pref, None);
    assert_eq!(update.reach.len(), 1);
}

#[test]
fn classic_nlri_without_next_hop_withdraws_the_good_mp_reach_too() {
    let attributes = [mp_reach(), origin(), as_path()];
    let update = read_update(&[], &attributes, &NLRI, &external()).unwrap();
    assert_eq!(update.reach, []);
    assert_eq!(update.unreach.len(), 2);
}

#[test]
fn a_bad_next_hop_costs_nothing_beside_mp_reach_alone() {
    for bad in [&[10, 0, 0][..], &[0, 0, 0, 0]] {
        let own = attribute(0x40, 3, bad);
        for attributes in [
            [mp_reach(), origin(), as_path(), own.clone()],
            [own.clone(), origin(), as_path(), mp_reach()],
        ] {
            let update = read_update(&[], &attributes, &[], &external()).unwrap();
            assert_eq!(update.reach.len(), 1);
            assert_eq!(update.faults[0].handling, Handling::AttributeDiscard);
            let update = read_update(&[], &attributes, &NLRI, &external()).unwrap();
            assert_eq!((update.reach.len(), update.unreach.len()), (0, 2));
        }
    }
}

#[test]
fn the_first_of_two_equal_attributes_counts() {
    let mut attributes = mandatory(&[], &external());
    attributes.push(attribute(0x40, 1, &[2]));
    attributes.push(attribute(0xc0, 99, &[1]));
    attributes.push(attribute(0xc0, 99, &[2]));
    let update = read_update(&[], &attributes, &NLRI, &external()).unwrap();
    assert_eq!(verdict(&Ok(update.clone())), Discard);
    assert_eq!(
        update.attributes.origin,
        bgp_core::wire::Origin::Igp,
        "RFC 7606 §3 g"
    );
    assert_eq!(update.attributes.unknown.len(), 1);
    assert_eq!(&update.attributes.unknown[0].value[..], &[1]);
}

#[test]
fn two_mp_attributes_of_a_kind_reset() {
    for twice in [mp_reach(), mp_unreach()] {
        let attributes = [twice.clone(), origin(), as_path(), twice];
        let result = read_update(&[], &attributes, &[], &external());
        assert_eq!(answer(&result.unwrap_err()), (3, LIST, Vec::new()));
    }
}

#[test]
fn wrong_flags_of_mp_attributes_reset() {
    for flags in [0xc0, 0x40, 0x00] {
        for (position, own) in [mp_reach(), mp_unreach()].into_iter().enumerate() {
            let mut own = own;
            own[0] = flags;
            let mut attributes = mandatory(&[], &external());
            attributes.insert(position, own.clone());
            let result = read_update(&[], &attributes, &NLRI, &external());
            assert_eq!(answer(&result.unwrap_err()), (3, FLAGS, own));
        }
    }
}

#[test]
fn an_mp_attribute_that_overruns_resets() {
    for mut own in [mp_reach(), mp_unreach()] {
        own[2] += 1;
        let mut attributes = mandatory(&[], &external());
        attributes.push(own.clone());
        for nlri in [&NLRI[..], &[]] {
            let result = read_update(&[], &attributes, nlri, &external());
            assert_eq!(answer(&result.unwrap_err()), (3, OPTIONAL, own.clone()));
        }
    }
}

#[test]
fn the_fault_that_withdraws_is_told_whatever_was_dropped_before_it() {
    let mut attributes = mandatory(&[], &external());
    attributes.extend(std::iter::repeat_n(origin(), 6));
    attributes.push(attribute(0x80, 4, &[0]));
    let update = read_update(&[], &attributes, &NLRI, &external()).unwrap();
    assert_eq!(update.faults.len(), bgp_core::wire::MAX_FAULTS);
    let last = update.faults.last().unwrap();
    assert_eq!((last.code, last.handling), (4, Handling::TreatAsWithdraw));
}

#[test]
fn an_attribute_that_overruns_withdraws_and_the_nlri_is_still_found() {
    for rest in [&[0x40][..], &[0x40, 5], &[0x40, 5, 4, 0, 0], &[0x50, 5, 4]] {
        let mut attributes = mandatory(&[], &internal());
        attributes.push(rest.to_vec());
        let update = read_update(&[], &attributes, &NLRI, &internal()).unwrap();
        assert_eq!((update.reach.len(), update.unreach.len()), (0, 1));
        let result = read_update(&[], &attributes, &[], &internal());
        assert_eq!(answer(&result.unwrap_err()), (3, LIST, Vec::new()));
        let result = read_update(&NLRI, &[rest.to_vec()], &[], &internal());
        assert_eq!(answer(&result.unwrap_err()), (3, LIST, Vec::new()));
    }
}

#[test]
fn faults_are_kept_for_the_log_up_to_a_limit() {
    let bad = |code| attribute(0xc0, code, &[9; 100]);
    let attributes = [4, 9, 10, 16, 32, 35].map(bad);
    let update = read_update(&[], &attributes, &NLRI, &internal()).unwrap();
    assert_eq!(update.faults.len(), bgp_core::wire::MAX_FAULTS);
    let lengths = update.faults.iter().map(|fault| fault.bytes.len()).max();
    assert_eq!(lengths, Some(bgp_core::wire::MAX_FAULT_BYTES));
    assert_eq!(update.unreach.len(), 1);
}
