//! The nodes of a flow: the maps of a node in, its slot and the verdicts of the XDP program out.
//!
//! The verdicts are those of the program's own pipeline, which runs here on a packet of the flow and on the
//! maps' contents. Nothing is counted or recorded.

mod frame;
mod packet;
mod tables;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use lb_common::flows::{self, AGE_BITS, FlowKey, WAYS};
use lb_common::maps::{Liveness, VIP_AFFINITY, Vip};
use lb_common::ring::{NO_NODE, NodeIndex, Slot, nodes_of};
use lb_common::verdict::COUNTERS;
use lb_model::Protocol;
use lb_pipeline::owner;
use lb_pipeline::{PacketInfo, judge_slow, liveness_of};
use lb_plan::contents::{Contents, VipKey};
use serde::{Deserialize, Serialize};

use frame::VectorFrame;
use packet::Segment;
use tables::{HostTables, flow_hash};

/// The flow that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowQuestion {
    /// The client.
    pub client: IpAddr,
    /// The client's port; `None`: any.
    pub client_port: Option<u16>,
    /// The VIP.
    pub vip: SocketAddr,
    /// The protocol.
    pub protocol: Protocol,
}

/// The maps that change with every packet.
pub struct LiveMaps<'a> {
    /// Returns the liveness cell of a node.
    pub liveness: &'a dyn Fn(NodeIndex) -> Liveness,
    /// The probe clock.
    pub clock: u32,
    /// The clock of the flow table.
    pub flow_age: u16,
    /// Returns a set of the flow table, by its number.
    pub flow_set: &'a dyn Fn(u32) -> [u64; WAYS],
}

/// Why nothing can be said about a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowError {
    /// The maps hold no configuration.
    NotConfigured,
    /// The address and port are no VIP.
    NotAVip,
    /// Client and VIP are of different families.
    Families,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowView {
    /// The node that was asked.
    pub node: String,
    /// The client, with its port if that is given.
    pub client: String,
    /// The VIP, as `address:port/protocol`.
    pub vip: String,
    /// Whether all flows of a client share a slot.
    pub affinity: bool,
    /// The flow's slot; `None` if it depends on the client's port.
    pub slot: Option<SlotView>,
    /// The verdicts of this node's program on the flow's packets.
    pub verdicts: Vec<VerdictView>,
    /// The entry of this node's flow table.
    pub entry: Option<EntryView>,
    /// The number of slots for which each node gets new flows now.
    pub distribution: BTreeMap<String, usize>,
}

/// A slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotView {
    /// Its number in `lb_rings`.
    pub number: u32,
    /// The ring's first slot.
    pub first: u32,
    /// The ring's number of slots.
    pub of: u32,
    /// The leader, which gets new flows.
    pub leader: Option<RankedNode>,
    /// The successors, in order.
    pub successors: Vec<RankedNode>,
    /// The former leaders, newest first.
    pub former: Vec<RankedNode>,
    /// The node that a director sends the flow's packets to.
    pub candidate: Option<RankedNode>,
}

/// A node of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankedNode {
    /// Its name.
    pub name: String,
    /// `alive`, `draining` or `dead`, as seen by this node.
    pub state: String,
    /// How this node forwards packets to it: `self`, a forwarding mode, or `unresolved`.
    pub forwarding: String,
    /// The MAC of the next hop.
    pub next_hop: Option<String>,
}

/// The verdict on a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictView {
    /// The packet: `first` opens the flow, `later` belongs to an open one.
    pub packet: String,
    /// The verdict's name.
    pub verdict: String,
    /// Whether the packet is dropped.
    pub dropped: bool,
    /// The node that serves the packet or is asked next.
    pub node: Option<String>,
}

/// An entry of the flow table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryView {
    /// The node that owns the flow.
    pub node: String,
    /// `half_open`, `unconfirmed`, `udp`, `open`, `moved` or `closed`.
    pub state: String,
    /// Time since a packet was last seen, in units of 17.2 s.
    pub age_units: u16,
}

/// Names of nodes, by index.
pub type NodeNames = BTreeMap<NodeIndex, String>;

/// Returns the nodes of a flow, and what this node's program does with its packets.
///
/// # Errors
/// When the maps hold no such VIP.
pub fn flow(
    contents: &Contents,
    live: &LiveMaps<'_>,
    names: &NodeNames,
    question: &FlowQuestion,
) -> Result<FlowView, FlowError> {
    let config = contents.config.as_ref().ok_or(FlowError::NotConfigured)?;
    if question.client.is_ipv4() != question.vip.is_ipv4() {
        return Err(FlowError::Families);
    }
    let (address, port) = (question.vip.ip(), question.vip.port());
    let key = VipKey { address, port, protocol: question.protocol.number() };
    let vip = *contents.vips.get(&key).ok_or(FlowError::NotAVip)?;
    let is_affine = vip.flags & VIP_AFFINITY != 0;
    let tables = HostTables::new(contents, *config, live);
    let view = NodeViews { tables: &tables, contents, names };
    let is_known = is_affine || question.client_port.is_some();
    let hash = is_known.then(|| flow_hash(config, question, is_affine));
    // Flows of a client with session affinity share a slot, and have entries of their own.
    let entry = question.client_port.map(|_| flow_hash(config, question, false));
    let set = entry.map(|hash| (live.flow_set)(FlowKey::of(hash).set & config.flow_mask));
    // New for each packet, because the pipeline notes flows in its copy of the set.
    let with_set = || HostTables::new(contents, *config, live).with_set(set.unwrap_or_default());
    let node = names.get(&config.self_node).cloned().unwrap_or_default();
    let client = match question.client_port {
        Some(port) => SocketAddr::new(question.client, port).to_string(),
        None => question.client.to_string(),
    };
    let verdicts = is_known.then(|| view.verdicts(&with_set, question));
    Ok(FlowView {
        node,
        client,
        vip: format!("{}/{}", question.vip, question.protocol.name()),
        affinity: is_affine,
        slot: hash.map(|hash| view.slot(&vip, hash)),
        verdicts: verdicts.unwrap_or_default(),
        entry: entry.and_then(|hash| view.entry(&with_set(), hash, live.flow_age)),
        distribution: view.distribution(&vip),
    })
}

