//! Cases of the measurement: a kind of packet with a number of flows and VIPs.

use fairlead_tests::packets::build::Frame;
use lb_common::forwarding::ForwardingMode;
use lb_common::verdict::Outcome;

/// Source port of the first flows.
pub const SOURCE_PORT: u16 = 40_000;

/// The name of the figure of a case: the cost of a packet in the program alone.
pub const COST: &str = "cost";

/// Returns the labels of a case in tables of results.
pub fn labels(case: &str, size: CaseSize) -> Vec<String> {
    let CaseSize { flows, vips, rings } = size;
    vec![format!("{flows} flows, {vips} VIPs, {rings} rings"), case.to_owned()]
}

/// The program to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Returns at once.
    Nothing,
    /// Creates the packet and returns.
    Harness,
    /// Creates the packet and processes it.
    Judged,
    /// Creates the packet and processes it in the tracing program.
    Traced(TraceKind),
    /// Creates the packet and balances it as other load balancers do: a ring, a kernel LRU hash, IP in IP.
    Reference,
    /// Creates the packet and forwards it by the smallest program that does so.
    Floor,
    /// Creates the packet and returns it unmodified.
    Bounce,
}

/// What the trace asks for while the tracing program is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceKind {
    /// Nothing: its lease is over.
    Ended,
    /// Packets of another client.
    Others,
    /// All, but one a second.
    OverRate,
    /// All.
    All,
}

/// A kind of packet.
#[derive(Clone, Debug)]
pub struct CaseKind {
    /// Its name in the report.
    pub name: &'static str,
    /// The program.
    pub program: Program,
    /// The packet.
    pub frame: Frame,
    /// The expected verdict.
    pub outcome: Outcome,
    /// IP protocol of the VIPs.
    pub protocol: u8,
    /// The leaders of the slots.
    pub leads: Leads,
    /// Whether this node's table holds the flows beforehand.
    pub known: bool,
    /// The forwarding mode of the nodes.
    pub mode: ForwardingMode,
    /// IP version of the outer header, if there is one.
    pub outer_family: u8,
    /// Offset of the last two bytes of the source address, which vary by flow.
    pub flow_at: u32,
    /// Offset of the source port, to which the upper bits of the flow's number are added.
    pub port_at: u32,
    /// Offset of the last two bytes of the destination address, which vary by VIP.
    pub vip_at: u32,
    /// Bytes by which the packet grows.
    pub growth: i32,
}

/// A kind of packet with numbers of flows and VIPs.
#[derive(Clone, Debug)]
pub struct Case {
    /// The packet.
    pub kind: CaseKind,
    /// The numbers of flows and VIPs.
    pub size: CaseSize,
}

/// Numbers of flows and VIPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaseSize {
    /// A power of two.
    pub flows: u32,
    /// At least one.
    pub vips: u16,
    /// VIPs with a ring of their own; the others share those rings.
    pub rings: u16,
}

impl CaseSize {
    /// One flow of one VIP.
    pub const ONE: Self = Self { flows: 1, vips: 1, rings: 1 };
    /// As many flows as fit into the CPU's near caches.
    pub const FEW: Self = Self { flows: 1 << 10, ..Self::ONE };
    /// The size of most goals: Services with the same nodes and weights share a ring.
    pub const MANY: Self = Self { flows: 1 << 16, vips: 1000, rings: 10 };
    /// Each Service has its own ring, and each flow its own slot: the worst case for the caches.
    pub const MANY_RINGS: Self = Self { rings: Self::MANY.vips, ..Self::MANY };
    /// More flows than the table holds: each packet finds its flow or evicts another one.
    pub const OVERFULL: Self = Self { flows: 1 << 20, ..Self::MANY };
}

impl Case {
    /// Returns the period of the packets, as a power of two.
    pub fn turn_bits(&self) -> u32 {
        self.size.flows.max(CaseSize::MANY.flows).ilog2()
    }

    /// Returns flow and VIP of a packet.
    pub const fn flow_and_vip(&self, turn: u32, bits: u32) -> (u32, u16) {
        (turn & (self.size.flows - 1), ((turn as u64 * self.size.vips as u64) >> bits) as u16)
    }

    /// Returns the packet of a turn, as the harness derives it from the frame.
    pub fn packet(&self, turn: u32, frame: &[u8]) -> Vec<u8> {
        let bits = self.turn_bits();
        let turn = turn.wrapping_mul(0x9e37_79b1) & ((1 << bits) - 1);
        let (flow, vip) = self.flow_and_vip(turn, bits);
        let port = SOURCE_PORT + (flow >> 16) as u16;
        let mut packet = frame.to_vec();
        for (at, value) in
            [(self.kind.flow_at, flow as u16), (self.kind.port_at, port), (self.kind.vip_at, vip)]
        {
            for (byte, of_value) in packet.iter_mut().skip(at as usize).zip(value.to_be_bytes()) {
                *byte = of_value;
            }
        }
        packet
    }
}

/// The leaders of the rings' slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leads {
    /// Other nodes, with three successors each.
    Others,
    /// Three other nodes, with this one as a successor in each slot; there are no more nodes.
    OthersOfFour,
    /// This node, succeeded by others.
    Self_,
    /// This node, after a former leader.
    TakenOver,
}
