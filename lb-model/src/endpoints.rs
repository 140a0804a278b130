//! Endpoints of Services: how many are serving on each node.
//!
//! While a virtual machine migrates, one endpoint address is on two nodes. So an endpoint is an address on a
//! node: it may be ready on one node while it terminates on the other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::name::{NodeName, Protocol, ServiceName};
use super::node::Node;
use lb_api::objects::{Conditions, EndpointSlice, Object, Sourced};

/// Label of an EndpointSlice with the name of its Service.
pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// The serving endpoints of a port, counted by node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Number on each known node that has any: of ready endpoints, or without those, of terminating endpoints
    /// that still serve.
    pub by_node: BTreeMap<NodeName, u32>,
    /// The nodes without a ready endpoint.
    pub terminating: BTreeSet<NodeName>,
    /// Number on unknown nodes or on none.
    pub elsewhere: u32,
}

impl Endpoints {
    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_node.is_empty() && self.elsewhere == 0
    }
}

/// Returns the Service of an EndpointSlice; `None` without the label, which is allowed.
pub(super) fn service(slice: &Sourced<Object>) -> Option<ServiceName> {
    let name = slice.value.metadata().labels.get(SERVICE_LABEL)?.clone();
    Some(ServiceName { namespace: slice.value.namespace().unwrap_or_default().to_owned(), name })
}

/// A port of a VIP as EndpointSlices name it.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) address: IpAddr,
    pub(super) protocol: Protocol,
    /// Name of the Service's port; empty for an unnamed port.
    pub(super) port_name: &'a str,
}

/// The serving endpoints of a port: endpoint address and node → whether it is ready. An endpoint that is in
/// two slices, as happens while slices are rebalanced, counts once, and is ready if either slice says so.
pub(super) type Serving<'a> = BTreeMap<(&'a str, Option<&'a str>), bool>;

/// Returns the serving endpoints of a port.
pub(super) fn serving<'a>(slices: &[&'a EndpointSlice], target: Target<'_>) -> Serving<'a> {
    // A VIP's packets go to endpoints of its own family; kube-proxy does not translate.
    let family = if target.address.is_ipv4() { "IPv4" } else { "IPv6" };
    let serves_port = |slice: &&&EndpointSlice| {
        slice.ports.iter().any(|port| {
            port.name.as_deref().unwrap_or_default() == target.port_name
                && Protocol::parse(port.protocol.as_deref()) == Some(target.protocol)
        })
    };
    let of_family = slices.iter().filter(|slice| slice.address_type == family);
    let endpoints = of_family.filter(serves_port).flat_map(|slice| &slice.endpoints);
    let mut serving = Serving::new();
    for endpoint in endpoints.filter(|endpoint| can_serve(endpoint.conditions)) {
        let Some(address) = endpoint.addresses.first() else { continue };
        *serving.entry((address.as_str(), endpoint.node_name.as_deref())).or_default() |=
            is_ready(endpoint.conditions);
    }
    serving
}

/// Returns whether it is ready, or terminating and still serving.
fn can_serve(conditions: Conditions) -> bool {
    is_ready(conditions) || conditions.serving == Some(true)
}

/// Returns whether it is ready; unknown counts as ready.
fn is_ready(conditions: Conditions) -> bool {
    conditions.ready.unwrap_or(true)
}

/// Endpoints counted by node, and those without a known node.
pub(super) struct Census<'a> {
    pub(super) endpoints: Endpoints,
    pub(super) unknown_nodes: BTreeSet<&'a str>,
    pub(super) without_node: bool,
}

pub(super) fn count<'a>(serving: &Serving<'a>, nodes: &BTreeMap<NodeName, Node>) -> Census<'a> {
    let mut census =
        Census { endpoints: Endpoints::default(), unknown_nodes: BTreeSet::new(), without_node: false };
    let mut terminating: BTreeMap<NodeName, u32> = BTreeMap::new();
    let Endpoints { by_node, elsewhere, .. } = &mut census.endpoints;
    for ((_, node), ready) in serving {
        match node.map(|name| (name, nodes.get_key_value(name))) {
            Some((_, Some((name, _)))) => {
                let counts = if *ready { &mut *by_node } else { &mut terminating };
                *counts.entry(name.clone()).or_default() += 1;
            }
            Some((name, None)) => {
                census.unknown_nodes.insert(name);
                *elsewhere += 1;
            }
            None => {
                census.without_node = true;
                *elsewhere += 1;
            }
        }
    }
    terminating.retain(|node, _| !by_node.contains_key(node));
    census.endpoints.terminating = terminating.keys().cloned().collect();
    census.endpoints.by_node.append(&mut terminating);
    census
}
