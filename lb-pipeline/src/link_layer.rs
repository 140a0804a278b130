//! The Ethernet header of a packet: what it carries, and whether it is for this node.

use lb_common::wire::ethernet;

use crate::frame::Frame;
use crate::tables::Tables;

/// EtherType and offset of what the Ethernet header and up to two tags carry; `None` where the frame ends
/// before, or has more tags.
#[inline(always)]
pub(crate) fn network_header<F: Frame>(frame: &F) -> Option<([u8; 2], usize)> {
    let header = frame.view::<{ ethernet::HEADER }>(0)?;
    let mut ether_type = [header[12], header[13]];
    let mut at = ethernet::HEADER;
    for _ in 0..ethernet::MAX_TAGS {
        if !ethernet::is_tag(ether_type) {
            break;
        }
        let tag = frame.view::<{ ethernet::TAG }>(at)?;
        ether_type = [tag[2], tag[3]];
        at += ethernet::TAG;
    }
    Some((ether_type, at))
}

/// Whether the frame is addressed to the interface that it came in by. A switch that does not know a MAC floods its
/// frames to all nodes, and each that took them for its own would forward them once more.
#[inline(always)]
pub(crate) fn is_addressed_here<F: Frame, T: Tables>(frame: &F, tables: &T) -> bool {
    // As numbers: arrays of bytes would take up the stack.
    let Some(first) = frame.view::<8>(0) else { return false };
    let destination = u64::from_le_bytes(*first) & ethernet::MAC_MASK;
    let Some(config) = tables.config() else { return true };
    let ingress = frame.ingress();
    if let Some(mac) = config.uplink_mac(ingress) {
        return mac == destination;
    }
    // Of an interface that the agent has not told of yet nothing is known.
    tables.link(ingress).is_none_or(|link| link.mac_word() == destination)
}
