//! The plan of one reconcile: the changes of Services, from observed objects and writes not yet observed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use lb_api::kind::ObjectKind;
use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;
use lb_ipam::{Allocation, Allocator, ServiceChange, changes, requests};
use lb_model::{Model, ServiceName};

use lb_kube::snapshot::Snapshot;

/// The kind of address pools.
const POOL: ObjectKind = ObjectKind::IP_ADDRESS_POOL;

/// Plans changes, and remembers writes that the watch has not delivered yet.
pub(super) struct AllocationPlanner {
    class: Option<String>,
    allocator: Allocator,
    /// The last pools: one that has become invalid keeps its last valid version.
    pools: Model,
    /// Writes to Services whose previous version is still the observed one.
    unobserved: BTreeMap<ServiceName, UnobservedWrite>,
}

/// A write to a Service that the watch has not delivered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnobservedWrite {
    pub(super) change: ServiceChange,
    /// The resource version that the write created.
    pub(super) version: u64,
}

/// The plan of one reconcile.
#[derive(Clone, Debug, Default)]
pub(super) struct AllocationPlan {
    /// Changes of Services; removals come first, so that no two Services have the same address at any time.
    pub(super) changes: Vec<(ServiceName, ServiceChange)>,
    pub(super) allocation: Allocation,
    /// Deprecated annotations, by Service.
    pub(super) deprecated: BTreeMap<ServiceName, Vec<&'static str>>,
    pub(super) problems: Vec<Problem>,
}

impl AllocationPlanner {
    pub(super) fn new(class: Option<String>) -> Self {
        Self { class, allocator: Allocator::new(), pools: Model::default(), unobserved: BTreeMap::new() }
    }

    pub(super) fn plan(&mut self, snapshot: &Snapshot) -> AllocationPlan {
        self.forget_observed(&snapshot.objects);
        // Only the model's pools are used, with their reserved addresses: its Services do not include those
        // without an address.
        let (pools, mut pool_problems) = Model::after(&self.pools, &pool_inputs(&snapshot.objects), None);
        pool_problems.retain(|problem| problem.object.as_ref().is_some_and(|object| object.is(POOL)));
        self.pools = pools;
        let mut requests = requests(&snapshot.objects, self.class.as_deref());
        for (name, written) in &self.unobserved {
            if let Some(request) = requests.requests.get_mut(name) {
                match &written.change {
                    ServiceChange::Give { addresses, .. } => request.held.clone_from(addresses),
                    ServiceChange::Clear { last } => {
                        request.held = Vec::new();
                        request.last.clone_from(last);
                    }
                }
            }
        }
        let allocation = self.allocator.allocate(&self.pools.pools, &requests.namespaces, &requests.requests);
        let mut changes = changes(&snapshot.objects, &allocation);
        changes.retain(|(name, change)| {
            self.unobserved.get(name).is_none_or(|unobserved| unobserved.change != *change)
        });
        if self.lacks_a_pool(snapshot) {
            // An address without a pool may belong to an invalid one: leave Services that have such an
            // address alone.
            let is_of_none = |address: &IpAddr| self.pools.pools.of(*address).is_none();
            changes.retain(|(name, _)| {
                requests.requests.get(name).is_none_or(|request| !request.held.iter().any(is_of_none))
            });
        }
        changes.sort_by_key(|(_, change)| !change.is_clear());
        let mut problems = snapshot.problems.clone();
        problems.extend(pool_problems);
        problems.append(&mut requests.problems);
        let deprecated =
            requests.deprecated.into_iter().map(|(name, keys)| (name, keys.into_iter().collect()));
        AllocationPlan { changes, allocation, deprecated: deprecated.collect(), problems }
    }

    /// Returns whether there is a pool without a known valid version.
    fn lacks_a_pool(&self, snapshot: &Snapshot) -> bool {
        let mut problems = snapshot.problems.iter().filter_map(|problem| problem.object.as_ref());
        let pools = snapshot.objects.iter().filter(|object| object.value.kind() == POOL).count();
        problems.any(|object| object.is(POOL)) || pools > self.pools.pools.iter().count()
    }

