//! The owner rule: who is a packet for, what is noted of its flow, and who else is asked.

use lb_common::flows::Standing::{self, Closed, HalfOpen, Open};
use lb_common::verdict::{Outcome, Refusal};

use super::Row;
use crate::packets::build::{Frame, flags};
use crate::packets::expect::{
    Expect, LOCAL, asked_gue, asked_l2, decapsulated, encapsulated, listed, opened, refused, rewritten,
    time_exceeded,
};
use crate::packets::fixture::{
    CLIENT4, CLIENT6, Fixture, PEER_MAC, PEER4, SELF_MAC, SELF4, VIP4, VIP6, node, port, wire_id,
};

const SELF: u32 = wire_id(node::SELF);
const UNOWNED: Expect = Expect::Untouched(Outcome::Unowned as u32);
const FROM_PEER: Expect = Expect::Untouched(Outcome::LocalFromPeer as u32);
/// The type of a packet that more than one node has been asked for.
const ASKED_MORE: u16 = 0x88b6;

pub(super) fn rows() -> Vec<Row> {
    [
        directed(),
        lives_v4(),
        lives(),
        kept(),
        from_peers(),
        bereaved(),
        taken_over(),
        delegated(),
        in_order(),
        successors(),
        datagrams(),
        affinity(),
        without_a_way(),
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

/// As a peer sends it by a MAC rewrite.
fn by_mac(frame: Frame) -> Frame {
    frame.macs(SELF_MAC, PEER_MAC)
}

/// As a peer sends it in GUE, after these have been asked.
fn in_gue(asked: &[u32], inner: &Frame) -> Frame {
    let number = if matches!(inner.addresses, crate::packets::build::Addresses::V4(..)) { 4 } else { 41 };
    Frame::v4(PEER4, SELF4).gue(50_000, [asked.len() as u8, number, 0, 0], &listed(asked, &inner.ip()))
}

/// What becomes of `inner` once it is out of a frame from a peer and asked of somebody else: it leaves in the
/// frame's Ethernet header, with this node on the list.
fn passed_on(inner: &Frame, to: u16, asked: &[u32]) -> Expect {
    let list = [asked, &[SELF]].concat();
    asked_gue(inner, to, &list)
}

/// What a director does; it notes nothing.
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
            row("with nobody alive", port::DEAD, |_| refused(Refusal::NoLiveNode));
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
            asked_l2(&lost, node::JUST_LOST, 0x88b5),
        )
        .meets(Fixture::Silent)
        .leaves(&[(node::JUST_LOST, Open)]),
    ]);
    rows
}

/// A flow's life at its owner, as a client's packets tell it.
fn lives_v4() -> Vec<Row> {
    life("IPv4", &v4())
}

fn lives() -> Vec<Row> {
    life("IPv6", &v6().tag(3))
}

fn life(family: &str, base: &Frame) -> Vec<Row> {
    let segment = |flags| base.clone().segment(4000, port::LOCAL, flags);
    let syn = segment(flags::SYN);
    let ack = segment(flags::ACK);
    let fin = segment(flags::FIN | flags::ACK);
    let rst = segment(flags::RST);
    let udp = base.clone().udp(4000, port::LOCAL);
    let mine = |standing: Standing| [(node::SELF, standing)];
    let row = |name: &str, before: &[&Frame], frame: &Frame, standing| {
        Row::frame(format!("{family} {name}"), frame, LOCAL).after(before).leaves(&mine(standing))
    };
    let unknown = |name: &str, frame: &Frame| Row::frame(format!("{family} {name}"), frame, UNOWNED);
    vec![
        row("SYN, noted", &[], &syn, HalfOpen),
        row("SYN with FIN, noted", &[], &segment(flags::SYN | flags::FIN), HalfOpen),
        row("SYN again", &[&syn], &syn, HalfOpen),
        row("ACK after SYN", &[&syn], &ack, Open),
        row("ACK after ACK", &[&syn, &ack], &ack, Open),
        row("FIN after ACK", &[&syn, &ack], &fin, Closed),
        row("FIN after SYN", &[&syn], &fin, Closed),
        row("RST after ACK", &[&syn, &ack], &rst, Closed),
        row("ACK after FIN", &[&syn, &ack, &fin], &ack, Closed),
        row("FIN after FIN", &[&syn, &ack, &fin], &fin, Closed),
        row("SYN after FIN", &[&syn, &ack, &fin], &syn, HalfOpen),
        row("ACK after SYN after FIN", &[&syn, &fin, &syn], &ack, Open),
        row("SYN after ACK", &[&syn, &ack], &syn, HalfOpen),
        row("UDP, noted", &[], &udp, Open),
        row("UDP again", &[&udp], &udp, Open),
        unknown("ACK of an unknown flow", &ack),
        unknown("FIN of an unknown flow", &fin),
        unknown("RST of an unknown flow", &rst),
        unknown("SYN with ACK of an unknown flow", &segment(flags::SYN | flags::ACK)),
        unknown("TCP without flags of an unknown flow", &segment(0)),
        unknown("ACK of an unknown flow on its last hop", &ack.clone().ttl(1)),
    ]
}

