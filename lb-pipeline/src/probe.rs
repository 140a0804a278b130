//! S-BFD (RFC 7880, RFC 7881): reflects probes of other nodes, and records their replies.
//!
//! Both are exchanged between nodes only, and carry a tag that only nodes can make in an authentication
//! section ([`lb_common::wire::bfd::TAG_SECTION`]). Packets from other addresses pass: the host may use S-BFD
//! itself. Packets from a node's address without a valid tag are dropped.
//!
//! A probe carries its send time, and the reply returns it. The node counts as alive since that time, not
//! since the reply arrived, so a delayed or replayed reply has no effect.

use lb_common::hash::HashKey;
use lb_common::maps::{
    Config, LIVENESS_ADMIN_DOWN, LIVENESS_HOLDS_THIS, LIVENESS_LEAVING, LIVENESS_UP, Liveness, Standing,
};
use lb_common::ring::NodeIndex;
use lb_common::tag::{self, ProbeWords};
use lb_common::verdict::{Outcome, Refusal};
use lb_common::wire::ip::Family;
use lb_common::wire::{bfd, checksum, ethernet, ip};

use crate::decapsulate::{Sender, sender};
use crate::frame::Frame;
use crate::packet::PacketInfo;
use crate::tables::{Tables, configured, standing};
use crate::verdict::{Forward, NOT_OURS, Verdict};

/// TTL and hop limit of S-BFD packets (RFC 7881 section 4).
const TTL: u8 = 255;

/// Processes S-BFD: a probe to this node's reflector, or the reply to one of this node's probes.
///
/// # Errors
/// [`Refusal::BadTag`], [`Refusal::BadProbe`], [`Refusal::StaleProbe`], [`Refusal::NotConfigured`].
#[inline(always)]
pub fn judge_probe<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &PacketInfo,
    is_reply: bool,
) -> Verdict {
    let config = configured(tables)?;
    let Sender::Node(node) = sender(frame, tables, config, packet) else { return NOT_OURS };
    let probe = sound(frame, packet, true)?;
    let section = section(frame, packet, &probe)?;
    let key = config.tag_key(section.key).ok_or(Refusal::BadTag)?;
    if section.tag != make_tag(&key, &probe, &section) {
        return Err(Refusal::BadTag);
    }
    if is_reply {
        note(tables, config, node, Tagged { probe, section, key })
    } else {
        let holds = tables.liveness(node).is_some_and(Liveness::is_held);
        tables.note_probed();
        let says = Said { standing: standing(tables, config), holds, leaves: config.is_leaving() };
        reflect(frame, config, packet, &Tagged { probe, section, key }, &says)
    }
}

/// A packet whose tag is valid.
struct Tagged {
    probe: Probe,
    section: Section,
    key: HashKey,
}

/// What this node says of itself, and of the node that probes it.
struct Said {
    standing: Standing,
    holds: bool,
    leaves: bool,
}

/// Reflects a probe, with the state of this node.
#[inline(always)]
fn reflect<F: Frame>(
    frame: &mut F,
    config: &Config,
    packet: &PacketInfo,
    tagged: &Tagged,
    says: &Said,
) -> Verdict {
    // A reply has no demand bit. If replies were reflected, two reflectors could be made to loop (RFC 7880
    // appendix A).
    let asks = (tagged.probe.head >> 16) as u8 & bfd::DEMAND != 0;
    if tagged.probe.yours != config.id || !asks {
        return Err(Refusal::BadProbe);
    }
    let state = if config.is_draining() { bfd::ADMIN_DOWN } else { bfd::UP };
    answer(frame, packet.l4, tagged, [bfd::VERSION | diagnostic(says), state])?;
    match packet.family {
        Family::V4 => turn_v4(frame, packet.l3)?,
        Family::V6 => turn_v6(frame, packet.l3)?,
    }
    let macs = frame.view_mut::<{ ethernet::MACS }>(0).ok_or(Refusal::Truncated)?;
    *macs = ethernet::swapped(*macs);
    Ok(Forward::Transmit(Outcome::ProbeReflected))
}

/// Returns the diagnostic of a reply: what this node says of itself as an announcer, whether it holds the
/// node that it replies to, and whether it is about to be shut down. A stable node of which neither is true
/// has no diagnostic (RFC 7880 section 7.2.2).
#[inline(always)]
const fn diagnostic(says: &Said) -> u8 {
    let holds = if says.holds { bfd::HOLDS } else { 0 };
    let bits = if says.leaves { holds | bfd::LEAVES } else { holds } | says.standing as u8;
    if bits == 0 { 0 } else { bfd::ANNOUNCER | bits }
}

