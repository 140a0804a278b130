//! The objects of a cluster of any size, as a source hands them to the model.

use std::num::NonZeroU16;
use std::sync::Arc;

use anyhow::{Result, ensure};
use lb_api::objects::{
    self, Endpoint, EndpointPort, EndpointSlice, Ingress, LoadBalancerStatus, Metadata, Node, NodeAddress,
    NodeStatus, Object, Service, ServicePort, ServiceSpec, ServiceStatus, Sourced,
};

/// Endpoints of a Service.
pub(super) const ENDPOINTS: u32 = 10;
/// One in this many Services has `externalTrafficPolicy: Local`, and so a ring of its own.
const LOCAL_EVERY: u32 = 100;

/// The configuration: a pool that is advertised to four routers and announced on the local network.
const CONFIGURATION: &str = "
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: p}, spec: {addresses: [10.64.0.0/10]}}
---
{apiVersion: metallb.io/v1beta1, kind: BGPAdvertisement, metadata: {name: a}}
---
{apiVersion: metallb.io/v1beta1, kind: L2Advertisement, metadata: {name: a}}
---
{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: r1}, spec: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1}}
---
{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: r2}, spec: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.2}}
---
{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: r3}, spec: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.3}}
---
{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: r4}, spec: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.4}}
";

/// The objects of a cluster. They are grouped by kind, as a snapshot groups them.
#[derive(Clone)]
pub(super) struct ClusterObjects {
    services: u32,
    nodes: u32,
    all: Vec<Arc<Sourced<Object>>>,
}

impl ClusterObjects {
    /// Returns the objects of so many Services on so many nodes.
    pub(super) fn new(services: u32, nodes: u32) -> Result<Self> {
        let (configuration, problems) = objects::parse("configuration", CONFIGURATION);
        ensure!(problems.is_empty(), "{problems:?}");
        let slices = (0..services).map(|number| endpoint_slice(number, ENDPOINTS, nodes));
        let made = (0..nodes).map(node).chain(slices).chain((0..services).map(service)).map(sourced);
        let all = made.chain(configuration.into_iter().map(Arc::new)).collect();
        Ok(Self { services, nodes, all })
    }

    /// Returns the objects.
    pub(super) fn all(&self) -> &[Arc<Sourced<Object>>] {
        &self.all
    }

    /// Takes an endpoint away from a Service, or adds it again.
    pub(super) fn set_endpoints(&mut self, service: u32, endpoints: u32) {
        let at = (self.nodes + service) as usize;
        self.all[at] = sourced(endpoint_slice(service, endpoints, self.nodes));
    }

    /// Returns a number of Services that [`ClusterObjects::numbered`] returns before it repeats one.
    pub(super) fn count(&self, is_local: bool) -> u32 {
        if is_local { self.services.div_ceil(LOCAL_EVERY) } else { self.services }
    }

    /// Returns a Service, by a number of those of its policy.
    pub(super) fn numbered(&self, is_local: bool, number: u32) -> u32 {
        let service = if is_local { number * LOCAL_EVERY } else { number * 7 + 1 };
        let service = service % self.services;
        if is_local || !service.is_multiple_of(LOCAL_EVERY) { service } else { service + 1 }
    }

    /// Adds a Service with its EndpointSlice at the end.
    pub(super) fn add_service(&mut self) {
        let number = self.services + (self.all.len() as u32);
        self.all.push(sourced(endpoint_slice(number, ENDPOINTS, self.nodes)));
        self.all.push(sourced(service(number)));
    }

    /// Adds a node at the end.
    pub(super) fn add_node(&mut self) {
        let number = self.nodes + (self.all.len() as u32) % 1000;
        self.all.push(sourced(node(number)));
    }
}

fn sourced(value: Object) -> Arc<Sourced<Object>> {
    Arc::new(Sourced { source: String::new(), line: 0, value })
}

fn metadata(name: &str) -> Metadata {
    let labels = ["app.kubernetes.io/name", "app.kubernetes.io/instance"];
    Metadata {
        name: name.to_owned(),
        labels: labels.map(|label| (label.to_owned(), name.to_owned())).into(),
        creation_timestamp: Some("2026-11-01T08:00:00Z".to_owned()),
        ..Metadata::default()
    }
}

/// Returns the name of a node.
pub(super) fn node_name(number: u32) -> String {
    format!("worker-{number:04}.example.internal")
}

/// Returns a Node.
fn node(number: u32) -> Object {
    let address = format!("10.1.{}.{}", number / 250, number % 250 + 1);
    let status = NodeStatus {
        addresses: vec![NodeAddress { r#type: "InternalIP".to_owned(), address }],
        conditions: Vec::new(),
    };
    Object::Node(Node { metadata: metadata(&node_name(number)), status, ..Node::default() })
}

/// Returns the EndpointSlice of a Service: each endpoint is on another node.
fn endpoint_slice(service: u32, endpoints: u32, nodes: u32) -> Object {
    let mut metadata = metadata(&format!("app-{service}-x7k2p"));
    metadata.labels.insert("kubernetes.io/service-name".to_owned(), format!("app-{service}"));
    let endpoint = |i: u32| Endpoint {
        addresses: vec![format!("10.{}.{}.{}", 128 + i, service / 250, service % 250 + 1)],
        node_name: Some(node_name((service * 7 + i * 11) % nodes)),
        ..Endpoint::default()
    };
    Object::EndpointSlice(EndpointSlice {
        metadata,
        address_type: "IPv4".to_owned(),
        endpoints: (0..endpoints).map(endpoint).collect(),
        ports: vec![EndpointPort { name: Some("http".to_owned()), protocol: None, port: Some(8080) }],
    })
}

/// Returns a Service; one in [`LOCAL_EVERY`] has a ring of its own.
fn service(number: u32) -> Object {
    let ip = format!("10.{}.{}.{}", 64 + number / 62_500, number / 250 % 250, number % 250 + 1);
    let spec = ServiceSpec {
        r#type: Some("LoadBalancer".to_owned()),
        external_traffic_policy: number.is_multiple_of(LOCAL_EVERY).then(|| "Local".to_owned()),
        ports: vec![ServicePort { name: Some("http".to_owned()), protocol: None, port: NonZeroU16::MIN }],
        ..ServiceSpec::default()
    };
    let status =
        ServiceStatus { load_balancer: LoadBalancerStatus { ingress: vec![Ingress { ip: Some(ip) }] } };
    Object::Service(Box::new(Service { metadata: metadata(&format!("app-{number}")), spec, status }))
}
