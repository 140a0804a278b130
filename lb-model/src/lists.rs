//! Checks of lists and selectors: duplicate entries and selectors without a meaning make an object invalid.

use lb_api::objects::{
    BgpAdvertisementSpec, IpAddressPoolSpec, L2AdvertisementSpec, LabelSelector, Object, Operator, Sourced,
};
use lb_api::problem::{Problem, Reason};

use super::label;

/// Returns the problems of an object's lists.
pub(super) fn problems(object: &Sourced<Object>) -> Vec<Problem> {
    let mut lists = Lists { object, problems: Vec::new() };
    match &object.value {
        Object::IpAddressPool(pool) => lists.pool(&pool.spec),
        Object::L2Advertisement(advertisement) => lists.l2_advertisement(&advertisement.spec),
        Object::BgpAdvertisement(advertisement) => lists.bgp_advertisement(&advertisement.spec),
        Object::BgpPeer(peer) => lists.distinct_selectors("spec.nodeSelectors", &peer.spec.node_selectors),
        Object::Service(_)
        | Object::EndpointSlice(_)
        | Object::Node(_)
        | Object::Namespace(_)
        | Object::BfdProfile(_)
        | Object::Community(_)
        | Object::Secret(_) => {}
    }
    lists.problems
}

struct Lists<'a> {
    object: &'a Sourced<Object>,
    problems: Vec<Problem>,
}

impl Lists<'_> {
    fn pool(&mut self, spec: &IpAddressPoolSpec) {
        let Some(allocation) = &spec.service_allocation else { return };
        self.distinct("spec.serviceAllocation.namespaces", &allocation.namespaces);
        self.distinct_selectors("spec.serviceAllocation.namespaceSelectors", &allocation.namespace_selectors);
        self.distinct_selectors("spec.serviceAllocation.serviceSelectors", &allocation.service_selectors);
    }

    fn l2_advertisement(&mut self, spec: &L2AdvertisementSpec) {
        self.distinct("spec.ipAddressPools", &spec.ip_address_pools);
        self.distinct_selectors("spec.ipAddressPoolSelectors", &spec.ip_address_pool_selectors);
        self.distinct_selectors("spec.nodeSelectors", &spec.node_selectors);
        self.distinct_selectors("spec.serviceSelectors", &spec.service_selectors);
        for (i, preferred) in spec.preferred_node_selectors.iter().enumerate() {
            let field = format!("spec.preferredNodeSelectors[{i}]");
            if !(1..=100).contains(&preferred.weight) {
                let written = preferred.weight.to_string();
                self.refuse(format!("{field}.weight"), Reason::OutOfRange { written, allowed: "1 to 100" });
            }
            self.selector(&format!("{field}.preference"), &preferred.preference);
        }
    }

    fn bgp_advertisement(&mut self, spec: &BgpAdvertisementSpec) {
        self.distinct("spec.communities", &spec.communities);
        self.distinct("spec.ipAddressPools", &spec.ip_address_pools);
        self.distinct("spec.peers", &spec.peers);
        self.distinct_selectors("spec.ipAddressPoolSelectors", &spec.ip_address_pool_selectors);
        self.distinct_selectors("spec.nodeSelectors", &spec.node_selectors);
        self.distinct_selectors("spec.serviceSelectors", &spec.service_selectors);
    }

    fn distinct(&mut self, field: &str, entries: &[String]) {
        self.each_once(field, entries, Clone::clone);
    }

    fn distinct_selectors(&mut self, field: &str, selectors: &[LabelSelector]) {
        self.each_once(field, selectors, ToString::to_string);
        self.selectors(field, selectors);
    }

    fn each_once<T: PartialEq>(&mut self, field: &str, entries: &[T], words: impl Fn(&T) -> String) {
        for (i, entry) in entries.iter().enumerate() {
            if entries.get(..i).is_some_and(|before| before.contains(entry)) {
                self.refuse(format!("{field}[{i}]"), Reason::DuplicateEntry { written: words(entry) });
            }
        }
    }

    fn selectors(&mut self, field: &str, selectors: &[LabelSelector]) {
        for (i, selector) in selectors.iter().enumerate() {
            self.selector(&format!("{field}[{i}]"), selector);
        }
    }

    /// Checks the syntax of keys and values, and that `In` and `NotIn` have values and other operators have
    /// none.
    fn selector(&mut self, field: &str, selector: &LabelSelector) {
        for (key, value) in &selector.match_labels {
            self.key(&format!("{field}.matchLabels"), key);
            self.value(&format!("{field}.matchLabels[{key}]"), value);
        }
        for (i, requirement) in selector.match_expressions.iter().enumerate() {
            let field = format!("{field}.matchExpressions[{i}]");
            self.key(&format!("{field}.key"), &requirement.key);
            for (i, value) in requirement.values.iter().enumerate() {
                self.value(&format!("{field}.values[{i}]"), value);
            }
            let compares = matches!(requirement.operator, Operator::In | Operator::NotIn);
            if compares == requirement.values.is_empty() {
                let reason =
                    if compares { Reason::SelectorWithoutValues } else { Reason::SelectorWithValues };
                self.refuse(format!("{field}.values"), reason);
            }
        }
    }

    fn key(&mut self, field: &str, key: &str) {
        if !label::is_key(key) {
            self.refuse(field.to_owned(), Reason::NotALabelKey { written: key.to_owned() });
        }
    }

    fn value(&mut self, field: &str, value: &str) {
        if !label::is_value(value) {
            self.refuse(field.to_owned(), Reason::NotALabelValue { written: value.to_owned() });
        }
    }

    fn refuse(&mut self, field: String, reason: Reason) {
        self.problems.push(Problem::at(self.object, field, reason));
    }
}
