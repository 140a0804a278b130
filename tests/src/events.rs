//! What happens to a cluster, with thousands of connections alive meanwhile; and the same things happening
//! where a router and kube-proxy are on their own.

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
use crate::lab::{AgentOptions, Lab, LabNode, Topology, TrafficPolicy, WEB_V4, WEB_V6, agents};

/// The nodes that serve from the start: three in one rack, one in the other.
pub const INITIAL_NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];
/// The node that joins.
pub const JOINING_NODE: &str = "n5";
/// Residents and newcomer.
pub const ALL_NODES: [&str; 5] = ["n1", "n2", "n3", "n4", JOINING_NODE];
/// With so many slots a node, the rings of four nodes and of five have the same size.
pub const NO_DOUBLING: u32 = 200;
/// With so many, a fifth node doubles the ring, and half of all flows change their slots.
pub const DOUBLING: u32 = 256;
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

/// What carries packets to their nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// An agent on every node.
    Fairlead,
    /// Nothing but the router's choice and kube-proxy's rules.
    Nothing,
}

/// A cluster to which things happen.
#[derive(Clone, Copy, Debug)]
pub struct EventScenario<'lab> {
    /// The lab that it is in.
    pub lab: &'lab Lab,
    /// What carries packets.
    pub carrier: Carrier,
    /// Slots of a ring for each of its nodes.
    slots_per_node: u32,
}

/// The residents with two pods each of the Service `web`, and the newcomer, which is wired and not yet a node.
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
    topology.service("web", "web", &[WEB_V4, WEB_V6], TrafficPolicy::Local)
}

impl<'lab> EventScenario<'lab> {
    /// Starts the residents' agents, if there are to be any, and has the router spread over the residents.
    ///
    /// # Errors
    /// When an agent does not start.
    pub fn set(lab: &'lab Lab, carrier: Carrier) -> Result<Self> {
        Self::set_with(lab, carrier, NO_DOUBLING)
    }

    /// The same with a number of slots for each node.
    ///
    /// # Errors
    /// When an agent does not start.
    pub fn set_with(lab: &'lab Lab, carrier: Carrier, slots_per_node: u32) -> Result<Self> {
        let stage = Self::set_unrouted(lab, carrier, slots_per_node)?;
        stage.route(&INITIAL_NODES)?;
        Ok(stage)
    }

    /// The same where the router learns by itself whom to spread over.
    ///
    /// # Errors
    /// When an agent does not start.
    pub fn set_unrouted(lab: &'lab Lab, carrier: Carrier, slots_per_node: u32) -> Result<Self> {
        let stage = Self { lab, carrier, slots_per_node };
        stage.start_agents(&INITIAL_NODES)?;
        Ok(stage)
    }

    /// Whether agents run here.
    #[must_use]
    pub fn has_agents(&self) -> bool {
        self.carrier == Carrier::Fairlead
    }

    /// Has the router spread both VIPs over these nodes.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn route(&self, nodes: &[&str]) -> Result<()> {
        let router = self.lab.router()?;
        [WEB_V4, WEB_V6].into_iter().try_for_each(|vip| router.set_next_hops(vip, nodes))
    }

    /// A machine becomes a node of the cluster, and its pods get ready; its agent starts when the others
    /// know of it already.
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

    /// A node is no longer one, and nothing of its agent is left.
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
        self.nodes(&INITIAL_NODES)?.iter().try_for_each(|resident| {
            resident.wait_status("knows that the newcomer is gone", SETTLED_WITHIN, |status| {
                Ok(agents::list(status, "nodes")?.iter().all(|it| it["name"] != *node))
            })
        })
    }

    /// `fairlead drain`, or its undoing; without agents there is nobody to be told.
    ///
    /// # Errors
    /// When the agent does not take it.
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

    /// Waits until each of these nodes knows each other of them to be alive.
    ///
    /// # Errors
    /// When that is not so in time.
    pub fn wait_alive(&self, nodes: &[&str]) -> Result<()> {
        if self.has_agents() { agents::wait_alive(&self.nodes(nodes)?, SETTLED_WITHIN) } else { Ok(()) }
    }

    fn nodes(&self, names: &[&str]) -> Result<Vec<LabNode<'lab>>> {
        names.iter().map(|name| self.lab.node(name)).collect()
    }

    /// Starts the agents of these nodes as [`agents::start`] does; where there are none, nothing.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start_agents(&self, nodes: &[&str]) -> Result<()> {
        if !self.has_agents() {
            return Ok(());
        }
        let arguments = ["--slots-per-node", &self.slots_per_node.to_string()].map(str::to_owned).into();
        let options = AgentOptions { arguments, ..AgentOptions::default() };
        agents::start(&self.nodes(nodes)?, &options)
    }
}

fn set_membership(cluster: &mut Topology, name: &str, member: bool) {
    cluster.nodes.iter_mut().filter(|node| node.name == name).for_each(|node| node.member = member);
    cluster.pods.iter_mut().filter(|pod| pod.node == name).for_each(|pod| pod.ready = member);
}
