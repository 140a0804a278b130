//! BFD from routers: control packets recorded and passed to the agent or answered, echoes returned, and all
//! others.

mod answered;

use lb_common::verdict::{Outcome, Refusal};
use lb_common::wire::bfd;

use super::{Row, edited};
use crate::model::Action;
use crate::packets::build::{Addresses, Frame, Upper};
use crate::packets::expect::{Expect, NOT_OURS, refused};
use crate::packets::fixture::{
    CLIENT4, CLIENT6, DOWN_ROUTER4, Fixture, NODE4, PLAIN4, PLAIN6, ROUTER4, ROUTER6, SELF4, SELF6,
    router_control, session,
};

const SINGLE_HOP: u16 = 3784;
const ECHO: u16 = 3785;
const MULTIHOP: u16 = 4784;
const UP: u8 = 0xc0;
pub(super) fn rows() -> Vec<Row> {
    [answered::rows(), recorded(), of_another(), of_unknown_peers(), invalid(), returned(), not_returned()]
        .concat()
}

fn control(state: u8, yours: u32) -> Vec<u8> {
    router_control(state, yours).to_vec()
}

/// Returns what is noted of [`control`].
fn noted(state: u8, yours: u32) -> [u8; bfd::LENGTH] {
    router_control(state & !(bfd::POLL | bfd::FINAL), yours)
}

fn router4() -> Frame {
    Frame::v4(ROUTER4, SELF4).ttl(255).class(0xc0)
}

fn router6() -> Frame {
    Frame::v6(ROUTER6, SELF6).ttl(255).class(0xc0)
}

fn recorded() -> Vec<Row> {
    let row = |name: &str, base: Frame, port, state, session| {
        let frame = base.datagram(50_000, port, &control(state, session));
        Row::frame(name, &frame, Expect::Untouched(Outcome::BfdHeard as u32))
            .hears_router(session, noted(state, session))
    };
    let long = [control(UP, session::NEXT4), vec![7; 8]].concat();
    let plain = router4().plain_datagram(49_152, SINGLE_HOP, &control(UP, session::NEXT4));
    let recorded = Expect::Untouched(Outcome::BfdHeard as u32);
    vec![
        row("BFD of a router", router4(), SINGLE_HOP, UP, session::NEXT4),
        row("BFD of a router over IPv6", router6(), SINGLE_HOP, UP, session::NEXT6),
        row("BFD in state Down", router4(), SINGLE_HOP, 0x40, session::NEXT4),
        row("BFD in state Init with poll", router4(), SINGLE_HOP, 0x80 | 0x20, session::NEXT4),
        row("BFD in state AdminDown", router6(), SINGLE_HOP, 0, session::NEXT6),
        row("BFD with the control-plane-independent bit", router4(), SINGLE_HOP, UP | 8, session::NEXT4),
        row("BFD behind a tag", router4().tag(7), SINGLE_HOP, UP, session::NEXT4),
        row("BFD behind IPv4 options", router4().options(&[1; 4]), SINGLE_HOP, UP, session::NEXT4),
        row("BFD over several hops, TTL 255", router4(), MULTIHOP, UP, session::FAR4),
        row("BFD over several hops, the minimum TTL", router4().ttl(250), MULTIHOP, UP, session::FAR4),
        row("BFD over several IPv6 hops", router6().ttl(254), MULTIHOP, UP, session::FAR6),
        row("BFD after the configuration is gone", router4(), SINGLE_HOP, UP, session::NEXT4)
            .meets(Fixture::Unconfigured),
        Row::frame("BFD without a checksum", &plain, recorded.clone())
            .hears_router(session::NEXT4, noted(UP, session::NEXT4)),
        Row::frame("BFD with trailing bytes", &router4().datagram(50_000, SINGLE_HOP, &long), recorded)
            .hears_router(session::NEXT4, noted(UP, session::NEXT4)),
    ]
}

