//! ICMP errors to the sender of a packet that cannot be forwarded, and packets that get none.

use lb_common::flows::FlowState::Unconfirmed;
use lb_common::verdict::Refusal;

use super::Row;
use crate::model::Packet;
use crate::packets::build::Frame;
use crate::packets::expect::{
    Expect, encapsulated, listed, refused, rewritten, time_exceeded, time_exceeded_readable, too_big,
    too_big_readable,
};
use crate::packets::fixture::{
    CLIENT4, CLIENT6, Fixture, MTU, NODE_MAC, NODE4, ROUTER_MAC, SELF_MAC, SELF4, VIP4, VIP6, node, port,
    wire_id,
};

/// The largest packet to [`node::FAR4`].
const LARGEST: u32 = MTU as u32 - 40;

/// The name of a shape, and a function that gives it to a frame.
type Shape = (&'static str, fn(Frame) -> Frame);

pub(super) fn rows() -> Vec<Row> {
    [literal_messages(), shapes(), in_buffers(), from_nodes(), unanswerable(), of_fragments(), of_errors()]
        .concat()
}

fn v4(port: u16) -> Frame {
    Frame::v4(CLIENT4, VIP4).tcp(4000, port)
}

fn v6(port: u16) -> Frame {
    Frame::v6(CLIENT6, VIP6).tcp(4000, port)
}

fn large(frame: Frame) -> Frame {
    frame.sized(1500)
}

/// Two messages without the builder: every byte as in the RFCs.
fn literal_messages() -> Vec<Row> {
    let (expired, large) = (v4(port::NEAR).ttl(1), large(v6(port::FAR4)));
    let macs = [ROUTER_MAC, SELF_MAC].concat();
    let mut ip = vec![0x45, 0, 0, 28 + 45, 0, 0, 0, 0, 64, 1, 0, 0];
    ip.extend([SELF4, CLIENT4].concat());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum);
    let mut icmp = [[11, 0, 0, 0, 0, 0, 0, 0].as_slice(), expired.ip().as_slice()].concat();
    let sum = checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum);
    let sent4 = [macs.as_slice(), &[8, 0], &ip, &icmp].concat();

    let addresses = [crate::packets::fixture::SELF6, CLIENT6].concat();
    let mut icmp = [&[2, 0, 0, 0, 0, 0, 0x05, 0xb4], &large.ip()[..1232]].concat();
    let sum = checksum(&[&addresses, [0, 0, 0x04, 0xd8, 0, 0, 0, 58].as_slice(), &icmp].concat());
    icmp[2..4].copy_from_slice(&sum);
    let sent6 =
        [macs.as_slice(), &[0x86, 0xdd, 0x60, 0, 0, 0, 0x04, 0xd8, 58, 64], &addresses, &icmp].concat();
    let becomes = |bytes, outcome| Expect::Becomes(crate::model::Action::Transmit, outcome, bytes);
    vec![
        Row::frame("time exceeded, byte by byte", &expired, {
            becomes(sent4, lb_common::verdict::Outcome::TimeExceededSent)
        }),
        Row::frame("packet too big, byte by byte", &large, {
            becomes(sent6, lb_common::verdict::Outcome::TooBigSent)
        }),
    ]
}

/// Returns the checksum of RFC 1071, computed naively.
pub(super) fn checksum(bytes: &[u8]) -> [u8; 2] {
    let low = |word: &[u8]| word.get(1).map_or(0, |low| u32::from(*low));
    let words = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | low(word));
    let sum = words.fold(0, |sum, word| (sum + word) % 0xffff);
    (0xffff - sum as u16).to_be_bytes()
}

