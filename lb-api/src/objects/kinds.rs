//! The kinds that are read, slim: only the fields that matter here. Other fields are accepted.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::null::null_default;
use super::selector::LabelSelector;

/// What all objects have.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Name, unique in kind and namespace.
    pub name: String,
    /// Namespace, if one is written.
    pub namespace: Option<String>,
    /// Labels.
    #[serde(default, deserialize_with = "null_default")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_default")]
    pub annotations: BTreeMap<String, String>,
    /// When it was made (RFC 3339); times of one cluster sort as text.
    #[serde(default)]
    pub creation_timestamp: Option<String>,
    /// What tells it from another of its name, before or after it.
    #[serde(default)]
    pub uid: Option<String>,
    /// Which of its versions this is: a number that grows (Kubernetes 1.35 promises as much).
    #[serde(default)]
    pub resource_version: Option<String>,
}

/// `v1` Service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Service {
    /// Name, labels and annotations.
    pub metadata: Metadata,
    /// What is wanted.
    #[serde(default, deserialize_with = "null_default")]
    pub spec: ServiceSpec,
    /// What has been given.
    #[serde(default, deserialize_with = "null_default")]
    pub status: ServiceStatus,
}

/// What a Service wants.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// `LoadBalancer`, or a type that does not concern us.
    pub r#type: Option<String>,
    /// Its ports.
    #[serde(default, deserialize_with = "null_default")]
    pub ports: Vec<ServicePort>,
    /// `Cluster` (also when it is not there) or `Local`.
    pub external_traffic_policy: Option<String>,
    /// `None` (also when it is not there) or `ClientIP`.
    pub session_affinity: Option<String>,
    /// Wanted address: an old field, still honoured.
    #[serde(rename = "loadBalancerIP")]
    pub load_balancer_ip: Option<String>,
    /// Which load balancer is to serve it.
    pub load_balancer_class: Option<String>,
    /// CIDRs that clients must be in.
    #[serde(default, deserialize_with = "null_default")]
    pub load_balancer_source_ranges: Vec<String>,
    /// Addresses within the cluster: one of each family that the Service is of, the primary first.
    #[serde(default, rename = "clusterIPs", deserialize_with = "null_default")]
    pub cluster_ips: Vec<String>,
    /// `SingleStack` (also when it is not there), `PreferDualStack` or `RequireDualStack`.
    pub ip_family_policy: Option<String>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ServicePort {
    /// Name; an only port may have none.
    pub name: Option<String>,
    /// `TCP` (also when it is not there), `UDP` or `SCTP`.
    pub protocol: Option<String>,
    /// Port of the VIP.
    pub port: NonZeroU16,
}

/// What a Service has been given.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// By a load balancer.
    #[serde(default, deserialize_with = "null_default")]
    pub load_balancer: LoadBalancerStatus,
}

/// What a load balancer has given a Service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct LoadBalancerStatus {
    /// Points of entry.
    #[serde(default, deserialize_with = "null_default")]
    pub ingress: Vec<Ingress>,
}

/// A point of entry.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Ingress {
    /// Its address; not there where a load balancer gives a host name.
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

/// An endpoint: as a rule a pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Its addresses, which are all of the same endpoint.
    #[serde(default, deserialize_with = "null_default")]
    pub addresses: Vec<String>,
    /// Node that it runs on.
    pub node_name: Option<String>,
    /// Whether it can be used.
    #[serde(default, deserialize_with = "null_default")]
    pub conditions: Conditions,
}

/// Whether an endpoint can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Conditions {
    /// Ready; not known counts as ready.
    pub ready: Option<bool>,
    /// Serves, though it may be terminating.
    pub serving: Option<bool>,
    /// Terminating.
    pub terminating: Option<bool>,
}

/// A port of an endpoint.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct EndpointPort {
    /// Name of the port of the Service that it belongs to.
    pub name: Option<String>,
    /// `TCP` (also when it is not there), `UDP` or `SCTP`.
    pub protocol: Option<String>,
    /// Port of the endpoint.
    pub port: Option<u16>,
}