/// What this node owns it serves, whoever leads by now.
fn kept() -> Vec<Row> {
    let (new, old) = (syn(port::FORMER_SELF), tcp(port::FORMER_SELF));
    let taken = by_mac(new.clone());
    let dead = tcp(port::SELF_BEHIND_DEAD);
    let datagram = udp(port::FORMER_SELF);
    vec![
        Row::frame("owned, led by another by now", &old, LOCAL)
            .after(&[&taken])
            .leaves(&[(node::SELF, Open)]),
        // It may have a successor at the leader; if not, it comes back from there.
        Row::frame("owned and closed, led by another by now", &old, rewritten(&old, node::NEAR))
            .after(&[&taken, &fin(port::FORMER_SELF)])
            .leaves(&[(node::SELF, Closed)]),
        Row::frame("owned and closed, asked by the leader", &in_gue(&[7], &old), {
            decapsulated(&in_gue(&[7], &old), &old)
        })
        .after(&[&taken, &fin(port::FORMER_SELF)])
        .leaves(&[(node::SELF, Closed)]),
        Row::frame("owned and closed, led by this node", &tcp(port::TAKEN_OVER), LOCAL)
            .after(&[&syn(port::TAKEN_OVER), &fin(port::TAKEN_OVER)])
            .leaves(&[(node::SELF, Closed)]),
        Row::frame("owned, but a new flow, led by another by now", &new, rewritten(&new, node::NEAR))
            .after(&[&taken])
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("UDP owned, led by another by now", &datagram, LOCAL)
            .after(&[&by_mac(datagram.clone())])
            .leaves(&[(node::SELF, Open)]),
        Row::frame("owned, and none of the slot's nodes is this one", &tcp(port::NEAR), {
            rewritten(&tcp(port::NEAR), node::NEAR)
        })
        .after(&[&by_mac(syn(port::NEAR))])
        .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("SYN to this node behind a dead leader", &syn(port::SELF_BEHIND_DEAD), LOCAL)
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("owned, behind a dead leader", &dead, LOCAL)
            .after(&[&syn(port::SELF_BEHIND_DEAD)])
            .leaves(&[(node::SELF, Open)]),
    ]
}

/// A peer has chosen this node: it is candidate, and never director again.
fn from_peers() -> Vec<Row> {
    let (new, old) = (syn(port::NEAR), tcp(port::NEAR));
    let stranger = in_gue(&[], &old);
    let finished = fin(port::NEAR);
    let ended = in_gue(&[], &finished);
    let unknown = tcp(port::LOCAL);
    let asked = in_gue(&[], &unknown);
    let over_v6 = v6().tcp(4000, port::LOCAL);
    vec![
        Row::frame("from a peer, SYN, noted", &by_mac(new.clone()), FROM_PEER)
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("from a peer, owned, this node not in the slot", &by_mac(old.clone()), FROM_PEER)
            .after(&[&by_mac(new.clone())])
            .leaves(&[(node::SELF, Open)]),
        Row::frame(
            "from a peer, unknown, led by another",
            &by_mac(old.clone()),
            asked_l2(&old, node::NEAR, 0x88b5),
        )
        .leaves(&[(node::NEAR, Open)]),
        Row::frame("from a peer, unknown, led by nobody", &by_mac(tcp(port::LEADERLESS)), UNOWNED),
        Row::frame("from a peer, unknown, led by this node", &by_mac(unknown.clone()), UNOWNED),
        Row::frame("from a peer in GUE, owned", &stranger, decapsulated(&stranger, &old))
            .after(&[&in_gue(&[], &new)])
            .leaves(&[(node::SELF, Open)]),
        Row::frame("from a peer in GUE, owned and ended", &ended, decapsulated(&ended, &finished))
            .after(&[&by_mac(new.clone())])
            .leaves(&[(node::SELF, Closed)]),
        Row::frame("from a peer in GUE, new", &in_gue(&[], &new), decapsulated(&in_gue(&[], &new), &new))
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("from a peer in GUE, unknown", &asked, opened(&asked, &unknown, Outcome::Unowned)),
        Row::frame("IPv6 from a peer in GUE, unknown", &in_gue(&[], &over_v6), {
            opened(&in_gue(&[], &over_v6), &over_v6, Outcome::Unowned)
        }),
        Row::frame("from a peer in GUE, led by nobody", &in_gue(&[], &tcp(port::LEADERLESS)), {
            opened(&in_gue(&[], &tcp(port::LEADERLESS)), &tcp(port::LEADERLESS), Outcome::Unowned)
        }),
    ]
}

