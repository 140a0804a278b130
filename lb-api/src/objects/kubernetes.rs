//! The kinds of Kubernetes that are read, with the relevant fields only. Other fields are accepted.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use super::null::null_default;

/// The metadata of an object.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Name, unique in kind and namespace.
    pub name: String,
    /// Namespace, if present.
    pub namespace: Option<String>,
    /// Labels.
    #[serde(default, deserialize_with = "null_default")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_default")]
    pub annotations: BTreeMap<String, String>,
    /// Creation time (RFC 3339); times of one cluster sort as text.
    #[serde(default)]
    pub creation_timestamp: Option<String>,
    /// Identifies the object among earlier and later ones with its name.
    #[serde(default)]
    pub uid: Option<String>,
    /// The version of the object: an increasing number (as Kubernetes 1.35 promises).
    #[serde(default)]
    pub resource_version: Option<String>,
}

/// `v1` Service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Service {
    /// Name, labels and annotations.
    pub metadata: Metadata,
    /// The desired state.
    #[serde(default, deserialize_with = "null_default")]
    pub spec: ServiceSpec,
    /// The allocated addresses.
    #[serde(default, deserialize_with = "null_default")]
    pub status: ServiceStatus,
}

/// The desired state of a Service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// `LoadBalancer`, or an irrelevant type.
    pub r#type: Option<String>,
    /// Its ports.
    #[serde(default, deserialize_with = "null_default")]
    pub ports: Vec<ServicePort>,
    /// `Cluster` (the default) or `Local`.
    pub external_traffic_policy: Option<String>,
    /// `None` (the default) or `ClientIP`.
    pub session_affinity: Option<String>,
    /// Requested address: a deprecated field, still supported.
    #[serde(rename = "loadBalancerIP")]
    pub load_balancer_ip: Option<String>,
    /// The class of the load balancer that serves it.
    pub load_balancer_class: Option<String>,
    /// CIDRs of admitted clients.
    #[serde(default, deserialize_with = "null_default")]
    pub load_balancer_source_ranges: Vec<String>,
    /// Cluster addresses: one of each of the Service's families, the primary first.
    #[serde(default, rename = "clusterIPs", deserialize_with = "null_default")]
    pub cluster_ips: Vec<String>,
    /// `SingleStack` (the default), `PreferDualStack` or `RequireDualStack`.
    pub ip_family_policy: Option<String>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ServicePort {
    /// Name; optional for an only port.
    pub name: Option<String>,
    /// `TCP` (the default), `UDP` or `SCTP`.
    pub protocol: Option<String>,
    /// Port of the VIP.
    pub port: NonZeroU16,
}

/// The addresses of a Service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// The load balancer's addresses.
    #[serde(default, deserialize_with = "null_default")]
    pub load_balancer: LoadBalancerStatus,
}

/// The addresses that a load balancer has allocated to a Service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct LoadBalancerStatus {
    /// Ingress points.
    #[serde(default, deserialize_with = "null_default")]
    pub ingress: Vec<Ingress>,
}

/// An ingress point.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Ingress {
    /// Its address; absent if the load balancer uses a host name.
    pub ip: Option<String>,
}

/// `v1` Namespace.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Namespace {
    /// Name and labels.
    pub metadata: Metadata,
}

/// `discovery.k8s.io/v1` EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSlice {
    /// Name and labels; one label names the Service.
    pub metadata: Metadata,
    /// `IPv4`, `IPv6` or `FQDN`.
    pub address_type: String,
    /// Endpoints.
    #[serde(default, deserialize_with = "null_default")]
    pub endpoints: Vec<Endpoint>,
    /// Ports that every endpoint of the slice serves.
    #[serde(default, deserialize_with = "null_default")]
    pub ports: Vec<EndpointPort>,
}

/// An endpoint: usually a pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Its addresses, all of the same endpoint.
    #[serde(default, deserialize_with = "null_default")]
    pub addresses: Vec<String>,
    /// Node that it runs on.
    pub node_name: Option<String>,
    /// Its conditions.
    #[serde(default, deserialize_with = "null_default")]
    pub conditions: Conditions,
}

/// The conditions of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Conditions {
    /// Ready; unknown counts as ready.
    pub ready: Option<bool>,
    /// Serving, though it may be terminating.
    pub serving: Option<bool>,
    /// Terminating.
    pub terminating: Option<bool>,
}

/// A port of an endpoint.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct EndpointPort {
    /// Name of the port of the Service that it belongs to.
    pub name: Option<String>,
    /// `TCP` (the default), `UDP` or `SCTP`.
    pub protocol: Option<String>,
    /// Port of the endpoint.
    pub port: Option<u16>,
}

/// `v1` Node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Node {
    /// Name and labels.
    pub metadata: Metadata,
    /// The desired state.
    #[serde(default, deserialize_with = "null_default")]
    pub spec: NodeSpec,
    /// The actual state.
    #[serde(default, deserialize_with = "null_default")]
    pub status: NodeStatus,
}

/// The desired state of a Node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct NodeSpec {
    /// Taints, which keep pods away from it.
    #[serde(default, deserialize_with = "null_default")]
    pub taints: Vec<Taint>,
    /// Whether it is cordoned.
    pub unschedulable: Option<bool>,
}

/// A taint of a Node.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    #[serde(default, deserialize_with = "null_default")]
    pub effect: String,
}

/// The actual state of a Node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct NodeStatus {
    /// Its addresses.
    #[serde(default, deserialize_with = "null_default")]
    pub addresses: Vec<NodeAddress>,
    /// Its conditions.
    #[serde(default, deserialize_with = "null_default")]
    pub conditions: Vec<NodeCondition>,
}

/// A condition of a Node.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct NodeCondition {
    /// Its type.
    pub r#type: String,
    /// `True`, `False` or `UnknownField`.
    pub status: String,
    /// The reason, one word.
    pub reason: Option<String>,
    /// The message.
    pub message: Option<String>,
}

/// An address of a Node.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct NodeAddress {
    /// `InternalIP`, or an irrelevant type.
    pub r#type: String,
    /// The address.
    pub address: String,
}
