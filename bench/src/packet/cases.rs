//! What is measured: kinds of packets, each with few and many flows and VIPs.

use fairlead_tests::packets::build::Frame;
use lb_common::maps::way;
use lb_common::verdict::Outcome;

use super::cluster::{Leads, PORT, v6, vip4, vip6};

/// Which program of the object is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Returns at once.
    Nothing,
    /// Makes the packet and returns.
    Harness,
    /// Makes the packet and judges it.
    Judged,
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
    /// What must become of it.
    pub outcome: Outcome,
    /// IP protocol of the VIPs.
    pub protocol: u8,
    /// Who leads the slots.
    pub leads: Leads,
    /// This node has the flows in its table beforehand.
    pub known: bool,
    /// The way to the nodes.
    pub way: u8,
    /// Offset of the last two bytes of the source address that names the flow.
    pub flow_at: u32,
    /// Offset of the source port, to which the upper bits of the flow's number are added.
    pub port_at: u32,
    /// Offset of the last two bytes of the destination address that names the VIP.
    pub vip_at: u32,
    /// Bytes by which the packet grows.
    pub growth: i32,
    /// The figure that a packet with all flows and VIPs is meant not to pass, in nanoseconds.
    pub goal: Option<u32>,
}

impl Case {
    /// As many packets come before the first comes again: two to the power of this.
    pub fn turn_bits(&self) -> u32 {
        self.flows.max(LARGEST.0).ilog2()
    }

    /// Flow and VIP of a packet.
    pub const fn flow_and_vip(&self, turn: u32, bits: u32) -> (u32, u16) {
        (turn & (self.flows - 1), ((turn as u64 * self.vips as u64) >> bits) as u16)
    }
}

/// A kind of packet with so many flows and VIPs.
#[derive(Clone, Debug)]
pub struct Case {
    /// The packet.
    pub kind: Kind,
    /// A power of two.
    pub flows: u32,
    /// At least one.
    pub vips: u16,
    /// How many of the VIPs have a ring of their own; the rest share those.
    pub rings: u16,
}

/// Flows and VIPs that goals are stated for.
pub const LARGEST: (u32, u16) = (1 << 16, 1000);

/// More flows than the table has ways for open ones: each packet finds its flow or pushes out another.
const OVERFULL: u32 = 1 << 20;

/// Flows that are varied.
const FLOWS: [u32; 3] = [1, 1 << 10, LARGEST.0];
/// VIPs and rings that are varied: Services with the same nodes and weights share a ring.
const VIPS_AND_RINGS: [(u16, u16); 2] = [(1, 1), (LARGEST.1, 10)];

/// Bytes of an IP packet: more than the harness makes anew, and of the size of many real ones.
const SIZE: usize = 120;
/// Offsets of the last two bytes of source and destination, and of the source port, in IPv4 and IPv6 without
/// tags.
const V4_AT: [u32; 3] = [14 + 14, 14 + 18, 14 + 20];
const V6_AT: [u32; 3] = [14 + 22, 14 + 38, 14 + 40];
/// Outer IPv4, UDP, GUE and a tag in front of them.
const GUE4: u32 = 40;
/// Outer IPv4 alone.
const IPIP4: i32 = 20;
/// One node in the list of those asked.
const ASKED: u32 = 4;
/// Source port of the first flows.
pub const SOURCE_PORT: u16 = 40_000;

/// Everything, in the order of the report.
pub fn all() -> Vec<Case> {
    let (flows, vips) = LARGEST;
    let smallest = |kind| Case { kind, flows: 1, vips: 1, rings: 1 };
    let largest = |kind| Case { kind, flows, vips, rings: 10 };
    let mut cases = vec![
        smallest(floor("nothing", Program::Nothing)),
        smallest(floor("harness", Program::Harness)),
        largest(floor("harness", Program::Harness)),
    ];
    for kind in [miss(), suspect(), l2_v4(), gue_v4(), ipip_v4(), owner(), delegation()] {
        for (vips, rings) in VIPS_AND_RINGS {
            cases.extend(FLOWS.map(|flows| Case { kind: kind.clone(), flows, vips, rings }));
        }
    }
    // No two Services share a ring, and every flow meets a slot of its own: the worst for the caches.
    cases.extend([l2_v4(), gue_v4()].map(|kind| Case { rings: vips, ..largest(kind) }));
    cases.extend([owner_new(), owner_udp(), l2_v6(), gue_v6()].map(largest));
    cases.push(Case { flows: OVERFULL, ..largest(owner_udp()) });
    cases
}