/// Nobody knows the flow, and its owner may be a node that is gone for a moment.
fn bereaved() -> Vec<Row> {
    let orphaned = || refused(Refusal::Orphaned);
    let lost = in_gue(&[], &tcp(port::FORMER_LOST));
    let others_asked = in_gue(&[wire_id(node::FAR4)], &tcp(port::FORMERS_LOST));
    vec![
        Row::frame("unknown, the leader just lost", &tcp(port::SELF_BEHIND_LOST), orphaned()),
        Row::frame("FIN, unknown, the leader just lost", &fin(port::SELF_BEHIND_LOST), orphaned()),
        Row::frame(
            "IPv6, unknown, the leader just lost",
            &v6().tcp(4000, port::SELF_BEHIND_LOST),
            orphaned(),
        ),
        Row::frame("unknown, the former leader just lost", &tcp(port::FORMER_LOST), orphaned()),
        Row::frame(
            "unknown, from a peer, the former leader just lost",
            &by_mac(tcp(port::FORMER_LOST)),
            orphaned(),
        ),
        Row::frame("unknown, in GUE, the former leader just lost", &lost, orphaned()),
        Row::frame("unknown, a former leader just lost, to the other", &tcp(port::FORMERS_LOST), {
            asked_gue(&tcp(port::FORMERS_LOST), node::FAR4, &[SELF])
        }),
        Row::frame("UDP, young, a former leader just lost, to the other", &udp(port::YOUNG_FORMERS_LOST), {
            asked_gue(&udp(port::YOUNG_FORMERS_LOST), node::FAR4, &[SELF])
        }),
        Row::frame("unknown, a former leader just lost, the other asked", &others_asked, orphaned()),
        Row::frame("SYN, a former leader just lost", &syn(port::FORMERS_LOST), LOCAL)
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("unknown, the leader long dead", &tcp(port::SELF_BEHIND_DEAD), UNOWNED),
        Row::frame("SYN, the leader just lost", &syn(port::SELF_BEHIND_LOST), LOCAL)
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("UDP, the leader just lost", &udp(port::SELF_BEHIND_LOST), LOCAL)
            .leaves(&[(node::SELF, Open)]),
        Row::frame("owned, the leader just lost", &tcp(port::SELF_BEHIND_LOST), LOCAL)
            .after(&[&syn(port::SELF_BEHIND_LOST)])
            .leaves(&[(node::SELF, Open)]),
    ]
}

/// The leader asks the former leaders for flows that it has not seen begin.
fn taken_over() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, base) in [("IPv4", v4()), ("IPv6", v6()), ("tagged IPv4", v4().tag(9))] {
        for (kind, flags, standing) in [
            ("ACK", flags::ACK, Open),
            ("FIN", flags::FIN, Closed),
            ("RST", flags::RST | flags::ACK, Closed),
            ("SYN with ACK", flags::SYN | flags::ACK, Open),
        ] {
            let frame = base.clone().segment(4000, port::TAKEN_OVER, flags);
            rows.push(
                Row::frame(format!("{family} {kind} to the former leader"), &frame, {
                    asked_gue(&frame, node::FAR4, &[SELF])
                })
                .leaves(&[(node::FAR4, standing)]),
            );
        }
    }
    let draining = tcp(port::FORMER_DRAINING);
    let from_peer = by_mac(tcp(port::TAKEN_OVER));
    rows.extend([
        Row::frame("SYN is not for the former leader", &syn(port::TAKEN_OVER), LOCAL)
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("owned is not for the former leader", &tcp(port::TAKEN_OVER), LOCAL)
            .after(&[&syn(port::TAKEN_OVER)])
            .leaves(&[(node::SELF, Open)]),
        Row::frame("from a peer to the former leader", &from_peer, {
            asked_gue(&tcp(port::TAKEN_OVER), node::FAR4, &[SELF])
        })
        .leaves(&[(node::FAR4, Open)]),
        Row::frame("past a dead former leader to a draining one", &draining, {
            asked_gue(&draining, node::DRAINING, &[SELF])
        })
        .leaves(&[(node::DRAINING, Open)]),
        Row::frame("to the former leader on its last hop", &tcp(port::TAKEN_OVER).ttl(1), {
            time_exceeded(&tcp(port::TAKEN_OVER).ttl(1))
        })
        .leaves(&[(node::FAR4, Open)]),
    ]);
    rows
}

