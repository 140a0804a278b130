//! BFD packets (RFC 5880) of routers. The agent runs the sessions; the program assists it.
//!
//! Control packets are recorded on their way to the agent, so that a delayed agent does not declare a live
//! router dead. While the agent sends nothing, they are answered here ([`answer`]). Echo packets (RFC 5880
//! section 5) are returned here. They come in two forms: to the router's own address, which plain forwarding
//! returns, and to this node's address, returned with addresses and ports exchanged. Both lose one hop, so no
//! packet is returned twice.
//!
//! Control packets that the agent would reject are dropped here: from an address that is no peer, or from
//! farther away than the peer. They would cost time of a thread with real-time priority. Packets to an
//! address where the agent does not listen pass: they may be for a pod or another daemon.

mod answer;

use lb_common::maps::{
    BFD_LISTENS, BFD_LISTENS_MULTIHOP, BFD_PEER, BFD_PEER_MULTIHOP, BfdAddress, BfdSession,
};
use lb_common::verdict::{Outcome, Refusal};
use lb_common::wire::ip::Family;
use lb_common::wire::{bfd, ethernet, ip};

use crate::frame::Frame;
use crate::packet::PacketInfo;
use crate::probe::{Probe, probe};
use crate::tables::Tables;
use crate::verdict::{Forward, NOT_OURS, Verdict};

/// Processes UDP to one of the ports of BFD.
///
/// # Errors
/// [`Refusal::Truncated`], [`Refusal::BfdUnknownPeer`].
#[inline(always)]
pub fn judge_bfd<F: Frame, T: Tables>(frame: &mut F, tables: &T, packet: &PacketInfo) -> Verdict {
    let ports = *frame.view::<4>(packet.l4).ok_or(Refusal::Truncated)?;
    let port = [ports[2], ports[3]];
    let head = read(frame, packet)?;
    if port == bfd::ECHO_PORT {
        return give_back(frame, tables, packet, &head);
    }
    let Ok(Probe { yours, .. }) = probe(frame, packet) else { return of_no_session(tables, &head, port) };
    let Some(session) = tables.bfd_session(yours) else { return of_no_session(tables, &head, port) };
    let at = packet.l4 + ip::UDP_HEADER;
    let theirs = bfd::words(frame.view::<{ bfd::LENGTH }>(at).ok_or(Refusal::Truncated)?);
    if session.port != port
        || head.ttl < session.minimum_ttl
        || !head.is_of(session)
        || !bfd::is_same_sender(&theirs, &session.theirs)
    {
        return of_no_session(tables, &head, port);
    }
    // What the router says after the end of a session belongs to no session that is up.
    if !bfd::is_up(&session.theirs) {
        return Ok(Forward::Pass(Outcome::BfdHeard));
    }
    let reply = answer::due(tables, packet, session, &theirs);
    tables.note_bfd(yours, bfd::repeated(theirs), reply.is_some());
    match reply {
        Some(reply) => answer::send(frame, packet, session, &head, &reply),
        None => Ok(Forward::Pass(Outcome::BfdHeard)),
    }
}

/// Processes a packet of no session that is up. The agent gets it if it may belong to a session that comes
/// up.
#[inline(always)]
fn of_no_session<T: Tables>(tables: &T, head: &Head, port: [u8; 2]) -> Verdict {
    let flags = |found: Option<BfdAddress>| found.map_or(0, |address| address.flags);
    let multihop = port == bfd::MULTIHOP_PORT;
    let listens = if multihop { BFD_LISTENS_MULTIHOP } else { BFD_LISTENS };
    if flags(tables.bfd_address(&head.destination)) & listens == 0 {
        return NOT_OURS;
    }
    let peer = tables.bfd_address(&head.source);
    let (kind, minimum_ttl) = match peer {
        Some(peer) if multihop => (BFD_PEER_MULTIHOP, peer.minimum_ttl),
        _ => (BFD_PEER, bfd::TTL),
    };
    if flags(peer) & kind == 0 || head.ttl < minimum_ttl {
        return Err(Refusal::BfdUnknownPeer);
    }
    NOT_OURS
}

/// An address as in `lb_bfd`, in words: the verifier demands aligned accesses to the stack.
type Words = [u64; 2];

/// The fields of the IP header that matter.
struct Head {
    source: Words,
    destination: Words,
    ttl: u8,
}

impl Head {
    #[inline(always)]
    fn is_of(&self, session: &BfdSession) -> bool {
        self.source == words(&session.remote) && self.destination == words(&session.local)
    }
}

#[inline(always)]
const fn words(address: &[u8; 16]) -> Words {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *address;
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p])]
}

