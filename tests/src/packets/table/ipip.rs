//! IP in IP: to nodes with this forwarding mode, and from nodes.

use lb_common::flows::FlowState::Unconfirmed;
use lb_common::verdict::Refusal;

use super::{Row, edited};
use crate::packets::build::Frame;
use crate::packets::expect::{
    Expect, NOT_OURS, asked_gue, decapsulated, in_ip, opened, refused, time_exceeded, too_big,
};
use crate::packets::fixture::{
    CLIENT4, CLIENT6, Fixture, MTU, NODE4, NODE6, PLAIN4, PLAIN6, SELF_MAC, SELF4, SELF6, VIP4, VIP6, node,
    port, wire_id,
};

pub(super) fn rows() -> Vec<Row> {
    [sent(), limits(), second_chances(), taken(), passed(), dropped(), parts()].concat()
}

fn v4(port: u16) -> Frame {
    Frame::v4(CLIENT4, VIP4).tcp(4000, port)
}

fn v6(port: u16) -> Frame {
    Frame::v6(CLIENT6, VIP6).tcp(4000, port)
}

/// The name of an IP version, and a function that builds a packet.
type Family = (&'static str, fn(u16) -> Frame);
const FAMILIES: [Family; 2] = [("IPv4", v4), ("IPv6", v6)];

/// The name of a shape, and a function that gives it to a frame.
type Shape = (&'static str, fn(Frame) -> Frame);

/// The outer headers: name, port, node and the number of bytes added.
const WAYS: [(&str, u16, u16, usize); 2] =
    [("in IPv4", port::IPIP4, node::IPIP4, 20), ("in IPv6", port::IPIP6, node::IPIP6, 40)];

fn sent() -> Vec<Row> {
    let shapes: [Shape; 6] = [
        ("plain", |f| f),
        ("with DSCP and ECN", |f| f.class(0b1011_1010)),
        ("with another class", |f| f.class(0b1111_1101)),
        ("behind a tag", |f| f.tag(100)),
        ("behind two tags", |f| f.tag_of(0x88a8, 200).tag(100)),
        ("with TTL 2", |f| f.ttl(2)),
    ];
    let mut rows = Vec::new();
    for (family, base) in FAMILIES {
        for (way, port, node, _) in WAYS {
            for (shape, with) in shapes {
                let frame = with(base(port));
                rows.push(Row::frame(format!("{family} {shape} {way}"), &frame, in_ip(&frame, node)));
            }
        }
    }
    let (udp4, udp6) =
        (Frame::v4(CLIENT4, VIP4).udp(7, port::IPIP6), Frame::v6(CLIENT6, VIP6).udp(7, port::IPIP4));
    rows.extend([
        Row::frame("UDP in IPv6", &udp4, in_ip(&udp4, node::IPIP6)),
        Row::frame("IPv6 UDP in IPv4", &udp6, in_ip(&udp6, node::IPIP4)),
    ]);
    rows
}

fn limits() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, base) in FAMILIES {
        for (way, port, node, overhead) in WAYS {
            let largest = usize::from(MTU) - overhead;
            let (fits, large, expired) =
                (base(port).sized(largest), base(port).sized(largest + 1), base(port).ttl(1));
            rows.extend([
                Row::frame(format!("{family} of {largest} bytes {way}"), &fits, in_ip(&fits, node)),
                Row::frame(format!("{family} too big {way}"), &large, too_big(&large, largest as u32)),
                Row::frame(format!("{family} TTL 1 {way}"), &expired, time_exceeded(&expired)),
            ]);
        }
    }
    let far = v4(port::IPIP4);
    let mut crowded = Row::frame("no headroom left for IP in IP", &far, refused(Refusal::NoHeadroom));
    crowded.packet.metadata = 200;
    let mut roomy = Row::frame("just enough headroom for IP in IP", &far, in_ip(&far, node::IPIP4));
    roomy.packet.metadata = 196;
    rows.extend([crowded, roomy]);
    rows
}

