//! Nodes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::drain::{DrainCause, DrainRules};
use super::name::NodeName;
use lb_api::objects::{self, Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// Label that keeps a node from announcing, whatever its value.
const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    primary: IpAddr,
    /// With the primary one first.
    addresses: Vec<IpAddr>,
    /// Labels, for advertisements that select by them.
    pub labels: BTreeMap<String, String>,
    /// Why it is to get no new flows, if so.
    pub drain: Option<DrainCause>,
    /// Whether its network is said not to work.
    pub network_unavailable: bool,
}

impl Node {
    /// A node with these addresses, the first of which is the primary one; `None` if there is none. It does
    /// not drain.
    pub fn new(addresses: Vec<IpAddr>, labels: BTreeMap<String, String>) -> Option<Self> {
        let primary = *addresses.first()?;
        Some(Self { primary, addresses, labels, drain: None, network_unavailable: false })
    }

    /// The address that it is reached at.
    pub fn primary(&self) -> IpAddr {
        self.primary
    }

    /// All its internal addresses, the primary one first.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Whether it is to get no new flows.
    pub fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// Whether it may announce VIPs at all.
    pub fn may_announce(&self) -> bool {
        !self.labels.contains_key(EXCLUDE_LABEL)
    }
}

pub(super) fn build<'a>(
    objects: impl Iterator<Item = &'a Sourced<Object>>,
    rules: &DrainRules,
    problems: &mut Vec<Problem>,
) -> BTreeMap<NodeName, Node> {
    let mut nodes = BTreeMap::new();
    let mut taken = BTreeMap::new();
    for object in objects {
        let Object::Node(written) = &object.value else { continue };
        let name = NodeName::from(written.metadata.name.as_str());
        let addresses = addresses(object, written, &name, &mut taken, problems);
        match Node::new(addresses, written.metadata.labels.clone()) {
            Some(node) => {
                let drain = rules.judge(object, written, problems);
                let network_unavailable = is_network_unavailable(written);
                nodes.insert(name, Node { drain, network_unavailable, ..node });
            }
            None => problems.push(Problem::at(object, "status.addresses", Reason::NodeWithoutAddress)),
        }
    }
    nodes
}

/// Not known is no reason to withdraw anything.
fn is_network_unavailable(written: &objects::Node) -> bool {
    written.status.conditions.iter().any(|it| it.r#type == "NetworkUnavailable" && it.status == "True")
}

/// The internal addresses of a node, in the order in which they are written, that no node before it has.
fn addresses(
    object: &Sourced<Object>,
    written: &objects::Node,
    name: &NodeName,
    taken: &mut BTreeMap<IpAddr, NodeName>,
    problems: &mut Vec<Problem>,
) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for (i, entry) in written.status.addresses.iter().enumerate().filter(|(_, a)| a.r#type == "InternalIP") {
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
