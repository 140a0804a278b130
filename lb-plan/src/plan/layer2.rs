//! The ranks of the nodes that announce each address on the local network, and the uplinks of this machine
//! that do.

mod candidates;
mod lan;
mod ranking;
mod spread;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::map_table::name;
use lb_common::maps::{Announcer, RANKS, Standing, capacity};
use lb_common::ring::NodeIndex;

use super::nodes::NodeTable;
use super::settings::{Facts, Settings};
use super::status::AnnouncedAddress;
use super::vips::DesiredVips;
use crate::contents::{Contents, MergeCursor, VipKey};
use candidates::{Candidates, Group, PooledAddress};
use lan::Uplinks;
use lb_api::problem::{PlanReason, Problem, Reason};
use lb_model::{Model, PoolName};
pub(super) use ranking::RankCache;

/// The inputs of the ranking.
pub(super) struct Layer2<'a, 'r> {
    pub(super) model: &'a Model,
    pub(super) desired: &'r DesiredVips<'a>,
    pub(super) table: &'r NodeTable<'a>,
    pub(super) facts: &'r Facts,
    pub(super) settings: &'r Settings,
    pub(super) installed: &'r Contents,
}

/// The pools that cannot be announced as their objects demand.
#[derive(Default)]
struct PoolProblems<'a> {
    /// Those with no uplink.
    without_uplink: BTreeSet<&'a PoolName>,
    /// Those with addresses outside the networks of the uplinks: how many, and the first.
    off_link: BTreeMap<&'a PoolName, (usize, IpAddr)>,
}

