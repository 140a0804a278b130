//! Fragments: the first has ports; later ones follow it, or are forwarded by their addresses.

use lb_common::flows::FlowState::{Moved, Open, Unconfirmed};
use lb_common::verdict::{Outcome, Refusal};

use super::{Row, edited};
use crate::packets::build::{Frame, chunk};
use crate::packets::expect::{
    Expect, LOCAL, NOT_OURS, asked_gue, encapsulated, opened, port_unreachable, refused, rewritten,
};
use crate::packets::fixture::{
    CLIENT4, CLIENT6, Fixture, NODE_MAC, NODE4, PLAIN4, PLAIN6, QUIET4, QUIET6, SELF_MAC, SELF4, VIP4, VIP6,
    node, port, wire_id,
};

const UNOWNED: Expect = Expect::Untouched(Outcome::Unowned as u32);
const HOP_BY_HOP: (u8, [u8; 8]) = (0, [0, 0, 1, 4, 0, 0, 0, 0]);

/// A fragment: identification, offset in units of eight bytes, more-fragments bit.
#[derive(Clone, Copy)]
struct Part(u16, u16, bool);

const FIRST: Part = Part(9, 0, true);
const MIDDLE: Part = Part(9, 100, true);
const LAST: Part = Part(9, 200, false);
const OTHER: Part = Part(10, 100, true);

impl Part {
    fn of(self, frame: Frame) -> Frame {
        let Self(id, offset, more) = self;
        if frame.is_v4() {
            return frame.id(id).fragment(offset, more);
        }
        let [a, b] = (offset << 3 | u16::from(more)).to_be_bytes();
        let [c, d] = id.to_be_bytes();
        frame.extension(44, &[0, 0, a, b, 0, 0, c, d])
    }
}

