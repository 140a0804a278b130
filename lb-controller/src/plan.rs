//! What is to be written, by what has been seen and what has been written since.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use lb_api::kind::ObjectKind;
use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;
use lb_ipam::{Allocation, Allocator, ServiceChange, changes, requests};
use lb_model::{Model, ServiceName};

use lb_kube::snapshot::Snapshot;

/// The kind of pools.
const POOL: ObjectKind = ObjectKind::IP_ADDRESS_POOL;

/// Decides, and remembers what of it has been written and not been seen yet.
pub(super) struct Decider {
    class: Option<String>,
    allocator: Allocator,
    /// The pools as they were last: what was right before stays where it has become wrong.
    pools: Model,
    /// What has been written to Services that are still seen as they were before.
    unseen: BTreeMap<ServiceName, Written>,
}

/// What has been written to a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) change: ServiceChange,
    /// The version that came of it.
    pub(super) version: u64,
}

/// What is to be written.
#[derive(Clone, Debug, Default)]
pub(super) struct Decided {
    /// To Services; those that are cleared come first, so that no address is seen in two places.
    pub(super) changes: Vec<(ServiceName, ServiceChange)>,
    pub(super) allocation: Allocation,
    /// Old annotations, by Service.
    pub(super) deprecated: BTreeMap<ServiceName, Vec<&'static str>>,
    pub(super) problems: Vec<Problem>,
}

impl Decider {
    pub(super) fn new(class: Option<String>) -> Self {
        Self { class, allocator: Allocator::new(), pools: Model::default(), unseen: BTreeMap::new() }
    }

