//! Which packets to record, and the description of a packet. Server and command line share these types.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use lb_common::trace::{
    SNAP_MAX, TraceKey, TraceSettings, TraceTunnel, address_words, default_verdicts, service, verdict_bit,
};
use lb_common::verdict::{COUNTERS, Fate, Outcome};
use lb_dataplane::tracing_program::TracedFrame;
use serde::{Deserialize, Serialize};

/// Most records per second.
pub const MAX_RATE: u32 = 10_000;
/// The longest trace, in seconds.
pub const MAX_SECONDS: u64 = 3600;

/// What to trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceRequest {
    /// Destination; all, if there is none.
    pub vip: Option<IpNet>,
    /// Destination port.
    pub port: Option<u16>,
    /// IP protocol number.
    pub protocol: Option<u8>,
    /// Source; all, if there is none.
    pub client: Option<IpNet>,
    /// Names of verdicts.
    #[serde(default)]
    pub verdicts: Vec<String>,
    /// Verdicts that drop the packet, in addition.
    #[serde(default)]
    pub drops: bool,
    /// Records per second.
    pub rate: u32,
    /// Bytes of each packet.
    pub snap: u32,
    /// Seconds after which the trace ends.
    pub seconds: u64,
}

/// Why the agent refuses to trace.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RequestError {
    /// There is no such verdict.
    #[error("there is no verdict {0:?}; `fairlead status -o json` lists them all under \"outcomes\"")]
    NoVerdict(String),
    /// The rate is out of bounds.
    #[error("the rate must be from 1 to {MAX_RATE} packets per second, not {0}")]
    Rate(u32),
    /// The length of a packet is out of bounds.
    #[error("a trace can record from 1 to {SNAP_MAX} bytes of a packet, not {0}")]
    Snap(u32),
    /// The length of the trace is out of bounds.
    #[error("a trace can last from 1 to {MAX_SECONDS} s, not {0} s")]
    Seconds(u64),
}

impl TraceRequest {
    /// Returns the settings for the program, which begin without a lease.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn settings(&self) -> Result<TraceSettings, RequestError> {
        let Self { rate, snap, seconds, .. } = *self;
        if !(1..=MAX_RATE).contains(&rate) {
            return Err(RequestError::Rate(rate));
        }
        if snap == 0 || snap as usize > SNAP_MAX {
            return Err(RequestError::Snap(snap));
        }
        if !(1..=MAX_SECONDS).contains(&seconds) {
            return Err(RequestError::Seconds(seconds));
        }
        let (vip, vip_mask) = prefix(self.vip);
        let (client, client_mask) = prefix(self.client);
        let port_mask = self.port.map_or(0, |_| service(0, u16::MAX));
        let protocol_mask = self.protocol.map_or(0, |_| service(u8::MAX, 0));
        Ok(TraceSettings {
            until: 0,
            verdicts: self.verdict_bits()?,
            interval: 1_000_000_000 / u64::from(rate),
            snap: snap.into(),
            vip,
            vip_mask,
            client,
            client_mask,
            service: service(self.protocol.unwrap_or(0), self.port.unwrap_or(0)),
            service_mask: port_mask | protocol_mask,
        })
    }

    fn verdict_bits(&self) -> Result<u64, RequestError> {
        if self.verdicts.is_empty() && !self.drops {
            return Ok(default_verdicts());
        }
        let mut bits = 0;
        for name in &self.verdicts {
            let row = COUNTERS.iter().find(|(_, row, _)| row == name);
            let (number, ..) = row.ok_or_else(|| RequestError::NoVerdict(name.clone()))?;
            bits |= verdict_bit(*number);
        }
        if self.drops {
            let dropped = COUNTERS.iter().filter(|(.., fate)| *fate == Fate::Drop);
            bits |= dropped.fold(0, |bits, (number, ..)| bits | verdict_bit(*number));
        }
        Ok(bits)
    }
}

/// Returns a prefix as words and the mask of its bits; without one, a mask that matches all.
fn prefix(net: Option<IpNet>) -> ([u64; 2], [u64; 2]) {
    let Some(net) = net else { return ([0; 2], [0; 2]) };
    let (address, bits) = match net {
        IpNet::V4(net) => (net.network().to_ipv6_mapped(), u32::from(net.prefix_len()) + 96),
        IpNet::V6(net) => (net.network(), u32::from(net.prefix_len())),
    };
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
    (address_words(address.octets()), address_words(mask.to_be_bytes()))
}

/// The agent's answer to a request for a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceStarted {
    /// Names the trace in further requests.
    pub id: u64,
    /// Milliseconds without a request after which the trace ends.
    pub lease_ms: u64,
}

