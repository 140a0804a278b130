//! The leader asks the former leaders, then the successors, for flows that it does not know.

use lb_common::flows::FlowState::{Closed, HalfOpen, Open, Unconfirmed};
use lb_common::verdict::Refusal;
use lb_pipeline::owner::{MARK_LED, MARK_UNKNOWN};

use super::opening::opening;
use super::{ASKED_MORE, SELF, by_mac, fin, in_gue, passed_on, returned_home, syn, taken, tcp, v4, v6};
use crate::packets::build::{Frame, flags};
use crate::packets::expect::{Asked, LOCAL, asked_gue, asked_l2, refused, time_exceeded};
use crate::packets::fixture::{node, port, wire_id};
use crate::packets::table::Row;

pub(super) fn rows() -> Vec<Row> {
    [taken_over(), delegated(), in_order(), successors(), leaders(), affinity()].concat()
}

/// The leader asks the former leaders for flows whose beginning it has not seen.
fn taken_over() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, base) in [("IPv4", v4()), ("IPv6", v6()), ("tagged IPv4", v4().tag(9))] {
        for (kind, flags) in [
            ("ACK", flags::ACK),
            ("FIN", flags::FIN),
            ("RST", flags::RST | flags::ACK),
            ("SYN with ACK", flags::SYN | flags::ACK),
        ] {
            let frame = base.clone().segment(4000, port::TAKEN_OVER, flags);
            rows.push(
                Row::frame(format!("{family} {kind} to the former leader"), &frame, {
                    asked_gue(&frame, node::FAR4, &[SELF])
                })
                .leaves(&[(node::FAR4, Unconfirmed)]),
            );
        }
    }
    let draining = tcp(port::FORMER_DRAINING);
    let from_node = by_mac(tcp(port::TAKEN_OVER));
    rows.extend([
        Row::frame("SYN is not for the former leader", &syn(port::TAKEN_OVER), LOCAL)
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("from a node to the former leader", &from_node, {
            asked_gue(&tcp(port::TAKEN_OVER), node::FAR4, &[SELF])
        })
        .leaves(&[(node::FAR4, Unconfirmed)]),
        Row::frame("past a dead former leader to a draining one", &draining, {
            asked_gue(&draining, node::DRAINING, &[SELF])
        })
        .leaves(&[(node::DRAINING, Unconfirmed)]),
        Row::frame("to the former leader on its last hop", &tcp(port::TAKEN_OVER).ttl(1), {
            time_exceeded(&tcp(port::TAKEN_OVER).ttl(1))
        })
        .leaves(&[(node::FAR4, Unconfirmed)]),
    ]);
    rows
}

/// A flow recorded as delegated is sent to that node first.
fn delegated() -> Vec<Row> {
    let (frame, end) = (tcp(port::TAKEN_OVER), fin(port::TAKEN_OVER));
    let new = syn(port::TAKEN_OVER);
    let first = [wire_id(node::FAR4)];
    let to_first = |frame: &Frame| asked_gue(frame, node::FAR4, &[SELF]);
    let row = |name: &str, before: &[&Frame], frame: &Frame, expect, state| {
        Row::frame(name, frame, expect).after(before).leaves(&[(node::FAR4, state)])
    };
    vec![
        row("delegated, to that node", &[&frame], &frame, to_first(&frame), Unconfirmed),
        row("delegated, FIN to that node", &[&frame], &end, to_first(&end), Closed),
        row("delegated and closed, to that node", &[&frame, &end], &frame, to_first(&frame), Closed),
        // It does not end the flow there, whatever its source.
        row("delegated, SYN to that node", &[&frame], &new, to_first(&new), Unconfirmed),
        Row::frame("delegated and closed, but a new flow", &new, LOCAL)
            .after(&[&frame, &end])
            .leaves(&[(node::SELF, HalfOpen)]),
        row(
            "delegated to a node that has been asked",
            &[&frame],
            &in_gue(&first, &frame),
            passed_on(&frame, node::FAR4_SECOND, &first),
            Unconfirmed,
        ),
        row(
            "delegated, asked by another",
            &[&frame],
            &in_gue(&[77], &end),
            passed_on(&end, node::FAR4, &[77]),
            Closed,
        ),
        row(
            "delegated, SYN asked by another",
            &[&frame],
            &in_gue(&[77], &new),
            passed_on(&new, node::FAR4, &[77]),
            Unconfirmed,
        ),
    ]
}

