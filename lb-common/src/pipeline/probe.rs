//! S-BFD (RFC 7880, RFC 7881): probes of peers are reflected, and their answers to ours noted.
//!
//! Both are between nodes of the cluster only. What comes from anybody else passes: the host may speak S-BFD
//! on its own account.

use super::decapsulate::{Sender, sender};
use super::{Family, NOT_OURS, Packet, configured};
use crate::frame::Frame;
use crate::maps::{CONFIG_DRAINING, LIVENESS_ADMIN_DOWN, LIVENESS_UP, Liveness};
use crate::tables::Tables;
use crate::verdict::{Forward, Outcome, Refusal};
use crate::wire::{bfd, checksum, ethernet, ip};

/// TTL and hop limit of S-BFD packets (RFC 7881 section 4).
const TTL: u8 = 255;

/// A probe to this node's reflector: sent back with this node's state.
#[inline(always)]
pub(super) fn reflect<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &Packet,
) -> Result<Forward, Refusal> {
    let config = configured(tables)?;
    let Sender::Peer(_) = sender(frame, tables, config, packet) else { return NOT_OURS };
    let probe = probe(frame, packet)?;
    // An answer has no demand bit. Were it reflected, two reflectors could be made to answer each other for
    // ever (RFC 7880 appendix A).
    let asks = (probe.head >> 16) as u8 & bfd::DEMAND != 0;
    if probe.yours != config.id || !asks {
        return Err(Refusal::BadProbe);
    }
    let state = if config.flags & CONFIG_DRAINING == 0 { bfd::UP } else { bfd::ADMIN_DOWN };
    answer(frame, packet.l4, probe, state)?;
    match packet.family {
        Family::V4 => turn_v4(frame, packet.l3)?,
        Family::V6 => turn_v6(frame, packet.l3)?,
    }
    let macs = frame.view_mut::<{ ethernet::MACS }>(0).ok_or(Refusal::Truncated)?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = *macs;
    *macs = [s0, s1, s2, s3, s4, s5, d0, d1, d2, d3, d4, d5];
    Ok(Forward::Transmit(Outcome::ProbeReflected))
}

/// A peer's answer to this node's probe: the time is noted, and what it says of itself.
#[inline(always)]
pub(super) fn note<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &Packet,
) -> Result<Forward, Refusal> {
    let config = configured(tables)?;
    let Sender::Peer(node) = sender(frame, tables, config, packet) else { return NOT_OURS };
    let probe = probe(frame, packet)?;
    let meant = probe.yours == u32::from(config.probe_nonce) << 16 | u32::from(node);
    let state = match (probe.head >> 16) as u8 & bfd::STATE_MASK {
        bfd::UP => LIVENESS_UP,
        bfd::ADMIN_DOWN => LIVENESS_ADMIN_DOWN,
        _ => return Err(Refusal::BadProbe),
    };
    if !meant {
        return Err(Refusal::BadProbe);
    }
    tables.note_liveness(node, Liveness { last_seen: tables.clock(), state });
    Ok(Forward::Consume(Outcome::ProbeAnswered))
}

/// The first twelve bytes of a control packet. As numbers: the verifier wants them aligned on the stack.
#[derive(Clone, Copy)]
pub(super) struct Probe {
    pub(super) head: u32,
    mine: u32,
    pub(super) yours: u32,
}

/// Reads the control packet behind the UDP header and judges it as far as that needs no session.
#[inline(always)]
pub(super) fn probe<F: Frame>(frame: &F, packet: &Packet) -> Result<Probe, Refusal> {
    let bytes = frame.view::<{ bfd::LENGTH }>(packet.l4 + ip::UDP_HEADER).ok_or(Refusal::BadProbe)?;
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let probe = Probe { head: word(0), mine: word(4), yours: word(8) };
    // It must not say that it is longer than what carries it (RFC 5880 section 6.8.6).
    let end = packet.l4 - packet.l3 + ip::UDP_HEADER + bytes[3] as usize;
    let sound = bfd::is_sound(probe.head.to_be_bytes(), probe.mine) && end as u32 <= packet.length;
    if sound { Ok(probe) } else { Err(Refusal::BadProbe) }
}

/// Turns the ports and the discriminators round and writes the state; no diagnostic, the poll answered by a
/// final (RFC 7880 section 7.2.2). The sum changes only where the first two bytes do: it does not mind that
/// ports and discriminators change places.
#[inline(always)]
fn answer<F: Frame>(frame: &mut F, udp: usize, probe: Probe, state: u8) -> Result<(), Refusal> {
    let old = ((probe.head >> 16) as u16).to_be_bytes();
    let new = [bfd::VERSION, state | bfd::FINAL];
    let header = frame.view_mut::<{ ip::UDP_HEADER }>(udp).ok_or(Refusal::BadProbe)?;
    let [s0, s1, d0, d1, l0, l1, c0, c1] = *header;
    // Zero means that there is no sum; zero as a sum is written as all ones (RFC 768).
    let [c0, c1] = match checksum::update([c0, c1], old, new) {
        _ if [c0, c1] == [0, 0] => [0, 0],
        [0, 0] => [0xff, 0xff],
        sum => sum,
    };
    *header = [d0, d1, s0, s1, l0, l1, c0, c1];
    let at = udp + ip::UDP_HEADER;
    *frame.view_mut::<2>(at).ok_or(Refusal::BadProbe)? = new;
    *frame.view_mut::<4>(at + 4).ok_or(Refusal::BadProbe)? = probe.yours.to_be_bytes();
    *frame.view_mut::<4>(at + 8).ok_or(Refusal::BadProbe)? = probe.mine.to_be_bytes();
    Ok(())
}

#[inline(always)]
fn turn_v4<F: Frame>(frame: &mut F, l3: usize) -> Result<(), Refusal> {
    let fields = frame.view_mut::<12>(l3 + 8).ok_or(Refusal::Truncated)?;
    let [ttl, protocol, c0, c1, s0, s1, s2, s3, d0, d1, d2, d3] = *fields;
    let [c0, c1] = checksum::update([c0, c1], [ttl, protocol], [TTL, protocol]);
    *fields = [TTL, protocol, c0, c1, d0, d1, d2, d3, s0, s1, s2, s3];
    Ok(())
}

#[inline(always)]
fn turn_v6<F: Frame>(frame: &mut F, l3: usize) -> Result<(), Refusal> {
    // Hop limit and both addresses, in one piece from an offset that is a multiple of eight.
    let header = frame.view_mut::<40>(l3).ok_or(Refusal::Truncated)?;
    header[7] = TTL;
    let (_, addresses) = header.split_at_mut(8);
    let (source, destination) = addresses.split_at_mut(16);
    for (a, b) in source.chunks_exact_mut(8).zip(destination.chunks_exact_mut(8)) {
        a.swap_with_slice(b);
    }
    Ok(())
}
