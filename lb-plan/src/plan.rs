//! Model and facts of this machine → what the maps shall hold.

mod announce;
mod clock;
mod closed;
mod editions;
mod excluded;
mod filters;
mod lan;
mod nodes;
mod placement;
mod rings;
mod room;
mod settings;
mod sources;
mod state;
mod vips;
mod weights;

pub use settings::{Facts, Forwarding, Liveness, Settings, UndeclaredPorts, Uplink, Way};
pub use state::{NodePath, NodeState, RingState, ServiceState, Share, VipState};

use std::collections::BTreeMap;
use std::time::Duration;

use lb_common::map_table::name;
use lb_common::maps::{Link, capacity};
use lb_common::ring::NO_NODE;

use crate::contents::Contents;
use crate::model::{Model, ServiceVip};
use clock::Clock;
use editions::{Archive, Editions, Past};
use lb_api::problem::{Problem, Reason};
use nodes::Roster;
use rings::Memo;
use vips::{Installation, WantedSet};
use weights::Weights;

/// What shall be, and what keeps more from being.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What the maps shall hold.
    pub contents: Contents,
    /// The Services, in order of their names.
    pub services: Vec<ServiceState>,
    /// The nodes, in order of their names.
    pub nodes: Vec<NodeState>,
    /// What could not be planned.
    pub problems: Vec<Problem>,
    /// When to plan again though nothing has changed, because something that was waited for is over; after
    /// `now`. `None` if nothing is waited for.
    pub wake: Option<Duration>,
}

/// Plans.
///
/// It remembers rings that it has built, which saves time, and moments: since when a number of endpoints has
/// been another, a former leader has been noted, and this machine has led. One that remembers nothing, as
/// after a restart, takes numbers of endpoints as they are, and lets what it finds installed begin anew. So
/// two machines may differ in weights, and so in a few leaders, for [`Settings::weight_settle`] after a change,
/// as they do while objects are on their way; that costs packets a second chance. Leaders and successors depend
/// on nothing else that is remembered or installed. Former leaders and [`lb_common::maps::VIP_YOUNG`] are each
/// machine's own.
#[derive(Clone, Debug, Default)]
pub struct Planner {
    memo: Memo,
    weights: Weights,
    past: Past,
}

impl Planner {
    /// A planner that remembers nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the maps shall hold, given what they hold now. `now` is the time since any moment that stays the
    /// same for this planner; it never goes back.
    ///
    /// What is installed decides what nobody else need agree on: indices of nodes, numbers of VIPs, places of
    /// rings, and who is asked as a former leader. It also stays where nothing better is known. Where no VIP
    /// is installed, this machine is new here: it notes who led before it came.
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
        let Some(roster) = Roster::take(model, facts, settings, installed, &mut problems) else {
            let contents = installed.clone();
            return Plan { contents, services: Vec::new(), nodes: Vec::new(), problems, wake: None };
        };
        let wanted = self.wanted(model, &roster, settings, installed, &mut clock);
        let editions = self.editions(&wanted, &roster, settings, installed, &mut clock);
        let placement = placement::place(&wanted, &editions, installed, settings.ring_capacity);
        let links = links(facts, &mut problems);
        let mut contents =
            Contents { config: Some(roster.config(settings, &links)), links, ..Contents::default() };
        let ring_capacity = settings.ring_capacity;
        let vips = Installation {
            wanted: &wanted,
            editions: &editions,
            placement: &placement,
            installed,
            ring_capacity,
        };
        let kept = vips.install(&mut contents, &mut problems);
        self.past.remember(&editions, &placement, [installed, &contents], settings.former_grace, &mut clock);
        let announcers = announce::announce(&mut contents, model, &roster, facts, installed, &mut problems);
        roster.install(&mut contents, &kept, installed, &mut problems);
        sources::admit(&mut contents, &wanted, facts, installed, &mut clock, &mut problems);
        closed::close(&mut contents, &wanted, facts, settings);
        filters::fill(&mut contents);
        excluded::report(&wanted, &roster, &mut problems);
        let services = state::services(model, &wanted, &roster, &contents, &announcers);
        Plan { contents, services, nodes: roster.states(), problems, wake: clock.wake() }
    }

    fn wanted<'a>(
        &mut self,
        model: &'a Model,
        roster: &Roster<'_>,
        settings: &Settings,
        installed: &'a Contents,
        clock: &mut Clock,
    ) -> WantedSet<'a> {
        self.weights.begin();
        vips::wanted(model, roster, installed, |vip: &ServiceVip| -> Vec<Share> {
            let seated = vip.endpoints.by_node.iter().filter(|(node, _)| roster.index(node).is_some());
            let counts = seated.map(|(node, count)| (node, *count));
            let mut shares = self.weights.shares(vips::vip_key(vip), counts, clock, settings.weight_settle);
            if !vip.endpoints.terminating.is_empty() {
                for share in &mut shares {
                    share.terminating = vip.endpoints.terminating.contains(&share.node);
                }
            }
            shares
        })
    }

    fn editions(
        &mut self,
        wanted: &WantedSet<'_>,
        roster: &Roster<'_>,
        settings: &Settings,
        installed: &Contents,
        clock: &mut Clock,
    ) -> Editions {
        let as_newcomer = installed.vips.is_empty();
        let catalogue = self.memo.build(wanted, roster, settings, as_newcomer);
        let archive = Archive {
            wanted,
            catalogue: &catalogue,
            installed,
            settings,
            own: roster.index(roster.own()).unwrap_or(NO_NODE),
            seated: roster.seated(installed),
        };
        archive.editions(&mut self.past, clock)
    }
}

/// Interfaces with the program, as many as the map can hold.
fn links(facts: &Facts, problems: &mut Vec<Problem>) -> BTreeMap<u32, Link> {
    let of_uplink = |(number, (index, uplink)): (u16, (&u32, &Uplink))| -> Vec<(u32, Link)> {
        let link = Link { mac: uplink.mac, number };
        std::iter::once(index).chain(&uplink.members).map(|index| (*index, link)).collect()
    };
    let links: BTreeMap<u32, Link> = (0..).zip(&facts.uplinks).flat_map(of_uplink).collect();
    if links.len() > capacity::LINKS {
        let reason = Reason::MapFull { map: name::LINKS, capacity: capacity::LINKS };
        problems.push(Problem::general(reason));
    }
    links.into_iter().take(capacity::LINKS).collect()
}

#[cfg(test)]
mod tests;
