//! Reserved addresses: those of Nodes and of BGP peers, which are never VIPs.
//!
//! A node that answers ARP for another's address, or advertises a route to it, takes that machine off the network. So
//! an address is reserved by the mere presence of its owner, whatever a pool contains and a Service asks for.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use super::name::NodeName;
use super::node;
use lb_api::objects::{Object, Sourced};

/// Whose a reserved address is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A Node has it as InternalIP or ExternalIP.
    Node(NodeName),
    /// A BGPPeer has it as peerAddress; by its namespace and name.
    Peer(String),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => write!(f, "Node {name}"),
            Self::Peer(name) => write!(f, "BGPPeer {name}"),
        }
    }
}

/// The reserved addresses, with their owners.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reserved(BTreeMap<IpAddr, Owner>);

impl Reserved {
    /// Those of Nodes, whether or not they are reached there, and of peers, whether or not they are spoken to. A peer that
    /// is a Node, too, is called by the Node's name.
    pub(super) fn of<'a>(objects: impl Iterator<Item = &'a Sourced<Object>>) -> Self {
        let (mut nodes, mut peers) = (BTreeMap::new(), BTreeMap::new());
        for object in objects {
            match &object.value {
                Object::Node(written) => {
                    let owner = Owner::Node(written.metadata.name.as_str().into());
                    nodes.extend(node::machine_addresses(written).map(|address| (address, owner.clone())));
                }
                Object::BgpPeer(written) => {
                    let address = written.spec.peer_address.as_deref().and_then(|it| it.parse().ok());
                    let namespace = object.value.namespace().unwrap_or_default();
                    let owner = || Owner::Peer(format!("{namespace}/{}", written.metadata.name));
                    peers.extend(address.map(|address| (address, owner())));
                }
                _ => {}
            }
        }
        peers.append(&mut nodes);
        Self(peers)
    }

    /// Whose an address is, if it is reserved.
    pub fn owner(&self, address: IpAddr) -> Option<&Owner> {
        self.0.get(&address)
    }

    /// The reserved addresses within a range.
    pub fn within(&self, start: IpAddr, end: IpAddr) -> impl Iterator<Item = (IpAddr, &Owner)> {
        self.0.range(start..=end).map(|(address, owner)| (*address, owner))
    }
}
