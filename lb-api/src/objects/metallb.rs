//! The kinds of pools and L2Advertisements.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kubernetes::Metadata;
use super::null::null_default;
use super::selector::LabelSelector;

/// `metallb.io/v1beta1` IPAddressPool.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct IpAddressPool {
    /// Name and labels.
    pub metadata: Metadata,
    /// The addresses.
    pub spec: IpAddressPoolSpec,
}

/// The addresses of a pool.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IpAddressPoolSpec {
    /// CIDRs (`192.0.2.0/24`) and ranges (`192.0.2.10-192.0.2.20`), of IPv4 and IPv6.
    #[schemars(length(min = 1))]
    pub addresses: Vec<String>,
    /// Whether Services that do not ask for this pool get its addresses; the default is yes.
    #[schemars(extend("x-default" = true))]
    pub auto_assign: Option<bool>,
    /// Whether IPv4 addresses ending in .0 or .255 are left out.
    #[serde(rename = "avoidBuggyIPs")]
    #[schemars(extend("x-default" = false))]
    pub avoid_buggy_ips: Option<bool>,
    /// The Services that may use it; absent for all.
    pub service_allocation: Option<ServiceAllocation>,
}

/// The Services that may use a pool.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAllocation {
    /// The order among pools: the lowest number first, zero last.
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
    /// What is announced, and where.
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
    /// Pools by label, in addition to those by name. With neither, all pools.
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
    /// Preferred nodes, with weights that add up.
    #[serde(default, deserialize_with = "null_default")]
    pub preferred_node_selectors: Vec<PreferredNodes>,
}

/// A preference for nodes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct PreferredNodes {
    /// Its weight, from 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// The preferred nodes; an empty selector matches all.
    pub preference: LabelSelector,
}
