//! The simulated cluster: hosts and their views, probes between them, and the router in front.

mod host;
mod liveness;
mod router;

use std::collections::BTreeMap;

use lb_common::ring::NodeIndex;
use lb_pipeline::owner::LivenessState;

use super::Tick;
use super::random::Random;
use super::trace::{Event, Member, Trace};
use host::Host;
use liveness::Liveness;
pub use router::Router;

/// The members of the cluster by index.
pub type Members = BTreeMap<NodeIndex, Member>;

/// The result of one node's probes of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeProbes {
    /// Its liveness state.
    pub liveness: LivenessState,
    /// Since when it has been considered dead; `None` also for a node that was never heard from.
    pub dead_since: Option<Tick>,
}

/// One node's view of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The objects, as far as they have arrived.
    pub members: Members,
    /// All nodes that ever existed, by index.
    pub peers: Vec<NodeProbes>,
}

/// Delays of changes.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Maximum ticks until an object change arrives.
    pub delay: Tick,
    /// Ticks of silence after which a node is dead.
    pub detection: Tick,
}

/// The changes of a tick.
#[derive(Debug, Default)]
pub struct ClusterChanges {
    /// Nodes that have lost all their connections.
    pub died: Vec<NodeIndex>,
    /// Nodes that start with empty state.
    pub started: Vec<NodeIndex>,
    /// Nodes whose view has changed.
    pub changed_views: Vec<NodeIndex>,
    /// Whether the router's next hops have changed.
    pub rerouted: bool,
}

/// The later part of an event.
#[derive(Clone, Copy, Debug)]
enum PendingEffect {
    Returns(NodeIndex),
    Starts(NodeIndex),
    IsRemoved(NodeIndex),
    Announces(NodeIndex),
}

/// A cluster at one moment.
pub struct SimulatedCluster {
    timing: Timing,
    random: Random,
    /// The objects as written.
    members: Members,
    hosts: Vec<Host>,
    /// Whether each host can be reached, by index.
    up: Vec<bool>,
    pending: BTreeMap<Tick, Vec<PendingEffect>>,
    liveness: Liveness,
    views: Vec<View>,
    router: Router,
    /// The changes since the last call of [`SimulatedCluster::advance`] returned.
    changes: ClusterChanges,
}

impl SimulatedCluster {
    /// Creates the initial cluster of a trace; all nodes know it and have heard from each other.
    pub fn new(trace: &Trace, timing: Timing, seed: u64) -> Self {
        let members: Members = (0..).zip(trace.members.iter().copied()).collect();
        let mut world = Self {
            timing,
            random: Random::new(seed, "world"),
            hosts: Vec::new(),
            up: Vec::new(),
            pending: BTreeMap::new(),
            liveness: Liveness::new(timing.detection),
            views: Vec::new(),
            router: Router::default(),
            changes: ClusterChanges::default(),
            members,
        };
        for _ in 0..world.members.len() {
            world.add_host();
        }
        world.settle(0);
        world
    }

    /// Begins a tick: events that are due happen, and changes that have arrived take effect.
    pub fn advance(&mut self, now: Tick, events: impl Iterator<Item = Event>) -> ClusterChanges {
        for effect in self.pending.remove(&now).unwrap_or_default() {
            self.follow_up(effect, now);
        }
        for event in events {
            self.happen(event, now);
        }
        for host in self.hosts.iter_mut().zip(&self.up).filter(|(_, up)| **up).map(|(host, _)| host) {
            host.apply_arrived(now);
        }
        self.look(now);
        std::mem::take(&mut self.changes)
    }

    /// Ends a tick: nodes probe each other, and the router checks its links.
    pub fn settle(&mut self, now: Tick) {
        let draining: Vec<bool> = (0..).zip(&self.hosts).map(|(own, host)| host.is_draining(own)).collect();
        // A node answers only nodes it knows, and none before it knows its own object.
        let answers = |there: NodeIndex, asks: NodeIndex| {
            let host = &self.hosts[usize::from(there)];
            host.knows(asks) && host.knows(there)
        };
        self.liveness.probe(now, &self.up, &draining, answers);
        let next_hops = (0..)
            .zip(self.hosts.iter().zip(&self.up))
            .filter(|(own, (host, up))| **up && host.announces(*own))
            .map(|(own, _)| own);
        self.changes.rerouted |= self.router.set_next_hops(next_hops.collect());
    }

