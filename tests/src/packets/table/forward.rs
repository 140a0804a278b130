//! Valid packets for a VIP: local, by MAC rewrite, in GUE, or refused without a next hop.

use lb_common::verdict::{Outcome, Refusal};

use super::Row;
use crate::packets::build::Frame;
use crate::packets::expect::{self, Expect, LOCAL, encapsulated, refused, rewritten, time_exceeded};
use crate::packets::fixture::{CLIENT4, CLIENT6, Fixture, MTU, NODE_MAC, SELF_MAC, VIP4, VIP6, node, port};

pub(super) fn rows() -> Vec<Row> {
    [by_node(), tagged(), hops(), sizes(), classes(), from_nodes(), without_next_hop(), oddities()].concat()
}

fn v4(port: u16) -> Frame {
    Frame::v4(CLIENT4, VIP4).tcp(4000, port)
}

fn v6(port: u16) -> Frame {
    Frame::v6(CLIENT6, VIP6).tcp(4000, port)
}

/// The first packet of a flow, which this node serves without a record.
fn new4(port: u16) -> Frame {
    Frame::v4(CLIENT4, VIP4).syn(4000, port)
}

fn new6(port: u16) -> Frame {
    Frame::v6(CLIENT6, VIP6).syn(4000, port)
}

/// The name of a protocol, and a function that makes a frame carry it to a port.
type Protocol = (&'static str, fn(Frame, u16) -> Frame);
/// The name of a combination of VLAN tags, and a function that adds them.
type Tags = (&'static str, fn(Frame) -> Frame);

/// TCP and UDP over IPv4 and IPv6 to each kind of node.
fn by_node() -> Vec<Row> {
    let both = [("IPv4", Frame::v4(CLIENT4, VIP4)), ("IPv6", Frame::v6(CLIENT6, VIP6))];
    let protocols: [Protocol; 2] =
        [("TCP", |f, port| f.syn(4000, port)), ("UDP", |f, port| f.udp(4000, port))];
    let mut rows = Vec::new();
    for (family, base) in both {
        for (protocol, with) in protocols {
            let mut row = |port, what: &str, expect: fn(&Frame) -> Expect| {
                let frame = with(base.clone(), port);
                rows.push(Row::frame(format!("{family} {protocol} {what}"), &frame, expect(&frame)));
            };
            row(port::LOCAL, "served here", |_| LOCAL);
            row(port::NEAR, "to a near node", |f| rewritten(f, node::NEAR));
            row(port::NEAR_SECOND, "to a near node on another link", |f| rewritten(f, node::NEAR_SECOND));
            row(port::FAR4, "to a far node over IPv4", |f| encapsulated(f, node::FAR4));
            row(port::FAR6, "to a far node over IPv6", |f| encapsulated(f, node::FAR6));
            row(port::FAR4_SECOND, "to a far node on another link", |f| encapsulated(f, node::FAR4_SECOND));
        }
    }
    rows
}

fn tagged() -> Vec<Row> {
    let mut rows = Vec::new();
    let tagged: [Tags; 3] = [
        ("one tag", |f| f.tag(100)),
        ("two tags", |f| f.tag_of(0x88a8, 200).tag(100)),
        ("two tags with priorities", |f| f.tag(0xe064).tag(0x2065)),
    ];
    for (name, tag) in tagged {
        let mut row = |family: &str, frame: Frame, expect: fn(&Frame) -> Expect, way: &str| {
            rows.push(Row::frame(format!("{name}, {family} {way}"), &frame, expect(&frame)));
        };
        row("IPv4", tag(new4(port::LOCAL)), |_| LOCAL, "served here");
        row("IPv4", tag(v4(port::NEAR)), |f| rewritten(f, node::NEAR), "rewritten");
        row("IPv6", tag(v6(port::NEAR)), |f| rewritten(f, node::NEAR), "rewritten");
        row("IPv4", tag(v4(port::FAR4)), |f| encapsulated(f, node::FAR4), "in IPv4");
        row("IPv6", tag(v6(port::FAR6)), |f| encapsulated(f, node::FAR6), "in IPv6");
        row("IPv4", tag(v4(port::FAR6)), |f| encapsulated(f, node::FAR6), "in IPv6");
    }
    rows
}

fn hops() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, frame) in [("TTL", new4 as fn(u16) -> Frame), ("hop limit", new6)] {
        for ttl in [0, 1] {
            for (way, port) in [("rewritten", port::NEAR), ("in GUE4", port::FAR4), ("in GUE6", port::FAR6)] {
                let frame = frame(port).ttl(ttl);
                rows.push(Row::frame(format!("{family} {ttl}, {way}"), &frame, time_exceeded(&frame)));
            }
            rows.extend([Row::frame(
                format!("{family} {ttl}, served here"),
                &frame(port::LOCAL).ttl(ttl),
                LOCAL,
            )]);
        }
        for ttl in [2, 255] {
            let (near, far) = (frame(port::NEAR).ttl(ttl), frame(port::FAR4).ttl(ttl));
            rows.push(Row::frame(format!("{family} {ttl}, rewritten"), &near, rewritten(&near, node::NEAR)));
            rows.push(Row::frame(format!("{family} {ttl}, in GUE4"), &far, encapsulated(&far, node::FAR4)));
        }
    }
    rows
}

