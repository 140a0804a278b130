//! The life of a flow at its owner.

use lb_common::flows::FlowState::{self, Closed, HalfOpen, Moved, Open, Udp, Unconfirmed};

use super::{SELF, UNOWNED, by_mac, fin, in_gue, syn, taken, tcp, udp, unknown, v4, v6};
use crate::packets::build::{Frame, flags};
use crate::packets::expect::{LOCAL, rewritten};
use crate::packets::fixture::{node, port};
use crate::packets::table::Row;

pub(super) fn rows() -> Vec<Row> {
    [life("IPv4", &v4()), life("IPv6", &v6().tag(3)), kept(), never_led()].concat()
}

/// The states that a client's packets reach.
fn life(family: &str, base: &Frame) -> Vec<Row> {
    let segment = |flags| base.clone().segment(4000, port::LOCAL, flags);
    let syn = segment(flags::SYN);
    let ack = segment(flags::ACK);
    let fin = segment(flags::FIN | flags::ACK);
    let rst = segment(flags::RST);
    let udp = base.clone().udp(4000, port::LOCAL);
    let mine = |state: FlowState| [(node::SELF, state)];
    let row = |name: &str, before: &[&Frame], frame: &Frame, state| {
        Row::frame(format!("{family} {name}"), frame, LOCAL).after(before).leaves(&mine(state))
    };
    let unknown = |name: &str, frame: &Frame| Row::frame(format!("{family} {name}"), frame, UNOWNED);
    vec![
        row("SYN, recorded", &[], &syn, HalfOpen),
        row("SYN with FIN, recorded", &[], &segment(flags::SYN | flags::FIN), HalfOpen),
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
        row("SYN after ACK", &[&syn, &ack], &syn, Open),
        row("ACK after SYN after ACK", &[&syn, &ack, &syn], &ack, Open),
        row("UDP, recorded", &[], &udp, Unconfirmed),
        row("UDP again", &[&udp], &udp, Udp),
        row("UDP once more", &[&udp, &udp], &udp, Udp),
        row("ACK of an unknown flow again", &[&ack], &ack, Unconfirmed),
        row("FIN of an unknown flow after its ACK", &[&ack], &fin, Unconfirmed),
        unknown("ACK of an unknown flow", &ack),
        unknown("FIN of an unknown flow", &fin),
        unknown("RST of an unknown flow", &rst),
        unknown("SYN with ACK of an unknown flow", &segment(flags::SYN | flags::ACK)),
        unknown("TCP without flags of an unknown flow", &segment(0)),
        unknown("ACK of an unknown flow on its last hop", &ack.clone().ttl(1)),
    ]
}

/// This node serves the flows it owns, whichever node leads now.
fn kept() -> Vec<Row> {
    let (new, old) = (syn(port::FORMER_SELF), tcp(port::FORMER_SELF));
    let (begun, confirmed) = (by_mac(new.clone()), by_mac(old.clone()));
    let lives = [&begun, &confirmed];
    let fin = fin(port::FORMER_SELF);
    let asked = in_gue(&[7], &old);
    vec![
        Row::frame("owned, now led by another", &old, LOCAL).after(&lives).leaves(&[(node::SELF, Moved)]),
        Row::frame("FIN, owned, now led by another", &fin, LOCAL)
            .after(&lives)
            .leaves(&[(node::SELF, Closed)]),
        // The SYN may have been forged; if not, the flow comes back from the leader.
        Row::frame("begun, now led by another", &old, rewritten(&old, node::NEAR))
            .after(&[&begun])
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("begun, asked by the leader", &asked, taken(&asked, &old))
            .after(&[&begun])
            .leaves(&[(node::SELF, Moved)]),
        Row::frame("unknown, in no table, now led by another", &old, rewritten(&old, node::NEAR))
            .after(&[&unknown(&[SELF], &old)])
            .leaves(&[(node::SELF, Unconfirmed)]),
        // The leader may have a newer flow with the same ports; if not, this one comes back from there.
        Row::frame("owned and closed, now led by another", &old, rewritten(&old, node::NEAR))
            .after(&[&begun, &confirmed, &fin])
            .leaves(&[(node::SELF, Closed)]),
        Row::frame("owned and closed, asked by the leader", &asked, taken(&asked, &old))
            .after(&[&begun, &confirmed, &fin])
            .leaves(&[(node::SELF, Closed)]),
        Row::frame("owned and closed, led by this node", &tcp(port::SUCCESSORS), LOCAL)
            .after(&[&syn(port::SUCCESSORS), &super::fin(port::SUCCESSORS)])
            .leaves(&[(node::SELF, Closed)]),
        Row::frame("owned, but a new flow, now led by another", &new, rewritten(&new, node::NEAR))
            .after(&lives)
            .leaves(&[(node::SELF, Moved)]),
    ]
}

/// A node that has never led may own flows that other nodes send to it, and looks up no others.
fn never_led() -> Vec<Row> {
    let (new, old) = (syn(port::NEAR), tcp(port::NEAR));
    let datagram = udp(port::NEAR);
    let dead = tcp(port::SELF_BEHIND_DEAD);
    let by_node = by_mac(datagram.clone());
    vec![
        Row::frame("owned, and this node has never led", &old, rewritten(&old, node::NEAR))
            .after(&[&by_mac(new), &by_mac(old.clone())])
            .leaves(&[(node::SELF, Moved)]),
        Row::frame("UDP owned, and this node has never led", &datagram, rewritten(&datagram, node::NEAR))
            .after(&[&by_node, &by_node])
            .leaves(&[(node::SELF, Udp)]),
        Row::frame("SYN to this node behind a dead leader", &syn(port::SELF_BEHIND_DEAD), LOCAL)
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("owned, behind a dead leader", &dead, LOCAL)
            .after(&[&syn(port::SELF_BEHIND_DEAD)])
            .leaves(&[(node::SELF, Moved)]),
    ]
}
