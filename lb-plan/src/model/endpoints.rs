//! Endpoints of Services: who can serve, and on which node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::name::{NodeName, Protocol, ServiceName};
use super::node::Node;
use lb_api::objects::{Conditions, EndpointSlice, Object, Sourced};

/// Label of an EndpointSlice that names its Service.
pub(crate) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// How many endpoints of a port can serve, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Number on each known node that has any.
    pub by_node: BTreeMap<NodeName, u32>,
    /// Number on unknown nodes or on none.
    pub elsewhere: u32,
}

impl Endpoints {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_node.is_empty() && self.elsewhere == 0
    }
}

/// The Service that an EndpointSlice is of. One without the label is of none; that is allowed.
pub(super) fn service(slice: &Sourced<Object>) -> Option<ServiceName> {
    let name = slice.value.metadata().labels.get(SERVICE_LABEL)?.clone();
    Some(ServiceName { namespace: slice.value.namespace().unwrap_or_default().to_owned(), name })
}

/// A port of a VIP as EndpointSlices call it.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) address: IpAddr,
    pub(super) protocol: Protocol,
    /// Name of the Service's port; empty for an only port.
    pub(super) port_name: &'a str,
}

/// The serving endpoints of a port: endpoint address → node. An endpoint that is in two slices, as happens
/// while slices are rebalanced, counts once.
pub(super) fn serving<'a>(
    slices: &[&'a EndpointSlice],
    target: Target<'_>,
) -> BTreeMap<&'a str, Option<&'a str>> {
    // A VIP's packets end up at endpoints of its own family; kube-proxy does not translate.
    let family = if target.address.is_ipv4() { "IPv4" } else { "IPv6" };
    let serves_port = |slice: &&&EndpointSlice| {
        slice.ports.iter().any(|port| {
            port.name.as_deref().unwrap_or_default() == target.port_name
                && Protocol::parse(port.protocol.as_deref()) == Some(target.protocol)
        })
    };
    let of_family = slices.iter().filter(|slice| slice.address_type == family);
    let endpoints = of_family.filter(serves_port).flat_map(|slice| &slice.endpoints);
    endpoints
        .filter(|endpoint| can_serve(endpoint.conditions))
        .filter_map(|endpoint| Some((endpoint.addresses.first()?.as_str(), endpoint.node_name.as_deref())))
        .collect()
}

/// Ready, or not known not to be; or terminating and still serving.
fn can_serve(conditions: Conditions) -> bool {
    conditions.ready.unwrap_or(true) || conditions.serving == Some(true)
}

/// Endpoints counted by node, and those that could not be placed.
pub(super) struct Census<'a> {
    pub(super) endpoints: Endpoints,
    pub(super) unknown_nodes: BTreeSet<&'a str>,
    pub(super) without_node: bool,
}

pub(super) fn count<'a>(
    serving: &BTreeMap<&'a str, Option<&'a str>>,
    nodes: &BTreeMap<NodeName, Node>,
) -> Census<'a> {
    let mut census =
        Census { endpoints: Endpoints::default(), unknown_nodes: BTreeSet::new(), without_node: false };
    for node in serving.values() {
        match node.map(|name| (name, nodes.get_key_value(name))) {
            Some((_, Some((name, _)))) => *census.endpoints.by_node.entry(name.clone()).or_default() += 1,
            Some((name, None)) => {
                census.unknown_nodes.insert(name);
                census.endpoints.elsewhere += 1;
            }
            None => {
                census.without_node = true;
                census.endpoints.elsewhere += 1;
            }
        }
    }
    census
}
