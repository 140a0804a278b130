//! GUE to this node: from nodes and from other hosts, valid and invalid.

use lb_common::tag::TagKey;
use lb_common::verdict::Refusal;

use super::{Row, edited};
use crate::packets::build::{Frame, GueFields};
use crate::packets::expect::{NOT_OURS, decapsulated, refused};
use crate::packets::fixture::{
    CLIENT4, CLIENT6, Fixture, HASH_KEY, NODE4, NODE6, PLAIN4, PLAIN6, SELF4, SELF6, TAG_KEYS, VIP4, VIP6,
    node, port, wire_id,
};

const INNER_V4: [u8; 4] = [0, 4, 0, 0];
const INNER_V6: [u8; 4] = [0, 41, 0, 0];

pub(super) fn rows() -> Vec<Row> {
    [taken(), tagged(), not_for_us(), unreadable(), inside(), lengths()].concat()
}

fn inner4() -> Frame {
    Frame::v4(CLIENT4, VIP4).syn(4000, port::NEAR)
}

fn inner6() -> Frame {
    Frame::v6(CLIENT6, VIP6).udp(4000, port::LOCAL)
}

fn over4(header: [u8; 4], inner: &[u8]) -> Frame {
    Frame::v4(NODE4, SELF4).gue(50_000, header, inner)
}

fn over6(header: [u8; 4], inner: &[u8]) -> Frame {
    Frame::v6(NODE6, SELF6).gue(50_000, header, inner)
}

fn taken() -> Vec<Row> {
    let (i4, i6) = (inner4(), inner6());
    let (last_hop, in_options) = (inner4().ttl(1), inner4().options(&[1; 8]));
    let row = |name: &str, outer: Frame, inner: &Frame| Row::frame(name, &outer, decapsulated(&outer, inner));
    let options = [0x94, 4, 0, 0];
    vec![
        row("IPv4 from a node over IPv4", over4(INNER_V4, &i4.ip()), &i4),
        row("IPv6 from a node over IPv4", over4(INNER_V6, &i6.ip()), &i6),
        row("IPv4 from a node over IPv6", over6(INNER_V4, &i4.ip()), &i4),
        row("IPv6 from a node over IPv6", over6(INNER_V6, &i6.ip()), &i6),
        row("GUE behind one tag", over4(INNER_V6, &i6.ip()).tag(5), &i6),
        row("GUE behind two tags", over6(INNER_V4, &i4.ip()).tag_of(0x88a8, 6).tag(5), &i4),
        row("GUE behind outer IPv4 options", over4(INNER_V4, &i4.ip()).options(&options), &i4),
        row(
            "GUE behind outer options and two tags",
            over4(INNER_V4, &i4.ip()).options(&options).tag(1).tag(2),
            &i4,
        ),
        row(
            "GUE behind an outer extension header",
            over6(INNER_V4, &i4.ip()).extension(60, &[0, 0, 1, 4, 0, 0, 0, 0]),
            &i4,
        ),
        row("GUE with five words of options", over4([5, 41, 0, 0], &[vec![0; 20], i6.ip()].concat()), &i6),
        row("GUE with flags", over4([0, 4, 0x12, 0x34], &i4.ip()), &i4),
        row("GUE around a packet on its last hop", over4(INNER_V4, &last_hop.ip()), &last_hop),
        row("GUE around IPv4 options", over4(INNER_V4, &in_options.ip()), &in_options),
        row("GUE on its last hop", over4(INNER_V4, &i4.ip()).ttl(1), &i4),
        row("GUE padded by Ethernet", over4(INNER_V4, &i4.ip()), &i4).padded(&[0; 5]),
        row("GUE in two buffers", over4(INNER_V4, &i4.clone().sized(1400).ip()), &i4.sized(1400))
            .split_at(200),
    ]
}