impl<'a> Layer2<'a, '_> {
    /// Writes the announcers of the addresses that have a VIP, and returns them in order.
    ///
    /// Every node ranks alike, by the objects alone; which of the ranked nodes announces is decided by their
    /// liveness, packet by packet.
    pub(super) fn announce(
        &self,
        cache: &mut RankCache,
        contents: &mut Contents,
        problems: &mut Vec<Problem>,
    ) -> Vec<AnnouncedAddress> {
        let addresses = self.desired.vips.iter().filter(|vip| vip.port.is_none()).map(|vip| vip.key.address);
        let by_endpoint = self.settings.local_needs_endpoint;
        let candidates = Candidates::of(self.model, self.table, by_endpoint, addresses);
        let ranks = cache.rank(&candidates);
        let idle = self.idle();
        let uplinks = self.uplinks(&candidates);
        let mut of_pools = PoolProblems::default();
        let mut announced = Vec::with_capacity(candidates.addresses.len());
        for (it, ranks) in candidates.addresses.iter().zip(ranks) {
            let group = &candidates.groups[it.group];
            let list = &candidates.lists[group.list];
            // In a cluster without BGP no object contains the router's address; all nodes on its LAN see the
            // same gateway.
            if list.is_empty() || self.refuses_gateway(it, problems) {
                continue;
            }
            let ranks = ranking::window(ranks, it.address, list, &idle);
            let uplinks = uplinks[it.group].as_ref().map_or(0, |uplinks| of_pools.answering(uplinks, it));
            let (address, pool) = (it.address, it.pool.clone());
            announced.push(AnnouncedAddress { address, pool, ranks, uplinks, may_answer: false });
        }
        of_pools.report(self.model, problems);
        self.install(&mut announced, contents, problems);
        announced
    }

    /// Returns the nodes that announce only for lack of others.
    fn idle(&self) -> BTreeSet<NodeIndex> {
        let mut idle = self.table.idle();
        if self.facts.standing == Standing::Absent {
            idle.extend(self.table.index(self.table.own()));
        }
        idle
    }

    /// Returns for each group the uplinks on which this machine may announce; `None` if it is no candidate.
    fn uplinks(&self, candidates: &Candidates<'a>) -> Vec<Option<Uplinks<'_>>> {
        let is_own: Vec<bool> = candidates
            .lists
            .iter()
            .map(|list| list.iter().any(|candidate| candidate.name == *self.table.own()))
            .collect();
        let of_group = |group: &Group| {
            let may_use = |name: &str| candidates.selects_interface(group, self.table.own(), name);
            is_own[group.list].then(|| Uplinks::of(&self.facts.uplinks, may_use))
        };
        candidates.groups.iter().map(of_group).collect()
    }

    /// Returns whether an address is the gateway of this machine, which is a problem.
    fn refuses_gateway(&self, it: &PooledAddress<'a>, problems: &mut Vec<Problem>) -> bool {
        let is_gateway = self.facts.gateways.contains(&it.address);
        if is_gateway {
            let (pool, owner) = (it.pool.to_string(), "the default gateway of this node".to_owned());
            problems.push(Problem::general(Reason::ReservedAddress { address: it.address, pool, owner }));
        }
        is_gateway
    }

    /// Writes the entries, as many of each family as its map holds; drops the other addresses. An address
    /// that is new to the cluster is answered once it has been checked for duplicates.
    fn install(
        &self,
        announced: &mut Vec<AnnouncedAddress>,
        contents: &mut Contents,
        problems: &mut Vec<Problem>,
    ) {
        // Entries to be removed take up room until the new ones have been written.
        let installed = &self.installed.announcers;
        let of_v6 = installed.keys().filter(|address| address.is_ipv6()).count();
        let mut free = [installed.len() - of_v6, of_v6].map(|used| capacity::ANNOUNCERS.saturating_sub(used));
        let mut full = BTreeSet::new();
        // All of these are in the order of addresses.
        let (mut vips, mut installed) = (MergeCursor::new(&contents.vips), MergeCursor::new(installed));
        let mut entries = Vec::with_capacity(announced.len());
        let mut indices: Vec<NodeIndex> = Vec::with_capacity(RANKS);
        announced.retain_mut(|it| {
            let Some(vip) = vips.get(&VipKey::of_address(it.address)) else { return false };
            let before = installed.get(&it.address);
            let (free, map) = match it.address {
                IpAddr::V4(_) => (&mut free[0], name::ARP),
                IpAddr::V6(_) => (&mut free[1], name::NDP),
            };
            if before.is_none() && *free == 0 {
                full.insert(map);
                return false;
            }
            *free -= usize::from(before.is_none());
            let is_checked = self.facts.checked.as_ref().is_none_or(|checked| checked.contains(&it.address));
            it.may_answer = is_checked || before.is_some_and(|before| before.uplinks != 0);
            let uplinks = if it.may_answer { it.uplinks } else { 0 };
            indices.clear();
            indices.extend(it.ranks.iter().map(|(_, index)| *index));
            entries.push((it.address, Announcer::new(&indices, uplinks, vip.number)));
            true
        });
        contents.announcers = entries.into_iter().collect();
        let is_full = |map| PlanReason::MapFull { map, capacity: capacity::ANNOUNCERS };
        problems.extend(full.into_iter().map(|map| Problem::general(is_full(map))));
    }
}

impl<'a> PoolProblems<'a> {
    /// Returns the uplinks that answer for an address.
    fn answering(&mut self, uplinks: &Uplinks<'_>, it: &PooledAddress<'a>) -> u64 {
        let answering = uplinks.answering(it.address);
        if answering == 0 {
            self.without_uplink.insert(it.pool);
        } else if uplinks.is_off_link(it.address) {
            self.off_link.entry(it.pool).or_insert((0, it.address)).0 += 1;
        }
        answering
    }

    /// Reports the pools. A pool that BGP advertises is reachable from outside the networks of the uplinks.
    fn report(self, model: &Model, problems: &mut Vec<Problem>) {
        let no_uplink = |pool: &PoolName| Problem::about(pool.reference(), PlanReason::NoSuchUplink);
        problems.extend(self.without_uplink.into_iter().map(no_uplink));
        for (name, (count, address)) in self.off_link {
            let advertisements = &model.bgp.advertisements;
            let pool = model.pools.of(address).map(|(_, pool)| pool);
            if !pool.is_some_and(|pool| advertisements.iter().any(|it| it.selects_pool(name, pool))) {
                problems.push(Problem::about(name.reference(), PlanReason::OffLink { count, address }));
            }
        }
    }
}
