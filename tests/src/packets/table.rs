//! The table of packets, each with what must become of it.

mod arp;
mod cut;
mod echo;
mod extensions;
mod forward;
mod malformed;
mod others;
mod tunnel;

use super::build::Frame;
use super::expect::Expect;
use super::fixture::Fixture;
use crate::model::Packet;

/// A packet, the cluster that it meets, and what must become of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// In words.
    pub name: String,
    /// The cluster.
    pub fixture: Fixture,
    /// The packet.
    pub packet: Packet,
    /// What must become of it.
    pub expect: Expect,
}

impl Row {
    fn new(name: impl Into<String>, packet: Packet, expect: Expect) -> Self {
        Self { name: name.into(), fixture: Fixture::Standard, packet, expect }
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
    ]
    .concat()
}

/// Bytes with some of them replaced, from offset `at` on.
fn edited(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}