fn v4() -> Frame {
    Frame::v4([10, 9, 0, 0], vip4(0)).tcp(SOURCE_PORT, PORT).sized(SIZE)
}

fn v6_frame() -> Frame {
    Frame::v6(v6(9, 0), vip6(0)).tcp(SOURCE_PORT, PORT).sized(SIZE)
}

fn floor(name: &'static str, program: Program) -> Kind {
    Kind { name, program, outcome: Outcome::NotOurs, goal: None, ..miss() }
}

fn miss() -> Kind {
    Kind {
        name: "miss",
        program: Program::Judged,
        frame: Frame::v4([10, 9, 0, 0], [192, 168, 0, 0]).tcp(SOURCE_PORT, PORT + 1).sized(SIZE),
        outcome: Outcome::NotOurs,
        protocol: 6,
        leads: Leads::Others,
        known: false,
        way: way::L2,
        flow_at: V4_AT[0],
        port_at: V4_AT[2],
        vip_at: V4_AT[1],
        growth: 0,
        goal: Some(26),
    }
}

/// For an address that the filter of VIPs takes for one, which costs a look-up more.
fn suspect() -> Kind {
    let frame = Frame::v4([10, 9, 0, 0], vip4(0)).tcp(SOURCE_PORT, PORT + 1).sized(SIZE);
    Kind { name: "miss, looked up", frame, goal: None, ..miss() }
}

fn l2_v4() -> Kind {
    Kind { name: "l2", frame: v4(), outcome: Outcome::ForwardedL2, goal: Some(60), ..miss() }
}

fn gue_v4() -> Kind {
    Kind {
        name: "gue",
        outcome: Outcome::ForwardedGue,
        way: way::GUE4,
        growth: GUE4 as i32,
        goal: Some(90),
        ..l2_v4()
    }
}

fn ipip_v4() -> Kind {
    Kind {
        name: "ipip",
        outcome: Outcome::ForwardedIpip,
        way: way::IPIP4,
        growth: IPIP4,
        goal: None,
        ..l2_v4()
    }
}

/// Of a flow that this node has.
fn owner() -> Kind {
    Kind {
        name: "owner",
        outcome: Outcome::Local,
        leads: Leads::Self_,
        known: true,
        goal: Some(80),
        ..l2_v4()
    }
}

/// Of a flow that begins, each time anew.
fn owner_new() -> Kind {
    let frame = Frame::v4([10, 9, 0, 0], vip4(0)).syn(SOURCE_PORT, PORT).sized(SIZE);
    Kind { name: "owner, SYN", frame, known: false, goal: None, ..owner() }
}

fn owner_udp() -> Kind {
    let frame = Frame::v4([10, 9, 0, 0], vip4(0)).udp(SOURCE_PORT, PORT).sized(SIZE);
    Kind { name: "owner, UDP", frame, protocol: 17, known: false, goal: None, ..owner() }
}

/// Of a flow that this node has not, and the former leader is asked for.
fn delegation() -> Kind {
    Kind {
        name: "delegate",
        outcome: Outcome::AskedGue,
        leads: Leads::TakenOver,
        growth: (GUE4 + ASKED) as i32,
        goal: None,
        ..gue_v4()
    }
}

fn l2_v6() -> Kind {
    let [flow_at, vip_at, port_at] = V6_AT;
    Kind { name: "l2, IPv6", frame: v6_frame(), flow_at, port_at, vip_at, goal: None, ..l2_v4() }
}

fn gue_v6() -> Kind {
    Kind { name: "gue, IPv6 in IPv6", outcome: Outcome::ForwardedGue, way: way::GUE6, growth: 60, ..l2_v6() }
}
