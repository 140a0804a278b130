//! S-BFD: probes of other nodes, replies to this node's probes, and other packets.
#![allow(clippy::expect_used, reason = "a frame that cannot be made is a mistake in the table")]

mod standing;

use lb_common::maps::{LIVENESS_ADMIN_DOWN, LIVENESS_UP, Liveness};
use lb_common::tag::{self, ProbeWords, TagKey, probe_tag};
use lb_common::verdict::{Outcome, Refusal};
use lb_common::wire::bfd;

use super::{Row, edited};
use crate::model::Action;
use crate::packets::build::{Addresses, Frame, Upper};
use crate::packets::expect::{Expect, NOT_OURS, refused};
use crate::packets::fixture::{
    CLIENT4, CLIENT6, CLOCK, Fixture, HASH_KEY, LIVENESS_LIMIT, NODE4, NODE6, PLAIN4, PLAIN6, SELF4, SELF6,
    TAG_KEYS, discriminator, node, wire_id,
};

const PORT: u16 = 7784;
const UP: u8 = 0xc0;
const ADMIN_DOWN: u8 = 0;
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const DEMAND: u8 = 0x02;
const AUTHENTICATED: u8 = 0x04;
/// State and flags of a probe.
const PROBE: u8 = UP | POLL | DEMAND;
/// State and flags of an answer.
const ANSWER: u8 = UP | FINAL;
const SELF: u32 = wire_id(node::SELF);
/// Another node's discriminator.
const MINE: u32 = 0x0102_0304;

pub(super) fn rows() -> Vec<Row> {
    [
        reflected(),
        not_reflected(),
        invalid(),
        forged(),
        recorded(),
        not_recorded(),
        stale(),
        of_others(),
        standing::rows(),
    ]
    .concat()
}

/// Builds a control packet with a tag of the current key and the current time.
fn control(flags: u8, mine: u32, yours: u32) -> Vec<u8> {
    signed(bare(flags, mine, yours), TAG_KEYS[0], CLOCK)
}

/// Builds a control packet without a tag.
fn bare(flags: u8, mine: u32, yours: u32) -> Vec<u8> {
    let intervals = [50_000u32, 0, 0];
    let words = [mine, yours].into_iter().chain(intervals).flat_map(u32::to_be_bytes);
    [0x20, flags, 3, 24].into_iter().chain(words).collect()
}

/// Adds an authentication section, its bit and its length to a packet.
fn signed(mut packet: Vec<u8>, key: TagKey, sequence: u32) -> Vec<u8> {
    packet.truncate(24);
    packet[1] |= AUTHENTICATED;
    packet[3] = 40;
    let word = |at: usize| [packet[at], packet[at + 1], packet[at + 2], packet[at + 3]];
    let section = [254, 16, key.id, 0];
    let words = ProbeWords {
        head: word(0),
        section,
        mine: u32::from_be_bytes(word(4)),
        yours: u32::from_be_bytes(word(8)),
        sequence,
    };
    let tag = probe_tag(&key.key, words);
    [&packet[..], &section, &sequence.to_be_bytes(), &tag.to_be_bytes()].concat()
}

fn node4() -> Frame {
    Frame::v4(NODE4, SELF4).ttl(255)
}

fn node6() -> Frame {
    Frame::v6(NODE6, SELF6).ttl(255)
}

fn probe(base: Frame) -> Frame {
    base.datagram(50_000, PORT, &control(PROBE, MINE, SELF))
}

/// The frame sent back, with this state.
fn reflection(frame: &Frame, state: u8) -> Expect {
    reflection_of(frame, 0, state)
}

/// The frame sent back, with this diagnostic and state.
fn reflection_of(frame: &Frame, diagnostic: u8, state: u8) -> Expect {
    let [to, from] = frame.macs;
    let mut answer = Frame { macs: [from, to], ttl: 255, ..frame.clone() };
    answer.addresses = match frame.addresses {
        Addresses::V4(source, destination) => Addresses::V4(destination, source),
        Addresses::V6(source, destination) => Addresses::V6(destination, source),
    };
    if let Upper::Udp(source, destination, payload) | Upper::PlainUdp(source, destination, payload) =
        &mut answer.upper
    {
        (*source, *destination) = (*destination, *source);
        let (mine, yours) = (payload[4..8].to_vec(), payload[8..12].to_vec());
        payload[..2].copy_from_slice(&[0x20 | diagnostic, state | FINAL]);
        payload[4..8].copy_from_slice(&yours);
        payload[8..12].copy_from_slice(&mine);
        let key = TAG_KEYS.into_iter().find(|key| key.id == payload[26]).expect("a key of the cluster");
        let sequence = u32::from_be_bytes([payload[28], payload[29], payload[30], payload[31]]);
        let behind = payload.split_off(40);
        *payload = [signed(payload.clone(), key, sequence), behind].concat();
    }
    Expect::Becomes(Action::Transmit, Outcome::ProbeReflected, answer.bytes())
}

