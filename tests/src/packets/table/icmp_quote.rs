//! ICMP errors about packets from a VIP, and similar packets.

use lb_common::flows::FlowState::{HalfOpen, Moved, Open};
use lb_common::verdict::{Outcome, Refusal};
use lb_pipeline::owner::{MARK_LED, MARK_OPENING, MARK_UNKNOWN};

use super::{Row, edited};
use crate::packets::build::{Addresses, Frame};
use crate::packets::expect::{
    Asked, Expect, LOCAL, NOT_OURS, asked_gue, asked_l2, encapsulated, listed, opened, refused, rewritten,
};
use crate::packets::fixture::{
    CLIENT4, CLIENT6, Fixture, NODE_MAC, NODE4, PLAIN4, PLAIN6, QUIET4, QUIET6, SELF_MAC, SELF4, VIP4, VIP6,
    node, port, wire_id,
};

/// A router on the path to the client.
const ROUTER4: [u8; 4] = [10, 0, 0, 1];
const UNOWNED: Expect = Expect::Untouched(Outcome::Unowned as u32);

pub(super) fn rows() -> Vec<Row> {
    [
        addressed_to_another(),
        kinds(),
        leaders(),
        own_flows(),
        of_udp(),
        shapes(),
        foreign_packets(),
        truncated_quotes(),
        in_gue(),
        marked(),
        unconfigured(),
    ]
    .concat()
}

/// A packet from a VIP's port to the client.
fn sent4(port: u16) -> Frame {
    Frame::v4(VIP4, CLIENT4).tcp(port, 4000)
}

fn sent6(port: u16) -> Frame {
    Frame::v6(VIP6, CLIENT6).tcp(port, 4000)
}

/// Builds an error with this quote.
fn quoting(kind: u8, code: u8, source: &Frame, quote: &[u8]) -> Frame {
    let rest = [&[0; 4], quote].concat();
    match source.addresses {
        Addresses::V4(..) => Frame::v4(ROUTER4, VIP4),
        Addresses::V6(..) => Frame::v6(PLAIN6, VIP6),
    }
    .message(kind, code, &rest)
}

/// Builds an error that quotes a packet up to eight bytes behind the header.
fn about(sent: &Frame) -> Frame {
    let header = if sent.is_v4() { 20 + sent.options.len() } else { 40 };
    let kind = if sent.is_v4() { 3 } else { 2 };
    quoting(kind, 0, sent, &sent.ip()[..header + 8])
}

fn kinds() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |family: &str, kind, code, sent: &Frame, quoted: usize, ours: bool| {
        let frame = quoting(kind, code, sent, &sent.ip()[..quoted]);
        let expect = if ours { rewritten(&frame, node::NEAR) } else { NOT_OURS };
        rows.push(Row::frame(
            format!("{family} type {kind} code {code} about a VIP's packet"),
            &frame,
            expect,
        ));
    };
    for (kind, code) in [(3, 0), (3, 1), (3, 4), (3, 13), (4, 0), (11, 0), (11, 1), (12, 0)] {
        row("ICMP", kind, code, &sent4(port::NEAR), 28, true);
    }
    for kind in [0, 1, 2, 5, 8, 9, 10, 13, 17, 40, 255] {
        row("ICMP", kind, 1, &sent4(port::NEAR), 28, false);
    }
    for (kind, code) in [(1, 0), (1, 4), (2, 0), (3, 0), (3, 1), (4, 0), (4, 2), (100, 0), (127, 0)] {
        row("ICMPv6", kind, code, &sent6(port::NEAR), 48, true);
    }
    for kind in [0, 128, 129, 133, 135, 137, 255] {
        row("ICMPv6", kind, 1, &sent6(port::NEAR), 48, false);
    }
    rows
}

