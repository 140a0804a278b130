//! Control packets of sessions whose agent is late or gone: which are answered, and how.

use lb_common::verdict::{Outcome, Refusal};
use lb_common::wire::bfd;

use super::{MULTIHOP, SINGLE_HOP, UP, control, noted, router4, router6};
use crate::model::Action;
use crate::packets::build::{Addresses, Frame};
use crate::packets::expect::{Expect, NOT_OURS, refused};
use crate::packets::fixture::{BFD_SOURCE_PORT, NODE4, SELF4, own_control, session};
use crate::packets::table::{Row, edited};

pub(super) fn rows() -> Vec<Row> {
    [answered(), changed(), left_to_the_agent(), invalid()].concat()
}

/// Returns the frame that answers a router's frame: back on its way, from the agent's port.
fn reply(frame: &Frame, port: u16, payload: &[u8]) -> Vec<u8> {
    let [to, from] = frame.macs;
    let addresses = match frame.addresses {
        Addresses::V4(source, destination) => Addresses::V4(destination, source),
        Addresses::V6(source, destination) => Addresses::V6(destination, source),
    };
    Frame { macs: [from, to], addresses, ..frame.clone() }
        .ttl(255)
        .datagram(BFD_SOURCE_PORT, port, payload)
        .bytes()
}

fn answer_to(name: &str, base: &Frame, port: u16, session: u32, flags: [u8; 2]) -> Row {
    let [asked, answered] = flags;
    let sent = reply(base, port, &own_control(UP | bfd::INDEPENDENT | answered, session));
    let frame = base.clone().datagram(50_000, port, &control(UP | asked, session));
    Row::frame(name, &frame, Expect::Becomes(Action::Transmit, Outcome::BfdAnswered, sent))
        .answers_router(session, noted(UP | asked, session))
}

fn answered() -> Vec<Row> {
    let row = |name: &str, base: Frame, port, session| answer_to(name, &base, port, session, [0, 0]);
    let plain = router4().plain_datagram(49_152, SINGLE_HOP, &control(UP, session::LATE4));
    let sent = reply(&router4(), SINGLE_HOP, &own_control(UP | bfd::INDEPENDENT, session::LATE4));
    let poll = |name: &str, base: Frame, session, flags| {
        answer_to(name, &base, SINGLE_HOP, session, [bfd::POLL | flags, bfd::FINAL])
    };
    vec![
        row("BFD for a late agent", router4(), SINGLE_HOP, session::LATE4),
        row("BFD for a late agent over IPv6", router6(), SINGLE_HOP, session::LATE6),
        row("BFD for a late agent over several hops", router4().ttl(250), MULTIHOP, session::LATE_FAR4),
        row("BFD for a late agent behind a tag", router4().tag(7), SINGLE_HOP, session::LATE4),
        row("BFD for a late agent behind two tags", router6().tag(7).tag(8), SINGLE_HOP, session::LATE6),
        poll("BFD poll for a late agent", router4(), session::LATE4, 0),
        poll("BFD poll for a late agent over IPv6", router6(), session::LATE6, 0),
        poll("BFD poll in demand mode for a late agent", router4(), session::LATE4, bfd::DEMAND),
        Row::frame("BFD without a checksum for a late agent", &plain, {
            Expect::Becomes(Action::Transmit, Outcome::BfdAnswered, sent)
        })
        .answers_router(session::LATE4, noted(UP, session::LATE4)),
    ]
}

/// What the router says of itself is noted for the next agent.
fn changed() -> Vec<Row> {
    let row = |what: &str, at: usize, bytes: &[u8]| {
        let packet = edited(control(UP, session::LATE4), at, bytes);
        let sent = reply(&router4(), SINGLE_HOP, &own_control(UP | bfd::INDEPENDENT, session::LATE4));
        let expect = Expect::Becomes(Action::Transmit, Outcome::BfdAnswered, sent);
        let theirs = packet.first_chunk().copied().unwrap_or_default();
        Row::frame(
            format!("BFD with {what} for a late agent"),
            &router4().datagram(50_000, SINGLE_HOP, &packet),
            expect,
        )
        .answers_router(session::LATE4, theirs)
    };
    vec![
        row("a diagnostic", 0, &[0x23]),
        row("another multiplier", 2, &[9]),
        row("another transmission interval", 12, &[0, 1, 2, 3]),
        row("another reception interval", 16, &[0, 1, 2, 3]),
        row("another echo interval", 20, &[0, 1, 2, 3]),
        row("the control-plane-independent bit", 1, &[UP | bfd::INDEPENDENT]),
    ]
}

