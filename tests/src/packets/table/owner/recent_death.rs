//! Flows whose owner, or the node to ask, died recently or has no next hop.

use lb_common::flows::FlowState::{HalfOpen, Moved, Open, Unconfirmed};
use lb_common::verdict::Refusal;

use super::opening::opening;
use super::{
    ASKED_ONE, SELF, UNOWNED, by_mac, fin, in_gue, returned_home, syn, taken, tcp, udp, unknown, v6,
};
use crate::packets::expect::{LOCAL, asked_gue, asked_l2, refused};
use crate::packets::fixture::{node, port, wire_id};
use crate::packets::table::Row;

pub(super) fn rows() -> Vec<Row> {
    [held(), of_leaving(), without_next_hop()].concat()
}

/// The flow is unknown, and its owner may be a node that died recently.
fn held() -> Vec<Row> {
    let hold = || refused(Refusal::Hold);
    let lost = in_gue(&[], &tcp(port::FORMER_LOST));
    let others_asked = in_gue(&[wire_id(node::FAR4)], &tcp(port::FORMERS_LOST));
    let asked = [SELF, wire_id(node::FAR4)];
    let home = unknown(&asked, &tcp(port::FORMERS_LOST));
    let home_fin = unknown(&asked, &fin(port::FORMERS_LOST));
    let home_syn = unknown(&asked, &syn(port::FORMERS_LOST));
    vec![
        Row::frame("unknown, the leader just lost", &tcp(port::SELF_BEHIND_LOST), hold()),
        Row::frame("FIN, unknown, the leader just lost", &fin(port::SELF_BEHIND_LOST), hold()),
        Row::frame("IPv6, unknown, the leader just lost", &v6().tcp(4000, port::SELF_BEHIND_LOST), hold()),
        Row::frame("unknown, the former leader just lost", &tcp(port::FORMER_LOST), hold()),
        Row::frame(
            "unknown, from a node, the former leader just lost",
            &by_mac(tcp(port::FORMER_LOST)),
            hold(),
        ),
        Row::frame("unknown, in GUE, the former leader just lost", &lost, hold()),
        Row::frame("unknown, a former leader just lost, to the other", &tcp(port::FORMERS_LOST), {
            asked_gue(&tcp(port::FORMERS_LOST), node::FAR4, &[SELF])
        }),
        Row::frame(
            "UDP, new leader, a former leader just lost, to the other",
            &udp(port::NEW_LEADER_FORMERS_LOST),
            asked_gue(&udp(port::NEW_LEADER_FORMERS_LOST), node::FAR4, &[SELF]),
        ),
        Row::frame("unknown, a former leader just lost, the other asked", &others_asked, {
            returned_home(&tcp(port::FORMERS_LOST), node::FAR4, &[wire_id(node::FAR4)])
        }),
        Row::frame("unknown, in no table, a former leader just lost", &home, hold()),
        Row::frame("FIN, unknown, in no table, a former leader just lost", &home_fin, hold()),
        Row::frame("SYN, unknown, in no table, a former leader just lost", &home_syn, {
            taken(&home_syn, &syn(port::FORMERS_LOST))
        })
        .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("begun, a former leader just lost, to the other", &tcp(port::FORMERS_LOST), {
            asked_gue(&tcp(port::FORMERS_LOST), node::FAR4, opening(&[SELF]))
        })
        .after(&[&syn(port::FORMERS_LOST)])
        .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("begun, the only former leader just lost", &tcp(port::FORMER_LOST), hold())
            .after(&[&syn(port::FORMER_LOST)])
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("SYN, a former leader just lost", &syn(port::FORMERS_LOST), LOCAL)
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("unknown, the leader long dead", &tcp(port::SELF_BEHIND_DEAD), UNOWNED),
        Row::frame("SYN, the leader just lost", &syn(port::SELF_BEHIND_LOST), LOCAL)
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("UDP, the leader just lost", &udp(port::SELF_BEHIND_LOST), LOCAL)
            .leaves(&[(node::SELF, Unconfirmed)]),
        Row::frame("owned, the leader just lost", &tcp(port::SELF_BEHIND_LOST), LOCAL)
            .after(&[&syn(port::SELF_BEHIND_LOST)])
            .leaves(&[(node::SELF, Moved)]),
    ]
}

/// A node that is leaving is asked only about flows that did not begin here, and its death holds none.
fn of_leaving() -> Vec<Row> {
    let (leaving, left) = (tcp(port::FORMER_LEAVING), tcp(port::FORMER_LEFT));
    vec![
        Row::frame("unknown, to a former leader that leaves", &leaving, {
            asked_l2(&leaving, node::LEAVING, ASKED_ONE)
        })
        .leaves(&[(node::LEAVING, Unconfirmed)]),
        Row::frame("begun, not to a former leader that leaves", &leaving, LOCAL)
            .after(&[&syn(port::FORMER_LEAVING)])
            .leaves(&[(node::SELF, Open)]),
        Row::frame(
            "UDP, new leader, not to a former leader that leaves",
            &udp(port::NEW_LEADER_LEAVING),
            LOCAL,
        )
        .leaves(&[(node::SELF, Unconfirmed)]),
        Row::frame("unknown, the former leader has left", &left, UNOWNED),
        Row::frame("begun, the former leader has left", &left, LOCAL)
            .after(&[&syn(port::FORMER_LEFT)])
            .leaves(&[(node::SELF, Open)]),
    ]
}

/// It is recorded nevertheless: once the next hop is resolved, that node is asked first.
fn without_next_hop() -> Vec<Row> {
    [
        ("an unresolved node", port::FORMER_UNRESOLVED, node::UNRESOLVED),
        ("a node outside the map", port::FORMER_OUTSIDE, node::OUTSIDE),
    ]
    .map(|(name, port, to)| {
        Row::frame(format!("to ask {name}"), &tcp(port), refused(Refusal::NoNextHop))
            .leaves(&[(to, Unconfirmed)])
    })
    .to_vec()
}
