//! From the plan to the announcer on the local network, and back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use lb_common::maps::capacity;
use lb_common::ring::NO_NODE;
use lb_dataplane::layer2::{AddressDetails, AnnouncerConfig};
use lb_dataplane::net::solicited::SolicitedTargets;
use lb_l2::table::{L2Address, L2Table};
use lb_plan::plan::{AnnouncedAddress, Facts, Plan};

use super::ControlLoop;
use super::readiness::ReadyState;
use super::state::LoopState;

impl ControlLoop {
    /// Gives the announcer what the plan says, and joins the multicast groups of IPv6 addresses.
    pub(super) fn announce(&self, state: &mut LoopState, plan: &Plan) {
        let facts = &state.network.facts;
        let own = plan.nodes.iter().find(|node| node.is_self).map_or(NO_NODE, |node| node.index);
        let table = L2Table {
            own,
            addresses: plan
                .announced
                .iter()
                .filter_map(|it| address(it, plan, facts, &state.adopted))
                .collect(),
            links: facts.uplinks.iter().map(|(index, uplink)| (*index, uplink.mac)).collect(),
            node_macs: plan
                .contents
                .node_macs
                .keys()
                .map(|[a, b, c, d, e, f, ..]| [*a, *b, *c, *d, *e, *f])
                .collect(),
            probed: state.probes.iter().flat_map(|probes| probes.targets.keys().copied()).collect(),
        };
        let config = AnnouncerConfig {
            table: Arc::new(table),
            details: Arc::new(details(plan)),
            nodes: Arc::new(plan.nodes.iter().map(|node| (node.index, node.name.to_string())).collect()),
            links: facts.uplinks.iter().map(|(index, uplink)| (*index, uplink.name.clone())).collect(),
            knows_all_nodes: state.network.unresolved.is_empty(),
            is_draining: self.is_draining(state),
            can_announce: own != NO_NODE && self.can_announce(state),
        };
        if state.announcer.as_ref() != Some(&config) {
            self.groups.set(solicited(&config.table));
            self.announcer.set(config.clone());
            state.announcer = Some(config);
        }
    }

    /// Returns whether this node can announce: it forwards packets, or has done so before this agent started,
    /// and is not cut off from everything.
    fn can_announce(&self, state: &LoopState) -> bool {
        let forwards = match state.ready {
            ReadyState::Yes => true,
            ReadyState::NotYet => state.is_restart,
            ReadyState::No => false,
        };
        forwards && !self.is_isolated(state)
    }

    /// Returns whether this node hears neither another node nor a gateway. Then it is this node that is cut
    /// off, and others announce its addresses.
    fn is_isolated(&self, state: &LoopState) -> bool {
        let has_gateways = !state.network.facts.gateways.is_empty();
        self.is_alone(state) && has_gateways && !state.network.knows_gateway()
    }

    /// Returns whether this node hears no other node: all that are probed are dead, or none has a next hop,
    /// as some time after a cut.
    fn is_alone(&self, state: &LoopState) -> bool {
        let lacks_next_hops = || {
            let nodes = &state.model.model().nodes;
            nodes.len() > 1 && state.probes.as_ref().is_some_and(|probes| probes.targets.is_empty())
        };
        self.announcer.state().borrow().is_alone || self.prober.is_some() && lacks_next_hops()
    }
}

fn address(
    it: &AnnouncedAddress,
    plan: &Plan,
    facts: &Facts,
    adopted: &BTreeSet<IpAddr>,
) -> Option<(IpAddr, L2Address)> {
    let ranks = plan.contents.announcers.get(&it.address)?.ranks;
    let uplinks = (0..).zip(facts.uplinks.keys()).take(capacity::LINKS);
    let links = uplinks.filter(|(number, _)| it.uplinks >> *number & 1 != 0).map(|(_, index)| *index);
    Some((it.address, L2Address { ranks, links: links.collect(), is_known: adopted.contains(&it.address) }))
}

fn details(plan: &Plan) -> BTreeMap<IpAddr, AddressDetails> {
    let detail = |it: &AnnouncedAddress| {
        let number = plan.contents.announcers.get(&it.address).map_or(0, |announcer| announcer.number);
        (it.address, AddressDetails { pool: it.pool.to_string(), services: Vec::new(), number })
    };
    let mut details: BTreeMap<_, _> = plan.announced.iter().map(detail).collect();
    for service in &plan.services {
        let name = service.service.to_string();
        for vip in &service.vips {
            if let Some(detail) = details.get_mut(&vip.address).filter(|it| it.services.last() != Some(&name))
            {
                detail.services.push(name.clone());
            }
        }
    }
    details
}

/// Returns the IPv6 addresses that this node may announce, by link.
fn solicited(table: &L2Table) -> SolicitedTargets {
    let mut targets = SolicitedTargets::new();
    for (address, entry) in &table.addresses {
        if let IpAddr::V6(address) = address {
            targets.extend(entry.links.iter().map(|link| (*link, *address)));
        }
    }
    targets
}
