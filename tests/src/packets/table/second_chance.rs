//! Second chances: in GUE and under the relay EtherTypes, and their return.

use lb_common::flows::FlowState::{Moved, Unconfirmed};
use lb_common::verdict::{Outcome, Refusal};
use lb_pipeline::owner::{MARK_LED, MARK_UNKNOWN};

use super::Row;
use crate::model::Action;
use crate::packets::build::{Arp, Frame, ethernet};
use crate::packets::expect::{
    Asked, Expect, NOT_OURS, asked_gue, asked_l2, listed, refused, time_exceeded, too_big,
};
use crate::packets::fixture::{
    CLIENT4, CLIENT6, Fixture, MTU, NODE_MAC, NODE4, OTHER_MAC, PLAIN4, ROUTER_MAC, SELF_MAC, SELF4, VIP4,
    VIP6, node, port, wire_id,
};

const SELF: u32 = wire_id(node::SELF);
const ASKED_ONE: u16 = 0x88b5;
const ASKED_MORE: u16 = 0x88b6;
/// Bytes of outer IPv4, UDP, GUE, a tag and one asked node.
const OVER4: usize = 20 + 8 + 4 + 8 + 4;
/// The same for IPv6.
const OVER6: usize = OVER4 + 20;

/// The name of a shape, and a function that builds a frame for a port.
type Shape = (&'static str, fn(u16) -> Frame);

const SHAPES: [Shape; 6] = [
    ("IPv4", v4),
    ("IPv6", v6),
    ("IPv4 behind a tag", |port| v4(port).tag(7)),
    ("IPv6 behind a tag", |port| v6(port).tag(7)),
    ("IPv4 behind two tags", |port| v4(port).tag_of(0x88a8, 6).tag(7)),
    ("IPv6 behind two tags", |port| v6(port).tag_of(0x88a8, 6).tag(7)),
];

pub(super) fn rows() -> Vec<Row> {
    [ways(), sizes(), lists(), restored(), passed_on(), returned_home(), of_others(), refusals()].concat()
}

fn v4(port: u16) -> Frame {
    Frame::v4(CLIENT4, VIP4).tcp(4000, port)
}

fn v6(port: u16) -> Frame {
    Frame::v6(CLIENT6, VIP6).tcp(4000, port)
}

fn ways() -> Vec<Row> {
    let mut rows = Vec::new();
    for (shape, frame) in SHAPES {
        let mut row = |name: &str, port, to, expect: &dyn Fn(&Frame) -> Expect| {
            let frame = frame(port).class(0xb8);
            let row = Row::frame(format!("{shape}, second chance {name}"), &frame, expect(&frame));
            rows.push(row.leaves(&[(to, Unconfirmed)]));
        };
        let (gue4, gue6) = (node::NEAR_GUE4, node::NEAR_GUE6);
        row("to a near node in GUE4", port::FORMER_NEAR_GUE4, gue4, &|f| asked_gue(f, gue4, &[SELF]));
        row("to a near node in GUE6", port::FORMER_NEAR_GUE6, gue6, &|f| asked_gue(f, gue6, &[SELF]));
        row("relayed", port::FORMER_NEAR, node::NEAR, &|f| asked_l2(f, node::NEAR, ASKED_ONE));
        row("relayed on another link", port::FORMER_NEAR_SECOND, node::NEAR_SECOND, &|f| {
            asked_l2(f, node::NEAR_SECOND, ASKED_ONE)
        });
    }
    rows
}

/// A packet too large for GUE goes to a near node under a relay EtherType, and not at all to a far one.
fn sizes() -> Vec<Row> {
    let mut rows = Vec::new();
    let mtu = usize::from(MTU);
    for (family, frame) in [("IPv4", v4 as fn(u16) -> Frame), ("IPv6", v6)] {
        for (port, to, over) in [
            (port::FORMER_NEAR_GUE4, node::NEAR_GUE4, OVER4),
            (port::FORMER_NEAR_GUE6, node::NEAR_GUE6, OVER6),
        ] {
            let fits = frame(port).sized(mtu - over);
            let large = frame(port).sized(mtu - over + 1);
            let jumbo = frame(port).sized(9000);
            let row = |size: usize, what: &str, frame: &Frame, expect| {
                let name = format!("{family} of {size} bytes, second chance {what} for +{over}");
                Row::frame(name, frame, expect).leaves(&[(to, Unconfirmed)])
            };
            rows.extend([
                row(mtu - over, "in GUE", &fits, asked_gue(&fits, to, &[SELF])),
                row(mtu - over + 1, "relayed", &large, asked_l2(&large, to, ASKED_ONE)),
                row(9000, "relayed", &jumbo, asked_l2(&jumbo, to, ASKED_ONE)).split_at(2048),
            ]);
        }
        let fits = frame(port::TAKEN_OVER).sized(mtu - OVER4);
        let large = frame(port::TAKEN_OVER).sized(mtu - OVER4 + 1);
        rows.extend([
            Row::frame(format!("{family}, the largest second chance to a far node"), &fits, {
                asked_gue(&fits, node::FAR4, &[SELF])
            })
            .leaves(&[(node::FAR4, Unconfirmed)]),
            Row::frame(format!("{family}, too large a second chance to a far node"), &large, {
                too_big(&large, (mtu - OVER4) as u32)
            })
            .leaves(&[(node::FAR4, Unconfirmed)]),
        ]);
    }
    rows
}

/// The list of asked nodes takes room; the relay EtherType keeps only whether there is more than one.
fn lists() -> Vec<Row> {
    let asked = [70, 71, 72, 73];
    let at = port::FORMER_NEAR_GUE4;
    let mut rows = Vec::new();
    for count in 1..=asked.len() {
        let list = &asked[..count];
        let largest = usize::from(MTU) - OVER4 - 4 * count;
        let ask = |inner: &Frame| listed(Frame::v4(NODE4, SELF4), 50_000, list, inner);
        let (fits, large) = (v4(at).sized(largest), v4(at).sized(largest + 1));
        let sent = asked_gue(&fits, node::NEAR_GUE4, &[list, &[SELF]].concat());
        rows.extend([
            Row::frame(format!("the largest packet after {count} in GUE"), &ask(&fits), sent),
            Row::frame(format!("too large a packet after {count} in GUE"), &ask(&large), {
                asked_l2(&large, node::NEAR_GUE4, ASKED_MORE)
            }),
        ]);
    }
    rows
}

/// A frame as another node sends it under a relay EtherType.
fn relayed(frame: &Frame, mark: u16) -> Vec<u8> {
    frame.clone().macs(SELF_MAC, NODE_MAC).bytes_as(mark)
}

/// Passed with its own EtherType, otherwise unmodified.
fn restored_type(frame: &Frame, outcome: Outcome) -> Expect {
    Expect::Becomes(Action::Pass, outcome, frame.clone().macs(SELF_MAC, NODE_MAC).bytes())
}

fn restored() -> Vec<Row> {
    let mut rows = Vec::new();
    for (shape, frame) in SHAPES {
        let mut row = |what: &str, frame: &Frame, outcome| {
            let name = format!("{shape} under 0x88b6, {what}");
            rows.push(Row::bytes(name, relayed(frame, ASKED_MORE), restored_type(frame, outcome)));
        };
        let of = |upper| Frame { upper, ..frame(port::LOCAL) };
        // No other node can be asked, so the leader's network stack decides.
        row("new", &of(v4(0).syn(4000, port::LOCAL).upper), Outcome::Decapsulated);
        row("unknown", &frame(port::LOCAL), Outcome::Unowned);
        row("unknown, former leaders", &frame(port::TAKEN_OVER), Outcome::Unowned);
        row("unknown, its last hop", &frame(port::LOCAL).ttl(1), Outcome::Unowned);
        row("UDP", &of(v4(0).udp(4000, port::NEW_LEADER_SUCCESSORS).upper), Outcome::Decapsulated);
        row("UDP, led by another", &of(v4(0).udp(4000, port::NEAR).upper), Outcome::Decapsulated);
    }
    for (mark, name) in [(ASKED_ONE, "0x88b5"), (ASKED_MORE, "0x88b6")] {
        let (new, old) = (v4(0).syn(4000, port::NEAR), v4(port::NEAR));
        rows.push(
            Row::bytes(format!("owned, under {name}"), relayed(&old, mark), {
                restored_type(&old, Outcome::Decapsulated)
            })
            .after(&[&new.macs(SELF_MAC, NODE_MAC)])
            .leaves(&[(node::SELF, Moved)]),
        );
    }
    let short = v4(port::LOCAL).sized(40);
    let jumbo = v4(port::LOCAL).sized(9000);
    let row = |name: &str, frame: &Frame| {
        Row::bytes(name, relayed(frame, ASKED_MORE), restored_type(frame, Outcome::Unowned))
    };
    rows.push(row("padded, under 0x88b6", &short).padded(&[0; 6]));
    rows.push(row("9000 bytes under 0x88b6", &jumbo).split_at(2048));
    rows
}

/// The sender, identified by its MAC, has been asked.
fn passed_on() -> Vec<Row> {
    let mut rows = Vec::new();
    let sender = wire_id(node::NEAR);
    for (shape, frame) in SHAPES {
        let (far, near) = (frame(port::TAKEN_OVER), frame(port::FORMER_NEAR_SECOND));
        rows.extend([
            Row::bytes(format!("{shape} under 0x88b5, on in GUE"), relayed(&far, ASKED_ONE), {
                asked_gue(&far, node::FAR4, &[sender, SELF])
            }),
            Row::bytes(format!("{shape} under 0x88b5, on under 0x88b6"), relayed(&near, ASKED_ONE), {
                asked_l2(&near, node::NEAR_SECOND, ASKED_MORE)
            }),
        ]);
    }
    rows
}

/// Bytes added to a packet on its return home: IP, UDP, GUE, marks and tag, and five asked nodes.
const FULL: usize = 40 + 8 + 4 + 8 + 5 * 4;

/// Unknown flows: their home is the sender of 0x88b5; under 0x88b6 it is unknown, unlike in GUE.
fn returned_home() -> Vec<Row> {
    let mut rows = Vec::new();
    let smaller = u32::from(MTU) - FULL as u32;
    for (shape, frame) in SHAPES {
        let syn = |port| Frame { upper: v4(0).syn(4000, port).upper, ..frame(port) };
        for (kind, to_leader, to_former) in [
            ("unknown", frame(port::NEAR), frame(port::FORMER_NEAR)),
            ("new", syn(port::NEAR), syn(port::FORMER_NEAR)),
        ] {
            let back = |frame: &Frame| asked_l2(frame, node::NEAR, ASKED_MORE);
            let mut row = |name: &str, frame: &Frame, mark, expect| {
                rows.push(Row::bytes(format!("{shape} {kind}, {name}"), relayed(frame, mark), expect));
            };
            let seen = to_leader.clone().macs(SELF_MAC, NODE_MAC);
            row("under 0x88b5, back to its sender", &to_leader, ASKED_ONE, back(&to_leader));
            row("under 0x88b5, back to a former leader", &to_former, ASKED_ONE, back(&to_former));
            row("under 0x88b6, home not known", &to_leader, ASKED_MORE, too_big(&seen, smaller));
        }
    }
    let jumbo = v4(port::NEAR).sized(9000);
    let row = |name: &str, frame: &Frame, mark, expect| Row::bytes(name, relayed(frame, mark), expect);
    let no_home = || refused(Refusal::NoHome);
    rows.extend([
        row(
            "9000 bytes, returned home under 0x88b6",
            &jumbo,
            ASKED_ONE,
            asked_l2(&jumbo, node::NEAR, ASKED_MORE),
        )
        .split_at(2048),
        row("under 0x88b5, its sender not in the slot", &v4(port::LOCAL), ASKED_ONE, no_home()),
        row("under 0x88b6, its sender not in the slot", &v4(port::FAR4), ASKED_MORE, no_home()),
        row("under 0x88b5, returned home, its last hop", &v4(port::NEAR).ttl(1), ASKED_ONE, {
            time_exceeded(&v4(port::NEAR).ttl(1).macs(SELF_MAC, NODE_MAC))
        }),
    ]);
    for (family, frame) in [("IPv4", v4 as fn(u16) -> Frame), ("IPv6", v6)] {
        let list = [wire_id(node::NEAR_GUE4)];
        let largest = usize::from(MTU) - OVER4 - 4;
        let [fits, large] = [largest, largest + 1].map(|size| frame(port::FORMER_NEAR_GUE4).sized(size));
        let ask = |inner: &Frame| listed(Frame::v4(NODE4, SELF4), 50_000, &list, inner);
        let back = Asked::from(&[list[0], SELF]).marks(MARK_LED | MARK_UNKNOWN);
        rows.extend([
            Row::frame(format!("{family}, the largest returned home in GUE"), &ask(&fits), {
                asked_gue(&fits, node::NEAR_GUE4, back)
            }),
            Row::frame(format!("{family}, too large to go returned home in GUE"), &ask(&large), {
                asked_l2(&large, node::NEAR_GUE4, ASKED_MORE)
            }),
        ]);
    }
    rows
}

/// These EtherTypes are free for local experiments of others.
fn of_others() -> Vec<Row> {
    let mut rows = Vec::new();
    let vip = v4(port::LOCAL);
    for (mark, name) in [(ASKED_ONE, "0x88b5"), (ASKED_MORE, "0x88b6")] {
        let from_node = |payload: &[u8]| ethernet([SELF_MAC, NODE_MAC], &[], mark, payload);
        let mut row = |what: &str, bytes| rows.push(Row::bytes(format!("{name} {what}"), bytes, NOT_OURS));
        row("from the router", vip.bytes_as(mark));
        row("from an unknown host", vip.clone().macs(SELF_MAC, OTHER_MAC).bytes_as(mark));
        row("from an unknown host behind a tag", vip.clone().tag(3).macs(SELF_MAC, OTHER_MAC).bytes_as(mark));
        row("from a node, empty", from_node(&[]));
        row("from a node, of no IP version", from_node(&[0x55; 60]));
        row("from a node, ARP", from_node(&Arp::request(VIP4).payload()));
        row("from a node, for no VIP", from_node(&Frame::v4(CLIENT4, PLAIN4).tcp(1, 2).ip()));
        row("from a node, for an unused port", from_node(&v4(port::UNUSED).ip()));
        row("from a node, an echo request", from_node(&Frame::v4(CLIENT4, VIP4).icmp(8, 0).ip()));
        row("from a node, an ICMPv6 echo request", from_node(&Frame::v6(CLIENT6, VIP6).icmp(128, 0).ip()));
        row("from a node, GUE", from_node(&Frame::v4(NODE4, SELF4).gue(1, [0, 4, 0, 0], &vip.ip()).ip()));
        row("from a node, S-BFD", from_node(&Frame::v4(NODE4, SELF4).udp(1, 7784).ip()));
        row(
            "from a node behind three tags",
            vip.clone().tag(1).tag(2).tag(3).macs(SELF_MAC, NODE_MAC).bytes_as(mark),
        );
    }
    rows
}

fn refusals() -> Vec<Row> {
    let one =
        |name: &str, frame: &Frame, refusal| Row::bytes(name, relayed(frame, ASKED_ONE), refused(refusal));
    let ahead = v4(port::TAKEN_OVER);
    let mut longer = relayed(&v4(port::LOCAL), ASKED_ONE);
    longer.truncate(longer.len() - 1);
    let mut crowded = Row::frame("no headroom left for a list", &ahead, refused(Refusal::NoHeadroom))
        .leaves(&[(node::FAR4, Unconfirmed)]);
    crowded.packet.metadata = 176;
    let mut roomy =
        Row::frame("just enough headroom for a list", &ahead, asked_gue(&ahead, node::FAR4, &[SELF]))
            .leaves(&[(node::FAR4, Unconfirmed)]);
    roomy.packet.metadata = 172;
    let last_hop = v4(port::FORMER_NEAR).ttl(1);
    vec![
        Row::bytes("0x88b5 on, its last hop", relayed(&ahead.clone().ttl(1), ASKED_ONE), {
            time_exceeded(&ahead.clone().ttl(1).macs(SELF_MAC, NODE_MAC))
        }),
        Row::frame("second chance, relayed, its last hop", &last_hop, time_exceeded(&last_hop))
            .leaves(&[(node::NEAR, Unconfirmed)]),
        one("0x88b5 around a VIP without a ring", &v4(port::RINGLESS), Refusal::NoSlot),
        one("0x88b5 around half a header", &Frame::v4(CLIENT4, VIP4).raw(6, &[0; 2]), Refusal::Truncated),
        one("0x88b5 before the configuration", &v4(port::LOCAL), Refusal::NotConfigured)
            .meets(Fixture::Unconfigured),
        Row::bytes("0x88b5 around a truncated packet", longer, refused(Refusal::BadLength)),
        Row::bytes(
            "0x88b5 from the router before the configuration",
            v4(port::LOCAL).macs(SELF_MAC, ROUTER_MAC).bytes_as(ASKED_ONE),
            NOT_OURS,
        )
        .meets(Fixture::Unconfigured),
        crowded,
        roomy,
    ]
}
