//! UDP flows, for which other nodes are asked only while these may own older flows.

use lb_common::flows::FlowState::{Udp, Unconfirmed};

use super::{SELF, by_mac, in_gue, passed_on, taken, udp};
use crate::packets::expect::{LOCAL, asked_gue, rewritten};
use crate::packets::fixture::{node, port, wire_id};
use crate::packets::table::Row;

pub(super) fn rows() -> Vec<Row> {
    datagrams()
}

fn datagrams() -> Vec<Row> {
    let young = udp(port::NEW_LEADER);
    let successors = udp(port::NEW_LEADER_SUCCESSORS);
    let ids = [node::FAR4, node::FAR4_SECOND, node::NEAR_GUE4].map(wire_id);
    let all = in_gue(&ids, &young);
    let one = in_gue(&ids[..1], &successors);
    let datagram = udp(port::FORMER_SELF);
    let by_node = by_mac(datagram.clone());
    let settled = udp(port::TAKEN_OVER);
    let mine = |row: Row| row.leaves(&[(node::SELF, Unconfirmed)]);
    vec![
        mine(Row::frame("UDP, established leader, former leaders", &settled, LOCAL)),
        mine(Row::frame("UDP, established leader, successors", &udp(port::SUCCESSORS), LOCAL)),
        mine(Row::frame("UDP from a node, established leader", &in_gue(&[], &settled), {
            taken(&in_gue(&[], &settled), &settled)
        })),
        Row::frame("UDP, new leader, to the former leader", &young, asked_gue(&young, node::FAR4, &[SELF]))
            .leaves(&[(node::FAR4, Unconfirmed)]),
        Row::frame("UDP, new leader, one asked", &in_gue(&ids[..1], &young), {
            passed_on(&young, node::FAR4_SECOND, &ids[..1])
        })
        .leaves(&[(node::FAR4_SECOND, Unconfirmed)]),
        Row::frame("UDP, new leader, to one successor", &in_gue(&ids[..2], &young), {
            passed_on(&young, node::NEAR_GUE4, &ids[..2])
        })
        .leaves(&[(node::NEAR_GUE4, Unconfirmed)]),
        mine(Row::frame("UDP, new leader, no second successor", &all, taken(&all, &young))),
        Row::frame(
            "UDP, new leader, successors alone",
            &successors,
            asked_gue(&successors, node::FAR4, &[SELF]),
        )
        .leaves(&[(node::FAR4, Unconfirmed)]),
        mine(Row::frame("UDP, new leader, the one successor asked", &one, taken(&one, &successors))),
        Row::frame("UDP delegated, to that node", &young, asked_gue(&young, node::FAR4_SECOND, &[SELF]))
            .after(&[&in_gue(&ids[..1], &young)])
            .leaves(&[(node::FAR4_SECOND, Udp)]),
        Row::frame("UDP delegated, asked by another", &in_gue(&[77], &young), {
            passed_on(&young, node::FAR4, &[77])
        })
        .after(&[&young])
        .leaves(&[(node::FAR4, Udp)]),
        Row::frame("UDP delegated to a node that has been asked", &all, taken(&all, &young))
            .after(&[&young])
            .leaves(&[(node::SELF, Udp)]),
        Row::frame("UDP owned, now led by another", &datagram, LOCAL)
            .after(&[&by_node, &by_node])
            .leaves(&[(node::SELF, Udp)]),
        // The recorded datagram may have been forged.
        Row::frame("UDP begun, now led by another", &datagram, rewritten(&datagram, node::NEAR))
            .after(&[&by_node])
            .leaves(&[(node::SELF, Unconfirmed)]),
    ]
}
