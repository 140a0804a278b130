//! Frames to other MACs, which a switch may flood: they pass, whatever their payload.

use lb_common::verdict::{Outcome, Refusal};

use super::{Row, edited};
use crate::packets::build::{BROADCAST, Frame};
use crate::packets::expect::{Expect, LOCAL, NOT_OURS, refused, rewritten};
use crate::packets::fixture::{
    CLIENT4, CLIENT6, Fixture, Mac, NODE_MAC, NODE4, NODE6, OTHER_MAC, SECOND_MAC, SELF_MAC, SELF4, SELF6,
    VIP4, VIP6, node, port,
};

const MULTICAST: Mac = [0x01, 0, 0x5e, 0, 0, 1];

pub(super) fn rows() -> Vec<Row> {
    [to_others(), marked(), broken(), on_another_link()].concat()
}

/// Packets that are forwarded, served, decapsulated or answered when sent to this link's MAC.
fn kinds() -> Vec<(&'static str, Frame)> {
    let (v4, v6) = (Frame::v4(CLIENT4, VIP4), Frame::v6(CLIENT6, VIP6));
    let inner = v4.clone().syn(4000, port::LOCAL).ip();
    let quote = Frame::v4(VIP4, CLIENT4).tcp(port::NEAR, 4000).ip();
    vec![
        ("TCP for a near node", v4.clone().tcp(4000, port::NEAR)),
        ("IPv6 UDP for a near node", v6.clone().udp(4000, port::NEAR)),
        ("UDP for a far node", v4.clone().udp(4000, port::FAR4)),
        ("TCP for a far node behind two tags", v6.clone().tcp(4000, port::FAR6).tag_of(0x88a8, 3).tag(4)),
        ("SYN for this node", v4.clone().syn(4000, port::LOCAL)),
        ("UDP for this node", v6.clone().udp(4000, port::LOCAL)),
        ("first fragment", v4.clone().udp(4000, port::NEAR).fragment(0, true)),
        ("later fragment", v4.clone().raw(17, &[7; 16]).fragment(9, false)),
        ("TTL 1", v4.clone().tcp(4000, port::NEAR).ttl(1)),
        ("too big", v4.clone().tcp(4000, port::FAR4).sized(1500)),
        ("echo request", v4.clone().icmp(8, 0)),
        ("ICMPv6 echo request", v6.icmp(128, 0)),
        ("ICMP error", v4.message(3, 1, &[&[0; 4], &quote[..28]].concat())),
        ("GUE from a node", Frame::v4(NODE4, SELF4).gue(50_000, [0, 4, 0, 0], &inner)),
        ("GUE from a node over IPv6", Frame::v6(NODE6, SELF6).gue(50_000, [0, 4, 0, 0], &inner)),
        ("GUE from an unknown host", Frame::v4(CLIENT4, SELF4).gue(50_000, [0, 4, 0, 0], &inner)),
    ]
}

fn to_others() -> Vec<Row> {
    let macs = [
        ("to another MAC", OTHER_MAC),
        ("to another node's MAC", NODE_MAC),
        ("to the MAC of another link", SECOND_MAC),
        ("to the broadcast MAC", BROADCAST),
        ("to a multicast MAC", MULTICAST),
        ("to the MAC zero", [0; 6]),
    ];
    let mut rows = Vec::new();
    for (what, frame) in kinds() {
        for (to, mac) in macs {
            let frame = Frame { macs: [mac, frame.macs[1]], ..frame.clone() };
            rows.push(Row::frame(format!("{what}, {to}"), &frame, NOT_OURS).leaves(&[]));
        }
    }
    // All six bytes are compared.
    for byte in 0..6 {
        let mut mac = SELF_MAC;
        mac[byte] ^= 0x40;
        let frame = Frame::v4(CLIENT4, VIP4).tcp(4000, port::NEAR);
        let frame = Frame { macs: [mac, frame.macs[1]], ..frame };
        rows.push(Row::frame(format!("to a MAC that differs in byte {byte}"), &frame, NOT_OURS));
    }
    rows
}

fn marked() -> Vec<Row> {
    let asked = Frame::v4(CLIENT4, VIP4).syn(4000, port::LOCAL);
    [OTHER_MAC, BROADCAST]
        .map(|mac| {
            let frame = asked.clone().macs(mac, NODE_MAC);
            Row::bytes(format!("marked, to {mac:02x?}"), frame.bytes_as(0x88b5), NOT_OURS).leaves(&[])
        })
        .to_vec()
}

/// Packets that are dropped when sent to this link's MAC.
fn broken() -> Vec<Row> {
    let frame = Frame::v4(CLIENT4, VIP4).tcp(4000, port::NEAR);
    let long = |mac| edited(frame.clone().macs(mac, NODE_MAC).bytes(), 16, &[9, 0]);
    vec![
        Row::bytes("a wrong length, to this link", long(SELF_MAC), refused(Refusal::BadLength)),
        Row::bytes("a wrong length, to another MAC", long(OTHER_MAC), NOT_OURS),
    ]
}

fn on_another_link() -> Vec<Row> {
    let near = Frame::v4(CLIENT4, VIP4).tcp(4000, port::NEAR);
    let new = Frame::v4(CLIENT4, VIP4).syn(4000, port::LOCAL);
    let other = Frame { macs: [OTHER_MAC, near.macs[1]], ..near.clone() };
    let unanswered = Frame::v4(CLIENT4, VIP4).tcp(4000, port::NEAR).macs(OTHER_MAC, NODE_MAC);
    let passed = Expect::Untouched(Outcome::NotOurs as u32);
    vec![
        Row::frame("forwarded on another uplink", &near, rewritten(&near, node::NEAR))
            .meets(Fixture::OtherUplink),
        Row::frame("served on another uplink", &new, LOCAL).meets(Fixture::OtherUplink),
        Row::frame("to another MAC on another uplink", &other, passed).meets(Fixture::OtherUplink),
        Row::frame("to any MAC before the configuration", &unanswered, refused(Refusal::NotConfigured))
            .meets(Fixture::Unconfigured),
    ]
}