/// GUE from a node's address, with valid and invalid tags.
fn tagged() -> Vec<Row> {
    let mut rows = Vec::new();
    let fields = GueFields { key: TAG_KEYS[0], marks: 1, home: 5 };
    let forged = TagKey { id: TAG_KEYS[0].id, key: HASH_KEY };
    let list = [wire_id(node::FAR6).to_be_bytes().to_vec(), inner4().ip()].concat();
    let with = |fields, to| Frame::v4(NODE4, SELF4).gue_with(fields, to, 50_000, [1, 4, 0, 0], &list);
    for (name, key) in [("the key in use", TAG_KEYS[0]), ("the other key", TAG_KEYS[1])] {
        let frame = with(GueFields { key, ..fields }, node::SELF);
        rows.push(Row::frame(format!("GUE with a tag of {name}"), &frame, decapsulated(&frame, &inner4())));
    }
    let bad = |name: String, frame: &Frame| Row::frame(name, frame, refused(Refusal::BadTag));
    let good = with(fields, node::SELF).bytes();
    // Behind Ethernet, IPv4, UDP and GUE: key ID, marks, home, zero, four bytes of tag, the list.
    for (at, what) in (46..58)
        .zip(["number", "marks", "home", "zero", "tag", "tag", "tag", "tag", "list", "list", "list", "list"])
    {
        let bytes = edited(good.clone(), at, &[good[at] ^ 1]);
        rows.push(Row::bytes(format!("GUE with byte {at} wrong, of its {what}"), bytes, {
            refused(Refusal::BadTag)
        }));
    }
    let other = Frame::v4(CLIENT4, VIP4).syn(4001, port::NEAR).ip();
    let replaced = [&good[..58], &other].concat();
    let untagged =
        |words: u8, rest: &[u8]| Frame::v4(NODE4, SELF4).untagged_gue(50_000, [words, 4, 0, 0], rest);
    let first = Frame::v4(CLIENT4, VIP4).tcp(4000, port::NEAR).fragment(0, true).sized(68).ip();
    rows.extend([
        Row::bytes("GUE with another packet's tag", replaced, refused(Refusal::BadTag)),
        bad("GUE with a forged tag".into(), &with(GueFields { key: forged, ..fields }, node::SELF)),
        bad("GUE with the tag for another node".into(), &with(fields, node::FAR6)),
        bad("GUE without private data".into(), &untagged(0, &inner4().ip())),
        bad("GUE with one word".into(), &untagged(1, &[vec![0; 4], inner4().ip()].concat())),
        bad("GUE with two words of zeros".into(), &untagged(2, &[vec![0; 8], inner4().ip()].concat())),
        // It records nothing.
        bad("GUE around a first fragment, forged".into(), &untagged(2, &[vec![0; 8], first].concat())),
        bad(
            "GUE over IPv6, forged".into(),
            &Frame::v6(NODE6, SELF6).untagged_gue(1, [0, 41, 0, 0], &inner6().ip()),
        ),
    ]);
    rows
}

fn not_for_us() -> Vec<Row> {
    let inner = inner4().ip();
    let to = |source, destination| Frame::v4(source, destination).gue(50_000, INNER_V4, &inner);
    let to6 = |source, destination| Frame::v6(source, destination).gue(50_000, INNER_V4, &inner);
    vec![
        Row::frame("GUE from an unknown host over IPv4", &to(CLIENT4, SELF4), NOT_OURS),
        Row::frame("GUE from an unknown host over IPv6", &to6(CLIENT6, SELF6), NOT_OURS),
        Row::frame(
            "an answer to a query from the port of GUE",
            &Frame::v4(CLIENT4, SELF4).udp(53, 6080),
            NOT_OURS,
        ),
        Row::frame(
            "an answer to an IPv6 query from the port of GUE",
            &Frame::v6(CLIENT6, SELF6).udp(53, 6080),
            NOT_OURS,
        ),
        Row::frame("GUE to another IPv4 address", &to(NODE4, PLAIN4), NOT_OURS),
        Row::frame("GUE to another IPv6 address", &to6(NODE6, PLAIN6), NOT_OURS),
        Row::frame("TCP to the port of GUE", &Frame::v4(NODE4, SELF4).tcp(1, 6080), NOT_OURS),
        Row::frame("GUE to 0.0.0.0 on a node without an address", &to(CLIENT4, [0; 4]), NOT_OURS)
            .meets(Fixture::Silent),
        Row::frame("GUE to :: on a node without an address", &to6(CLIENT6, [0; 16]), NOT_OURS)
            .meets(Fixture::Silent),
        Row::frame(
            "GUE over IPv4 before the configuration",
            &to(NODE4, SELF4),
            refused(Refusal::NotConfigured),
        )
        .meets(Fixture::Unconfigured),
        Row::frame(
            "GUE over IPv6 before the configuration",
            &to6(NODE6, SELF6),
            refused(Refusal::NotConfigured),
        )
        .meets(Fixture::Unconfigured),
    ]
}

