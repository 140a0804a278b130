//! SYNs that may be forged while a former leader owns the connection: the former leader is asked for the ACK
//! after the SYN.

use lb_common::flows::FlowState::{self, Closed, HalfOpen, Moved, Open, Unconfirmed};
use lb_pipeline::owner::{MARK_LED, MARK_OPENING};

use super::{SELF, by_mac, fin, in_gue, passed_on, returned_home, syn, taken, tcp, unknown, v4, v6};
use crate::packets::build::{Frame, flags};
use crate::packets::expect::{Asked, Expect, LOCAL, asked_gue};
use crate::packets::fixture::{node, port, wire_id};
use crate::packets::table::Row;

pub(super) fn rows() -> Vec<Row> {
    [begun(), led_by_another(), asked(), asked_leader(), syns()].concat()
}

/// The home, which is the first of these, has seen a SYN.
pub(super) fn opening(asked: &[u32]) -> Asked {
    Asked::from(asked).marks(MARK_LED | MARK_OPENING)
}

/// At the home.
fn begun() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, base) in [("IPv4", v4()), ("IPv6", v6())] {
        for (kind, flags) in [("ACK", flags::ACK), ("FIN", flags::FIN | flags::ACK), ("RST", flags::RST)] {
            let frame = base.clone().segment(4000, port::TAKEN_OVER, flags);
            let row = Row::frame(format!("{family} {kind} after SYN, to the former leader"), &frame, {
                asked_gue(&frame, node::FAR4, opening(&[SELF]))
            });
            let row = row.after(&[&base.clone().syn(4000, port::TAKEN_OVER)]);
            rows.push(row.leaves(&[(node::SELF, HalfOpen)]));
        }
    }
    let new = syn(port::TAKEN_OVER);
    rows.extend([
        Row::frame("SYN after SYN is not for the former leader", &new, LOCAL)
            .after(&[&new])
            .leaves(&[(node::SELF, HalfOpen)]),
        // Only a former leader can own a flow older than the SYN.
        Row::frame("ACK after SYN is not for successors", &tcp(port::SUCCESSORS), LOCAL)
            .after(&[&syn(port::SUCCESSORS)])
            .leaves(&[(node::SELF, Open)]),
    ]);
    rows
}

/// At the successor of a dead leader.
fn led_by_another() -> Vec<Row> {
    let (frame, new) = (tcp(port::DEAD_FORMERS), syn(port::DEAD_FORMERS));
    let back = unknown(&[SELF, wire_id(node::FAR4)], &frame);
    vec![
        Row::frame("ACK after SYN behind a dead leader, to the former one", &frame, {
            asked_gue(&frame, node::FAR4, Asked::from(&[SELF]).marks(MARK_OPENING))
        })
        .after(&[&new])
        .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("unknown elsewhere, begun behind a dead leader", &back, taken(&back, &frame))
            .after(&[&new])
            .leaves(&[(node::SELF, Moved)]),
        Row::frame("owned behind a dead leader is not for the former one", &frame, LOCAL)
            .after(&[&new, &back])
            .leaves(&[(node::SELF, Moved)]),
    ]
}

/// At the former leader: it serves a flow that is certainly its own older one.
fn asked() -> Vec<Row> {
    let at = port::FAR4_FORMER_SELF;
    let home = [wire_id(node::FAR4)];
    let (new, old, end) = (by_mac(syn(at)), by_mac(tcp(at)), by_mac(fin(at)));
    let (asked, asked_end) = (in_gue(opening(&home), &tcp(at)), in_gue(opening(&home), &fin(at)));
    let row = |name: &str, before: &[&Frame], outer: &Frame, expect: Expect, state: FlowState| {
        Row::frame(format!("after a SYN at home, {name}"), outer, expect)
            .after(before)
            .leaves(&[(node::SELF, state)])
    };
    let back = || returned_home(&tcp(at), node::FAR4, opening(&home));
    let local = in_gue(opening(&[77]), &tcp(port::LOCAL));
    vec![
        row("moved here", &[&new, &old], &asked, taken(&asked, &tcp(at)), Moved),
        row("FIN, moved here", &[&new, &old], &asked_end, taken(&asked_end, &fin(at)), Closed),
        row(
            "open here",
            &[&syn(port::LOCAL), &tcp(port::LOCAL)],
            &local,
            taken(&local, &tcp(port::LOCAL)),
            Open,
        ),
        row("closed here", &[&new, &end], &asked, back(), Closed),
        row("begun here too", &[&new], &asked, back(), HalfOpen),
        row("unconfirmed here", &[&unknown(&[SELF], &tcp(at))], &asked, back(), Unconfirmed),
        Row::frame("after a SYN at home, unknown here", &asked, back()),
    ]
}

/// At the leader: home is the node that has seen the SYN, which need not lead the slot.
fn asked_leader() -> Vec<Row> {
    let at = port::TAKEN_OVER;
    let home = [wire_id(node::FAR4)];
    // Not the successors.
    let others = [node::FAR4_SECOND].map(wire_id);
    let opening = |asked: &[u32]| Asked::from(asked).marks(MARK_OPENING);
    let mut rows = Vec::new();
    for (kind, inner) in [("ACK", tcp(at)), ("FIN", fin(at))] {
        let asked = in_gue(opening(&home), &inner);
        let all = [&home[..], &others].concat();
        let last = in_gue(opening(&all), &inner);
        let row = |name: &str, outer: &Frame, expect: Expect| {
            Row::frame(format!("{kind} after a SYN at a successor, {name}"), outer, expect)
        };
        rows.extend([
            row("not for the leader", &asked, passed_on(&inner, node::FAR4_SECOND, opening(&home))),
            row("unknown to all who led", &last, returned_home(&inner, node::FAR4, opening(&all))),
            row("open at the leader", &asked, taken(&asked, &inner))
                .after(&[&unknown(&[SELF], &syn(at)), &unknown(&[SELF], &tcp(at))]),
        ]);
    }
    rows
}

/// A SYN that the home sends to the node it has recorded.
fn syns() -> Vec<Row> {
    let at = port::FAR4_FORMER_SELF;
    let home = [wire_id(node::FAR4)];
    let (new, old, end) = (by_mac(syn(at)), by_mac(tcp(at)), by_mac(fin(at)));
    let asked = in_gue(&home, &syn(at));
    let row = |name: &str, before: &[&Frame], expect: Expect, state: FlowState| {
        Row::frame(format!("SYN from home, {name}"), &asked, expect)
            .after(before)
            .leaves(&[(node::SELF, state)])
    };
    vec![
        row("moved here", &[&new, &old], taken(&asked, &syn(at)), Moved),
        row("begun here", &[&new], taken(&asked, &syn(at)), HalfOpen),
        row("closed here", &[&new, &end], returned_home(&syn(at), node::FAR4, &home), Closed),
    ]
}
