//! The contract between the tracing program and the agent: what to trace, and the record of a packet.
//!
//! The tracing program is the XDP program with one difference: it writes a record of each packet that a trace
//! asks for into a ring buffer. The agent puts it on the uplinks only while it traces, so its maps are pinned
//! nowhere and belong to no layout.

use crate::maps::capacity;
use crate::verdict::{Outcome, Refusal};

/// Bytes of a packet that a record can hold: more than a frame of 1500 bytes, and a power of two.
pub const SNAP_MAX: usize = 2048;
const _: () = assert!(SNAP_MAX.is_power_of_two());
/// Bytes of the ring buffer while a node traces. Otherwise it does not exist.
pub const RING_BYTES: u32 = 1 << 20;
/// Nanoseconds of rate that a trace may save up while nothing matches: it then records a burst.
pub const BURST: u64 = 1_000_000_000;

/// Names of the maps of the tracing program.
pub mod map {
    /// [`super::TraceSettings`], at 0.
    pub const SETTINGS: &str = "lb_trace_want";
    /// The ring buffer of records.
    pub const RECORDS: &str = "lb_trace";
    /// The state of the rate limit, at 0: see [`super::spend`].
    pub const BUDGET: &str = "lb_trace_rate";
    /// Counters of a CPU, by [`super::TraceCount`].
    pub const COUNTS: &str = "lb_trace_count";
    /// The record of a CPU's current packet.
    pub const DRAFT: &str = "lb_trace_draft";
    /// All of them.
    pub const ALL: [&str; 5] = [SETTINGS, RECORDS, BUDGET, COUNTS, DRAFT];
}

/// The counters of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TraceCount {
    /// Packets that the trace asks for, recorded or not.
    Matched = 0,
    /// Records that did not fit into the ring buffer.
    Lost = 1,
}

impl TraceCount {
    /// How many there are.
    pub const COUNT: usize = 2;
}

const _: () = assert!(capacity::VERDICTS == u64::BITS as usize, "a verdict is a bit of a word");

/// The verdicts that the fast path returns.
pub const FAST_VERDICTS: u64 = 1 << Outcome::NotOurs as u32
    | 1 << Outcome::Local as u32
    | 1 << Outcome::ForwardedL2 as u32
    | 1 << Outcome::ForwardedGue as u32
    | 1 << Outcome::ForwardedIpip as u32;
/// The verdict of packets that are for no VIP.
pub const NOT_OURS: u64 = 1 << Outcome::NotOurs as u32;

/// What to trace. All zero: nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceSettings {
    /// Nanoseconds since boot at which the trace ends unless the agent extends it.
    pub until: u64,
    /// Verdicts to record, one bit each, by number.
    pub verdicts: u64,
    /// Nanoseconds between two records, in the long run.
    pub interval: u64,
    /// Bytes of a packet to record, at most [`SNAP_MAX`].
    pub snap: u64,
    /// Destination of a packet: it matches where `vip_mask` has ones.
    pub vip: [u64; 2],
    /// Bits of the destination that count.
    pub vip_mask: [u64; 2],
    /// Source of a packet.
    pub client: [u64; 2],
    /// Bits of the source that count.
    pub client_mask: [u64; 2],
    /// Destination port and protocol, as [`TraceKey::service`] returns them.
    pub service: u64,
    /// Bits of them that count.
    pub service_mask: u64,
}

/// 64-bit words of [`TraceSettings`].
pub const SETTINGS_WORDS: usize = size_of::<TraceSettings>() / 8;

impl TraceSettings {
    /// Returns the settings as they lie in memory.
    pub const fn to_words(&self) -> [u64; SETTINGS_WORDS] {
        let Self {
            until,
            verdicts,
            interval,
            snap,
            vip,
            vip_mask,
            client,
            client_mask,
            service,
            service_mask,
        } = *self;
        let ([v0, v1], [w0, w1], [c0, c1], [d0, d1]) = (vip, vip_mask, client, client_mask);
        [until, verdicts, interval, snap, v0, v1, w0, w1, c0, c1, d0, d1, service, service_mask]
    }

    /// Returns whether the trace asks for packets with this key.
    #[inline(always)]
    pub const fn matches(&self, key: &TraceKey) -> bool {
        let differs = (key.destination[0] ^ self.vip[0]) & self.vip_mask[0]
            | (key.destination[1] ^ self.vip[1]) & self.vip_mask[1]
            | (key.source[0] ^ self.client[0]) & self.client_mask[0]
            | (key.source[1] ^ self.client[1]) & self.client_mask[1]
            | (key.service() ^ self.service) & self.service_mask;
        differs == 0
    }
}