/// The name of a fragmented packet, and a function that builds it for a port.
type Kind = (&'static str, fn(u16) -> Frame);

/// The name of a forwarding mode, a port that uses it, and the expected result.
type Way = (&'static str, u16, fn(&Frame) -> Expect);

const KINDS: [Kind; 6] = [
    ("IPv4 TCP", |port| v4(VIP4).tcp(4000, port)),
    ("IPv4 UDP", |port| v4(VIP4).udp(4000, port)),
    ("IPv6 TCP", |port| v6(VIP6).tcp(4000, port)),
    ("IPv6 UDP", |port| v6(VIP6).udp(4000, port)),
    ("IPv4 SCTP", |port| v4(VIP4).sctp(4000, port, chunk::DATA)),
    ("IPv6 SCTP", |port| v6(VIP6).sctp(4000, port, chunk::DATA)),
];

fn v4(to: [u8; 4]) -> Frame {
    Frame::v4(CLIENT4, to)
}

fn v6(to: [u8; 16]) -> Frame {
    Frame::v6(CLIENT6, to)
}

/// Bytes from the middle of a packet.
fn middle(frame: &Frame) -> Frame {
    frame.clone().raw(frame.upper.protocol(), &[0xff; 64])
}

fn gue(inner: &Frame) -> Frame {
    let number = if inner.is_v4() { 4 } else { 41 };
    Frame::v4(NODE4, SELF4).gue(50_000, [0, number, 0, 0], &inner.ip())
}

pub(super) fn rows() -> Vec<Row> {
    [in_order(), by_addresses(), at_owners(), tunnelled(), foreign_packets(), malformed()].concat()
}

fn in_order() -> Vec<Row> {
    let mut rows = Vec::new();
    for (kind, frame) in KINDS {
        let ways: [Way; 4] = [
            ("rewritten", port::NEAR, |f| rewritten(f, node::NEAR)),
            ("on another link", port::NEAR_SECOND, |f| rewritten(f, node::NEAR_SECOND)),
            ("in GUE4", port::FAR4, |f| encapsulated(f, node::FAR4)),
            ("in GUE6", port::FAR6, |f| encapsulated(f, node::FAR6)),
        ];
        for (way, port, expect) in ways {
            let whole = frame(port);
            let first = FIRST.of(whole.clone());
            rows.push(Row::frame(format!("{kind} first fragment {way}"), &first, expect(&first)));
            for (what, part) in [("middle", MIDDLE), ("last", LAST)] {
                let later = part.of(middle(&whole));
                let row = Row::frame(format!("{kind} {what} fragment {way}"), &later, expect(&later));
                rows.push(row.after(&[&first]));
                let tagged = later.tag(4);
                let row =
                    Row::frame(format!("{kind} {what} fragment {way}, tagged"), &tagged, expect(&tagged));
                rows.push(row.after(&[&first]));
            }
        }
    }
    let behind = |part: Part| part.of(v6(VIP6).extension(HOP_BY_HOP.0, &HOP_BY_HOP.1).tcp(4000, port::NEAR));
    let optional = |part: Part| part.of(v4(VIP4).options(&[1; 8]).tcp(4000, port::NEAR));
    for (what, frame) in [("extensions", &behind as &dyn Fn(Part) -> Frame), ("options", &optional)] {
        let (first, last) = (frame(FIRST), frame(LAST));
        rows.extend([
            Row::frame(format!("first fragment behind {what}"), &first, rewritten(&first, node::NEAR)),
            Row::frame(format!("last fragment behind {what}"), &last, rewritten(&last, node::NEAR))
                .after(&[&first]),
        ]);
    }
    rows
}

/// This node leads the ring of the addresses; a near node leads that of the quiet VIPs.
fn by_addresses() -> Vec<Row> {
    let mut rows = Vec::new();
    for (kind, frame) in KINDS {
        let here = if kind.ends_with("UDP") { LOCAL } else { UNOWNED };
        let first = FIRST.of(frame(port::NEAR));
        let mut row = |what: &str, later: &Frame, expect: Expect| {
            rows.push(Row::frame(format!("{kind} {what}"), later, expect).after(&[&first]));
        };
        row("fragment of another packet", &OTHER.of(middle(&frame(port::NEAR))), here.clone());
        let protocol = if kind.ends_with("UDP") { 6 } else { 17 };
        let other = MIDDLE.of(frame(port::NEAR).raw(protocol, &[0xff; 64]));
        row("first, a fragment of another protocol", &other, if protocol == 6 { UNOWNED } else { LOCAL });
        let later = MIDDLE.of(middle(&frame(port::NEAR)));
        rows.push(Row::frame(format!("{kind} fragment before its first"), &later, here));
    }
    for protocol in [6, 17, 132] {
        let v4 = MIDDLE.of(v4(QUIET4).raw(protocol, &[0xff; 64]));
        let v6 = LAST.of(v6(QUIET6).raw(protocol, &[0xff; 64]));
        rows.extend([
            Row::frame(format!("IPv4 fragment of {protocol} alone"), &v4, rewritten(&v4, node::NEAR)),
            Row::frame(format!("IPv6 fragment of {protocol} alone"), &v6, rewritten(&v6, node::NEAR)),
        ]);
    }
    let other_client = MIDDLE.of(Frame::v4([203, 0, 113, 10], VIP4).raw(17, &[0xff; 64]));
    let first = FIRST.of(v4(VIP4).udp(4000, port::NEAR));
    rows.push(Row::frame("fragment of another client", &other_client, LOCAL).after(&[&first]));
    let unused = FIRST.of(v4(VIP4).udp(4000, port::UNUSED));
    rows.extend([
        Row::frame("first fragment to an unused port", &unused, port_unreachable(&unused)),
        Row::frame("fragment behind one to an unused port", &MIDDLE.of(middle(&unused)), LOCAL)
            .after(&[&unused]),
    ]);
    rows
}

fn at_owners() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, base) in [("IPv4", v4(VIP4)), ("IPv6", v6(VIP6))] {
        let new = base.clone().syn(4000, port::LOCAL);
        let first = FIRST.of(base.clone().tcp(4000, port::LOCAL));
        let last = LAST.of(middle(&base.clone().tcp(4000, 0)));
        let row = |name: &str, frame: &Frame, expect| Row::frame(format!("{family} {name}"), frame, expect);
        rows.extend([
            row("first fragment of an own flow", &first, LOCAL).after(&[&new]).leaves(&[(node::SELF, Open)]),
            row("last fragment of an own flow", &last, LOCAL)
                .after(&[&new, &first])
                .leaves(&[(node::SELF, Open)]),
            row("first fragment of an unknown flow", &first, UNOWNED),
            row("last fragment of an unknown flow", &last, LOCAL)
                .after(&[&first])
                .leaves(&[(node::SELF, Unconfirmed)]),
        ]);
        let first = FIRST.of(base.clone().tcp(4000, port::TAKEN_OVER));
        let asked = |frame: &Frame| asked_gue(frame, node::FAR4, &[wire_id(node::SELF)]);
        rows.extend([
            row("first fragment to the former leader", &first, asked(&first))
                .leaves(&[(node::FAR4, Unconfirmed)]),
            row("last fragment to the former leader", &last, asked(&last))
                .after(&[&first])
                .leaves(&[(node::FAR4, Unconfirmed)]),
        ]);
    }
    rows
}

