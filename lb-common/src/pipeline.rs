//! A packet's way: [`judge`] decides and rewrites, and leaves the words of the driver (XDP actions) to its
//! caller.
//!
//! ```text
//! Ethernet, up to two tags, to this link's MAC or, for ARP, to a group
//! ├─ IPv4, IPv6: to a VIP's port?  ── deliver: ring → slot → owner rule → here, MAC rewrite, or GUE
//! │              GUE to this node? ── check its tag, decapsulate, and deliver as asked by a peer
//! │              IP from a peer?   ── the same, where a packet for a VIP is inside
//! │              ICMP error about a packet from a VIP? ── to the owner of its flow
//! │              echo to a VIP?    ── answer
//! │              S-BFD?            ── reflect a probe, note an answer
//! │              BFD of a router?  ── note it; return an echo
//! │              another port of a VIP? ── port unreachable
//! │              from a client outside the source ranges of a VIP? ── drop, whichever of these it is
//! ├─ ARP request for a VIP?        ── answer
//! └─ anything else                 ── pass untouched
//! ```

mod arp;
mod bfd;
mod complain;
mod connection;
mod decapsulate;
mod deliver;
mod echo;
mod encapsulate;
mod fragment;
mod ipv4;
mod ipv6;
mod marked;
mod probe;
mod quoted;
mod second;
mod short;
mod sources;
mod undeclared;

pub use bfd::judge_bfd;
pub use complain::{complain, partial_checksum};
pub use connection::read_connection;
pub use decapsulate::authenticate;
pub use deliver::{can_ask, find_to_ask, serve};
pub use echo::judge_echo;
pub use encapsulate::{encapsulate, sign};
pub use fragment::{follow_fragment, note_fragment};
pub use probe::judge_probe;
pub use quoted::read_quoted;
pub use short::judge_short;
pub use sources::is_source_refused;
pub use undeclared::is_undeclared;

use crate::frame::Frame;
use crate::hash::FlowPorts;
use crate::maps::{Config, VIP_AFFINITY, Vip};
use crate::owner::{Kind, MAX_ASKED, Trail};
use crate::ring::NO_NODE;
use crate::tables::Tables;
use crate::verdict::{Forward, Outcome, Refusal};
use crate::wire::bfd as wire_bfd;
use crate::wire::{ethernet, gue, icmp};
use ipv4::holds;

/// Judges one packet and rewrites it where that is its lot: the short way, or else the long one, which puts what it reads
/// into `packet`.
///
/// # Errors
/// The reason why it was refused; [`Refusal::fate`] says what happens to it then.
#[inline(always)]
pub fn judge<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &mut Packet,
) -> Result<Forward, Refusal> {
    match judge_short(frame, tables) {
        Some(judgement) => judgement,
        None => judge_long(frame, tables, packet),
    }
}

/// Judges one packet the long way, which is there for every packet.
///
/// # Errors
/// The reason why it was refused; [`Refusal::fate`] says what happens to it then.
#[inline(always)]
pub fn judge_long<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &mut Packet,
) -> Result<Forward, Refusal> {
    let Some((ether_type, l3)) = network_header(frame) else { return NOT_OURS };
    if ether_type == ethernet::ARP {
        return arp::judge(frame, tables, l3);
    }
    if !is_addressed_here(frame, tables) {
        return NOT_OURS;
    }
    packet.reset(l3);
    let marked = matches!(ether_type, ethernet::ASKED_ONE | ethernet::ASKED_MORE);
    let mut found = match ether_type {
        ethernet::IPV4 | ethernet::IPV6 => frame.read(tables, packet, ether_type)?,
        ethernet::ASKED_ONE | ethernet::ASKED_MORE => marked::read(frame, tables, packet, ether_type)?,
        _ => return NOT_OURS,
    };
    if packet.may_be_closed && !marked && frame.is_undeclared(tables, packet) {
        return undeclared::refuse(frame, tables, packet);
    }
    let tunnel = found;
    let tunnelled = matches!(found, Found::Gue | Found::Ipip);
    if tunnelled {
        let inner = decapsulate::find(frame, tables, packet, tunnel)?;
        if inner == decapsulate::NOT_OURS {
            return NOT_OURS;
        }
        found = match frame.read(tables, packet, inner) {
            Err(refusal) if tunnel == Found::Gue => return Err(decapsulate::drop_unreadable(refusal)),
            other => other?,
        };
    }
    if found == Found::Fragment {
        found = if frame.follow_fragment(tables, packet) { Found::Target } else { Found::Nothing };
        if found == Found::Target && !holds(frame, packet.l3, packet.length) {
            return Err(Refusal::BadLength);
        }
    } else if packet.is_first_fragment && found == Found::Target && tunnel != Found::Gue {
        frame.note_fragment(tables, packet);
    }
    if found == Found::Icmp && is_error(frame, packet) {
        packet.is_error = true;
        found = match frame.read_quoted(tables, packet) {
            Ok(true) => Found::Target,
            // In a packet of the cluster it is none that the cluster moves.
            Err(Refusal::ForeignIcmpError) if tunnelled || marked => Found::Nothing,
            Ok(false) => Found::Nothing,
            Err(refusal) => return Err(refusal),
        };
    }
    if marked {
        if found != Found::Target {
            return NOT_OURS;
        }
        configured(tables)?;
        marked::restore(frame, packet)?;
    }
    if tunnel == Found::Gue && found == Found::Target && !frame.authenticate(tables, packet) {
        return Err(Refusal::BadTag);
    }
    if tunnelled && found == Found::Target {
        decapsulate::open(frame, packet)?;
    }
    match found {
        Found::Target => tell_sender(deliver::judge(frame, tables, packet), frame, tables, packet),
        _ if tunnel == Found::Gue => Err(Refusal::InnerNotVip),
        // The host may have such tunnels of its own, also between nodes of the cluster.
        _ if tunnel == Found::Ipip => NOT_OURS,
        Found::Icmp => frame.judge_echo(tables, packet),
        Found::Probe => frame.judge_probe(tables, packet, true),
        Found::ProbeAnswer => frame.judge_probe(tables, packet, false),
        Found::Bfd => frame.judge_bfd(tables, packet),
        Found::Gue | Found::Ipip | Found::Fragment | Found::Nothing => NOT_OURS,
    }
}

