//! Neighbor Solicitations, and the node that answers them.

use std::borrow::Borrow;

use lb_common::verdict::{Outcome, Refusal};

use super::{Row, edited};
use crate::model::Action;
use crate::packets::build::{BROADCAST, Frame, solicited_node, source_mac};
use crate::packets::expect::{Expect, NOT_OURS, refused};
use crate::packets::fixture::{
    CLIENT6, Fixture, Mac, OTHER_MAC, OTHER_UPLINK6, PLAIN6, QUIET6, ROUTER_MAC, SELF_MAC, VIP6,
};

/// A client outside the source ranges of the VIP.
const OUTSIDER6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0xe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
/// A nonce.
const NONCE: [u8; 8] = [14, 1, 1, 2, 3, 4, 5, 6];
/// An unassigned option.
const UNKNOWN: [u8; 16] = [99, 2, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2];
/// Offset of the IPv6 header without a tag, of its fields, and of the ICMPv6 header.
const IP: usize = 14;
const LENGTH: usize = IP + 4;
const ICMP: usize = IP + 40;

pub(super) fn rows() -> Vec<Row> {
    [
        answered(),
        checks(),
        options(),
        shapes(),
        crowded(),
        not_answered(),
        wrong_addresses(),
        wrong_messages(),
        wrong_options(),
        other_messages(),
    ]
    .concat()
}

/// Answered, to this MAC unless it is a check for duplicates.
fn answer(request: &Frame, asker: Mac) -> Expect {
    let reply = Frame::advertisement(request, VIP6, SELF_MAC, asker).bytes();
    Expect::Becomes(Action::Transmit, Outcome::NdpAnswered, reply)
}

/// A row of a solicitation that is answered to the router.
fn row(name: &str, request: Frame) -> Row {
    Row::frame(name, &request, answer(&request, ROUTER_MAC))
}

/// A row of a frame that passes.
fn passed(name: &str, frame: impl Borrow<Frame>) -> Row {
    Row::frame(name, frame.borrow(), NOT_OURS)
}

/// A solicitation to this node alone.
fn unicast() -> Frame {
    Frame::solicitation(VIP6).macs(SELF_MAC, ROUTER_MAC).to_destination(VIP6)
}

fn answered() -> Vec<Row> {
    let request = Frame::solicitation(VIP6);
    let (_, group_mac) = solicited_node(VIP6);
    let proxied = request.clone().macs(group_mac, OTHER_MAC);
    let bare = Frame::bare_solicitation(VIP6);
    let link_local = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0xff, 0xfe, 0, 0, 9];
    vec![
        row("solicitation", request.clone()),
        row("solicitation to this node alone", unicast()),
        row("solicitation to the group, at this node's MAC", request.clone().macs(SELF_MAC, ROUTER_MAC)),
        row("solicitation to the VIP, at its group's MAC", unicast().macs(group_mac, ROUTER_MAC)),
        row("solicitation to the broadcast MAC", request.clone().macs(BROADCAST, ROUTER_MAC)),
        row("solicitation to another group's MAC", request.clone().macs([0x33; 6], ROUTER_MAC)),
        row(
            "solicitation to a MAC of IPv4 multicast",
            request.clone().macs([1, 0, 0x5e, 0, 0, 1], ROUTER_MAC),
        ),
        row("solicitation from a link-local address", request.clone().from_source(link_local)),
        row("solicitation relayed by another MAC", proxied),
        row("solicitation with a traffic class", request.clone().class(0xe0)),
        row("solicitation with a flow label", Frame { flow_label: 0xabcde, ..request.clone() }),
        row("solicitation with reserved bits", reserved()),
        row("solicitation without a MAC", bare.clone()),
        row("solicitation without a MAC, to this node alone", {
            bare.clone().macs(SELF_MAC, ROUTER_MAC).to_destination(VIP6)
        }),
        Row::frame(
            "solicitation without a MAC, relayed by another MAC",
            &bare.clone().macs(group_mac, OTHER_MAC),
            answer(&bare, OTHER_MAC),
        ),
        row("solicitation on another uplink", request.clone()).meets(Fixture::OtherUplink),
        row("solicitation while nodes have returned", request.clone()).meets(Fixture::Holding),
        row("solicitation of a client outside the source ranges", request.from_source(OUTSIDER6))
            .meets(Fixture::Sources),
    ]
}

/// A solicitation whose reserved word is not zero.
fn reserved() -> Frame {
    let rest = [[0xff; 4].as_slice(), &VIP6, &source_mac(ROUTER_MAC)].concat();
    Frame::solicitation(VIP6).message(135, 0, &rest)
}