fn reflected() -> Vec<Row> {
    let up = |name: &str, frame: Frame| Row::frame(name, &frame, reflection(&frame, UP));
    let plain = |base: Frame| base.plain_datagram(50_000, PORT, &control(PROBE, MINE, SELF));
    let diagnosed = signed(edited(bare(PROBE, MINE, SELF), 0, &[0x27]), TAG_KEYS[0], CLOCK);
    let of_old_key = signed(bare(PROBE, MINE, SELF), TAG_KEYS[1], CLOCK);
    let of_other_clock = signed(bare(PROBE, MINE, SELF), TAG_KEYS[0], !CLOCK);
    let long = [control(PROBE, MINE, SELF), vec![0x77; 9]].concat();
    let mut rows = vec![
        up("probe", probe(node4())),
        up("IPv6 probe", probe(node6())),
        up("probe without a checksum", plain(node4())),
        up("IPv6 probe without a checksum", plain(node6())),
        up("probe behind a tag", probe(node4().tag(4))),
        up("IPv6 probe behind two tags", probe(node6().tag(4).tag(5))),
        up("probe that has come far", probe(node4().ttl(3))),
        up("IPv6 probe that has come far", probe(node6().ttl(3))),
        up("probe with DSCP", probe(node4().class(0xc0))),
        up("probe behind options", probe(node4().options(&[1; 4]))),
        up("IPv6 probe behind an extension header", probe(node6().extension(60, &[0, 0, 1, 4, 0, 0, 0, 0]))),
        up("probe with a diagnostic", node4().datagram(50_000, PORT, &diagnosed)),
        up("probe without poll", node4().datagram(50_000, PORT, &control(UP | DEMAND, MINE, SELF))),
        up("probe in state Down", node4().datagram(50_000, PORT, &control(0x40 | DEMAND, MINE, SELF))),
        up("probe with more behind it", node4().datagram(50_000, PORT, &long)),
        up("probe from port 7784", node4().datagram(PORT, PORT, &control(PROBE, MINE, SELF))),
        up("probe with the other key's tag", node4().datagram(50_000, PORT, &of_old_key)),
        up("probe by another node's clock", node6().datagram(50_000, PORT, &of_other_clock)),
        up("probe padded", probe(node4())).padded(&[0; 3]),
        up("probe whose answer has the sum zero", sums_to_zero(node4())),
        up("IPv6 probe whose answer has the sum zero", sums_to_zero(node6())),
    ];
    for (name, frame) in
        [("probe of a draining node", probe(node4())), ("IPv6 probe of a draining node", probe(node6()))]
    {
        rows.push(Row::frame(name, &frame, reflection(&frame, ADMIN_DOWN)).meets(Fixture::Draining));
    }
    for (name, frame) in [
        ("probe of a node that leaves", probe(node4())),
        ("IPv6 probe of a node that leaves", probe(node6())),
    ] {
        let expected = reflection_of(&frame, bfd::ANNOUNCER | bfd::LEAVES, ADMIN_DOWN);
        rows.push(Row::frame(name, &frame, expected).meets(Fixture::Leaving));
    }
    rows
}

/// A probe whose answer's checksum is zero, which is written as all ones.
fn sums_to_zero(base: Frame) -> Frame {
    let at = base.bytes().len() + 6;
    (0..=u16::MAX)
        .map(|low| {
            // The tag does not cover the intervals.
            let probe = edited(control(PROBE, MINE, SELF), 22, &low.to_be_bytes());
            base.clone().datagram(50_000, PORT, &probe)
        })
        .find(|frame| match reflection(frame, UP) {
            Expect::Becomes(_, _, answer) => answer[at..at + 2] == [0xff; 2],
            _ => false,
        })
        .expect("one in 65,536")
}

fn not_reflected() -> Vec<Row> {
    let bad = |name: &str, flags, yours| {
        Row::frame(
            name,
            &node4().datagram(50_000, PORT, &control(flags, MINE, yours)),
            refused(Refusal::BadProbe),
        )
    };
    vec![
        bad("probe of another reflector", PROBE, wire_id(node::NEAR)),
        bad("probe of discriminator 0", PROBE, 0),
        bad("answer to the port of probes", ANSWER, SELF),
        bad("probe to many", PROBE | 0x01, SELF),
        Row::frame("probe before the configuration", &probe(node4()), refused(Refusal::NotConfigured))
            .meets(Fixture::Unconfigured),
    ]
}

