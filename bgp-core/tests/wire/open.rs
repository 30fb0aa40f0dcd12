//! Headers, OPEN, NOTIFICATION and ROUTE-REFRESH: what is refused, and with which words.

use crate::{
    NOTIFICATION, OPEN, ROUTE_REFRESH, UPDATE, answer, attribute, external, internal, message, read,
};
use bgp_core::wire::{
    AddPath, Capability, Cease, Context, EncodeError, MAX_EXTENDED_LEN, MAX_LEN, Message,
    Notification, NotificationError, Open, RefreshSubtype, encode_message, frame,
};
use bytes::BytesMut;

const KEEPALIVE: u8 = 4;

/// An OPEN with the given optional parameters, their length field included.
fn open_with(parameters: &[u8]) -> Vec<u8> {
    let mut body = vec![4, 0xfd, 0xe9, 0, 90, 10, 0, 0, 1];
    body.extend(parameters);
    message(OPEN, &body)
}

fn read_open(octets: &[u8]) -> Result<Open, (u8, u8, Vec<u8>)> {
    match read(octets, &external()) {
        Ok(Message::Open(open)) => Ok(open),
        Ok(other) => panic!("an OPEN was read as {other:?}"),
        Err(error) => Err(answer(&error)),
    }
}

fn capabilities(parameters: &[u8]) -> Vec<Capability> {
    read_open(&open_with(parameters)).unwrap().capabilities
}

// The header (RFC 4271 §6.1, RFC 8654).

#[test]
fn the_header_is_judged_as_soon_as_it_is_there() {
    let mut off = message(KEEPALIVE, &[]);
    off[3] = 0;
    assert_eq!(
        answer(&frame(&off[..16], MAX_LEN).unwrap_err()),
        (1, 1, Vec::new())
    );
    let good = message(UPDATE, &[0; 100]);
    for length in 0..good.len() {
        assert_eq!(frame(&good[..length], MAX_LEN), Ok(None));
    }
    assert!(frame(&good, MAX_LEN).unwrap().is_some());
    let mut header = good[..19].to_vec();
    header[18] = 9;
    assert_eq!(
        answer(&frame(&header, MAX_LEN).unwrap_err()),
        (1, 3, vec![9])
    );
}

#[test]
fn lengths_have_limits_by_type_and_session() {
    const LONG: usize = MAX_EXTENDED_LEN;
    // type, limit of the session, length, whether it may be
    let rows = [
        (OPEN, MAX_LEN, 28, false),
        (OPEN, MAX_LEN, 29, true),
        (OPEN, MAX_LEN, 4096, true),
        (OPEN, LONG, 4097, false),
        (UPDATE, MAX_LEN, 22, false),
        (UPDATE, MAX_LEN, 23, true),
        (UPDATE, MAX_LEN, 4096, true),
        (UPDATE, MAX_LEN, 4097, false),
        (UPDATE, LONG, 4097, true),
        (UPDATE, LONG, 65_535, true),
        (NOTIFICATION, MAX_LEN, 21, true),
        (NOTIFICATION, MAX_LEN, 4097, false),
        (NOTIFICATION, LONG, 65_535, true),
        (KEEPALIVE, MAX_LEN, 19, true),
        (KEEPALIVE, LONG, 20, false),
        (ROUTE_REFRESH, MAX_LEN, 23, true),
        (ROUTE_REFRESH, LONG, 65_535, true),
        (UPDATE, MAX_LEN, 18, false),
        (KEEPALIVE, MAX_LEN, 0, false),
    ];
    for (kind, limit, length, may_be) in rows {
        let mut octets = message(kind, &vec![0; length.max(19) - 19]);
        let field = u16::try_from(length).unwrap().to_be_bytes();
        octets[16..18].copy_from_slice(&field);
        let result = frame(&octets, limit);
        if may_be {
            assert_eq!(result.unwrap().unwrap().len, length, "type {kind}");
        } else {
            let answer = answer(&result.unwrap_err());
            assert_eq!(answer, (1, 2, field.to_vec()), "type {kind}");
        }
    }
}

// OPEN (RFC 4271 §6.2).