/// Packets of no session.
fn of_another() -> Vec<Row> {
    let row = |name: &str, base: Frame, port, yours| {
        Row::frame(name, &base.datagram(50_000, port, &control(UP, yours)), NOT_OURS)
    };
    vec![
        row("BFD of an unknown session", router4(), SINGLE_HOP, 99),
        row("BFD of session 0", router4(), SINGLE_HOP, 0),
        row("BFD of a single hop to the multihop port", router4(), MULTIHOP, session::NEXT4),
        row("BFD of several hops to the single-hop port", router4(), SINGLE_HOP, session::FAR4),
        row("BFD of a session that is not up", Frame::v4(DOWN_ROUTER4, SELF4).ttl(255), SINGLE_HOP, 0),
        row("BFD over several hops of an unknown session", router4().ttl(250), MULTIHOP, 0),
        row("BFD of an unknown host to another address", Frame::v4(CLIENT4, PLAIN4).ttl(255), SINGLE_HOP, 0),
        row(
            "BFD of an unknown host to another IPv6 address",
            Frame::v6(CLIENT6, PLAIN6).ttl(255),
            MULTIHOP,
            0,
        ),
        row("BFD to another address", Frame::v4(ROUTER4, PLAIN4).ttl(255), SINGLE_HOP, session::NEXT4),
        row("BFD to another IPv6 address", Frame::v6(ROUTER6, PLAIN6).ttl(255), SINGLE_HOP, session::NEXT6),
        row("BFD of the session of another IP version", router6(), SINGLE_HOP, session::NEXT4),
        row("BFD, first fragment", router4().fragment(0, true), SINGLE_HOP, session::NEXT4),
        Row::frame("TCP to the port of BFD", &router4().tcp(50_000, SINGLE_HOP), NOT_OURS),
    ]
}

/// Packets to addresses on which the agent listens, but which it would refuse.
fn of_unknown_peers() -> Vec<Row> {
    let row = |name: &str, base: Frame, port, yours| {
        Row::frame(name, &base.datagram(50_000, port, &control(UP, yours)), refused(Refusal::BfdUnknownPeer))
    };
    let far = |source| Frame::v4(source, SELF4).ttl(253);
    vec![
        row("BFD with TTL 254", router4().ttl(254), SINGLE_HOP, session::NEXT4),
        row("BFD with hop limit 254", router6().ttl(254), SINGLE_HOP, session::NEXT6),
        row("BFD over one hop too many", router4().ttl(249), MULTIHOP, session::FAR4),
        row("BFD over several IPv6 hops, one too many", router6().ttl(253), MULTIHOP, session::FAR6),
        row("BFD from another address", Frame::v4(NODE4, SELF4).ttl(255), SINGLE_HOP, session::NEXT4),
        row("BFD from another IPv6 address", Frame::v6(PLAIN6, SELF6).ttl(255), SINGLE_HOP, session::NEXT6),
        row("BFD of an unknown host", far(CLIENT4), SINGLE_HOP, 0),
        row("BFD of an unknown host over several hops", far(CLIENT4), MULTIHOP, 0),
        row("BFD with TTL 64 of a session that is not up", far(DOWN_ROUTER4).ttl(64), SINGLE_HOP, 0),
        row("BFD over several hops of a router one hop away", far(DOWN_ROUTER4), MULTIHOP, 0),
        Row::frame("noise to the port of BFD", &far(CLIENT4).datagram(9, SINGLE_HOP, b"noise"), {
            refused(Refusal::BfdUnknownPeer)
        }),
    ]
}

fn invalid() -> Vec<Row> {
    let good = control(UP, session::NEXT4);
    let row = |what: &str, payload: &[u8]| {
        let frame = router4().datagram(50_000, SINGLE_HOP, payload);
        Row::frame(format!("BFD {what}"), &frame, NOT_OURS)
    };
    vec![
        row("of version 0", &edited(good.clone(), 0, &[0])),
        row("of version 2", &edited(good.clone(), 0, &[0x40])),
        row("with authentication", &edited(good.clone(), 1, &[UP | 4])),
        row("with the multipoint bit", &edited(good.clone(), 1, &[UP | 1])),
        row("with multiplier 0", &edited(good.clone(), 2, &[0])),
        row("with length 23", &edited(good.clone(), 3, &[23])),
        row("with length 25", &edited(good.clone(), 3, &[25])),
        row("from discriminator 0", &edited(good.clone(), 4, &[0; 4])),
        row("of 23 bytes", &good[..23]),
        row("of no bytes", &[]),
        row("of 20 bytes, padded", &good[..20]).padded(&good[20..]),
        Row::bytes(
            "BFD, truncated",
            router4().datagram(1, SINGLE_HOP, &good).bytes()[..60].to_vec(),
            NOT_OURS,
        ),
        Row::bytes("BFD without ports", router4().datagram(1, SINGLE_HOP, &good).bytes()[..37].to_vec(), {
            refused(Refusal::Truncated)
        }),
    ]
}

