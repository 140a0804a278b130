//! The node's other traffic, which passes unmodified.

use super::Row;
use crate::packets::build::{Arp, BROADCAST, Frame, Upper, ethernet};
use crate::packets::expect::NOT_OURS;
use crate::packets::fixture::{
    CLIENT4, CLIENT6, PLAIN4, PLAIN6, QUIET4, ROUTER_MAC, SELF_MAC, VIP4, VIP6, port,
};

pub(super) fn rows() -> Vec<Row> {
    [ports(), protocols(), links()].concat()
}

fn ports() -> Vec<Row> {
    let row = |name: &str, frame: Frame| Row::frame(name, &frame, NOT_OURS);
    vec![
        row("TCP to a VIP's port on another address", Frame::v4(CLIENT4, PLAIN4).tcp(4000, port::NEAR)),
        row("IPv6 TCP to a VIP's port on another address", Frame::v6(CLIENT6, PLAIN6).tcp(4000, port::NEAR)),
        row(
            "TCP to a VIP's port on another VIP that is open",
            Frame::v4(CLIENT4, QUIET4).tcp(4000, port::NEAR),
        ),
        row("TCP from a VIP's address and port", Frame::v4(VIP4, CLIENT4).tcp(port::NEAR, 4000)),
        row("TCP on its last hop to another address", Frame::v4(CLIENT4, PLAIN4).tcp(1, 2).ttl(1)),
        row("VXLAN", Frame::v4(CLIENT4, PLAIN4).udp(50_000, 4789)),
        row("VXLAN around a VIP's packet", vxlan()),
        row("BFD", Frame::v4(CLIENT4, PLAIN4).udp(50_000, 3784).ttl(255)),
        row("DHCP", Frame::v4([0; 4], [255; 4]).udp(68, 67).macs(BROADCAST, ROUTER_MAC)),
    ]
}

fn vxlan() -> Frame {
    let inner = Frame::v4(CLIENT4, VIP4).tcp(4000, port::NEAR).bytes();
    let mut frame = Frame::v4(CLIENT4, PLAIN4).udp(50_000, 4789);
    if let Upper::Udp(.., payload) = &mut frame.upper {
        *payload = [[8, 0, 0, 0, 0, 0, 1, 0].as_slice(), &inner].concat();
    }
    frame
}

fn protocols() -> Vec<Row> {
    let inner = Frame::v4(CLIENT4, VIP4).tcp(4000, port::NEAR).ip();
    let ports = [0x0f, 0xa0, 0x1f, 0x41, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut rows = Vec::new();
    for (name, number) in [("IGMP", 2), ("ESP", 50), ("AH", 51), ("VRRP", 112), ("UDP-Lite", 136)] {
        rows.push(Row::frame(
            format!("{name} to a VIP"),
            &Frame::v4(CLIENT4, VIP4).raw(number, &ports),
            NOT_OURS,
        ));
        rows.push(Row::frame(
            format!("{name} to an IPv6 VIP"),
            &Frame::v6(CLIENT6, VIP6).raw(number, &ports),
            NOT_OURS,
        ));
    }
    let igmp = Frame::v4(CLIENT4, [224, 0, 0, 22]).raw(2, &[0x22; 8]).options(&[0x94, 4, 0, 0]).ttl(1);
    rows.push(Row::frame("IGMP with a router alert", &igmp, NOT_OURS));
    rows.push(Row::frame("IP in IP to a VIP", &Frame::v4(CLIENT4, VIP4).raw(4, &inner), NOT_OURS));
    rows.push(Row::frame(
        "GRE around a VIP's packet",
        &Frame::v4(CLIENT4, PLAIN4).raw(47, &[&[0, 0, 8, 0], inner.as_slice()].concat()),
        NOT_OURS,
    ));
    rows
}

fn links() -> Vec<Row> {
    let macs = [SELF_MAC, ROUTER_MAC];
    let vip = Frame::v4(CLIENT4, VIP4).tcp(4000, port::NEAR);
    let mut rows = vec![
        Row::frame("three tags", &vip.clone().tag(1).tag(2).tag(3), NOT_OURS),
        Row::frame("the obsolete double tag 0x9100", &vip.clone().tag_of(0x9100, 1), NOT_OURS),
        Row::frame("the obsolete double tag inside", &vip.clone().tag(1).tag_of(0x9100, 1), NOT_OURS),
        Row::bytes("802.3 with a length field", ethernet(macs, &[], 52, &vip.ip()), NOT_OURS),
        Row::bytes(
            "PPPoE session",
            ethernet(macs, &[], 0x8864, &[&[0x11, 0, 0, 1, 0, 47, 0, 0x21], vip.ip().as_slice()].concat()),
            NOT_OURS,
        ),
        Row::bytes("an empty Ethernet frame of no known type", ethernet(macs, &[], 0xffff, &[]), NOT_OURS),
        Row::bytes("ARP typed as IPv4", ethernet(macs, &[], 0x0801, &Arp::request(VIP4).payload()), NOT_OURS),
    ];
    for (name, ether_type) in [
        ("MPLS", 0x8847),
        ("LLDP", 0x88cc),
        ("LACP", 0x8809),
        ("EAPOL", 0x888e),
        ("local experimental", 0x88b5),
        ("PTP", 0x88f7),
        ("MACsec", 0x88e5),
    ] {
        rows.push(Row::bytes(name, ethernet(macs, &[], ether_type, &vip.ip()), NOT_OURS));
    }
    rows
}
