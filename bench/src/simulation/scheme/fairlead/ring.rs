//! The ring of a simulated node, computed by the agent's planner.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use lb_common::hash::HashKey;
use lb_common::ring::{FORMER, NO_NODE, NodeIndex, Slot};
use lb_model::{DrainCause, TrafficPolicy};
use lb_model::{Endpoints, Model, Node, NodeName, Protocol, Service, ServiceName, ServiceVip, SourceRanges};
use lb_pipeline::owner::LivenessState;
use lb_plan::contents::{Contents, VipKey, diff};
use lb_plan::plan::{Facts, Forwarding, LivenessSettings, Planner, Settings, UndeclaredPorts};
use lb_plan::ring::{Preferences, RingMember};

use crate::simulation::Tick;
use crate::simulation::trace::Member;
use crate::simulation::world::{Members, View};

/// Minimum number of slots per node.
const SLOTS_PER_NODE: u32 = 256;
/// Capacity for any ring of the largest cluster together with the ring it replaces.
const RING_CAPACITY: u32 = 1 << 21;
/// The destination of all flows.
const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const PORT: u16 = 443;
/// Length of a tick.
const TICK: Duration = Duration::from_millis(50);

/// The former leaders that a ring remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// None.
    Nothing,
    /// The leaders of previous rings, but not the successors that stood in for dead leaders.
    Leaders,
    /// All that an agent records.
    Agent,
}

/// Returns the preferences of nodes with weights. Their numbers are positions in `nodes`, which is sorted.
pub(in crate::simulation::scheme) fn preferences(nodes: &[(NodeIndex, u32)], slots: usize) -> Preferences {
    let names: Vec<NodeName> = nodes.iter().map(|(node, _)| name(*node)).collect();
    let members: Vec<RingMember<'_>> = names
        .iter()
        .zip(nodes)
        .map(|(name, (_, weight))| RingMember { name: name.as_str(), weight: *weight })
        .collect();
    Preferences::new(&members, slots)
}

/// Returns a node's name; names sort by index, since all have the same length.
fn name(node: NodeIndex) -> NodeName {
    format!("node-{node:05}").as_str().into()
}

fn address(node: NodeIndex) -> IpAddr {
    let [high, low] = node.to_be_bytes();
    [10, 0, high, low].into()
}

/// A planner and its installed state, of all nodes with the same history: they would plan the same, each for
/// itself, and a thousand rings of a thousand nodes fit no memory.
pub(super) struct Ring {
    /// A number of this history.
    id: u64,
    planner: Planner,
    installed: Contents,
    members: Members,
    facts: Facts,
    /// The slots of the only VIP, by the simulation's indices.
    slots: Vec<Slot>,
    wake: Option<Duration>,
}

impl Ring {
    /// Returns the slot of a flow.
    pub(super) fn slot(&self, hash: u64) -> Slot {
        let mask = self.slots.len().wrapping_sub(1);
        self.slots.get(hash as usize & mask).copied().unwrap_or(Slot::EMPTY)
    }
}

/// The change that continues a history.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    after: u64,
    /// The node, if that matters: one that starts in a running cluster notes who led before it came.
    own: Option<NodeIndex>,
    members: Members,
    silent: BTreeSet<IpAddr>,
}

/// The rings of all nodes.
pub(super) struct Rings {
    memory: Memory,
    fresh: Arc<Ring>,
    /// The number of histories.
    count: u64,
    /// The current time, and the rings that have been planned in it.
    now: Tick,
    planned: BTreeMap<Step, Arc<Ring>>,
}

impl Rings {
    /// Creates the rings of no node.
    pub(super) fn new(memory: Memory) -> Self {
        let fresh = Ring {
            id: 0,
            planner: Planner::new(),
            installed: Contents::default(),
            members: Members::new(),
            facts: Facts::default(),
            slots: Vec::new(),
            wake: None,
        };
        Self { memory, fresh: Arc::new(fresh), count: 0, now: 0, planned: BTreeMap::new() }
    }

    /// Returns the ring of a node that has just started.
    pub(super) fn fresh(&self) -> Arc<Ring> {
        Arc::clone(&self.fresh)
    }

    /// Returns a node's ring after the present one; plans again if the view has changed.
    pub(super) fn follow(&mut self, ring: &Arc<Ring>, own: NodeIndex, view: &View, now: Tick) -> Arc<Ring> {
        let silent = if self.memory == Memory::Agent { silent(view) } else { BTreeSet::new() };
        if ring.id != self.fresh.id && view.members == ring.members && silent == ring.facts.silent {
            return Arc::clone(ring);
        }
        self.after(ring, own, &view.members, silent, now)
    }

