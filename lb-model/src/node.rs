//! Nodes, and the resolution of addresses that several Node objects have.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

use super::drain::{DrainCause, DrainRules};
use super::name::NodeName;
use lb_api::objects::{self, Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// The type of the addresses that nodes use between each other.
const INTERNAL: &str = "InternalIP";
/// The type that is used if a node has no internal address, as kube-apiserver does.
const EXTERNAL: &str = "ExternalIP";

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    primary: IpAddr,
    /// The primary one first.
    addresses: Vec<IpAddr>,
    /// Labels, for advertisements that select by them.
    pub labels: BTreeMap<String, String>,
    /// Why it gets no new flows, if it drains.
    pub drain: Option<DrainCause>,
    /// Whether its condition NetworkUnavailable is True.
    pub network_unavailable: bool,
}

impl Node {
    /// Creates a node with these addresses, the first of which is the primary one; `None` without addresses.
    /// It does not drain.
    pub fn new(addresses: Vec<IpAddr>, labels: BTreeMap<String, String>) -> Option<Self> {
        let primary = *addresses.first()?;
        Some(Self { primary, addresses, labels, drain: None, network_unavailable: false })
    }

    /// Returns the primary address, which packets are forwarded to.
    pub fn primary(&self) -> IpAddr {
        self.primary
    }

    /// Returns all its internal addresses, the primary one first.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Returns whether it gets no new flows.
    pub fn is_draining(&self) -> bool {
        self.drain.is_some()
    }
}

pub(super) fn build<'a>(
    objects: impl Iterator<Item = &'a Sourced<Object>>,
    rules: &DrainRules,
    problems: &mut Vec<Problem>,
) -> BTreeMap<NodeName, Node> {
    let mut nodes = BTreeMap::new();
    let mut taken = BTreeMap::new();
    for (object, written) in by_precedence(objects) {
        let name = NodeName::from(written.metadata.name.as_str());
        let addresses = addresses(object, written, &name, &mut taken, problems);
        match Node::new(addresses, written.metadata.labels.clone()) {
            Some(node) => {
                let drain = rules.judge(object, written, problems);
                // An unknown state is no reason to withdraw anything.
                let network_unavailable = has_condition(written, "NetworkUnavailable");
                nodes.insert(name, Node { drain, network_unavailable, ..node });
            }
            None => problems.push(Problem::at(object, "status.addresses", Reason::NodeWithoutAddress)),
        }
    }
    nodes
}

/// Returns the Nodes in the order in which they claim addresses. Of two Nodes with one address, one belongs
/// to a machine that was reinstalled under another name: the current one is Ready, or else the younger.
fn by_precedence<'a>(
    objects: impl Iterator<Item = &'a Sourced<Object>>,
) -> Vec<(&'a Sourced<Object>, &'a objects::Node)> {
    let node = |object: &'a Sourced<Object>| match &object.value {
        Object::Node(node) => Some((object, node)),
        _ => None,
    };
    let mut nodes: Vec<_> = objects.filter_map(node).collect();
    // Stable: Nodes of equal age stay ordered by name.
    nodes.sort_by_key(|(_, node)| {
        (!has_condition(node, "Ready"), Reverse(node.metadata.creation_timestamp.as_deref()))
    });
    nodes
}

fn has_condition(written: &objects::Node, r#type: &str) -> bool {
    written.status.conditions.iter().any(|it| it.r#type == r#type && it.status == "True")
}

/// Returns all addresses of a Node's machine.
pub(super) fn machine_addresses(written: &objects::Node) -> impl Iterator<Item = IpAddr> {
    let is_address = |it: &&objects::NodeAddress| [INTERNAL, EXTERNAL].contains(&it.r#type.as_str());
    written.status.addresses.iter().filter(is_address).filter_map(|it| it.address.parse().ok())
}

/// Returns a node's addresses in their written order, without those of earlier nodes: the internal ones, or
/// else the external ones.
fn addresses(
    object: &Sourced<Object>,
    written: &objects::Node,
    name: &NodeName,
    taken: &mut BTreeMap<IpAddr, NodeName>,
    problems: &mut Vec<Problem>,
) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let is_internal = |entry: &objects::NodeAddress| entry.r#type == INTERNAL;
    let kind = if written.status.addresses.iter().any(is_internal) { INTERNAL } else { EXTERNAL };
    for (i, entry) in written.status.addresses.iter().enumerate().filter(|(_, it)| it.r#type == kind) {
        let mut refuse = |reason| {
            problems.push(Problem::at(object, format!("status.addresses[{i}].address"), reason));
        };
        let Ok(address) = entry.address.parse::<IpAddr>() else {
            refuse(Reason::NotAnAddress { written: entry.address.clone() });
            continue;
        };
        match taken.get(&address) {
            Some(by) if by == name => {}
            Some(by) => refuse(Reason::NodeAddressTaken { address, by: by.to_string() }),
            None => {
                taken.insert(address, name.clone());
                addresses.push(address);
            }
        }
    }
    addresses
}