/// An IP version, a packet from a VIP's port to the client, and one from the client to the VIP.
type Side = (&'static str, fn(u16) -> Frame, Frame);

fn families() -> [Side; 2] {
    [("IPv4", sent4, Frame::v4(CLIENT4, VIP4)), ("IPv6", sent6, Frame::v6(CLIENT6, VIP6))]
}

/// An error must be addressed to the source of the packet it quotes; otherwise a forger could make nodes
/// forward it.
fn addressed_to_another() -> Vec<Row> {
    let foreign = || refused(Refusal::ForeignIcmpError);
    let (sent4, sent6) = (sent4(port::NEAR), sent6(port::NEAR));
    let to4 = |to| Frame { addresses: Addresses::V4(ROUTER4, to), ..about(&sent4) };
    let to6 = |to| Frame { addresses: Addresses::V6(PLAIN6, to), ..about(&sent6) };
    let marked = to4(PLAIN4).macs(SELF_MAC, NODE_MAC);
    vec![
        Row::frame("error about a VIP's packet, to a pod", &to4(PLAIN4), foreign()),
        Row::frame("error about a VIP's packet, to this node", &to4(SELF4), foreign()),
        Row::frame("error about a VIP's packet, to another VIP", &to4(QUIET4), foreign()),
        Row::frame("ICMPv6 error about a VIP's packet, to a pod", &to6(PLAIN6), foreign()),
        Row::frame("ICMPv6 error about a VIP's packet, to another VIP", &to6(QUIET6), foreign()),
        Row::frame("error about a VIP's packet, to a pod, in GUE", &outer(&to4(PLAIN4)), {
            refused(Refusal::InnerNotVip)
        }),
        Row::frame("ICMPv6 error about a VIP's packet, to a pod, in GUE", &outer(&to6(PLAIN6)), {
            refused(Refusal::InnerNotVip)
        }),
        Row::bytes("error about a VIP's packet, to a pod, relayed", marked.bytes_as(0x88b5), NOT_OURS),
    ]
}

/// Errors forwarded by the ring.
fn leaders() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, sent, _) in families() {
        let mut row = |what: &str, port, expect: &dyn Fn(&Frame) -> Expect| {
            let frame = about(&sent(port).tag(3));
            rows.push(Row::frame(format!("{family} error to {what}"), &frame, expect(&frame)));
        };
        row("a near owner", port::NEAR, &|f| rewritten(f, node::NEAR));
        row("a near owner on another link", port::NEAR_SECOND, &|f| rewritten(f, node::NEAR_SECOND));
        row("a far owner over IPv4", port::FAR4, &|f| encapsulated(f, node::FAR4));
        row("a far owner over IPv6", port::FAR6, &|f| encapsulated(f, node::FAR6));
        row("an owner past a dead leader", port::BEHIND_DEAD, &|f| rewritten(f, node::NEAR));
        row("no owner", port::LEADERLESS, &|_| refused(Refusal::NoLiveNode));
        row("a ring outside the map", port::RINGLESS, &|_| refused(Refusal::NoSlot));
        row("an unused port", port::UNUSED, &|_| NOT_OURS);
        // It records nothing: it neither begins a flow nor keeps it alive.
        let frame = about(&sent(port::LOCAL).tag(3));
        rows.push(Row::frame(format!("{family} error to an unknown flow here"), &frame, UNOWNED).leaves(&[]));
    }
    rows
}

/// Errors about flows in the flow table.
fn own_flows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, sent, client) in families() {
        for port in [port::LOCAL, port::TAKEN_OVER_AFFINITY, port::TAKEN_OVER] {
            let new = client.clone().syn(4000, port);
            let unknown = Asked::from(&[wire_id(node::SELF)]).marks(MARK_LED | MARK_UNKNOWN);
            let unknown = listed(Frame::v4(NODE4, SELF4), 50_000, unknown, &client.clone().tcp(4000, port));
            rows.push(
                Row::frame(
                    format!("{family} error to this node's own flow of port {port}"),
                    &about(&sent(port)),
                    LOCAL,
                )
                .after(&[&new, &unknown])
                .leaves(&[(node::SELF, Open)]),
            );
        }
        let begun = about(&sent(port::TAKEN_OVER));
        let opening = Asked::from(&[wire_id(node::SELF)]).marks(MARK_LED | MARK_OPENING);
        rows.push(
            Row::frame(format!("{family} error to a flow that has begun, to the former leader"), &begun, {
                asked_gue(&begun, node::FAR4, opening)
            })
            .after(&[&client.clone().syn(4000, port::TAKEN_OVER)])
            .leaves(&[(node::SELF, HalfOpen)]),
        );
        let own = client.clone().syn(4000, port::LOCAL).macs(SELF_MAC, NODE_MAC);
        let other = Frame { upper: sent(port::LOCAL).tcp(port::LOCAL, 4001).upper, ..sent(port::LOCAL) };
        rows.extend([
            Row::frame(
                format!("{family} error to the owner that no longer leads"),
                &about(&sent(port::FORMER_SELF)),
                LOCAL,
            )
            .after(&[
                &client.clone().syn(4000, port::FORMER_SELF).macs(SELF_MAC, NODE_MAC),
                &client.clone().tcp(4000, port::FORMER_SELF).macs(SELF_MAC, NODE_MAC),
            ])
            .leaves(&[(node::SELF, Moved)]),
            {
                let frame = about(&sent(port::TAKEN_OVER));
                Row::frame(format!("{family} error to the former leader"), &frame, {
                    asked_gue(&frame, node::FAR4, &[wire_id(node::SELF)])
                })
                .leaves(&[])
            },
            Row {
                leaves: None,
                ..Row::frame(format!("{family} error about another flow"), &about(&other), UNOWNED)
            }
            .after(&[&own]),
        ]);
    }
    rows
}