/// Valid packets that the program does not answer: recorded, and passed.
fn left_to_the_agent() -> Vec<Row> {
    let untouched = Expect::Untouched(Outcome::BfdHeard as u32);
    let row = |name: &str, base: Frame, state, session| {
        let frame = base.datagram(50_000, SINGLE_HOP, &control(state, session));
        Row::frame(name, &frame, Expect::Untouched(Outcome::BfdHeard as u32))
            .hears_router(session, noted(state, session))
    };
    let long = [control(UP, session::LATE4), vec![7; 8]].concat();
    let over = router4().datagram(50_000, SINGLE_HOP, &control(UP, session::OVER4));
    vec![
        row("BFD while the agent sends", router4(), UP, session::SENT4),
        row("BFD poll while the agent sends", router4(), UP | bfd::POLL, session::SENT4),
        row("BFD soon after an answer", router4(), UP, session::ANSWERED4),
        row("BFD after the end of the agent", router4(), UP, session::GONE4),
        row("BFD of a session that the agent has not called up", router4(), UP, session::UNSAID4),
        row("BFD final for a late agent", router4(), UP | bfd::FINAL, session::LATE4),
        row("BFD in demand mode for a late agent", router4(), UP | bfd::DEMAND, session::LATE4),
        row("BFD in state Down for a late agent", router4(), bfd::DOWN, session::LATE4),
        row("BFD in state Init for a late agent", router6(), 0x80, session::LATE6),
        row("BFD in state AdminDown for a late agent", router4(), 0, session::LATE4),
        row("BFD behind IPv4 options for a late agent", router4().options(&[1; 4]), UP, session::LATE4),
        Row::frame(
            "BFD with trailing bytes for a late agent",
            &router4().datagram(50_000, SINGLE_HOP, &long),
            untouched.clone(),
        )
        .hears_router(session::LATE4, noted(UP, session::LATE4)),
        // A replayed packet from before the end.
        Row::frame("BFD of a session that the router has ended", &over, untouched),
    ]
}

/// Packets that no session accepts.
fn invalid() -> Vec<Row> {
    let good = control(UP, session::LATE4);
    let row = |what: &str, base: Frame, payload: &[u8], expect: Expect| {
        let frame = base.datagram(50_000, SINGLE_HOP, payload);
        Row::frame(format!("BFD {what} for a late agent"), &frame, expect)
    };
    let edited = |what: &str, at: usize, bytes: &[u8]| {
        row(what, router4(), &edited(good.clone(), at, bytes), NOT_OURS)
    };
    let stranger = || refused(Refusal::BfdUnknownPeer);
    vec![
        edited("of version 0", 0, &[0]),
        edited("with authentication", 1, &[UP | bfd::AUTHENTICATION]),
        edited("with the multipoint bit", 1, &[UP | bfd::MULTIPOINT]),
        edited("with multiplier 0", 2, &[0]),
        edited("with length 23", 3, &[23]),
        edited("with length 25", 3, &[25]),
        edited("from another discriminator", 7, &[1]),
        edited("from discriminator 0", 4, &[0; 4]),
        edited("for another discriminator", 11, &[0xff]),
        edited("for discriminator 0", 8, &[0; 4]),
        row("of 23 bytes", router4(), &good[..23], NOT_OURS),
        row("with TTL 254", router4().ttl(254), &good, stranger()),
        row("over IPv6", router6(), &good, NOT_OURS),
        row("from another address", Frame::v4(NODE4, SELF4).ttl(255), &good, stranger()),
        Row::frame(
            "BFD to the port of several hops for a late agent",
            &router4().datagram(9, MULTIHOP, &good),
            NOT_OURS,
        ),
    ]
}
