//! Control packets that the program answers in the agent's place, so that a session stays up while the agent
//! restarts or is not scheduled.
//!
//! The router's own packets are the clock: each becomes the answer and goes back. Only the packets of a
//! session that is up on both sides are answered, and only while the agent is late with its own packet and
//! has been alive a short time ago ([`BfdSession::is_answer_due`]). The agent has computed the answer.

use lb_common::maps::{BfdSession, agent_cell};
use lb_common::verdict::{Outcome, Refusal};
use lb_common::wire::ip::{Family, protocol};
use lb_common::wire::{bfd, checksum, ethernet, ip};

use super::{Head, exchange_addresses, set_ttl};
use crate::frame::Frame;
use crate::packet::PacketInfo;
use crate::tables::Tables;
use crate::verdict::{Forward, Verdict};

/// Bytes of an answer from the UDP header on.
const LENGTH: usize = ip::UDP_HEADER + bfd::LENGTH;

/// Returns the answer to a packet of a session; `None` if the agent is to answer it.
#[inline(always)]
pub(super) fn due<T: Tables>(
    tables: &T,
    packet: &PacketInfo,
    session: &BfdSession,
    theirs: &bfd::Words,
) -> Option<bfd::Words> {
    // An answer has the lengths of its packet. A router sends neither IP options nor further sections.
    let ip_header = match packet.family {
        Family::V4 => ip::V4_HEADER,
        Family::V6 => ip::V6_HEADER,
    };
    if packet.l4 != packet.l3 + ip_header || packet.length as usize != ip_header + LENGTH {
        return None;
    }
    if !bfd::is_up(theirs) || !bfd::is_up(&session.ours) {
        return None;
    }
    let sent = tables.agent_cell(agent_cell::bfd_sent(session.number));
    let alive = tables.agent_cell(agent_cell::ALIVE);
    if !session.is_answer_due(sent, alive, tables.now()) {
        return None;
    }
    bfd::answer(theirs, session.ours)
}

/// Turns a packet into its answer.
#[inline(always)]
pub(super) fn send<F: Frame>(
    frame: &mut F,
    packet: &PacketInfo,
    session: &BfdSession,
    head: &Head,
    reply: &bfd::Words,
) -> Verdict {
    let (l3, l4) = (packet.l3, packet.l4);
    exchange_addresses(frame, packet, head)?;
    set_ttl(frame, packet, bfd::TTL)?;
    let ([s0, s1], [d0, d1], [l0, l1]) = (session.source_port, session.port, (LENGTH as u16).to_be_bytes());
    let header = frame.view_mut::<{ ip::UDP_HEADER }>(l4).ok_or(Refusal::Truncated)?;
    *header = [s0, s1, d0, d1, l0, l1, 0, 0];
    let payload = frame.view_mut::<{ bfd::LENGTH }>(l4 + ip::UDP_HEADER).ok_or(Refusal::Truncated)?;
    *payload = bfd::bytes(reply);
    let addresses = match packet.family {
        Family::V4 => frame.view::<8>(l3 + ip::v4::SOURCE).map(checksum::sum),
        Family::V6 => frame.view::<32>(l3 + ip::v6::SOURCE).map(checksum::sum),
    };
    let sum = addresses.ok_or(Refusal::Truncated)?
        + checksum::sum(frame.view::<LENGTH>(l4).ok_or(Refusal::Truncated)?)
        + (LENGTH as u32 + protocol::UDP as u32);
    // A checksum of zero is written as all ones (RFC 768).
    let sum = match checksum::finish(sum) {
        [0, 0] => [0xff, 0xff],
        sum => sum,
    };
    *frame.view_mut::<2>(l4 + 6).ok_or(Refusal::Truncated)? = sum;
    let macs = frame.view_mut::<{ ethernet::MACS }>(0).ok_or(Refusal::Truncated)?;
    *macs = ethernet::swapped(*macs);
    Ok(Forward::Transmit(Outcome::BfdAnswered))
}
