//! Packets of unknown flows, which return to their flow's home.

use lb_common::flows::FlowState::{Closed, HalfOpen, Open, Unconfirmed};
use lb_common::verdict::Refusal;

use super::{ASKED_MORE, SELF, fin, in_gue, returned_home, syn, taken, tcp, unknown, unowned, v4, v6};
use crate::packets::build::Frame;
use crate::packets::expect::{Asked, LOCAL, asked_l2, listed, refused};
use crate::packets::fixture::{NODE6, SELF6, node, port, wire_id};
use crate::packets::table::Row;

pub(super) fn rows() -> Vec<Row> {
    [returned(), home_unreachable(), decided(), known(), itself()].concat()
}

/// This node is the last candidate.
fn returned() -> Vec<Row> {
    let mut rows = Vec::new();
    for (way, port, home) in [
        ("GUE4", port::FAR4, node::FAR4),
        ("GUE6", port::FAR6, node::FAR6),
        ("GUE4, a former leader's", port::FAR4_FORMER_SELF, node::FAR4),
        ("GUE6, a former leader's", port::FAR6_FORMER_SELF, node::FAR6),
    ] {
        for (kind, frame) in
            [("IPv4", tcp(port)), ("IPv6", v6().tcp(4000, port)), ("SYN", syn(port)), ("FIN", fin(port))]
        {
            let asked = [wire_id(home)];
            rows.push(Row::frame(format!("{kind}, returned home in {way}"), &in_gue(&asked, &frame), {
                returned_home(&frame, home, &asked)
            }));
        }
    }
    let (far, near) = (tcp(port::FAR4), tcp(port::NEAR));
    let asked = [wire_id(node::FAR4)];
    let second = Asked::from(&[77, asked[0]]).home(1);
    rows.extend([
        Row::frame("returned home, relayed", &in_gue(&[wire_id(node::NEAR)], &near), {
            asked_l2(&near, node::NEAR, ASKED_MORE)
        }),
        Row::frame("returned home, which is the second", &in_gue(second.clone(), &far), {
            returned_home(&far, node::FAR4, second)
        }),
        Row::frame("returned home, which does not lead", &in_gue(Asked::from(&asked).marks(0), &far), {
            returned_home(&far, node::FAR4, Asked::from(&asked).marks(0))
        }),
    ]);
    rows
}

/// The home cannot be reached.
fn home_unreachable() -> Vec<Row> {
    let far = tcp(port::FAR4_FORMER_SELF);
    let asked = Asked::from(&[wire_id(node::FAR4)]);
    let dead = [node::DEAD, node::NEAR].map(wire_id);
    let row =
        |name: &str, asked, frame: &Frame| Row::frame(name, &in_gue(asked, frame), refused(Refusal::NoHome));
    vec![
        row("home is dead", Asked::from(&dead), &tcp(port::DEAD)),
        row("home is not on the list", asked.clone().home(1), &far),
        row("home's position exceeds every list", asked.home(0xff), &far),
        row("home is not in the slot", Asked::from(&[wire_id(node::FAR6)]), &tcp(port::LOCAL)),
        row("home has an unknown ID", Asked::from(&[77]), &tcp(port::LEADERLESS)),
        row("home has no identity", Asked::from(&[0]), &tcp(port::LEADERLESS)),
    ]
}

