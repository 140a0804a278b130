//! L2Advertisements: the pools that are announced on the local network, by which nodes, for which Services,
//! on which interfaces.

use std::collections::BTreeMap;

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
    /// Returns whether it announces a pool: by name or by label, or any pool if it has neither. A name is
    /// looked up in all namespaces; an unknown name is not an error.
    pub fn selects_pool(&self, name: &PoolName, pool: &Pool) -> bool {
        let spec = &self.spec;
        let all = spec.ip_address_pools.is_empty() && spec.ip_address_pool_selectors.is_empty();
        all || spec.ip_address_pools.contains(&name.name)
            || spec.ip_address_pool_selectors.iter().any(|selector| selector.matches(&pool.labels))
    }

    /// Returns whether it selects a node to announce.
    pub fn selects_node(&self, node: &Node) -> bool {
        let selectors = &self.spec.node_selectors;
        selectors.is_empty() || selectors.iter().any(|selector| selector.matches(&node.labels))
    }

    /// Returns whether it has Service selectors.
    pub fn chooses_services(&self) -> bool {
        !self.spec.service_selectors.is_empty()
    }

    /// Returns whether it selects all of these Services, by their labels.
    pub fn selects_services(&self, services: &[&BTreeMap<String, String>]) -> bool {
        let selects = |labels: &&BTreeMap<String, String>| {
            self.spec.service_selectors.iter().any(|selector| selector.matches(labels))
        };
        !self.chooses_services() || services.iter().all(selects)
    }

    /// Returns whether nodes announce on an interface.
    pub fn selects_interface(&self, name: &str) -> bool {
        self.spec.interfaces.is_empty() || self.spec.interfaces.iter().any(|interface| interface == name)
    }

    /// Returns its preference for a node: the sum of the weights of the matching selectors.
    pub fn preference(&self, node: &Node) -> u64 {
        let preferred = self.spec.preferred_node_selectors.iter();
        let preferred = preferred.filter(|it| it.preference.matches(&node.labels));
        preferred.map(|it| u64::try_from(it.weight).unwrap_or_default()).sum()
    }
}

impl From<L2AdvertisementSpec> for L2Advertisement {
    fn from(spec: L2AdvertisementSpec) -> Self {
        Self { key: Default::default(), spec }
    }
}

/// Builds the advertisements after those `before`: one that has become invalid keeps its last-known-good
/// value.
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
            let advertisement = L2Advertisement { key, spec: written.spec.clone() };
            advertisements.push(advertisement);
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
