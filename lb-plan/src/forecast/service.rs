//! Who would announce a Service, and to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Serialize;

use crate::ipam::Allocation;
use crate::model::{Model, NodeName, PoolName, Service, ServiceName};
use crate::speaker::{self, Announcement, Silence, SpeakerSettings};

/// A Service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceForecast {
    /// Its name.
    pub name: ServiceName,
    /// The addresses that it has or would get.
    pub addresses: Vec<IpAddr>,
    /// Their pool.
    pub pool: Option<PoolName>,
    /// Nodes of which one answers for its addresses on the local network.
    pub l2: Vec<NodeName>,
    /// Whether some L2Advertisement is for it; of nodes that are not known, none can be shown.
    pub by_l2: bool,
    /// Routers that are told of it, and the nodes that tell them.
    pub bgp: BTreeMap<String, Vec<NodeName>>,
    /// Why no router is told, where nodes differ each reason once.
    pub silence: BTreeSet<Silence>,
}

/// All that want an address.
pub(super) fn forecasts(model: &Model, allocation: &Allocation) -> Vec<ServiceForecast> {
    let settings = SpeakerSettings::default();
    let plans: Vec<_> =
        model.nodes.keys().filter_map(|node| Some((node, speaker::plan(model, node, &settings)?))).collect();
    let mut forecasts = Vec::new();
    for (name, decision) in &allocation.decisions {
        let assignment = decision.assignment.clone();
        let mut forecast = ServiceForecast {
            name: name.clone(),
            addresses: assignment.iter().flat_map(|it| it.addresses.clone()).collect(),
            pool: assignment.map(|it| it.pool),
            l2: Vec::new(),
            by_l2: false,
            bgp: BTreeMap::new(),
            silence: BTreeSet::new(),
        };
        if let Some(service) = model.services.get(name) {
            forecast.by_l2(service, model);
            for (node, plan) in &plans {
                forecast.tell(node, plan.services.get(name));
            }
            if plans.is_empty() {
                forecast.by_any_node(service, model);
            }
        }
        forecasts.push(forecast);
    }
    forecasts
}

impl ServiceForecast {
    fn by_l2(&mut self, service: &Service, model: &Model) {
        let is_served = service.vips.iter().any(|vip| vip.is_served(service.policy));
        let pools: Vec<_> = self.addresses.iter().filter_map(|address| model.pools.of(*address)).collect();
        let of_pools = |it: &&crate::model::L2Advertisement| {
            pools.iter().any(|(name, pool)| it.selects_pool(name, pool))
        };
        let advertisements: Vec<_> = model.l2_advertisements.iter().filter(of_pools).collect();
        let may = |node: &crate::model::Node| {
            node.may_announce() && advertisements.iter().any(|it| it.selects_node(node))
        };
        let nodes = model.nodes.iter().filter(|(_, node)| is_served && may(node));
        self.l2 = nodes.map(|(name, _)| name.clone()).collect();
        self.by_l2 = !advertisements.is_empty();
    }

    fn tell(&mut self, node: &NodeName, announcement: Option<&Announcement>) {
        match announcement {
            Some(Announcement::To(peers)) => {
                for peer in peers {
                    self.bgp.entry(peer.clone()).or_default().push(node.clone());
                }
            }
            Some(Announcement::Silent(silence)) => {
                self.silence.insert(*silence);
            }
            None => {}
        }
    }

    /// Where no Node is known: whom any node would tell.
    fn by_any_node(&mut self, service: &Service, model: &Model) {
        for address in &self.addresses {
            let Some((name, pool)) = model.pools.of(*address) else { continue };
            let advertisements = model.bgp.advertisements.iter();
            for by in
                advertisements.filter(|it| it.selects_pool(name, pool) && it.selects_service(&service.labels))
            {
                let peers = model.bgp.peers.iter();
                let told =
                    peers.filter(|(name, peer)| by.selects_peer(name) && peer.takes(address.is_ipv4()));
                self.bgp.extend(told.map(|(name, _)| (name.clone(), Vec::new())));
            }
        }
    }
}
