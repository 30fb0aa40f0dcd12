//! Octets written down by hand from the kernel's headers (little-endian machines), for what the
//! oracle does not know: nexthop objects, answers, requests for dumps.

use bgp_fib::kernel::{Dump, Hop, KernelError, LinkIndex, NextHopKind, NextHopObject};
use bgp_fib::kernel::{Notice, Request, Ticket};
use bgp_fib::netlink::{Batch, MAX_BATCH, Message, Messages, Reply};
use bgp_fib::netlink::{encode, encode_dump, notice, parts, reply};
use std::sync::Arc;

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

fn only(octets: &[u8]) -> Message<'_> {
    let messages: Vec<Message<'_>> = Messages::new(octets).map(Result::unwrap).collect();
    assert_eq!(messages.len(), 1);
    messages[0]
}

/// `object` is written as `hex`, and, its type turned to that of a notification, read again.
fn both_ways(object: NextHopObject, hex: &str) {
    let mut written = Vec::new();
    encode(&Request::PutNextHop(object.clone()), 0x0102, &mut written).unwrap();
    assert_eq!(written, octets(hex));
    assert_eq!(notice(&only(&written)), Some(Notice::NextHop(object)));
}

#[test]
fn a_next_hop_with_a_gateway() {
    let hop = Hop {
        gateway: Some("192.0.2.1".parse().unwrap()),
        link: Some(LinkIndex(5)),
        onlink: true,
        weight: 1,
    };
    both_ways(
        NextHopObject {
            id: 0xb600_0001,
            protocol: 201,
            kind: NextHopKind::Hop(hop),
        },
        "30000000 6800 0105 02010000 00000000  02 00 c9 00 04000000
         0800 0100 010000b6  0800 0500 05000000  0800 0600 c0000201",
    );
}

#[test]
fn a_next_hop_over_ipv6() {
    let hop = Hop {
        gateway: Some("fe80::1".parse().unwrap()),
        link: Some(LinkIndex(5)),
        onlink: false,
        weight: 1,
    };
    both_ways(
        NextHopObject {
            id: 1,
            protocol: 12,
            kind: NextHopKind::Hop(hop),
        },
        "3c000000 6800 0105 02010000 00000000  0a 00 0c 00 00000000
         0800 0100 01000000  0800 0500 05000000
         1400 0600 fe80000000000000 0000000000000001",
    );
}

#[test]
fn a_group_of_next_hops() {
    both_ways(
        NextHopObject {
            id: 9,
            protocol: 201,
            kind: NextHopKind::Group(vec![(1, 1), (2, 256)]),
        },
        "34000000 6800 0105 02010000 00000000  00 00 c9 00 00000000
         0800 0100 09000000  1400 0200 01000000 00 00 0000  02000000 ff 00 0000",
    );
}

#[test]
fn a_next_hop_that_drops() {
    both_ways(
        NextHopObject {
            id: 9,
            protocol: 201,
            kind: NextHopKind::Blackhole,
        },
        "24000000 6800 0105 02010000 00000000  02 00 c9 00 00000000
         0800 0100 09000000  0400 0400",
    );
}

#[test]
fn a_next_hop_deleted() {
    let mut written = Vec::new();
    encode(&Request::DeleteNextHop(9), 1, &mut written).unwrap();
    let expected = "20000000 6900 0100 01000000 00000000  00000000 00000000  0800 0100 09000000";
    assert_eq!(written, octets(expected));
    assert_eq!(notice(&only(&written)), Some(Notice::NextHopGone(9)));
}

#[test]
fn dumps_are_asked_for_in_the_strict_form() {
    let asked = |dump| {
        let mut written = Vec::new();
        for part in parts(dump) {
            encode_dump(*part, 1, &mut written);
        }
        written
    };
    let zeros = |count: usize| "00".repeat(count);
    let header =
        |length: &str, kind: &str| format!("{length}000000 {kind}00 0103 01000000 00000000");
    assert_eq!(
        asked(Dump::Links),
        octets(&format!(
            "{} {} 0800 1d00 08000000",
            header("28", "12"),
            zeros(16)
        ))
    );
    assert_eq!(
        asked(Dump::Addresses),
        octets(&format!("{} {}", header("18", "16"), zeros(8)))
    );
    let routes = header("1c", "1a");
    assert_eq!(
        asked(Dump::Routes),
        octets(&format!(
            "{routes} 02 {} {routes} 0a {}",
            zeros(11),
            zeros(11)
        ))
    );
    assert_eq!(
        asked(Dump::NextHops),
        octets(&format!("{} {}", header("18", "6a"), zeros(8)))
    );
    let entries = header("1c", "1e");
    let rest = zeros(11);
    assert_eq!(
        asked(Dump::Neighbours),
        octets(&format!(
            "{entries} 02 {rest} {entries} 0a {rest} {entries} 07 {rest}"
        ))
    );
}

