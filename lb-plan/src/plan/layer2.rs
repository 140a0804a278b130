//! The ranks of the nodes that announce each address on the local network, and the uplinks of this machine
//! that do.

mod candidates;
mod lan;
mod spread;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::map_table::name;
use lb_common::maps::{Announcer, RANKS, capacity};
use lb_common::ring::NodeIndex;

use super::bounded_map::BoundedMap;
use super::nodes::NodeTable;
use super::settings::{Facts, Settings};
use super::status::AnnouncedAddress;
use crate::contents::{Contents, VipKey};
use crate::ring::seed;
use candidates::{Advertised, Candidate, GroupKey};
use lb_api::problem::{PlanReason, Problem, Reason};
use lb_model::{Model, NodeName, PoolName};

/// The ranks of all addresses with the same candidates, kept from plan to plan: they depend on nothing else.
#[derive(Clone, Debug, Default)]
pub(super) struct RankCache(BTreeMap<GroupKey, Ranked>);

/// Ranks that are kept of an address, more than an entry holds: of those, all may be dead.
const KEPT: usize = 4 * RANKS;

#[derive(Clone, Debug)]
struct Ranked {
    candidates: Vec<Candidate>,
    addresses: Vec<IpAddr>,
    /// By address: positions of candidates.
    ranks: Vec<Vec<usize>>,
}

/// The inputs of the ranking.
pub(super) struct Layer2<'a, 'r> {
    pub(super) model: &'a Model,
    pub(super) table: &'r NodeTable<'a>,
    pub(super) facts: &'r Facts,
    pub(super) settings: &'r Settings,
    pub(super) installed: &'r Contents,
}

impl Layer2<'_, '_> {
    /// Writes the announcers of the addresses that have a VIP, and returns them.
    ///
    /// Every node ranks alike, by names and addresses alone; which of the ranked nodes announces is decided by
    /// their liveness, packet by packet. The advertisements' preferences come first.
    pub(super) fn announce(
        &self,
        cache: &mut RankCache,
        contents: &mut Contents,
        problems: &mut Vec<Problem>,
    ) -> Vec<AnnouncedAddress> {
        let advertised = Advertised::of(self.model, self.table, self.settings.local_needs_endpoint);
        let mut groups: BTreeMap<GroupKey, (&PoolName, Vec<IpAddr>)> = BTreeMap::new();
        for key in contents.vips.keys().filter(|key| key.is_address() && !self.is_gateway(key.address)) {
            let Some((pool, group)) = advertised.group(key.address) else { continue };
            groups.entry(group).or_insert((pool, Vec::new())).1.push(key.address);
        }
        self.report_gateways(contents, problems);
        let before = std::mem::take(&mut cache.0);
        let mut announced = Vec::new();
        let mut silent_pools = BTreeSet::new();
        for (key, (pool, addresses)) in groups {
            let candidates = advertised.candidates(&key);
            let kept = before.get(&key).filter(|it| it.candidates == candidates && it.addresses == addresses);
            let ranked = kept.cloned().unwrap_or_else(|| Ranked::new(candidates, addresses));
            let is_candidate = ranked.candidates.iter().any(|it| it.name == *self.table.own());
            for (address, ranks) in ranked.addresses.iter().zip(&ranked.ranks) {
                let ranks: Vec<&Candidate> =
                    ranks.iter().filter_map(|place| ranked.candidates.get(*place)).collect();
                let uplinks = if is_candidate {
                    lan::answering(&self.facts.uplinks, |uplink| advertised.may_use(&key, uplink), *address)
                } else {
                    0
                };
                silent_pools.extend((is_candidate && uplinks == 0).then_some(pool));
                announced.push(self.announced(*address, pool, &ranks, uplinks));
            }
            cache.0.insert(key, ranked);
        }
        let problem = |pool: &PoolName| Problem::about(pool.reference(), PlanReason::NoSuchUplink);
        problems.extend(silent_pools.into_iter().map(problem));
        announced.sort_by_key(|it| it.address);
        self.report_off_link(&announced, problems);
        self.install(&mut announced, contents, problems);
        announced
    }

    /// In a cluster without BGP no object contains the router's address; all nodes on its LAN see the same
    /// gateway.
    fn is_gateway(&self, address: IpAddr) -> bool {
        self.facts.gateways.contains(&address)
    }

    fn report_gateways(&self, contents: &Contents, problems: &mut Vec<Problem>) {
        let addresses = contents.vips.keys().filter(|key| key.is_address()).map(|key| key.address);
        for address in addresses.filter(|address| self.is_gateway(*address)) {
            let Some((pool, _)) = self.model.pools.of(address) else { continue };
            let (pool, owner) = (pool.to_string(), "the default gateway of this node".to_owned());
            problems.push(Problem::general(Reason::ReservedAddress { address, pool, owner }));
        }
    }

