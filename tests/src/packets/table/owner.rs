//! The owner rule: the owner of a packet, the record of its flow, and the other nodes asked.

mod asked;
mod datagrams;
mod home;
mod life;
mod opening;
mod recent_death;
mod windows;

use lb_common::flows::FlowState::{Closed, HalfOpen, Moved, Unconfirmed};
use lb_common::verdict::{Outcome, Refusal};
use lb_pipeline::owner::MARK_UNKNOWN;

use super::Row;
use crate::packets::build::{Frame, flags};
use crate::packets::expect::{
    Asked, Expect, asked_gue, asked_l2, decapsulated, encapsulated, listed, opened, refused, rewritten,
};
use crate::packets::fixture::{
    CLIENT4, CLIENT6, Fixture, NODE_MAC, NODE4, SELF_MAC, SELF4, VIP4, VIP6, node, port, wire_id,
};

const SELF: u32 = wire_id(node::SELF);
const UNOWNED: Expect = Expect::Untouched(Outcome::Unowned as u32);
const FROM_NODE: Expect = Expect::Untouched(Outcome::LocalFromNode as u32);
/// The EtherType of a packet for which one node has been asked.
const ASKED_ONE: u16 = 0x88b5;
/// The EtherType of a packet for which more than one node has been asked.
const ASKED_MORE: u16 = 0x88b6;

pub(super) fn rows() -> Vec<Row> {
    [
        directed(),
        from_nodes(),
        life::rows(),
        recent_death::rows(),
        asked::rows(),
        datagrams::rows(),
        home::rows(),
        opening::rows(),
        windows::rows(),
    ]
    .concat()
}

fn v4() -> Frame {
    Frame::v4(CLIENT4, VIP4)
}

fn v6() -> Frame {
    Frame::v6(CLIENT6, VIP6)
}

fn tcp(port: u16) -> Frame {
    v4().tcp(4000, port)
}

fn syn(port: u16) -> Frame {
    v4().syn(4000, port)
}

fn udp(port: u16) -> Frame {
    v4().udp(4000, port)
}

fn fin(port: u16) -> Frame {
    v4().segment(4000, port, flags::FIN | flags::ACK)
}

/// A frame as another node sends it by a MAC rewrite.
fn by_mac(frame: Frame) -> Frame {
    frame.macs(SELF_MAC, NODE_MAC)
}

/// A frame as another node sends it in GUE, after these nodes have been asked.
fn in_gue(asked: impl Into<Asked>, inner: &Frame) -> Frame {
    listed(Frame::v4(NODE4, SELF4), 50_000, asked, inner)
}

/// A frame as it returns home when none of these nodes knows its flow; the first one leads the slot.
fn unknown(asked: &[u32], inner: &Frame) -> Frame {
    let asked = Asked::from(asked);
    let marks = asked.marks | MARK_UNKNOWN;
    in_gue(asked.marks(marks), inner)
}

/// Decapsulated from GUE, and served by this node.
fn taken(outer: &Frame, inner: &Frame) -> Expect {
    decapsulated(outer, inner)
}

/// Decapsulated from GUE, with an unknown flow.
fn unowned(outer: &Frame, inner: &Frame) -> Expect {
    opened(outer, inner, Outcome::Unowned)
}

/// The result for `inner` when it is decapsulated and another node is asked: it leaves in the frame's
/// Ethernet header, with this node on the list.
fn passed_on(inner: &Frame, to: u16, asked: impl Into<Asked>) -> Expect {
    let mut asked = asked.into();
    asked.ids.push(SELF);
    asked_gue(inner, to, asked)
}

/// The same, back to the flow's home.
fn returned_home(inner: &Frame, home: u16, asked: impl Into<Asked>) -> Expect {
    let asked = asked.into();
    let marks = asked.marks | MARK_UNKNOWN;
    passed_on(inner, home, asked.marks(marks))
}