/// Second chances carry the list of asked nodes, for which IP in IP has no room.
fn second_chances() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, base) in FAMILIES {
        for (way, port, node) in
            [("IPv4", port::FORMER_IPIP4, node::IPIP4), ("IPv6", port::FORMER_IPIP6, node::IPIP6)]
        {
            let frame = base(port);
            let expect = asked_gue(&frame, node, &[wire_id(node::SELF)]);
            rows.push(
                Row::frame(format!("{family} asked of a node reached by IP in {way}"), &frame, expect)
                    .leaves(&[(node, Unconfirmed)]),
            );
        }
    }
    rows
}

fn over4(inner: &Frame) -> Frame {
    Frame::v4(NODE4, SELF4).raw(if inner.is_v4() { 4 } else { 41 }, &inner.ip())
}

fn over6(inner: &Frame) -> Frame {
    Frame::v6(NODE6, SELF6).raw(if inner.is_v4() { 4 } else { 41 }, &inner.ip())
}

fn inner4() -> Frame {
    Frame::v4(CLIENT4, VIP4).syn(4000, port::NEAR)
}

fn inner6() -> Frame {
    Frame::v6(CLIENT6, VIP6).udp(4000, port::LOCAL)
}

fn taken() -> Vec<Row> {
    let (i4, i6) = (inner4(), inner6());
    let row = |name: &str, outer: Frame, inner: &Frame| Row::frame(name, &outer, decapsulated(&outer, inner));
    let large = inner4().sized(1400);
    let last_hop = inner4().ttl(1);
    let in_options = inner4().options(&[1; 8]);
    vec![
        row("IPv4 directly in IPv4 from a node", over4(&i4), &i4),
        row("IPv6 directly in IPv4 from a node", over4(&i6), &i6),
        row("IPv4 directly in IPv6 from a node", over6(&i4), &i4),
        row("IPv6 directly in IPv6 from a node", over6(&i6), &i6),
        row("IP in IP behind one tag", over4(&i6).tag(5), &i6),
        row("IP in IP behind two tags", over6(&i4).tag_of(0x88a8, 6).tag(5), &i4),
        row("IP in IP behind outer options", over4(&i4).options(&[0x94, 4, 0, 0]), &i4),
        // As Linux sends it: with a tunnel encapsulation limit (RFC 2473 section 4.1.1).
        row(
            "IP in IP behind an outer extension header",
            over6(&i6).extension(60, &[0, 0, 4, 1, 4, 1, 0, 0]),
            &i6,
        ),
        row("IP in IP on its last hop", over4(&i4).ttl(1), &i4),
        row("IP in IP around a packet on its last hop", over6(&last_hop), &last_hop),
        row("IP in IP around IPv4 options", over4(&in_options), &in_options),
        row("IP in IP padded by Ethernet", over4(&i4), &i4).padded(&[0; 5]),
        row("IP in IP in two buffers", over4(&large), &large).split_at(200),
    ]
}

