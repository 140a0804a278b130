//! ARP: requests, and the node that answers them.

use lb_common::verdict::{Outcome, Refusal};

use super::{Row, edited};
use crate::model::Action;
use crate::packets::build::{Arp, ethernet};
use crate::packets::expect::{Expect, NOT_OURS, refused};
use crate::packets::fixture::{Fixture, OTHER_MAC, OTHER_UPLINK4, PLAIN4, QUIET4, SELF_MAC, VIP4};

pub(super) fn rows() -> Vec<Row> {
    [answered(), passed()].concat()
}

fn answer(request: &Arp, tags: &[(u16, u16)]) -> Expect {
    let reply = Arp::reply(request, SELF_MAC).bytes(tags);
    Expect::Becomes(Action::Transmit, Outcome::ArpAnswered, reply)
}

fn answered() -> Vec<Row> {
    let request = Arp::request(VIP4);
    let row = |name: &str, request: Arp| Row::bytes(name, request.bytes(&[]), answer(&request, &[]));
    let unicast = Arp { macs: [SELF_MAC, request.macs[1]], ..request };
    let multicast = Arp { macs: [[1, 0, 0x5e, 0, 0, 1], request.macs[1]], ..request };
    let probe = Arp { sender: (request.sender.0, [0; 4]), ..request };
    let proxied = Arp { macs: [request.macs[0], OTHER_MAC], ..request };
    let named = Arp { target: (SELF_MAC, VIP4), ..request };
    let (one, two) = ([(0x8100, 100)], [(0x88a8, 9), (0x8100, 100)]);
    vec![
        row("ARP request", request),
        row("ARP request to this node alone", unicast),
        row("ARP request to a multicast MAC", multicast),
        row("ARP probe from 0.0.0.0", probe),
        row("ARP request relayed by another MAC", proxied),
        row("ARP request that names a MAC", named),
        row("ARP request padded", request).padded(&[0; 18]),
        Row::bytes("ARP request behind a tag", request.bytes(&one), answer(&request, &one)),
        Row::bytes("ARP request behind two tags", request.bytes(&two), answer(&request, &two)),
    ]
}

fn passed() -> Vec<Row> {
    let request = Arp::request(VIP4);
    let row = |name: &str, arp: Arp, expect| Row::bytes(name, arp.bytes(&[]), expect);
    let edit = |name: &str, at: usize, new: &[u8]| {
        Row::bytes(name, edited(request.bytes(&[]), 14 + at, new), NOT_OURS)
    };
    let to_other = Arp { macs: [OTHER_MAC, request.macs[1]], ..request };
    let foreign = Arp { macs: [OTHER_MAC, request.macs[1]], ..Arp::request(QUIET4) };
    vec![
        row("ARP request for another node's VIP", Arp::request(QUIET4), refused(Refusal::ArpNotAnswered)),
        row("ARP request for another node's VIP, to that node", foreign, NOT_OURS),
        row(
            "ARP request on another uplink of the LAN",
            Arp::request(OTHER_UPLINK4),
            refused(Refusal::ArpNotAnswered),
        ),
        row("ARP request for no VIP", Arp::request(PLAIN4), NOT_OURS),
        row("ARP request to another MAC", to_other, NOT_OURS),
        row("ARP reply", Arp { operation: 2, ..request }, NOT_OURS),
        row("ARP reply that announces the VIP", Arp { operation: 2, ..Arp::gratuitous(VIP4) }, NOT_OURS),
        row("ARP announcement of the VIP", Arp::gratuitous(VIP4), NOT_OURS),
        row("ARP request before the configuration", request, refused(Refusal::NotConfigured))
            .meets(Fixture::Unconfigured),
        row("ARP request for no VIP before the configuration", Arp::request(PLAIN4), NOT_OURS)
            .meets(Fixture::Unconfigured),
        edit("ARP for another hardware type", 0, &[0, 6]),
        edit("ARP for another protocol", 2, &[0x86, 0xdd]),
        edit("ARP with another hardware length", 4, &[8]),
        edit("ARP with another protocol length", 5, &[16]),
        edit("reverse ARP request", 6, &[0, 3]),
        Row::bytes("ARP request behind three tags", request.bytes(&[(0x8100, 1); 3]), NOT_OURS),
        Row::bytes("ARP without a packet", ethernet(request.macs, &[], 0x0806, &[]), NOT_OURS),
    ]
}
