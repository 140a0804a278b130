//! The expected results of packets, independent of the code under test: the builder makes the expected frame
//! anew from what differs, and the result is compared byte for byte.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use lb_common::maps::Node;
use lb_common::ring::NodeIndex;
use lb_common::verdict::{Fate, Outcome, Refusal};
use lb_pipeline::owner::MARK_LED;

use super::build::{Addresses, Frame, GueFields, Upper};
use super::fixture::{self, TAG_KEYS, node};
use crate::kernel::INGRESS;
use crate::model::{Action, Judged, Packet, counter_name};

/// The expected result for a packet.
#[derive(Clone, Debug)]
pub enum Expect {
    /// Passed unmodified, counted as this number.
    Untouched(u32),
    /// Dropped.
    Dropped(Refusal),
    /// Changed to exactly these bytes.
    Becomes(Action, Outcome, Vec<u8>),
    /// Encapsulated: exactly this frame except for the bits derived from the flow.
    Encapsulated(Action, Outcome, Box<Frame>),
    /// Consumed by the program.
    Consumed(Outcome),
}

/// Passed as not ours.
pub const NOT_OURS: Expect = Expect::Untouched(Outcome::NotOurs as u32);
/// Passed as ours and local.
pub const LOCAL: Expect = Expect::Untouched(Outcome::Local as u32);

/// Returns the result for a refusal: passed or dropped, as the table of verdicts says.
pub const fn refused(refusal: Refusal) -> Expect {
    match refusal.fate() {
        Fate::Pass => Expect::Untouched(refusal as u32),
        Fate::Drop => Expect::Dropped(refusal),
    }
}

/// Forwarded to a node by a MAC rewrite, with the TTL decremented.
pub fn rewritten(frame: &Frame, to: NodeIndex) -> Expect {
    let (macs, action) = hop(to);
    let sent = Frame { macs, ttl: frame.ttl - 1, ..frame.clone() };
    Expect::Becomes(action, Outcome::ForwardedL2, sent.bytes())
}

/// Forwarded to a node in GUE, with the TTL decremented.
pub fn encapsulated(frame: &Frame, to: NodeIndex) -> Expect {
    tunnelled(frame, to, Outcome::ForwardedGue, &[])
}

/// Forwarded to another candidate in GUE, with the TTL decremented and these fields.
pub fn asked_gue(frame: &Frame, to: NodeIndex, asked: impl Into<Asked>) -> Expect {
    tunnelled(frame, to, Outcome::AskedGue, asked)
}

fn tunnelled(frame: &Frame, to: NodeIndex, outcome: Outcome, asked: impl Into<Asked>) -> Expect {
    let inner = Frame { ttl: frame.ttl - 1, ..frame.clone() };
    let (outer, action) = outer(frame, to);
    Expect::Encapsulated(action, outcome, Box::new(listed_to(to, outer, 0, asked, &inner)))
}

/// Forwarded to a node in IP in IP, with the TTL decremented.
pub fn in_ip(frame: &Frame, to: NodeIndex) -> Expect {
    let inner = Frame { ttl: frame.ttl - 1, ..frame.clone() };
    let (outer, action) = outer(frame, to);
    let outer = outer.raw(protocol(frame), &inner.ip());
    Expect::Encapsulated(action, Outcome::ForwardedIpip, Box::new(outer))
}

/// Returns the outer frame to a node, still without a payload, and the action.
fn outer(frame: &Frame, to: NodeIndex) -> (Frame, Action) {
    let (macs, action) = hop(to);
    let outer = match node_of(to).outer_family {
        6 => Frame::v6(fixture::SELF6, fixture::NODE6),
        _ => Frame::v4(fixture::SELF4, fixture::NODE4),
    };
    (Frame { macs, tags: frame.tags.clone(), class: frame.class, ..outer }, action)
}

/// Returns the protocol number of an IP packet inside another.
const fn protocol(frame: &Frame) -> u8 {
    if frame.is_v4() { 4 } else { 41 }
}

/// The fields of a packet in GUE once a node has been asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `MARK_*`.
    pub marks: u32,
    /// Position of the flow's home in the list.
    pub home: u8,
    /// Wire IDs of the nodes asked so far, in order.
    pub ids: Vec<u32>,
}

impl Asked {
    /// Replaces the marks.
    pub fn marks(self, marks: u32) -> Self {
        Self { marks, ..self }
    }

    /// Replaces the position of the home.
    pub fn home(self, home: u8) -> Self {
        Self { home, ..self }
    }

