//! Rules that only a webhook has: an agent can do what is written all the same.

use lb_api::objects::{LabelSelector, Object, Operator, Requirement, Sourced};
use lb_api::problem::{Problem, Reason};

/// What breaks them in an object; `namespace` is where objects of `metallb.io` count.
pub(super) fn judge(object: &Sourced<Object>, namespace: &str) -> Vec<Problem> {
    let mut judge = Judge { object, problems: Vec::new() };
    match &object.value {
        Object::IpAddressPool(pool) => {
            if let Some(allocation) = &pool.spec.service_allocation {
                let at = |field: &str| format!("spec.serviceAllocation.{field}");
                judge.distinct(&at("namespaces"), &allocation.namespaces, Clone::clone);
                judge.selectors(&at("namespaceSelectors"), &allocation.namespace_selectors, true);
                judge.selectors(&at("serviceSelectors"), &allocation.service_selectors, true);
            }
        }
        Object::L2Advertisement(it) => {
            judge.distinct("spec.ipAddressPools", &it.spec.ip_address_pools, Clone::clone);
            judge.distinct("spec.interfaces", &it.spec.interfaces, Clone::clone);
            judge.selectors("spec.ipAddressPoolSelectors", &it.spec.ip_address_pool_selectors, true);
            judge.selectors("spec.nodeSelectors", &it.spec.node_selectors, true);
        }
        // That nothing is there twice in these is a rule of their model.
        Object::BgpAdvertisement(it) => {
            judge.selectors("spec.ipAddressPoolSelectors", &it.spec.ip_address_pool_selectors, false);
            judge.selectors("spec.nodeSelectors", &it.spec.node_selectors, false);
            judge.selectors("spec.serviceSelectors", &it.spec.service_selectors, false);
        }
        Object::BgpPeer(it) => judge.selectors("spec.nodeSelectors", &it.spec.node_selectors, false),
        Object::BfdProfile(_) | Object::Community(_) => {}
        Object::Service(_)
        | Object::EndpointSlice(_)
        | Object::Node(_)
        | Object::Namespace(_)
        | Object::Secret(_) => return judge.problems,
    }
    if object.value.namespace() != Some(namespace) {
        judge.refuse("metadata.namespace", Reason::OtherNamespace { wanted: namespace.to_owned() });
    }
    judge.problems
}

struct Judge<'a> {
    object: &'a Sourced<Object>,
    problems: Vec<Problem>,
}

impl Judge<'_> {
    fn refuse(&mut self, field: impl Into<String>, reason: Reason) {
        self.problems.push(Problem::at(self.object, field, reason));
    }

    fn distinct<T: PartialEq>(&mut self, field: &str, entries: &[T], words: impl Fn(&T) -> String) {
        for (i, entry) in entries.iter().enumerate() {
            if entries.get(..i).is_some_and(|before| before.contains(entry)) {
                self.refuse(format!("{field}[{i}]"), Reason::DuplicateEntry { written: words(entry) });
            }
        }
    }

    fn selectors(&mut self, field: &str, selectors: &[LabelSelector], distinct: bool) {
        if distinct {
            self.distinct(field, selectors, |_| "this selector".to_owned());
        }
        for (i, selector) in selectors.iter().enumerate() {
            self.selector(&format!("{field}[{i}]"), selector);
        }
    }

    fn selector(&mut self, field: &str, selector: &LabelSelector) {
        for (key, value) in &selector.match_labels {
            self.label(&format!("{field}.matchLabels"), key, std::slice::from_ref(value));
        }
        for (i, requirement) in selector.match_expressions.iter().enumerate() {
            let field = format!("{field}.matchExpressions[{i}]");
            self.label(&field, &requirement.key, &requirement.values);
            if let Some(reason) = values(requirement) {
                self.refuse(format!("{field}.values"), reason);
            }
        }
    }

    fn label(&mut self, field: &str, key: &str, values: &[String]) {
        if !is_key(key) {
            self.refuse(field, Reason::NotALabel { written: key.to_owned(), part: "key" });
        }
        for value in values.iter().filter(|value| !is_value(value)) {
            self.refuse(field, Reason::NotALabel { written: value.clone(), part: "value" });
        }
    }
}

fn values(requirement: &Requirement) -> Option<Reason> {
    let (operator, needs_values) = match requirement.operator {
        Operator::In => ("In", true),
        Operator::NotIn => ("NotIn", true),
        Operator::Exists => ("Exists", false),
        Operator::DoesNotExist => ("DoesNotExist", false),
    };
    let is_right = requirement.values.is_empty() != needs_values;
    (!is_right).then_some(Reason::SelectorValues { operator, needs_values })
}

/// Longest name, and longest domain before it, as Kubernetes has them.
const LONGEST_NAME: usize = 63;
const LONGEST_DOMAIN: usize = 253;

fn is_key(text: &str) -> bool {
    let (domain, name) = text.split_once('/').map_or((None, text), |(domain, name)| (Some(domain), name));
    let is_domain = |domain: &str| {
        domain.len() <= LONGEST_DOMAIN
            && domain.split('.').all(|label| is_name(label) && !label.contains('_'))
            && !domain.contains(|c: char| c.is_ascii_uppercase())
    };
    is_name(name) && domain.is_none_or(is_domain)
}

fn is_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

fn is_name(text: &str) -> bool {
    let is_outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= LONGEST_NAME
        && is_outer(text.chars().next())
        && is_outer(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
