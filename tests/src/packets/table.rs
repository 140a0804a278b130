//! The table of packets, each with what must become of it.

mod arp;
mod bfd;
mod cut;
mod destination;
mod echo;
mod extensions;
mod forward;
mod fragment;
mod icmp_error;
mod icmp_quote;
mod ipip;
mod malformed;
mod others;
mod owner;
mod probe;
mod sctp;
mod second_chance;
mod sources;
mod tunnel;
mod undeclared;

use lb_common::flows::FlowState;
use lb_common::maps::Liveness;
use lb_common::ring::NodeIndex;
use lb_common::verdict::Outcome;

use super::build::Frame;
use super::expect::Expect;
use super::fixture::{CLOCK, Fixture, node};
use crate::model::Packet;

/// A packet, the cluster that it meets, and what must become of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// In words.
    pub name: String,
    /// The cluster.
    pub fixture: Fixture,
    /// The packets that came before, each one's verdict its own row's business.
    pub before: Vec<Packet>,
    /// The packet.
    pub packet: Packet,
    /// What must become of it.
    pub expect: Expect,
    /// The flows that are noted afterwards, those of the packets before included; `None`: whatever they are.
    pub leaves: Option<Vec<(NodeIndex, FlowState)>>,
    /// A node that has been heard of, and its cell of `lb_liveness` then.
    pub hears: Option<(NodeIndex, Liveness)>,
    /// A BFD session whose router has been heard of, and its state byte.
    pub hears_router: Option<(u32, u8)>,
}

const UNOWNED: u32 = Outcome::Unowned as u32;

impl Row {
    /// An unknown flow is recorded, so that its next packet asks no node; a served flow is recorded as its
    /// row says.
    fn new(name: impl Into<String>, packet: Packet, expect: Expect) -> Self {
        let served = [Outcome::Local, Outcome::LocalFromNode, Outcome::Decapsulated].map(|o| o as u32);
        let leaves = match expect.counter() {
            counter if served.contains(&counter) => None,
            UNOWNED => Some(vec![(node::SELF, FlowState::Unconfirmed)]),
            _ => Some(Vec::new()),
        };
        Self {
            name: name.into(),
            fixture: Fixture::Standard,
            before: Vec::new(),
            packet,
            expect,
            leaves,
            hears: None,
            hears_router: None,
        }
    }

    fn frame(name: impl Into<String>, frame: &Frame, expect: Expect) -> Self {
        Self::new(name, frame.packet(), expect)
    }

    fn bytes(name: impl Into<String>, bytes: Vec<u8>, expect: Expect) -> Self {
        Self::new(name, Packet::new(bytes), expect)
    }

    fn meets(self, fixture: Fixture) -> Self {
        Self { fixture, ..self }
    }

    /// Once these packets have come.
    fn after(self, before: &[&Frame]) -> Self {
        Self { before: before.iter().map(|frame| frame.packet()).collect(), ..self }
    }

    /// With these flows noted afterwards.
    fn leaves(self, flows: &[(NodeIndex, FlowState)]) -> Self {
        let mut flows = flows.to_vec();
        flows.sort_unstable();
        Self { leaves: Some(flows), ..self }
    }

    /// With this node heard of.
    fn hears(self, node: NodeIndex, state: u32) -> Self {
        self.hears_at(node, Liveness { last_seen: CLOCK, state })
    }

    /// With this node heard of at another time than now.
    fn hears_at(self, node: NodeIndex, heard: Liveness) -> Self {
        Self { hears: Some((node, heard)), ..self }
    }

    /// With this session's router heard of.
    fn hears_router(self, discriminator: u32, state: u8) -> Self {
        Self { hears_router: Some((discriminator, state)), ..self }
    }

    /// With the part that can be read directly ending here.
    fn split_at(mut self, linear: usize) -> Self {
        self.packet.linear = linear;
        self
    }

    /// With bytes behind the IP packet, as Ethernet pads short frames.
    fn padded(mut self, trailer: &[u8]) -> Self {
        self.packet.bytes.extend_from_slice(trailer);
        self.packet.linear = self.packet.bytes.len();
        self.expect = self.expect.followed_by(trailer);
        self
    }
}

/// All rows, those that are written by hand before those that a loop makes.
pub fn rows() -> Vec<Row> {
    [written(), cut::rows()].concat()
}

/// The rows that are written by hand.
pub fn written() -> Vec<Row> {
    [
        forward::rows(),
        extensions::rows(),
        tunnel::rows(),
        arp::rows(),
        echo::rows(),
        malformed::rows(),
        others::rows(),
        destination::rows(),
        ipip::rows(),
        bfd::rows(),
        owner::rows(),
        second_chance::rows(),
        probe::rows(),
        icmp_error::rows(),
        icmp_quote::rows(),
        fragment::rows(),
        undeclared::rows(),
        sctp::rows(),
        sources::rows(),
    ]
    .concat()
}

/// Bytes with some of them replaced, from offset `at` on.
fn edited(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

#[cfg(test)]
mod tests;
