//! Truncated packets: each kind cut at every length, and with the linear part ending at every length.

use lb_common::verdict::Refusal;

use super::Row;
use crate::model::Packet;
use crate::packets::build::{Arp, Frame};
use crate::packets::expect::{Expect, NOT_OURS, decapsulated, encapsulated, refused, rewritten};
use crate::packets::fixture::{
    CLIENT4, CLIENT6, NODE4, NODE6, ROUTER_MAC, SELF_MAC, SELF4, SELF6, VIP4, VIP6, node, port,
};

/// The kernel's test run rejects frames shorter than an Ethernet header.
const SHORTEST: usize = 14;

/// A length, and the expected result from there up to the next step.
type Step = (usize, Expect);

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, bytes, steps) in [whole_v4(), whole_v6(), whole_others()].concat() {
        for length in SHORTEST..bytes.len() {
            let cut = bytes[..length].to_vec();
            rows.push(Row::bytes(format!("{name} cut at {length}"), cut, at(&steps, length)));
        }
    }
    for (name, bytes, steps) in split() {
        for linear in SHORTEST..bytes.len() {
            let packet = Packet { linear, ..Packet::new(bytes.clone()) };
            rows.push(Row::new(format!("{name} split at {linear}"), packet, at(&steps, linear)));
        }
    }
    rows
}

/// Returns the result of the step that applies to a length.
fn at(steps: &[Step], length: usize) -> Expect {
    steps.iter().rev().find(|(from, _)| *from <= length).map_or(NOT_OURS, |(_, expect)| expect.clone())
}

/// Passed as truncated from this length on.
const fn truncated(from: usize) -> Step {
    (from, refused(Refusal::Truncated))
}

/// Dropped for a wrong length from this length on.
const fn bad_length(from: usize) -> Step {
    (from, refused(Refusal::BadLength))
}

fn v4() -> Frame {
    Frame::v4(CLIENT4, VIP4).tcp(4000, port::NEAR)
}

fn v6() -> Frame {
    Frame::v6(CLIENT6, VIP6).tcp(4000, port::NEAR)
}

fn whole_v4() -> Vec<(&'static str, Vec<u8>, Vec<Step>)> {
    vec![
        ("IPv4 TCP", v4().bytes(), vec![truncated(14), bad_length(38)]),
        (
            "IPv4 UDP in GUE",
            Frame::v4(CLIENT4, VIP4).udp(4000, port::FAR4).bytes(),
            vec![truncated(14), bad_length(38)],
        ),
        ("IPv4 TCP behind a tag", v4().tag(1).bytes(), vec![truncated(18), bad_length(42)]),
        ("IPv4 TCP behind two tags", v4().tag(1).tag(2).bytes(), vec![truncated(22), bad_length(46)]),
        ("IPv4 TCP behind options", v4().options(&[1; 8]).bytes(), vec![truncated(14), bad_length(46)]),
    ]
}

fn whole_v6() -> Vec<(&'static str, Vec<u8>, Vec<Step>)> {
    let extended =
        v6().extension(0, &[0, 0, 1, 4, 0, 0, 0, 0]).extension(60, &[&[0, 2][..], &[0; 22]].concat());
    vec![
        ("IPv6 TCP", v6().bytes(), vec![truncated(14), bad_length(58)]),
        ("IPv6 TCP behind two tags", v6().tag(1).tag(2).bytes(), vec![truncated(22), bad_length(66)]),
        ("IPv6 TCP behind two extension headers", extended.bytes(), vec![truncated(14), bad_length(90)]),
        ("IPv6 TCP, atomic", v6().extension(44, &[0; 8]).bytes(), vec![truncated(14), bad_length(66)]),
    ]
}

fn whole_others() -> Vec<(&'static str, Vec<u8>, Vec<Step>)> {
    let not_answered = || refused(Refusal::EchoDropped);
    let bad_gue = || refused(Refusal::BadGue);
    let over4 = Frame::v4(NODE4, SELF4).gue(50_000, [0, 4, 0, 0], &v4().ip());
    let over6 = Frame::v6(NODE6, SELF6).gue(50_000, [0, 41, 0, 0], &v6().ip());
    vec![
        (
            "echo request",
            Frame::v4(CLIENT4, VIP4).icmp(8, 0).bytes(),
            vec![truncated(14), (34, NOT_OURS), (42, not_answered())],
        ),
        (
            "ICMPv6 echo request",
            Frame::v6(CLIENT6, VIP6).icmp(128, 0).bytes(),
            vec![truncated(14), (54, NOT_OURS), (62, not_answered())],
        ),
        ("ARP request", Arp::request(VIP4).bytes(&[]), vec![]),
        ("solicitation", Frame::solicitation(VIP6).bytes(), vec![]),
        (
            "solicitation without a MAC behind two tags",
            { Frame::bare_solicitation(VIP6).tag(1).tag(2).bytes() },
            vec![],
        ),
        (
            "solicitation to this node alone",
            { Frame::solicitation(VIP6).macs(SELF_MAC, ROUTER_MAC).to_destination(VIP6).bytes() },
            vec![truncated(14), (54, NOT_OURS)],
        ),
        ("GUE over IPv4", over4.bytes(), vec![truncated(14), (38, bad_gue())]),
        ("GUE over IPv6", over6.bytes(), vec![truncated(14), (58, bad_gue())]),
    ]
}

fn split() -> Vec<(&'static str, Vec<u8>, Vec<Step>)> {
    let (near, far) = (v4(), Frame::v6(CLIENT6, VIP6).udp(4000, port::FAR6));
    let (rewritten, encapsulated) = (rewritten(&near, node::NEAR), encapsulated(&far, node::FAR6));
    let inner = Frame::v4(CLIENT4, VIP4).syn(4000, port::NEAR);
    let gue = Frame::v4(NODE4, SELF4).gue(50_000, [0, 4, 0, 0], &inner.ip());
    let taken = decapsulated(&gue, &inner);
    vec![
        ("solicitation", Frame::solicitation(VIP6).bytes(), vec![]),
        ("solicitation without a MAC", Frame::bare_solicitation(VIP6).bytes(), vec![]),
        // Up to the ports it may be foreign; from there on it is for a VIP, and its TCP flags are needed.
        ("IPv4 TCP rewritten", near.bytes(), vec![truncated(14), bad_length(38), (48, rewritten)]),
        ("IPv6 UDP in GUE", far.bytes(), vec![truncated(14), (58, encapsulated)]),
        (
            "GUE from a node",
            gue.bytes(),
            vec![truncated(14), (38, refused(Refusal::BadGue)), bad_length(78), (88, taken)],
        ),
    ]
}
