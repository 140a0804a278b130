//! Changes of everything that the maps hold, one after the other.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Result, ensure};
use lb_dataplane::maps::Maps;
use serde_json::{Value, json};

use super::cluster::RestartCluster;
use crate::lab::{ExternalPolicy, Lab, LabNode, agents};
use crate::random::SeededRandom;
use crate::routers::wait;

/// The node that joins and leaves; no connection is measured on it.
pub const GUEST: &str = "n3";
/// The largest number of additional Services.
const MOST_SERVICES: u8 = 20;
const CONVERGES_WITHIN: Duration = Duration::from_secs(20);

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Endpoints become ready or not: rings change.
    Endpoints,
    /// A Service with a VIP is added, or all additional ones are removed.
    Services,
    /// A node joins or leaves.
    Nodes,
    /// All routes are advertised with other attributes.
    Routes,
}

impl Change {
    const ALL: [Self; 4] = [Self::Endpoints, Self::Services, Self::Nodes, Self::Routes];

    /// Draws one.
    pub fn draw(random: &mut SeededRandom) -> Self {
        Self::ALL[random.below(Self::ALL.len())]
    }

    /// Makes it.
    ///
    /// # Errors
    /// When an object cannot be written.
    pub fn make(self, cluster: &RestartCluster<'_>, random: &mut SeededRandom) -> Result<()> {
        let lab = cluster.lab;
        match self {
            Self::Endpoints => lab.update(|it| {
                // Only second pods: a Service without any endpoint on a node is another test.
                let pods = it.pods.iter_mut().filter(|pod| pod.name.ends_with("-3") && pod.node != GUEST);
                pods.for_each(|pod| pod.ready = random.below(2) == 0);
                Ok(())
            }),
            Self::Services => change_services(lab),
            Self::Nodes => lab.update(|it| {
                let joins = !it.find_node(GUEST)?.member;
                it.node_mut(GUEST)?.member = joins;
                it.pods.iter_mut().filter(|pod| pod.node == GUEST).for_each(|pod| pod.ready = joins);
                Ok(())
            }),
            Self::Routes => {
                let community = format!("64512:{}", random.below(1000));
                cluster.write_objects(|spec| spec["communities"] = json!([community]))
            }
        }
    }
}

/// Restores endpoints and nodes.
///
/// # Errors
/// When an object cannot be written.
pub fn restore(lab: &Lab) -> Result<()> {
    lab.update(|it| {
        it.node_mut(GUEST)?.member = true;
        it.pods.iter_mut().for_each(|pod| pod.ready = true);
        Ok(())
    })
}

fn change_services(lab: &Lab) -> Result<()> {
    lab.update(|it| {
        let count = it.services.iter().filter(|service| service.name.starts_with("extra")).count() as u8;
        if count >= MOST_SERVICES {
            it.services.retain(|service| !service.name.starts_with("extra"));
            return Ok(());
        }
        let vip = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 100 + count));
        *it = it.clone().service(&format!("extra-{count}"), "web", &[vip], ExternalPolicy::Local);
        Ok(())
    })
}

/// Waits until a node's agent has applied the present objects: its status and the kernel's maps have exactly
/// the VIPs of the Services.
///
/// # Errors
/// When it does not in time.
pub fn wait_converged(lab: &Lab, node: &LabNode<'_>) -> Result<()> {
    let services = lab.topology().services.clone();
    let desired: BTreeSet<IpAddr> = services.into_iter().flat_map(|service| service.vips).collect();
    wait(CONVERGES_WITHIN, || {
        let status = node.status()?;
        ensure!(status["ready"] == true, "{}: not ready", node.name());
        let planned = planned(&status)?;
        ensure!(planned == desired, "{}: plans {planned:?} instead of {desired:?}", node.name());
        let installed = installed(node)?;
        ensure!(installed == desired, "{}: has {installed:?} instead of {desired:?}", node.name());
        Ok(())
    })
}

/// Starts a node's agent once more and returns how many operations it had to apply: none, if the maps are
/// what is planned from nothing.
///
/// # Errors
/// When it does not start.
pub fn operations_of_restart(node: &LabNode<'_>, options: &crate::lab::LabAgentOptions) -> Result<u64> {
    node.kill_agent()?;
    node.start_agent(options)?;
    Ok(node.status()?["last"]["operations"].as_u64().unwrap_or(u64::MAX))
}

fn planned(status: &Value) -> Result<BTreeSet<IpAddr>> {
    let services = agents::list(status, "services")?;
    let vips = services.iter().filter_map(|service| service["vips"].as_array()).flatten();
    Ok(vips.filter_map(|vip| vip["address"].as_str()?.parse().ok()).collect())
}

fn installed(node: &LabNode<'_>) -> Result<BTreeSet<IpAddr>> {
    let contents = Maps::open(&node.pins())?.read_back()?;
    Ok(contents.vips.keys().map(|key| key.address).collect())
}
