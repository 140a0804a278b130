//! The table of packets with their expected results.

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
mod ndp;
mod others;
mod owner;
mod probe;
mod ranks;
mod sctp;
mod second_chance;
mod sources;
mod tunnel;
mod undeclared;

use lb_common::flows::FlowState;
use lb_common::maps::Liveness;
use lb_common::ring::NodeIndex;
use lb_common::verdict::Outcome;
use lb_common::wire::bfd::LENGTH as BFD_LENGTH;

use super::build::Frame;
use super::expect::Expect;
use super::fixture::{CLOCK, Fixture, node};
use crate::model::{Packet, RouterHeard};

/// A packet, the state of the cluster, and the expected result.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The state of the cluster.
    pub fixture: Fixture,
    /// The packets that arrive before it; their verdicts are not checked here.
    pub before: Vec<Packet>,
    /// The packet.
    pub packet: Packet,
    /// The expected result.
    pub expect: Expect,
    /// The flows recorded afterwards, including those of the packets before; `None`: not checked.
    pub leaves: Option<Vec<(NodeIndex, FlowState)>>,
    /// A node that has been heard from, and its entry of `lb_liveness` then.
    pub hears: Option<(NodeIndex, Liveness)>,
    /// A BFD session whose router has been heard from, and what is noted of it.
    pub hears_router: Option<(u32, RouterHeard)>,
}

const UNOWNED: u32 = Outcome::Unowned as u32;

impl Row {
    /// Creates a row. By default, an unknown flow is recorded, so that its next packet asks no node; the
    /// record of a served flow is not checked.
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

    /// Sends these packets first.
    fn after(self, before: &[&Frame]) -> Self {
        Self { before: before.iter().map(|frame| frame.packet()).collect(), ..self }
    }

    /// Expects these recorded flows.
    fn leaves(self, flows: &[(NodeIndex, FlowState)]) -> Self {
        let mut flows = flows.to_vec();
        flows.sort_unstable();
        Self { leaves: Some(flows), ..self }
    }

    /// Expects this node to have been heard from now.
    fn hears(self, node: NodeIndex, state: u32) -> Self {
        self.hears_at(node, Liveness { last_seen: CLOCK, state })
    }

    /// Expects this node to have been heard from at another time.
    fn hears_at(self, node: NodeIndex, heard: Liveness) -> Self {
        Self { hears: Some((node, heard)), ..self }
    }

    /// Expects this session's router to have been heard from, by this packet.
    fn hears_router(self, discriminator: u32, theirs: [u8; BFD_LENGTH]) -> Self {
        Self { hears_router: Some((discriminator, RouterHeard { theirs, is_answered: false })), ..self }
    }

    /// Expects the packet of the session's router to be answered.
    fn answers_router(self, discriminator: u32, theirs: [u8; BFD_LENGTH]) -> Self {
        Self { hears_router: Some((discriminator, RouterHeard { theirs, is_answered: true })), ..self }
    }

    /// Ends the directly readable part here.
    fn split_at(mut self, linear: usize) -> Self {
        self.packet.linear = linear;
        self
    }

    /// Adds bytes behind the IP packet, as Ethernet pads short frames.
    fn padded(mut self, trailer: &[u8]) -> Self {
        self.packet.bytes.extend_from_slice(trailer);
        self.packet.linear = self.packet.bytes.len();
        self.expect = self.expect.followed_by(trailer);
        self
    }
}

/// Returns all rows: handwritten ones, then generated ones.
pub fn rows() -> Vec<Row> {
    [written(), cut::rows()].concat()
}

/// Returns the handwritten rows.
pub fn written() -> Vec<Row> {
    [
        forward::rows(),
        extensions::rows(),
        tunnel::rows(),
        arp::rows(),
        ndp::rows(),
        ranks::rows(),
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

/// Replaces bytes from offset `at` on.
fn edited(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

#[cfg(test)]
mod tests;
