//! The nodes that may announce an address: by the L2Advertisements of its pool that select its Services.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use lb_common::ring::NodeIndex;

use super::super::nodes::NodeTable;
use crate::ring::seed;
use lb_model::{L2Advertisement, Model, NodeName, PoolName, Service, TrafficPolicy};

/// A node that may announce.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    pub(super) name: NodeName,
    pub(super) index: NodeIndex,
    pub(super) seed: u64,
    /// How much the advertisements prefer it.
    pub(super) preference: u64,
}

/// The addresses that are announced, with their candidates.
pub(super) struct Candidates<'a> {
    model: &'a Model,
    /// The addresses, in order.
    pub(super) addresses: Vec<PooledAddress<'a>>,
    pub(super) groups: Vec<Group>,
    /// Lists of candidates, each only once; the most preferred first, then by name.
    pub(super) lists: Vec<Arc<[Candidate]>>,
}

/// An address that is announced.
pub(super) struct PooledAddress<'a> {
    pub(super) address: IpAddr,
    pub(super) pool: &'a PoolName,
    /// Position of its group.
    pub(super) group: usize,
}

/// The addresses that are announced by the same advertisements and nodes.
pub(super) struct Group {
    advertisements: Positions,
    /// Position of its list of candidates.
    pub(super) list: usize,
}

/// Advertisements, by their positions in the model.
type Positions = Vec<usize>;

/// What decides the candidates of an address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct GroupKey<'a> {
    advertisements: Positions,
    /// The only nodes that may announce; `None`: all.
    only: Option<BTreeSet<&'a NodeName>>,
}

impl<'a> Candidates<'a> {
    /// Finds the candidates of addresses. With `by_endpoint`, a Service with policy Local is announced only
    /// by nodes with endpoints.
    pub(super) fn of(
        model: &'a Model,
        table: &NodeTable<'a>,
        by_endpoint: bool,
        addresses: impl Iterator<Item = IpAddr>,
    ) -> Self {
        let advertised = Advertised::of(model, by_endpoint);
        let mut found = Self { model, addresses: Vec::new(), groups: Vec::new(), lists: Vec::new() };
        let mut numbers = BTreeMap::new();
        let mut selected = BTreeMap::new();
        let mut lists = BTreeMap::new();
        for address in addresses {
            let Some((pool, key)) = advertised.group(address) else { continue };
            let group = *numbers.entry(key).or_insert_with_key(|GroupKey { advertisements, only }| {
                let selected = selected
                    .entry(advertisements.clone())
                    .or_insert_with(|| select(model, advertisements, table));
                let list = only.as_ref().map_or_else(
                    || list(selected.values()),
                    |only| list(only.iter().filter_map(|name| selected.get(name))),
                );
                let number = *lists.entry(Arc::clone(&list)).or_insert(found.lists.len());
                if number == found.lists.len() {
                    found.lists.push(list);
                }
                found.groups.push(Group { advertisements: advertisements.clone(), list: number });
                found.groups.len() - 1
            });
            found.addresses.push(PooledAddress { address, pool, group });
        }
        found
    }

    /// Returns whether a node may announce a group on an interface: an advertisement that selects the node
    /// lists no interfaces, or lists this one.
    pub(super) fn selects_interface(&self, group: &Group, node: &NodeName, interface: &str) -> bool {
        let node = self.model.nodes.get(node);
        positioned(self.model, &group.advertisements)
            .any(|it| node.is_some_and(|node| it.selects_node(node)) && it.selects_interface(interface))
    }
}

fn positioned<'a>(model: &'a Model, positions: &[usize]) -> impl Iterator<Item = &'a L2Advertisement> {
    positions.iter().filter_map(|place| model.l2_advertisements.get(*place))
}

/// Returns the candidates that advertisements select.
fn select<'a>(
    model: &'a Model,
    advertisements: &Positions,
    table: &NodeTable<'a>,
) -> BTreeMap<&'a NodeName, Candidate> {
    let mut candidates = BTreeMap::new();
    for (name, node, index) in table.nodes().filter(|(name, ..)| table.may_announce(name)) {
        let mut of_node = positioned(model, advertisements).filter(|it| it.selects_node(node)).peekable();
        if of_node.peek().is_some() {
            let preference = of_node.map(|it| it.preference(node)).sum();
            let seed = seed(name.as_str().as_bytes());
            candidates.insert(name, Candidate { name: name.clone(), index, seed, preference });
        }
    }
    candidates
}

/// Returns the candidates, the most preferred first. They come ordered by name.
fn list<'c>(candidates: impl Iterator<Item = &'c Candidate>) -> Arc<[Candidate]> {
    let mut list: Vec<Candidate> = candidates.cloned().collect();
    list.sort_by_key(|candidate| Reverse(candidate.preference));
    list.into()
}

/// The advertisements and Services of a model, indexed.
struct Advertised<'a> {
    model: &'a Model,
    of_pools: BTreeMap<&'a PoolName, Positions>,
    /// The Services on each address; empty unless advertisements or rules depend on them.
    services: BTreeMap<IpAddr, Vec<&'a Service>>,
    by_endpoint: bool,
}

impl<'a> Advertised<'a> {
    fn of(model: &'a Model, by_endpoint: bool) -> Self {
        let advertisements = || model.l2_advertisements.iter().enumerate();
        let of_pool = |(name, pool)| {
            let of_it = advertisements().filter(|(_, it)| it.selects_pool(name, pool));
            (name, of_it.map(|(place, _)| place).collect())
        };
        let mut services: BTreeMap<IpAddr, Vec<&Service>> = BTreeMap::new();
        if by_endpoint || advertisements().any(|(_, it)| it.chooses_services()) {
            for service in model.services.values() {
                let addresses: BTreeSet<_> = service.vips.iter().map(|vip| vip.address).collect();
                addresses.into_iter().for_each(|it| services.entry(it).or_default().push(service));
            }
        }
        let of_pools = model.pools.iter().map(of_pool).collect();
        Self { model, of_pools, services, by_endpoint }
    }

    /// Returns what decides the candidates of an address, and its pool; `None` if nothing announces it. An
    /// address that several Services share is announced by the advertisements that select all of them.
    fn group(&self, address: IpAddr) -> Option<(&'a PoolName, GroupKey<'a>)> {
        let (pool, _) = self.model.pools.of(address)?;
        let mut advertisements = self.of_pools.get(pool)?.clone();
        let on_it = self.services.get(&address).map_or(&[][..], Vec::as_slice);
        if !on_it.is_empty() {
            let labels: Vec<_> = on_it.iter().map(|service| &service.labels).collect();
            let selects = |it: &L2Advertisement| it.selects_services(&labels);
            advertisements.retain(|place| self.model.l2_advertisements.get(*place).is_some_and(selects));
        }
        let only = if self.by_endpoint { with_endpoints(on_it, address) } else { None };
        (!advertisements.is_empty()).then_some((pool, GroupKey { advertisements, only }))
    }
}

/// Returns the nodes with endpoints of all Services with policy Local on an address; `None` if there is no
/// such Service.
fn with_endpoints<'a>(services: &[&'a Service], address: IpAddr) -> Option<BTreeSet<&'a NodeName>> {
    let local = services.iter().filter(|service| service.policy == TrafficPolicy::Local);
    let nodes = |service: &&'a Service| -> BTreeSet<&'a NodeName> {
        let vips = service.vips.iter().filter(|vip| vip.address == address);
        vips.flat_map(|vip| vip.endpoints.by_node.keys()).collect()
    };
    local.map(nodes).reduce(|all, nodes| &all & &nodes)
}
