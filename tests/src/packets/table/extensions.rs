//! IPv4 options and IPv6 extension headers in front of a VIP's ports.

use lb_common::verdict::Refusal;

use super::Row;
use crate::packets::build::Frame;
use crate::packets::expect::{NOT_OURS, encapsulated, refused, rewritten};
use crate::packets::fixture::{CLIENT4, CLIENT6, PLAIN6, VIP4, VIP6, node, port};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// Padding options of eight bytes (PadN of four).
const PAD: [u8; 8] = [0, 0, 1, 4, 0, 0, 0, 0];
/// The same in 24 bytes.
const LONG_PAD: [u8; 24] = [0, 2, 1, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub(super) fn rows() -> Vec<Row> {
    [options(), extensions(), chains()].concat()
}

fn options() -> Vec<Row> {
    let frame = |port| Frame::v4(CLIENT4, VIP4).tcp(4000, port);
    let mut rows = Vec::new();
    for (name, bytes) in [("a router alert", &[0x94, 4, 0, 0][..]), ("40 bytes of options", &[1; 40])] {
        let near = frame(port::NEAR).options(bytes);
        let far = frame(port::FAR6).options(bytes).tag(7);
        rows.push(Row::frame(format!("IPv4 with {name}, rewritten"), &near, rewritten(&near, node::NEAR)));
        rows.push(Row::frame(format!("IPv4 with {name}, in GUE"), &far, encapsulated(&far, node::FAR6)));
    }
    rows
}

/// Builds a routing header with this many segments left.
const fn routing(left: u8) -> [u8; 8] {
    [0, 0, 4, left, 0, 0, 0, 0]
}

/// Builds a fragment header from the offset and more-fragments bit in wire format.
const fn fragment(offset_and_more: u16) -> [u8; 8] {
    let [a, b] = offset_and_more.to_be_bytes();
    [0, 0, a, b, 0, 0, 0, 9]
}

fn base(port: u16) -> Frame {
    Frame::v6(CLIENT6, VIP6).tcp(4000, port)
}

fn extensions() -> Vec<Row> {
    let mut rows = Vec::new();
    let single: [(&str, u8, &[u8]); 6] = [
        ("hop-by-hop options", HOP_BY_HOP, &PAD),
        ("long hop-by-hop options", HOP_BY_HOP, &LONG_PAD),
        ("destination options", DESTINATION_OPTIONS, &PAD),
        ("a completed routing header", ROUTING, &routing(0)),
        ("an atomic fragment header", FRAGMENT, &fragment(0)),
        ("an atomic fragment header, reserved bits set", FRAGMENT, &fragment(0b110)),
    ];
    for (name, number, bytes) in single {
        let near = base(port::NEAR).extension(number, bytes);
        let far = base(port::FAR4).extension(number, bytes);
        rows.push(Row::frame(format!("IPv6 with {name}, rewritten"), &near, rewritten(&near, node::NEAR)));
        rows.push(Row::frame(format!("IPv6 with {name}, in GUE"), &far, encapsulated(&far, node::FAR4)));
    }
    let incomplete = base(port::NEAR).extension(ROUTING, &routing(1));
    rows.push(Row::frame("IPv6 with a routing header, one segment left", &incomplete, NOT_OURS));
    for (name, number) in [("authentication", 51), ("ESP", 50), ("mobility", 135), ("HIP", 139)] {
        let frame = base(port::NEAR).extension(number, &PAD);
        rows.push(Row::frame(format!("IPv6 with {name}"), &frame, NOT_OURS));
    }
    rows
}

fn chains() -> Vec<Row> {
    let several = base(port::NEAR)
        .extension(HOP_BY_HOP, &PAD)
        .extension(DESTINATION_OPTIONS, &LONG_PAD)
        .extension(ROUTING, &routing(0))
        .extension(FRAGMENT, &fragment(0))
        .extension(DESTINATION_OPTIONS, &PAD);
    let many = |count| (0..count).fold(base(port::NEAR), |f, _| f.extension(DESTINATION_OPTIONS, &PAD));
    let elsewhere = (0..7).fold(Frame::v6(CLIENT6, PLAIN6).tcp(1, 2), |f, _| f.extension(HOP_BY_HOP, &PAD));
    let echo = Frame::v6(CLIENT6, VIP6).icmp(128, 0).extension(DESTINATION_OPTIONS, &PAD);
    vec![
        Row::frame("IPv6 with five extension headers", &several, rewritten(&several, node::NEAR)),
        Row::frame("IPv6 with six extension headers", &many(6), rewritten(&many(6), node::NEAR)),
        Row::frame("IPv6 with seven extension headers", &many(7), refused(Refusal::TooManyHeaders)),
        Row::frame("the same to another address", &elsewhere, refused(Refusal::TooManyHeaders)),
        Row::frame("ICMPv6 echo behind an extension header", &echo, NOT_OURS),
        Row::frame("IPv6 without a next header", &Frame::v6(CLIENT6, VIP6), NOT_OURS),
    ]
}