    /// Returns the fields beside the list; a first hop has no list, and empty fields.
    fn fields(&self) -> GueFields {
        let (marks, home) = if self.ids.is_empty() { (0, 0) } else { (self.marks as u8, self.home) };
        GueFields { key: TAG_KEYS[0], marks, home }
    }
}

/// The usual case: the first of the asked nodes leads the slot.
impl From<&[u32]> for Asked {
    fn from(ids: &[u32]) -> Self {
        Self { marks: MARK_LED, home: 0, ids: ids.to_vec() }
    }
}

impl<const N: usize> From<&[u32; N]> for Asked {
    fn from(ids: &[u32; N]) -> Self {
        Self::from(ids.as_slice())
    }
}

impl From<&Vec<u32>> for Asked {
    fn from(ids: &Vec<u32>) -> Self {
        Self::from(ids.as_slice())
    }
}

/// Encapsulates `inner` in GUE to this node, in the frame `outer`, from this source port, with these fields.
pub fn listed(outer: Frame, source_port: u16, asked: impl Into<Asked>, inner: &Frame) -> Frame {
    listed_to(node::SELF, outer, source_port, asked, inner)
}

/// The same to another node.
fn listed_to(to: NodeIndex, outer: Frame, source_port: u16, asked: impl Into<Asked>, inner: &Frame) -> Frame {
    let asked = asked.into();
    let header = [asked.ids.len() as u8, protocol(inner), 0, 0];
    let ids = asked.ids.iter().flat_map(|id| id.to_be_bytes());
    let rest: Vec<u8> = ids.chain(inner.ip()).collect();
    outer.gue_with(asked.fields(), to, source_port, header, &rest)
}

/// Forwarded to another candidate by a MAC rewrite under this EtherType, with the TTL decremented.
pub fn asked_l2(frame: &Frame, to: NodeIndex, ether_type: u16) -> Expect {
    let (macs, action) = hop(to);
    let sent = Frame { macs, ttl: frame.ttl - 1, ..frame.clone() };
    Expect::Becomes(action, Outcome::AskedL2, sent.bytes_as(ether_type))
}

/// Decapsulated from `outer`, with its Ethernet header.
pub fn decapsulated(outer: &Frame, inner: &Frame) -> Expect {
    opened(outer, inner, Outcome::Decapsulated)
}

/// The same, counted as another outcome.
pub fn opened(outer: &Frame, inner: &Frame, outcome: Outcome) -> Expect {
    let inner = Frame { macs: outer.macs, tags: outer.tags.clone(), ..inner.clone() };
    Expect::Becomes(Action::Pass, outcome, inner.bytes())
}

/// Answered with time exceeded.
pub fn time_exceeded(frame: &Frame) -> Expect {
    let (kind, code) = if frame.is_v4() { (11, 0) } else { (3, 0) };
    icmp_error(frame, Outcome::TimeExceededSent, [kind, code], 0, usize::MAX)
}

/// The same when only this many bytes of the frame can be read directly.
pub fn time_exceeded_readable(frame: &Frame, linear: usize) -> Expect {
    let (kind, code) = if frame.is_v4() { (11, 0) } else { (3, 0) };
    icmp_error(frame, Outcome::TimeExceededSent, [kind, code], 0, linear)
}

/// Answered with fragmentation needed or packet too big, with this MTU.
pub fn too_big(frame: &Frame, mtu: u32) -> Expect {
    too_big_readable(frame, mtu, usize::MAX)
}

/// The same when only this many bytes of the frame can be read directly.
pub fn too_big_readable(frame: &Frame, mtu: u32, linear: usize) -> Expect {
    let (kind, code) = if frame.is_v4() { (3, 4) } else { (2, 0) };
    icmp_error(frame, Outcome::TooBigSent, [kind, code], mtu, linear)
}

/// Answered with port unreachable, by the VIP itself.
pub fn port_unreachable(frame: &Frame) -> Expect {
    port_unreachable_readable(frame, usize::MAX)
}

/// The same when only this many bytes of the frame can be read directly.
pub fn port_unreachable_readable(frame: &Frame, linear: usize) -> Expect {
    let ([kind, code], answer) = match frame.addresses {
        Addresses::V4(source, destination) => ([3, 3], Frame::v4(destination, source)),
        Addresses::V6(source, destination) => ([1, 4], Frame::v6(destination, source)),
    };
    message(frame, answer, Outcome::PortUnreachableSent, [kind, code], 0, linear)
}

