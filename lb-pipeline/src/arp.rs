//! ARP requests for a VIP, which its announcer answers.

use lb_common::verdict::{Outcome, Refusal};
use lb_common::wire::{arp, ethernet};

use crate::announcer::is_announced_here;
use crate::frame::Frame;
use crate::link_layer::is_addressed_here;
use crate::packet::PacketInfo;
use crate::subprograms::TableSubprograms;
use crate::tables::configured;
use crate::verdict::{Forward, NOT_OURS, Verdict};

/// Processes an ARP packet.
///
/// # Errors
/// [`Refusal::ArpNotAnswered`], [`Refusal::NotConfigured`].
#[inline(always)]
pub fn judge_arp<F: Frame, T: TableSubprograms>(
    frame: &mut F,
    tables: &T,
    described: &PacketInfo,
) -> Verdict {
    let l3 = described.l3;
    let Some(packet) = frame.view::<{ arp::LENGTH }>(l3) else { return NOT_OURS };
    if packet[..8] != arp::REQUEST {
        return NOT_OURS;
    }
    let sender = [packet[14], packet[15], packet[16], packet[17]];
    let vip = [packet[24], packet[25], packet[26], packet[27]];
    let mut asker = [0; 6];
    asker.copy_from_slice(&packet[8..14]);
    let Some(announcer) = tables.arp(&vip) else { return NOT_OURS };
    // A gratuitous ARP (sender is target) needs no answer.
    if sender == vip {
        return NOT_OURS;
    }
    let link = tables.link(frame.ingress()).ok_or(Refusal::NotConfigured)?;
    let Some([first, ..]) = frame.view::<{ ethernet::MACS }>(0) else { return NOT_OURS };
    if !ethernet::is_group(*first) && !is_addressed_here(frame, tables) {
        return NOT_OURS;
    }
    // Of several uplinks on a LAN, one answers: the sender would use the last of two replies.
    let config = configured(tables)?;
    let is_here = || is_announced_here(tables, config, announcer, |node| tables.announcer_state(node));
    if !announcer.answers_on(link) || !is_here() {
        return Err(Refusal::ArpNotAnswered);
    }
    tables.count_l2(announcer.number);
    answer(frame, l3, Answer { mac: link.mac, vip, asker, sender })
}

struct Answer {
    mac: [u8; 6],
    vip: [u8; 4],
    asker: [u8; 6],
    sender: [u8; 4],
}

#[inline(always)]
fn answer<F: Frame>(frame: &mut F, l3: usize, a: Answer) -> Verdict {
    let packet = frame.view_mut::<{ arp::LENGTH }>(l3).ok_or(Refusal::Truncated)?;
    packet[..8].copy_from_slice(&arp::REPLY);
    packet[8..14].copy_from_slice(&a.mac);
    packet[14..18].copy_from_slice(&a.vip);
    packet[18..24].copy_from_slice(&a.asker);
    packet[24..28].copy_from_slice(&a.sender);
    let macs = frame.view_mut::<{ ethernet::MACS }>(0).ok_or(Refusal::Truncated)?;
    macs[..6].copy_from_slice(&a.asker);
    macs[6..].copy_from_slice(&a.mac);
    Ok(Forward::Transmit(Outcome::ArpAnswered))
}
