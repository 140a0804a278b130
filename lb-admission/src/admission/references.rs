//! References and selectors that match no object.

use std::collections::{BTreeMap, BTreeSet};

use lb_api::kind::ObjectKind;
use lb_api::objects::{LabelSelector, Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// Labels of an object.
type Labels = BTreeMap<String, String>;

/// The objects that can be referred to and selected.
pub(super) struct Known<'a> {
    pools: BTreeSet<&'a str>,
    peers: BTreeSet<&'a str>,
    pool_labels: Vec<&'a Labels>,
    node_labels: Vec<&'a Labels>,
}

impl<'a> Known<'a> {
    pub(super) fn of(objects: &[&'a Sourced<Object>]) -> Self {
        let mut known = Self {
            pools: BTreeSet::new(),
            peers: BTreeSet::new(),
            pool_labels: Vec::new(),
            node_labels: Vec::new(),
        };
        for object in objects {
            let metadata = object.value.metadata();
            match &object.value {
                Object::IpAddressPool(_) => {
                    known.pools.insert(&metadata.name);
                    known.pool_labels.push(&metadata.labels);
                }
                Object::BgpPeer(_) => drop(known.peers.insert(&metadata.name)),
                Object::Node(_) => known.node_labels.push(&metadata.labels),
                _ => {}
            }
        }
        known
    }

    /// Returns the references and selectors of an object that match nothing.
    pub(super) fn dangling(&self, object: &Sourced<Object>) -> Vec<Problem> {
        let mut found = Found { object, problems: Vec::new() };
        match &object.value {
            Object::L2Advertisement(it) => {
                self.pools(&mut found, &it.spec.ip_address_pools, &it.spec.ip_address_pool_selectors);
                self.nodes(&mut found, &it.spec.node_selectors);
            }
            Object::BgpAdvertisement(it) => {
                self.pools(&mut found, &it.spec.ip_address_pools, &it.spec.ip_address_pool_selectors);
                found.names("spec.peers", ObjectKind::BGP_PEER, &it.spec.peers, &self.peers);
                self.nodes(&mut found, &it.spec.node_selectors);
            }
            Object::BgpPeer(it) => self.nodes(&mut found, &it.spec.node_selectors),
            _ => {}
        }
        found.problems
    }

    fn pools(&self, found: &mut Found<'_>, names: &[String], selectors: &[LabelSelector]) {
        found.names("spec.ipAddressPools", ObjectKind::IP_ADDRESS_POOL, names, &self.pools);
        found.selectors(
            "spec.ipAddressPoolSelectors",
            ObjectKind::IP_ADDRESS_POOL,
            selectors,
            &self.pool_labels,
        );
    }

    /// Without any known Node, it is unknown what a selector matches.
    fn nodes(&self, found: &mut Found<'_>, selectors: &[LabelSelector]) {
        if !self.node_labels.is_empty() {
            found.selectors("spec.nodeSelectors", ObjectKind::NODE, selectors, &self.node_labels);
        }
    }
}

struct Found<'a> {
    object: &'a Sourced<Object>,
    problems: Vec<Problem>,
}

impl Found<'_> {
    fn names(&mut self, field: &str, kind: ObjectKind, names: &[String], known: &BTreeSet<&str>) {
        for (i, name) in names.iter().enumerate().filter(|(_, name)| !known.contains(name.as_str())) {
            let reason = Reason::NothingNamed { kind: kind.name, name: name.clone() };
            self.problems.push(Problem::at(self.object, format!("{field}[{i}]"), reason));
        }
    }

    fn selectors(&mut self, field: &str, kind: ObjectKind, selectors: &[LabelSelector], known: &[&Labels]) {
        for (i, selector) in selectors.iter().enumerate() {
            if !known.iter().any(|labels| selector.matches(labels)) {
                let reason = Reason::SelectsNothing { kind: kind.name };
                self.problems.push(Problem::at(self.object, format!("{field}[{i}]"), reason));
            }
        }
    }
}
