//! No change of a cluster breaks a flow that some node still owns: the owner is asked, whichever node gets
//! the packet.

use lb_common::kernel::KernelAnswer;
use lb_common::ring::{NO_NODE, NodeIndex, Slot};
use lb_common::wire::gue::MAX_ASKED;
use lb_pipeline::owner::{
    CandidateAction, Direction, LivenessState, Lookups, PacketKind, Question, SlotRange, Trail, decide,
    direct, find,
};
use proptest::prelude::*;

use super::scenario::{Web, applied};
use super::*;

/// The installed contents of one agent, with its own node indices.
struct Agent {
    node: u8,
    planner: Planner,
    installed: Contents,
    indices: BTreeMap<u8, u16>,
}

impl Agent {
    fn new(node: u8) -> Self {
        Self { node, planner: Planner::new(), installed: Contents::default(), indices: BTreeMap::new() }
    }

    fn reconcile(&mut self, scenario: &Scenario, second: u64) {
        let scenario = scenario.seen_from(self.node);
        let plan = scenario.plan_by(&mut self.planner, &self.installed, second);
        assert_eq!(plan.problems, []);
        self.installed = applied(&self.installed, &plan);
        let index = |node: &u8| {
            plan.nodes.iter().find(|state| state.name == format!("n{node}").as_str().into()).unwrap().index
        };
        self.indices = scenario.nodes.keys().map(|node| (*node, index(node))).collect();
    }

    /// The slot of a flow by its hash.
    fn slot(&self, key: VipKey, hash: u32) -> Slot {
        let vip = self.installed.vips[&key];
        self.installed.rings[&vip.ring][(hash & vip.mask) as usize]
    }

    fn name(&self, index: u16) -> u8 {
        self.try_name(index).unwrap()
    }

    /// `None` for a node that is away.
    fn try_name(&self, index: u16) -> Option<u8> {
        self.indices.iter().find(|(_, own)| **own == index).map(|(name, _)| *name)
    }

    fn own(&self) -> u16 {
        self.indices[&self.node]
    }
}

/// A node that knows nothing but the slot.
struct Unknown<'a> {
    question: &'a Question,
    agent: &'a Agent,
    asked: &'a [u8],
}

impl Lookups for Unknown<'_> {
    fn can_ask(&self, node: NodeIndex) -> bool {
        self.agent.try_name(node).is_some_and(|name| !self.asked.contains(&name))
    }

    fn find(&self, part: SlotRange) -> NodeIndex {
        let Question { slot, own, kind, .. } = *self.question;
        find(slot, own, kind, part, |node| self.can_ask(node))
    }

    fn has_recent_death(&self) -> bool {
        false
    }

    fn kernel(&self) -> KernelAnswer {
        KernelAnswer::Unknown
    }
}

/// The agents of a cluster, by node.
struct Cluster {
    agents: BTreeMap<u8, Agent>,
    second: u64,
}

impl Cluster {
    fn of(scenario: &Scenario) -> Self {
        let mut cluster = Self { agents: BTreeMap::new(), second: 0 };
        cluster.reconcile(scenario);
        cluster
    }

    /// All agents plan for the current cluster; those of new nodes start.
    fn reconcile(&mut self, scenario: &Scenario) {
        self.second += 10;
        self.agents.retain(|node, _| scenario.nodes.contains_key(node));
        for node in scenario.nodes.keys() {
            let agent = self.agents.entry(*node).or_insert_with(|| Agent::new(*node));
            agent.reconcile(scenario, self.second);
        }
    }

    fn leader(&self, key: VipKey, hash: u32) -> u8 {
        let leaders: Vec<_> =
            self.agents.values().map(|agent| agent.name(agent.slot(key, hash).leader)).collect();
        assert!(leaders.iter().all(|leader| *leader == leaders[0]), "agents disagree");
        leaders[0]
    }

