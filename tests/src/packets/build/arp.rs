//! ARP packets.

use etherparse::{ArpEthIpv4Packet, ArpOperation};

use super::ethernet;
use crate::packets::fixture::{CLIENT4, Mac, OTHER_MAC, ROUTER_MAC};

/// The broadcast MAC.
pub const BROADCAST: Mac = [0xff; 6];

/// An ARP packet in an Ethernet frame.
#[derive(Clone, Copy, Debug)]
pub struct Arp {
    /// Destination and source of the frame.
    pub macs: [Mac; 2],
    /// 1 request, 2 reply.
    pub operation: u16,
    /// The sender's addresses.
    pub sender: (Mac, [u8; 4]),
    /// The target's addresses.
    pub target: (Mac, [u8; 4]),
}

impl Arp {
    /// Builds a broadcast request for `target`, from the client's address and the router's MAC.
    pub const fn request(target: [u8; 4]) -> Self {
        Self {
            macs: [BROADCAST, ROUTER_MAC],
            operation: 1,
            sender: (ROUTER_MAC, CLIENT4),
            target: ([0; 6], target),
        }
    }

    /// Builds the reply to a request, with this MAC for the target.
    pub const fn reply(request: &Self, mac: Mac) -> Self {
        Self {
            macs: [request.sender.0, mac],
            operation: 2,
            sender: (mac, request.target.1),
            target: request.sender,
        }
    }

    /// Builds a gratuitous request that announces `address` at the MAC of another host.
    pub const fn gratuitous(address: [u8; 4]) -> Self {
        Self { sender: (OTHER_MAC, address), ..Self::request(address) }
    }

    /// Returns the bytes of the packet without Ethernet.
    pub fn payload(&self) -> Vec<u8> {
        ArpEthIpv4Packet {
            operation: ArpOperation(self.operation),
            sender_mac: self.sender.0,
            sender_ipv4: self.sender.1,
            target_mac: self.target.0,
            target_ipv4: self.target.1,
        }
        .to_bytes()
        .to_vec()
    }

    /// Returns the bytes of the frame with these VLAN tags.
    pub fn bytes(&self, tags: &[(u16, u16)]) -> Vec<u8> {
        ethernet(self.macs, tags, 0x0806, &self.payload())
    }
}