const NOT_OURS: Result<Forward, Refusal> = Ok(Forward::Pass(Outcome::NotOurs));

/// Whether the frame is addressed to the interface that it came in by. A switch that does not know a MAC floods its
/// frames to all nodes, and each that took them for its own would forward them once more.
#[inline(always)]
fn is_addressed_here<F: Frame, T: Tables>(frame: &F, tables: &T) -> bool {
    // As numbers: arrays of bytes would take up the stack.
    const MAC: u64 = 0xffff_ffff_ffff;
    let Some(first) = frame.view::<8>(0) else { return false };
    let destination = u64::from_le_bytes(*first) & MAC;
    let Some(config) = tables.config() else { return true };
    let ingress = frame.ingress();
    if config.uplink == ingress {
        return config.uplink_link.mac_word() == destination;
    }
    // Of an interface that the agent has not told of yet nothing is known.
    tables.link(ingress).is_none_or(|link| link.mac_word() == destination)
}

/// Whether an ICMP message is an error.
#[inline(always)]
fn is_error<F: Frame>(frame: &F, packet: &Packet) -> bool {
    let Some([kind]) = frame.view::<1>(packet.l4) else { return false };
    match packet.family {
        Family::V4 => icmp::is_error(*kind),
        Family::V6 => icmp::is_error_v6(*kind),
    }
}

/// Of two refusals the sender can make something: it is told of them.
///
/// # Errors
/// The refusal, where it is another or the sender cannot or may not be told.
#[inline(always)]
pub fn tell_sender<F: Frame, T: Tables>(
    judgement: Result<Forward, Refusal>,
    frame: &mut F,
    tables: &T,
    packet: &Packet,
) -> Result<Forward, Refusal> {
    match judgement {
        // Never an error about an error (RFC 1122 section 3.2.2, RFC 4443 section 2.4).
        Err(refusal @ (Refusal::TtlExpired | Refusal::TooBig)) if !packet.is_error => {
            frame.complain(tables, packet, refusal)
        }
        other => other,
    }
}

/// Reads the IP packet at [`Packet::l3`].
///
/// # Errors
/// That there is none that can be read, or none that its VIP takes.
#[inline(always)]
pub fn read<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    packet: &mut Packet,
    ether_type: [u8; 2],
) -> Result<Found, Refusal> {
    if ether_type == ethernet::IPV4 {
        packet.family = Family::V4;
        ipv4::read(frame, tables, packet)
    } else {
        packet.family = Family::V6;
        ipv6::read(frame, tables, packet)
    }
}

