//! The search of a long history by windows: with each packet of an unknown flow, the home asks the next one.

use lb_common::flows::FlowState::Unconfirmed;
use lb_common::verdict::Refusal;
use lb_pipeline::owner::{MARK_LED, MARK_UNKNOWN, MARK_WINDOW_SHIFT, WINDOW};

use super::{ASKED_ONE, SELF, in_gue, passed_on, tcp, unowned};
use crate::packets::build::Frame;
use crate::packets::expect::{Asked, asked_gue, asked_l2, refused};
use crate::packets::fixture::{LONG_FORMER, node, port, wire_id};
use crate::packets::table::Row;

pub(super) fn rows() -> Vec<Row> {
    [searched(), asked()].concat()
}

/// The fields after these nodes of a window have been asked.
fn within(window: u32, asked: &[u32]) -> Asked {
    Asked::from(asked).marks(MARK_LED | window << MARK_WINDOW_SHIFT)
}

/// A packet of a flow that no node of this window knows.
fn unknown(window: u32) -> Frame {
    let first = window as usize * WINDOW;
    let others = LONG_FORMER.iter().skip(first).take(WINDOW - 1).map(|node| wire_id(*node));
    let asked: Vec<u32> = std::iter::once(SELF).chain(others).collect();
    let asked = within(window, &asked);
    let marks = asked.marks | MARK_UNKNOWN;
    in_gue(asked.marks(marks), &tcp(port::LONG))
}

/// At the home.
fn searched() -> Vec<Row> {
    let frame = tcp(port::LONG);
    let [first, second, third, fourth] = [0, 1, 2, 3].map(unknown);
    let searching = || refused(Refusal::Searching);
    let (next, last) = (node::NEAR_GUE6, node::DRAINING_SECOND);
    vec![
        Row::frame("the first window", &frame, asked_gue(&frame, node::FAR4, within(0, &[SELF])))
            .leaves(&[(node::FAR4, Unconfirmed)]),
        Row::frame("unknown in the first window", &first, searching()).leaves(&[(next, Unconfirmed)]),
        Row::frame("unknown in the first window, delegated", &first, searching())
            .after(&[&frame])
            .leaves(&[(next, Unconfirmed)]),
        Row::frame("the second window", &frame, asked_gue(&frame, next, within(1, &[SELF])))
            .after(&[&first])
            .leaves(&[(next, Unconfirmed)]),
        Row::frame("unknown in the second window", &second, searching())
            .after(&[&first])
            .leaves(&[(last, Unconfirmed)]),
        Row::frame("the third window", &frame, asked_l2(&frame, last, ASKED_ONE))
            .after(&[&second])
            .leaves(&[(last, Unconfirmed)]),
        Row::frame("unknown in the third window", &third, unowned(&third, &frame)).after(&[&second]),
        Row::frame("unknown in a window that no slot has", &fourth, unowned(&fourth, &frame)),
    ]
}

/// At a node of the window.
fn asked() -> Vec<Row> {
    let frame = tcp(port::LONG);
    let row = |name: &str, window, asked: u16, to| {
        let asked = within(window, &[77, wire_id(asked)]);
        Row::frame(format!("asked in {name}"), &in_gue(asked.clone(), &frame), passed_on(&frame, to, asked))
    };
    vec![
        row("the first window", 0, node::FAR4, node::FAR4_SECOND),
        row("the second window", 1, node::NEAR_GUE6, node::FAR6),
    ]
}
