//! Undeclared ports of a VIP.

use lb_common::verdict::Refusal;

use super::{Row, edited};
use crate::packets::build::Frame;
use crate::packets::expect::{NOT_OURS, port_unreachable, port_unreachable_readable, refused};
use crate::packets::fixture::{
    CLIENT4, CLIENT6, Fixture, NODE_MAC, NODE4, QUIET4, QUIET6, SELF_MAC, SELF4, SELF6, VIP4, VIP6, port,
};

pub(super) fn rows() -> Vec<Row> {
    [answered(), every_port(), literal_message(), dropped(), open()].concat()
}

fn v4() -> Frame {
    Frame::v4(CLIENT4, VIP4)
}

fn v6() -> Frame {
    Frame::v6(CLIENT6, VIP6)
}

fn answered() -> Vec<Row> {
    let row = |name: &str, frame: Frame| Row::frame(name, &frame, port_unreachable(&frame));
    let extended = v6().extension(60, &[0, 0, 1, 4, 0, 0, 0, 0]).udp(4000, port::UNUSED);
    let small = v4().datagram(4000, port::UNUSED, &[]);
    let large = v4().udp(4000, port::UNUSED).sized(1400);
    vec![
        row("TCP to an undeclared port of a VIP", v4().tcp(4000, port::UNUSED)),
        row("a connection to an undeclared port of a VIP", v4().syn(4000, port::UNUSED)),
        row("UDP to an undeclared port of a VIP", v4().udp(4000, port::UNUSED)),
        row("IPv6 TCP to an undeclared port of a VIP", v6().tcp(4000, port::UNUSED)),
        row("an IPv6 connection to an undeclared port of a VIP", v6().syn(4000, port::UNUSED)),
        row("IPv6 UDP to an undeclared port of a VIP", v6().udp(4000, port::UNUSED)),
        row("UDP to an undeclared port of a VIP behind two tags", v4().udp(1, port::UNUSED).tag(8).tag(9)),
        row("UDP to an undeclared port of a VIP on its last hop", v4().udp(1, port::UNUSED).ttl(1)),
        row(
            "UDP to an undeclared port of a VIP from a node",
            v4().udp(1, port::UNUSED).macs(SELF_MAC, NODE_MAC),
        ),
        row("a long datagram to an undeclared port of a VIP", v4().udp(1, port::UNUSED).sized(1400)),
        row("a long IPv6 datagram to an undeclared port of a VIP", v6().udp(1, port::UNUSED).sized(1400)),
        row("an IPv6 datagram behind an extension to an undeclared port of a VIP", extended),
        row("first fragment to an undeclared port of a VIP", v4().udp(1, port::UNUSED).fragment(0, true)),
        Row::frame("a long datagram in two buffers to an undeclared port of a VIP", &large, {
            port_unreachable_readable(&large, 200)
        })
        .split_at(200),
        Row::bytes(
            "an empty datagram to an undeclared port of a VIP",
            small.bytes(),
            port_unreachable(&small),
        ),
    ]
}

/// Ports with a meaning for the program elsewhere have none on a VIP.
fn every_port() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, number) in [
        ("VXLAN", 4789),
        ("BFD", 3784),
        ("BFD over several hops", 4784),
        ("BFD echoes", 3785),
        ("traceroute", 33_434),
        ("nothing", 0),
    ] {
        for (family, base) in [("IPv4", v4()), ("IPv6", v6())] {
            let frame = base.ttl(255).udp(50_000, number);
            rows.push(Row::frame(format!("{family} to a VIP's port of {name}"), &frame, {
                port_unreachable(&frame)
            }));
        }
    }
    let answer = v4().udp(7784, 50_000);
    rows.push(Row::frame("UDP from the port of S-BFD to a VIP", &answer, port_unreachable(&answer)));
    rows
}