/// Returns the state of a node by its diagnostic, which other codes leave as it is.
#[inline(always)]
const fn announcer_bits(version_and_diagnostic: u8) -> u32 {
    if version_and_diagnostic & bfd::ANNOUNCER == 0 {
        return 0;
    }
    let standing = Standing::from_number((version_and_diagnostic & 3) as u32);
    let holds = if version_and_diagnostic & bfd::HOLDS == 0 { 0 } else { LIVENESS_HOLDS_THIS };
    let leaves = if version_and_diagnostic & bfd::LEAVES == 0 { 0 } else { LIVENESS_LEAVING };
    Liveness::standing_bits(standing) | holds | leaves
}

/// Records a node's reply to this node's probe: send time of the probe, and state of the node.
#[inline(always)]
fn note<T: Tables>(tables: &T, config: &Config, node: NodeIndex, tagged: Tagged) -> Verdict {
    let Tagged { probe, section, .. } = tagged;
    let state = match (probe.head >> 16) as u8 & bfd::STATE_MASK {
        bfd::UP => LIVENESS_UP,
        bfd::ADMIN_DOWN => LIVENESS_ADMIN_DOWN,
        _ => return Err(Refusal::BadProbe),
    } | announcer_bits((probe.head >> 24) as u8);
    if tables.node(node).is_none_or(|node| node.discriminator == 0 || node.discriminator != probe.yours) {
        return Err(Refusal::BadProbe);
    }
    // Not with `map`: the compiler would then subtract before it checks whether there is a cell.
    let Some(cell) = tables.liveness(node) else { return Err(Refusal::BadProbe) };
    let clock = tables.clock();
    let age = clock.wrapping_sub(section.sequence);
    if age >= config.liveness_limit || age > clock.wrapping_sub(cell.last_seen) {
        return Err(Refusal::StaleProbe);
    }
    let was_dead = cell.silence(clock) >= config.liveness_limit;
    let heard = Liveness { last_seen: section.sequence, state };
    // First: a reader that sees the new send time then sees the time of its answer, or of a later one.
    tables.note_answered(node);
    tables.note_liveness(node, cell.after(heard, was_dead, config.holds_others()));
    Ok(Forward::Consume(Outcome::ProbeAnswered))
}

/// The authentication section, as numbers.
#[derive(Clone, Copy)]
struct Section {
    key: u8,
    sequence: u32,
    tag: u64,
}

/// Offset of the sequence in the section, and of the tag.
const SEQUENCE: usize = bfd::LENGTH + 4;
const TAG: usize = SEQUENCE + 4;

/// Reads the authentication section of a packet, which must have exactly the length that nodes send.
#[inline(always)]
fn section<F: Frame>(frame: &F, packet: &PacketInfo, probe: &Probe) -> Result<Section, Refusal> {
    let authenticated = (probe.head >> 16) as u8 & bfd::AUTHENTICATION != 0;
    if !authenticated || probe.head as u8 as usize != bfd::TAGGED_LENGTH {
        return Err(Refusal::BadTag);
    }
    let at = packet.l4 + ip::UDP_HEADER + bfd::LENGTH;
    let [kind, length, key, zero, s0, s1, s2, s3, tag @ ..] =
        *frame.view::<{ bfd::TAGGED_LENGTH - bfd::LENGTH }>(at).ok_or(Refusal::BadTag)?;
    if [kind, length] != bfd::TAG_SECTION || zero != 0 {
        return Err(Refusal::BadTag);
    }
    Ok(Section { key, sequence: u32::from_be_bytes([s0, s1, s2, s3]), tag: u64::from_be_bytes(tag) })
}

#[inline(always)]
fn make_tag(key: &HashKey, probe: &Probe, section: &Section) -> u64 {
    let [kind, length] = bfd::TAG_SECTION;
    let words = ProbeWords {
        head: probe.head.to_be_bytes(),
        section: [kind, length, section.key, 0],
        mine: probe.mine,
        yours: probe.yours,
        sequence: section.sequence,
    };
    tag::probe_tag(key, words)
}

/// The first twelve bytes of a control packet, as numbers: the verifier demands aligned accesses to the
/// stack.
#[derive(Clone, Copy)]
pub(crate) struct Probe {
    pub(crate) head: u32,
    mine: u32,
    pub(crate) yours: u32,
}

/// Reads the control packet behind the UDP header, and makes the checks that need no session.
#[inline(always)]
pub(crate) fn probe<F: Frame>(frame: &F, packet: &PacketInfo) -> Result<Probe, Refusal> {
    sound(frame, packet, false)
}

