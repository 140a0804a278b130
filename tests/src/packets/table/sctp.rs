//! SCTP (RFC 9260): handled as TCP, with the type of the first chunk in place of the flags.

use lb_common::flows::FlowState::{self, Closed, HalfOpen, Moved, Open, Unconfirmed};
use lb_common::verdict::{Outcome, Refusal};
use lb_pipeline::owner::{MARK_LED, MARK_OPENING};

use super::{Row, edited};
use crate::packets::build::Frame;
use crate::packets::build::chunk::{
    ABORT, COOKIE_ECHO, DATA, HEARTBEAT, INIT, SHUTDOWN, SHUTDOWN_ACK, SHUTDOWN_COMPLETE,
};
use crate::packets::expect::{
    Asked, Expect, LOCAL, NOT_OURS, asked_gue, decapsulated, encapsulated, listed, port_unreachable, refused,
    rewritten, time_exceeded,
};
use crate::packets::fixture::{
    CLIENT4, CLIENT6, NODE_MAC, NODE4, PLAIN4, PLAIN6, SELF_MAC, SELF4, VIP4, VIP6, node, port, wire_id,
};

const UNOWNED: Expect = Expect::Untouched(Outcome::Unowned as u32);

pub(super) fn rows() -> Vec<Row> {
    let families = [("IPv4", Frame::v4(CLIENT4, VIP4)), ("IPv6", Frame::v6(CLIENT6, VIP6))];
    let of_both = families.iter().flat_map(|(family, base)| {
        [forwarded(family, base), life(family, base), moved(family, base), refusals(family, base)].concat()
    });
    of_both.chain(foreign_packets()).chain(tunnelled()).collect()
}

fn forwarded(family: &str, base: &Frame) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |what: &str, frame: Frame, expect: fn(&Frame) -> Expect| {
        rows.push(Row::frame(format!("{family} SCTP {what}"), &frame, expect(&frame)));
    };
    let packet = |port, chunk| base.clone().sctp(4000, port, chunk);
    row("served here", packet(port::LOCAL, INIT), |_| LOCAL);
    for (name, chunk) in [("INIT", INIT), ("DATA", DATA), ("ABORT", ABORT)] {
        row(&format!("{name} to a near node"), packet(port::NEAR, chunk), |f| rewritten(f, node::NEAR));
        row(&format!("{name} to a far node"), packet(port::FAR4, chunk), |f| encapsulated(f, node::FAR4));
    }
    row("to a near node on another link", packet(port::NEAR_SECOND, DATA), |f| {
        rewritten(f, node::NEAR_SECOND)
    });
    row("behind two tags", packet(port::NEAR, DATA).tag(8).tag(9), |f| rewritten(f, node::NEAR));
    row("past a dead leader", packet(port::BEHIND_DEAD, DATA), |f| rewritten(f, node::NEAR));
    row("on its last hop", packet(port::NEAR, DATA).ttl(1), time_exceeded);
    rows
}

/// The states that a client's packets reach.
fn life(family: &str, base: &Frame) -> Vec<Row> {
    let packet = |chunk| base.clone().sctp(4000, port::LOCAL, chunk);
    let [init, cookie, data, heartbeat] = [INIT, COOKIE_ECHO, DATA, HEARTBEAT].map(packet);
    let row = |name: &str, before: &[&Frame], frame: &Frame, state: FlowState| {
        Row::frame(format!("{family} SCTP {name}"), frame, LOCAL).after(before).leaves(&[(node::SELF, state)])
    };
    let unknown = |name: &str, chunk| {
        Row::frame(format!("{family} SCTP {name} of an unknown flow"), &packet(chunk), UNOWNED)
    };
    let open = [&init, &cookie];
    vec![
        row("INIT, recorded", &[], &init, HalfOpen),
        row("INIT again", &[&init], &init, HalfOpen),
        row("COOKIE ECHO after INIT", &[&init], &cookie, Open),
        row("DATA after COOKIE ECHO", &open, &data, Open),
        row("HEARTBEAT after COOKIE ECHO", &open, &heartbeat, Open),
        row("SHUTDOWN after COOKIE ECHO", &open, &packet(SHUTDOWN), Open),
        row("SHUTDOWN ACK after COOKIE ECHO", &open, &packet(SHUTDOWN_ACK), Closed),
        row("SHUTDOWN COMPLETE after COOKIE ECHO", &open, &packet(SHUTDOWN_COMPLETE), Closed),
        row("ABORT after COOKIE ECHO", &open, &packet(ABORT), Closed),
        row("INIT after ABORT", &[&init, &cookie, &packet(ABORT)], &init, HalfOpen),
        row("INIT of an association that is open", &open, &init, Open),
        unknown("COOKIE ECHO", COOKIE_ECHO),
        unknown("DATA", DATA),
        unknown("ABORT", ABORT),
    ]
}

