//! The nodes that may announce an address: by the L2Advertisements of its pool that select its Services.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::ring::NodeIndex;

use super::super::nodes::NodeTable;
use super::super::settings::Uplink;
use crate::ring::seed;
use lb_model::{L2Advertisement, Model, NodeName, PoolName, Service, TrafficPolicy};

/// The advertisements that announce an address, by their positions in the model.
pub(super) type By = Vec<usize>;

/// A node that may announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) name: NodeName,
    pub(super) index: NodeIndex,
    pub(super) seed: u64,
    /// How much the advertisements prefer it.
    pub(super) preference: u64,
}

/// What decides the candidates of an address: addresses with the same have the same candidates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey {
    pub(super) by: By,
    /// The only nodes that may announce; `None`: all.
    pub(super) only: Option<BTreeSet<NodeName>>,
}

/// The advertisements and Services of a model, indexed.
pub(super) struct Advertised<'a, 'r> {
    model: &'a Model,
    table: &'r NodeTable<'a>,
    of_pools: BTreeMap<&'a PoolName, By>,
    /// The Services on each address; empty unless advertisements or rules depend on them.
    services: BTreeMap<IpAddr, Vec<&'a Service>>,
    local_needs_endpoint: bool,
}

impl<'a, 'r> Advertised<'a, 'r> {
    pub(super) fn of(model: &'a Model, table: &'r NodeTable<'a>, local_needs_endpoint: bool) -> Self {
        let advertisements = || model.l2_advertisements.iter().enumerate();
        let of_pool = |(name, pool)| {
            let by = advertisements().filter(|(_, it)| it.selects_pool(name, pool)).map(|(place, _)| place);
            (name, by.collect())
        };
        let mut services: BTreeMap<IpAddr, Vec<&Service>> = BTreeMap::new();
        if local_needs_endpoint || advertisements().any(|(_, it)| it.chooses_services()) {
            for service in model.services.values() {
                let addresses: BTreeSet<_> = service.vips.iter().map(|vip| vip.address).collect();
                addresses.into_iter().for_each(|it| services.entry(it).or_default().push(service));
            }
        }
        let of_pools = model.pools.iter().map(of_pool).collect();
        Self { model, table, of_pools, services, local_needs_endpoint }
    }

    /// Returns what decides the candidates of an address, and its pool; `None` if nothing announces it. An
    /// address that several Services share is announced by the advertisements that select all of them.
    pub(super) fn group(&self, address: IpAddr) -> Option<(&'a PoolName, GroupKey)> {
        let (pool, _) = self.model.pools.of(address)?;
        let mut by = self.of_pools.get(pool)?.clone();
        let on_it = self.services.get(&address).map_or(&[][..], Vec::as_slice);
        if !on_it.is_empty() {
            let labels: Vec<_> = on_it.iter().map(|service| &service.labels).collect();
            by.retain(|place| self.advertisement(*place).is_some_and(|it| it.selects_services(&labels)));
        }
        let only = if self.local_needs_endpoint { only_with_endpoints(on_it, address) } else { None };
        (!by.is_empty()).then_some((pool, GroupKey { by, only }))
    }

    fn advertisement(&self, place: usize) -> Option<&'a L2Advertisement> {
        self.model.l2_advertisements.get(place)
    }

    fn advertisements(&self, key: &GroupKey) -> impl Iterator<Item = &'a L2Advertisement> {
        key.by.iter().filter_map(|place| self.advertisement(*place))
    }

    /// Returns the candidates of a group, ordered by name.
    pub(super) fn candidates(&self, key: &GroupKey) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for (name, node, index) in self.table.nodes().filter(|(name, ..)| self.table.may_announce(name)) {
            let is_excluded = key.only.as_ref().is_some_and(|only| !only.contains(name));
            let of_node: Vec<_> = self.advertisements(key).filter(|it| it.selects_node(node)).collect();
            if of_node.is_empty() || is_excluded {
                continue;
            }
            let preference = of_node.iter().map(|it| it.preference(node)).sum();
            let seed = seed(name.as_str().as_bytes());
            candidates.push(Candidate { name: name.clone(), index, seed, preference });
        }
        candidates
    }

    /// Returns whether this machine may answer on an uplink: an advertisement that selects this node lists no
    /// interfaces, or lists this one.
    pub(super) fn may_use(&self, key: &GroupKey, uplink: &Uplink) -> bool {
        let own = self.model.nodes.get(self.table.own());
        self.advertisements(key).any(|advertisement| {
            own.is_some_and(|own| advertisement.selects_node(own))
                && advertisement.selects_interface(&uplink.name)
        })
    }
}

/// Returns the nodes with endpoints of all Services with policy Local on an address; `None` if there is no
/// such Service.
fn only_with_endpoints(services: &[&Service], address: IpAddr) -> Option<BTreeSet<NodeName>> {
    let mut only: Option<BTreeSet<NodeName>> = None;
    for service in services.iter().filter(|service| service.policy == TrafficPolicy::Local) {
        let vips = service.vips.iter().filter(|vip| vip.address == address);
        let nodes: BTreeSet<NodeName> = vips.flat_map(|vip| vip.endpoints.by_node.keys().cloned()).collect();
        only = Some(match only {
            Some(before) => before.intersection(&nodes).cloned().collect(),
            None => nodes,
        });
    }
    only
}