/// As [`probe`], for packets that may or must not be authenticated.
#[inline(always)]
fn sound<F: Frame>(frame: &F, packet: &PacketInfo, may_be_authenticated: bool) -> Result<Probe, Refusal> {
    let bytes = frame.view::<{ bfd::LENGTH }>(packet.l4 + ip::UDP_HEADER).ok_or(Refusal::BadProbe)?;
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let probe = Probe { head: word(0), mine: word(4), yours: word(8) };
    // Its length must not exceed that of the payload (RFC 5880 section 6.8.6).
    let end = packet.l4 - packet.l3 + ip::UDP_HEADER + bytes[3] as usize;
    let head = probe.head.to_be_bytes();
    let sound = if may_be_authenticated {
        bfd::is_sound_apart_from_tag(head, probe.mine)
    } else {
        bfd::is_sound(head, probe.mine)
    };
    if sound && end as u32 <= packet.length { Ok(probe) } else { Err(Refusal::BadProbe) }
}

/// Exchanges ports and discriminators, and writes diagnostic, state and tag; a poll is answered by a final
/// (RFC 7880 section 7.2.2). The tag is made with the key of the probe, which its sender knows. Exchanged
/// fields leave the checksum valid.
#[inline(always)]
fn answer<F: Frame>(frame: &mut F, udp: usize, tagged: &Tagged, head: [u8; 2]) -> Result<(), Refusal> {
    let Tagged { probe, section, key } = tagged;
    let [v0, f0, multiplier, length] = probe.head.to_be_bytes();
    let [version_and_diagnostic, state] = head;
    let new = [version_and_diagnostic, state | bfd::FINAL | bfd::AUTHENTICATION];
    let head = u32::from_be_bytes([new[0], new[1], multiplier, length]);
    let tag = make_tag(key, &Probe { head, mine: probe.yours, yours: probe.mine }, section);
    let header = frame.view_mut::<{ ip::UDP_HEADER }>(udp).ok_or(Refusal::BadProbe)?;
    let [s0, s1, d0, d1, l0, l1, c0, c1] = *header;
    let changes = checksum::sum(&(!section.tag).to_be_bytes())
        + checksum::sum(&tag.to_be_bytes())
        + checksum::sum(&[!v0, !f0, new[0], new[1]]);
    // Zero means no checksum; a checksum of zero is written as all ones (RFC 768).
    let [c0, c1] = match checksum::finish(checksum::sum(&[!c0, !c1]) + changes) {
        _ if [c0, c1] == [0, 0] => [0, 0],
        [0, 0] => [0xff, 0xff],
        sum => sum,
    };
    *header = [d0, d1, s0, s1, l0, l1, c0, c1];
    let at = udp + ip::UDP_HEADER;
    *frame.view_mut::<2>(at).ok_or(Refusal::BadProbe)? = new;
    *frame.view_mut::<4>(at + 4).ok_or(Refusal::BadProbe)? = probe.yours.to_be_bytes();
    *frame.view_mut::<4>(at + 8).ok_or(Refusal::BadProbe)? = probe.mine.to_be_bytes();
    *frame.view_mut::<8>(at + TAG).ok_or(Refusal::BadTag)? = tag.to_be_bytes();
    Ok(())
}

#[inline(always)]
fn turn_v4<F: Frame>(frame: &mut F, l3: usize) -> Result<(), Refusal> {
    let fields = frame.view_mut::<12>(l3 + ip::v4::TTL).ok_or(Refusal::Truncated)?;
    let [t0, t1, t2, t3, s0, s1, s2, s3, d0, d1, d2, d3] = *fields;
    let [t0, t1, t2, t3] = ip::with_ttl([t0, t1, t2, t3], TTL);
    *fields = [t0, t1, t2, t3, d0, d1, d2, d3, s0, s1, s2, s3];
    Ok(())
}

#[inline(always)]
fn turn_v6<F: Frame>(frame: &mut F, l3: usize) -> Result<(), Refusal> {
    // Hop limit and both addresses in one view, from an offset that is a multiple of eight.
    let header = frame.view_mut::<40>(l3).ok_or(Refusal::Truncated)?;
    header[7] = TTL;
    let (_, addresses) = header.split_at_mut(8);
    let (source, destination) = addresses.split_at_mut(16);
    for (a, b) in source.chunks_exact_mut(8).zip(destination.chunks_exact_mut(8)) {
        a.swap_with_slice(b);
    }
    Ok(())
}
