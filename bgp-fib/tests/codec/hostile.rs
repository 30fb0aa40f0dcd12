//! Octets that no kernel sends: nothing panics, and nothing is made up.

use crate::values;
use bgp_fib::netlink::{Message, Messages, encode, notice, reply};
use proptest::collection::vec;
use proptest::prelude::*;

/// Reads everything there is to read.
fn read(octets: &[u8]) -> usize {
    let mut count = 0;
    for message in Messages::new(octets) {
        count += 1;
        if let Ok(message) = message {
            let _ = (notice(&message), reply(&message), message.is_interrupted());
        }
    }
    count
}

/// A message of this type around `payload`.
fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + payload.len()).unwrap();
    let mut octets = length.to_ne_bytes().to_vec();
    octets.extend(kind.to_ne_bytes());
    octets.extend(flags.to_ne_bytes());
    octets.extend([0; 8]);
    octets.extend(payload);
    octets
}

fn kind() -> impl Strategy<Value = u16> {
    prop_oneof![2..4_u16, 16..32_u16, 104..107_u16, any::<u16>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_octets_are_read_without_panic(octets in vec(any::<u8>(), 0..300)) {
        // Each message takes at least a header.
        prop_assert!(read(&octets) <= octets.len() / 16 + 1);
    }

    #[test]
    fn any_payload_of_any_type_is_read_without_panic(
        kind in kind(),
        flags: u16,
        payload in vec(prop_oneof![0..40_u8, any::<u8>()], 0..200),
    ) {
        read(&message(kind, flags, &payload));
    }

    #[test]
    fn a_message_cut_off_anywhere_is_malformed(request in values::request()) {
        let mut octets = Vec::new();
        encode(&request, 1, &mut octets).unwrap();
        let whole = octets.len();
        octets.extend_from_within(..);
        for end in 0..octets.len() {
            let messages: Vec<_> = Messages::new(&octets[..end]).collect();
            let good = end / whole;
            prop_assert_eq!(messages.iter().filter(|message| message.is_ok()).count(), good);
            prop_assert_eq!(messages.len() > good, end % whole != 0);
        }
    }

    #[test]
    fn a_payload_cut_off_anywhere_is_read_without_panic(request in values::request()) {
        let mut octets = Vec::new();
        encode(&request, 1, &mut octets).unwrap();
        for end in 16..octets.len() {
            let length = u32::try_from(end).unwrap();
            octets[..4].copy_from_slice(&length.to_ne_bytes());
            prop_assert_eq!(read(&octets[..end]), 1);
        }
    }

    #[test]
    fn what_we_write_is_read_as_what_it_was(request in values::request()) {
        let mut octets = vec![1; 4];
        encode(&request, 77, &mut octets).unwrap();
        prop_assert_eq!(octets.len() % 4, 0);
        let messages: Vec<Message<'_>> =
            Messages::new(&octets[4..]).map(Result::unwrap).collect();
        prop_assert_eq!(messages.len(), 1);
        prop_assert!(notice(&messages[0]).is_some(), "{:?}", request);
    }
}

#[test]
fn an_attribute_that_does_not_fit_spoils_its_message() {
    // A route whose one attribute says it is longer than the message, and one with no length.
    for length in [0_u8, 3, 9, 255] {
        let mut payload = vec![2, 24, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
        payload.extend([length, 0, 1, 0, 10, 0, 0, 0]);
        let octets = message(24, 0, &payload);
        let read = Messages::new(&octets).next().unwrap().unwrap();
        assert_eq!(notice(&read), None, "{length}");
    }
}

#[test]
fn a_prefix_longer_than_its_address_is_no_prefix() {
    let octets = message(24, 0, &[2, 33, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0]);
    let read = Messages::new(&octets).next().unwrap().unwrap();
    assert_eq!(notice(&read), None);
}

#[test]
fn a_length_of_nothing_ends_the_datagram() {
    let octets = [0_u8; 64];
    let messages: Vec<_> = Messages::new(&octets).collect();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].is_err());
}
