//! The kinds of BGP objects, with the fields that are read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cel_rule::{CelRule, UNCHANGED};
use super::kubernetes::Metadata;
use super::null::null_default;
use super::secret::{SecretText, reveal};
use super::selector::LabelSelector;

/// The API server's checks of `connectTime`, besides its type.
const CONNECT_TIME_RULES: [CelRule; 2] = [
    CelRule {
        rule: "duration(self).getSeconds() >= 1 && duration(self).getSeconds() <= 65535",
        message: "connectTime is between one second and 65535 seconds",
    },
    CelRule {
        rule: "duration(self).getMilliseconds() % 1000 == 0",
        message: "connectTime is a number of whole seconds",
    },
];

/// The API server's checks of a BGPAdvertisement: a prefix that covers several Services cannot be advertised
/// for some of them only.
const AGGREGATION_RULES: [CelRule; 1] = [CelRule {
    rule: "!has(self.serviceSelectors) || size(self.serviceSelectors) == 0 \
           || ((!has(self.aggregationLength) || self.aggregationLength == 32) \
           && (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128))",
    message: "serviceSelectors go with an aggregationLength of 32 and an aggregationLengthV6 of 128 only",
}];

/// `metallb.io/v1beta1` or `v1beta2` BGPPeer: the older version has a subset of the fields.
///
/// An absent time means the default in both. (MetalLB's conversion turns a time that is absent in v1beta1
/// into an explicit zero: no hold time, so a dead peer would never be detected. That is hardly ever
/// intended.) An explicit zero is a zero.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct BgpPeer {
    /// Name.
    pub metadata: Metadata,
    /// The peer and its session parameters.
    pub spec: BgpPeerSpec,
}

/// The peer and its session parameters.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BgpPeerSpec {
    /// Our AS number; it must not be zero.
    #[serde(rename = "myASN")]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub my_asn: u32,
    /// The peer's AS number; either this or `dynamicASN` is required.
    #[serde(rename = "peerASN")]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub peer_asn: Option<u32>,
    /// `internal` or `external`, instead of a number.
    #[serde(rename = "dynamicASN")]
    #[schemars(extend("enum" = ["internal", "external"]))]
    pub dynamic_asn: Option<String>,
    /// The AS number that this peer sees instead of ours.
    #[serde(rename = "localASN")]
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    pub local_asn: Option<u32>,
    /// The peer's address; either this or `interface` is required.
    pub peer_address: Option<String>,
    /// The interface of the peer, instead of an address.
    pub interface: Option<String>,
    /// Our source address.
    pub source_address: Option<String>,
    /// The peer's port.
    #[schemars(range(min = 1, max = 16384), extend("x-default" = 179))]
    pub peer_port: Option<u16>,
    /// Hold time, as `90s`: zero, or at least three seconds.
    pub hold_time: Option<String>,
    /// Time between two keepalives, as `30s`; by default a third of the hold time.
    pub keepalive_time: Option<String>,
    /// Time between two attempts to connect, as `10s`: whole seconds.
    #[schemars(extend("x-kubernetes-validations" = CONNECT_TIME_RULES))]
    pub connect_time: Option<String>,
    /// Our BGP identifier, as an IPv4 address.
    #[serde(rename = "routerID")]
    pub router_id: Option<String>,
    /// Nodes with a session; empty for all.
    #[serde(default, deserialize_with = "null_default")]
    pub node_selectors: Vec<LabelSelector>,
    /// Password.
    #[serde(serialize_with = "reveal")]
    pub password: Option<SecretText>,
    /// Secret with the password.
    pub password_secret: Option<SecretReference>,
    /// Name of a BFDProfile.
    pub bfd_profile: Option<String>,
    /// Whether the peer keeps routes while the agent restarts.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(extend("x-kubernetes-validations" = UNCHANGED))]
    pub enable_graceful_restart: bool,
    /// Whether the peer may be several hops away.
    #[serde(default, deserialize_with = "null_default")]
    pub ebgp_multi_hop: bool,
    /// VRF of the node.
    pub vrf: Option<String>,
    /// Whether routes of the other IP version are advertised, too.
    #[serde(default, deserialize_with = "null_default")]
    pub dual_stack_address_family: bool,
    /// Without effect; accepted because older objects have it.
    #[serde(default, rename = "disableMP", deserialize_with = "null_default")]
    pub disable_mp: bool,
}