    /// Returns a node's ring after the present one; plans again if the last plan asked for it by now.
    pub(super) fn wake(&mut self, ring: &Arc<Ring>, own: NodeIndex, now: Tick) -> Arc<Ring> {
        if ring.wake.is_none_or(|wake| wake > moment(now)) {
            return Arc::clone(ring);
        }
        self.after(ring, own, &ring.members, ring.facts.silent.clone(), now)
    }

    fn after(
        &mut self,
        ring: &Arc<Ring>,
        own: NodeIndex,
        members: &Members,
        silent: BTreeSet<IpAddr>,
        now: Tick,
    ) -> Arc<Ring> {
        if now != self.now {
            self.now = now;
            self.planned.clear();
        }
        // In the first tick flows only open, so former leaders do not matter.
        let is_newcomer = ring.installed.vips.is_empty() && now > 0;
        // Without its own object a node has another plan.
        let own_matters = is_newcomer || !members.contains_key(&own);
        let step = Step { after: ring.id, own: own_matters.then_some(own), members: members.clone(), silent };
        if let Some(planned) = self.planned.get(&step) {
            return Arc::clone(planned);
        }
        self.count += 1;
        let planned = Arc::new(plan(ring, self.count, own, &step, self.memory, moment(now)));
        self.planned.insert(step, Arc::clone(&planned));
        planned
    }
}

/// Plans the next ring of a history.
fn plan(ring: &Ring, id: u64, own: NodeIndex, step: &Step, memory: Memory, now: Duration) -> Ring {
    let (mut planner, mut installed) = (ring.planner.clone(), ring.installed.clone());
    let facts = Facts { silent: step.silent.clone(), ..Facts::default() };
    let model = model(&step.members);
    let plan = planner.plan(&model, &facts, &settings(own), &installed, now);
    for op in diff(&installed, &plan.contents) {
        installed.apply(&op);
    }
    installed.share_rings(&plan.contents);
    // Both are sorted by name.
    let indices: BTreeMap<NodeIndex, NodeIndex> =
        plan.nodes.iter().map(|node| node.index).zip(model.nodes.values().map(index)).collect();
    let index = |node: NodeIndex| indices.get(&node).copied().unwrap_or(NO_NODE);
    let former = |former: [NodeIndex; FORMER]| match memory {
        Memory::Nothing => [NO_NODE; FORMER],
        Memory::Leaders | Memory::Agent => {
            // An absent node has no index in the simulation, and cannot be asked.
            let mut there = former.into_iter().map(index).filter(|node| *node != NO_NODE);
            std::array::from_fn(|_| there.next().unwrap_or(NO_NODE))
        }
    };
    let slot = |slot: &Slot| Slot {
        leader: index(slot.leader),
        successors: slot.successors.map(index),
        former: former(slot.former),
    };
    let key = VipKey { address: VIP, port: PORT, protocol: Protocol::Tcp.number() };
    let slots = installed.vips.get(&key).and_then(|vip| installed.ring_of(vip));
    let slots = slots.into_iter().flat_map(|slots| slots.iter()).map(slot).collect();
    Ring { id, planner, members: step.members.clone(), facts, slots, wake: plan.wake, installed }
}

/// Returns the time of a tick. The initial nodes have run for longer than former leaders are kept: twice that
/// time lies between the first two ticks.
fn moment(now: Tick) -> Duration {
    if now == 0 { Duration::ZERO } else { Settings::FORMER_GRACE * 2 + TICK * now }
}

/// Returns the index encoded in a node's address.
fn index(node: &Node) -> NodeIndex {
    match node.primary() {
        IpAddr::V4(address) => {
            let [_, _, high, low] = address.octets();
            NodeIndex::from_be_bytes([high, low])
        }
        IpAddr::V6(_) => NO_NODE,
    }
}

/// Returns the nodes that take no new flows according to the probes.
fn silent(view: &View) -> BTreeSet<IpAddr> {
    let peers = (0..).zip(&view.peers).filter(|(_, peer)| peer.liveness != LivenessState::Accepting);
    peers.map(|(node, _)| address(node)).filter(|_| !view.members.is_empty()).collect()
}

