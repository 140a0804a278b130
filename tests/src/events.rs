//! Cluster events under thousands of live connections, and the same events with nothing but a router and
//! kube-proxy.

mod cost_table;
mod load;
mod routed;
mod script;

use std::time::Duration;

use anyhow::Result;

pub use self::cost_table::CostTable;
pub use self::load::{EventLoad, EventLoadReport};
pub use self::routed::RoutedScenario;
pub use self::script::{ClusterEvent, EVENTS};
use crate::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4, WEB_V6, agents};

/// The nodes that serve from the start: three in one rack, one in the other.
pub const INITIAL_NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];
/// The node that joins.
pub const JOINING_NODE: &str = "n5";
/// All nodes, including the one that joins.
pub const ALL_NODES: [&str; 5] = ["n1", "n2", "n3", "n4", JOINING_NODE];
/// Slots per node with which the rings of four and of five nodes have the same size.
pub const NO_DOUBLING: u32 = 200;
/// Slots per node with which a fifth node doubles the ring, so that half of all flows change their slots.
pub const DOUBLING: u32 = 256;
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

/// What directs packets to their nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// An agent on every node.
    Fairlead,
    /// Only the router's ECMP and kube-proxy's rules.
    Ecmp,
}

/// A cluster to which events happen.
#[derive(Clone, Copy, Debug)]
pub struct EventScenario<'lab> {
    /// The lab.
    pub lab: &'lab Lab,
    /// What directs packets.
    pub carrier: Carrier,
    /// Slots of a ring per node.
    slots_per_node: u32,
    /// Whether agents leave their BGP sessions to a keeper.
    has_keeper: bool,
}

/// Returns the initial nodes with two pods each of the Service `web`, and a machine that is not yet a node.
#[must_use]
pub fn cluster() -> Topology {
    let mut topology = Topology::empty();
    for (rack, number) in [('a', 1), ('a', 2), ('a', 3), ('b', 4), ('b', 5)] {
        topology = topology.node(rack, number);
    }
    for node in ALL_NODES {
        topology = topology.pods(node, "web", 2);
    }
    set_membership(&mut topology, JOINING_NODE, false);
    topology.service("web", "web", &[WEB_V4, WEB_V6], ExternalPolicy::Local)
}

impl<'lab> EventScenario<'lab> {
    /// Starts the initial nodes' agents, if there are any, and routes the VIPs to these nodes.
    ///
    /// # Errors
    /// When an agent does not start.
    pub fn start(lab: &'lab Lab, carrier: Carrier) -> Result<Self> {
        Self::start_with(lab, carrier, NO_DOUBLING)
    }

    /// Does the same with this number of slots per node.
    ///
    /// # Errors
    /// When an agent does not start.
    pub fn start_with(lab: &'lab Lab, carrier: Carrier, slots_per_node: u32) -> Result<Self> {
        let scenario = Self::start_unrouted(lab, carrier, slots_per_node, true)?;
        scenario.route(&INITIAL_NODES)?;
        Ok(scenario)
    }

    /// Starts the agents, but leaves the routes to BGP.
    ///
    /// # Errors
    /// When an agent does not start.
    pub fn start_unrouted(
        lab: &'lab Lab,
        carrier: Carrier,
        slots_per_node: u32,
        has_keeper: bool,
    ) -> Result<Self> {
        let scenario = Self { lab, carrier, slots_per_node, has_keeper };
        scenario.start_agents(&INITIAL_NODES)?;
        Ok(scenario)
    }

    /// Returns whether agents run.
    #[must_use]
    pub fn has_agents(&self) -> bool {
        self.carrier == Carrier::Fairlead
    }

    /// Routes both VIPs to these nodes.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn route(&self, nodes: &[&str]) -> Result<()> {
        let router = self.lab.router()?;
        [WEB_V4, WEB_V6].into_iter().try_for_each(|vip| router.set_next_hops(vip, nodes))
    }

    /// Makes a machine a node of the cluster, and its pods ready; its agent starts when the others already
    /// know the node.
    ///
    /// # Errors
    /// When there is no such node, or its agent does not start.
    pub fn join(&self, node: &str) -> Result<()> {
        self.lab.update(|cluster| {
            set_membership(cluster, node, true);
            Ok(())
        })?;
        self.start_agents(&[node])
    }

    /// Removes a node from the cluster, and everything of its agent.
    ///
    /// # Errors
    /// When its agent does not end.
    pub fn leave(&self, node: &str) -> Result<()> {
        self.lab.update(|cluster| {
            set_membership(cluster, node, false);
            Ok(())
        })?;
        if !self.has_agents() {
            return Ok(());
        }
        let gone = self.lab.node(node)?;
        gone.stop_agent(SETTLED_WITHIN)?;
        gone.detach()?;
        self.nodes(&INITIAL_NODES)?.iter().try_for_each(|other| {
            other.wait_status("has removed the node", SETTLED_WITHIN, |status| {
                Ok(agents::list(status, "nodes")?.iter().all(|it| it["name"] != *node))
            })
        })
    }

    /// Runs `fairlead drain`, or undoes it; does nothing without agents.
    ///
    /// # Errors
    /// When the agent rejects it.
    pub fn drain(&self, node: &str, undo: bool) -> Result<()> {
        if !self.has_agents() {
            return Ok(());
        }
        let option = if undo { "--undo" } else { "--no-wait" };
        self.lab.node(node)?.fairlead(&["drain", option]).map(drop)
    }

    /// Sets which pods are ready.
    ///
    /// # Errors
    /// When there is no such pod.
    pub fn set_ready(&self, pods: &[&str], ready: bool) -> Result<()> {
        self.lab.update(|cluster| {
            pods.iter().try_for_each(|pod| {
                cluster.pod_mut(pod)?.ready = ready;
                Ok(())
            })
        })
    }

    /// Waits until each of these nodes sees all the others alive.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn wait_alive(&self, nodes: &[&str]) -> Result<()> {
        if self.has_agents() { agents::wait_alive(&self.nodes(nodes)?, SETTLED_WITHIN) } else { Ok(()) }
    }

    fn nodes(&self, names: &[&str]) -> Result<Vec<LabNode<'lab>>> {
        names.iter().map(|name| self.lab.node(name)).collect()
    }

    /// Starts the agents of these nodes as [`agents::start`] does; does nothing without agents.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start_agents(&self, nodes: &[&str]) -> Result<()> {
        if !self.has_agents() {
            return Ok(());
        }
        let mut options = match self.has_keeper {
            true => LabAgentOptions::default(),
            false => LabAgentOptions::without_keeper(),
        };
        options.arguments.extend(["--slots-per-node".to_owned(), self.slots_per_node.to_string()]);
        agents::start(&self.nodes(nodes)?, &options)
    }
}

fn set_membership(cluster: &mut Topology, name: &str, member: bool) {
    cluster.nodes.iter_mut().filter(|node| node.name == name).for_each(|node| node.member = member);
    cluster.pods.iter_mut().filter(|pod| pod.node == name).for_each(|pod| pod.ready = member);
}