fn of_udp() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, sent, client) in families() {
        let udp = Frame { upper: client.clone().udp(port::FAR4, 4000).upper, ..sent(port::FAR4) };
        let frame = about(&udp);
        rows.push(Row::frame(format!("{family} error about UDP"), &frame, encapsulated(&frame, node::FAR4)));
        let udp = Frame { upper: client.clone().udp(port::LOCAL, 4000).upper, ..sent(port::LOCAL) };
        rows.push(Row::frame(format!("{family} error about UDP served here"), &about(&udp), LOCAL));
    }
    rows
}

fn shapes() -> Vec<Row> {
    let options = about(&sent4(port::NEAR).options(&[1; 8]));
    let whole = quoting(11, 0, &sent4(port::NEAR), &sent4(port::NEAR).sized(500).ip());
    let first = about(&sent4(port::NEAR).fragment(0, true));
    let by_mac = about(&sent4(port::NEAR)).macs(SELF_MAC, NODE_MAC);
    vec![
        Row::frame("error about a packet with options", &options, rewritten(&options, node::NEAR)),
        Row::frame("error with a long quote", &whole, rewritten(&whole, node::NEAR)),
        Row::frame("error about a first fragment", &first, rewritten(&first, node::NEAR)),
        Row::frame("error from a node by its MAC", &by_mac, asked_l2(&by_mac, node::NEAR, 0x88b5)),
    ]
}

fn foreign_packets() -> Vec<Row> {
    let row = |name: &str, frame: &Frame| Row::frame(name, frame, NOT_OURS);
    let lite4 = Frame::v4(VIP4, CLIENT4).raw(136, &sent4(port::NEAR).ip()[20..]);
    let lite6 = Frame::v6(VIP6, CLIENT6).raw(136, &sent6(port::NEAR).ip()[40..]);
    let extended = sent6(port::NEAR).extension(60, &[0, 0, 1, 4, 0, 0, 0, 0]);
    let later = sent4(port::NEAR).fragment(9, false);
    let to_vip = Frame::v4(CLIENT4, VIP4).tcp(4000, port::NEAR);
    let to_vip6 = Frame::v6(CLIENT6, VIP6).tcp(4000, port::NEAR);
    let error = about(&sent4(port::NEAR));
    let error6 = about(&sent6(port::NEAR));
    let bad_version = edited(sent4(port::NEAR).ip(), 0, &[0x55]);
    let bad_length = edited(sent4(port::NEAR).ip(), 0, &[0x44]);
    let bad_version6 = edited(sent6(port::NEAR).ip(), 0, &[0x40]);
    vec![
        row("error about UDP-Lite", &about(&lite4)),
        row("ICMPv6 error about UDP-Lite", &about(&lite6)),
        row("error about a later fragment", &about(&later)),
        row("ICMPv6 error about an extension header", &about(&extended)),
        row("error about a packet to a VIP", &about(&to_vip)),
        row("ICMPv6 error about a packet to a VIP", &about(&to_vip6)),
        row("error about a packet of no VIP", &about(&Frame::v4(PLAIN4, CLIENT4).tcp(port::NEAR, 4000))),
        row(
            "ICMPv6 error about a packet of no VIP",
            &about(&Frame::v6(PLAIN6, CLIENT6).tcp(port::NEAR, 4000)),
        ),
        row("error about an error", &about(&error)),
        row("error with IPv4 options", &error.clone().options(&[1; 4])),
        row("error, first fragment", &error.clone().fragment(0, true)),
        row("error, later fragment", &error.fragment(5, false)),
        row("ICMPv6 error behind an extension header", &error6.extension(60, &[0, 0, 1, 4, 0, 0, 0, 0])),
        row("error about IP version 5", &quoting(3, 1, &sent4(0), &bad_version)),
        row("error about a header of four words", &quoting(3, 1, &sent4(0), &bad_length)),
        row("ICMPv6 error about IP version 4", &quoting(1, 1, &sent6(0), &bad_version6)),
    ]
}