/// `v1` Node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Node {
    /// Name and labels.
    pub metadata: Metadata,
    /// What is wanted of it.
    #[serde(default, deserialize_with = "null_default")]
    pub spec: NodeSpec,
    /// What is known of it.
    #[serde(default, deserialize_with = "null_default")]
    pub status: NodeStatus,
}

/// What is wanted of a Node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct NodeSpec {
    /// What keeps pods away from it.
    #[serde(default, deserialize_with = "null_default")]
    pub taints: Vec<Taint>,
    /// Whether no pods are to come to it.
    pub unschedulable: Option<bool>,
}

/// What keeps pods away from a Node.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Taint {
    /// Which.
    pub key: String,
    /// Its value.
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    #[serde(default, deserialize_with = "null_default")]
    pub effect: String,
}

/// What is known of a Node.
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
    /// Which.
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in a word.
    pub reason: Option<String>,
    /// Why, in words.
    pub message: Option<String>,
}

/// An address of a Node.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct NodeAddress {
    /// `InternalIP`, or a type that does not concern us.
    pub r#type: String,
    /// The address.
    pub address: String,
}

/// `metallb.io/v1beta1` IPAddressPool.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct IpAddressPool {
    /// Name and labels.
    pub metadata: Metadata,
    /// What is in it.
    pub spec: IpAddressPoolSpec,
}

/// What is in a pool.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IpAddressPoolSpec {
    /// CIDRs (`192.0.2.0/24`) and ranges (`192.0.2.10-192.0.2.20`), of IPv4 and IPv6.
    #[schemars(length(min = 1))]
    pub addresses: Vec<String>,
    /// Whether addresses are given to Services that do not ask for this pool; not there is yes.
    #[schemars(extend("x-default" = true))]
    pub auto_assign: Option<bool>,
    /// Whether IPv4 addresses that end with .0 or .255 are left out.
    #[serde(rename = "avoidBuggyIPs")]
    #[schemars(extend("x-default" = false))]
    pub avoid_buggy_ips: Option<bool>,
    /// For which Services it is kept; not there is for all.
    pub service_allocation: Option<ServiceAllocation>,
}

/// For which Services a pool is kept.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAllocation {
    /// Which of several pools comes first: the lowest number, and zero after all others.
    #[serde(default, deserialize_with = "null_default")]
    pub priority: i64,
    /// Namespaces by name.
    #[serde(default, deserialize_with = "null_default")]
    pub namespaces: Vec<String>,
    /// Namespaces by label.
    #[serde(default, deserialize_with = "null_default")]
    pub namespace_selectors: Vec<LabelSelector>,
    /// Services by label.
    #[serde(default, deserialize_with = "null_default")]
    pub service_selectors: Vec<LabelSelector>,
}

/// `metallb.io/v1beta1` L2Advertisement.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct L2Advertisement {
    /// Name.
    pub metadata: Metadata,
    /// What it announces, and where.
    #[serde(default, deserialize_with = "null_default")]
    pub spec: L2AdvertisementSpec,
}

/// What an L2Advertisement announces, and where.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct L2AdvertisementSpec {
    /// Names of pools.
    #[serde(default, deserialize_with = "null_default")]
    pub ip_address_pools: Vec<String>,
    /// Pools by label, beside those by name. With neither, all pools.
    #[serde(default, deserialize_with = "null_default")]
    pub ip_address_pool_selectors: Vec<LabelSelector>,
    /// Nodes that may announce; empty for all.
    #[serde(default, deserialize_with = "null_default")]
    pub node_selectors: Vec<LabelSelector>,
    /// Interfaces to announce on; empty for all.
    #[serde(default, deserialize_with = "null_default")]
    pub interfaces: Vec<String>,
    /// Services by label; empty for all.
    #[serde(default, deserialize_with = "null_default")]
    pub service_selectors: Vec<LabelSelector>,
    /// Nodes that should announce rather than others, with weights that add up.
    #[serde(default, deserialize_with = "null_default")]
    pub preferred_node_selectors: Vec<PreferredNodes>,
}

/// Nodes that should announce rather than others.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct PreferredNodes {
    /// How much rather, from 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// Which nodes; an empty selector selects every one.
    pub preference: LabelSelector,
}