/// Packets that this node directs; a director records nothing.
fn directed() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, base) in [("IPv4", v4()), ("IPv6", v6())] {
        for (kind, flags) in [("SYN", flags::SYN), ("ACK", flags::ACK)] {
            let mut row = |name: &str, port, expect: fn(&Frame) -> Expect| {
                let frame = base.clone().segment(4000, port, flags);
                rows.push(Row::frame(format!("{family} {kind} {name}"), &frame, expect(&frame)));
            };
            row("past a dead leader", port::BEHIND_DEAD, |f| rewritten(f, node::NEAR));
            row("past a draining and a dead node", port::BEHIND_DRAINING, |f| encapsulated(f, node::FAR4));
            row("to the first of those that drain", port::DRAINING, |f| encapsulated(f, node::DRAINING));
            row("with no node alive", port::DEAD, |_| refused(Refusal::NoLiveNode));
            row("led by another, before by this node", port::FORMER_SELF, |f| rewritten(f, node::NEAR));
        }
    }
    let (dead, lost) = (tcp(port::BEHIND_DEAD), tcp(port::FORMER_LOST));
    rows.extend([
        Row::frame(
            "UDP past a dead leader",
            &udp(port::BEHIND_DEAD),
            rewritten(&udp(port::BEHIND_DEAD), node::NEAR),
        ),
        Row::frame("to a silent leader, with no limit", &dead, rewritten(&dead, node::DEAD))
            .meets(Fixture::Silent),
        Row::frame(
            "to a silent former leader, with no limit",
            &lost,
            asked_l2(&lost, node::JUST_LOST, ASKED_ONE),
        )
        .meets(Fixture::Silent)
        .leaves(&[(node::JUST_LOST, Unconfirmed)]),
    ]);
    rows
}

/// Packets for which another node has chosen this one: it is a candidate, never a director.
fn from_nodes() -> Vec<Row> {
    let (new, old) = (syn(port::NEAR), tcp(port::NEAR));
    let unlisted = in_gue(&[], &old);
    let finished = fin(port::NEAR);
    let ended = in_gue(&[], &finished);
    let unknown = tcp(port::LOCAL);
    let asked = in_gue(&[], &unknown);
    let over_v6 = v6().tcp(4000, port::LOCAL);
    vec![
        Row::frame("from a node, SYN, recorded", &by_mac(new.clone()), FROM_NODE)
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("from a node, owned, this node not in the slot", &by_mac(old.clone()), FROM_NODE)
            .after(&[&by_mac(new.clone())])
            .leaves(&[(node::SELF, Moved)]),
        Row::frame(
            "from a node, unknown, led by another",
            &by_mac(old.clone()),
            asked_l2(&old, node::NEAR, ASKED_ONE),
        )
        .leaves(&[(node::NEAR, Unconfirmed)]),
        Row::frame("from a node, unknown, without a leader", &by_mac(tcp(port::LEADERLESS)), UNOWNED),
        Row::frame("from a node, unknown, led by this node", &by_mac(unknown.clone()), UNOWNED),
        Row::frame("from a node in GUE, owned", &unlisted, taken(&unlisted, &old))
            .after(&[&in_gue(&[], &new)])
            .leaves(&[(node::SELF, Moved)]),
        Row::frame("from a node in GUE, owned and ended", &ended, taken(&ended, &finished))
            .after(&[&by_mac(new.clone())])
            .leaves(&[(node::SELF, Closed)]),
        Row::frame("from a node in GUE, new", &in_gue(&[], &new), taken(&in_gue(&[], &new), &new))
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("from a node in GUE, unknown", &asked, unowned(&asked, &unknown)),
        Row::frame("from a node in GUE, unknown, led by another", &in_gue(&[], &tcp(port::FAR4)), {
            passed_on(&tcp(port::FAR4), node::FAR4, Asked::from(&[]).marks(0))
        })
        .leaves(&[(node::FAR4, Unconfirmed)]),
        Row::frame("IPv6 from a node in GUE, unknown", &in_gue(&[], &over_v6), {
            unowned(&in_gue(&[], &over_v6), &over_v6)
        }),
        Row::frame("from a node in GUE, without a leader", &in_gue(&[], &tcp(port::LEADERLESS)), {
            unowned(&in_gue(&[], &tcp(port::LEADERLESS)), &tcp(port::LEADERLESS))
        }),
    ]
}