/// What is noted as delegated goes there first.
fn delegated() -> Vec<Row> {
    let frame = tcp(port::TAKEN_OVER);
    let second = in_gue(&[wire_id(node::FAR4)], &frame);
    let mine = syn(port::TAKEN_OVER);
    let again = in_gue(&[wire_id(node::FAR4_SECOND)], &frame);
    let datagram = udp(port::YOUNG);
    let second_datagram = in_gue(&[wire_id(node::FAR4)], &datagram);
    vec![
        Row::frame("delegated, to that node", &frame, asked_gue(&frame, node::FAR4_SECOND, &[SELF]))
            .after(&[&second])
            .leaves(&[(node::FAR4_SECOND, Open)]),
        Row::frame(
            "UDP delegated, to that node",
            &datagram,
            asked_gue(&datagram, node::FAR4_SECOND, &[SELF]),
        )
        .after(&[&second_datagram])
        .leaves(&[(node::FAR4_SECOND, Open)]),
        Row::frame("delegated, FIN to that node", &fin(port::TAKEN_OVER), {
            asked_gue(&fin(port::TAKEN_OVER), node::FAR4_SECOND, &[SELF])
        })
        .after(&[&second])
        .leaves(&[(node::FAR4_SECOND, Closed)]),
        Row::frame("delegated to a node that has been asked", &again, {
            passed_on(&frame, node::FAR4, &[wire_id(node::FAR4_SECOND)])
        })
        .after(&[&second])
        .leaves(&[(node::FAR4, Open)]),
        Row::frame("delegated, but a new flow", &mine, LOCAL)
            .after(&[&second])
            .leaves(&[(node::SELF, HalfOpen)]),
    ]
}

/// Former leaders, newest first, then successors; nobody twice; after six nobody.
fn in_order() -> Vec<Row> {
    let frame = tcp(port::FULL);
    let ids = [node::FAR4, node::FAR4_SECOND, node::NEAR, node::NEAR_SECOND, node::NEAR_GUE4].map(wire_id);
    let row = |asked: &[u32], to, expect| {
        let name = format!("{} asked before", asked.len());
        Row::frame(name, &in_gue(asked, &frame), expect).leaves(&[(to, Open)])
    };
    // Without GUE the Ethernet header of the tunnel is all that is left of it: new MACs, the mark.
    let marked = |to| asked_l2(&frame, to, ASKED_MORE);
    let sixth = in_gue(&ids, &frame);
    let strangers = [1, 2, 3, 4, 5];
    let of_strangers = in_gue(&strangers, &frame);
    let around = [ids[1], 9, ids[0]];
    vec![
        row(&[], node::FAR4, passed_on(&frame, node::FAR4, &[])),
        row(&ids[..1], node::FAR4_SECOND, passed_on(&frame, node::FAR4_SECOND, &ids[..1])),
        row(&ids[..2], node::NEAR, marked(node::NEAR)),
        row(&ids[..3], node::NEAR_SECOND, marked(node::NEAR_SECOND)),
        row(&ids[..4], node::NEAR_GUE4, passed_on(&frame, node::NEAR_GUE4, &ids[..4])),
        Row::frame("five asked before", &sixth, opened(&sixth, &frame, Outcome::Unowned)),
        Row::frame("five that nobody knows asked before", &of_strangers, {
            opened(&of_strangers, &frame, Outcome::Unowned)
        }),
        Row::frame("four that nobody knows asked before", &in_gue(&strangers[..4], &frame), {
            passed_on(&frame, node::FAR4, &strangers[..4])
        })
        .leaves(&[(node::FAR4, Open)]),
        Row::frame("asked in another order", &in_gue(&around, &frame), marked(node::NEAR))
            .leaves(&[(node::NEAR, Open)]),
        Row::frame("five asked before, but a new flow", &in_gue(&ids, &syn(port::FULL)), {
            decapsulated(&in_gue(&ids, &syn(port::FULL)), &syn(port::FULL))
        })
        .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("five asked before, and this node's", &sixth, decapsulated(&sixth, &frame))
            .after(&[&syn(port::FULL)])
            .leaves(&[(node::SELF, Open)]),
        Row::frame("five asked before, delegated", &sixth, opened(&sixth, &frame, Outcome::Unowned))
            .after(&[&frame])
            .leaves(&[(node::FAR4, Open)]),
    ]
}