fn unreadable() -> Vec<Row> {
    let inner = inner4().ip();
    let bad = || refused(Refusal::BadGue);
    vec![
        Row::frame("GUE variant 1", &over4([0x40, 4, 0, 0], &inner), bad()),
        Row::frame("GUE variant 3", &over6([0xc0, 4, 0, 0], &inner), bad()),
        Row::frame("GUE control message", &over4([0x20, 4, 0, 0], &inner), bad()),
        Row::frame("GUE around TCP", &over4([0, 6, 0, 0], &inner), bad()),
        Row::frame("GUE around nothing", &over4([0, 0, 0, 0], &[]), bad()),
        Row::frame("GUE without its header", &Frame::v4(NODE4, SELF4).udp(1, 6080).sized(28), bad()),
        Row::frame("GUE with half a header", &Frame::v6(NODE6, SELF6).udp(1, 6080).sized(50), bad()),
        Row::frame(
            "GUE with seven words of options",
            &over4([7, 4, 0, 0], &[vec![0; 28], inner.clone()].concat()),
            bad(),
        ),
        Row::frame(
            "GUE with 31 words of options",
            &over4([31, 4, 0, 0], &[vec![0; 124], inner.clone()].concat()),
            bad(),
        ),
        Row::frame("GUE with options behind its end", &over4([31, 4, 0, 0], &inner), bad()),
        Row::frame("GUE with options to its end", &over4([5, 4, 0, 0], &[0; 20]), bad()),
    ]
}

fn inside() -> Vec<Row> {
    let row =
        |name: &str, header, inner: &[u8], refusal| Row::frame(name, &over4(header, inner), refused(refusal));
    let plain4 = Frame::v4(CLIENT4, PLAIN4).tcp(1, 2).ip();
    let plain6 = Frame::v6(CLIENT6, PLAIN6).tcp(1, 2).ip();
    let unused = Frame::v4(CLIENT4, VIP4).tcp(1, port::UNUSED).ip();
    let twice = over4(INNER_V4, &inner4().ip()).ip();
    let echo = Frame::v4(CLIENT4, VIP4).icmp(8, 0).ip();
    let seven = (0..7).fold(inner6(), |f, _| f.extension(60, &[0; 8])).ip();
    let ringless = Frame::v4(CLIENT4, VIP4).tcp(1, port::RINGLESS).ip();
    vec![
        row("GUE around IPv4 that is for no VIP", INNER_V4, &plain4, Refusal::InnerNotVip),
        row("GUE around IPv6 that is for no VIP", INNER_V6, &plain6, Refusal::InnerNotVip),
        row("GUE around an unused port of a VIP", INNER_V4, &unused, Refusal::InnerNotVip),
        row("GUE around GUE", INNER_V4, &twice, Refusal::InnerNotVip),
        row("GUE around an echo request", INNER_V4, &echo, Refusal::InnerNotVip),
        row("GUE around IPv6 declared as IPv4", INNER_V4, &inner6().ip(), Refusal::BadGue),
        row("GUE around IPv4 declared as IPv6", INNER_V6, &inner4().ip(), Refusal::BadGue),
        row("GUE around seven extension headers", INNER_V6, &seven, Refusal::BadGue),
        row("GUE around a VIP without a ring", INNER_V4, &ringless, Refusal::NoSlot),
        row("GUE around half an IPv4 header", INNER_V4, &inner4().ip()[..10], Refusal::BadGue),
        row("GUE around an IPv4 header", INNER_V4, &inner4().ip()[..20], Refusal::BadGue),
        row("GUE around half an IPv6 header", INNER_V6, &inner6().ip()[..30], Refusal::BadGue),
        row("GUE around a truncated packet", INNER_V4, &inner4().ip()[..44], Refusal::BadLength),
    ]
}

fn lengths() -> Vec<Row> {
    let good = over4(INNER_V4, &inner4().ip()).bytes();
    let good6 = over6(INNER_V4, &inner4().ip()).bytes();
    let bad = || refused(Refusal::BadGue);
    let longer = (good.len() as u16 - 14 + 1).to_be_bytes();
    let longer6 = (good6.len() as u16 - 54 + 1).to_be_bytes();
    vec![
        Row::bytes("GUE over IPv4 with too large a length", edited(good.clone(), 16, &longer), bad()),
        Row::bytes("GUE over IPv4 whose length ends in UDP", edited(good.clone(), 16, &[0, 24]), bad()),
        Row::bytes("GUE over IPv4 whose length ends in its header", edited(good, 16, &[0, 31]), bad()),
        Row::bytes("GUE over IPv6 with too large a length", edited(good6.clone(), 18, &longer6), bad()),
        Row::bytes("GUE over IPv6 whose length ends in UDP", edited(good6, 18, &[0, 4]), bad()),
    ]
}
