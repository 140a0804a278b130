//! BGPAdvertisements.

mod aggregation;
pub(super) mod build;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use lb_bgp::value::{LargeCommunity, StandardCommunity};

use crate::name::PoolName;
use crate::node::Node;
use crate::pool::Pool;
use lb_api::objects::LabelSelector;

/// A BGPAdvertisement.
#[derive(Clone, Debug, PartialEq)]
pub struct BgpAdvertisement {
    /// Namespace of its object.
    pub namespace: String,
    /// Name of its object.
    pub name: String,
    /// Length of IPv4 prefixes: 0 to 32.
    pub aggregation_v4: u8,
    /// Length of IPv6 prefixes: 0 to 128.
    pub aggregation_v6: u8,
    /// LOCAL_PREF; `None`: the BGP implementation's default.
    pub local_pref: Option<u32>,
    /// Communities.
    pub communities: BTreeSet<StandardCommunity>,
    /// Large communities.
    pub large_communities: BTreeSet<LargeCommunity>,
    pools: BTreeSet<String>,
    pool_selectors: Vec<LabelSelector>,
    node_selectors: Vec<LabelSelector>,
    peers: BTreeSet<String>,
    service_selectors: Vec<LabelSelector>,
}

/// Labels of an object.
type Labels = BTreeMap<String, String>;

impl BgpAdvertisement {
    /// Returns its identity.
    pub fn key(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }

    /// Returns whether it announces a pool: by name or by label, or any pool if it has neither.
    pub fn selects_pool(&self, name: &PoolName, pool: &Pool) -> bool {
        let all = self.pools.is_empty() && self.pool_selectors.is_empty();
        all || self.pools.contains(&name.name) || any(&self.pool_selectors, &pool.labels)
    }

    /// Returns whether it selects a node to advertise.
    pub fn selects_node(&self, node: &Node) -> bool {
        self.node_selectors.is_empty() || any(&self.node_selectors, &node.labels)
    }

    /// Returns whether it selects a Service with these labels.
    pub fn selects_service(&self, labels: &Labels) -> bool {
        self.service_selectors.is_empty() || any(&self.service_selectors, labels)
    }

    /// Returns whether it selects a peer.
    pub fn selects_peer(&self, name: &str) -> bool {
        self.peers.is_empty() || self.peers.contains(name)
    }

    /// Returns whether it has Service selectors.
    pub fn chooses_services(&self) -> bool {
        !self.service_selectors.is_empty()
    }

    /// Returns the prefix that an address is advertised with.
    pub fn prefix(&self, address: IpAddr) -> IpNet {
        let length = if address.is_ipv4() { self.aggregation_v4 } else { self.aggregation_v6 };
        IpNet::new(address, length).map_or_else(|_| IpNet::from(address), |net| net.trunc())
    }

    /// Returns whether both advertise a prefix of this family to one peer with different local preferences.
    pub fn contradicts(&self, other: &Self, is_ipv4: bool) -> bool {
        let length = |it: &Self| if is_ipv4 { it.aggregation_v4 } else { it.aggregation_v6 };
        let share_peers =
            self.peers.is_empty() || other.peers.is_empty() || !self.peers.is_disjoint(&other.peers);
        length(self) == length(other) && share_peers && self.local_pref != other.local_pref
    }
}

fn any(selectors: &[LabelSelector], labels: &Labels) -> bool {
    selectors.iter().any(|selector| selector.matches(labels))
}