/// Returns the IPv4-mapped form of an address: `::ffff:a.b.c.d`.
#[inline(always)]
const fn mapped([a, b, c, d]: [u8; 4]) -> Words {
    [0, u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d])]
}

#[inline(always)]
fn read<F: Frame>(frame: &F, packet: &PacketInfo) -> Result<Head, Refusal> {
    match packet.family {
        Family::V4 => {
            let header = frame.view::<{ ip::V4_HEADER }>(packet.l3).ok_or(Refusal::Truncated)?;
            Ok(Head {
                source: mapped([header[12], header[13], header[14], header[15]]),
                destination: mapped([header[16], header[17], header[18], header[19]]),
                ttl: header[ip::v4::TTL],
            })
        }
        Family::V6 => {
            let [.., hop_limit] = frame.view::<8>(packet.l3).ok_or(Refusal::Truncated)?;
            Ok(Head {
                source: words(frame.view::<16>(packet.l3 + ip::v6::SOURCE).ok_or(Refusal::Truncated)?),
                destination: words(
                    frame.view::<16>(packet.l3 + ip::v6::DESTINATION).ok_or(Refusal::Truncated)?,
                ),
                ttl: *hop_limit,
            })
        }
    }
}

/// Returns an echo packet to the MAC address that it came from.
#[inline(always)]
fn give_back<F: Frame, T: Tables>(frame: &mut F, tables: &T, packet: &PacketInfo, head: &Head) -> Verdict {
    // A forwarded packet is from no directly connected router, or it is this node's own echo on its way back.
    if head.ttl != bfd::TTL {
        return NOT_OURS;
    }
    if session_with(tables, &head.destination).is_none() {
        let Some(session) = session_with(tables, &head.source) else { return NOT_OURS };
        if words(&session.local) != head.destination {
            return NOT_OURS;
        }
        exchange_addresses(frame, packet, head)?;
        exchange_ports(frame, packet)?;
    }
    set_ttl(frame, packet, bfd::TTL - 1)?;
    let macs = frame.view_mut::<{ ethernet::MACS }>(0).ok_or(Refusal::Truncated)?;
    *macs = ethernet::swapped(*macs);
    Ok(Forward::Transmit(Outcome::BfdEchoReturned))
}

/// Returns the session with the router of this address, if it is up.
#[inline(always)]
fn session_with<'a, T: Tables>(tables: &'a T, address: &Words) -> Option<&'a BfdSession> {
    tables.bfd_session(tables.bfd_address(address)?.discriminator)
}

/// Exchanges the addresses, which leaves all checksums valid.
#[inline(always)]
fn exchange_addresses<F: Frame>(frame: &mut F, packet: &PacketInfo, head: &Head) -> Result<(), Refusal> {
    match packet.family {
        Family::V4 => {
            let addresses = frame.view_mut::<8>(packet.l3 + ip::v4::TTL + 4).ok_or(Refusal::Truncated)?;
            let [s0, s1, s2, s3, d0, d1, d2, d3] = *addresses;
            *addresses = [d0, d1, d2, d3, s0, s1, s2, s3];
        }
        Family::V6 => {
            write(frame, packet.l3 + ip::v6::SOURCE, head.destination)?;
            write(frame, packet.l3 + ip::v6::DESTINATION, head.source)?;
        }
    }
    Ok(())
}

/// Exchanges the ports, which leaves the checksum valid.
#[inline(always)]
fn exchange_ports<F: Frame>(frame: &mut F, packet: &PacketInfo) -> Result<(), Refusal> {
    let ports = frame.view_mut::<4>(packet.l4).ok_or(Refusal::Truncated)?;
    let [s0, s1, d0, d1] = *ports;
    *ports = [d0, d1, s0, s1];
    Ok(())
}

#[inline(always)]
fn write<F: Frame>(frame: &mut F, at: usize, [first, second]: Words) -> Result<(), Refusal> {
    *frame.view_mut::<8>(at).ok_or(Refusal::Truncated)? = first.to_ne_bytes();
    *frame.view_mut::<8>(at + 8).ok_or(Refusal::Truncated)? = second.to_ne_bytes();
    Ok(())
}

#[inline(always)]
fn set_ttl<F: Frame>(frame: &mut F, packet: &PacketInfo, ttl: u8) -> Result<(), Refusal> {
    match packet.family {
        Family::V4 => {
            let fields = frame.view_mut::<4>(packet.l3 + ip::v4::TTL).ok_or(Refusal::Truncated)?;
            *fields = ip::with_ttl(*fields, ttl);
        }
        Family::V6 => {
            let [hop_limit] = frame.view_mut::<1>(packet.l3 + ip::v6::HOP_LIMIT).ok_or(Refusal::Truncated)?;
            *hop_limit = ttl;
        }
    }
    Ok(())
}