/// Returns the ICMP error from this node to the frame's sender; it quotes as much of the frame's IP packet as
/// can be read and may be quoted.
fn icmp_error(frame: &Frame, outcome: Outcome, [kind, code]: [u8; 2], word: u32, linear: usize) -> Expect {
    let answer = match frame.addresses {
        Addresses::V4(source, _) => Frame::v4(fixture::SELF4, source),
        Addresses::V6(source, _) => Frame::v6(fixture::SELF6, source),
    };
    message(frame, answer, outcome, [kind, code], word, linear)
}

fn message(
    frame: &Frame,
    answer: Frame,
    outcome: Outcome,
    [kind, code]: [u8; 2],
    word: u32,
    linear: usize,
) -> Expect {
    let [to, from] = frame.macs;
    let most = if frame.is_v4() { 576 - 28 } else { 1280 - 48 };
    let packet = frame.ip();
    let ethernet = 14 + 4 * frame.tags.len();
    let quoted = packet.len().min(most).min(linear - ethernet);
    let rest = [&word.to_be_bytes(), &packet[..quoted]].concat();
    let answer = Frame { macs: [from, to], tags: frame.tags.clone(), dont_fragment: false, ..answer };
    Expect::Becomes(Action::Transmit, outcome, answer.message(kind, code, &rest).bytes())
}

fn node_of(index: NodeIndex) -> Node {
    fixture::nodes()[usize::from(index)]
}

fn hop(to: NodeIndex) -> ([[u8; 6]; 2], Action) {
    let node = node_of(to);
    let action = if node.ifindex == INGRESS { Action::Transmit } else { Action::Redirect };
    ([node.next_hop_mac, node.source_mac], action)
}

impl Expect {
    /// Returns the result for a frame with these bytes behind its IP packet.
    pub fn followed_by(self, trailer: &[u8]) -> Self {
        match self {
            Self::Becomes(action, outcome, bytes) => {
                Self::Becomes(action, outcome, [bytes.as_slice(), trailer].concat())
            }
            same => same,
        }
    }

    /// Returns the number as which it is counted.
    pub fn counter(&self) -> u32 {
        match self {
            Self::Untouched(number) => *number,
            Self::Dropped(refusal) => *refusal as u32,
            Self::Becomes(_, outcome, _) => *outcome as u32,
            Self::Encapsulated(_, outcome, _) | Self::Consumed(outcome) => *outcome as u32,
        }
    }

    /// Returns whether the result is as expected.
    ///
    /// # Errors
    /// The difference.
    pub fn check(&self, packet: &Packet, judged: &Judged) -> Result<(), String> {
        let (action, bytes) = match self {
            Self::Untouched(_) => (Action::Pass, Some(packet.bytes.clone())),
            Self::Dropped(_) | Self::Consumed(_) => (Action::Drop, None),
            Self::Becomes(action, _, bytes) => (*action, Some(bytes.clone())),
            Self::Encapsulated(action, _, outer) => (*action, Some(with_entropy(outer, &judged.bytes)?)),
        };
        let (counted, expected) = (counter_name(judged.counter), counter_name(self.counter()));
        if judged.counter != self.counter() {
            return Err(format!("counted as {counted}, not {expected}"));
        }
        if judged.action != action {
            return Err(format!("{:?}, not {action:?}", judged.action));
        }
        match bytes {
            Some(bytes) if bytes != judged.bytes => {
                Err(format!("became {:02x?}\nnot {bytes:02x?}", judged.bytes))
            }
            _ => Ok(()),
        }
    }
}

/// Returns the outer frame with the source port and flow label that the program chose, if their range is
/// valid.
fn with_entropy(outer: &Frame, sent: &[u8]) -> Result<Vec<u8>, String> {
    let sliced = SlicedPacket::from_ethernet(sent).map_err(|error| format!("cannot be parsed: {error}"))?;
    let flow_label = match sliced.net {
        Some(NetSlice::Ipv6(ip)) => ip.header().flow_label().value(),
        _ => 0,
    };
    let mut outer = Frame { flow_label, ..outer.clone() };
    if let Upper::PlainUdp(source, ..) = &mut outer.upper {
        let Some(TransportSlice::Udp(udp)) = sliced.transport else { return Err("is no UDP".to_owned()) };
        *source = udp.source_port();
        if *source < 0xc000 {
            return Err(format!("source port {source} is none of the dynamic range"));
        }
    }
    Ok(outer.bytes())
}
