//! The codec.

use crate::Input;
use bgp_core::family::{Family, FamilySet};
use bgp_core::wire::{
    Context, DecodeError, EncodeContext, EncodeError, Frame, HEADER_LEN, Handling,
    MAX_EXTENDED_LEN, MAX_FAULT_BYTES, MAX_FAULTS, MAX_LEN, Message, MessageKind, Notification,
    PathAttributes, Update, decode, encode_message, frame,
};
use bytes::BytesMut;

/// A context chosen by one octet.
fn context(octet: u8) -> Context {
    let bit = |bit: u8| octet & (1 << bit) != 0;
    let set = |v4: bool, v6: bool| {
        [(Family::Ipv4Unicast, v4), (Family::Ipv6Unicast, v6)]
            .into_iter()
            .filter_map(|(family, is_in)| is_in.then_some(family))
            .collect::<FamilySet>()
    };
    Context {
        internal: bit(0),
        four_octet_as: bit(1),
        families: set(!bit(2), !bit(3)),
        add_path: set(bit(4), bit(5)),
        extended_next_hop: set(bit(6), bit(6)),
        max_len: if bit(7) { MAX_EXTENDED_LEN } else { MAX_LEN },
    }
}

fn writing(context: &Context) -> EncodeContext {
    EncodeContext {
        four_octet_as: context.four_octet_as,
        add_path: context.add_path,
        max_len: MAX_EXTENDED_LEN,
    }
}

fn written(message: &Message, context: &EncodeContext) -> BytesMut {
    let mut out = BytesMut::new();
    encode_message(message, context, &mut out).unwrap();
    out
}

/// An error can be told to the log, and to any peer in a message of the common size.
fn check_error(error: &DecodeError) {
    let notification = Notification::from(error);
    assert!(!error.to_string().is_empty());
    let context = EncodeContext {
        four_octet_as: true,
        add_path: FamilySet::EMPTY,
        max_len: MAX_LEN,
    };
    let message = Message::Notification(notification);
    let octets = written(&message, &context);
    let whole = frame(&octets, MAX_LEN).unwrap().unwrap();
    assert_eq!(decode(&whole, &self::context(0)), Ok(message));
}

fn check_update(update: &Update, context: &Context, len: usize) {
    let withdrawn = update
        .faults
        .iter()
        .any(|fault| fault.handling == Handling::TreatAsWithdraw);
    assert!(!withdrawn || update.reach.is_empty());
    assert!(update.faults.len() <= MAX_FAULTS);
    for fault in &update.faults {
        assert!(fault.bytes.len() <= MAX_FAULT_BYTES);
        assert!(fault.handling != Handling::SessionReset);
        assert!(!fault.to_string().is_empty());
    }
    let reached = update.reach.iter().map(|reach| (reach.family, &reach.nlri));
    let gone = update.unreach.iter().map(|gone| (gone.family, &gone.nlri));
    let mut count = 0;
    for (family, nlri) in reached.chain(gone) {
        assert!(context.families.contains(family));
        assert!(!nlri.is_empty());
        count += nlri.len();
        for route in nlri {
            assert_eq!(bgp_core::prefix::family_of(&route.prefix), family);
            assert_eq!(route.prefix, route.prefix.trunc());
        }
    }
    assert!(count <= len);
    if let Some(family) = update.end_of_rib {
        assert!(context.families.contains(family));
        assert!(update.reach.is_empty() && update.unreach.is_empty());
    }
    let unknown = &update.attributes.unknown;
    assert!(unknown.is_sorted_by(|a, b| a.code < b.code));
    assert!(!update.attributes.as_path.to_string().contains("  "));
    if !context.internal {
        assert_eq!(update.attributes.local_pref, None);
        assert_eq!(update.attributes.originator_id, None);
        assert_eq!(update.attributes.cluster_list, []);
    }
}

/// A stream of messages, read as a session would.
pub fn decode_message(input: &[u8]) {
    let mut input = Input::new(input);
    let context = context(input.octet());
    let mut rest = input.rest();
    loop {
        match frame(rest, context.max_len) {
            Ok(Some(whole)) => {
                assert!(whole.len >= HEADER_LEN && whole.len <= context.max_len);
                assert_eq!(whole.body.len() + HEADER_LEN, whole.len);
                match decode(&whole, &context) {
                    Ok(message) => {
                        assert_eq!(message.kind(), whole.kind);
                        if let Message::Notification(notification) = &message {
                            assert!(!notification.to_string().chars().any(char::is_control));
                        }
                    }
                    Err(error) => return check_error(&error),
                }
                rest = &rest[whole.len..];
            }
            Ok(None) => return,
            Err(error) => return check_error(&error),
        }
    }
}

fn frame_of(kind: MessageKind, body: &[u8]) -> Option<Frame<'_>> {
    let len = HEADER_LEN + body.len();
    (len <= MAX_LEN).then_some(Frame { kind, body, len })
}

/// The body of an UPDATE.
pub fn decode_update(input: &[u8]) {
    let mut input = Input::new(input);
    let context = context(input.octet());
    let Some(whole) = frame_of(MessageKind::Update, input.rest()) else {
        return;
    };
    match decode(&whole, &context) {
        Ok(Message::Update(update)) => check_update(&update, &context, whole.body.len()),
        Ok(other) => panic!("an UPDATE was read as {other:?}"),
        Err(error) => check_error(&error),
    }
}

/// A message of any type: read, written and read again.
pub fn roundtrip(input: &[u8]) {
    let mut input = Input::new(input);
    let context = context(input.octet());
    let kind = match input.octet() % 4 {
        0 => MessageKind::Update,
        1 => MessageKind::Open,
        2 => MessageKind::Notification,
        _ => MessageKind::RouteRefresh,
    };
    let Some(whole) = frame_of(kind, input.rest()) else {
        return;
    };
    let Ok(mut message) = decode(&whole, &context) else {
        return;
    };
    if let Message::Update(update) = &mut message {
        if !update.faults.is_empty() {
            return;
        }
        if update.reach.is_empty() {
            update.attributes = PathAttributes::default();
        }
        if is_empty(update) || has_family_twice(update) {
            let mut out = BytesMut::new();
            let refused = encode_message(&message, &writing(&context), &mut out);
            assert_eq!(refused, Err(EncodeError::NotOneMessage));
            return;
        }
    }
    let octets = written(&message, &writing(&context));
    let whole = frame(&octets, MAX_EXTENDED_LEN).unwrap().unwrap();
    let mut again = decode(&whole, &context).unwrap();
    if let (Message::Update(first), Message::Update(second)) = (&message, &mut again)
        && !context.four_octet_as
    {
        // An old speaker's attributes cannot tell neighbouring sequences apart, nor say numbers
        // of confederations.
        let (one, other) = (&first.attributes.as_path, &second.attributes.as_path);
        assert_eq!(one.length(), other.length());
        second.attributes.as_path = one.clone();
    }
    assert_eq!(message, again);
}

/// What says nothing would be written as the marker that it is not.
fn is_empty(update: &Update) -> bool {
    update.reach.is_empty() && update.unreach.is_empty() && update.end_of_rib.is_none()
}

/// IPv4 in the classic fields and in MP attributes takes two messages to say again.
fn has_family_twice(update: &Update) -> bool {
    let twice = |families: &[Family]| {
        families
            .iter()
            .enumerate()
            .any(|(at, family)| families[..at].contains(family))
    };
    let reach: Vec<Family> = update.reach.iter().map(|reach| reach.family).collect();
    let gone: Vec<Family> = update.unreach.iter().map(|gone| gone.family).collect();
    twice(&reach) || twice(&gone)
}