/// Packets of a trace since the last request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceBatch {
    /// The packets.
    pub packets: Vec<TracedPacket>,
    /// Packets that the trace asked for since its beginning, recorded or not.
    pub matched: u64,
    /// Records that were lost because the agent did not read them in time.
    pub lost: u64,
}

/// A traced packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedPacket {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// Name of the interface that it arrived by.
    pub interface: String,
    /// The verdict.
    pub verdict: String,
    /// Whether it was dropped.
    pub dropped: bool,
    /// The client, in most cases.
    pub source: IpAddr,
    /// Its port, if the protocol has ports.
    pub source_port: Option<u16>,
    /// The VIP, if it is for one.
    pub destination: IpAddr,
    /// Its port.
    pub destination_port: Option<u16>,
    /// `tcp`, `udp`, `sctp`, `icmp`, `arp`, or a number.
    pub protocol: String,
    /// `gue`, `ipip` or `asked` if a node has sent it.
    pub tunnel: Option<String>,
    /// The Service of the VIP.
    pub service: Option<String>,
    /// Its slot in the map of rings.
    pub slot: Option<u32>,
    /// Its flow's hash, 16 hexadecimal digits.
    pub flow: Option<String>,
    /// The node that it was sent to; this one if it owns the flow.
    pub node: Option<String>,
    /// Bytes of the frame.
    pub length: u32,
    /// Its first bytes as it arrived, in hexadecimal digits.
    pub bytes: String,
}

/// The names of a cluster, as one node numbers them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceNames {
    /// This node.
    pub own: Option<String>,
    /// Nodes by index.
    pub nodes: BTreeMap<u16, String>,
    /// Services by the numbers of their VIPs.
    pub services: BTreeMap<u32, String>,
    /// Interfaces by index.
    pub interfaces: BTreeMap<u32, String>,
}

impl TraceNames {
    /// Describes a packet; `boot_ns` are the nanoseconds since 1970 at which the machine booted.
    pub fn describe(&self, frame: &TracedFrame, boot_ns: u64) -> TracedPacket {
        let (record, key) = (&frame.record, &frame.record.key);
        let row = COUNTERS.iter().find(|(number, ..)| *number == record.verdict);
        let [source_high, source_low, high, low] = key.ports;
        let has_ports = key.ports != [0; 4];
        let port = |bytes| has_ports.then(|| u16::from_be_bytes(bytes));
        TracedPacket {
            time_ns: boot_ns.saturating_add(record.time),
            interface: self
                .interfaces
                .get(&record.ifindex)
                .cloned()
                .unwrap_or_else(|| format!("#{}", record.ifindex)),
            verdict: row.map_or_else(|| format!("#{}", record.verdict), |(_, name, _)| (*name).to_owned()),
            dropped: row.is_some_and(|(.., fate)| *fate == Fate::Drop),
            source: address(key.source),
            source_port: port([source_high, source_low]),
            destination: address(key.destination),
            destination_port: port([high, low]),
            protocol: protocol(key),
            tunnel: tunnel(key.tunnel).map(str::to_owned),
            service: self.services.get(&record.vip).cloned(),
            slot: (record.slot != u32::MAX).then_some(record.slot),
            flow: (record.flow != 0).then(|| format!("{:016x}", record.flow)),
            node: self.node(record.verdict, record.node),
            length: record.length,
            bytes: hex(&frame.bytes),
        }
    }

    fn node(&self, verdict: u32, index: u16) -> Option<String> {
        let own = [
            Outcome::Local,
            Outcome::LocalFromNode,
            Outcome::Decapsulated,
            Outcome::LocalByKernel,
            Outcome::Unowned,
        ];
        if own.iter().any(|outcome| *outcome as u32 == verdict) {
            return self.own.clone();
        }
        self.nodes.get(&index).cloned()
    }
}

fn address([high, low]: [u64; 2]) -> IpAddr {
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(&high.to_ne_bytes());
    octets[8..].copy_from_slice(&low.to_ne_bytes());
    Ipv6Addr::from(octets).to_canonical()
}

fn protocol(key: &TraceKey) -> String {
    match key.protocol {
        0 if key.destination != [0; 2] => "arp".into(),
        0 => "other".into(),
        1 => "icmp".into(),
        6 => "tcp".into(),
        17 => "udp".into(),
        58 => "icmpv6".into(),
        132 => "sctp".into(),
        number => number.to_string(),
    }
}

fn tunnel(number: u8) -> Option<&'static str> {
    const GUE: u8 = TraceTunnel::Gue as u8;
    const IPIP: u8 = TraceTunnel::Ipip as u8;
    const ASKED: u8 = TraceTunnel::Asked as u8;
    match number {
        GUE => Some("gue"),
        IPIP => Some("ipip"),
        ASKED => Some("asked"),
        _ => None,
    }
}

/// Returns bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