fn shapes() -> Vec<Row> {
    let shapes: [Shape; 5] = [
        ("plain", |f| f),
        ("with DSCP", |f| f.class(0xb9)),
        ("behind a tag", |f| f.tag(7)),
        ("behind a priority tag", |f| f.tag(0xe007)),
        ("behind two tags", |f| f.tag_of(0x88a8, 6).tag(7)),
    ];
    let mut rows = Vec::new();
    for (family, base) in [("IPv4", v4 as fn(u16) -> Frame), ("IPv6", v6)] {
        for (shape, with) in shapes {
            let expired = with(base(port::FAR6).ttl(1));
            let (in4, in6) = (with(large(base(port::FAR4))), with(large(base(port::FAR6))));
            let row = |what: &str, frame: &Frame, expect| {
                Row::frame(format!("{family} {shape}, {what}"), frame, expect)
            };
            rows.extend([
                row("time exceeded", &expired, time_exceeded(&expired)),
                row("too big for GUE4", &in4, too_big(&in4, LARGEST)),
                row("too big for GUE6", &in6, too_big(&in6, LARGEST - 20)),
            ]);
        }
    }
    let udp = Frame::v4(CLIENT4, VIP4).datagram(4000, port::NEAR, &[]).ttl(1);
    let udp6 = Frame::v6(CLIENT6, VIP6).datagram(4000, port::NEAR, &[]).ttl(1);
    let may_fragment = Frame { dont_fragment: false, ..large(v4(port::FAR4)) };
    let extended = large(v6(port::FAR4).extension(60, &[0, 0, 1, 4, 0, 0, 0, 0]));
    let list = large(v4(port::TAKEN_OVER));
    rows.extend([
        Row::frame("an empty datagram, time exceeded", &udp, time_exceeded(&udp)),
        Row::frame("an empty IPv6 datagram, time exceeded", &udp6, time_exceeded(&udp6)),
        Row::bytes("an empty datagram in a padded frame, time exceeded", padded(&udp), time_exceeded(&udp)),
        Row::frame("too big, and may be fragmented", &may_fragment, too_big(&may_fragment, LARGEST)),
        Row::frame("too big behind an extension header", &extended, too_big(&extended, LARGEST)),
        Row::frame("too big with a list of asked nodes", &list, too_big(&list, LARGEST - 4))
            .leaves(&[(node::FAR4, Unconfirmed)]),
    ]);
    rows
}

fn padded(frame: &Frame) -> Vec<u8> {
    let mut bytes = frame.bytes();
    bytes.resize(60, 0);
    bytes
}

/// Everything behind the quote is removed, across all buffers.
fn in_buffers() -> Vec<Row> {
    let mut rows = Vec::new();
    for linear in [68, 69, 100, 600, 1500] {
        for (family, frame) in [("IPv4", v4(port::FAR4)), ("IPv6", v6(port::FAR4))] {
            let frame = frame.sized(1600);
            let row = Row::frame(format!("{family} too big, {linear} bytes readable"), &frame, {
                too_big_readable(&frame, LARGEST, linear)
            });
            rows.push(row.split_at(linear));
        }
    }
    let jumbo = v6(port::FAR6).sized(9000).tag(9);
    rows.push(
        Row::frame("9000 bytes too big behind a tag", &jumbo, too_big(&jumbo, LARGEST - 20)).split_at(2048),
    );
    let short = Frame::v4(CLIENT4, VIP4).datagram(4000, port::NEAR, &[0; 80]).ttl(1);
    for linear in 38..42 {
        let row = Row::frame(format!("time exceeded, but {linear} bytes readable"), &short, {
            refused(Refusal::TtlExpired)
        });
        rows.push(row.split_at(linear));
    }
    rows.push(
        Row::frame("time exceeded, the quote just readable", &short, time_exceeded_readable(&short, 42))
            .split_at(42),
    );
    let mut crowded = Row::frame(
        "no headroom left for an ICMP error",
        &v4(port::NEAR).ttl(1),
        refused(Refusal::NoHeadroom),
    );
    crowded.packet.metadata = 200;
    rows.push(crowded);
    rows
}

/// The error about a decapsulated packet goes to the packet's source.
fn from_nodes() -> Vec<Row> {
    let mut rows = Vec::new();
    let asked = [wire_id(node::NEAR)];
    for (family, inner) in [("IPv4", v4(port::TAKEN_OVER)), ("IPv6", v6(port::TAKEN_OVER))] {
        let outer = |inner: &Frame| listed(Frame::v4(NODE4, SELF4), 50_000, &asked, inner);
        let (expired, large) = (inner.clone().ttl(1), large(inner));
        rows.extend([
            Row::frame(
                format!("{family} out of GUE, time exceeded"),
                &outer(&expired),
                time_exceeded(&expired),
            ),
            Row::frame(format!("{family} out of GUE, too big"), &outer(&large), too_big(&large, LARGEST - 8)),
        ]);
    }
    let marked = v4(port::TAKEN_OVER).sized(1500).macs(SELF_MAC, NODE_MAC);
    rows.push(Row::bytes("relayed, too big", marked.bytes_as(0x88b5), too_big(&marked, LARGEST - 8)));
    rows
}