/// The host and others may have such tunnels, too, with any payload.
fn passed() -> Vec<Row> {
    let row = |name: &str, frame: Frame| Row::frame(name, &frame, NOT_OURS).leaves(&[]);
    let (i4, i6) = (inner4(), inner6());
    let from = |source, destination| Frame::v4(source, destination).raw(4, &i4.ip());
    let from6 = |source, destination| Frame::v6(source, destination).raw(41, &i6.ip());
    let plain4 = Frame::v4(CLIENT4, PLAIN4).tcp(1, 2);
    let plain6 = Frame::v6(CLIENT6, PLAIN6).tcp(1, 2);
    let unused = Frame::v4(CLIENT4, VIP4).tcp(1, port::UNUSED);
    let gue = Frame::v4(NODE4, SELF4).gue(50_000, [0, 4, 0, 0], &i4.ip());
    let long = (over4(&i4).ip().len() as u16 + 1).to_be_bytes();
    vec![
        row("IP in IP from an unknown host", from(CLIENT4, SELF4)),
        row("IP in IPv6 from an unknown host", from6(CLIENT6, SELF6)),
        row("IP in IP from a node to another address", from(NODE4, PLAIN4)),
        row("IP in IPv6 from a node to another address", from6(NODE6, PLAIN6)),
        row("IP in IP from a node to a VIP", from(NODE4, VIP4)),
        row("IP in IP where it is disabled", over4(&i4)).meets(Fixture::OtherUplink),
        row("IP in IPv6 where it is disabled", over6(&i6)).meets(Fixture::OtherUplink),
        row("IP in IP around IPv4 for no VIP", over4(&plain4)),
        row("IP in IP around IPv6 for no VIP", over6(&plain6)),
        row("IP in IP around an unused port of a VIP", over4(&unused)),
        row("IP in IP around an echo request", over4(&Frame::v4(CLIENT4, VIP4).icmp(8, 0))),
        row("IP in IP around IP in IP", over4(&over4(&i4))),
        row("IP in IP around GUE", over6(&gue)),
        row("IP in IP, first fragment", over4(&i4).fragment(0, true)),
        row("IP in IP, later fragment", over4(&i4).fragment(3, false)),
        row("IP in IP to 0.0.0.0, without an address", from(NODE4, [0; 4])).meets(Fixture::Silent),
        row("IP in IPv6 to ::, without an address", from6(NODE6, [0; 16])).meets(Fixture::Silent),
        Row::bytes("IP in IP with too large a length", edited(over4(&i4).bytes(), 16, &long), NOT_OURS),
        Row::bytes(
            "IP in IP whose length ends in its header",
            edited(over4(&i4).bytes(), 16, &[0, 19]),
            NOT_OURS,
        ),
        unread("IP in IP around IPv6 declared as IPv4", 4, &i6.ip(), Refusal::BadIpHeader),
        unread("IP in IP around IPv4 declared as IPv6", 41, &inner4().sized(60).ip(), Refusal::BadIpHeader),
        unread("IP in IP around half a header", 4, &inner4().ip()[..10], Refusal::Truncated),
        Row::frame("IP in IP before the configuration", &from(NODE4, SELF4), refused(Refusal::NotConfigured))
            .meets(Fixture::Unconfigured),
    ]
}

/// Passed unmodified, since it may be for another process, but counted.
fn unread(name: &str, number: u8, inner: &[u8], refusal: Refusal) -> Row {
    Row::frame(name, &Frame::v4(NODE4, SELF4).raw(number, inner), refused(refusal))
}

fn dropped() -> Vec<Row> {
    let cut = Frame::v4(NODE4, SELF4).raw(4, &inner4().ip()[..44]);
    let ringless = Frame::v4(CLIENT4, VIP4).tcp(1, port::RINGLESS);
    vec![
        Row::frame("IP in IP around a truncated packet", &cut, refused(Refusal::BadLength)),
        Row::frame("IP in IP around a VIP without a ring", &over6(&ringless), refused(Refusal::NoSlot)),
    ]
}

/// Inner ICMP errors and fragments.
fn parts() -> Vec<Row> {
    let quote = Frame::v4(VIP4, CLIENT4).tcp(port::LOCAL, 4000).ip();
    let error = Frame::v4(CLIENT4, VIP4).message(3, 1, &[&[0; 4], &quote[..28]].concat());
    let about_others = Frame::v4(CLIENT4, VIP4).message(3, 1, &[&[0; 4], &inner4().ip()[..28]].concat());
    let (first, later) = (
        Frame::v4(CLIENT4, VIP4).udp(4000, port::LOCAL).id(9).fragment(0, true),
        Frame::v4(CLIENT4, VIP4).raw(17, &[7; 16]).id(9).fragment(2, false),
    );
    let alone = Expect::Untouched(0);
    vec![
        Row::frame("IP in IP around an error about an unknown flow", &over4(&error), {
            opened(&over4(&error), &error, lb_common::verdict::Outcome::Unowned)
        })
        .leaves(&[]),
        Row::frame("IP in IP around an error about another's packet", &over6(&about_others), alone),
        Row::frame("IP in IP around a first fragment", &over6(&first), decapsulated(&over6(&first), &first)),
        Row::frame("IP in IP around a later fragment", &over4(&later), decapsulated(&over4(&later), &later))
            .after(&[&over4(&first)]),
        Row::frame(
            "IP in IP to this link of a packet to its VIP",
            &over4(&inner4()).macs(SELF_MAC, SELF_MAC),
            decapsulated(&over4(&inner4()).macs(SELF_MAC, SELF_MAC), &inner4()),
        ),
    ]
}