/// The quote must contain the ports; it should contain eight bytes.
fn truncated_quotes() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, sent, header) in [("ICMP", sent4(port::NEAR), 20), ("ICMPv6", sent6(port::NEAR), 40)] {
        let kind = if sent.is_v4() { 3 } else { 1 };
        for length in 0..header + 10 {
            let frame = quoting(kind, 0, &sent, &sent.ip()[..length]);
            let expect = if length < header + 4 { NOT_OURS } else { rewritten(&frame, node::NEAR) };
            rows.push(Row::frame(format!("{family} error with {length} bytes of quote"), &frame, expect));
        }
    }
    let (error, error6) = (about(&sent4(port::NEAR)).bytes(), about(&sent6(port::NEAR)).bytes());
    rows.extend([
        Row::bytes("error with too large a length", edited(error, 16, &[1, 0]), NOT_OURS),
        Row::bytes("ICMPv6 error with too large a length", edited(error6, 18, &[1, 0]), NOT_OURS),
    ]);
    rows
}

fn outer(inner: &Frame) -> Frame {
    let number = if inner.is_v4() { 4 } else { 41 };
    Frame::v4(NODE4, SELF4).gue(50_000, [0, number, 0, 0], &inner.ip())
}

fn in_gue() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, sent, new) in [
        ("ICMP", sent4 as fn(u16) -> Frame, Frame::v4(CLIENT4, VIP4).syn(4000, port::NEAR)),
        ("ICMPv6", sent6, Frame::v6(CLIENT6, VIP6).syn(4000, port::NEAR)),
    ] {
        let error = about(&sent(port::NEAR));
        let no_vip = about(&sent(port::UNUSED));
        let asked = listed(Frame::v4(NODE4, SELF4), 50_000, &[77], &about(&sent(port::TAKEN_OVER)));
        let unknown = about(&sent(port::LOCAL));
        let again = outer(&outer(&error));
        rows.extend([
            Row::frame(format!("{family} error in GUE to the owner"), &outer(&error), {
                opened(&outer(&error), &error, Outcome::Decapsulated)
            })
            .after(&[&outer(&new)])
            .leaves(&[(node::SELF, HalfOpen)]),
            Row::frame(format!("{family} error in GUE about an unknown flow"), &outer(&unknown), {
                opened(&outer(&unknown), &unknown, Outcome::Unowned)
            })
            .leaves(&[]),
            Row::frame(format!("{family} error in GUE, asked on"), &asked, {
                asked_gue(&about(&sent(port::TAKEN_OVER)), node::FAR4, &[77, wire_id(node::SELF)])
            })
            .leaves(&[]),
            Row::frame(format!("{family} error in GUE about no VIP"), &outer(&no_vip), {
                refused(Refusal::InnerNotVip)
            }),
            Row::frame(format!("{family} error in GUE in GUE"), &again, refused(Refusal::InnerNotVip)),
        ]);
    }
    rows
}

/// Errors too large for GUE arrive under a relay EtherType.
fn marked() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, sent, new) in [
        ("ICMP", sent4 as fn(u16) -> Frame, Frame::v4(CLIENT4, VIP4).syn(4000, port::NEAR)),
        ("ICMPv6", sent6, Frame::v6(CLIENT6, VIP6).syn(4000, port::NEAR)),
    ] {
        let error = about(&sent(port::NEAR)).macs(SELF_MAC, NODE_MAC);
        let unknown = about(&sent(port::UNUSED)).macs(SELF_MAC, NODE_MAC);
        rows.extend([
            Row::bytes(format!("{family} error, relayed"), error.bytes_as(0x88b5), {
                opened(&error, &error, Outcome::Decapsulated)
            })
            .after(&[&outer(&new)])
            .leaves(&[(node::SELF, HalfOpen)]),
            Row::bytes(format!("{family} error about no VIP, relayed"), unknown.bytes_as(0x88b5), NOT_OURS),
        ]);
    }
    rows
}

fn unconfigured() -> Vec<Row> {
    let row = |name: &str, frame: &Frame, refusal| {
        Row::frame(name, frame, refused(refusal)).meets(Fixture::Unconfigured)
    };
    vec![
        row("error before the configuration", &about(&sent4(port::NEAR)), Refusal::NotConfigured),
        row("ICMPv6 error before the configuration", &about(&sent6(port::NEAR)), Refusal::NotConfigured),
    ]
}
