//! The Ethernet header of a packet: its EtherType, and whether it is addressed to this node.

use lb_common::wire::ethernet;

use crate::frame::Frame;
use crate::tables::Tables;

/// Returns EtherType and offset of the network header behind up to two tags; `None` if the frame is too short
/// or has more tags.
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

/// Returns whether the frame is addressed to its ingress interface. A switch floods frames to an unknown MAC
/// to all nodes, which would all forward them.
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
    // The agent may not have written the interface yet.
    tables.link(ingress).is_none_or(|link| link.mac_word() == destination)
}