#[test]
fn an_answer_with_the_kernels_words() {
    // NLMSG_ERROR, capped, with attributes: -ENETUNREACH, "no way" in NLMSGERR_ATTR_MSG after an
    // attribute that we do not know.
    let hex = "38000000 0200 0003 07000000 11000000  9bffffff
               34000000 1800 0506 07000000 00000000
               0800 0200 08000000  0b00 0100 6e6f20776179 00 00";
    let told = octets(hex);
    let error = KernelError {
        errno: 101,
        text: Arc::from("no way"),
    };
    assert_eq!(reply(&only(&told)), Some(Reply::Answer(Err(error))));
    assert_eq!(only(&told).sequence, 7);
    assert_eq!(only(&told).port, 17);
}

#[test]
fn an_answer_that_carries_its_request() {
    let hex = "30000000 0200 0002 07000000 11000000  efffffff
               14000000 1800 0506 07000000 00000000 02030405
               0700 0100 6e6f00 00";
    let error = KernelError {
        errno: 17,
        text: Arc::from("no"),
    };
    assert_eq!(reply(&only(&octets(hex))), Some(Reply::Answer(Err(error))));
}

#[test]
fn a_good_answer_and_the_end_of_a_dump() {
    let hex = "24000000 0200 0001 07000000 11000000  00000000
               34000000 1800 0506 07000000 00000000";
    assert_eq!(reply(&only(&octets(hex))), Some(Reply::Answer(Ok(()))));
    let hex = "14000000 0300 0200 07000000 11000000  00000000";
    assert_eq!(reply(&only(&octets(hex))), Some(Reply::Done(Ok(()))));
    let hex = "14000000 0300 1200 07000000 11000000  00000000";
    assert!(only(&octets(hex)).is_interrupted());
    let hex = "14000000 0300 0200 07000000 11000000  fcffffff";
    let Some(Reply::Done(Err(error))) = reply(&only(&octets(hex))) else {
        panic!("a dump that failed");
    };
    assert_eq!(error.errno, 4);
}

fn failed(errno: i32) -> Result<(), KernelError> {
    let text = Arc::from("");
    Err(KernelError { errno, text })
}

#[test]
fn a_batch_asks_for_one_answer_and_knows_whose_it_is() {
    let mut batch = Batch::default();
    batch.begin(u32::MAX - 1);
    for number in 0..4 {
        let ticket = Ticket(100 + u64::from(number));
        assert_eq!(batch.push(ticket, &Request::DeleteNextHop(number)), None);
    }
    assert_eq!(batch.next_sequence(), 2);
    let sent = batch.finish().to_vec();
    let messages: Vec<Message<'_>> = Messages::new(&sent).map(Result::unwrap).collect();
    let sequences: Vec<u32> = messages.iter().map(|message| message.sequence).collect();
    assert_eq!(sequences, [u32::MAX - 1, u32::MAX, 0, 1]);
    let flags: Vec<u8> = sent.chunks(32).map(|message| message[6]).collect();
    assert_eq!(flags, [1, 1, 1, 5]);

    assert!(!batch.answered(77, failed(1)), "not of this batch");
    assert!(!batch.answered(u32::MAX, failed(2)));
    assert!(batch.answered(1, Ok(())));
    let mut answers = Vec::new();
    batch.answers(false, &mut answers);
    let expected = [
        (Ticket(100), Ok(())),
        (Ticket(101), failed(2)),
        (Ticket(102), Ok(())),
        (Ticket(103), Ok(())),
    ];
    assert_eq!(answers, expected);
    assert!(batch.is_empty());
}

#[test]
fn answers_that_were_lost_are_errors() {
    let mut batch = Batch::default();
    batch.begin(0);
    batch.push(Ticket(1), &Request::DeleteNextHop(1));
    batch.push(Ticket(2), &Request::DeleteNextHop(2));
    batch.answered(0, failed(2));
    let mut answers = Vec::new();
    batch.answers(true, &mut answers);
    assert_eq!(answers[0], (Ticket(1), failed(2)));
    assert!(matches!(&answers[1], (Ticket(2), Err(error)) if error.errno == 105));
}

#[test]
fn a_full_batch_says_so() {
    let mut batch = Batch::default();
    batch.begin(0);
    for number in 0..MAX_BATCH {
        assert!(!batch.is_full(), "{number}");
        batch.push(Ticket(0), &Request::DeleteNextHop(1));
    }
    assert!(batch.is_full());
}

#[test]
fn requests_too_long_for_a_message_are_answered_at_once() {
    let group = |members| {
        Request::PutNextHop(NextHopObject {
            id: 1,
            protocol: 1,
            kind: NextHopKind::Group(vec![(2, 1); members]),
        })
    };
    let mut batch = Batch::default();
    batch.begin(5);
    let (ticket, result) = batch.push(Ticket(1), &group(8_192)).unwrap();
    assert_eq!(ticket, Ticket(1));
    assert_eq!(result.unwrap_err().errno, 90);
    assert!(batch.is_empty());
    assert_eq!(batch.next_sequence(), 5);
    // The largest that fits fills the batch by itself.
    assert_eq!(batch.push(Ticket(2), &group(8_190)), None);
    assert_eq!(Messages::new(batch.finish()).count(), 1);
    assert!(batch.is_full());
}