    /// Handles completed writes to Services.
    pub(super) fn handle_written(&mut self, written: BTreeMap<ServiceName, UnobservedWrite>) {
        self.unobserved.extend(written);
    }

    fn forget_observed(&mut self, objects: &[Arc<Sourced<Object>>]) {
        if self.unobserved.is_empty() {
            return;
        }
        let mut versions = BTreeMap::new();
        for object in objects {
            if let Object::Service(service) = &object.value {
                let version = service.metadata.resource_version.as_deref();
                let version = version.and_then(|version| version.parse().ok()).unwrap_or(u64::MAX);
                versions.insert(service_name(object), version);
            }
        }
        // A deletion is observed when the Service is missing.
        self.unobserved
            .retain(|name, written| versions.get(name).is_some_and(|seen| *seen < written.version));
    }
}

/// Returns the name of a Service.
pub(super) fn service_name(object: &Sourced<Object>) -> ServiceName {
    ServiceName {
        namespace: object.value.namespace().unwrap_or_default().to_owned(),
        name: object.value.metadata().name.clone(),
    }
}

/// Selects pools, and the objects whose addresses are reserved.
fn pool_inputs(objects: &[Arc<Sourced<Object>>]) -> Vec<Arc<Sourced<Object>>> {
    let counts = |object: &&Arc<Sourced<Object>>| {
        matches!(object.value, Object::IpAddressPool(_) | Object::Node(_) | Object::BgpPeer(_))
    };
    objects.iter().filter(counts).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_api::objects;
    use lb_api::problem::{ObjectRef, ReadReason};

    fn snapshot(services: &[(&str, u64, &str)]) -> Snapshot {
        let mut text =
            "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: a, namespace: lb}\n\
                        spec: {addresses: [10.0.0.0/30]}\n"
                .to_owned();
        for (name, version, ip) in services {
            text += &format!(
                "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: d, resourceVersion: '{version}'}}\n\
                 spec: {{type: LoadBalancer, clusterIPs: [10.96.0.1], ports: [{{port: 80}}]}}\n\
                 status: {{loadBalancer: {{ingress: [{ip}]}}}}\n"
            );
        }
        let (objects, problems) = objects::parse("test", &text);
        assert!(problems.is_empty(), "{problems:?}");
        Snapshot { objects: objects.into_iter().map(Arc::new).collect(), problems }
    }

    fn addresses(change: &ServiceChange) -> &[IpAddr] {
        match change {
            ServiceChange::Give { addresses, .. } => addresses,
            ServiceChange::Clear { .. } => &[],
        }
    }

    fn given(plan: &AllocationPlan) -> Vec<String> {
        let words =
            |(name, change): &(ServiceName, ServiceChange)| format!("{} {:?}", name.name, addresses(change));
        plan.changes.iter().map(words).collect()
    }

    #[test]
    fn a_write_counts_before_it_is_observed() {
        let mut planner = AllocationPlanner::new(None);
        let first = planner.plan(&snapshot(&[("b", 7, "")]));
        assert_eq!(given(&first), ["b [10.0.0.0]"]);
        let change = first.changes[0].1.clone();
        let name = first.changes[0].0.clone();
        planner.handle_written(BTreeMap::from([(name, UnobservedWrite { change, version: 9 })]));
        // A Service is added that would come first, and the watch has not delivered the write to b.
        let second = planner.plan(&snapshot(&[("a", 8, ""), ("b", 7, "")]));
        assert_eq!(given(&second), ["a [10.0.0.1]"]);
        // A later version overrides the write: its address was removed.
        let third = planner.plan(&snapshot(&[("b", 10, "")]));
        assert_eq!(given(&third), ["b [10.0.0.0]"]);
    }

    #[test]
    fn services_keep_their_address_when_its_pool_becomes_invalid() {
        let mut planner = AllocationPlanner::new(None);
        let held = "{ip: 10.0.0.1}";
        assert_eq!(given(&planner.plan(&snapshot(&[("b", 7, held)]))), ["b [10.0.0.1]"]);
        let mut invalid = snapshot(&[("b", 7, held)]);
        for object in &mut invalid.objects {
            if let Object::IpAddressPool(pool) = &mut Arc::make_mut(object).value {
                pool.spec.addresses = vec!["10.0.0.0/33".into()];
            }
        }
        let plan = planner.plan(&invalid);
        assert_eq!(given(&plan), ["b [10.0.0.1]"]);
        let labels: Vec<_> = plan.problems.iter().map(Problem::label).collect();
        assert_eq!(labels, ["not_a_range", "stays_as_before"]);
        // A controller that has never observed it valid leaves the Service alone.
        assert_eq!(given(&AllocationPlanner::new(None).plan(&invalid)), [] as [&str; 0]);
        // So does one that cannot parse it.
        let mut unreadable = snapshot(&[("b", 7, held)]);
        unreadable.objects.retain(|object| !matches!(object.value, Object::IpAddressPool(_)));
        assert_eq!(given(&AllocationPlanner::new(None).plan(&unreadable)), ["b []"]);
        let pool = ObjectRef { kind: "IPAddressPool".into(), namespace: Some("lb".into()), name: "a".into() };
        unreadable.problems.push(Problem::about(pool, ReadReason::NoKind));
        assert_eq!(given(&AllocationPlanner::new(None).plan(&unreadable)), [] as [&str; 0]);
    }

    #[test]
    fn a_recreated_service_is_a_new_one() {
        let mut planner = AllocationPlanner::new(None);
        let first = planner.plan(&snapshot(&[("b", 7, "")]));
        let (name, change) = first.changes[0].clone();
        planner.handle_written(BTreeMap::from([(name, UnobservedWrite { change, version: 8 })]));
        planner.plan(&snapshot(&[]));
        assert_eq!(given(&planner.plan(&snapshot(&[("b", 12, "")]))), ["b [10.0.0.0]"]);
    }

    #[test]
    fn a_recreated_pool_gives_every_service_its_former_address_even_after_a_restart() {
        let mut without = snapshot(&[("b", 7, "{ip: 10.0.0.2}"), ("a", 7, "{ip: 10.0.0.1}")]);
        let pool = without.objects.remove(0);
        let mut planner = AllocationPlanner::new(None);
        let cleared = planner.plan(&without);
        assert!(cleared.changes.iter().all(|(_, change)| change.is_clear()), "{:?}", cleared.changes);
        let written =
            cleared.changes.into_iter().map(|(name, change)| (name, UnobservedWrite { change, version: 9 }));
        planner.handle_written(written.collect());
        // Before the watch delivers the writes; and by a new process, from the annotation.
        let mut late = without.clone();
        late.objects.insert(0, Arc::clone(&pool));
        assert_eq!(given(&planner.plan(&late)), ["b [10.0.0.2]", "a [10.0.0.1]"]);
        let mut seen = snapshot(&[("c", 1, ""), ("b", 9, ""), ("a", 9, "")]);
        for (object, last) in seen.objects.iter_mut().skip(2).zip(["10.0.0.2", "10.0.0.1"]) {
            if let Object::Service(service) = &mut Arc::make_mut(object).value {
                service.metadata.annotations.insert(ServiceChange::LAST_ADDRESSES.into(), last.into());
            }
        }
        assert_eq!(
            given(&AllocationPlanner::new(None).plan(&seen)),
            ["c [10.0.0.0]", "b [10.0.0.2]", "a [10.0.0.1]"]
        );
    }

    #[test]
    fn addresses_of_nodes_and_of_incomplete_peers_are_not_allocated() {
        let mut snapshot = snapshot(&[("a", 1, ""), ("b", 1, "")]);
        let reserved = "{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: \
                        10.0.0.0}]}}\n---\n{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: tor, \
                        namespace: lb}, spec: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, bfdProfile: later}}";
        snapshot.objects.extend(objects::parse("test", reserved).0.into_iter().map(Arc::new));
        let plan = AllocationPlanner::new(None).plan(&snapshot);
        assert_eq!(given(&plan), ["a [10.0.0.2]", "b [10.0.0.3]"]);
        assert_eq!(plan.problems.iter().map(Problem::label).collect::<Vec<_>>(), ["pool_holds_reserved"]);
    }
}