    /// Reports the pools whose addresses are in no network of this node's uplinks, unless BGP advertises them.
    fn report_off_link(&self, announced: &[AnnouncedAddress], problems: &mut Vec<Problem>) {
        let mut off_link: BTreeMap<&PoolName, (usize, IpAddr)> = BTreeMap::new();
        for it in announced.iter().filter(|it| it.uplinks != 0) {
            let networks = self.facts.uplinks.values().flat_map(|uplink| &uplink.networks);
            let mut same_family =
                networks.filter(|net| net.addr().is_ipv4() == it.address.is_ipv4()).peekable();
            // Without an address of its family, nothing is known of the LAN.
            if same_family.peek().is_none() || same_family.any(|net| net.contains(&it.address)) {
                continue;
            }
            off_link.entry(&it.pool).or_insert((0, it.address)).0 += 1;
        }
        for (name, (count, address)) in off_link {
            let mut pools = self.model.pools.iter().filter(|(it, _)| *it == name);
            let is_advertised = pools.any(|(name, pool)| {
                self.model.bgp.advertisements.iter().any(|it| it.selects_pool(name, pool))
            });
            if !is_advertised {
                let reason = PlanReason::OffLink { count, address };
                problems.push(Problem::about(name.reference(), reason));
            }
        }
    }

    /// Returns an address with at most as many ranks as an entry holds. If no node among them accepts new
    /// flows now, the last one is the best that does.
    fn announced(
        &self,
        address: IpAddr,
        pool: &PoolName,
        ranks: &[&Candidate],
        uplinks: u64,
    ) -> AnnouncedAddress {
        let mut window: Vec<&Candidate> = ranks.iter().take(RANKS).copied().collect();
        let accepts = |it: &&&Candidate| !self.table.is_silent(&it.name);
        if ranks.len() > RANKS && !window.iter().any(|it| accepts(&it)) {
            window.truncate(RANKS - 1);
            window.extend(ranks.iter().skip(RANKS - 1).find(accepts));
        }
        let ranks: Vec<(NodeName, NodeIndex)> =
            window.into_iter().map(|it| (it.name.clone(), it.index)).collect();
        AnnouncedAddress { address, pool: pool.clone(), ranks, uplinks, may_answer: false }
    }

    /// Writes the entries. An address that is new to the cluster is answered once it has been checked for
    /// duplicates.
    fn install(
        &self,
        announced: &mut Vec<AnnouncedAddress>,
        contents: &mut Contents,
        problems: &mut Vec<Problem>,
    ) {
        let capacities = [true, false].map(|is_v4| {
            let of_family = |it: &&IpAddr| it.is_ipv4() == is_v4;
            self.installed.announcers.keys().filter(of_family).count()
        });
        let mut desired = [BTreeMap::new(), BTreeMap::new()];
        let [v4, v6] = &mut desired;
        // Entries of the other family take up no room.
        let all = self.installed.announcers.len();
        let [room4, room6] = capacities.map(|installed| capacity::ANNOUNCERS + all - installed);
        let mut rooms = [
            BoundedMap::new(v4, &self.installed.announcers, room4),
            BoundedMap::new(v6, &self.installed.announcers, room6),
        ];
        announced.retain_mut(|it| {
            let number = contents.vips.get(&VipKey::of_address(it.address)).map_or(0, |vip| vip.number);
            let is_answered = self.installed.announcers.get(&it.address).is_some_and(|it| it.uplinks != 0);
            let checked = self.facts.checked.as_ref();
            it.may_answer = is_answered || checked.is_none_or(|checked| checked.contains(&it.address));
            let uplinks = if it.may_answer { it.uplinks } else { 0 };
            let indices: Vec<NodeIndex> = it.ranks.iter().map(|(_, index)| *index).collect();
            let [v4, v6] = &mut rooms;
            let (room, map) = if it.address.is_ipv4() { (v4, name::ARP) } else { (v6, name::NDP) };
            let fits = room.insert(it.address, Announcer::new(&indices, uplinks, number));
            if !fits {
                problems.push(Problem::general(PlanReason::MapFull { map, capacity: capacity::ANNOUNCERS }));
            }
            fits
        });
        let [v4, v6] = desired;
        contents.announcers = v4.into_iter().chain(v6).collect();
    }
}

impl Ranked {
    /// Ranks the candidates for each address: by preference; of the most preferred, the one that the address
    /// is distributed to comes first, then the others by rendezvous hashing. The first name wins a tie.
    fn new(candidates: Vec<Candidate>, addresses: Vec<IpAddr>) -> Self {
        let most = candidates.iter().map(|it| it.preference).max().unwrap_or_default();
        let best: Vec<usize> =
            (0..candidates.len()).filter(|place| candidates[*place].preference == most).collect();
        let keys: Vec<u64> = addresses.iter().map(|address| address_seed(*address)).collect();
        let seeds: Vec<u64> = best.iter().map(|place| candidates[*place].seed).collect();
        let first = spread::distribute(&keys, &seeds);
        let ranks = keys.iter().enumerate().map(|(number, key)| {
            let first = first.get(number).and_then(|place| best.get(*place)).copied();
            let rank = |(place, it): (usize, &Candidate)| {
                let score = Reverse(spread::score(it.seed, *key));
                (Some(place) != first, Reverse(it.preference), score, place)
            };
            let mut ranks: Vec<_> = candidates.iter().enumerate().map(rank).collect();
            if ranks.len() > KEPT {
                ranks.select_nth_unstable(KEPT);
                ranks.truncate(KEPT);
            }
            ranks.sort_unstable();
            ranks.into_iter().map(|(.., place)| place).collect()
        });
        let ranks = ranks.collect();
        Self { candidates, addresses, ranks }
    }
}

fn address_seed(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => seed(&address.octets()),
        IpAddr::V6(address) => seed(&address.octets()),
    }
}
