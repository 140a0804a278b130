//! ICMP and ICMPv6 echo to a VIP, and similar packets.

use lb_common::verdict::{Outcome, Refusal};

use super::{Row, edited};
use crate::model::Action;
use crate::packets::build::{Addresses, Frame, Upper};
use crate::packets::expect::{Expect, NOT_OURS, refused};
use crate::packets::fixture::{CLIENT4, CLIENT6, Fixture, PLAIN4, PLAIN6, QUIET4, QUIET6, VIP4, VIP6};

pub(super) fn rows() -> Vec<Row> {
    [answered(), not_answered(), not_echo()].concat()
}

fn v4() -> Frame {
    Frame::v4(CLIENT4, VIP4).icmp(8, 0)
}

fn v6() -> Frame {
    Frame::v6(CLIENT6, VIP6).icmp(128, 0)
}

/// Sent back as a reply, with a fresh TTL.
pub(super) fn answer(request: &Frame) -> Expect {
    let [to, from] = request.macs;
    let mut reply = Frame { macs: [from, to], ttl: 64, ..request.clone() };
    reply.addresses = match request.addresses {
        Addresses::V4(source, destination) => Addresses::V4(destination, source),
        Addresses::V6(source, destination) => Addresses::V6(destination, source),
    };
    match &mut reply.upper {
        Upper::Icmp4(kind, ..) => *kind = 0,
        Upper::Icmp6(kind, ..) => *kind = 129,
        Upper::Tcp(..) | Upper::Udp(..) | Upper::PlainUdp(..) | Upper::Raw(..) => {}
    }
    Expect::Becomes(Action::Transmit, Outcome::EchoAnswered, reply.bytes())
}

fn answered() -> Vec<Row> {
    let row = |name: &str, request: Frame| Row::frame(name, &request, answer(&request));
    vec![
        row("echo request", v4()),
        row("ICMPv6 echo request", v6()),
        row("echo request, TTL 1", v4().ttl(1)),
        row("ICMPv6 echo request, hop limit 255", v6().ttl(255)),
        row("echo request without data", v4().sized(28)),
        row("ICMPv6 echo request without data", v6().sized(48)),
        row("large echo request", v4().sized(1500)),
        row("ICMPv6 echo request in two buffers", v6().sized(4000)).split_at(100),
        row("echo request behind a tag", v4().tag(8)),
        row("ICMPv6 echo request behind two tags", v6().tag(8).tag(9)),
        row("echo request with DSCP", v4().class(0xb8)),
        row("echo request padded", v4().sized(30)).padded(&[0; 16]),
    ]
}

fn not_answered() -> Vec<Row> {
    let not = || refused(Refusal::EchoDropped);
    let passed = || refused(Refusal::EchoNotAnswered);
    let from4 = |source| Frame::v4(source, VIP4).icmp(8, 0);
    let from6 = |source| Frame::v6(source, VIP6).icmp(128, 0);
    let mut multicast6 = CLIENT6;
    multicast6[..2].copy_from_slice(&[0xff, 2]);
    vec![
        Row::frame("echo request with the rate limit reached", &v4(), not()).meets(Fixture::Silent),
        Row::frame("ICMPv6 echo request with the rate limit reached", &v6(), not()).meets(Fixture::Silent),
        Row::frame("echo request to a VIP that is silent", &Frame::v4(CLIENT4, QUIET4).icmp(8, 0), passed()),
        Row::frame("ICMPv6 echo request to a silent VIP", &Frame::v6(CLIENT6, QUIET6).icmp(128, 0), passed()),
        Row::frame("echo request from 224.0.0.1", &from4([224, 0, 0, 1]), not()),
        Row::frame("echo request from 255.255.255.255", &from4([255; 4]), not()),
        Row::frame("echo request from 0.0.0.0", &from4([0; 4]), not()),
        Row::frame("echo request from 127.0.0.1", &from4([127, 0, 0, 1]), not()),
        Row::frame("ICMPv6 echo request from a multicast address", &from6(multicast6), not()),
        Row::frame("ICMPv6 echo request from ::", &from6([0; 16]), not()),
        Row::bytes("echo request with too large a length", edited(v4().bytes(), 16, &[1, 0]), not()),
        Row::bytes("echo request whose length leaves no ICMP", edited(v4().bytes(), 16, &[0, 27]), not()),
        Row::bytes("ICMPv6 echo request with too large a length", edited(v6().bytes(), 18, &[1, 0]), not()),
        Row::bytes("ICMPv6 echo request with length 7", edited(v6().bytes(), 18, &[0, 7]), not()),
    ]
}

fn not_echo() -> Vec<Row> {
    let mut rows = vec![
        Row::frame("echo request to no VIP", &Frame::v4(CLIENT4, PLAIN4).icmp(8, 0), NOT_OURS),
        Row::frame("ICMPv6 echo request to no VIP", &Frame::v6(CLIENT6, PLAIN6).icmp(128, 0), NOT_OURS),
        Row::frame("echo request with IPv4 options", &v4().options(&[1; 4]), NOT_OURS),
        Row::frame("echo request, first fragment", &v4().fragment(0, true), NOT_OURS),
        Row::frame("ICMPv4 in IPv6", &Frame::v6(CLIENT6, VIP6).raw(1, &[8, 0, 0, 0, 0, 0, 0, 0]), NOT_OURS),
        Row::frame(
            "ICMPv6 in IPv4",
            &Frame::v4(CLIENT4, VIP4).raw(58, &[128, 0, 0, 0, 0, 0, 0, 0]),
            NOT_OURS,
        ),
    ];
    for (name, kind, code) in [
        ("echo reply", 0, 0),
        ("echo request with code 1", 8, 1),
        ("destination unreachable", 3, 1),
        ("fragmentation needed", 3, 4),
        ("time exceeded", 11, 0),
        ("timestamp request", 13, 0),
    ] {
        rows.push(Row::frame(name, &Frame::v4(CLIENT4, VIP4).icmp(kind, code), NOT_OURS));
    }
    for (name, kind, code) in [
        ("ICMPv6 echo reply", 129, 0),
        ("ICMPv6 echo request with code 1", 128, 1),
        ("ICMPv6 packet too big", 2, 0),
        ("neighbor solicitation", 135, 0),
        ("router advertisement", 134, 0),
        ("multicast listener report", 143, 0),
    ] {
        rows.push(Row::frame(name, &Frame::v6(CLIENT6, VIP6).icmp(kind, code), NOT_OURS));
    }
    rows
}
