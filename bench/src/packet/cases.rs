//! What is measured: kinds of packets, each with few and many flows and VIPs.

use fairlead_tests::packets::build::Frame;
use lb_common::maps::way;
use lb_common::verdict::Outcome;

use super::cluster::{PEER4, PORT, SELF4, v6, vip4, vip6};

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
    /// The way to the nodes.
    pub way: u8,
    /// Offset of the last two bytes of the source address that names the flow.
    pub flow_at: u32,
    /// Offset of the last two bytes of the destination address that names the VIP.
    pub vip_at: u32,
    /// Bytes by which the packet grows.
    pub growth: i32,
    /// The figure that a packet with all flows and VIPs is meant not to pass, in nanoseconds.
    pub goal: Option<u32>,
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

/// Flows that are varied.
const FLOWS: [u32; 3] = [1, 1 << 10, LARGEST.0];
/// VIPs and rings that are varied: Services with the same nodes and weights share a ring.
const VIPS_AND_RINGS: [(u16, u16); 2] = [(1, 1), (LARGEST.1, 10)];

/// Bytes of an IP packet: more than the harness makes anew, and of the size of many real ones.
const SIZE: usize = 120;
/// Offsets of the last two bytes of source and destination in IPv4 and IPv6 without tags.
const V4_AT: [u32; 2] = [14 + 14, 14 + 18];
const V6_AT: [u32; 2] = [14 + 22, 14 + 38];
/// Outer IPv4, UDP and GUE in front of them.
const GUE4: u32 = 32;

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
    for kind in [miss(), l2_v4(), gue_v4(), decapsulation()] {
        for (vips, rings) in VIPS_AND_RINGS {
            cases.extend(FLOWS.map(|flows| Case { kind: kind.clone(), flows, vips, rings }));
        }
    }
    // No two Services share a ring, and every flow meets a slot of its own: the worst for the caches.
    cases.extend([l2_v4(), gue_v4()].map(|kind| Case { rings: vips, ..largest(kind) }));
    cases.extend([l2_v6(), gue_v6()].map(largest));
    cases
}

fn v4() -> Frame {
    Frame::v4([10, 9, 0, 0], vip4(0)).tcp(40_000, PORT).sized(SIZE)
}

fn v6_frame() -> Frame {
    Frame::v6(v6(9, 0), vip6(0)).tcp(40_000, PORT).sized(SIZE)
}

fn floor(name: &'static str, program: Program) -> Kind {
    Kind { name, program, outcome: Outcome::NotOurs, goal: None, ..miss() }
}

fn miss() -> Kind {
    Kind {
        name: "miss",
        program: Program::Judged,
        frame: Frame::v4([10, 9, 0, 0], vip4(0)).tcp(40_000, PORT + 1).sized(SIZE),
        outcome: Outcome::NotOurs,
        way: way::L2,
        flow_at: V4_AT[0],
        vip_at: V4_AT[1],
        growth: 0,
        goal: Some(26),
    }
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

fn decapsulation() -> Kind {
    Kind {
        name: "decapsulate",
        frame: Frame::v4(PEER4, SELF4).gue(50_000, [0, 4, 0, 0], &v4().ip()),
        outcome: Outcome::Decapsulated,
        flow_at: V4_AT[0] + GUE4,
        vip_at: V4_AT[1] + GUE4,
        growth: -(GUE4 as i32),
        goal: None,
        ..l2_v4()
    }
}

fn l2_v6() -> Kind {
    Kind { name: "l2, IPv6", frame: v6_frame(), flow_at: V6_AT[0], vip_at: V6_AT[1], goal: None, ..l2_v4() }
}

fn gue_v6() -> Kind {
    Kind { name: "gue, IPv6 in IPv6", outcome: Outcome::ForwardedGue, way: way::GUE6, growth: 52, ..l2_v6() }
}
