//! The planner: model and facts of this machine → desired contents of the maps.

mod bounded_map;
mod clock;
mod closed;
mod excluded;
mod filters;
mod layer2;
mod nodes;
mod placement;
mod ring_versions;
mod rings;
mod service_states;
mod settings;
mod sources;
mod status;
mod vip_entries;
mod vips;
mod weights;

pub use settings::{Facts, Forwarding, LivenessSettings, ResolvedNextHop, Settings, UndeclaredPorts, Uplink};
pub use status::{AnnouncedAddress, NodePath, NodeState, RingState, ServiceState, Share, VipState};

use std::collections::BTreeMap;
use std::time::Duration;

use lb_common::map_table::name;
use lb_common::maps::{Link, capacity};
use lb_common::ring::NO_NODE;

use crate::contents::Contents;
use clock::Clock;
use layer2::{Layer2, RankCache};
use lb_api::problem::{PlanReason, Problem};
use lb_model::{Model, ServiceVip};
use nodes::NodeTable;
use ring_versions::{History, RingVersions, VersionBuilder};
use rings::RingCache;
use vip_entries::VipEntries;
use vips::DesiredVips;
use weights::Weights;

/// A plan: the desired contents of the maps, and the problems that limit them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Desired contents of the maps.
    pub contents: Contents,
    /// The Services, ordered by name.
    pub services: Vec<ServiceState>,
    /// The nodes, ordered by name.
    pub nodes: Vec<NodeState>,
    /// The addresses that nodes announce on the local network, in order.
    pub announced: Vec<AnnouncedAddress>,
    /// What could not be planned.
    pub problems: Vec<Problem>,
    /// When to plan again without a change, because a timer expires; after `now`. `None` if no timer is
    /// running.
    pub wake: Option<Duration>,
}

/// Makes plans.
///
/// It caches the rings that it has built, and remembers points in time: when a number of endpoints changed,
/// when a former leader was recorded, and when this machine came to lead slots. A planner without memory, as
/// after a restart, takes numbers of endpoints as they are, and restarts the timers of what it finds
/// installed. So two machines may differ in weights, and hence in a few leaders, for
/// [`Settings::weight_settle`] after a change, as they do while objects propagate; that costs packets a
/// second chance. Leaders and successors depend on no other memory and not on what is installed. Former
/// leaders and [`lb_common::maps::VIP_NEW_LEADER`] are local to each machine.
#[derive(Clone, Debug, Default)]
pub struct Planner {
    memo: RingCache,
    weights: Weights,
    history: History,
    announcers: RankCache,
}

impl Planner {
    /// Creates a planner without memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the plan, given the installed contents. `now` is the time since a fixed point in time of this
    /// planner's; it never decreases.
    ///
    /// The installed contents decide only what is local to this machine: indices of nodes, numbers of VIPs,
    /// positions of rings, and the former leaders. They also stay where nothing better is known. If no VIP is
    /// installed, this machine is new: it records who led before it joined.
    pub fn plan(
        &mut self,
        model: &Model,
        facts: &Facts,
        settings: &Settings,
        installed: &Contents,
        now: Duration,
    ) -> Plan {
        let mut problems = Vec::new();
        let mut clock = Clock::at(now);
        let Some(table) = NodeTable::take(model, facts, settings, installed, &mut problems) else {
            return Plan { contents: without_own_node(model, installed), problems, ..Plan::default() };
        };
        let desired = self.desired(model, &table, settings, installed, &mut clock);
        let versions = self.versions(&desired, &table, settings, installed, &mut clock);
        let placement = placement::place(&desired, &versions, installed, settings.ring_capacity);
        let links = links(facts, &mut problems);
        let mut contents =
            Contents { config: Some(table.config(settings, facts, &links)), links, ..Contents::default() };
        let ring_capacity = settings.ring_capacity;
        let vips = VipEntries {
            desired: &desired,
            versions: &versions,
            placement: &placement,
            installed,
            ring_capacity,
        };
        let kept = vips.install(&mut contents, &mut problems);
        self.history.remember(
            &versions,
            &placement,
            [installed, &contents],
            settings.former_grace,
            &mut clock,
        );
        let layer2 = Layer2 { model, desired: &desired, table: &table, facts, settings, installed };
        let announced = layer2.announce(&mut self.announcers, &mut contents, &mut problems);
        table.install(&mut contents, &kept, installed, &mut problems);
        sources::admit(&mut contents, &desired, facts, installed, &mut clock, &mut problems);
        closed::close(&mut contents, &desired, facts, settings);
        filters::fill(&mut contents);
        excluded::report(&desired, &table, &mut problems);
        let services = service_states::services(model, &desired, &table, &contents, &announced);
        Plan { contents, services, nodes: table.states(), announced, problems, wake: clock.wake() }
    }

    fn desired<'a>(
        &mut self,
        model: &'a Model,
        table: &NodeTable<'_>,
        settings: &Settings,
        installed: &'a Contents,
        clock: &mut Clock,
    ) -> DesiredVips<'a> {
        self.weights.begin();
        vips::desired(model, table, installed, |vip: &ServiceVip| -> Vec<Share> {
            let indexed = vip.endpoints.by_node.iter().filter(|(node, _)| table.index(node).is_some());
            let counts = indexed.map(|(node, count)| (node, *count));
            let mut shares = self.weights.shares(vips::vip_key(vip), counts, clock, settings.weight_settle);
            if !vip.endpoints.terminating.is_empty() {
                for share in &mut shares {
                    share.terminating = vip.endpoints.terminating.contains(&share.node);
                }
            }
            shares
        })
    }

    fn versions(
        &mut self,
        desired: &DesiredVips<'_>,
        table: &NodeTable<'_>,
        settings: &Settings,
        installed: &Contents,
        clock: &mut Clock,
    ) -> RingVersions {
        let as_newcomer = installed.vips.is_empty();
        let rings = self.memo.build(desired, table, settings, as_newcomer);
        let builder = VersionBuilder {
            desired,
            rings: &rings,
            installed,
            settings,
            own: table.index(table.own()).unwrap_or(NO_NODE),
            known: table.known_indices(installed),
        };
        builder.versions(&mut self.history, clock)
    }
}

/// Returns the contents without a Node object of this machine: everything stays as it is, except that the
/// other nodes now announce what this one has announced.
fn without_own_node(model: &Model, installed: &Contents) -> Contents {
    let mut contents = installed.clone();
    if !model.nodes.is_empty() {
        contents.announcers.clear();
    }
    contents
}

/// Returns the interfaces with the program, as many as the map holds.
fn links(facts: &Facts, problems: &mut Vec<Problem>) -> BTreeMap<u32, Link> {
    let of_uplink = |(number, (index, uplink)): (u16, (&u32, &Uplink))| -> Vec<(u32, Link)> {
        let link = Link { mac: uplink.mac, number };
        std::iter::once(index).chain(&uplink.members).map(|index| (*index, link)).collect()
    };
    let links: BTreeMap<u32, Link> = (0..).zip(&facts.uplinks).flat_map(of_uplink).collect();
    if links.len() > capacity::LINKS {
        let reason = PlanReason::MapFull { map: name::LINKS, capacity: capacity::LINKS };
        problems.push(Problem::general(reason));
    }
    links.into_iter().take(capacity::LINKS).collect()
}

#[cfg(test)]
mod tests;