/// Probes and answers.
fn invalid() -> Vec<Row> {
    let mut rows = Vec::new();
    let kinds =
        [("probe", PROBE, SELF, 50_000, PORT), ("answer", ANSWER, discriminator(node::FAR4), PORT, 50_000)];
    for (kind, flags, yours, source, destination) in kinds {
        let good = control(flags, MINE, yours);
        let mut row = |what: &str, payload: &[u8]| {
            let frame = node4().datagram(source, destination, payload);
            rows.push(Row::frame(format!("{kind} {what}"), &frame, refused(Refusal::BadProbe)));
        };
        row("of version 0", &edited(good.clone(), 0, &[0x00]));
        row("of version 2", &edited(good.clone(), 0, &[0x40]));
        row("with length 23", &edited(good.clone(), 3, &[23]));
        row("with length 41", &edited(good.clone(), 3, &[41]));
        row("with multiplier 0", &edited(good.clone(), 2, &[0]));
        row("from discriminator 0", &edited(good.clone(), 4, &[0; 4]));
        row("of 23 bytes", &good[..23]);
        row("without the section that it announces", &good[..24]);
        row("without the last byte", &good[..39]);
        row("of no bytes", &[]);
        // The Ethernet frame may be longer than the packet in it.
        let frame = node4().datagram(source, destination, &good[..20]);
        rows.push(
            Row::frame(format!("{kind} of 20 bytes, padded"), &frame, refused(Refusal::BadProbe))
                .padded(&good[20..]),
        );
    }
    rows
}

/// Packets forged with a node's address.
fn forged() -> Vec<Row> {
    let mut rows = Vec::new();
    let kinds = [
        ("probe", PROBE, SELF, 50_000, PORT),
        ("answer", ANSWER, discriminator(node::FAR4), PORT, 50_000),
        ("answer of a draining node", FINAL, discriminator(node::FAR4), PORT, 50_000),
    ];
    for (kind, flags, yours, source, destination) in kinds {
        let good = control(flags, MINE, yours);
        let forged_key = TagKey { id: TAG_KEYS[0].id, key: HASH_KEY };
        let mut row = |what: &str, payload: &[u8]| {
            let frame = node4().datagram(source, destination, payload);
            rows.push(Row::frame(format!("{kind} {what}"), &frame, refused(Refusal::BadTag)));
            let frame = node6().datagram(source, destination, payload);
            rows.push(Row::frame(format!("{kind} over IPv6 {what}"), &frame, refused(Refusal::BadTag)));
        };
        row("without a tag", &bare(flags, MINE, yours));
        row("without a tag, and something behind it", &[bare(flags, MINE, yours), vec![0; 16]].concat());
        row("with length 25", &edited(good.clone(), 3, &[25]));
        row("with a tag that it does not announce", &edited(good.clone(), 1, &[flags]));
        row("with a tag of another kind", &edited(good.clone(), 24, &[253]));
        row("with a section of another length", &edited(good.clone(), 25, &[15]));
        row("with something in the reserved byte", &edited(good.clone(), 27, &[1]));
        row("with the number of the other key", &edited(good.clone(), 26, &[TAG_KEYS[1].id]));
        row("with the number of no key", &edited(good.clone(), 26, &[77]));
        row("with a forged tag", &signed(bare(flags, MINE, yours), forged_key, CLOCK));
        row("of another moment", &edited(good.clone(), 28, &(CLOCK + 1).to_be_bytes()));
        row("with another state", &edited(good.clone(), 1, &[good[1] ^ 0xc0]));
        row("from another discriminator", &edited(good.clone(), 7, &[good[7] ^ 1]));
        row("to another discriminator", &edited(good.clone(), 11, &[good[11] ^ 1]));
        for at in 32..40 {
            row(&format!("with byte {at} of its tag wrong"), &edited(good.clone(), at, &[good[at] ^ 1]));
        }
    }
    rows
}

/// Answers that are too old, or older than one already received.
fn stale() -> Vec<Row> {
    let frame = |flags, sequence| {
        let yours = discriminator(node::FAR4);
        node4().datagram(PORT, 50_000, &signed(bare(flags, MINE, yours), TAG_KEYS[0], sequence))
    };
    let row =
        |name: &str, flags, sequence| Row::frame(name, &frame(flags, sequence), refused(Refusal::StaleProbe));
    let recorded = |name: &str, flags, sequence, state| {
        Row::frame(name, &frame(flags, sequence), Expect::Consumed(Outcome::ProbeAnswered))
            .hears_at(node::FAR4, Liveness { last_seen: sequence, state })
    };
    let oldest = CLOCK - LIVENESS_LIMIT + 1;
    vec![
        row("answer to a probe after which a node is dead", ANSWER, oldest - 1),
        row("answer to a probe of long ago", ANSWER, 0),
        row("answer to a probe that has not been sent", ANSWER, CLOCK + 1),
        recorded("answer to the oldest probe that counts", FINAL, oldest, LIVENESS_ADMIN_DOWN),
        recorded("answer after some time", ANSWER, CLOCK - 5, LIVENESS_UP),
        row("answer of a draining node, overtaken", FINAL, CLOCK - 1)
            .after(&[&frame(ANSWER, CLOCK)])
            .hears(node::FAR4, LIVENESS_UP),
        recorded("answer sent again", ANSWER, CLOCK, LIVENESS_UP).after(&[&frame(ANSWER, CLOCK)]),
    ]
}