/// Fragments from other nodes, in GUE and under a relay EtherType.
fn tunnelled() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, base) in [("IPv4", v4(VIP4)), ("IPv6", v6(VIP6))] {
        let new = gue(&base.clone().syn(4000, port::NEAR));
        let first = FIRST.of(base.clone().tcp(4000, port::NEAR));
        let last = LAST.of(middle(&first));
        let last = Frame { extensions: LAST.of(base.clone()).extensions, ..last };
        let both = &[(node::SELF, Moved)];
        let row = |name: &str, inner: &Frame, outcome| {
            Row::frame(format!("{family} {name} in GUE"), &gue(inner), opened(&gue(inner), inner, outcome))
        };
        let alone = MIDDLE.of(base.clone().raw(17, &[0xff; 64]));
        let elsewhere = if base.is_v4() { v4(PLAIN4) } else { v6(PLAIN6) };
        let elsewhere = MIDDLE.of(elsewhere.raw(17, &[0xff; 64]));
        rows.extend([
            row("first fragment", &first, Outcome::Decapsulated).after(&[&new]).leaves(both),
            row("last fragment", &last, Outcome::Decapsulated).after(&[&new, &gue(&first)]).leaves(both),
            row("last TCP fragment alone", &last, Outcome::Unowned),
            row("UDP fragment alone", &alone, Outcome::Decapsulated),
            Row::frame(format!("{family} fragment for no VIP in GUE"), &gue(&elsewhere), {
                refused(Refusal::InnerNotVip)
            }),
        ]);
        let marked = |frame: &Frame| frame.clone().macs(SELF_MAC, NODE_MAC);
        let row = |name: &str, frame: &Frame, expect| {
            Row::bytes(format!("{family} {name} relayed"), marked(frame).bytes_as(0x88b5), expect)
        };
        let restored = |frame: &Frame, outcome| opened(&marked(frame), frame, outcome);
        rows.extend([
            row("first fragment", &first, restored(&first, Outcome::Decapsulated))
                .after(&[&new])
                .leaves(both),
            row("last fragment", &last, restored(&last, Outcome::Decapsulated))
                .after(&[&new, &gue(&first)])
                .leaves(both),
            row("TCP fragment alone", &last, refused(Refusal::NoHome)),
            row("fragment for no VIP", &elsewhere, NOT_OURS),
        ]);
    }
    let part =
        |part: Part| part.of(Frame::v4(NODE4, SELF4).gue(1, [0, 4, 0, 0], &v4(VIP4).tcp(1, port::NEAR).ip()));
    rows.extend([
        Row::frame("IPv4 first fragment of GUE", &part(FIRST), NOT_OURS),
        Row::frame("IPv4 later fragment of GUE", &part(MIDDLE), NOT_OURS),
    ]);
    let fits = FIRST.of(v4(VIP4).udp(4000, port::FAR4)).sized(1460);
    let fits6 = FIRST.of(v6(VIP6).udp(4000, port::FAR6)).sized(1440);
    rows.extend([
        Row::frame("IPv4 first fragment that just fits in GUE", &fits, encapsulated(&fits, node::FAR4)),
        Row::frame("IPv6 first fragment that just fits in GUE", &fits6, encapsulated(&fits6, node::FAR6)),
    ]);
    rows
}

fn foreign_packets() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, vip, plain) in [("IPv4", v4(VIP4), v4(PLAIN4)), ("IPv6", v6(VIP6), v6(PLAIN6))] {
        let mut row =
            |name: &str, frame: &Frame| rows.push(Row::frame(format!("{family} {name}"), frame, NOT_OURS));
        for (what, part) in [("first", FIRST), ("middle", MIDDLE), ("last", LAST)] {
            row(&format!("{what} TCP fragment, no VIP"), &part.of(plain.clone().tcp(4000, port::NEAR)));
            row(&format!("{what} UDP fragment, no VIP"), &part.of(plain.clone().udp(4000, port::NEAR)));
            let echo = if vip.is_v4() { vip.clone().icmp(8, 0) } else { vip.clone().icmp(128, 0) };
            row(&format!("{what} fragment of an echo request"), &part.of(echo));
            row(&format!("{what} fragment of UDP-Lite"), &part.of(vip.clone().raw(136, &[0xff; 64])));
        }
    }
    rows
}

fn malformed() -> Vec<Row> {
    let mut rows = Vec::new();
    for (kind, frame) in KINDS {
        let (first, last) = (FIRST.of(frame(port::NEAR)), LAST.of(middle(&frame(port::NEAR))));
        let length_at = if first.is_v4() { 16 } else { 18 };
        let says = |frame: &Frame| edited(frame.bytes(), length_at, &[4, 0]);
        let row = |name: &str, bytes, refusal| Row::bytes(format!("{kind} {name}"), bytes, refused(refusal));
        rows.extend([
            row("first fragment with too large a length", says(&first), Refusal::BadLength),
            row("last fragment with too large a length", says(&last), Refusal::BadLength),
            row("last fragment, followed, with too large a length", says(&last), Refusal::BadLength)
                .after(&[&first]),
            Row::frame(format!("{kind} first fragment before the configuration"), &first, {
                refused(Refusal::NotConfigured)
            })
            .meets(Fixture::Unconfigured),
            Row::frame(format!("{kind} last fragment before the configuration"), &last, {
                refused(Refusal::NotConfigured)
            })
            .meets(Fixture::Unconfigured),
        ]);
    }
    let tiny = FIRST.of(v4(VIP4).raw(6, &v4(VIP4).tcp(4000, port::NEAR).ip()[20..36]));
    rows.push(Row::frame("a first fragment that ends inside of TCP", &tiny, refused(Refusal::BadLength)));
    rows
}