fn unanswerable() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut multicast6 = CLIENT6;
    multicast6[..2].copy_from_slice(&[0xff, 2]);
    let from4 = |source: [u8; 4], port| Frame::v4(source, VIP4).tcp(4000, port);
    let from6 = |source: [u8; 16], port| Frame::v6(source, VIP6).tcp(4000, port);
    let mut both = |what: &str, frame: &dyn Fn(u16) -> Frame, fixture| {
        let (expired, large) = (frame(port::NEAR).ttl(1), large(frame(port::FAR4)));
        rows.extend([
            Row::frame(format!("time exceeded, but {what}"), &expired, refused(Refusal::TtlExpired))
                .meets(fixture),
            Row::frame(format!("too big, but {what}"), &large, refused(Refusal::TooBig)).meets(fixture),
        ]);
    };
    both("the rate limit is reached", &v4, Fixture::Silent);
    both("the rate limit is reached for IPv6", &v6, Fixture::Silent);
    both("without an IPv4 address", &v4, Fixture::Addressless);
    both("without an IPv6 address", &v6, Fixture::Addressless);
    both("from 224.0.0.1", &|port| from4([224, 0, 0, 1], port), Fixture::Standard);
    both("from 255.255.255.255", &|port| from4([255; 4], port), Fixture::Standard);
    both("from 0.0.0.0", &|port| from4([0; 4], port), Fixture::Standard);
    both("from 127.0.0.1", &|port| from4([127, 0, 0, 1], port), Fixture::Standard);
    both("from ::", &|port| from6([0; 16], port), Fixture::Standard);
    both("from ff02::", &|port| from6(multicast6, port), Fixture::Standard);
    both("with IPv4 options", &|port| v4(port).options(&[1; 4]), Fixture::Standard);
    rows
}

/// Only the first fragment of an IPv4 packet is answered.
fn of_fragments() -> Vec<Row> {
    let (first, later) = (v4(port::FAR4).fragment(0, true), v4(port::FAR4).fragment(185, true));
    let one_byte = Frame::v4(CLIENT4, VIP4).raw(6, &[1]).fragment(185, false).ttl(1);
    let after = Packet::new(first.bytes());
    let mut rows = vec![
        Row::frame(
            "first fragment, time exceeded",
            &first.clone().ttl(1),
            time_exceeded(&first.clone().ttl(1)),
        ),
        Row::frame("first fragment, too big", &large(first.clone()), too_big(&large(first), LARGEST)),
        Row::frame("later fragment, its last hop", &later.clone().ttl(1), refused(Refusal::TtlExpired)),
        Row::frame("later fragment, too big", &large(later), refused(Refusal::TooBig)),
        Row::frame("later fragment of a byte, its last hop", &one_byte, refused(Refusal::TtlExpired)),
    ];
    for row in &mut rows[2..] {
        row.before = vec![after.clone()];
    }
    rows
}

/// No error is sent about an error.
fn of_errors() -> Vec<Row> {
    let error4 = |port| {
        let quote = Frame::v4(VIP4, CLIENT4).tcp(port, 4000).ip();
        Frame::v4([10, 0, 0, 1], VIP4).message(3, 4, &[&[0; 4], &quote[..28]].concat())
    };
    let error6 = |port| {
        let quote = Frame::v6(VIP6, CLIENT6).tcp(port, 4000).ip();
        Frame::v6(CLIENT6, VIP6).message(2, 0, &[&[0; 4], quote.as_slice()].concat())
    };
    let mut rows = Vec::new();
    for (family, error) in [("ICMP", &error4 as &dyn Fn(u16) -> Frame), ("ICMPv6", &error6)] {
        let near = error(port::NEAR).ttl(2);
        let far = error(port::FAR4).sized(LARGEST as usize);
        rows.extend([
            Row::frame(
                format!("{family} error, TTL 1"),
                &error(port::NEAR).ttl(1),
                refused(Refusal::TtlExpired),
            ),
            Row::frame(format!("{family} error, TTL 2"), &near, rewritten(&near, node::NEAR)),
            Row::frame(format!("{family} error, TTL 1, in GUE"), &error(port::FAR4).ttl(1), {
                refused(Refusal::TtlExpired)
            }),
            Row::frame(
                format!("{family} error, too big"),
                &large(error(port::FAR4)),
                refused(Refusal::TooBig),
            ),
            Row::frame(format!("{family} error, of the largest size"), &far, encapsulated(&far, node::FAR4)),
        ]);
    }
    rows
}