    /// Whether a packet of a flow that only `owner` knows gets there from a director.
    fn reaches(&self, director: u8, owner: u8, key: VipKey, hash: u32, scenario: &Scenario) -> bool {
        let agent = &self.agents[&director];
        let liveness = |index| {
            let draining = scenario.draining.contains(&agent.name(index));
            if draining { LivenessState::Draining } else { LivenessState::Accepting }
        };
        let mut at = match direct(agent.slot(key, hash), agent.own(), liveness) {
            Direction::Here => director,
            Direction::To(index) => agent.name(index),
            Direction::NoNode => return false,
        };
        let mut asked = vec![at];
        let mut trail = Trail::default();
        while at != owner {
            let agent = &self.agents[&at];
            let (slot, own, before) = (agent.slot(key, hash), agent.own(), asked.len() - 1);
            trail = trail.arrived(slot, own, NO_NODE, before);
            let question = Question {
                slot,
                own,
                kind: PacketKind::Tcp,
                holder: NO_NODE,
                state: 0,
                settled: false,
                asked: before,
                marks: trail.marks,
                new_leader: false,
            };
            let step = decide(&question, &Unknown { question: &question, agent, asked: &asked });
            at = match step.action {
                CandidateAction::Delegate | CandidateAction::Ask => agent.name(step.node),
                // No node knows it: home owns it, or none does.
                CandidateAction::Return => return asked[trail.home as usize] == owner,
                _ => return false,
            };
            asked.push(at);
        }
        assert!(asked.len() <= MAX_ASKED);
        true
    }
}

fn key() -> VipKey {
    VipKey { address: [192, 0, 2, 1].into(), port: 80, protocol: 6 }
}

/// Every flow that began before `change` and whose owner still exists is reached from everywhere.
fn assert_reached(mut scenario: Scenario, change: impl FnOnce(&mut Scenario)) {
    const HASHES: u32 = 1024;
    scenario.settings.ring_capacity = 1 << 16;
    let mut cluster = Cluster::of(&scenario);
    let owners: Vec<u8> = (0..HASHES).map(|hash| cluster.leader(key(), hash)).collect();
    change(&mut scenario);
    cluster.reconcile(&scenario);
    for (hash, owner) in (0..).zip(owners).filter(|(_, owner)| scenario.nodes.contains_key(owner)) {
        for director in scenario.nodes.keys() {
            let reached = cluster.reaches(*director, owner, key(), hash, &scenario);
            assert!(reached, "flow {hash} of n{owner} is lost from n{director}");
        }
    }
}

/// The same while objects propagate: `early` says which agents know of the first change before the second
/// comes. In between, and when some know of both and others of none, every flow is reached.
fn assert_reached_between(mut scenario: Scenario, early: &[bool], changes: [&dyn Fn(&mut Scenario); 2]) {
    const HASHES: u32 = 1024;
    scenario.settings.ring_capacity = 1 << 16;
    let mut cluster = Cluster::of(&scenario);
    let owners: Vec<u8> = (0..HASHES).map(|hash| cluster.leader(key(), hash)).collect();
    let nodes: Vec<u8> = scenario.nodes.keys().copied().collect();
    for change in changes {
        change(&mut scenario);
        for part in [true, false] {
            cluster.second += 1;
            for (node, _) in nodes.iter().zip(early.iter().cycle()).filter(|(_, early)| **early == part) {
                let second = cluster.second;
                if let Some(agent) =
                    cluster.agents.get_mut(node).filter(|_| scenario.nodes.contains_key(node))
                {
                    agent.reconcile(&scenario, second);
                }
            }
            for (hash, owner) in (0..).zip(&owners).filter(|(_, owner)| scenario.nodes.contains_key(owner)) {
                for director in nodes.iter().filter(|node| scenario.nodes.contains_key(node)) {
                    let reached = cluster.reaches(*director, *owner, key(), hash, &scenario);
                    assert!(reached, "flow {hash} of n{owner} is lost from n{director}");
                }
            }
        }
    }
}

