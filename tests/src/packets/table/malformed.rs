//! Packets for a VIP whose headers contradict each other or the frame.

use lb_common::verdict::{Outcome, Refusal};

use super::{Row, edited};
use crate::model::Action;
use crate::packets::build::{Frame, ethernet};
use crate::packets::expect::{Expect, port_unreachable, refused, rewritten};
use crate::packets::fixture::{CLIENT4, CLIENT6, ROUTER_MAC, SELF_MAC, VIP4, VIP6, node, port};

pub(super) fn rows() -> Vec<Row> {
    [headers(), lengths_v4(), lengths_v6(), transport()].concat()
}

fn v4() -> Frame {
    Frame::v4(CLIENT4, VIP4).tcp(4000, port::NEAR)
}

fn v6() -> Frame {
    Frame::v6(CLIENT6, VIP6).tcp(4000, port::NEAR)
}

fn headers() -> Vec<Row> {
    let bad = || refused(Refusal::BadIpHeader);
    let mut rows: Vec<Row> = (0..5)
        .map(|words| {
            let bytes = edited(v4().bytes(), 14, &[0x40 | words]);
            Row::bytes(format!("IPv4 header of {words} words"), bytes, bad())
        })
        .collect();
    let whole =
        |name: &str, first: u8, frame: Frame| Row::bytes(name, edited(frame.bytes(), 14, &[first]), bad());
    rows.extend([
        whole("IPv4 with version 6", 0x65, v4()),
        whole("IPv4 with version 0", 0x05, v4()),
        whole("IPv6 with version 4", 0x45, v6()),
        whole("IPv6 with version 15", 0xf0, v6()),
        Row::bytes(
            "IPv4 header whose length ends behind the frame",
            edited(v4().sized(44).bytes(), 14, &[0x4f]),
            refused(Refusal::Truncated),
        ),
        Row::bytes("IPv4 typed as IPv6", ethernet([SELF_MAC, ROUTER_MAC], &[], 0x86dd, &v4().ip()), bad()),
        Row::bytes("IPv6 typed as IPv4", ethernet([SELF_MAC, ROUTER_MAC], &[], 0x0800, &v6().ip()), bad()),
    ]);
    rows
}

fn lengths_v4() -> Vec<Row> {
    let bad = || refused(Refusal::BadLength);
    let total = v4().ip().len() as u16;
    let says = |name: &str, length: u16, frame: Frame| {
        Row::bytes(name, edited(frame.bytes(), 16, &length.to_be_bytes()), bad())
    };
    let udp = Frame::v4(CLIENT4, VIP4).udp(4000, port::FAR4);
    vec![
        says("IPv4 with a length one byte too large", total + 1, v4()),
        says("IPv4 with length 65535", u16::MAX, v4()),
        says("IPv4 with length 0", 0, v4()),
        says("IPv4 with a length of half a header", 10, v4()),
        says("IPv4 with a length of only the header", 20, v4()),
        says("IPv4 that ends inside of TCP", 39, v4()),
        says("IPv4 that ends inside of UDP", 27, udp),
        says("IPv4 that ends inside of TCP behind options", 43, v4().options(&[1; 4])),
        Row::frame("IPv4 with a bare TCP header", &v4().sized(40), rewritten(&v4().sized(40), node::NEAR)),
        says("IPv4 in two buffers with too large a length", 3001, v4().sized(3000)).split_at(200),
    ]
}

fn lengths_v6() -> Vec<Row> {
    let bad = || refused(Refusal::BadLength);
    let payload = v6().ip().len() as u16 - 40;
    let says = |name: &str, length: u16, frame: Frame| {
        Row::bytes(name, edited(frame.bytes(), 18, &length.to_be_bytes()), bad())
    };
    vec![
        says("IPv6 with a length one byte too large", payload + 1, v6()),
        says("IPv6 with length 65535", u16::MAX, v6()),
        says("IPv6 jumbogram", 0, v6()),
        says("IPv6 that ends inside of TCP", 19, v6()),
        says("IPv6 that ends inside of UDP", 7, Frame::v6(CLIENT6, VIP6).udp(4000, port::FAR4)),
        says("IPv6 that ends inside of TCP behind options", 27, v6().extension(60, &[0; 8])),
        Row::bytes(
            "IPv6 with an extension header that ends behind the frame",
            edited(v6().extension(60, &[0; 8]).bytes(), 55, &[0xff]),
            refused(Refusal::Truncated),
        ),
    ]
}

/// The lengths in transport headers are not checked: that is the server's task.
fn transport() -> Vec<Row> {
    let tcp = edited(v4().bytes(), 14 + 20 + 12, &[0x00]);
    let sent = Frame { macs: macs_to_near(), ..v4().ttl(63) };
    let udp = Frame::v4(CLIENT4, VIP4).udp(4000, port::NEAR);
    let udp_sent = Frame { macs: macs_to_near(), ..udp.clone().ttl(63) };
    let ports_zero = Frame::v4(CLIENT4, VIP4).tcp(0, 0);
    let becomes = |bytes| Expect::Becomes(Action::Transmit, Outcome::ForwardedL2, bytes);
    vec![
        Row::bytes("TCP with data offset 0", tcp, becomes(edited(sent.bytes(), 14 + 20 + 12, &[0x00]))),
        Row::bytes(
            "UDP with a wrong length",
            edited(udp.bytes(), 14 + 20 + 4, &[0xff, 0xff]),
            becomes(edited(udp_sent.bytes(), 14 + 20 + 4, &[0xff, 0xff])),
        ),
        Row::frame("TCP from port 0 to port 0", &ports_zero, port_unreachable(&ports_zero)),
    ]
}

const fn macs_to_near() -> [[u8; 6]; 2] {
    [[0x02, 0, 0, 0, 2, node::NEAR as u8], SELF_MAC]
}
