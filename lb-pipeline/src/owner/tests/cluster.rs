//! Many nodes, each with its own idea of the slot, its own entries and its own kernel: where a packet ends.

extern crate std;

use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const NODES: usize = 12;

/// One flow, as each node sees it.
#[derive(Clone, Debug)]
struct Cluster {
    slots: Vec<Slot>,
    entries: Vec<Option<(NodeIndex, FlowState)>>,
    /// Whom each node takes for alive.
    alive: Vec<Vec<bool>>,
    /// The node whose kernel has the connection.
    owner: NodeIndex,
    /// Whether kernels can be asked.
    kernels_know: bool,
}

/// Where a packet ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// In this node's stack.
    Stack(NodeIndex),
    /// It was dropped, for the client to send again.
    Dropped,
}

impl Cluster {
    /// Sends a packet from a director that has chosen `first`; returns who was asked, in order, and the end.
    fn send(&mut self, kind: PacketKind, first: NodeIndex) -> (Vec<NodeIndex>, End) {
        let mut asked: Vec<NodeIndex> = Vec::new();
        let mut trail = Trail::default();
        let mut at = first;
        loop {
            let place = usize::from(at);
            let known = self.entries[place];
            trail =
                trail.arrived(self.slots[place], at, known.map_or(NO_NODE, |(node, _)| node), asked.len());
            let step = self.step(kind, at, &asked, trail);
            if trail.marks & MARK_UNKNOWN == 0 {
                asked.push(at);
            }
            if matches!(
                step.action,
                CandidateAction::Own
                    | CandidateAction::Unknown
                    | CandidateAction::Search
                    | CandidateAction::Delegate
            ) {
                self.entries[place] = Some((step.node, step.state));
            }
            match step.action {
                CandidateAction::Own | CandidateAction::Unknown => return (asked, End::Stack(at)),
                CandidateAction::Hold | CandidateAction::Search => return (asked, End::Dropped),
                CandidateAction::Delegate | CandidateAction::Ask => {
                    let state = known.map_or(0, |(_, state)| state as u32);
                    trail = trail.going_on(state, asked.len() - 1);
                    at = step.node;
                }
                CandidateAction::Return => {
                    at = asked[trail.home as usize];
                    if !self.alive[place][usize::from(at)] {
                        return (asked, End::Dropped);
                    }
                    trail.marks |= MARK_UNKNOWN;
                }
            }
        }
    }

    fn step(&self, kind: PacketKind, at: NodeIndex, asked: &[NodeIndex], trail: Trail) -> Decision {
        let place = usize::from(at);
        let known = self.entries[place];
        let question = Question {
            slot: self.slots[place],
            own: at,
            kind,
            holder: known.map_or(NO_NODE, |(node, _)| node),
            state: known.map_or(0, |(_, state)| state as u32),
            settled: true,
            asked: asked.len(),
            marks: trail.marks,
            new_leader: true,
        };
        let world = PacketLookups {
            question: &question,
            can_ask: |node: NodeIndex| self.alive[place][usize::from(node)] && !asked.contains(&node),
            recent_death: false,
            kernel: || match (self.kernels_know, self.owner == at) {
                (false, _) => KernelAnswer::Unknown,
                (true, true) => KernelAnswer::Present,
                (true, false) => KernelAnswer::Absent,
            },
        };
        super::super::decide(&question, &world)
    }

    /// Where the flow's packets end, once they are no longer dropped: each of three windows may cost one.
    fn end(&mut self, kind: PacketKind, first: NodeIndex) -> Option<NodeIndex> {
        (0..3).find_map(|_| match self.send(kind, first).1 {
            End::Stack(node) => Some(node),
            End::Dropped => None,
        })
    }
}

fn any_node() -> impl Strategy<Value = NodeIndex> {
    0..NODES as NodeIndex
}

/// A leader, up to three successors and up to twelve former leaders, none of them twice among these.
fn any_slot() -> impl Strategy<Value = Slot> {
    (any_node(), vec(any_node(), 0..=3), vec(any_node(), 0..=FORMER)).prop_map(|(leader, next, led)| {
        let mut order = [NO_NODE; 4];
        order[0] = leader;
        order[1..=next.len()].copy_from_slice(&next);
        led_by(leader, slot(order, &led))
    })
}

/// The slot with another leader, who then is no former one.
fn led_by(leader: NodeIndex, other: Slot) -> Slot {
    let mut led: Vec<_> = Vec::new();
    for node in other.former {
        if node != leader && node != NO_NODE && !led.contains(&node) {
            led.push(node);
        }
    }
    let [a, b, c] = other.successors;
    slot([leader, a, b, c], &led)
}

fn any_standing() -> impl Strategy<Value = FlowState> {
    prop_oneof![Just(HalfOpen), Just(Unconfirmed), Just(Udp), Just(Open), Just(Moved), Just(Closed)]
}

