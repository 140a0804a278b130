//! What refers to nothing there is: no mistake while it may still come, but most often one.

use lb_api::objects::{LabelSelector, Object, Sourced};
use lb_api::problem::{Problem, Reason};

use crate::model::Model;

/// What an object refers to that is not in the model.
pub(super) fn judge(object: &Sourced<Object>, model: &Model) -> Vec<Problem> {
    let mut seeker = Seeker { object, model, problems: Vec::new() };
    match &object.value {
        Object::L2Advertisement(it) => {
            seeker.pools(&it.spec.ip_address_pools, &it.spec.ip_address_pool_selectors);
            seeker.nodes(&it.spec.node_selectors);
        }
        Object::BgpAdvertisement(it) => {
            seeker.pools(&it.spec.ip_address_pools, &it.spec.ip_address_pool_selectors);
            seeker.nodes(&it.spec.node_selectors);
            seeker.peers(&it.spec.peers);
        }
        Object::BgpPeer(it) => seeker.nodes(&it.spec.node_selectors),
        _ => {}
    }
    seeker.problems
}

struct Seeker<'a> {
    object: &'a Sourced<Object>,
    model: &'a Model,
    problems: Vec<Problem>,
}

impl Seeker<'_> {
    fn tell(&mut self, field: impl Into<String>, reason: Reason) {
        self.problems.push(Problem::at(self.object, field, reason));
    }

    fn pools(&mut self, names: &[String], selectors: &[LabelSelector]) {
        for (i, name) in names.iter().enumerate() {
            if !self.model.pools.iter().any(|(pool, _)| pool.name == *name) {
                let reason = Reason::UnknownReference { kind: "IPAddressPool", name: name.clone() };
                self.tell(format!("spec.ipAddressPools[{i}]"), reason);
            }
        }
        let matches = |selector: &LabelSelector| {
            self.model.pools.iter().any(|(_, pool)| selector.matches(&pool.labels))
        };
        if !selectors.is_empty() && !selectors.iter().any(matches) {
            self.tell("spec.ipAddressPoolSelectors", Reason::SelectsNone { kind: "IPAddressPool" });
        }
    }

    /// Where no Node is known, none can be missed.
    fn nodes(&mut self, selectors: &[LabelSelector]) {
        let nodes = &self.model.nodes;
        let matches = |selector: &LabelSelector| nodes.values().any(|node| selector.matches(&node.labels));
        if !selectors.is_empty() && !nodes.is_empty() && !selectors.iter().any(matches) {
            self.tell("spec.nodeSelectors", Reason::SelectsNone { kind: "Node" });
        }
    }

    fn peers(&mut self, names: &[String]) {
        for (i, name) in names.iter().enumerate() {
            if !self.model.bgp.peers.contains_key(name) {
                let reason = Reason::UnknownReference { kind: "BGPPeer", name: name.clone() };
                self.tell(format!("spec.peers[{i}]"), reason);
            }
        }
    }
}