    /// Returns the view of a node.
    pub fn view(&self, node: NodeIndex) -> &View {
        &self.views[usize::from(node)]
    }

    /// Returns whether each node can be reached, by index.
    pub fn up(&self) -> &[bool] {
        &self.up
    }

    /// Returns the router.
    pub fn router(&self) -> &Router {
        &self.router
    }

    fn happen(&mut self, event: Event, now: Tick) {
        match event {
            Event::Join(weight) => {
                let node = self.add_host();
                self.liveness.start(node, now);
                self.write(node, Some(Member { weight, draining: false }), now);
            }
            Event::Drain(node) => self.edit(node, now, |member| member.draining = true),
            Event::Undrain(node) => self.edit(node, now, |member| member.draining = false),
            Event::Weigh(node, weight) => self.edit(node, now, |member| member.weight = weight),
            Event::Die(node, removal) => {
                self.take_down(node);
                self.changes.died.push(node);
                self.later(now + removal, PendingEffect::IsRemoved(node));
            }
            Event::Vanish(node, ticks) => {
                self.take_down(node);
                self.later(now + ticks, PendingEffect::Returns(node));
            }
            Event::Reboot(node, ticks) => {
                self.take_down(node);
                self.changes.died.push(node);
                self.later(now + ticks, PendingEffect::Starts(node));
            }
            Event::ResetSession(node, ticks) => {
                self.hosts[usize::from(node)].session = false;
                self.later(now + ticks, PendingEffect::Announces(node));
            }
        }
    }

    fn follow_up(&mut self, effect: PendingEffect, now: Tick) {
        match effect {
            PendingEffect::Returns(node) => self.up[usize::from(node)] = true,
            PendingEffect::Starts(node) => {
                self.up[usize::from(node)] = true;
                self.hosts[usize::from(node)] = Host::new(self.members.clone());
                self.views[usize::from(node)] = View::default();
                self.liveness.start(node, now);
                self.changes.started.push(node);
            }
            PendingEffect::IsRemoved(node) => self.write(node, None, now),
            PendingEffect::Announces(node) => self.hosts[usize::from(node)].session = true,
        }
    }

    fn add_host(&mut self) -> NodeIndex {
        let node = NodeIndex::try_from(self.hosts.len()).unwrap_or(NodeIndex::MAX);
        self.hosts.push(Host::new(self.members.clone()));
        self.up.push(true);
        self.views.push(View::default());
        self.liveness.add_node();
        self.changes.started.push(node);
        node
    }

    fn take_down(&mut self, node: NodeIndex) {
        self.up[usize::from(node)] = false;
    }

    fn later(&mut self, at: Tick, effect: PendingEffect) {
        self.pending.entry(at).or_default().push(effect);
    }

    fn edit(&mut self, node: NodeIndex, now: Tick, change: impl FnOnce(&mut Member)) {
        if let Some(mut member) = self.members.get(&node).copied() {
            change(&mut member);
            self.write(node, Some(member), now);
        }
    }

    /// Writes an object, and sends the change to every node.
    fn write(&mut self, node: NodeIndex, member: Option<Member>, now: Tick) {
        match member {
            Some(member) => self.members.insert(node, member),
            None => self.members.remove(&node),
        };
        for host in &mut self.hosts {
            host.send(now + self.random.below(self.timing.delay + 1), node, member);
        }
    }

    /// Updates the view of each node that is up.
    fn look(&mut self, now: Tick) {
        for (own, (view, host)) in (0..).zip(self.views.iter_mut().zip(&mut self.hosts)) {
            if !self.up[usize::from(own)] {
                continue;
            }
            let mut peers = self.liveness.peers(own, now);
            peers[usize::from(own)].liveness =
                if host.is_draining(own) { LivenessState::Draining } else { LivenessState::Accepting };
            let has_changed = host.take_changed();
            if has_changed {
                view.members.clone_from(host.known());
            }
            if has_changed || view.peers != peers {
                view.peers = peers;
                self.changes.changed_views.push(own);
            }
        }
    }
}
