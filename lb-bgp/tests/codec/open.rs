//! OPEN and the message header.

use lb_bgp::codec::{self, MAX_HOST_NAME, MessageError};
use lb_bgp::message::{
    Capabilities, GracefulRestartCapability, MAX_EXTENDED_MESSAGE, Message, Notification, Open,
};
use lb_bgp::value::{AddressFamily, HoldTime, RouterId};

use crate::wire::{DECODING, ENCODING, NEXT_HOP, asn, message};

/// OPEN from AS 65002 with optional parameters.
fn open(parameters: &[u8]) -> Vec<u8> {
    let length = u8::try_from(parameters.len()).unwrap();
    message(1, &[&[4, 0xfd, 0xea, 0, 90, 192, 0, 2, 1, length], parameters].concat())
}

fn read(frame: &[u8]) -> Result<Open, MessageError> {
    match codec::decode(frame, &DECODING)? {
        Message::Open(open) => Ok(open),
        other => panic!("{other:?}"),
    }
}

fn capabilities(list: &[u8]) -> Result<Capabilities, MessageError> {
    read(&open(&[&[2, u8::try_from(list.len()).unwrap()], list].concat())).map(|open| open.capabilities)
}

#[test]
fn an_invalid_open_is_rejected_with_its_subcode() {
    let changed = |index: usize, value: u8| {
        let mut frame = open(&[]);
        frame[19 + index] = value;
        frame
    };
    let zero_id = message(1, &[4, 0xfd, 0xea, 0, 90, 0, 0, 0, 0, 0]);
    let zero_asn = message(1, &[4, 0, 0, 0, 90, 192, 0, 2, 1, 0]);
    let cases = [
        (changed(0, 3), (2, 1, vec![0, 4])),
        (zero_asn, (2, 2, vec![])),
        (open(&[2, 6, 65, 4, 0, 0, 0, 0]), (2, 2, vec![])),
        (zero_id, (2, 3, vec![])),
        (open(&[1, 2, 0, 0]), (2, 4, vec![])),
        (changed(4, 1), (2, 6, vec![])),
        (changed(4, 2), (2, 6, vec![])),
        (changed(9, 1), (2, 0, vec![])),
        (open(&[2]), (2, 0, vec![])),
        (open(&[2, 3, 1, 4, 0]), (2, 0, vec![])),
        (open(&[2, 5, 1, 3, 0, 1, 1]), (2, 0, vec![])),
        (open(&[2, 5, 65, 3, 0, 0, 1]), (2, 0, vec![])),
        (open(&[2, 3, 64, 1, 0]), (2, 0, vec![])),
        (open(&[2, 5, 64, 3, 0, 0, 1]), (2, 0, vec![])),
        (open(&[2, 3, 5, 1, 0]), (2, 0, vec![])),
    ];
    for (frame, (code, subcode, data)) in cases {
        let notification = read(&frame).unwrap_err().notification();
        assert_eq!(notification, Notification { code, subcode, data }, "{frame:?}");
    }
}

#[test]
fn hold_times_of_zero_and_three_seconds_are_accepted() {
    for seconds in [0, 3] {
        let mut frame = open(&[]);
        frame[23] = seconds;
        assert_eq!(read(&frame).unwrap().hold_time, HoldTime::new(seconds.into()).unwrap());
    }
}

#[test]
fn the_four_octet_as_number_takes_precedence() {
    let open = read(&open(&[2, 6, 65, 4, 0, 1, 0, 0])).unwrap();
    assert_eq!((open.asn, open.capabilities.four_octet_asn), (asn(65_536), true));
}

#[test]
fn no_multiprotocol_capability_means_ipv4_and_only_unsupported_ones_do_not() {
    assert_eq!(capabilities(&[2, 0]).unwrap().offered_families(), [AddressFamily::Ipv4]);
    assert_eq!(capabilities(&[1, 4, 0, 25, 0, 70]).unwrap().offered_families(), []);
    assert_eq!(
        capabilities(&[1, 4, 0, 2, 0, 1, 1, 4, 0, 2, 0, 1]).unwrap().offered_families(),
        [AddressFamily::Ipv6]
    );
}

#[test]
fn the_last_graceful_restart_capability_counts_without_unsupported_families() {
    let list = [64, 2, 0, 1, 64, 14, 0xc0, 9, 0, 1, 1, 0x80, 0, 2, 1, 0, 0, 1, 128, 0x80];
    let expected = GracefulRestartCapability {
        restarted: true,
        notification: true,
        restart_time: 9,
        families: vec![(AddressFamily::Ipv4, true), (AddressFamily::Ipv6, false)],
    };
    assert_eq!(capabilities(&list).unwrap().graceful_restart, Some(expected));
}

#[test]
fn only_ipv4_unicast_by_ipv6_is_an_extended_next_hop() {
    for (list, expected) in [
        (vec![5, 0], false),
        (vec![5, 6, 0, 1, 0, 1, 0, 2], true),
        (vec![5, 12, 0, 1, 0, 128, 0, 2, 0, 1, 0, 1, 0, 2], true),
        (vec![5, 6, 0, 1, 0, 2, 0, 2], false),
        (vec![5, 6, 0, 1, 0, 1, 0, 1], false),
    ] {
        assert_eq!(capabilities(&list).unwrap().extended_next_hop, expected, "{list:?}");
    }
}

