//! What nodes say of themselves as announcers, in the diagnostics of their replies to probes.

use lb_common::maps::{
    LIVENESS_ADMIN_DOWN, LIVENESS_HELD, LIVENESS_HOLDS_THIS, LIVENESS_LEAVING, LIVENESS_UP, Liveness,
    Standing,
};
use lb_common::ring::NodeIndex;
use lb_common::verdict::{Outcome, Refusal};
use lb_common::wire::bfd;

use super::{
    ADMIN_DOWN, ANSWER, FINAL, MINE, PORT, UP, answer, bare, node4, node6, probe, reflection, reflection_of,
    signed,
};
use crate::packets::build::Frame;
use crate::packets::expect::{Expect, refused};
use crate::packets::fixture::{CLOCK, Fixture, LIVENESS_LIMIT, TAG_KEYS, discriminator, node};
use crate::packets::table::{Row, edited};

/// Diagnostics.
const STABLE: u8 = bfd::ANNOUNCER;
const RETURNED: u8 = bfd::ANNOUNCER | Standing::Returned as u8;
const READY: u8 = bfd::ANNOUNCER | Standing::Ready as u8;
const ABSENT: u8 = bfd::ANNOUNCER | Standing::Absent as u8;
const HOLDS: u8 = bfd::HOLDS;
/// The bits of standings in a liveness cell.
const IS_RETURNED: u32 = Liveness::standing_bits(Standing::Returned);
const IS_READY: u32 = Liveness::standing_bits(Standing::Ready);
const IS_ABSENT: u32 = Liveness::standing_bits(Standing::Absent);

pub(super) fn rows() -> Vec<Row> {
    [reflected(), recorded(), held(), dead(), in_absence(), not_recorded()].concat()
}

/// Replies to probes say what this node is, and whether it holds the node that asks.
fn reflected() -> Vec<Row> {
    let (v4, v6) = (probe(node4()), probe(node6()));
    let row = |name: &str, frame: &Frame, diagnostic, fixture| {
        Row::frame(format!("probe of {name}"), frame, reflection_of(frame, diagnostic, UP)).meets(fixture)
    };
    let diagnosed = signed(edited(bare(super::PROBE, MINE, super::SELF), 0, &[0x37]), TAG_KEYS[0], CLOCK);
    let diagnosed = node4().datagram(50_000, PORT, &diagnosed);
    vec![
        row("a returned node", &v4, RETURNED, Fixture::Returned),
        row("a returned node over IPv6", &v6, RETURNED, Fixture::Returned),
        row("a ready node", &v4, READY, Fixture::Ready),
        row("an absent node", &v4, ABSENT, Fixture::Absent),
        row("an absent node over IPv6", &v6, ABSENT, Fixture::Absent),
        row("a node that holds the sender", &v4, STABLE | HOLDS, Fixture::Holding),
        row("a node that holds another one", &v6, 0, Fixture::Holding),
        row("an absent node that holds the sender", &v4, ABSENT | HOLDS, Fixture::HoldingAbsent),
        row("an absent node that holds another one", &v6, ABSENT, Fixture::HoldingAbsent),
        row("a node that holds the sender, behind a tag", &probe(node4().tag(9)), STABLE | HOLDS, {
            Fixture::Holding
        }),
        Row::frame("probe with a diagnostic of a reply", &diagnosed, reflection(&diagnosed, UP)),
    ]
}

/// A reply to this node's probe, with this diagnostic, state and flags.
fn reply_of(node: NodeIndex, diagnostic: u8, flags: u8) -> Frame {
    let base = if node == node::FAR4 { node4() } else { node6() };
    let bytes = edited(bare(flags, MINE, discriminator(node)), 0, &[0x20 | diagnostic]);
    base.datagram(PORT, 50_000, &signed(bytes, TAG_KEYS[0], CLOCK))
}

/// A row of a reply that is recorded as this state.
fn row(name: &str, node: NodeIndex, diagnostic: u8, flags: u8, state: u32) -> Row {
    let frame = reply_of(node, diagnostic, flags);
    Row::frame(name, &frame, Expect::Consumed(Outcome::ProbeAnswered)).hears(node, state)
}

fn recorded() -> Vec<Row> {
    let draining = ADMIN_DOWN | FINAL;
    let far4 = |name: &str, diagnostic, flags, state| row(name, node::FAR4, diagnostic, flags, state);
    vec![
        far4("answer of a returned node", RETURNED, ANSWER, IS_RETURNED),
        far4("answer of a returned and draining node", RETURNED, draining, IS_RETURNED | LIVENESS_ADMIN_DOWN),
        far4("answer of a ready node", READY, ANSWER, IS_READY),
        far4("answer of an absent node", ABSENT, ANSWER, IS_ABSENT),
        far4("answer of an absent and draining node", ABSENT, draining, IS_ABSENT | LIVENESS_ADMIN_DOWN),
        far4("answer of a stable node", STABLE, ANSWER, LIVENESS_UP),
        far4("answer of a node that holds this one", STABLE | HOLDS, ANSWER, LIVENESS_HOLDS_THIS),
        far4("answer of a returned node that holds this one", RETURNED | HOLDS, ANSWER, {
            IS_RETURNED | LIVENESS_HOLDS_THIS
        }),
        far4("answer of an absent node that holds this one", ABSENT | HOLDS, ANSWER, {
            IS_ABSENT | LIVENESS_HOLDS_THIS
        }),
        far4("answer of a draining node that holds this one", STABLE | HOLDS, draining, {
            LIVENESS_ADMIN_DOWN | LIVENESS_HOLDS_THIS
        }),
        far4("answer of a draining node that leaves", STABLE | bfd::LEAVES, draining, {
            LIVENESS_ADMIN_DOWN | LIVENESS_LEAVING
        }),
        far4("answer of a returned node with the bit of one that leaves", RETURNED | bfd::LEAVES, ANSWER, {
            IS_RETURNED | LIVENESS_LEAVING
        }),
        far4("answer with the diagnostic of a session", 7, ANSWER, LIVENESS_UP),
        far4("answer with another diagnostic of a session", 0x0f, ANSWER, LIVENESS_UP),
        row("IPv6 answer of a returned node", node::FAR6, RETURNED, ANSWER, IS_RETURNED),
        far4("answer of a stable node that had returned", 0, ANSWER, LIVENESS_UP).after(&[&reply_of(
            node::FAR4,
            RETURNED,
            ANSWER,
        )]),
        far4("answer of a node that holds this one no more", RETURNED, ANSWER, IS_RETURNED)
            .after(&[&reply_of(node::FAR4, RETURNED | HOLDS, ANSWER)]),
    ]
}

