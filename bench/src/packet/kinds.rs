//! The kinds of packets.

use fairlead_tests::packets::build::Frame;
use lb_common::forwarding::ForwardingMode;
use lb_common::verdict::Outcome;

use super::case::{CaseKind, Leads, Program, SOURCE_PORT, TraceKind};
use super::cluster::{NODE4, PORT, SELF, SELF4, v6, vip4, vip6};

/// Bytes of an IP packet: more than the harness rewrites, and a frequent size in real traffic.
const SIZE: usize = 120;
/// Bytes of an IP packet in the smallest frame: 64 with Ethernet's header and checksum.
const SMALL: usize = 46;
/// Offsets of the last two bytes of source and destination, and of the source port, in untagged IPv4 and IPv6
/// frames.
const V4_AT: [u32; 3] = [14 + 14, 14 + 18, 14 + 20];
const V6_AT: [u32; 3] = [14 + 22, 14 + 38, 14 + 40];
/// Bytes of a VLAN tag.
const TAG: u32 = 4;
/// Bytes of outer IPv4, UDP, GUE and its tag.
const GUE4: i32 = 40;
/// The same with outer IPv6.
const GUE6: i32 = 60;
/// Bytes of outer IPv4 alone.
const IPIP4: i32 = 20;
/// Bytes of outer IPv6 alone.
const IPIP6: i32 = 40;
/// Bytes of a node in the list of asked nodes.
const ASKED: i32 = 4;

/// Returns the baselines, measured in one size.
pub fn bare() -> Vec<CaseKind> {
    let bare = |name, program| CaseKind { name, program, ..miss() };
    vec![bare("nothing", Program::Nothing), bare("harness", Program::Harness)]
}

/// Returns the kinds measured with one flow and with many.
pub fn in_every_size() -> Vec<CaseKind> {
    vec![
        reference("reference", l2()),
        reference("reference, miss", miss()),
        floor(),
        miss(),
        miss_looked_up(),
        l2(),
        gue(),
        ipip(),
        owner(),
        delegate(),
    ]
}

/// Returns the kinds measured with one flow only: the tag in GUE covers the flow.
pub fn of_one_flow() -> Vec<CaseKind> {
    vec![decapsulate()]
}

/// Returns the kinds measured with few flows.
pub fn of_few_flows() -> Vec<CaseKind> {
    vec![reference("reference", l2()), floor(), l2()]
}

/// Returns the kinds measured with many flows only.
pub fn of_many_flows() -> Vec<CaseKind> {
    vec![
        CaseKind { name: "harness", program: Program::Harness, ..miss() },
        reference("reference, UDP", l2_udp()),
        reference("reference, IPv6", l2_v6()),
        reference("reference, SYN", CaseKind { frame: v4_syn(), ..l2() }),
        l2_udp(),
        l2_v6(),
        l2_v6_udp(),
        l2_tagged(),
        l2_small_cluster(),
        gue_udp(),
        gue_v6(),
        gue_v6_udp(),
        owner_syn(),
        owner_udp(),
        owner_v6(),
        traced("l2, trace ended", TraceKind::Ended),
        traced("l2, trace of others", TraceKind::Others),
        traced("l2, trace over rate", TraceKind::OverRate),
        traced("l2, traced", TraceKind::All),
    ]
}

/// Returns the kinds measured with a ring for each Service.
pub fn of_many_rings() -> Vec<CaseKind> {
    vec![floor(), l2(), gue()]
}

/// Returns the client of a flow.
pub const fn client4(flow: u16) -> [u8; 4] {
    let [high, low] = flow.to_be_bytes();
    [10, 9, high, low]
}

/// Returns the client of a flow.
pub const fn client6(flow: u16) -> [u8; 16] {
    v6(9, flow)
}

/// The verdict on live frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveVerdict {
    /// They are passed to the network stack.
    Pass,
    /// They leave by the link on which they arrived.
    Transmit,
    /// They leave by another link.
    Forward,
}

impl LiveVerdict {
    /// Returns its name in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Transmit => "transmit",
            Self::Forward => "forward",
        }
    }
}

/// Live frames of a kind.
pub struct Live {
    /// Their verdict.
    pub verdict: LiveVerdict,
    /// Their kind.
    pub kind: CaseKind,
}

/// Returns the kinds measured with live frames of the smallest size. The first of each verdict is its minimum
/// cost.
pub fn live() -> Vec<Live> {
    let small = |verdict, kind: CaseKind| Live {
        verdict,
        kind: CaseKind { frame: kind.frame.clone().sized(SMALL), ..kind },
    };
    vec![
        small(LiveVerdict::Pass, CaseKind { name: "nothing", program: Program::Harness, ..miss() }),
        small(LiveVerdict::Pass, miss()),
        small(LiveVerdict::Pass, reference("reference, miss", miss())),
        small(LiveVerdict::Transmit, CaseKind { name: "nothing", program: Program::Bounce, ..l2() }),
        small(LiveVerdict::Transmit, l2()),
        small(LiveVerdict::Transmit, gue()),
        small(LiveVerdict::Transmit, reference("reference", l2())),
        small(LiveVerdict::Forward, l2()),
    ]
}

fn v4() -> Frame {
    Frame::v4(client4(0), vip4(0)).tcp(SOURCE_PORT, PORT).sized(SIZE)
}

fn v4_syn() -> Frame {
    Frame::v4(client4(0), vip4(0)).syn(SOURCE_PORT, PORT).sized(SIZE)
}

fn v4_udp() -> Frame {
    Frame::v4(client4(0), vip4(0)).udp(SOURCE_PORT, PORT).sized(SIZE)
}