/// EtherType and offset of what the Ethernet header and up to two tags carry; `None` where the frame ends
/// before, or has more tags.
#[inline(always)]
fn network_header<F: Frame>(frame: &F) -> Option<([u8; 2], usize)> {
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

/// The configuration, once the agent has written it.
#[inline(always)]
fn configured<T: Tables>(tables: &T) -> Result<&Config, Refusal> {
    match tables.config() {
        Some(config) if config.self_node != NO_NODE => Ok(config),
        _ => Err(Refusal::NotConfigured),
    }
}

/// What a look at the IP header and the ports has found. More of it is in the [`Packet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Found {
    /// A packet for a VIP.
    Target,
    /// UDP to the port of GUE.
    Gue,
    /// IPv4 or IPv6 right in IP.
    Ipip,
    /// ICMP or ICMPv6 without anything between the headers.
    Icmp,
    /// UDP to the port of the S-BFD reflector.
    Probe,
    /// UDP from that port.
    ProbeAnswer,
    /// UDP to a port of BFD.
    Bfd,
    /// A fragment that is not its packet's first.
    Fragment,
    /// None of our business.
    Nothing,
}

impl Found {
    /// Every one, by its number.
    const ALL: [Self; 9] = [
        Self::Target,
        Self::Gue,
        Self::Ipip,
        Self::Icmp,
        Self::Probe,
        Self::ProbeAnswer,
        Self::Bfd,
        Self::Fragment,
        Self::Nothing,
    ];

    /// As a number, for a function of the kernel; of a refusal, its own and 256.
    #[inline(always)]
    pub const fn to_number(found: Result<Self, Refusal>) -> u32 {
        match found {
            Ok(found) => found as u32,
            Err(refusal) => REFUSED | refusal as u32,
        }
    }

    /// Of [`Found::to_number`].
    ///
    /// # Errors
    /// The refusal of that number.
    #[inline(always)]
    pub fn from_number(number: u32) -> Result<Self, Refusal> {
        if number & REFUSED != 0 {
            return Err(unreadable(number));
        }
        Ok(Self::ALL.get(number as usize).copied().unwrap_or(Self::Nothing))
    }

    /// What UDP is that is for no VIP.
    #[inline(always)]
    fn udp(ports: [u8; 4]) -> Self {
        let [source, destination] = [[ports[0], ports[1]], [ports[2], ports[3]]];
        match (source, destination) {
            (_, gue::PORT) => Self::Gue,
            (_, wire_bfd::SBFD_PORT) => Self::Probe,
            (_, wire_bfd::SINGLE_HOP_PORT | wire_bfd::MULTIHOP_PORT | wire_bfd::ECHO_PORT) => Self::Bfd,
            (wire_bfd::SBFD_PORT, _) => Self::ProbeAnswer,
            _ => Self::Nothing,
        }
    }
}

/// What has been read of a packet, and what the second half of its way needs to know. A flat structure in which everything has a value from the start: a value
/// that some path leaves open is one that the verifier forbids to carry along.
#[repr(C)]
pub struct Packet {
    family: Family,
    /// Offset of the IP header.
    l3: usize,
    /// Offset of the EtherType in front of it. It is two less, but where the compiler knows that it checks
    /// one sum and uses another, and the verifier does not see that they are the same.
    type_at: usize,
    /// Offset of the header behind it and its extensions.
    l4: usize,
    /// Bytes in front of the IP header that a tunnel takes up.
    outer: usize,
    /// Bytes of the IP packet, as its header says; of a VIP's packet not more than the frame holds.
    length: u32,
    /// Number of the slot that it falls in.
    slot: u32,
    /// Number of the VIP that it is for.
    vip: u32,
    /// Flags of that VIP.
    flags: u32,
    /// Chooses the slot.
    hash: u64,
    /// Names the flow in the table; another than `hash` where a Service wants a client on one node.
    flow: u64,
    /// Names the flow by the packet alone, whatever this node knows of others: what the tag of GUE covers.
    name: u64,
    /// The tag that it has come with in GUE or is to be sent with, and the number of its key.
    tag: u32,
    tag_key: u32,
    /// What it says of its flow's life.
    kind: Kind,
    /// What the table says of its flow, packed; see [`crate::flows::FlowSet::get_bits`].
    entry: u32,
    /// Of a fragment: identification and protocol of the whole, and whether it is the first.
    fragment_id: u32,
    protocol: u32,
    is_first_fragment: bool,
    /// It is an ICMP error about a packet from a VIP.
    is_error: bool,
    /// It is TCP or UDP for no port that is known, and its destination may be a VIP.
    may_be_closed: bool,
    /// Where it was too big: what would have been small enough.
    path_mtu: u32,
    /// How it is counted if it stays here.
    local: Outcome,
    /// Who has been asked for it before.
    asked: Asked,
}

