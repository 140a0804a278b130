//! For which Services a pool is kept.

use std::collections::{BTreeMap, BTreeSet};

use lb_api::objects::{self, LabelSelector};

/// Labels of an object.
type Labels = BTreeMap<String, String>;

/// For which Services a pool is kept: a pool that says so is not for all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceAllocation {
    /// Of the pools that a Service may use the one with the lowest positive number comes first; zero is last.
    pub priority: u32,
    /// Namespaces by name, beside those by label. With neither, all namespaces.
    pub namespaces: BTreeSet<String>,
    /// Namespaces by label.
    pub namespace_selectors: Vec<LabelSelector>,
    /// Services by label; none for all of the namespaces.
    pub service_selectors: Vec<LabelSelector>,
}

impl ServiceAllocation {
    pub(super) fn read(written: &objects::ServiceAllocation) -> Self {
        Self {
            // Whatever is below zero says no more than zero.
            priority: u32::try_from(written.priority).unwrap_or_default(),
            namespaces: written.namespaces.iter().cloned().collect(),
            namespace_selectors: written.namespace_selectors.clone(),
            service_selectors: written.service_selectors.clone(),
        }
    }

    /// Whether it takes a Service of this namespace with these labels. `namespace_labels` are `None` for a
    /// namespace that is not known, which no selector selects.
    pub fn admits(&self, namespace: &str, namespace_labels: Option<&Labels>, labels: &Labels) -> bool {
        let any_namespace = self.namespaces.is_empty() && self.namespace_selectors.is_empty();
        let by_labels = namespace_labels
            .is_some_and(|labels| self.namespace_selectors.iter().any(|selector| selector.matches(labels)));
        let services = &self.service_selectors;
        (any_namespace || self.namespaces.contains(namespace) || by_labels)
            && (services.is_empty() || services.iter().any(|selector| selector.matches(labels)))
    }
}