/// Slots that another node led before.
fn moved(family: &str, base: &Frame) -> Vec<Row> {
    let packet = |port, chunk| base.clone().sctp(4000, port, chunk);
    let (init, cookie) = (packet(port::TAKEN_OVER, INIT), packet(port::TAKEN_OVER, COOKIE_ECHO));
    let by_mac = |frame: &Frame| frame.clone().macs(SELF_MAC, NODE_MAC);
    let [begun, open] = [INIT, COOKIE_ECHO].map(|chunk| by_mac(&packet(port::FORMER_SELF, chunk)));
    let old = packet(port::FORMER_SELF, DATA);
    vec![
        Row::frame(format!("{family} SCTP COOKIE ECHO after INIT, to the former leader"), &cookie, {
            let asked = Asked::from(&[wire_id(node::SELF)][..]);
            asked_gue(&cookie, node::FAR4, asked.marks(MARK_LED | MARK_OPENING))
        })
        .after(&[&init])
        .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame(format!("{family} SCTP owned, now led by another"), &old, LOCAL)
            .after(&[&begun, &open])
            .leaves(&[(node::SELF, Moved)]),
    ]
}

fn refusals(family: &str, base: &Frame) -> Vec<Row> {
    let undeclared = base.clone().sctp(4000, port::UNUSED, INIT);
    let whole = base.clone().sctp(4000, port::LOCAL, INIT).bytes();
    let (length_at, header) = if base.is_v4() { (16, 20) } else { (18, 0) };
    let says = |length: u8| edited(whole.clone(), length_at, &[0, header + length]);
    let long = |length| Row::bytes(format!("{family} SCTP with length {length}"), says(length), LOCAL);
    let short = |length| {
        let refusal = refused(Refusal::BadLength);
        Row::bytes(format!("{family} SCTP with length {length}"), says(length), refusal)
    };
    vec![
        Row::frame(format!("{family} SCTP to an undeclared port of a VIP"), &undeclared, {
            port_unreachable(&undeclared)
        }),
        long(16),
        short(15),
        short(12),
        short(8),
        short(0),
    ]
}

fn foreign_packets() -> Vec<Row> {
    [("IPv4", Frame::v4(CLIENT4, PLAIN4)), ("IPv6", Frame::v6(CLIENT6, PLAIN6))]
        .into_iter()
        .map(|(family, base)| {
            Row::frame(format!("{family} SCTP to no VIP"), &base.sctp(4000, port::NEAR, INIT), NOT_OURS)
        })
        .collect()
}

fn tunnelled() -> Vec<Row> {
    let inner = Frame::v4(CLIENT4, VIP4).sctp(4000, port::LOCAL, INIT);
    let unknown = Frame::v6(CLIENT6, VIP6).sctp(4000, port::LOCAL, DATA);
    let in_gue = |inner: &Frame| listed(Frame::v4(NODE4, SELF4), 50_000, &[][..], inner);
    vec![
        Row::frame("SCTP INIT from a node in GUE", &in_gue(&inner), decapsulated(&in_gue(&inner), &inner))
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("IPv6 SCTP from a node in GUE, unknown", &in_gue(&unknown), {
            crate::packets::expect::opened(&in_gue(&unknown), &unknown, Outcome::Unowned)
        })
        .leaves(&[(node::SELF, Unconfirmed)]),
    ]
}