/// A message without the builder: every byte as in RFC 792.
fn literal_message() -> Vec<Row> {
    let datagram = Frame::v4([10, 0, 0, 1], VIP4).datagram(1, 9, &[]);
    let quote = datagram.ip();
    let macs = [datagram.macs[1], datagram.macs[0]].concat();
    let mut ip = vec![0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 198, 51, 100, 10, 10, 0, 0, 1];
    let sum = super::icmp_error::checksum(&ip);
    ip[10..12].copy_from_slice(&sum);
    let mut icmp = [[3, 3, 0, 0, 0, 0, 0, 0].as_slice(), &quote].concat();
    let sum = super::icmp_error::checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum);
    let bytes = [macs.as_slice(), &[8, 0], &ip, &icmp].concat();
    let outcome = lb_common::verdict::Outcome::PortUnreachableSent;
    let becomes = crate::packets::expect::Expect::Becomes(crate::model::Action::Transmit, outcome, bytes);
    vec![Row::frame("port unreachable, byte by byte", &datagram, becomes)]
}

/// Packets dropped without an answer.
fn dropped() -> Vec<Row> {
    let row = |name: &str, frame: &Frame| Row::frame(name, frame, refused(Refusal::UndeclaredPort));
    let from4 = |source| Frame::v4(source, VIP4).udp(4000, port::UNUSED);
    let from6 = |source| Frame::v6(source, VIP6).udp(4000, port::UNUSED);
    let mut multicast6 = CLIENT6;
    multicast6[..2].copy_from_slice(&[0xff, 2]);
    let (udp4, udp6) = (v4().udp(4000, port::UNUSED), v6().udp(4000, port::UNUSED));
    vec![
        row("the rate limit reached for an undeclared port of a VIP", &udp4).meets(Fixture::Silent),
        row("the rate limit reached for an undeclared port of an IPv6 VIP", &udp6).meets(Fixture::Silent),
        row("an undeclared port of a VIP, to be dropped", &udp4).meets(Fixture::Dropping),
        row("an undeclared port of an IPv6 VIP, to be dropped", &udp6).meets(Fixture::Dropping),
        row("an undeclared port of a VIP, with options", &udp4.clone().options(&[1; 4])),
        row("an undeclared port of a VIP, from 224.0.0.1", &from4([224, 0, 0, 1])),
        row("an undeclared port of a VIP, from 255.255.255.255", &from4([255; 4])),
        row("an undeclared port of a VIP, from 0.0.0.0", &from4([0; 4])),
        row("an undeclared port of a VIP, from 127.0.0.1", &from4([127, 0, 0, 1])),
        row("an undeclared port of an IPv6 VIP, from ::", &from6([0; 16])),
        row("an undeclared port of an IPv6 VIP, from a multicast address", &from6(multicast6)),
        Row::bytes(
            "an undeclared port of a VIP, with too large a length",
            edited(udp4.bytes(), 16, &[1, 0]),
            refused(Refusal::UndeclaredPort),
        ),
        Row::bytes(
            "an undeclared port of a VIP, whose length leaves no ports",
            edited(udp4.bytes(), 16, &[0, 22]),
            refused(Refusal::UndeclaredPort),
        ),
        Row::bytes(
            "an undeclared port of an IPv6 VIP, with too large a length",
            edited(udp6.bytes(), 18, &[1, 0]),
            refused(Refusal::UndeclaredPort),
        ),
        Row::frame("an undeclared port of a VIP before the configuration", &udp4, NOT_OURS)
            .meets(Fixture::Unconfigured),
    ]
}

/// A VIP whose undeclared ports pass, and false positives of the filter.
fn open() -> Vec<Row> {
    let row = |name: &str, frame: Frame| Row::frame(name, &frame, NOT_OURS);
    vec![
        row("TCP to a port of a VIP that is open", Frame::v4(CLIENT4, QUIET4).tcp(4000, port::UNUSED)),
        row("IPv6 UDP to a port of a VIP that is open", Frame::v6(CLIENT6, QUIET6).udp(4000, port::UNUSED)),
        row("TCP to this node", Frame::v4(CLIENT4, SELF4).tcp(4000, 22)),
        row("IPv6 TCP to this node", Frame::v6(CLIENT6, SELF6).tcp(4000, 22)),
        row("UDP of another node to this node", Frame::v4(NODE4, SELF4).udp(4000, 4789)),
    ]
}