/// Of hosts that check for duplicates.
fn checks() -> Vec<Row> {
    let check = Frame::duplicate_check(VIP6);
    let to_this = check.clone().macs(SELF_MAC, ROUTER_MAC);
    vec![
        row("check for duplicates", check.clone()),
        row("check for duplicates with a nonce", check.clone().ndp_options(&NONCE)),
        row("check for duplicates behind a tag", check.clone().tag(7)),
        row("check for duplicates at this node's MAC", to_this.clone()),
        passed("check for duplicates with a MAC", check.clone().ndp_options(&source_mac(ROUTER_MAC))),
        passed(
            "check for duplicates with a nonce and a MAC",
            check.clone().ndp_options(&NONCE).ndp_options(&source_mac(ROUTER_MAC)),
        ),
        passed("check for duplicates to the VIP", to_this.to_destination(VIP6)),
        passed("check for duplicates of another address", Frame::duplicate_check(PLAIN6)),
        Row::frame(
            "check for duplicates of another node's VIP",
            &Frame::duplicate_check(QUIET6),
            refused(Refusal::NdpNotAnswered),
        ),
    ]
}

fn options() -> Vec<Row> {
    let bare = Frame::bare_solicitation(VIP6);
    let with = |options: &[&[u8]]| bare.clone().ndp_options(&options.concat());
    let own = source_mac(ROUTER_MAC);
    // One unit more than the address of Ethernet takes.
    let long = [&[1, 2], ROUTER_MAC.as_slice(), &[0; 8]].concat();
    vec![
        row("solicitation with a nonce behind the MAC", with(&[&own, &NONCE])),
        row("solicitation with a nonce in front of the MAC", with(&[&NONCE, &own])),
        row("solicitation with a nonce without a MAC", with(&[&NONCE])),
        row("solicitation with an unknown option behind the MAC", with(&[&own, &UNKNOWN])),
        row("solicitation with an unknown option in front of the MAC", with(&[&UNKNOWN, &own])),
        row(
            "solicitation with the target's MAC in front of its own",
            with(&[&[2, 1, 9, 9, 9, 9, 9, 9], &own]),
        ),
        row("solicitation with two MACs", with(&[&own, &source_mac(OTHER_MAC)])),
        row("solicitation with a MAC of 14 bytes", with(&[&long])),
        row("solicitation with a MAC in the last of four options", with(&[&NONCE, &UNKNOWN, &NONCE, &own])),
        row("solicitation with four options without a MAC", with(&[&NONCE, &UNKNOWN, &NONCE, &NONCE])),
        row("solicitation of 128 bytes", with(&[&own, &[&[99, 12], [1; 94].as_slice()].concat()])),
    ]
}

/// Frames with tags, and padded ones.
fn shapes() -> Vec<Row> {
    let (request, bare) = (Frame::solicitation(VIP6), Frame::bare_solicitation(VIP6));
    let mut rows = vec![
        row("solicitation behind a tag", request.clone().tag(4)),
        row("solicitation behind two tags", request.clone().tag_of(0x88a8, 4).tag(5)),
        row("solicitation without a MAC behind a tag", bare.clone().tag(4)),
        row("solicitation without a MAC behind two tags", bare.clone().tag_of(0x88a8, 4).tag(5)),
        row("solicitation to this node alone behind a tag", unicast().tag(4)),
        passed("solicitation behind three tags", request.clone().tag(4).tag(5).tag(6)),
    ];
    for padding in [1, 7, 8, 9, 30, 400] {
        for (what, frame) in [("", &request), (" without a MAC", &bare)] {
            let bytes = [frame.bytes(), vec![0xa5; padding]].concat();
            let name = format!("solicitation{what} padded by {padding}");
            rows.push(Row::bytes(name, bytes, answer(frame, ROUTER_MAC)));
        }
    }
    // The padding is in another buffer, or begins in the first one.
    for linear in [78, 80, 86, 90] {
        let bytes = [bare.bytes(), vec![0xa5; 60]].concat();
        let name = format!("solicitation without a MAC padded, split at {linear}");
        rows.push(Row::bytes(name, bytes, answer(&bare, ROUTER_MAC)).split_at(linear));
    }
    rows
}

/// Frames with little headroom: the reply to the shortest solicitation is longer.
fn crowded() -> Vec<Row> {
    let with = |name: &str, frame: &Frame, metadata, expect| {
        let mut row = Row::frame(name, frame, expect);
        row.packet.metadata = metadata;
        row
    };
    let (request, bare) = (Frame::solicitation(VIP6), Frame::bare_solicitation(VIP6));
    vec![
        with("solicitation without headroom", &request, 216, answer(&request, ROUTER_MAC)),
        with("solicitation without a MAC and without headroom", &bare, 212, refused(Refusal::NoHeadroom)),
        with("solicitation without a MAC, with just enough headroom", &bare, 208, answer(&bare, ROUTER_MAC)),
    ]
}