    pub(super) fn decide(&mut self, snapshot: &Snapshot) -> Decided {
        self.forget_seen(&snapshot.objects);
        // Only its pools count here, and which of their addresses are reserved: Services are judged by whether they can be
        // served, and not yet are.
        let (pools, mut pool_problems) = Model::after(&self.pools, &of_pools(&snapshot.objects), None);
        pool_problems.retain(|problem| problem.object.as_ref().is_some_and(|object| object.is(POOL)));
        self.pools = pools;
        let mut requests = requests(&snapshot.objects, self.class.as_deref());
        for (name, written) in &self.unseen {
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
        changes.retain(|(name, change)| self.unseen.get(name).is_none_or(|unseen| unseen.change != *change));
        if self.lacks_a_pool(snapshot) {
            // It may be the one that an address is of: only what is not given yet is given now.
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
        Decided { changes, allocation, deprecated: deprecated.collect(), problems }
    }

    /// Whether there is a pool of which nothing that is right is known.
    fn lacks_a_pool(&self, snapshot: &Snapshot) -> bool {
        let mut problems = snapshot.problems.iter().filter_map(|problem| problem.object.as_ref());
        let pools = snapshot.objects.iter().filter(|object| object.value.kind() == POOL).count();
        problems.any(|object| object.is(POOL)) || pools > self.pools.pools.iter().count()
    }

    /// What has been written to Services.
    pub(super) fn handle_written(&mut self, written: BTreeMap<ServiceName, Written>) {
        self.unseen.extend(written);
    }

    fn forget_seen(&mut self, objects: &[Arc<Sourced<Object>>]) {
        if self.unseen.is_empty() {
            return;
        }
        let mut versions = BTreeMap::new();
        for object in objects {
            if let Object::Service(service) = &object.value {
                let version = service.metadata.resource_version.as_deref();
                let version = version.and_then(|version| version.parse().ok()).unwrap_or(u64::MAX);
                versions.insert(name(object), version);
            }
        }
        // One that is gone is seen to be gone.
        self.unseen.retain(|name, written| versions.get(name).is_some_and(|seen| *seen < written.version));
    }
}

fn name(object: &Sourced<Object>) -> ServiceName {
    ServiceName {
        namespace: object.value.namespace().unwrap_or_default().to_owned(),
        name: object.value.metadata().name.clone(),
    }
}

/// Pools, and whose addresses none of them gives.
fn of_pools(objects: &[Arc<Sourced<Object>>]) -> Vec<Arc<Sourced<Object>>> {
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

    fn given(decided: &Decided) -> Vec<String> {
        let words =
            |(name, change): &(ServiceName, ServiceChange)| format!("{} {:?}", name.name, addresses(change));
        decided.changes.iter().map(words).collect()
    }

    #[test]
    fn what_was_written_counts_before_it_is_seen() {
        let mut decider = Decider::new(None);
        let first = decider.decide(&snapshot(&[("b", 7, "")]));
        assert_eq!(given(&first), ["b [10.0.0.0]"]);
        let change = first.changes[0].1.clone();
        let name = first.changes[0].0.clone();
        decider.handle_written(BTreeMap::from([(name, Written { change, version: 9 })]));
        // Another comes that would be first, and the watch still shows b as it was.
        let second = decider.decide(&snapshot(&[("a", 8, ""), ("b", 7, "")]));
        assert_eq!(given(&second), ["a [10.0.0.1]"]);
        // What is seen later counts: somebody has cleared it.
        let third = decider.decide(&snapshot(&[("b", 10, "")]));
        assert_eq!(given(&third), ["b [10.0.0.0]"]);
    }

    #[test]
    fn a_pool_that_has_become_wrong_costs_no_service_its_address() {
        let mut decider = Decider::new(None);
        let held = "{ip: 10.0.0.1}";
        assert_eq!(given(&decider.decide(&snapshot(&[("b", 7, held)]))), ["b [10.0.0.1]"]);
        let mut wrong = snapshot(&[("b", 7, held)]);
        for object in &mut wrong.objects {
            if let Object::IpAddressPool(pool) = &mut Arc::make_mut(object).value {
                pool.spec.addresses = vec!["10.0.0.0/33".into()];
            }
        }
        let decided = decider.decide(&wrong);
        assert_eq!(given(&decided), ["b [10.0.0.1]"]);
        let labels: Vec<_> = decided.problems.iter().map(Problem::label).collect();
        assert_eq!(labels, ["not_a_range", "stays_as_before"]);
        // A controller that has not seen it right does not know better, and leaves the Service alone.
        assert_eq!(given(&Decider::new(None).decide(&wrong)), [] as [&str; 0]);
        // So does one that cannot even read it.
        let mut unreadable = snapshot(&[("b", 7, held)]);
        unreadable.objects.retain(|object| !matches!(object.value, Object::IpAddressPool(_)));
        assert_eq!(given(&Decider::new(None).decide(&unreadable)), ["b []"]);
        let pool = ObjectRef { kind: "IPAddressPool".into(), namespace: Some("lb".into()), name: "a".into() };
        unreadable.problems.push(Problem::about(pool, ReadReason::NoKind));
        assert_eq!(given(&Decider::new(None).decide(&unreadable)), [] as [&str; 0]);
    }

    #[test]
    fn a_service_that_is_made_anew_is_a_new_one() {
        let mut decider = Decider::new(None);
        let first = decider.decide(&snapshot(&[("b", 7, "")]));
        let (name, change) = first.changes[0].clone();
        decider.handle_written(BTreeMap::from([(name, Written { change, version: 8 })]));
        decider.decide(&snapshot(&[]));
        assert_eq!(given(&decider.decide(&snapshot(&[("b", 12, "")]))), ["b [10.0.0.0]"]);
    }

    #[test]
    fn a_pool_that_is_made_anew_gives_every_service_what_it_had_also_after_a_restart() {
        let mut without = snapshot(&[("b", 7, "{ip: 10.0.0.2}"), ("a", 7, "{ip: 10.0.0.1}")]);
        let pool = without.objects.remove(0);
        let mut decider = Decider::new(None);
        let cleared = decider.decide(&without);
        assert!(cleared.changes.iter().all(|(_, change)| change.is_clear()), "{:?}", cleared.changes);
        let written =
            cleared.changes.into_iter().map(|(name, change)| (name, Written { change, version: 9 }));
        decider.handle_written(written.collect());
        // The watch still shows what was held, or one that was started meanwhile sees what was remembered.
        let mut late = without.clone();
        late.objects.insert(0, Arc::clone(&pool));
        assert_eq!(given(&decider.decide(&late)), ["b [10.0.0.2]", "a [10.0.0.1]"]);
        let mut seen = snapshot(&[("c", 1, ""), ("b", 9, ""), ("a", 9, "")]);
        for (object, last) in seen.objects.iter_mut().skip(2).zip(["10.0.0.2", "10.0.0.1"]) {
            if let Object::Service(service) = &mut Arc::make_mut(object).value {
                service.metadata.annotations.insert(ServiceChange::LAST_ADDRESSES.into(), last.into());
            }
        }
        assert_eq!(
            given(&Decider::new(None).decide(&seen)),
            ["c [10.0.0.0]", "b [10.0.0.2]", "a [10.0.0.1]"]
        );
    }

    #[test]
    fn addresses_of_nodes_and_of_peers_that_cannot_be_used_yet_are_not_given() {
        let mut snapshot = snapshot(&[("a", 1, ""), ("b", 1, "")]);
        let machines = "{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: \
                        10.0.0.0}]}}\n---\n{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: tor, \
                        namespace: lb}, spec: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, bfdProfile: later}}";
        snapshot.objects.extend(objects::parse("test", machines).0.into_iter().map(Arc::new));
        let decided = Decider::new(None).decide(&snapshot);
        assert_eq!(given(&decided), ["a [10.0.0.2]", "b [10.0.0.3]"]);
        assert_eq!(decided.problems.iter().map(Problem::label).collect::<Vec<_>>(), ["pool_holds_reserved"]);
    }
}