fn answer(base: Frame, flags: u8, yours: u32) -> Frame {
    base.datagram(PORT, 50_000, &control(flags, MINE, yours))
}

fn recorded() -> Vec<Row> {
    let row = |name: &str, frame: Frame, node, state| {
        Row::frame(name, &frame, Expect::Consumed(Outcome::ProbeAnswered)).hears(node, state)
    };
    let (to4, to6) = (discriminator(node::FAR4), discriminator(node::FAR6));
    let plain = node4().plain_datagram(PORT, 50_000, &control(ANSWER, MINE, to4));
    let of_old_key = node4().datagram(PORT, 50_000, &signed(bare(ANSWER, MINE, to4), TAG_KEYS[1], CLOCK));
    vec![
        row("answer", answer(node4(), ANSWER, to4), node::FAR4, LIVENESS_UP),
        row("IPv6 answer", answer(node6(), ANSWER, to6), node::FAR6, LIVENESS_UP),
        row(
            "answer of a draining node",
            answer(node4(), ADMIN_DOWN | FINAL, to4),
            node::FAR4,
            LIVENESS_ADMIN_DOWN,
        ),
        row(
            "answer of a draining node over IPv6",
            answer(node6(), FINAL, to6),
            node::FAR6,
            LIVENESS_ADMIN_DOWN,
        ),
        row("answer without a checksum", plain, node::FAR4, LIVENESS_UP),
        row("answer without final", answer(node4(), UP, to4), node::FAR4, LIVENESS_UP),
        row("answer with the other key's tag", of_old_key, node::FAR4, LIVENESS_UP),
        row("answer behind a tag", answer(node4().tag(2), ANSWER, to4), node::FAR4, LIVENESS_UP),
        row("answer that has come far", answer(node4().ttl(1), ANSWER, to4), node::FAR4, LIVENESS_UP),
        row("answer, after that of a draining node", answer(node4(), ANSWER, to4), node::FAR4, LIVENESS_UP)
            .after(&[&answer(node4(), FINAL, to4)]),
    ]
}

fn not_recorded() -> Vec<Row> {
    let bad = |name: &str, flags, yours| {
        Row::frame(name, &answer(node4(), flags, yours), refused(Refusal::BadProbe))
    };
    let of_before = tag::discriminator(1, node::FAR4);
    vec![
        bad("answer to another agent's probe", ANSWER, of_before),
        bad("answer for another node", ANSWER, discriminator(node::FAR6)),
        bad("reply to discriminator zero", ANSWER, 0),
        bad("answer in state Down", 0x40 | FINAL, discriminator(node::FAR4)),
        bad("answer in state Init", 0x80 | FINAL, discriminator(node::FAR4)),
        Row::frame("answer before the configuration", &answer(node4(), ANSWER, discriminator(node::FAR4)), {
            refused(Refusal::NotConfigured)
        })
        .meets(Fixture::Unconfigured),
    ]
}

/// The host may run S-BFD of its own.
fn of_others() -> Vec<Row> {
    let payload = control(PROBE, MINE, SELF);
    let mut rows = Vec::new();
    for (kind, source, destination) in [("probe", 50_000, PORT), ("answer", PORT, 50_000)] {
        let mut row = |what: &str, base: Frame, fixture| {
            let frame = base.datagram(source, destination, &payload);
            rows.push(Row::frame(format!("{kind} {what}"), &frame, NOT_OURS).meets(fixture));
        };
        row("of an unknown host", Frame::v4(CLIENT4, SELF4), Fixture::Standard);
        row("of an unknown host over IPv6", Frame::v6(CLIENT6, SELF6), Fixture::Standard);
        row("of a node to another address", Frame::v4(NODE4, PLAIN4), Fixture::Standard);
        row("of a node to another IPv6 address", Frame::v6(NODE6, PLAIN6), Fixture::Standard);
        row("of a node to 0.0.0.0, without an address", Frame::v4(NODE4, [0; 4]), Fixture::Silent);
        row("of a node to ::, without an address", Frame::v6(NODE6, [0; 16]), Fixture::Silent);
        row("of a node, a first fragment", node4().fragment(0, true), Fixture::Standard);
        rows.push(Row::frame(
            format!("TCP on the ports of a {kind}"),
            &node4().tcp(source, destination),
            NOT_OURS,
        ));
    }
    rows
}
