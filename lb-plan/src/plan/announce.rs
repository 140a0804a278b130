//! The election of the node that answers ARP for each IPv4 VIP, and of its uplinks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::map_table::name;
use lb_common::maps::{Announcer, capacity};
use lb_common::ring::NodeIndex;

use super::bounded_map::BoundedMap;
use super::lan;
use super::nodes::NodeTable;
use super::settings::{Facts, Uplink};
use crate::contents::Contents;
use crate::ring::{mix, seed};
use lb_api::problem::{PlanReason, Problem, Reason};
use lb_model::{L2Advertisement, Model, NodeName, PoolName};

/// Labels of an object.
type Labels = BTreeMap<String, String>;

/// The advertisements that announce an address, by their positions in the model.
type By = Vec<usize>;

/// A node that may announce.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    name: &'a NodeName,
    index: NodeIndex,
    seed: u64,
}

/// Writes the announcers of the IPv4 addresses that have a VIP, and returns their names.
///
/// One node answers for an address. It is chosen by its name and the address alone among those that the
/// advertisements prefer most, so every node chooses the same one; a draining node is chosen only if all
/// candidates drain. There is no successor yet: while the node is down, the address is not answered. A node
/// that cannot carry packets does not answer either.
pub(super) fn announce(
    contents: &mut Contents,
    model: &Model,
    table: &NodeTable<'_>,
    facts: &Facts,
    installed: &Contents,
    problems: &mut Vec<Problem>,
) -> BTreeMap<IpAddr, NodeName> {
    let mut announcers = BTreeMap::new();
    let mut election = Election::of(model, table);
    let mut without_uplink = BTreeSet::new();
    let mut room = BoundedMap::new(&mut contents.arp, &installed.arp, capacity::ARP);
    for key in contents.vips.keys().filter(|key| key.is_address()) {
        let IpAddr::V4(address) = key.address else { continue };
        let Some((pool, by)) = election.advertisements(key.address) else { continue };
        let Some(best) = election.best(&by, address.octets()) else { continue };
        let is_own = best.name == table.own();
        if is_own && facts.withdrawn {
            continue;
        }
        // In a cluster without BGP no object contains the router's address; all nodes on its LAN see the same
        // gateway.
        if is_own && facts.gateways.contains(&key.address) {
            let (pool, owner) = (pool.to_string(), "the default gateway of this node".to_owned());
            problems.push(Problem::general(Reason::ReservedAddress { address: key.address, pool, owner }));
            continue;
        }
        let uplinks = if is_own {
            let uplinks = lan::answering(&facts.uplinks, |uplink| election.may_use(&by, uplink), address);
            without_uplink.extend((uplinks == 0).then_some(pool));
            uplinks
        } else {
            u64::MAX
        };
        if room.insert(address, Announcer::on(best.index, uplinks)) {
            announcers.insert(key.address, best.name.clone());
        } else {
            problems.push(Problem::general(PlanReason::MapFull { map: name::ARP, capacity: capacity::ARP }));
        }
    }
    let problem = |pool: &PoolName| Problem::about(pool.reference(), PlanReason::NoSuchUplink);
    problems.extend(without_uplink.into_iter().map(problem));
    announcers
}

/// The election, decided once for all addresses that are announced by the same advertisements.
struct Election<'a, 'r> {
    model: &'a Model,
    table: &'r NodeTable<'a>,
    of_pools: BTreeMap<&'a PoolName, By>,
    /// Labels of the Services on each address; empty if no advertisement selects Services.
    services: BTreeMap<IpAddr, Vec<&'a Labels>>,
    candidates: BTreeMap<By, Vec<Candidate<'a>>>,
}

impl<'a, 'r> Election<'a, 'r> {
    fn of(model: &'a Model, table: &'r NodeTable<'a>) -> Self {
        let advertisements = || model.l2_advertisements.iter().enumerate();
        let of_pool = |(name, pool)| {
            let by = advertisements().filter(|(_, it)| it.selects_pool(name, pool)).map(|(place, _)| place);
            (name, by.collect())
        };
        let mut services: BTreeMap<IpAddr, Vec<&Labels>> = BTreeMap::new();
        if advertisements().any(|(_, it)| it.chooses_services()) {
            for service in model.services.values() {
                let addresses: BTreeSet<_> = service.vips.iter().map(|vip| vip.address).collect();
                addresses.into_iter().for_each(|it| services.entry(it).or_default().push(&service.labels));
            }
        }
        let of_pools = model.pools.iter().map(of_pool).collect();
        Self { model, table, of_pools, services, candidates: BTreeMap::new() }
    }

    /// Returns the advertisements that announce an address, and its pool; `None` if there is none. An address
    /// that several Services share is announced by the advertisements that select all of them.
    fn advertisements(&self, address: IpAddr) -> Option<(&'a PoolName, By)> {
        let (pool, _) = self.model.pools.of(address)?;
        let mut by = self.of_pools.get(pool)?.clone();
        if !self.services.is_empty() {
            let on_it = self.services.get(&address).map_or(&[][..], Vec::as_slice);
            by.retain(|place| self.advertisement(*place).is_some_and(|it| it.selects_services(on_it)));
        }
        (!by.is_empty()).then_some((pool, by))
    }

    fn advertisement(&self, place: usize) -> Option<&'a L2Advertisement> {
        self.model.l2_advertisements.get(place)
    }

    /// Returns the best candidate by rendezvous hashing; the first name wins a tie.
    fn best(&mut self, by: &By, address: [u8; 4]) -> Option<Candidate<'a>> {
        if !self.candidates.contains_key(by) {
            let candidates = self.candidates_of(by);
            self.candidates.insert(by.clone(), candidates);
        }
        let key = seed(&address);
        let best_first = |a: &&Candidate<'a>, b: &&Candidate<'a>| {
            mix(b.seed ^ key).cmp(&mix(a.seed ^ key)).then_with(|| a.name.cmp(b.name))
        };
        self.candidates.get(by)?.iter().min_by(best_first).copied()
    }

    /// Returns the candidates of the highest rank. Nodes that do not drain rank above draining ones, whose
    /// addresses would soon have to move; among these, the advertisements' preferences decide.
    fn candidates_of(&self, by: &By) -> Vec<Candidate<'a>> {
        let advertisements: Vec<_> = by.iter().filter_map(|place| self.advertisement(*place)).collect();
        let mut best = None;
        let mut candidates = Vec::new();
        for (name, node, index) in self.table.nodes().filter(|(name, ..)| self.table.may_announce(name)) {
            let of_node: Vec<_> = advertisements.iter().filter(|it| it.selects_node(node)).collect();
            if of_node.is_empty() {
                continue;
            }
            let preference: u64 = of_node.iter().map(|it| it.preference(node)).sum();
            let rank = Some((!self.table.is_draining(name), preference));
            if rank > best {
                best = rank;
                candidates.clear();
            }
            if rank == best {
                candidates.push(Candidate { name, index, seed: seed(name.as_str().as_bytes()) });
            }
        }
        candidates
    }

    /// Returns whether this machine may answer on an uplink: an advertisement that selects this node lists no
    /// interfaces, or lists this one.
    fn may_use(&self, by: &By, uplink: &Uplink) -> bool {
        let own = self.model.nodes.get(self.table.own());
        by.iter().filter_map(|place| self.advertisement(*place)).any(|advertisement| {
            own.is_some_and(|own| advertisement.selects_node(own))
                && advertisement.selects_interface(&uplink.name)
        })
    }
}
