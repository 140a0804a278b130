//! Reserved addresses: those of Nodes and of BGP peers, which are never VIPs.
//!
//! A node that answers ARP for another machine's address, or advertises a route to it, cuts that machine off
//! the network. So an address is reserved by the mere existence of its owner, whatever a pool contains and a
//! Service asks for.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use super::name::NodeName;
use super::node;
use lb_api::objects::{Object, Sourced};

/// The owner of a reserved address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A Node with this InternalIP or ExternalIP.
    Node(NodeName),
    /// A BGPPeer with this peerAddress, by its namespace and name.
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
    /// Collects the addresses of all Nodes and peers, used or not. A peer that is also a Node is listed as
    /// the Node.
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

    /// Returns the owner of an address, if it is reserved.
    pub fn owner(&self, address: IpAddr) -> Option<&Owner> {
        self.0.get(&address)
    }

    /// Returns the reserved addresses within a range.
    pub fn within(&self, start: IpAddr, end: IpAddr) -> impl Iterator<Item = (IpAddr, &Owner)> {
        self.0.range(start..=end).map(|(address, owner)| (*address, owner))
    }
}