/// Returns a model of a Service with as many endpoints on each node as its weight.
fn model(members: &Members) -> Model {
    let node = |(index, member): (&NodeIndex, &Member)| {
        let mut node = Node::new(vec![address(*index)], BTreeMap::new())?;
        node.drain = member.draining.then_some(DrainCause::Cordon);
        Some((name(*index), node))
    };
    let by_node = members.iter().map(|(node, member)| (name(*node), member.weight)).collect();
    let endpoints = Endpoints { by_node, ..Endpoints::default() };
    let vip = ServiceVip { address: VIP, port: PORT, protocol: Protocol::Tcp, endpoints };
    let service = Service {
        policy: TrafficPolicy::Local,
        affinity: false,
        sources: SourceRanges::default(),
        labels: BTreeMap::new(),
        vips: vec![vip],
    };
    let name = ServiceName { namespace: String::from("default"), name: String::from("web") };
    Model {
        services: BTreeMap::from([(name, Arc::new(service))]),
        nodes: members.iter().filter_map(node).collect(),
        ..Model::default()
    }
}

fn settings(own: NodeIndex) -> Settings {
    Settings {
        node: name(own),
        hash_key: HashKey { k0: 0, k1: 0 },
        tag_keys: lb_common::tag::TagKeys::derived(&HashKey::default()),
        accept_ipip: false,
        echo_rate: 0,
        icmp_error_rate: 0,
        undeclared: UndeclaredPorts::Pass,
        forwarding: Forwarding::Auto,
        slots_per_node: SLOTS_PER_NODE,
        ring_capacity: RING_CAPACITY,
        flow_sets: 1 << 17,
        liveness: LivenessSettings::default(),
        draining: false,
        unhealthy: false,
        ignore_exclude_label: false,
        local_needs_endpoint: false,
        agent_limit: Duration::ZERO,
        former_grace: Settings::FORMER_GRACE,
        udp_grace: Settings::UDP_GRACE,
        // A trace sets weights, not endpoint counts that must settle.
        weight_settle: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::world::NodeProbes;

    fn view(nodes: NodeIndex, dead: NodeIndex) -> View {
        let member = |node| (node, Member { weight: 4, draining: false });
        let peer = |node| NodeProbes {
            liveness: if node == dead { LivenessState::Dead } else { LivenessState::Accepting },
            dead_since: (node == dead).then_some(1),
        };
        View { members: (0..nodes).map(member).collect(), peers: (0..nodes).map(peer).collect() }
    }

    /// Returns node 0's slots after these views, one per tick.
    fn slots(memory: Memory, views: &[View]) -> Vec<Slot> {
        let mut rings = Rings::new(memory);
        let mut ring = rings.fresh();
        for (now, view) in (0..).zip(views) {
            ring = rings.wake(&ring, 0, now);
            ring = rings.follow(&ring, 0, view, now);
        }
        (0..2048).map(|hash| ring.slot(hash)).collect()
    }

    #[test]
    fn slots_are_by_the_indices_of_the_simulation() {
        let order = |slots: Vec<Slot>| slots.iter().map(|slot| slot.order_word()).collect::<Vec<_>>();
        let members: Vec<_> = (0..8).map(|node| (node, 4)).collect();
        let expected: Vec<_> = preferences(&members, 2048).order(|_| true);
        let made = order(slots(Memory::Agent, &[view(3, NO_NODE), view(8, NO_NODE)]));
        let packed =
            |[leader, a, b, c]: [u16; 4]| Slot { leader, successors: [a, b, c], ..Slot::EMPTY }.order_word();
        assert_eq!(made, expected.into_iter().map(packed).collect::<Vec<_>>());
    }

    #[test]
    fn former_leaders_are_those_of_the_chosen_memory() {
        let views = [view(8, NO_NODE), view(8, NO_NODE), view(8, 3)];
        let former = |memory| slots(memory, &views).iter().map(|slot| slot.former).collect::<Vec<_>>();
        // The initial nodes are old: there is no former leader before an event.
        assert!(former(Memory::Leaders).iter().all(|former| *former == [NO_NODE; FORMER]));
        for slot in slots(Memory::Agent, &views) {
            let acting = if slot.leader == 3 { slot.successors[0] } else { NO_NODE };
            assert_eq!(slot.former[..2], [acting, NO_NODE]);
        }
        assert!(former(Memory::Nothing).iter().all(|former| *former == [NO_NODE; FORMER]));
    }
}
