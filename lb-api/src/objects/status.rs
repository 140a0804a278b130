//! The status objects, in the form that tools for MetalLB read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cel_rule::UNCHANGED;

/// The usage of an IPAddressPool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IpAddressPoolStatus {
    /// IPv4 addresses that Services hold.
    #[serde(rename = "assignedIPv4")]
    pub assigned_ipv4: i64,
    /// IPv6 addresses that Services hold.
    #[serde(rename = "assignedIPv6")]
    pub assigned_ipv6: i64,
    /// IPv4 addresses that are free.
    #[serde(rename = "availableIPv4")]
    pub available_ipv4: i64,
    /// IPv6 addresses that are free.
    #[serde(rename = "availableIPv6")]
    pub available_ipv6: i64,
}

/// A part of an object without fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoFields {}

/// The node that announces a Service by ARP or NDP: one object for each Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceL2Status {
    /// The node that announces.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-kubernetes-validations" = UNCHANGED))]
    pub node: String,
    /// The Service's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-kubernetes-validations" = UNCHANGED))]
    pub service_name: String,
    /// The Service's namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-kubernetes-validations" = UNCHANGED))]
    pub service_namespace: String,
    /// Interfaces that it announces on; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
}

/// An interface of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Interface {
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// The BGP peers that a node advertises a Service to: one object for each node and Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceBgpStatus {
    /// The node that advertises.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-kubernetes-validations" = UNCHANGED))]
    pub node: String,
    /// The Service's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-kubernetes-validations" = UNCHANGED))]
    pub service_name: String,
    /// The Service's namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-kubernetes-validations" = UNCHANGED))]
    pub service_namespace: String,
    /// Names of the BGPPeers that it is to be advertised to; the sessions may be down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<String>,
}

/// The state of the whole configuration, as seen by the controller or a node's agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationState {
    /// Whether all objects are valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ConfigurationResult>,
    /// The errors.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error_summary: String,
    /// The conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The state of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConfigurationResult {
    /// All objects are valid.
    Valid,
    /// At least one is invalid; its last-known-good version stays in force.
    Invalid,
    /// Not known yet.
    Unknown,
}

/// A condition, as in all kinds of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Its type.
    #[schemars(length(max = 316), regex(pattern = CONDITION_TYPE))]
    pub r#type: String,
    /// Its status.
    pub status: ConditionStatus,
    /// Generation of the observed object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Time of its last change (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// The reason, one word.
    #[schemars(length(min = 1, max = 1024), regex(pattern = CONDITION_REASON))]
    pub reason: String,
    /// The message.
    #[schemars(length(max = 32768))]
    pub message: String,
}

/// A qualified name in Kubernetes.
const CONDITION_TYPE: &str = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$";
/// A reason in Kubernetes: one word.
const CONDITION_REASON: &str = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$";

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It is unknown.
    Unknown,
}

/// The state of a node's session with a BGP peer: one object for each node and peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BgpSessionState {
    /// State of BGP, as `Established`.
    #[serde(default, rename = "bgpStatus", skip_serializing_if = "String::is_empty")]
    pub bgp_status: String,
    /// State of BFD, as `Up`; `N/A` without BFD.
    #[serde(default, rename = "bfdStatus", skip_serializing_if = "String::is_empty")]
    pub bfd_status: String,
    /// The node.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// The peer's address or interface.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub peer: String,
    /// The VRF; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub vrf: String,
}