fn not_answered() -> Vec<Row> {
    let no = |name: &str, frame: Frame| Row::frame(name, &frame, refused(Refusal::NdpNotAnswered));
    let others = Frame::solicitation(QUIET6);
    let to_other = others.clone().macs(OTHER_MAC, ROUTER_MAC);
    let unconfigured = Frame::solicitation(VIP6);
    let of_plain = Frame::solicitation(PLAIN6);
    vec![
        no("solicitation for another node's VIP", others.clone()),
        no("solicitation for another node's VIP without a MAC", Frame::bare_solicitation(QUIET6)),
        no("solicitation for another node's VIP, to this node alone", {
            others.clone().macs(SELF_MAC, ROUTER_MAC).to_destination(QUIET6)
        }),
        no("solicitation on another uplink of the LAN", Frame::solicitation(OTHER_UPLINK6)),
        passed("solicitation for another node's VIP, to that node", &to_other),
        passed("solicitation for another node's VIP, from a router", others.ttl(254)),
        passed("solicitation for no VIP", &of_plain),
        passed("solicitation for no VIP, to this node alone", {
            of_plain.clone().macs(SELF_MAC, ROUTER_MAC).to_destination(PLAIN6)
        }),
        Row::frame("solicitation before the configuration", &unconfigured, refused(Refusal::NotConfigured))
            .meets(Fixture::Unconfigured),
        passed("solicitation for no VIP before the configuration", &of_plain).meets(Fixture::Unconfigured),
    ]
}