/// Former leaders, newest first, then successors; none twice, six at most.
fn in_order() -> Vec<Row> {
    let frame = tcp(port::FULL);
    let ids = [node::FAR4, node::FAR4_SECOND, node::NEAR, node::NEAR_SECOND, node::NEAR_GUE4].map(wire_id);
    let row = |asked: &[u32], to, expect| {
        let name = format!("{} asked before", asked.len());
        // Only the home records which node it asks.
        let recorded = [(to, Unconfirmed)];
        Row::frame(name, &in_gue(asked, &frame), expect).leaves(if asked.is_empty() {
            &recorded
        } else {
            &[]
        })
    };
    // Without GUE only the tunnel's Ethernet header is left: with new MACs and the relay EtherType.
    let marked = |to| asked_l2(&frame, to, ASKED_MORE);
    // The list has no room for the sixth.
    let full = |frame: &Frame| asked_gue(frame, node::FAR4, Asked::from(&ids).marks(MARK_LED | MARK_UNKNOWN));
    let sixth = in_gue(&ids, &frame);
    let unknown_nodes = [1, 2, 3, 4, 5];
    let asked_unknown = in_gue(&unknown_nodes, &frame);
    let around = [ids[1], 9, ids[0]];
    vec![
        row(&[], node::FAR4, passed_on(&frame, node::FAR4, &[])),
        row(&ids[..1], node::FAR4_SECOND, passed_on(&frame, node::FAR4_SECOND, &ids[..1])),
        row(&ids[..2], node::NEAR, marked(node::NEAR)),
        row(&ids[..3], node::NEAR_SECOND, marked(node::NEAR_SECOND)),
        row(&ids[..4], node::NEAR_GUE4, passed_on(&frame, node::NEAR_GUE4, &ids[..4])),
        Row::frame("five asked before", &sixth, full(&frame)),
        Row::frame("five unknown nodes asked before", &asked_unknown, refused(Refusal::NoHome)),
        Row::frame("four unknown nodes asked before", &in_gue(&unknown_nodes[..4], &frame), {
            passed_on(&frame, node::FAR4, &unknown_nodes[..4])
        }),
        Row::frame("asked in another order", &in_gue(&around, &frame), marked(node::NEAR)),
        Row::frame("five asked before, SYN", &in_gue(&ids, &syn(port::FULL)), full(&syn(port::FULL))),
        Row::frame("five asked before, and this node's", &sixth, taken(&sixth, &frame))
            .after(&[&syn(port::FULL)])
            .leaves(&[(node::SELF, Open)]),
        Row::frame("five asked before, delegated", &sixth, full(&frame))
            .after(&[&frame])
            .leaves(&[(node::FAR4, Unconfirmed)]),
    ]
}

fn successors() -> Vec<Row> {
    let frame = tcp(port::SUCCESSORS);
    let [first, second] = [node::FAR4, node::FAR6].map(wire_id);
    let last = in_gue(&[first, second], &frame);
    vec![
        Row::frame("to the first successor", &frame, asked_gue(&frame, node::FAR4, &[SELF]))
            .leaves(&[(node::FAR4, Unconfirmed)]),
        Row::frame(
            "to the second successor",
            &in_gue(&[first], &frame),
            passed_on(&frame, node::FAR6, &[first]),
        ),
        Row::frame("all successors asked", &last, returned_home(&frame, node::FAR4, &[first, second])),
    ]
}

/// A node that does not lead asks the leader first.
fn leaders() -> Vec<Row> {
    let frame = tcp(port::NEAR_FORMERS);
    let far = tcp(port::FAR4_FORMER_SELF);
    let near = [wire_id(node::NEAR)];
    vec![
        Row::frame("asked of no leader, to the leader", &in_gue(&[77], &far), {
            passed_on(&far, node::FAR4, &[77])
        }),
        Row::frame("asked by the leader, to a former leader", &in_gue(&near, &frame), {
            passed_on(&frame, node::FAR4, &near)
        }),
        Row::frame(
            "asked by the leader, SYN to a former leader",
            &in_gue(&near, &syn(port::NEAR_FORMERS)),
            passed_on(&syn(port::NEAR_FORMERS), node::FAR4, &near),
        ),
        Row::frame(
            "asked of no leader, this node leads",
            &in_gue(Asked::from(&[77]).marks(0), &tcp(port::TAKEN_OVER)),
            passed_on(&tcp(port::TAKEN_OVER), node::FAR4, Asked::from(&[77]).home(1)),
        ),
    ]
}

/// All flows of a client go to one node, and each has its own entry in the table.
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
        .leaves(&[(node::SELF, HalfOpen), (node::FAR4, Unconfirmed)]),
        Row::frame("affinity, both alternately", &tcp(at), asked_gue(&tcp(at), node::FAR4, opening(&[SELF])))
            .after(&[&syn(at), &other])
            .leaves(&[(node::SELF, HalfOpen), (node::FAR4, Unconfirmed)]),
    ]
}
