//! ARP and Neighbor Solicitations for VIPs with ranks: the first live rank answers.

use lb_common::verdict::{Outcome, Refusal};

use super::Row;
use crate::model::Action;
use crate::packets::build::{Arp, Frame};
use crate::packets::expect::{Expect, refused};
use crate::packets::fixture::announcers::ranked::*;
use crate::packets::fixture::announcers::{ranked4, ranked6};
use crate::packets::fixture::{Fixture, ROUTER_MAC, SELF_MAC};

/// The states of this node.
const STATES: [(Fixture, &str); 6] = [
    (Fixture::Standard, "stable"),
    (Fixture::Returned, "returned"),
    (Fixture::Draining, "draining"),
    (Fixture::Absent, "absent"),
    (Fixture::Alone, "draining and probing no node"),
    (Fixture::Ready, "ready"),
];

/// Ranks, and whether this node answers in each state: `y` or `n`.
const CASES: [(&str, u8, &[u8; 6]); 29] = [
    ("a dead node, this one, a live one", BEHIND_DEAD, b"ynnnny"),
    ("a draining node, this one", BEHIND_DRAINING, b"yynnny"),
    ("a returned node, this one", BEHIND_RETURNED, b"ynnnnn"),
    ("a returned and draining node, this one", BEHIND_RETURNED_DRAINING, b"yyynny"),
    ("a held node, this one", BEHIND_HELD, b"ynnnnn"),
    ("a held and draining node, this one", BEHIND_HELD_DRAINING, b"yyynny"),
    ("an absent node, this one", BEHIND_ABSENT, b"yyynny"),
    ("a live node, this one", BEHIND_LIVE, b"nnnnnn"),
    ("this node, a live one", BEFORE_LIVE, b"ynnnny"),
    ("this node, a returned one", BEFORE_RETURNED, b"yynnny"),
    ("this node, a draining one", BEFORE_DRAINING, b"yyynny"),
    ("this node, a held one", BEFORE_HELD, b"yynnny"),
    ("this node, one that holds it", BEFORE_HOLDER, b"nnnnnn"),
    ("this node, a live one, a returned one that held it", BEFORE_HOLDERS, b"ynnnnn"),
    ("this node, a returned one that held it", BEFORE_HOLDER_RETURNED, b"yynnny"),
    ("a returned node that held this one, this one", BEHIND_HOLDER_RETURNED, b"ynnnnn"),
    ("this node, a dead one that held it", BEFORE_HOLDER_DEAD, b"yyynny"),
    ("this node", ALONE, b"yyynyy"),
    ("this node, not counted", UNCOUNTED, b"yyynyy"),
    ("dead nodes, this one", OTHERS_DEAD, b"yyynny"),
    ("dead nodes", ALL_DEAD, b"nnnnnn"),
    ("an absent node", ALL_ABSENT, b"nnnnnn"),
    ("a ready node, this one", BEHIND_READY, b"nnnnnn"),
    ("this node, a ready one", BEFORE_READY, b"yynnny"),
    ("a ready node, this one, a returned one", BEHIND_READY_WITH_RETURNED, b"ynnnnn"),
    ("no node", EMPTY, b"nnnnnn"),
    ("other nodes", OF_OTHERS, b"nnnnnn"),
    ("seven nodes that are worse, this one", LAST, b"yynnny"),
    ("six nodes that are worse, a live one, this one", LAST_BEHIND_LIVE, b"nnnnnn"),
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (ranks, number, answers) in CASES {
        for ((fixture, state), answers) in STATES.into_iter().zip(answers) {
            let what = |request: &str| format!("{request} with the ranks: {ranks}; this node is {state}");
            let is_answered = *answers == b'y';
            rows.push(arp(what("ARP request"), number, is_answered).meets(fixture));
            rows.push(ndp(what("solicitation"), number, is_answered).meets(fixture));
        }
        // A node whose agent is gone is as one that is absent, if there are others.
        for (fixture, as_in) in [(Fixture::Abandoned, 3), (Fixture::Forsaken, 0)] {
            let what = |request: &str| format!("{request} with the ranks: {ranks}; this node is {fixture:?}");
            rows.push(arp(what("ARP request"), number, answers[as_in] == b'y').meets(fixture));
            rows.push(ndp(what("solicitation"), number, answers[as_in] == b'y').meets(fixture));
        }
    }
    rows
}

fn arp(name: String, number: u8, is_answered: bool) -> Row {
    let request = Arp::request(ranked4(number));
    let reply = Arp::reply(&request, SELF_MAC).bytes(&[]);
    let answered = Expect::Becomes(Action::Transmit, Outcome::ArpAnswered, reply);
    let expect = if is_answered { answered } else { refused(Refusal::ArpNotAnswered) };
    Row::bytes(name, request.bytes(&[]), expect)
}

fn ndp(name: String, number: u8, is_answered: bool) -> Row {
    let target = ranked6(number);
    let request = Frame::solicitation(target);
    let reply = Frame::advertisement(&request, target, SELF_MAC, ROUTER_MAC).bytes();
    let answered = Expect::Becomes(Action::Transmit, Outcome::NdpAnswered, reply);
    let expect = if is_answered { answered } else { refused(Refusal::NdpNotAnswered) };
    Row::frame(name, &request, expect)
}