fn some_cluster() -> impl Strategy<Value = Scenario> {
    let nodes = proptest::sample::subsequence((1u8..=12).collect::<Vec<_>>(), 3..=10);
    let counts = proptest::collection::vec(1u8..5, 12);
    (nodes, counts, any::<bool>(), 24u32..100).prop_map(|(nodes, counts, local, slots_per_node)| {
        let endpoints: Vec<_> = nodes.iter().copied().zip(counts).collect();
        let mut scenario = Scenario::of(0).with(1, Web { local, ..Web::local(&endpoints) });
        nodes.into_iter().for_each(|node| scenario.add(node));
        scenario.settings.slots_per_node = slots_per_node;
        scenario
    })
}

fn some_node(scenario: &Scenario, which: prop::sample::Index) -> u8 {
    *scenario.nodes.keys().nth(which.index(scenario.nodes.len())).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn when_a_node_joins(cluster in some_cluster(), endpoints in 1u8..5) {
        assert_reached(cluster, |scenario| {
            scenario.add(20);
            scenario.services.get_mut(&1).unwrap().endpoints.insert(20, endpoints);
        });
    }

    #[test]
    fn when_a_node_leaves(cluster in some_cluster(), which: prop::sample::Index) {
        assert_reached(cluster, |scenario| {
            let node = some_node(scenario, which);
            scenario.nodes.remove(&node);
            scenario.services.get_mut(&1).unwrap().endpoints.remove(&node);
        });
    }

    #[test]
    fn when_a_node_drains(cluster in some_cluster(), which: prop::sample::Index) {
        assert_reached(cluster, |scenario| {
            scenario.draining.insert(some_node(scenario, which));
        });
    }

    #[test]
    fn when_a_drain_ends(mut cluster in some_cluster(), which: prop::sample::Index) {
        cluster.draining.insert(some_node(&cluster, which));
        assert_reached(cluster, |scenario| scenario.draining.clear());
    }

    #[test]
    fn when_weights_change(cluster in some_cluster(), which: prop::sample::Index, endpoints in 1u8..9) {
        assert_reached(cluster, |scenario| {
            let node = some_node(scenario, which);
            scenario.services.get_mut(&1).unwrap().endpoints.insert(node, endpoints);
        });
    }

    #[test]
    fn when_the_endpoints_of_a_node_go(cluster in some_cluster(), which: prop::sample::Index) {
        assert_reached(cluster, |scenario| {
            let node = some_node(scenario, which);
            scenario.services.get_mut(&1).unwrap().endpoints.remove(&node);
        });
    }

    #[test]
    fn when_the_rings_get_another_size(cluster in some_cluster(), slots_per_node in 24u32..200) {
        assert_reached(cluster, |scenario| scenario.settings.slots_per_node = slots_per_node);
    }

    #[test]
    fn when_two_changes_propagate_unevenly(
        cluster in some_cluster(),
        early in proptest::collection::vec(any::<bool>(), 10),
        kinds: [prop::sample::Index; 2],
        which: [prop::sample::Index; 2],
        endpoints in 1u8..9,
    ) {
        let change = |nth: usize| {
            move |scenario: &mut Scenario| {
                let node = some_node(scenario, which[nth]);
                match kinds[nth].index(3) {
                    0 => drop(scenario.draining.insert(node)),
                    1 => drop(scenario.draining.remove(&node)),
                    _ => drop(scenario.services.get_mut(&1).unwrap().endpoints.insert(node, endpoints)),
                }
            }
        };
        assert_reached_between(cluster, &early, [&change(0), &change(1)]);
    }

    #[test]
    fn when_two_nodes_drain_at_once(cluster in some_cluster(), which: [prop::sample::Index; 2]) {
        assert_reached(cluster, |scenario| {
            let nodes = which.map(|which| some_node(scenario, which));
            scenario.draining.extend(nodes);
        });
    }

    #[test]
    fn when_one_node_joins_and_another_drains(cluster in some_cluster(), which: prop::sample::Index) {
        assert_reached(cluster, |scenario| {
            scenario.draining.insert(some_node(scenario, which));
            scenario.add(20);
            scenario.services.get_mut(&1).unwrap().endpoints.insert(20, 3);
        });
    }
}
