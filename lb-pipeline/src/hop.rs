//! The next hop of a packet: MAC addresses, TTL, interface.

use lb_common::maps::Node;
use lb_common::verdict::{Outcome, Refusal};
use lb_common::wire::ethernet;
use lb_common::wire::ip::{self, Family};

use crate::frame::Frame;
use crate::packet::PacketInfo;
use crate::verdict::Forward;

/// Sends the packet out of the interface to the node.
#[inline(always)]
pub(crate) fn out<F: Frame>(frame: &F, node: &Node, outcome: Outcome) -> Forward {
    if node.ifindex == frame.ingress() {
        Forward::Transmit(outcome)
    } else {
        Forward::Redirect(outcome, node.ifindex)
    }
}

/// Returns destination and source MAC of a frame to the next hop of `node`.
#[inline(always)]
pub(crate) const fn macs_to(node: &Node) -> [u8; ethernet::MACS] {
    let ([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]) = (node.next_hop_mac, node.source_mac);
    [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5]
}

/// Decrements TTL or hop limit, so that a packet in a loop expires (RFC 1812 section 5.3.1, RFC 8200 section
/// 3).
#[inline(always)]
pub(crate) fn decrement_ttl<F: Frame>(frame: &mut F, packet: &PacketInfo) -> Result<(), Refusal> {
    match packet.family {
        Family::V4 => {
            // TTL, protocol, header checksum.
            let fields = frame.view_mut::<4>(packet.l3 + ip::v4::TTL).ok_or(Refusal::Truncated)?;
            if fields[0] <= 1 {
                return Err(Refusal::TtlExpired);
            }
            *fields = ip::with_ttl(*fields, fields[0] - 1);
        }
        Family::V6 => {
            let [hop_limit] = frame.view_mut::<1>(packet.l3 + ip::v6::HOP_LIMIT).ok_or(Refusal::Truncated)?;
            if *hop_limit <= 1 {
                return Err(Refusal::TtlExpired);
            }
            *hop_limit -= 1;
        }
    }
    Ok(())
}