fn wrong_addresses() -> Vec<Row> {
    let request = Frame::solicitation(VIP6);
    let (group, _) = solicited_node(PLAIN6);
    let mut near = solicited_node(VIP6).0;
    near[12] = 0xfe;
    vec![
        passed("solicitation to another MAC", unicast().macs(OTHER_MAC, ROUTER_MAC)),
        passed("solicitation to the group, at another MAC", request.clone().macs(OTHER_MAC, ROUTER_MAC)),
        passed("solicitation to another group", request.clone().to_destination(group)),
        passed("solicitation to a group that differs in one bit", request.clone().to_destination(near)),
        passed("solicitation to all nodes", {
            request.clone().to_destination([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
        }),
        passed("solicitation to another address", unicast().to_destination(PLAIN6)),
        passed("solicitation to another VIP", unicast().to_destination(QUIET6)),
        passed("solicitation to ::", unicast().to_destination([0; 16])),
        passed("solicitation from a group", request.from_source(group)),
    ]
}

fn wrong_messages() -> Vec<Row> {
    let request = Frame::solicitation(VIP6);
    let bytes = request.bytes();
    let edit = |name: &str, at: usize, new: &[u8]| Row::bytes(name, edited(bytes.clone(), at, new), NOT_OURS);
    let rest = [[0; 4].as_slice(), &VIP6, &source_mac(ROUTER_MAC)].concat();
    let check = bytes[ICMP + 2];
    let behind = request.clone().extension(0, &[0, 0, 5, 2, 0, 0, 1, 0]);
    let atomic = request.clone().extension(44, &[0; 8]);
    vec![
        passed("solicitation with hop limit 254", request.clone().ttl(254)),
        passed("solicitation with hop limit 1", request.clone().ttl(1)),
        passed("solicitation with hop limit 0", request.clone().ttl(0)),
        passed("solicitation to this node alone, with hop limit 254", unicast().ttl(254)),
        passed("solicitation with code 1", request.clone().message(135, 1, &rest)),
        edit("solicitation with a wrong checksum", ICMP + 2, &[check ^ 1]),
        edit("solicitation without a checksum", ICMP + 2, &[0; 2]),
        edit("solicitation with a wrong byte in the last option", bytes.len() - 1, &[0x55]),
        edit("solicitation of version 4", IP, &[0x40]),
        edit("solicitation of version 7", IP, &[0x70]),
        edit("solicitation with length 0", LENGTH, &[0, 0]),
        edit("solicitation with length 23", LENGTH, &[0, 23]),
        edit("solicitation with length 24 and the checksum of 32", LENGTH, &[0, 24]),
        edit("solicitation longer than its frame", LENGTH, &[0, 40]),
        passed("solicitation behind an extension header", &behind),
        passed("solicitation in an atomic fragment", &atomic),
        passed("solicitation behind an extension header, to this node alone", {
            behind.clone().macs(SELF_MAC, ROUTER_MAC).to_destination(VIP6)
        }),
        passed("solicitation of 136 bytes", {
            request.clone().ndp_options(&[&[99, 13], [1; 102].as_slice()].concat())
        }),
    ]
}

fn wrong_options() -> Vec<Row> {
    let bare = Frame::bare_solicitation(VIP6);
    let own = source_mac(ROUTER_MAC);
    let mut rows = Vec::new();
    let mut wrong = |what: &str, options: &[&[u8]]| {
        let frame = bare.clone().ndp_options(&options.concat());
        rows.push(passed(&format!("solicitation with {what}"), &frame));
    };
    wrong("an option of length 0", &[&[14, 0, 1, 2, 3, 4, 5, 6]]);
    wrong("a MAC of length 0", &[&[1, 0, 1, 2, 3, 4, 5, 6]]);
    wrong("an option of length 0 in front of the MAC", &[&[14, 0, 1, 2, 3, 4, 5, 6], &own]);
    wrong("an option of length 0 behind the MAC", &[&own, &[14, 0, 1, 2, 3, 4, 5, 6]]);
    wrong("an option that is longer than the packet", &[&[14, 2, 1, 2, 3, 4, 5, 6]]);
    wrong("an option that is longer than the packet behind the MAC", &[&own, &[14, 255, 0, 0, 0, 0, 0, 0]]);
    wrong("part of an option", &[&[14, 1, 1, 2]]);
    wrong("part of an option behind the MAC", &[&own, &[14, 1, 1, 2]]);
    wrong("one byte behind the MAC", &[&own, &[0]]);
    wrong("five options", &[&own, &NONCE, &NONCE, &NONCE, &NONCE]);
    wrong("a MAC in the fifth option", &[&NONCE, &NONCE, &NONCE, &NONCE, &own]);
    // What follows the packet is no option.
    let bytes = [bare.clone().ndp_options(&[14, 1, 1, 2]).bytes(), own].concat();
    rows.push(Row::bytes("solicitation with part of an option, padded", bytes, NOT_OURS));
    rows
}

/// Other messages of Neighbor Discovery, and other multicast.
fn other_messages() -> Vec<Row> {
    let request = Frame::solicitation(VIP6);
    let to_all = |group: [u8; 16]| {
        let [.., a, b, c, d] = group;
        Frame::v6(CLIENT6, group).macs([0x33, 0x33, a, b, c, d], ROUTER_MAC).ttl(255)
    };
    let ff02 = |low: u8| [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, low];
    let rest = [[0; 4].as_slice(), &VIP6, &[2, 1], &ROUTER_MAC].concat();
    let listener = [[0, 0, 0, 1].as_slice(), &[4, 0, 0, 0], &solicited_node(VIP6).0].concat();
    let alert = [0, 0, 5, 2, 0, 0, 1, 0];
    vec![
        passed("advertisement to this node", {
            Frame::advertisement(&request, PLAIN6, ROUTER_MAC, SELF_MAC)
        }),
        passed("advertisement of the VIP to all nodes", to_all(ff02(1)).message(136, 0, &rest)),
        passed("advertisement of the VIP to its group", request.clone().message(136, 0, &rest)),
        passed(
            "solicitation of routers",
            to_all(ff02(2)).message(133, 0, &[&[0; 4], &*source_mac(ROUTER_MAC)].concat()),
        ),
        passed(
            "advertisement of a router",
            to_all(ff02(1)).message(134, 0, &[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0]),
        ),
        passed("redirect", unicast().message(137, 0, &[[0; 4], [0x20; 4]].concat().repeat(5))),
        passed("IPv6 mDNS", to_all(ff02(0xfb)).udp(5353, 5353)),
        passed(
            "report of a multicast listener",
            to_all(ff02(22)).ttl(1).extension(0, &alert).message(143, 0, &listener),
        ),
        passed("DHCPv6", to_all([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2]).udp(546, 547)),
        passed("TCP to a VIP, at a group's MAC", {
            Frame::v6(CLIENT6, VIP6).tcp(4000, 8001).macs([0x33, 0x33, 0xff, 0, 0, 10], ROUTER_MAC)
        }),
        passed("ICMPv6 echo request to a VIP, at a group's MAC", {
            Frame::v6(CLIENT6, VIP6).icmp(128, 0).ttl(255).macs([0x33, 0x33, 0xff, 0, 0, 10], ROUTER_MAC)
        }),
        passed("UDP with the number of a solicitation, at its group", {
            to_all(solicited_node(VIP6).0).raw(17, &[[135, 0, 0, 0].as_slice(), &rest].concat())
        }),
    ]
}