fn successors() -> Vec<Row> {
    let frame = tcp(port::SUCCESSORS);
    let [first, second] = [node::FAR4, node::FAR6].map(wire_id);
    let last = in_gue(&[first, second], &frame);
    vec![
        Row::frame("to the first successor", &frame, asked_gue(&frame, node::FAR4, &[SELF]))
            .leaves(&[(node::FAR4, Open)]),
        Row::frame(
            "to the second successor",
            &in_gue(&[first], &frame),
            passed_on(&frame, node::FAR6, &[first]),
        )
        .leaves(&[(node::FAR6, Open)]),
        Row::frame("all successors asked", &last, opened(&last, &frame, Outcome::Unowned)),
    ]
}

/// UDP has no beginning: it is asked for only while older flows may live elsewhere.
fn datagrams() -> Vec<Row> {
    let young = udp(port::YOUNG);
    let successors = udp(port::YOUNG_SUCCESSORS);
    let ids = [node::FAR4, node::FAR4_SECOND, node::NEAR_GUE4].map(wire_id);
    let all = in_gue(&ids, &young);
    let one = in_gue(&ids[..1], &successors);
    let settled = udp(port::TAKEN_OVER);
    let mine = |row: Row| row.leaves(&[(node::SELF, Open)]);
    vec![
        mine(Row::frame("UDP, settled, former leaders", &settled, LOCAL)),
        mine(Row::frame("UDP, settled, successors", &udp(port::SUCCESSORS), LOCAL)),
        mine(Row::frame("UDP from a peer, settled", &in_gue(&[], &settled), {
            decapsulated(&in_gue(&[], &settled), &settled)
        })),
        Row::frame("UDP, young, to the former leader", &young, asked_gue(&young, node::FAR4, &[SELF]))
            .leaves(&[(node::FAR4, Open)]),
        Row::frame("UDP, young, one asked", &in_gue(&ids[..1], &young), {
            passed_on(&young, node::FAR4_SECOND, &ids[..1])
        })
        .leaves(&[(node::FAR4_SECOND, Open)]),
        Row::frame("UDP, young, to one successor", &in_gue(&ids[..2], &young), {
            passed_on(&young, node::NEAR_GUE4, &ids[..2])
        })
        .leaves(&[(node::NEAR_GUE4, Open)]),
        mine(Row::frame("UDP, young, no second successor", &all, decapsulated(&all, &young))),
        Row::frame("UDP, young, successors alone", &successors, asked_gue(&successors, node::FAR4, &[SELF]))
            .leaves(&[(node::FAR4, Open)]),
        mine(Row::frame("UDP, young, the one successor asked", &one, decapsulated(&one, &successors))),
    ]
}

/// Flows of one client keep to one node, and each of them has a place of its own in the table.
fn affinity() -> Vec<Row> {
    let at = port::TAKEN_OVER_AFFINITY;
    let other_syn = v4().syn(4001, at);
    let other = v4().tcp(4001, at);
    vec![
        Row::frame("affinity, a second flow of a client", &other_syn, LOCAL)
            .after(&[&syn(at)])
            .leaves(&[(node::SELF, HalfOpen), (node::SELF, HalfOpen)]),
        Row::frame(
            "affinity, an older flow of the same client",
            &other,
            asked_gue(&other, node::FAR4, &[SELF]),
        )
        .after(&[&syn(at), &tcp(at)])
        .leaves(&[(node::SELF, Open), (node::FAR4, Open)]),
        Row::frame("affinity, both in turns", &tcp(at), LOCAL)
            .after(&[&syn(at), &other])
            .leaves(&[(node::SELF, Open), (node::FAR4, Open)]),
    ]
}

/// It is noted all the same: when the way is there again, that node is asked first.
fn without_a_way() -> Vec<Row> {
    [
        ("an unresolved node", port::FORMER_UNRESOLVED, node::UNRESOLVED),
        ("a node outside the map", port::FORMER_OUTSIDE, node::OUTSIDE),
    ]
    .map(|(name, port, to)| {
        Row::frame(format!("to ask {name}"), &tcp(port), refused(Refusal::NoWay)).leaves(&[(to, Open)])
    })
    .to_vec()
}