#[test]
fn fields_of_an_open_are_refused_in_their_order() {
    let good = open_with(&[0]);
    // where, what, code of the refusal, data
    type Row = (usize, &'static [u8], (u8, u8, Vec<u8>));
    let rows: [Row; 7] = [
        (19, &[3], (2, 1, vec![0, 4])),
        (19, &[5], (2, 1, vec![0, 4])),
        (20, &[0, 0], (2, 2, vec![])),
        (22, &[0, 1], (2, 6, vec![0, 1])),
        (22, &[0, 2], (2, 6, vec![0, 2])),
        (24, &[0, 0, 0, 0], (2, 3, vec![0, 0, 0, 0])),
        // The version is judged before what follows it, parameters included.
        (19, &[3, 0, 0, 0, 1, 0, 0, 0, 0, 9], (2, 1, vec![0, 4])),
    ];
    for (at, octets, refusal) in rows {
        let mut bad = good.clone();
        bad[at..at + octets.len()].copy_from_slice(octets);
        assert_eq!(read_open(&bad), Err(refusal));
    }
    for hold_time in [0_u16, 3, 65_535] {
        let mut fine = good.clone();
        fine[22..24].copy_from_slice(&hold_time.to_be_bytes());
        assert_eq!(read_open(&fine).unwrap().hold_time, hold_time);
    }
}

#[test]
fn malformed_parameters_are_unspecific() {
    let unspecific = Err((2, 0, Vec::new()));
    let rows: [&[u8]; 9] = [
        &[1],
        &[0, 0],
        &[2, 2],
        &[2, 2, 1],
        &[3, 2, 1, 2],
        &[4, 2, 2, 2, 1],
        // The extended form (RFC 9072)
        &[255, 255, 0],
        &[255, 255, 0, 3, 2, 0],
        &[255, 255, 0, 3, 2, 0, 1],
    ];
    for parameters in rows {
        assert_eq!(
            read_open(&open_with(parameters)),
            unspecific,
            "{parameters:?}"
        );
    }
}

#[test]
fn parameters_that_nobody_knows_are_named() {
    assert_eq!(read_open(&open_with(&[3, 1, 1, 0])), Err((2, 4, vec![1])));
    let second = [6, 2, 2, 2, 0, 255, 0];
    assert_eq!(read_open(&open_with(&second)), Err((2, 4, vec![255])));
}

#[test]
fn both_forms_of_parameters_say_the_same() {
    let forms: [&[u8]; 5] = [
        &[6, 2, 4, 2, 0, 70, 0],
        &[8, 2, 2, 2, 0, 2, 2, 70, 0],
        &[255, 255, 0, 7, 2, 0, 4, 2, 0, 70, 0],
        // The old length may be anything but zero when the extended form is used.
        &[1, 255, 0, 7, 2, 0, 4, 2, 0, 70, 0],
        &[255, 255, 0, 10, 2, 0, 2, 2, 0, 2, 0, 2, 70, 0],
    ];
    let expected = [Capability::RouteRefresh, Capability::EnhancedRouteRefresh];
    for parameters in forms {
        assert_eq!(capabilities(parameters), expected, "{parameters:?}");
    }
    assert_eq!(capabilities(&[0]), []);
    assert_eq!(capabilities(&[255, 255, 0, 0]), []);
    // 255 octets of parameters need no extended form.
    let mut full = vec![255, 2, 253, 99, 251];
    full.extend([7; 251]);
    assert_eq!(capabilities(&full).len(), 1);
}

#[test]
fn the_extended_form_is_written_only_when_needed() {
    for (size, first) in [(251, 255), (252, 255), (253, 255)] {
        let list = vec![Capability::Unknown {
            code: 99,
            value: vec![7; size],
        }];
        let open = Open {
            capabilities: list,
            ..read_open(&open_with(&[0])).unwrap()
        };
        let mut out = BytesMut::new();
        let writing = crate::writing(&external());
        encode_message(&Message::Open(open.clone()), &writing, &mut out).unwrap();
        let second = if size == 251 { 2 } else { 255 };
        assert_eq!((out[28], out[29]), (first, second));
        assert_eq!(read_open(&out), Ok(open));
    }
}

#[test]
fn capabilities_that_do_not_parse_are_kept_as_unknown() {
    let rows: [(u8, &[u8]); 14] = [
        (1, &[0, 1, 0]),
        (2, &[0]),
        (5, &[0, 1, 0, 1, 0]),
        (6, &[1]),
        (9, &[]),
        (9, &[1, 2]),
        (64, &[0]),
        (64, &[0, 0, 0, 1]),
        (65, &[0, 1]),
        (69, &[0, 1, 1]),
        (71, &[0, 1, 1, 0]),
        (73, &[5, b'a']),
        (73, &[1, b'a', 0, 0]),
        (75, &[9]),
    ];
    for (code, value) in rows {
        let length = u8::try_from(value.len()).unwrap();
        let mut parameters = vec![length + 4, 2, length + 2, code, length];
        parameters.extend(value);
        let value = value.to_vec();
        assert_eq!(
            capabilities(&parameters),
            [Capability::Unknown { code, value }]
        );
    }
}

#[test]
fn undefined_add_path_modes_offer_nothing() {
    for (mode, receive, send) in [
        (0, false, false),
        (1, true, false),
        (2, false, true),
        (3, true, true),
        (4, false, false),
        (7, false, false),
    ] {
        let list = capabilities(&[8, 2, 6, 69, 4, 0, 1, 1, mode]);
        let family = bgp_core::family::Family::Ipv4Unicast.afi_safi();
        let entry = AddPath {
            family,
            receive,
            send,
        };
        assert_eq!(list, [Capability::AddPath(vec![entry])]);
    }
}

// NOTIFICATION.

#[test]
fn every_code_and_subcode_survives() {
    for code in 0..=u8::MAX {
        for subcode in 0..=u8::MAX {
            let error = NotificationError::from_codes(code, subcode);
            assert_eq!(error.codes(), (code, subcode));
            assert!(error.to_string().ends_with(&format!("({code}/{subcode})")));
        }
    }
}

#[test]
fn a_short_notification_has_a_wrong_length() {
    for body in [&[][..], &[6]] {
        let octets = message(NOTIFICATION, body);
        let length = u8::try_from(octets.len()).unwrap();
        let error = read(&octets, &external()).unwrap_err();
        assert_eq!(answer(&error), (1, 2, vec![0, length]));
    }
}

#[test]
fn shutdown_communications_are_made_fit_for_a_log() {
    let said = |cease, data: &[u8]| {
        let notification = Notification {
            error: NotificationError::Cease(cease),
            data: data.to_vec(),
        };
        notification.shutdown_communication()
    };
    let shutdown = |data: &[u8]| said(Cease::AdministrativeShutdown, data);
    assert_eq!(shutdown(b"\x05bye\n!"), Some("bye !".into()));
    assert_eq!(
        said(Cease::AdministrativeReset, b"\x02hi"),
        Some("hi".into())
    );
    assert_eq!(said(Cease::OutOfResources, b"\x02hi"), None);
    assert_eq!(shutdown(b""), None);
    assert_eq!(shutdown(b"\x00"), None);
    assert_eq!(shutdown(b"\x09bye"), None);
    assert_eq!(shutdown(b"\x02\xff\xfe"), Some("\u{fffd}\u{fffd}".into()));
    let longest = [&[255], [b'x'; 255].as_slice()].concat();
    assert_eq!(shutdown(&longest), Some("x".repeat(255)));
}

#[test]
fn what_goes_back_as_data_fits_a_message_of_any_session() {
    let long = Context {
        max_len: MAX_EXTENDED_LEN,
        ..internal()
    };
    let strange = attribute(0x50, 99, &[1; 20_000]);
    let octets = message(UPDATE, &crate::update_body(&[], &[strange], &[]));
    let error = read(&octets, &long).unwrap_err();
    let notification = Notification::from(&error);
    let mut out = BytesMut::new();
    let short = crate::writing(&internal());
    encode_message(&Message::Notification(notification), &short, &mut out).unwrap();
    assert_eq!(out.len(), MAX_LEN);
}

#[test]
fn messages_that_are_too_long_are_not_written() {
    let open = Open {
        capabilities: vec![
            Capability::Unknown {
                code: 99,
                value: vec![1; 255],
            };
            20
        ],
        ..read_open(&open_with(&[0])).unwrap()
    };
    let long = Context {
        max_len: MAX_EXTENDED_LEN,
        ..internal()
    };
    let mut out = BytesMut::from(&b"before"[..]);
    let result = encode_message(&Message::Open(open), &crate::writing(&long), &mut out);
    let max_len = MAX_LEN;
    let len = 19 + 10 + 3 + 3 + 20 * 257;
    assert_eq!(result, Err(EncodeError::TooLong { len, max_len }));
    assert_eq!(out, b"before"[..]);
}

// ROUTE-REFRESH (RFC 2918, RFC 7313 §5).

#[test]
fn a_route_refresh_of_a_wrong_length_is_refused_by_its_subtype() {
    for (body, is_marker) in [
        (&[][..], false),
        (&[0, 1], false),
        (&[0, 1, 0], false),
        (&[0, 1, 0, 1, 0], false),
        (&[0, 1, 1], true),
        (&[0, 1, 2, 1, 0], true),
    ] {
        let octets = message(ROUTE_REFRESH, body);
        let answer = answer(&read(&octets, &internal()).unwrap_err());
        let length = u8::try_from(octets.len()).unwrap();
        if is_marker {
            assert_eq!(answer, (7, 1, octets));
        } else {
            assert_eq!(answer, (1, 2, vec![0, length]));
        }
    }
}

#[test]
fn a_route_refresh_of_an_unknown_subtype_is_read_whatever_follows() {
    for body in [&[0, 1, 9, 1][..], &[0, 1, 9, 1, 0, 0]] {
        let Message::RouteRefresh(refresh) =
            read(&message(ROUTE_REFRESH, body), &internal()).unwrap()
        else {
            panic!("not a ROUTE-REFRESH");
        };
        assert_eq!(refresh.subtype, RefreshSubtype::Unknown(9));
    }
}
