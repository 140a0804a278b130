//! The Services that may use a pool.

use std::collections::{BTreeMap, BTreeSet};

use lb_api::objects::{self, LabelSelector};

/// Labels of an object.
type Labels = BTreeMap<String, String>;

/// Labels of every namespace, by its name.
pub type Namespaces = BTreeMap<String, Labels>;

/// The Services that may use a pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceAllocation {
    /// Of the pools that a Service may use, the one with the lowest positive number comes first; zero is
    /// last.
    pub priority: u32,
    /// Namespaces by name, in addition to those by label. With neither, all namespaces.
    pub namespaces: BTreeSet<String>,
    /// Namespaces by label.
    pub namespace_selectors: Vec<LabelSelector>,
    /// Services by label; empty selects all Services of the namespaces.
    pub service_selectors: Vec<LabelSelector>,
}

impl ServiceAllocation {
    pub(super) fn read(written: &objects::ServiceAllocation) -> Self {
        Self {
            // Negative numbers count as zero.
            priority: u32::try_from(written.priority).unwrap_or_default(),
            namespaces: written.namespaces.iter().cloned().collect(),
            namespace_selectors: written.namespace_selectors.clone(),
            service_selectors: written.service_selectors.clone(),
        }
    }

    /// Returns whether a Service may get addresses of the pool that it asks for, by address or by the pool's
    /// name. Selectors never match an unknown namespace.
    ///
    /// As in MetalLB, namespace selectors that match no namespace restrict nothing here: Services that ask
    /// for the pool by name get its addresses, and others do not ([`Self::prefers`]).
    pub fn admits(&self, namespace: &str, namespaces: &Namespaces, labels: &Labels) -> bool {
        let selects_any = || namespaces.values().any(|labels| self.selects_namespace(labels));
        let restricts = !self.namespaces.is_empty() || selects_any();
        (!restricts || self.has_namespace(namespace, namespaces)) && self.selects_service(labels)
    }

    /// Returns whether a Service gets addresses of the pool without asking for it.
    pub fn prefers(&self, namespace: &str, namespaces: &Namespaces, labels: &Labels) -> bool {
        let any_namespace = self.namespaces.is_empty() && self.namespace_selectors.is_empty();
        (any_namespace || self.has_namespace(namespace, namespaces)) && self.selects_service(labels)
    }

    fn has_namespace(&self, namespace: &str, namespaces: &Namespaces) -> bool {
        self.namespaces.contains(namespace)
            || namespaces.get(namespace).is_some_and(|labels| self.selects_namespace(labels))
    }

    fn selects_namespace(&self, labels: &Labels) -> bool {
        self.namespace_selectors.iter().any(|selector| selector.matches(labels))
    }

    fn selects_service(&self, labels: &Labels) -> bool {
        self.service_selectors.is_empty() || self.service_selectors.iter().any(|it| it.matches(labels))
    }
}