fn any_kind() -> impl Strategy<Value = PacketKind> {
    prop_oneof![
        Just(PacketKind::Opening),
        Just(PacketKind::Tcp),
        Just(PacketKind::Closing),
        Just(PacketKind::Udp)
    ]
}

fn any_cluster() -> impl Strategy<Value = Cluster> {
    (
        vec(any_slot(), NODES),
        vec(proptest::option::of((any_node(), any_standing())), NODES),
        vec(vec(proptest::bool::weighted(0.8), NODES), NODES),
        any_node(),
        any::<bool>(),
    )
        .prop_map(|(slots, entries, alive, owner, kernels_know)| Cluster {
            slots,
            entries,
            alive,
            owner,
            kernels_know,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_node_is_asked_twice_and_none_after_the_sixth(
        mut cluster in any_cluster(),
        kind in any_kind(),
        first in any_node(),
    ) {
        let (asked, _) = cluster.send(kind, first);
        prop_assert!(asked.len() <= MAX_ASKED, "{asked:?}");
        let mut once = asked.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), asked.len(), "asked twice: {:?}", asked);
    }

    /// No entry is left anywhere, no two nodes agree about anything, and no kernel can be asked.
    #[test]
    fn a_flow_at_its_home_needs_no_entry(
        mut cluster in any_cluster(),
        kind in prop_oneof![Just(PacketKind::Tcp), Just(PacketKind::Closing)],
        home in any_node(),
    ) {
        cluster.entries.fill(None);
        cluster.kernels_know = false;
        let slot = &mut cluster.slots[usize::from(home)];
        *slot = led_by(home, *slot);
        match cluster.end(kind, home) {
            Some(node) => prop_assert_eq!(node, home),
            None => {
                let is_alive_for_all = cluster.alive.iter().all(|view| view[usize::from(home)]);
                prop_assert!(!is_alive_for_all, "only a node that takes home for dead does not return it");
            }
        }
    }

    /// Nodes need not agree about the slot: the ring of a draining director, for one, differs from its
    /// candidate's.
    #[test]
    fn a_new_flow_opens_where_its_syn_began(mut cluster in any_cluster(), first in any_node()) {
        cluster.entries.fill(None);
        cluster.alive.iter_mut().for_each(|view| view.fill(true));
        // No kernel has the connection before the ACK of its handshake has arrived.
        cluster.owner = NO_NODE;
        prop_assert_eq!(cluster.send(PacketKind::Opening, first).1, End::Stack(first));
        prop_assert_eq!(cluster.send(PacketKind::Tcp, first).1, End::Stack(first), "ACK");
        cluster.owner = first;
        prop_assert_eq!(cluster.send(PacketKind::Tcp, first).1, End::Stack(first), "the first segment");
        prop_assert_eq!(cluster.send(PacketKind::Closing, first).1, End::Stack(first), "FIN");
    }

    /// All agree about the slot, whatever it is; the flow lives with one of those that stand in it; which
    /// entries are lost is arbitrary, and so is where an earlier connection of the same ports was closed;
    /// kernels can be asked.
    #[test]
    fn a_flow_that_has_moved_needs_no_entry_where_kernels_can_be_asked(
        common in any_slot(),
        kept in vec(any::<bool>(), NODES),
        closed in vec(any::<bool>(), NODES),
        place in 0..FORMER + 4,
        kind in prop_oneof![Just(PacketKind::Tcp), Just(PacketKind::Closing), Just(PacketKind::Opening)],
        stray_syn in any::<bool>(),
    ) {
        let home = common.leader;
        let named = std::iter::once(home).chain(common.former).chain(common.successors);
        let named: Vec<_> = named.filter(|node| *node != NO_NODE).collect();
        let owner = named[place % named.len()];
        // A stranger's SYN can hide a flow only from a home that never noted where it lives, and from five
        // former leaders on.
        let at_home = if stray_syn { (home, HalfOpen) } else { (owner, Moved) };
        prop_assume!(kind != PacketKind::Opening || home == owner || (kept[usize::from(home)] && !stray_syn));
        let is_near = common.former[..WINDOW].contains(&owner);
        prop_assume!(!stray_syn || home == owner || is_near);
        let entry = |node: usize| {
            let truth = (node == usize::from(owner)).then_some((owner, Moved));
            let truth = if node == usize::from(home) { Some(at_home) } else { truth };
            let before = closed[node].then_some((node as NodeIndex, Closed));
            truth.filter(|_| kept[node]).or(before)
        };
        let mut cluster = Cluster {
            slots: std::iter::repeat_n(common, NODES).collect(),
            entries: (0..NODES).map(entry).collect(),
            alive: std::iter::repeat_n(std::iter::repeat_n(true, NODES).collect(), NODES).collect(),
            owner,
            kernels_know: true,
        };
        prop_assert_eq!(cluster.end(kind, home), Some(owner));
    }
}
