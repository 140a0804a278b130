//! Advertisements: which pools are announced on the local network, and by whom.

use super::lists;
use super::name::PoolName;
use super::node::Node;
use super::pool::Pool;
use lb_api::objects::{L2AdvertisementSpec, Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// An L2Advertisement.
#[derive(Clone, Debug, PartialEq)]
pub struct L2Advertisement {
    /// Namespace and name of its object.
    key: (String, String),
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
        Self { key: Default::default(), spec }
    }
}

/// The advertisements after those `before`: one that has become invalid stays as it was.
pub(super) fn build<'a>(
    objects: impl Iterator<Item = &'a Sourced<Object>>,
    before: &[L2Advertisement],
    problems: &mut Vec<Problem>,
) -> Vec<L2Advertisement> {
    let mut advertisements = Vec::new();
    for object in objects {
        let Object::L2Advertisement(written) = &object.value else { continue };
        let key = (object.value.namespace().unwrap_or_default().to_owned(), written.metadata.name.clone());
        let faults = lists::problems(object);
        if faults.is_empty() {
            advertisements.push(L2Advertisement { key, spec: written.spec.clone() });
            continue;
        }
        problems.extend(faults);
        if let Some(former) = before.iter().find(|former| former.key == key) {
            problems.push(Problem::of(object, Reason::StaysAsBefore));
            advertisements.push(former.clone());
        }
    }
    advertisements
}