/// The flow of a packet, by its first headers: in a tunnel, that of the inner packet. An ARP
/// request has the address that it asks for as its destination, and so has a Neighbor Solicitation.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceKey {
    /// Source address, IPv4 as `::ffff:a.b.c.d`, in wire order.
    pub source: [u64; 2],
    /// Destination address, in the same form.
    pub destination: [u64; 2],
    /// Source and destination port, wire order; zero if the protocol has none, or in a later fragment.
    pub ports: [u8; 4],
    /// IP protocol number; zero if it is no IP packet.
    pub protocol: u8,
    /// A [`TraceTunnel`].
    pub tunnel: u8,
    /// Zero.
    pub pad: [u8; 2],
}

/// How a packet arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TraceTunnel {
    /// As its client sent it.
    None = 0,
    /// In GUE.
    Gue = 1,
    /// In IP.
    Ipip = 2,
    /// With an EtherType that says which nodes have been asked.
    Asked = 3,
}

impl TraceKey {
    /// A packet without any.
    pub const EMPTY: Self =
        Self { source: [0; 2], destination: [0; 2], ports: [0; 4], protocol: 0, tunnel: 0, pad: [0; 2] };

    /// Returns protocol and destination port in one number.
    #[inline(always)]
    pub const fn service(&self) -> u64 {
        let [.., high, low] = self.ports;
        service(self.protocol, u16::from_be_bytes([high, low]))
    }
}

/// Returns protocol and port in one number.
#[inline(always)]
pub const fn service(protocol: u8, port: u16) -> u64 {
    (protocol as u64) << 16 | port as u64
}

/// Returns an address as two words in wire order.
#[inline(always)]
pub const fn address_words(address: [u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address;
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p])]
}

/// The record of a packet. In the ring buffer, `captured` bytes of the packet follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceRecord {
    /// Nanoseconds since boot.
    pub time: u64,
    /// Hash that identifies the flow; zero if the packet is for no VIP.
    pub flow: u64,
    /// Its flow.
    pub key: TraceKey,
    /// Index of the interface that it arrived by.
    pub ifindex: u32,
    /// Number of the verdict.
    pub verdict: u32,
    /// Its slot; `u32::MAX` if it has none.
    pub slot: u32,
    /// Number of its VIP; `u32::MAX` if it is for none.
    pub vip: u32,
    /// Bytes of the frame.
    pub length: u32,
    /// Bytes of it that follow.
    pub captured: u32,
    /// Index of the node that it was sent to; [`crate::ring::NO_NODE`] if it was not sent to any.
    pub node: u16,
    /// Zero.
    pub pad: [u16; 3],
}

/// Bytes of a record in front of those of the packet.
pub const RECORD_BYTES: usize = size_of::<TraceRecord>();
const _: () = assert!(RECORD_BYTES == 88);

impl TraceRecord {
    /// Reads a record and its packet; `None` if there are too few bytes.
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut reader = Reader(bytes);
        let (time, flow) = (reader.u64()?, reader.u64()?);
        let key = TraceKey {
            source: [reader.u64()?, reader.u64()?],
            destination: [reader.u64()?, reader.u64()?],
            ports: reader.take()?,
            protocol: reader.take::<1>()?[0],
            tunnel: reader.take::<1>()?[0],
            pad: reader.take()?,
        };
        let [ifindex, verdict, slot, vip, length, captured] =
            [reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?];
        let node = u16::from_ne_bytes(reader.take()?);
        reader.take::<6>()?;
        let packet = reader.0.get(..captured as usize)?;
        let record =
            Self { time, flow, key, ifindex, verdict, slot, vip, length, captured, node, pad: [0; 3] };
        Some((record, packet))
    }
}

/// Native numbers from bytes.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_ne_bytes(self.take()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_ne_bytes(self.take()?))
    }
}

/// Takes a record from the budget of a trace. `due` is when the records so far have been paid for, and the
/// result is that time with one more; `None` if the budget is exhausted. So the records are spread over time,
/// after a burst of at most [`BURST`].
#[inline(always)]
pub const fn spend(due: u64, now: u64, interval: u64) -> Option<u64> {
    let due = if due > now { due } else { now };
    if due - now >= BURST { None } else { Some(due.saturating_add(interval)) }
}

/// Returns the bit of a verdict.
pub const fn verdict_bit(number: u32) -> u64 {
    1 << (number % u64::BITS)
}

/// Returns the verdicts that a trace shows unless it is asked for others: all but those of packets that
/// concern no VIP, and of the packets by which nodes and routers watch each other.
pub fn default_verdicts() -> u64 {
    let others = [
        Outcome::NotOurs,
        Outcome::ProbeReflected,
        Outcome::ProbeAnswered,
        Outcome::BfdHeard,
        Outcome::BfdEchoReturned,
        Outcome::BfdAnswered,
    ];
    let wanted = Outcome::ALL.iter().filter(|outcome| !others.contains(outcome));
    let refused = Refusal::ALL.iter().map(|refusal| verdict_bit(*refusal as u32));
    wanted.map(|outcome| verdict_bit(*outcome as u32)).chain(refused).fold(0, |all, bit| all | bit)
}

#[cfg(test)]
mod tests;