/// Outer IPv4 and IPv6 headers, UDP, GUE and a tag add 40 and 60 bytes.
fn sizes() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, frame) in [("IPv4", v4 as fn(u16) -> Frame), ("IPv6", v6)] {
        for (port, node, overhead) in [(port::FAR4, node::FAR4, 40), (port::FAR6, node::FAR6, 60)] {
            let largest = usize::from(MTU) - overhead;
            let fits = frame(port).sized(largest);
            let expect = encapsulated(&fits, node);
            rows.push(Row::frame(format!("{family} of {largest} bytes in +{overhead}"), &fits, expect));
            let too_big = frame(port).sized(largest + 1);
            let name = format!("{family} of {} bytes in +{overhead}", largest + 1);
            rows.push(Row::frame(name, &too_big, expect::too_big(&too_big, largest as u32)));
        }
        let full = frame(port::NEAR).sized(usize::from(MTU));
        rows.push(Row::frame(
            format!("{family} of 1500 bytes rewritten"),
            &full,
            rewritten(&full, node::NEAR),
        ));
        let jumbo = frame(port::NEAR).sized(9000);
        let row =
            Row::frame(format!("{family} of 9000 bytes rewritten"), &jumbo, rewritten(&jumbo, node::NEAR));
        rows.push(row.split_at(2048));
        let jumbo = frame(port::FAR4).sized(9000);
        let row = Row::frame(format!("{family} of 9000 bytes in GUE"), &jumbo, expect::too_big(&jumbo, 1460));
        rows.push(row.split_at(2048));
        let split = frame(port::FAR6).sized(1400);
        let row =
            Row::frame(format!("{family} in two buffers in GUE"), &split, encapsulated(&split, node::FAR6));
        rows.push(row.split_at(128));
    }
    rows
}

fn classes() -> Vec<Row> {
    let mut rows = Vec::new();
    for class in [0b1011_1010, 0b0000_0011, 0b1111_1101] {
        for (family, frame) in [("IPv4", v4 as fn(u16) -> Frame), ("IPv6", v6)] {
            let row = |way: &str, frame: &Frame, expect| {
                Row::frame(format!("{family} class {class:#04x} {way}"), frame, expect)
            };
            let [near, far4, far6] = [port::NEAR, port::FAR4, port::FAR6].map(|p| frame(p).class(class));
            rows.extend([
                row("rewritten", &near, rewritten(&near, node::NEAR)),
                row("in GUE4", &far4, encapsulated(&far4, node::FAR4)),
                row("in GUE6", &far6, encapsulated(&far6, node::FAR6)),
            ]);
        }
    }
    rows
}

fn from_nodes() -> Vec<Row> {
    let here = || Expect::Untouched(Outcome::LocalFromNode as u32);
    let by_node = |frame: Frame| frame.macs(SELF_MAC, NODE_MAC);
    vec![
        Row::frame("from a node, led by another node", &by_node(new4(port::NEAR)), here()),
        Row::frame("from a node, led by a far node", &by_node(new6(port::FAR6)), here()),
        Row::frame("from a node, TTL 1", &by_node(new4(port::NEAR)).ttl(1), here()),
        Row::frame("from a node, tagged", &by_node(new4(port::NEAR)).tag(3), here()),
        Row::frame("from a node, without a leader", &by_node(new4(port::LEADERLESS)), here()),
        Row::frame("from a node, led by this node", &by_node(new4(port::LOCAL)), LOCAL),
        Row::frame("from a node, no slot", &by_node(v4(port::RINGLESS)), refused(Refusal::NoSlot)),
    ]
}

fn without_next_hop() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, frame) in [("IPv4", v4 as fn(u16) -> Frame), ("IPv6", v6)] {
        let row = |what: &str, port, refusal| {
            Row::frame(format!("{family} {what}"), &frame(port), refused(refusal))
        };
        rows.extend([
            row("to an unresolved node", port::UNRESOLVED, Refusal::NoNextHop),
            row("by an unknown forwarding mode", port::UNKNOWN_MODE, Refusal::NoNextHop),
            row("to a node outside the map", port::OUTSIDE, Refusal::NoNextHop),
            row("without a leader", port::LEADERLESS, Refusal::NoLiveNode),
            row("with a ring outside the map", port::RINGLESS, Refusal::NoSlot),
            row("before the configuration", port::NEAR, Refusal::NotConfigured).meets(Fixture::Unconfigured),
        ]);
    }
    rows
}

fn oddities() -> Vec<Row> {
    let near = v4(port::NEAR);
    let far = v4(port::FAR4);
    let uncounted = v4(port::UNCOUNTED);
    let sbfd = Frame::v4(CLIENT4, VIP4).udp(1, port::SBFD);
    let mut crowded = Row::frame("no headroom left for GUE", &far, refused(Refusal::NoHeadroom));
    crowded.packet.metadata = 200;
    let mut roomy = Row::frame("just enough headroom for GUE", &far, encapsulated(&far, node::FAR4));
    roomy.packet.metadata = 176;
    vec![
        Row::frame("padded by Ethernet, rewritten", &near, rewritten(&near, node::NEAR)).padded(&[0; 9]),
        Row::frame("VIP outside the statistics", &uncounted, rewritten(&uncounted, node::NEAR)),
        Row::frame("TCP to the port of GUE on a VIP", &new4(port::GUE), LOCAL),
        Row::frame("UDP to the port of GUE on a VIP", &Frame::v4(CLIENT4, VIP4).udp(1, port::GUE), LOCAL),
        Row::frame(
            "TCP to the port of S-BFD on a VIP",
            &v4(port::SBFD),
            rewritten(&v4(port::SBFD), node::NEAR),
        ),
        Row::frame("UDP to the port of S-BFD on a VIP", &sbfd, rewritten(&sbfd, node::NEAR)),
        crowded,
        roomy,
    ]
}