#[test]
fn capabilities_may_share_a_parameter_and_unknown_ones_are_listed() {
    let one = read(&open(&[2, 6, 2, 0, 99, 0, 6, 0])).unwrap();
    let many = read(&open(&[2, 2, 2, 0, 2, 2, 99, 0, 2, 2, 6, 0])).unwrap();
    assert_eq!(one, many);
    assert_eq!(one.capabilities.others, [99]);
}

#[test]
fn a_host_name_is_reduced_to_printable_characters() {
    let named = |name: &[u8]| {
        let length = u8::try_from(name.len()).unwrap();
        let value = [&[length], name, &[0]].concat();
        let list = [&[73, u8::try_from(value.len()).unwrap()], value.as_slice()].concat();
        capabilities(&list).unwrap().host_name
    };
    assert_eq!(named(b"leaf-1.example").as_deref(), Some("leaf-1.example"));
    assert_eq!(named(b"\x1b[31mred\n").as_deref(), Some("[31mred"));
    assert_eq!(named(b"").as_deref(), None);
    assert_eq!(named(&[b'x'; 200]).map(|name| name.len()), Some(MAX_HOST_NAME));
    assert_eq!(capabilities(&[73, 2, 9, b'x']).unwrap().host_name, None);
}

#[test]
fn extended_parameters_are_decoded_whatever_the_first_length() {
    let parameters = [255, 0, 9, 2, 0, 6, 65, 4, 0, 1, 0, 0];
    for announced in [255, 12, 1] {
        let mut frame = open(&parameters);
        frame[28] = announced;
        assert_eq!(read(&frame).unwrap().asn, asn(65_536), "{announced}");
    }
    let mut short = open(&parameters);
    short[30..32].copy_from_slice(&[0, 8]);
    assert_eq!(read(&short), Err(MessageError::MalformedOpen));
}

#[test]
fn capabilities_beyond_255_octets_use_extended_parameters() {
    for count in [120, 125, 126, 127, 128, 200] {
        let capabilities = Capabilities { others: vec![99; count], ..Capabilities::default() };
        let router_id = RouterId::new(NEXT_HOP).unwrap();
        let open = Open { asn: asn(1), hold_time: HoldTime::DEFAULT, router_id, capabilities };
        let mut out = Vec::new();
        codec::encode(&Message::Open(open.clone()), &ENCODING, &mut out).unwrap();
        assert_eq!(out.get(28..30) == Some(&[255, 255]), count > 126, "{count}");
        assert_eq!(read(&out).unwrap(), open, "{count}");
    }
}

#[test]
fn an_invalid_header_is_rejected() {
    let header = |length: u16, kind: u8| [&[0xff; 16], length.to_be_bytes().as_slice(), &[kind]].concat();
    let bad_length = MessageError::BadLength;
    for (length, kind, max_length, expected) in [
        (19, 4, 4096, Ok(Some(19))),
        (18, 4, 4096, Err(bad_length(18))),
        (0, 2, 4096, Err(bad_length(0))),
        (20, 4, 4096, Err(bad_length(20))),
        (28, 1, 4096, Err(bad_length(28))),
        (29, 1, 4096, Ok(None)),
        (4097, 1, 65_535, Err(bad_length(4097))),
        (22, 2, 4096, Err(bad_length(22))),
        (4096, 2, 4096, Ok(None)),
        (4097, 2, 4096, Err(bad_length(4097))),
        (65_535, 2, 65_535, Ok(None)),
        (20, 3, 4096, Err(bad_length(20))),
        (22, 5, 4096, Err(bad_length(22))),
        (19, 0, 4096, Err(MessageError::BadType(0))),
        (19, 6, 4096, Err(MessageError::BadType(6))),
    ] {
        assert_eq!(codec::frame(&header(length, kind), max_length), expected, "{length} {kind}");
    }
    let mut odd = header(19, 4);
    odd[7] = 0xfe;
    assert_eq!(codec::frame(&odd, MAX_EXTENDED_MESSAGE), Err(MessageError::NotSynchronized));
    assert_eq!(MessageError::BadLength(18).notification().data, [0, 18]);
    assert_eq!(MessageError::BadType(6).notification().data, [6]);
}

#[test]
fn only_route_refreshes_of_a_negotiated_family_count() {
    for (body, expected) in [
        ([0, 1, 0, 1], Some(AddressFamily::Ipv4)),
        ([0, 2, 0, 1], Some(AddressFamily::Ipv6)),
        ([0, 2, 1, 1], None),
        ([0, 2, 2, 1], None),
        ([0, 25, 0, 70], None),
    ] {
        assert_eq!(codec::decode(&message(5, &body), &DECODING), Ok(Message::RouteRefresh(expected)));
    }
    let v6_only = codec::Decoding { families: &[AddressFamily::Ipv6], ..DECODING };
    assert_eq!(codec::decode(&message(5, &[0, 1, 0, 1]), &v6_only), Ok(Message::RouteRefresh(None)));
}
