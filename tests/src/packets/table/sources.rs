//! Clients inside and outside the source ranges of a Service.

use lb_common::flows::FlowState;
use lb_common::verdict::{Outcome, Refusal};

use super::Row;
use super::echo::answer;
use crate::packets::build::{Addresses, Frame, chunk};
use crate::packets::expect::{
    Expect, LOCAL, decapsulated, encapsulated, opened, port_unreachable, refused, rewritten,
};
use crate::packets::fixture::{
    CLIENT4, CLIENT6, Fixture, NODE_MAC, NODE4, QUIET4, SELF_MAC, SELF4, VIP4, VIP6, node, port,
};

/// A client, and whether most ports, [`port::NEAR_SECOND`] and [`port::FAR4_SECOND`] admit it.
type Client = (Addresses, [bool; 3]);

/// The name of a protocol, and a function that makes a frame carry it to a port.
type Protocol = (&'static str, fn(Frame, u16) -> Frame);

/// The name of a port, its index in [`Client`], the port, and the result for an admitted frame.
type Service = (&'static str, usize, u16, fn(&Frame) -> Expect);

const SERVICES: [Service; 5] = [
    ("rewritten", 0, port::NEAR, |frame| rewritten(frame, node::NEAR)),
    ("in GUE4", 0, port::FAR4, |frame| encapsulated(frame, node::FAR4)),
    ("in GUE6", 0, port::FAR6, |frame| encapsulated(frame, node::FAR6)),
    ("with other ranges", 1, port::NEAR_SECOND, |frame| rewritten(frame, node::NEAR_SECOND)),
    ("open to IPv4", 2, port::FAR4_SECOND, |frame| encapsulated(frame, node::FAR4_SECOND)),
];

pub(super) fn rows() -> Vec<Row> {
    let groups = [
        clients(),
        no_client(),
        owned(),
        early(),
        fragments(),
        errors(),
        echoes(),
        undeclared(),
        from_nodes(),
    ];
    groups.concat().into_iter().map(|row| row.meets(Fixture::Sources)).collect()
}

fn refusal() -> Expect {
    refused(Refusal::SourceRefused)
}

fn v4(client: [u8; 4]) -> Frame {
    Frame::v4(client, VIP4)
}

fn v6(client: [u8; 16]) -> Frame {
    Frame::v6(client, VIP6)
}

fn host6(net: u8, host: u8) -> [u8; 16] {
    let mut address = CLIENT6;
    (address[5], address[15]) = (net, host);
    address
}

/// Clients inside, at the boundaries and outside.
fn from() -> Vec<Client> {
    let v4 = |client, admitted| (Addresses::V4(client, VIP4), admitted);
    let v6 = |client, admitted| (Addresses::V6(client, VIP6), admitted);
    let mapped4 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9];
    vec![
        v4(CLIENT4, [true, false, true]),
        v4([203, 0, 113, 8], [true, false, true]),
        v4([203, 0, 113, 15], [true, false, true]),
        v4([203, 0, 113, 7], [false, false, true]),
        v4([203, 0, 113, 16], [false, false, true]),
        v4([203, 0, 113, 200], [false, true, true]),
        v4([203, 0, 113, 201], [false, false, true]),
        v4([198, 18, 0, 0], [false, true, true]),
        v4([198, 19, 255, 255], [false, true, true]),
        v4([198, 20, 0, 0], [false, false, true]),
        v4([75, 0, 113, 9], [false, false, true]),
        v4([10, 0, 0, 1], [false, false, true]),
        v6(CLIENT6, [true, false, false]),
        v6(host6(0xc, 8), [true, false, false]),
        v6(host6(0xc, 15), [true, false, false]),
        v6(host6(0xc, 7), [false, false, false]),
        v6(host6(0xc, 16), [false, false, false]),
        v6(host6(0xd, 255), [false, true, false]),
        v6(host6(0xe, 9), [false, false, false]),
        // An IPv4 range admits no IPv6 packet, except from an IPv4-mapped address, which no link has.
        v6(mapped4, [true, false, true]),
    ]
}

fn frame((addresses, _): &Client) -> Frame {
    match addresses {
        Addresses::V4(client, vip) => Frame::v4(*client, *vip),
        Addresses::V6(client, vip) => Frame::v6(*client, *vip),
    }
}

/// Every client with every Service and protocol.
fn clients() -> Vec<Row> {
    let protocols: [Protocol; 5] = [
        ("TCP", |frame, port| frame.tcp(4000, port)),
        ("a connection", |frame, port| frame.syn(4000, port)),
        ("UDP", |frame, port| frame.udp(4000, port)),
        ("SCTP", |frame, port| frame.sctp(4000, port, chunk::DATA)),
        ("tagged UDP", |frame, port| frame.udp(4000, port).tag(7)),
    ];
    let mut rows = Vec::new();
    for client in from() {
        for (protocol, of) in protocols {
            for (way, place, port, becomes) in SERVICES {
                let packet = of(frame(&client), port);
                let expect = if client.1[place] { becomes(&packet) } else { refusal() };
                rows.push(Row::frame(
                    format!("{protocol} of {:?} to a Service {way}", client.0),
                    &packet,
                    expect,
                ));
            }
        }
    }
    rows
}

/// A VIP without ranges and without a counter.
fn no_client() -> Vec<Row> {
    let row = |name: &str, frame: &Frame| Row::frame(name, frame, refusal());
    vec![
        row("TCP to a Service that admits no client", &v4(CLIENT4).tcp(4000, port::UNCOUNTED)),
        row("IPv6 UDP to a Service that admits no client", &v6(CLIENT6).udp(4000, port::UNCOUNTED)),
    ]
}

/// Flows that their owner serves, and flows that it no longer serves since their client is excluded.
fn owned() -> Vec<Row> {
    let mut rows = Vec::new();
    for (family, base, other) in
        [("IPv4", v4(CLIENT4), v4([203, 0, 113, 16])), ("IPv6", v6(CLIENT6), v6(host6(0xe, 9)))]
    {
        let open = base.clone().syn(4000, port::LOCAL);
        let data = base.clone().tcp(4000, port::LOCAL);
        rows.extend([
            Row::frame(format!("{family} connection of an admitted client here"), &open, LOCAL)
                .leaves(&[(node::SELF, FlowState::HalfOpen)]),
            Row::frame(format!("{family} data of an admitted client here"), &data, LOCAL)
                .after(&[&open])
                .leaves(&[(node::SELF, FlowState::Open)]),
            Row::frame(
                format!("{family} connection of an excluded client here"),
                &other.clone().syn(4000, port::LOCAL),
                refusal(),
            ),
            Row::frame(
                format!("{family} data of an excluded client to a former leader"),
                &other.tcp(4000, port::TAKEN_OVER),
                refusal(),
            ),
        ]);
    }
    rows
}

/// An excluded client gets no answer: the refusal comes before any answer.
fn early() -> Vec<Row> {
    let other = || v4([203, 0, 113, 16]);
    let other6 = || v6(host6(0xe, 9));
    let row = |name: &str, frame: &Frame| Row::frame(name, frame, refusal());
    vec![
        row("the last hop of an excluded client", &other().tcp(4000, port::NEAR).ttl(1)),
        row("the last hop of an excluded IPv6 client", &other6().tcp(4000, port::NEAR).ttl(1)),
        row("too much for GUE of an excluded client", &other().udp(4000, port::FAR4).sized(1500)),
        row("an excluded client and no live node", &other().udp(4000, port::DEAD)),
        row("an excluded client and no ring", &other().udp(4000, port::RINGLESS)),
    ]
}

fn fragments() -> Vec<Row> {
    let mut rows = Vec::new();
    let other = [203, 0, 113, 16];
    let first = |client, port| v4(client).udp(4000, port).id(9).fragment(0, true);
    let later = |client, to, id| Frame::v4(client, to).raw(17, &[0xff; 64]).id(id).fragment(100, true);
    let ours = first(CLIENT4, port::NEAR);
    rows.extend([
        Row::frame("first fragment of an admitted client", &ours, rewritten(&ours, node::NEAR)),
        Row::frame("later fragment of an admitted client", &later(CLIENT4, VIP4, 9), {
            rewritten(&later(CLIENT4, VIP4, 9), node::NEAR)
        })
        .after(&[&ours]),
        Row::frame("fragment before its first of an admitted client", &later(CLIENT4, VIP4, 9), LOCAL),
        Row::frame("first fragment of an excluded client", &first(other, port::NEAR), refusal()),
        Row::frame("later fragment of an excluded client", &later(other, VIP4, 9), refusal())
            .after(&[&first(other, port::NEAR)]),
        Row::frame("fragment before its first of an excluded client", &later(other, VIP4, 9), refusal()),
        Row::frame("fragment of an excluded client to a VIP that is open", &later(other, QUIET4, 9), {
            rewritten(&later(other, QUIET4, 9), node::NEAR)
        }),
    ]);
    // The address admits the clients of all its Services; the Service itself does not.
    let second = [198, 18, 0, 1];
    rows.extend([
        Row::frame("fragment before its first of another Service's client", &later(second, VIP4, 9), LOCAL),
        Row::frame("later fragment of another Service's client", &later(second, VIP4, 9), refusal())
            .after(&[&first(second, port::NEAR)]),
    ]);
    let part = |frame: Frame, offset: u16, more: u8| {
        let [a, b] = (offset << 3).to_be_bytes();
        frame.extension(44, &[0, 0, a, b | more, 0, 0, 0, 9])
    };
    let first6 = |client| part(v6(client).udp(4000, port::NEAR), 0, 1);
    let later6 = |client| part(v6(client).raw(17, &[0xff; 64]), 100, 0);
    let (ours, other) = (CLIENT6, host6(0xe, 9));
    rows.extend([
        Row::frame("IPv6 first fragment of an admitted client", &first6(ours), {
            rewritten(&first6(ours), node::NEAR)
        }),
        Row::frame("IPv6 last fragment of an admitted client", &later6(ours), {
            rewritten(&later6(ours), node::NEAR)
        })
        .after(&[&first6(ours)]),
        Row::frame("IPv6 fragment before its first of an admitted client", &later6(ours), LOCAL),
        Row::frame("IPv6 first fragment of an excluded client", &first6(other), refusal()),
        Row::frame("IPv6 last fragment of an excluded client", &later6(other), refusal())
            .after(&[&first6(other)]),
        Row::frame("IPv6 fragment before its first of an excluded client", &later6(other), refusal()),
    ]);
    rows
}

/// The client is the destination of the quoted packet, not the router that sends the error.
fn errors() -> Vec<Row> {
    let mut rows = Vec::new();
    let router = [10, 0, 0, 1];
    let about4 = |source, client, protocol_of: fn(Frame) -> Frame| {
        let sent = protocol_of(Frame::v4(VIP4, client));
        Frame::v4(source, VIP4).message(3, 4, &[&[0; 4], &sent.ip()[..28]].concat())
    };
    let about6 = |source, client, protocol_of: fn(Frame) -> Frame| {
        let sent = protocol_of(Frame::v6(VIP6, client));
        Frame::v6(source, VIP6).message(2, 0, &[&[0; 4], &sent.ip()[..48]].concat())
    };
    let tcp: fn(Frame) -> Frame = |frame| frame.tcp(port::NEAR, 4000);
    let udp: fn(Frame) -> Frame = |frame| frame.udp(port::NEAR, 4000);
    for (name, of) in [("TCP", tcp), ("UDP", udp)] {
        let inside = [about4(router, CLIENT4, of), about6(host6(0xe, 1), CLIENT6, of)];
        let outside = [about4(CLIENT4, router, of), about6(CLIENT6, host6(0xe, 1), of)];
        for (family, frame) in ["ICMP", "ICMPv6"].into_iter().zip(&inside) {
            let what = format!("{family} error of a router about {name} to an admitted client");
            rows.push(Row::frame(what, frame, rewritten(frame, node::NEAR)));
        }
        for (family, frame) in ["ICMP", "ICMPv6"].into_iter().zip(&outside) {
            let what = format!("{family} error of an admitted client about {name} to an excluded one");
            rows.push(Row::frame(what, frame, refusal()));
        }
    }
    rows
}

/// Echo requests are answered for clients that any Service on the address admits.
fn echoes() -> Vec<Row> {
    let row = |name: &str, request: Frame| Row::frame(name, &request, answer(&request));
    let not = |name: &str, request: Frame| Row::frame(name, &request, refusal());
    vec![
        row("echo request of an admitted client", v4(CLIENT4).icmp(8, 0)),
        row("echo request of a client of one Service", v4([198, 18, 0, 1]).icmp(8, 0)),
        row("ICMPv6 echo request of an admitted client", v6(CLIENT6).icmp(128, 0)),
        not("echo request of an excluded client", v4([203, 0, 113, 16]).icmp(8, 0)),
        not("ICMPv6 echo request of an excluded client", v6(host6(0xe, 9)).icmp(128, 0)),
    ]
}

/// The same rule as for echo requests.
fn undeclared() -> Vec<Row> {
    let row = |name: &str, frame: Frame| Row::frame(name, &frame, port_unreachable(&frame));
    let not = |name: &str, frame: Frame| Row::frame(name, &frame, refusal());
    vec![
        row("an undeclared port of a VIP, of an admitted client", v4(CLIENT4).udp(4000, port::UNUSED)),
        row(
            "an undeclared port of a VIP, of a client of one Service",
            v4([198, 18, 0, 1]).tcp(4000, port::UNUSED),
        ),
        row("an undeclared port of an IPv6 VIP, of an admitted client", v6(CLIENT6).tcp(4000, port::UNUSED)),
        not(
            "an undeclared port of a VIP, of an excluded client",
            v4([203, 0, 113, 16]).udp(4000, port::UNUSED),
        ),
        not(
            "an undeclared port of an IPv6 VIP, of an excluded client",
            v6(host6(0xe, 9)).syn(4000, port::UNUSED),
        ),
    ]
}

/// Packets from another node are checked again: it may have older ranges.
fn from_nodes() -> Vec<Row> {
    let mut rows = Vec::new();
    let inner = [("IPv4", v4(CLIENT4), v4([203, 0, 113, 16])), ("IPv6", v6(CLIENT6), v6(host6(0xe, 9)))];
    for (family, ours, other) in inner {
        let of = |frame: Frame| frame.syn(4000, port::LOCAL);
        let (ours, other) = (of(ours), of(other));
        let number = if ours.is_v4() { 4 } else { 41 };
        let gue = |frame: &Frame| Frame::v4(NODE4, SELF4).gue(50_000, [0, number, 0, 0], &frame.ip());
        let ipip = |frame: &Frame| Frame::v4(NODE4, SELF4).raw(number, &frame.ip());
        let relayed = |frame: &Frame| frame.clone().macs(SELF_MAC, NODE_MAC);
        rows.extend([
            Row::frame(format!("{family} of an admitted client in GUE"), &gue(&ours), {
                decapsulated(&gue(&ours), &ours)
            }),
            Row::frame(format!("{family} of an excluded client in GUE"), &gue(&other), refusal()),
            Row::frame(format!("{family} of an admitted client in IP"), &ipip(&ours), {
                decapsulated(&ipip(&ours), &ours)
            }),
            Row::frame(format!("{family} of an excluded client in IP"), &ipip(&other), refusal()),
            Row::bytes(
                format!("{family} of an admitted client, relayed"),
                relayed(&ours).bytes_as(0x88b5),
                opened(&relayed(&ours), &ours, Outcome::Decapsulated),
            )
            .after(&[&gue(&ours)]),
            Row::bytes(
                format!("{family} of an excluded client, relayed"),
                relayed(&other).bytes_as(0x88b5),
                refusal(),
            ),
            Row::frame(
                format!("{family} of an excluded client from a node's MAC"),
                &relayed(&other),
                refusal(),
            ),
        ]);
    }
    rows
}
