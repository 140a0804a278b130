//! Model and facts of this machine → what the maps shall hold.

mod announce;
mod nodes;
mod placement;
mod rings;
mod room;
mod settings;
mod state;
mod vips;

pub use settings::{Facts, Forwarding, Liveness, Settings, Uplink, Way};
pub use state::{NodeState, RingState, ServiceState, Share, VipState, WayWord};

use std::collections::BTreeMap;

use lb_common::maps::{Link, capacity, name};

use crate::contents::Contents;
use crate::model::Model;
use crate::problem::{Problem, Reason};
use nodes::Roster;
use rings::Memo;
use vips::Installation;

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
}

/// Plans. It remembers rings that it has built, which saves time; the plan never depends on it.
#[derive(Clone, Debug, Default)]
pub struct Planner {
    memo: Memo,
}

impl Planner {
    /// A planner that remembers nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the maps shall hold, given what they hold now.
    ///
    /// What is installed decides only what nobody else need agree on: indices of nodes, numbers of VIPs,
    /// places of rings. It also stays where nothing better is known.
    pub fn plan(&mut self, model: &Model, facts: &Facts, settings: &Settings, installed: &Contents) -> Plan {
        let mut problems = Vec::new();
        let Some(roster) = Roster::take(model, facts, settings, installed, &mut problems) else {
            return Plan { contents: installed.clone(), services: Vec::new(), nodes: Vec::new(), problems };
        };
        let wanted = vips::wanted(model, &roster);
        let catalogue = self.memo.build(&wanted.rings, &roster, settings);
        let placement = placement::place(&wanted.vips, &catalogue, installed, settings.ring_capacity);
        let mut contents = Contents {
            config: Some(roster.config(settings)),
            links: links(facts, &mut problems),
            ..Contents::default()
        };
        let ring_capacity = settings.ring_capacity;
        let vips = Installation {
            wanted: &wanted,
            catalogue: &catalogue,
            placement: &placement,
            installed,
            ring_capacity,
        };
        let kept = vips.install(&mut contents, &mut problems);
        let announcers = announce::announce(&mut contents, model, &roster, installed, &mut problems);
        roster.install(&mut contents, &kept, installed, &mut problems);
        let services = state::services(model, &wanted, &contents, &announcers);
        Plan { contents, services, nodes: roster.states(), problems }
    }
}

/// Interfaces with the program, as many as the map can hold.
fn links(facts: &Facts, problems: &mut Vec<Problem>) -> BTreeMap<u32, Link> {
    if facts.uplinks.len() > capacity::LINKS {
        let reason = Reason::MapFull { map: name::LINKS, capacity: capacity::LINKS };
        problems.push(Problem::general(reason));
    }
    let uplinks = facts.uplinks.iter().take(capacity::LINKS);
    uplinks.map(|(ifindex, uplink)| (*ifindex, Link { mac: uplink.mac, pad: [0; 2] })).collect()
}

#[cfg(test)]
mod tests;