/// A reference to a Secret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct SecretReference {
    /// Its name.
    pub name: Option<String>,
    /// Its namespace; by default the peer's own.
    pub namespace: Option<String>,
}

/// `metallb.io/v1beta1` BGPAdvertisement.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct BgpAdvertisement {
    /// Name.
    pub metadata: Metadata,
    /// What is advertised, and how.
    #[serde(default, deserialize_with = "null_default")]
    pub spec: BgpAdvertisementSpec,
}

/// What a BGPAdvertisement advertises, and how.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = AGGREGATION_RULES))]
pub struct BgpAdvertisementSpec {
    /// Length of IPv4 prefixes, up to 32.
    #[schemars(range(min = 1), extend("x-default" = 32))]
    pub aggregation_length: Option<i32>,
    /// Length of IPv6 prefixes, up to 128.
    #[schemars(extend("x-default" = 128))]
    pub aggregation_length_v6: Option<i32>,
    /// LOCAL_PREF; zero means the default.
    pub local_pref: Option<u32>,
    /// Communities (`64512:100`, `large:64512:1:2`), or aliases of them.
    #[serde(default, deserialize_with = "null_default")]
    pub communities: Vec<String>,
    /// Names of pools.
    #[serde(default, deserialize_with = "null_default")]
    pub ip_address_pools: Vec<String>,
    /// Pools by label, in addition to those by name. With neither, all pools.
    #[serde(default, deserialize_with = "null_default")]
    pub ip_address_pool_selectors: Vec<LabelSelector>,
    /// Nodes that may advertise; empty for all.
    #[serde(default, deserialize_with = "null_default")]
    pub node_selectors: Vec<LabelSelector>,
    /// Names of peers; empty for all.
    #[serde(default, deserialize_with = "null_default")]
    pub peers: Vec<String>,
    /// Services by label; empty for all.
    #[serde(default, deserialize_with = "null_default")]
    pub service_selectors: Vec<LabelSelector>,
}

/// `metallb.io/v1beta1` BFDProfile.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct BfdProfile {
    /// Name.
    pub metadata: Metadata,
    /// The parameters.
    #[serde(default, deserialize_with = "null_default")]
    pub spec: BfdProfileSpec,
}

/// The parameters of BFD sessions; times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BfdProfileSpec {
    /// Minimum interval between received packets.
    #[schemars(range(min = 10, max = 60000))]
    pub receive_interval: Option<u32>,
    /// Minimum interval between transmitted packets.
    #[schemars(range(min = 10, max = 60000))]
    pub transmit_interval: Option<u32>,
    /// Detection multiplier.
    #[schemars(range(min = 2, max = 255))]
    pub detect_multiplier: Option<u32>,
    /// Interval between echo packets.
    #[schemars(range(min = 10, max = 60000))]
    pub echo_interval: Option<u32>,
    /// Whether echo packets are sent.
    #[serde(default, deserialize_with = "null_default")]
    pub echo_mode: bool,
    /// Whether the peer has to start the session.
    #[serde(default, deserialize_with = "null_default")]
    pub passive_mode: bool,
    /// Minimum TTL of multihop packets.
    #[schemars(range(min = 1, max = 254))]
    pub minimum_ttl: Option<u32>,
}

/// `metallb.io/v1beta1` Community: aliases of communities.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Community {
    /// Name.
    pub metadata: Metadata,
    /// The aliases.
    #[serde(default, deserialize_with = "null_default")]
    pub spec: CommunitySpec,
}

/// Aliases of communities.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct CommunitySpec {
    /// The aliases.
    #[serde(default, deserialize_with = "null_default")]
    pub communities: Vec<CommunityAlias>,
}

/// An alias of a community.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct CommunityAlias {
    /// The name.
    pub name: String,
    /// The community: `64512:100` or `large:64512:1:2`.
    pub value: String,
}