/// The home decides on flows that the others do not know.
fn decided() -> Vec<Row> {
    let mut rows = Vec::new();
    let asked = [SELF, wire_id(node::FAR4), wire_id(node::FAR4_SECOND)];
    for (family, base) in [("IPv4", v4()), ("IPv6", v6())] {
        let frame = base.tcp(4000, port::TAKEN_OVER);
        let back = unknown(&asked, &frame);
        rows.push(Row::frame(
            format!("{family}, unknown, in no table, decided at home"),
            &back,
            unowned(&back, &frame),
        ));
    }
    let (frame, end, new) = (tcp(port::TAKEN_OVER), fin(port::TAKEN_OVER), syn(port::TAKEN_OVER));
    let [back, back_end, back_new] = [&frame, &end, &new].map(|inner| unknown(&asked, inner));
    let no_longer = tcp(port::FAR4_FORMER_SELF);
    let at_former = unknown(&[SELF], &no_longer);
    let fields = Asked::from(&asked).marks(lb_pipeline::owner::MARK_LED | lb_pipeline::owner::MARK_UNKNOWN);
    let over_v6 = listed(Frame::v6(NODE6, SELF6), 50_000, fields, &frame);
    rows.extend([
        Row::frame("unknown, in no table, over IPv6, decided at home", &over_v6, unowned(&over_v6, &frame)),
        Row::frame("FIN, unknown, in no table, decided at home", &back_end, unowned(&back_end, &end)),
        Row::frame("unknown, in no table, delegated, decided at home", &back, unowned(&back, &frame))
            .after(&[&frame]),
        Row::frame("unknown, in no table, decided at home, again", &frame, LOCAL)
            .after(&[&frame, &back])
            .leaves(&[(node::SELF, Unconfirmed)]),
        Row::frame("unknown, in no table, decided where another leads now", &at_former, {
            unowned(&at_former, &no_longer)
        }),
        Row::frame("SYN, unknown, in no table, begins at home", &back_new, taken(&back_new, &new))
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("SYN, unknown, in no table, delegated, begins at home", &back_new, taken(&back_new, &new))
            .after(&[&frame])
            .leaves(&[(node::SELF, HalfOpen)]),
    ]);
    rows
}

/// The home may have recorded the flow in the meantime.
fn known() -> Vec<Row> {
    let asked = [SELF, wire_id(node::FAR4), wire_id(node::FAR4_SECOND)];
    let (frame, end, new) = (tcp(port::TAKEN_OVER), fin(port::TAKEN_OVER), syn(port::TAKEN_OVER));
    let [back, back_end, back_new] = [&frame, &end, &new].map(|inner| unknown(&asked, inner));
    let row = |name: &str, before: &[&Frame], outer: &Frame, inner: &Frame, state| {
        Row::frame(name, outer, taken(outer, inner)).after(before).leaves(&[(node::SELF, state)])
    };
    let mine = |name: &str, before: &[&Frame], frame: &Frame, state| {
        Row::frame(name, frame, LOCAL).after(before).leaves(&[(node::SELF, state)])
    };
    vec![
        row("unknown elsewhere, begun at home", &[&new], &back, &frame, Open),
        row("FIN, unknown elsewhere, begun at home", &[&new], &back_end, &end, Closed),
        row("SYN, unknown elsewhere, begun at home", &[&new], &back_new, &new, HalfOpen),
        row("unknown elsewhere, owned at home", &[&new, &back], &back, &frame, Open),
        row("SYN, unknown elsewhere, owned at home", &[&new, &back], &back_new, &new, Open),
        row("unknown elsewhere, closed at home", &[&new, &back_end], &back, &frame, Closed),
        row("SYN, unknown elsewhere, closed at home", &[&new, &back_end], &back_new, &new, HalfOpen),
        mine("owned is not for the former leader", &[&new, &back], &frame, Open),
        mine("SYN, owned, is not for the former leader", &[&new, &back], &new, Open),
        mine("closed is not for the former leader", &[&new, &back_end], &frame, Closed),
    ]
}

/// The home is this node itself, since none of the asked nodes leads, and no candidate is left.
fn itself() -> Vec<Row> {
    let (frame, new) = (tcp(port::LOCAL), syn(port::LOCAL));
    let [outer, outer_new] = [&frame, &new].map(|inner| in_gue(Asked::from(&[77]).marks(0), inner));
    let five = in_gue(Asked::from(&[71, 72, 73, 74, 75]).marks(0), &tcp(port::TAKEN_OVER));
    vec![
        Row::frame("the last that is asked is home", &outer, unowned(&outer, &frame)),
        Row::frame("SYN, the last that is asked is home", &outer_new, taken(&outer_new, &new))
            .leaves(&[(node::SELF, HalfOpen)]),
        Row::frame("the sixth that is asked is home", &five, unowned(&five, &tcp(port::TAKEN_OVER))),
    ]
}