/// Returns the frame to its source MAC, with the TTL decremented.
fn back(frame: &Frame) -> Frame {
    let [to, from] = frame.macs;
    Frame { macs: [from, to], ttl: 254, ..frame.clone() }
}

/// The same with addresses and ports swapped.
fn swapped(frame: &Frame) -> Frame {
    let mut swapped = back(frame);
    swapped.addresses = match frame.addresses {
        Addresses::V4(source, destination) => Addresses::V4(destination, source),
        Addresses::V6(source, destination) => Addresses::V6(destination, source),
    };
    if let Upper::Udp(source, destination, _) | Upper::PlainUdp(source, destination, _) = &mut swapped.upper {
        (*source, *destination) = (*destination, *source);
    }
    swapped
}

fn returned() -> Vec<Row> {
    let row = |name: &str, frame: Frame, becomes: fn(&Frame) -> Frame| {
        let sent = becomes(&frame).bytes();
        Row::frame(name, &frame, Expect::Becomes(Action::Transmit, Outcome::BfdEchoReturned, sent))
    };
    let to_itself4 = Frame::v4(ROUTER4, ROUTER4).ttl(255).class(0xc0).datagram(ECHO, ECHO, &[7; 30]);
    let to_itself6 = Frame::v6(ROUTER6, ROUTER6).ttl(255).datagram(ECHO, ECHO, &[7; 30]);
    // RFC 5881 section 4: the source should not be an address of the link.
    let from_loopback4 = Frame::v4(CLIENT4, ROUTER4).ttl(255).datagram(ECHO, ECHO, &[7; 30]);
    let from_loopback6 = Frame::v6(PLAIN6, ROUTER6).ttl(255).datagram(ECHO, ECHO, &[7; 30]);
    let to_us4 = router4().datagram(50_000, ECHO, &[7; 30]);
    let to_us6 = router6().datagram(50_000, ECHO, &[7; 30]);
    vec![
        row("BFD echo to its sender", to_itself4.clone(), back),
        row("BFD echo to its sender over IPv6", to_itself6, back),
        row("BFD echo from another address of its sender", from_loopback4, back),
        row("BFD echo from another IPv6 address of its sender", from_loopback6, back),
        row("BFD echo to this node", to_us4.clone(), swapped),
        row("BFD echo to this node over IPv6", to_us6, swapped),
        row("BFD echo behind two tags", to_itself4.clone().tag(7).tag(8), back),
        row("BFD echo to this node behind a tag", to_us4.tag(7), swapped),
        row("BFD echo behind IPv4 options", to_itself4.clone().options(&[1; 4]), back),
        row("BFD echo without a payload", router4().datagram(ECHO, ECHO, &[]), swapped),
        row("BFD echo without a checksum", router4().plain_datagram(50_000, ECHO, &[1; 9]), swapped),
        row("BFD echo in two buffers", to_itself4.sized(1000), back).split_at(100),
    ]
}

fn not_returned() -> Vec<Row> {
    let row = |name: &str, base: Frame| Row::frame(name, &base.datagram(ECHO, ECHO, &[7; 30]), NOT_OURS);
    vec![
        row("BFD echo on its way back", Frame::v4(SELF4, SELF4).ttl(254)),
        row("BFD echo of this node", Frame::v4(SELF4, SELF4).ttl(255)),
        row("BFD echo to its sender, TTL 254", Frame::v4(ROUTER4, ROUTER4).ttl(254)),
        row("BFD echo to this node, hop limit 254", router6().ttl(254)),
        row("BFD echo of another host", Frame::v4(NODE4, NODE4).ttl(255)),
        row("BFD echo of another host to this node", Frame::v4(NODE4, SELF4).ttl(255)),
        row("BFD echo of a router to another IPv6 address", Frame::v6(ROUTER6, PLAIN6).ttl(255)),
        row("BFD echo, first fragment", router4().fragment(0, true)),
        Row::frame("BFD echo from the port of echoes", &router4().datagram(ECHO, 50_000, &[7; 30]), NOT_OURS),
    ]
}