fn v6_tcp() -> Frame {
    Frame::v6(client6(0), vip6(0)).tcp(SOURCE_PORT, PORT).sized(SIZE)
}

fn v6_udp() -> Frame {
    Frame::v6(client6(0), vip6(0)).udp(SOURCE_PORT, PORT).sized(SIZE)
}

fn miss() -> CaseKind {
    let [flow_at, vip_at, port_at] = V4_AT;
    CaseKind {
        name: "miss",
        program: Program::Judged,
        frame: Frame::v4(client4(0), [192, 168, 0, 0]).tcp(SOURCE_PORT, PORT + 1).sized(SIZE),
        outcome: Outcome::NotOurs,
        protocol: 6,
        leads: Leads::Others,
        known: false,
        mode: ForwardingMode::L2,
        outer_family: 4,
        flow_at,
        port_at,
        vip_at,
        growth: 0,
    }
}

/// A packet to an address that is a false positive of the VIP filter.
fn miss_looked_up() -> CaseKind {
    let frame = Frame::v4(client4(0), vip4(0)).tcp(SOURCE_PORT, PORT + 1).sized(SIZE);
    CaseKind { name: "miss, looked up", frame, ..miss() }
}

fn traced(name: &'static str, kind: TraceKind) -> CaseKind {
    CaseKind { name, program: Program::Traced(kind), ..l2() }
}

fn l2() -> CaseKind {
    CaseKind { name: "l2", frame: v4(), outcome: Outcome::ForwardedL2, ..miss() }
}

fn l2_udp() -> CaseKind {
    CaseKind { name: "l2, UDP", frame: v4_udp(), protocol: 17, ..l2() }
}

fn l2_v6() -> CaseKind {
    CaseKind { name: "l2, IPv6", ..with_v6(l2(), v6_tcp()) }
}

fn l2_v6_udp() -> CaseKind {
    CaseKind { name: "l2, IPv6 UDP", protocol: 17, ..with_v6(l2(), v6_udp()) }
}

fn l2_tagged() -> CaseKind {
    let [flow_at, vip_at, port_at] = V4_AT.map(|at| at + TAG);
    CaseKind { name: "l2, tagged", frame: v4().tag(7), flow_at, vip_at, port_at, ..l2() }
}

/// In a cluster of four nodes each slot contains all of them.
fn l2_small_cluster() -> CaseKind {
    CaseKind { name: "l2, 4 nodes", leads: Leads::OthersOfFour, ..l2() }
}

fn gue() -> CaseKind {
    CaseKind { name: "gue", outcome: Outcome::ForwardedGue, mode: ForwardingMode::Gue, growth: GUE4, ..l2() }
}

fn gue_udp() -> CaseKind {
    CaseKind { name: "gue, UDP", frame: v4_udp(), protocol: 17, ..gue() }
}

fn gue_v6() -> CaseKind {
    CaseKind { name: "gue, IPv6 in IPv6", outer_family: 6, growth: GUE6, ..with_v6(gue(), v6_tcp()) }
}

fn gue_v6_udp() -> CaseKind {
    CaseKind { name: "gue, IPv6 UDP", protocol: 17, ..with_v6(gue_v6(), v6_udp()) }
}

fn ipip() -> CaseKind {
    CaseKind {
        name: "ipip",
        outcome: Outcome::ForwardedIpip,
        mode: ForwardingMode::Ipip,
        growth: IPIP4,
        ..l2()
    }
}

/// A packet of a flow that this node owns.
fn owner() -> CaseKind {
    CaseKind { name: "owner", outcome: Outcome::Local, leads: Leads::Self_, known: true, ..l2() }
}

/// The first packet of a flow, each time anew.
fn owner_syn() -> CaseKind {
    CaseKind { name: "owner, SYN", frame: v4_syn(), known: false, ..owner() }
}

/// A packet of a flow that this node owns after the first packet.
pub fn owner_udp() -> CaseKind {
    CaseKind { name: "owner, UDP", frame: v4_udp(), protocol: 17, known: false, ..owner() }
}

fn owner_v6() -> CaseKind {
    CaseKind { name: "owner, IPv6", ..with_v6(owner(), v6_tcp()) }
}

/// A packet of an unknown flow, for which the former leader is asked.
fn delegate() -> CaseKind {
    CaseKind {
        name: "delegate",
        outcome: Outcome::AskedGue,
        leads: Leads::TakenOver,
        growth: GUE4 + ASKED,
        ..gue()
    }
}

/// A packet of a flow that this node owns, from a node that asks it.
fn decapsulate() -> CaseKind {
    let [flow_at, vip_at, port_at] = V4_AT.map(|at| at + GUE4 as u32);
    CaseKind {
        name: "decapsulate",
        frame: Frame::v4(NODE4, SELF4).gue_to(SELF, SOURCE_PORT, [0, 4, 0, 0], &v4().ip()),
        outcome: Outcome::Decapsulated,
        flow_at,
        vip_at,
        port_at,
        growth: -GUE4,
        ..owner()
    }
}

fn with_v6(kind: CaseKind, frame: Frame) -> CaseKind {
    let [flow_at, vip_at, port_at] = V6_AT;
    CaseKind { frame, flow_at, vip_at, port_at, ..kind }
}

/// Returns the packets of a kind, processed by the reference.
fn reference(name: &'static str, kind: CaseKind) -> CaseKind {
    let growth = match (kind.outcome, kind.frame.is_v4()) {
        (Outcome::NotOurs, _) => 0,
        (_, true) => IPIP4,
        (_, false) => IPIP6,
    };
    CaseKind { name, program: Program::Reference, growth, ..kind }
}

fn floor() -> CaseKind {
    CaseKind { name: "floor", program: Program::Floor, ..l2() }
}
