//! What is measured: kinds of packets, each with few and many flows and VIPs.

use fairlead_tests::packets::build::Frame;
use lb_common::forwarding::ForwardingMode;
use lb_common::verdict::Outcome;

use super::cluster::Leads;
use super::kinds::{self, SOURCE_PORT};

/// Which program of which object is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Returns at once.
    Nothing,
    /// Makes the packet and returns.
    Harness,
    /// Makes the packet and judges it.
    Judged,
    /// Makes the packet and balances it as others do: a ring, a kernel LRU hash, IP-in-IP.
    Reference,
    /// Makes the packet and forwards it by the least program that does so.
    Floor,
    /// Makes the packet and sends it back as it is.
    Bounce,
}

/// A kind of packet.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its name in the report.
    pub name: &'static str,
    /// What is run on it.
    pub program: Program,
    /// The packet.
    pub frame: Frame,
    /// The verdict that it must have.
    pub outcome: Outcome,
    /// IP protocol of the VIPs.
    pub protocol: u8,
    /// Who leads the slots.
    pub leads: Leads,
    /// This node has the flows in its table beforehand.
    pub known: bool,
    /// How packets are carried to the nodes.
    pub mode: ForwardingMode,
    /// IP version of the outer header, if there is one.
    pub outer_family: u8,
    /// Offset of the last two bytes of the source address that names the flow.
    pub flow_at: u32,
    /// Offset of the source port, to which the upper bits of the flow's number are added.
    pub port_at: u32,
    /// Offset of the last two bytes of the destination address that names the VIP.
    pub vip_at: u32,
    /// Bytes by which the packet grows.
    pub growth: i32,
}

/// A kind of packet with so many flows and VIPs.
#[derive(Clone, Debug)]
pub struct Case {
    /// The packet.
    pub kind: Kind,
    /// How many flows and VIPs it comes in.
    pub size: Size,
}

/// How many flows and VIPs a kind of packet comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// A power of two.
    pub flows: u32,
    /// At least one.
    pub vips: u16,
    /// How many of the VIPs have a ring of their own; the rest share those.
    pub rings: u16,
}

impl Size {
    /// One flow of one VIP.
    pub const ONE: Self = Self { flows: 1, vips: 1, rings: 1 };
    /// As many flows as fit the caches that are near.
    pub const FEW: Self = Self { flows: 1 << 10, ..Self::ONE };
    /// Flows and VIPs that most goals are stated for: Services with the same nodes and weights share a ring.
    pub const MANY: Self = Self { flows: 1 << 16, vips: 1000, rings: 10 };
    /// No two Services share a ring, and every flow meets a slot of its own: the worst for the caches.
    pub const MANY_RINGS: Self = Self { rings: Self::MANY.vips, ..Self::MANY };
    /// More flows than the table has ways for open ones: each packet finds its flow or pushes out another.
    pub const OVERFULL: Self = Self { flows: 1 << 20, ..Self::MANY };
}

impl Case {
    /// As many packets come before the first comes again: two to the power of this.
    pub fn turn_bits(&self) -> u32 {
        self.size.flows.max(Size::MANY.flows).ilog2()
    }

    /// Flow and VIP of a packet.
    pub const fn flow_and_vip(&self, turn: u32, bits: u32) -> (u32, u16) {
        (turn & (self.size.flows - 1), ((turn as u64 * self.size.vips as u64) >> bits) as u16)
    }

    /// The packet of a turn, as the harness makes it of the frame of the kind.
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

/// Everything, in the order of the report.
pub fn all() -> Vec<Case> {
    let mut cases: Vec<Case> = kinds::bare().into_iter().map(|kind| Case { kind, size: Size::ONE }).collect();
    for kind in kinds::in_every_size() {
        cases.extend([Size::ONE, Size::MANY].map(|size| Case { kind: kind.clone(), size }));
    }
    cases.extend(kinds::of_one_flow().into_iter().map(|kind| Case { kind, size: Size::ONE }));
    for kind in kinds::of_few_flows() {
        cases.push(Case { kind, size: Size::FEW });
    }
    for kind in kinds::of_many_flows() {
        cases.push(Case { kind, size: Size::MANY });
    }
    for kind in kinds::of_many_rings() {
        cases.push(Case { kind, size: Size::MANY_RINGS });
    }
    cases.push(Case { kind: kinds::owner_udp(), size: Size::OVERFULL });
    // Beside each other in the report, and not in the order in which they were thought of; the sort is stable.
    let mut names: Vec<&str> = Vec::new();
    for case in &cases {
        if !names.contains(&case.kind.name) {
            names.push(case.kind.name);
        }
    }
    let names = names.clone();
    cases.sort_by_key(|case| (names.iter().position(|name| *name == case.kind.name), case.size.flows));
    cases
}