/// Of a node that this one holds.
fn held() -> Vec<Row> {
    let held = |name: &str, diagnostic, flags, state| {
        row(&format!("answer of a held node {name}"), node::FAR4, diagnostic, flags, state)
            .meets(Fixture::Holding)
    };
    let has_returned = reply_of(node::FAR4, RETURNED, ANSWER);
    vec![
        held("that calls itself stable", 0, ANSWER, LIVENESS_HELD),
        held("that calls itself stable by a diagnostic", STABLE, ANSWER, LIVENESS_HELD),
        held("that drains", 0, ADMIN_DOWN | FINAL, LIVENESS_HELD | LIVENESS_ADMIN_DOWN),
        held("that holds this one, too", STABLE | HOLDS, ANSWER, LIVENESS_HELD | LIVENESS_HOLDS_THIS),
        held("that has returned", RETURNED, ANSWER, IS_RETURNED),
        held("that is ready", READY, ANSWER, IS_READY | LIVENESS_HELD),
        held("that is absent", ABSENT, ANSWER, IS_ABSENT),
        held("that has returned and is stable", 0, ANSWER, LIVENESS_UP).after(&[&has_returned]),
        Row::frame("probe of a node that held the sender", &probe(node4()), reflection(&probe(node4()), UP))
            .meets(Fixture::Holding)
            .after(&[&has_returned])
            .hears(node::FAR4, IS_RETURNED),
    ]
}

/// Of a node that was dead for this one.
fn dead() -> Vec<Row> {
    let dead = |name: &str, diagnostic, flags, state| {
        row(&format!("answer of a dead node {name}"), node::FAR6, diagnostic, flags, state)
            .meets(Fixture::Holding)
    };
    let oldest = signed(bare(ANSWER, MINE, discriminator(node::FAR6)), TAG_KEYS[0], CLOCK - LIVENESS_LIMIT);
    let oldest = node6().datagram(PORT, 50_000, &oldest);
    let probe = probe(node6());
    vec![
        dead("that calls itself stable", 0, ANSWER, LIVENESS_HELD),
        dead("that drains", 0, ADMIN_DOWN | FINAL, LIVENESS_HELD | LIVENESS_ADMIN_DOWN),
        dead("that has returned", RETURNED, ANSWER, IS_RETURNED),
        dead("that is ready", READY, ANSWER, IS_READY | LIVENESS_HELD),
        dead("that is absent", ABSENT, ANSWER, IS_ABSENT),
        dead("that holds this one", STABLE | HOLDS, ANSWER, LIVENESS_HELD | LIVENESS_HOLDS_THIS),
        dead("again", 0, ANSWER, LIVENESS_HELD).after(&[&answer(node6(), ANSWER, discriminator(node::FAR6))]),
        Row::frame("answer of a dead node to a probe of too long ago", &oldest, refused(Refusal::StaleProbe))
            .meets(Fixture::Holding),
        Row::frame("probe of a node that was dead", &probe, reflection_of(&probe, STABLE | HOLDS, UP))
            .meets(Fixture::Holding)
            .after(&[&reply_of(node::FAR6, 0, ANSWER)])
            .hears(node::FAR6, LIVENESS_HELD),
    ]
}

/// A node that is not stable holds none: it may have been away rather than they.
fn in_absence() -> Vec<Row> {
    let absent = |name: &str, node, diagnostic, state| {
        row(&format!("answer to an absent node of {name}"), node, diagnostic, ANSWER, state)
            .meets(Fixture::HoldingAbsent)
    };
    vec![
        absent("a dead one", node::FAR6, 0, LIVENESS_UP),
        absent("a dead one that has returned", node::FAR6, RETURNED, IS_RETURNED),
        absent("a dead one that holds it", node::FAR6, STABLE | HOLDS, LIVENESS_HOLDS_THIS),
        absent("a held one", node::FAR4, 0, LIVENESS_UP),
        absent("a held one that has returned", node::FAR4, RETURNED, IS_RETURNED),
    ]
}

/// The tag covers the diagnostic.
fn not_recorded() -> Vec<Row> {
    let good = signed(bare(ANSWER, MINE, discriminator(node::FAR4)), TAG_KEYS[0], CLOCK);
    let row = |name: &str, first: u8| {
        let frame = node4().datagram(PORT, 50_000, &edited(good.clone(), 0, &[first]));
        Row::frame(name, &frame, refused(Refusal::BadTag))
    };
    vec![
        row("answer with a forged standing", 0x20 | RETURNED),
        row("answer with a forged hold", 0x20 | STABLE | HOLDS),
    ]
}