/// Nodes as an operator sees them.
struct NodeViews<'a> {
    tables: &'a HostTables<'a>,
    contents: &'a Contents,
    names: &'a NodeNames,
}

impl NodeViews<'_> {
    fn name(&self, index: NodeIndex) -> String {
        self.names.get(&index).cloned().unwrap_or_else(|| format!("node {index}, which is gone"))
    }

    fn ranked(&self, index: NodeIndex) -> RankedNode {
        let entry = self.contents.nodes.get(&index);
        let is_self = index == self.tables.config.self_node;
        let state = liveness_of(self.tables, index).as_str();
        let mode = entry.and_then(lb_common::maps::Node::forwarding_mode);
        let forwarding = if is_self { "self" } else { mode.map_or("unresolved", |mode| mode.as_str()) };
        let mac = entry.filter(|_| mode.is_some() && !is_self).map(|entry| entry.next_hop_mac);
        let next_hop =
            mac.map(|[a, b, c, d, e, f]| format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"));
        RankedNode { name: self.name(index), state: state.into(), forwarding: forwarding.into(), next_hop }
    }

    fn slot(&self, vip: &Vip, hash: u64) -> SlotView {
        let number = vip.ring + (hash as u32 & vip.mask);
        let slot = lb_pipeline::tables::Tables::slot(self.tables, number).unwrap_or(Slot::EMPTY);
        let ranked = |nodes: &[NodeIndex]| -> Vec<RankedNode> {
            nodes.iter().filter(|node| **node != NO_NODE).map(|node| self.ranked(*node)).collect()
        };
        let candidate = self.candidate(slot);
        SlotView {
            number,
            first: vip.ring,
            of: vip.mask + 1,
            leader: ranked(&[slot.leader]).pop(),
            successors: ranked(&slot.successors),
            former: ranked(&slot.former),
            candidate: ranked(&[candidate]).pop(),
        }
    }

    fn candidate(&self, slot: Slot) -> NodeIndex {
        owner::candidate(nodes_of(slot.order_word()), |node| liveness_of(self.tables, node))
    }

    fn distribution(&self, vip: &Vip) -> BTreeMap<String, usize> {
        let mut shares = BTreeMap::new();
        for slot in self.contents.ring_of(vip).into_iter().flat_map(|slots| slots.iter()) {
            *shares.entry(self.candidate(*slot)).or_default() += 1;
        }
        let named = shares.into_iter().map(|(node, slots)| {
            (if node == NO_NODE { "no live node".to_owned() } else { self.name(node) }, slots)
        });
        named.collect()
    }

    fn entry(&self, tables: &HostTables<'_>, hash: u64, now: u16) -> Option<EntryView> {
        let bits = tables.set.get_bits(FlowKey::of(hash).tag);
        let state = match flows::state(bits) {
            1 => "half_open",
            2 => "unconfirmed",
            3 => "udp",
            4 => "open",
            5 => "moved",
            6 => "closed",
            _ => return None,
        };
        let age_units = now.wrapping_sub(flows::age(bits)) & ((1 << AGE_BITS) - 1);
        Some(EntryView { node: self.name(flows::holder(bits)), state: state.into(), age_units })
    }

    /// Runs the pipeline on a first and on a later packet of the flow.
    fn verdicts<'t>(
        &self,
        with_set: &dyn Fn() -> HostTables<'t>,
        question: &FlowQuestion,
    ) -> Vec<VerdictView> {
        let kinds = [("first", Segment::First), ("later", Segment::Later)];
        let judge = |(name, segment): (&str, Segment)| {
            let tables = with_set();
            let bytes = packet::packet(question, segment, tables.uplink_mac());
            let mut frame = VectorFrame::new(&bytes, tables.uplink());
            let mut read = PacketInfo::EMPTY;
            let verdict = judge_slow(&mut frame, &tables, &mut read);
            let number = match &verdict {
                Ok(forward) => forward.outcome().map(|outcome| outcome as u32),
                Err(refusal) => Some(*refusal as u32),
            };
            let counter = number.and_then(|number| COUNTERS.iter().find(|(it, ..)| *it == number));
            let (verdict, is_dropped) = counter.map_or(("unknown", false), |(_, name, fate)| {
                (*name, *fate == lb_common::verdict::Fate::Drop)
            });
            let node = tables.sent_to.get().map(|index| self.name(index)).or_else(|| {
                let is_served = verdict.starts_with("local") || verdict == "unowned";
                is_served.then(|| self.name(tables.config.self_node))
            });
            VerdictView { packet: name.into(), verdict: verdict.into(), dropped: is_dropped, node }
        };
        kinds.into_iter().map(judge).collect()
    }
}

#[cfg(test)]
mod tests;
