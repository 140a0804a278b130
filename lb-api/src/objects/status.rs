//! The statuses that are written, as tools around MetalLB read them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::UNCHANGED;

/// What is given and what is left of an IPAddressPool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IpAddressPoolStatus {
    /// IPv4 addresses that Services hold.
    #[serde(rename = "assignedIPv4")]
    pub assigned_ipv4: i64,
    /// IPv6 addresses that Services hold.
    #[serde(rename = "assignedIPv6")]
    pub assigned_ipv6: i64,
    /// IPv4 addresses that nobody holds.
    #[serde(rename = "availableIPv4")]
    pub available_ipv4: i64,
    /// IPv6 addresses that nobody holds.
    #[serde(rename = "availableIPv6")]
    pub available_ipv6: i64,
}

/// A part of an object that has no fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nothing {}

/// Who announces a Service by ARP and NDP, and where: one object a Service.
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

/// Which routers a node announces a Service to: one object a node and Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceBgpStatus {
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
    /// Names of the BGPPeers that are meant to be told; whether they have been is not said here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<String>,
}

/// What the controller or the agent of a node makes of all objects together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationState {
    /// Whether all objects are right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Verdict>,
    /// What is wrong, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error_summary: String,
    /// The parts of the judgement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A judgement about all objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// All are right.
    Valid,
    /// At least one is not; the last that was right stays in force.
    Invalid,
    /// Not judged yet.
    Unknown,
}

/// A condition, as every kind of Kubernetes has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which.
    #[schemars(length(max = 316), regex(pattern = CONDITION_TYPE))]
    pub r#type: String,
    /// How it stands.
    pub status: ConditionStatus,
    /// Generation of the object that it was judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// When it last changed (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// Why, in a word.
    #[schemars(length(min = 1, max = 1024), regex(pattern = CONDITION_REASON))]
    pub reason: String,
    /// Why, in words.
    #[schemars(length(max = 32768))]
    pub message: String,
}

/// A qualified name, as Kubernetes wants it.
const CONDITION_TYPE: &str = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$";
/// One word, as Kubernetes wants it.
const CONDITION_REASON: &str = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$";

/// How a condition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It is the case.
    True,
    /// It is not.
    False,
    /// It is not known.
    Unknown,
}

/// How a session of a node with a router stands: one object a node and router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BgpSessionState {
    /// State of BGP, as `Established`.
    #[serde(default, rename = "bgpStatus", skip_serializing_if = "String::is_empty")]
    pub bgp_status: String,
    /// State of BFD, as `Up`; `N/A` where there is none.
    #[serde(default, rename = "bfdStatus", skip_serializing_if = "String::is_empty")]
    pub bfd_status: String,
    /// The node.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// The router's address or interface.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub peer: String,
    /// The VRF; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub vrf: String,
}
