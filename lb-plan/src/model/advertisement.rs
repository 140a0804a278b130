//! Advertisements: which pools are announced on the local network, and by whom.

use super::name::PoolName;
use super::node::Node;
use super::pool::Pool;
use lb_api::objects::{L2AdvertisementSpec, Object, Sourced};

/// An L2Advertisement.
#[derive(Clone, Debug, PartialEq)]
pub struct L2Advertisement {
    spec: L2AdvertisementSpec,
}

impl L2Advertisement {
    /// Whether it announces a pool: by name or by label, or any if it names neither. A name is looked for in
    /// all namespaces; one that no pool has is not an error.
    pub fn selects_pool(&self, name: &PoolName, pool: &Pool) -> bool {
        let spec = &self.spec;
        let all = spec.ip_address_pools.is_empty() && spec.ip_address_pool_selectors.is_empty();
        all || spec.ip_address_pools.contains(&name.name)
            || spec.ip_address_pool_selectors.iter().any(|selector| selector.matches(&pool.labels))
    }

    /// Whether a node may announce by it.
    pub fn selects_node(&self, node: &Node) -> bool {
        let selectors = &self.spec.node_selectors;
        selectors.is_empty() || selectors.iter().any(|selector| selector.matches(&node.labels))
    }
}

impl From<L2AdvertisementSpec> for L2Advertisement {
    fn from(spec: L2AdvertisementSpec) -> Self {
        Self { spec }
    }
}

pub(super) fn build<'a>(objects: impl Iterator<Item = &'a Sourced<Object>>) -> Vec<L2Advertisement> {
    let mut advertisements = Vec::new();
    for object in objects {
        if let Object::L2Advertisement(written) = &object.value {
            advertisements.push(written.spec.clone().into());
        }
    }
    advertisements
}