impl Packet {
    /// Nothing has been read.
    pub const EMPTY: Self = Self {
        family: Family::V4,
        l3: 0,
        type_at: 0,
        l4: 0,
        outer: 0,
        length: 0,
        slot: 0,
        vip: 0,
        flags: 0,
        hash: 0,
        flow: 0,
        name: 0,
        tag: 0,
        tag_key: 0,
        kind: Kind::Tcp,
        entry: 0,
        fragment_id: 0,
        protocol: 0,
        is_first_fragment: false,
        is_error: false,
        may_be_closed: false,
        path_mtu: 0,
        local: Outcome::Local,
        asked: Asked::NOBODY,
    };

    /// Begins a packet whose IP header is at `l3`. Everything else is written before it is read.
    #[inline(always)]
    const fn reset(&mut self, l3: usize) {
        self.l3 = l3;
        self.type_at = l3 - 2;
        self.entry = 0;
        self.is_first_fragment = false;
        self.is_error = false;
        self.may_be_closed = false;
        self.path_mtu = 0;
        self.local = Outcome::Local;
        self.asked.by_peer = false;
        self.asked.count = 0;
        self.asked.trail.marks = 0;
        self.asked.trail.home = 0;
    }

    /// Notes which VIP the packet is for, and its hashes, which `hash` makes of ports.
    #[inline(always)]
    fn set_flow(&mut self, vip: Vip, ports: FlowPorts, hash: impl Fn(FlowPorts) -> u64) {
        let flow = hash(ports);
        let by_client = vip.flags & VIP_AFFINITY != 0;
        self.set_vip(vip, flow, if by_client { hash(FlowPorts::AFFINITY) } else { flow });
    }

    /// Notes which VIP the packet is for, and nothing of a flow.
    #[inline(always)]
    const fn note_vip(&mut self, vip: Vip) {
        self.vip = vip.number;
        self.flags = vip.flags;
    }

    /// Notes which VIP the packet is for, with which flow, and with which hash for the ring.
    #[inline(always)]
    const fn set_vip(&mut self, vip: Vip, flow: u64, hash: u64) {
        // Number by number: as a whole the BPF compiler copies it in a loop over bytes.
        self.slot = vip.ring.wrapping_add(hash as u32 & vip.mask);
        self.vip = vip.number;
        self.flags = vip.flags;
        self.flow = flow;
        self.name = flow;
        self.hash = hash;
    }
}

const REFUSED: u32 = 0x100;

/// The refusals of [`read`].
#[inline(always)]
const fn unreadable(number: u32) -> Refusal {
    const BAD_IP_HEADER: u32 = REFUSED | Refusal::BadIpHeader as u32;
    const TOO_MANY_HEADERS: u32 = REFUSED | Refusal::TooManyHeaders as u32;
    const BAD_LENGTH: u32 = REFUSED | Refusal::BadLength as u32;
    const NOT_CONFIGURED: u32 = REFUSED | Refusal::NotConfigured as u32;
    match number {
        BAD_IP_HEADER => Refusal::BadIpHeader,
        TOO_MANY_HEADERS => Refusal::TooManyHeaders,
        BAD_LENGTH => Refusal::BadLength,
        NOT_CONFIGURED => Refusal::NotConfigured,
        _ => Refusal::Truncated,
    }
}

/// IP version of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// The nodes that a packet has been asked of, by their wire identities.
#[repr(C)]
#[derive(Clone, Copy)]
struct Asked {
    /// A peer has sent the packet to this node in particular.
    by_peer: bool,
    count: usize,
    trail: Trail,
    /// Behind `count` stands what another packet has left.
    ids: [u32; MAX_ASKED - 1],
}

impl Asked {
    const NOBODY: Self =
        Self { by_peer: false, count: 0, trail: Trail { marks: 0, home: 0 }, ids: [0; MAX_ASKED - 1] };

    /// Adds a node; a full list stays as it is.
    #[inline(always)]
    fn push(&mut self, id: u32) {
        if let Some(place) = self.ids.get_mut(self.count) {
            *place = id;
            self.count += 1;
        }
    }

    /// The flow's home; 0, which is no node's, where the list does not name it.
    #[inline(always)]
    fn home_id(&self) -> u32 {
        let mut home = 0;
        for (place, id) in self.ids.into_iter().enumerate() {
            if place < self.count && place as u32 == self.trail.home {
                home = id;
            }
        }
        home
    }

    #[inline(always)]
    fn contains(&self, id: u32) -> bool {
        let mut found = false;
        for (place, asked) in self.ids.into_iter().enumerate() {
            found |= place < self.count && asked == id;
        }
        found
    }
}
