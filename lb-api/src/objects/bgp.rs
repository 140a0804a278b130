//! The kinds that say what is announced by BGP, and to whom: slim, as all that is read here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kinds::Metadata;
use super::null::null_default;
use super::rule::{Rule, UNCHANGED};
use super::secret::{SecretText, reveal};
use super::selector::LabelSelector;

/// What an API server checks of `connectTime`, beside that it is text.
const CONNECT_TIME_RULES: [Rule; 2] = [
    Rule {
        rule: "duration(self).getSeconds() >= 1 && duration(self).getSeconds() <= 65535",
        message: "connectTime is between one second and 65535 seconds",
    },
    Rule {
        rule: "duration(self).getMilliseconds() % 1000 == 0",
        message: "connectTime is a number of whole seconds",
    },
];

/// What an API server checks of a BGPAdvertisement: a prefix that covers several Services cannot be for some of them.
const AGGREGATION_RULES: [Rule; 1] = [Rule {
    rule: "!has(self.serviceSelectors) || size(self.serviceSelectors) == 0 \
           || ((!has(self.aggregationLength) || self.aggregationLength == 32) \
           && (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128))",
    message: "serviceSelectors go with an aggregationLength of 32 and an aggregationLengthV6 of 128 only",
}];

/// `metallb.io/v1beta1` or `v1beta2` BGPPeer: the older version has a part of the newer one's fields.
///
/// A time that is not written is the speaker's own choice in both. (MetalLB's conversion makes an explicit zero of
/// one that v1beta1 leaves out: no hold time, so a router that has vanished would be believed to be there for ever.
/// Nobody asks for that by writing nothing.) A zero that is written is a zero.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct BgpPeer {
    /// Name.
    pub metadata: Metadata,
    /// Who it is, and how it is spoken to.
    pub spec: BgpPeerSpec,
}

/// Who a router is, and how it is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BgpPeerSpec {
    /// Our AS number; it must not be zero.
    #[serde(rename = "myASN")]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub my_asn: u32,
    /// The router's AS number; this or `dynamicASN` must be written.
    #[serde(rename = "peerASN")]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub peer_asn: Option<u32>,
    /// `internal` or `external`, instead of a number.
    #[serde(rename = "dynamicASN")]
    #[schemars(extend("enum" = ["internal", "external"]))]
    pub dynamic_asn: Option<String>,
    /// The AS number that this router is shown instead of ours.
    #[serde(rename = "localASN")]
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    pub local_asn: Option<u32>,
    /// The router's address; this or `interface` must be written.
    pub peer_address: Option<String>,
    /// The interface that it is on, instead of an address.
    pub interface: Option<String>,
    /// Our address.
    pub source_address: Option<String>,
    /// The router's port.
    #[schemars(range(min = 1, max = 16384), extend("x-default" = 179))]
    pub peer_port: Option<u16>,
    /// Hold time, as `90s`: zero, or three seconds and more.
    pub hold_time: Option<String>,
    /// Time between two keepalives, as `30s`; a third of the hold time if none is written.
    pub keepalive_time: Option<String>,
    /// Time between two attempts to connect, as `10s`: whole seconds.
    #[schemars(extend("x-kubernetes-validations" = CONNECT_TIME_RULES))]
    pub connect_time: Option<String>,
    /// Our identifier, written as an IPv4 address.
    #[serde(rename = "routerID")]
    pub router_id: Option<String>,
    /// Nodes that speak to it; empty for all.
    #[serde(default, deserialize_with = "null_default")]
    pub node_selectors: Vec<LabelSelector>,
    /// Password.
    #[serde(serialize_with = "reveal")]
    pub password: Option<SecretText>,
    /// Secret with the password.
    pub password_secret: Option<SecretReference>,
    /// Name of a BFDProfile.
    pub bfd_profile: Option<String>,
    /// Whether routes are kept while the agent restarts.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(extend("x-kubernetes-validations" = UNCHANGED))]
    pub enable_graceful_restart: bool,
    /// Whether there are other routers between.
    #[serde(default, deserialize_with = "null_default")]
    pub ebgp_multi_hop: bool,
    /// VRF of the node.
    pub vrf: Option<String>,
    /// Whether routes of the other IP version are told, too.
    #[serde(default, deserialize_with = "null_default")]
    pub dual_stack_address_family: bool,
    /// Of no effect; taken, as older objects have it.
    #[serde(default, rename = "disableMP", deserialize_with = "null_default")]
    pub disable_mp: bool,
}

/// Which Secret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct SecretReference {
    /// Its name.
    pub name: Option<String>,
    /// Its namespace; the peer's own if none is written.
    pub namespace: Option<String>,
}

/// `metallb.io/v1beta1` BGPAdvertisement.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct BgpAdvertisement {
    /// Name.
    pub metadata: Metadata,
    /// What it announces, and how.
    #[serde(default, deserialize_with = "null_default")]
    pub spec: BgpAdvertisementSpec,
}

/// What a BGPAdvertisement announces, and how.
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
    /// LOCAL_PREF; zero is none.
    pub local_pref: Option<u32>,
    /// Communities (`64512:100`, `large:64512:1:2`), or names of them.
    #[serde(default, deserialize_with = "null_default")]
    pub communities: Vec<String>,
    /// Names of pools.
    #[serde(default, deserialize_with = "null_default")]
    pub ip_address_pools: Vec<String>,
    /// Pools by label, beside those by name. With neither, all pools.
    #[serde(default, deserialize_with = "null_default")]
    pub ip_address_pool_selectors: Vec<LabelSelector>,
    /// Nodes that may announce; empty for all.
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
    /// How fast.
    #[serde(default, deserialize_with = "null_default")]
    pub spec: BfdProfileSpec,
}

/// How a way is watched; times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BfdProfileSpec {
    /// Time between two packets in, at least.
    #[schemars(range(min = 10, max = 60000))]
    pub receive_interval: Option<u32>,
    /// Time between two packets out, at least.
    #[schemars(range(min = 10, max = 60000))]
    pub transmit_interval: Option<u32>,
    /// Packets that may be missing.
    #[schemars(range(min = 2, max = 255))]
    pub detect_multiplier: Option<u32>,
    /// Time between two echoes.
    #[schemars(range(min = 10, max = 60000))]
    pub echo_interval: Option<u32>,
    /// Whether echoes are sent.
    #[serde(default, deserialize_with = "null_default")]
    pub echo_mode: bool,
    /// Whether the router has to begin.
    #[serde(default, deserialize_with = "null_default")]
    pub passive_mode: bool,
    /// Lowest TTL over several hops.
    #[schemars(range(min = 1, max = 254))]
    pub minimum_ttl: Option<u32>,
}

/// `metallb.io/v1beta1` Community: names of communities.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Community {
    /// Name.
    pub metadata: Metadata,
    /// The names.
    #[serde(default, deserialize_with = "null_default")]
    pub spec: CommunitySpec,
}

/// Names of communities.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct CommunitySpec {
    /// The names.
    #[serde(default, deserialize_with = "null_default")]
    pub communities: Vec<CommunityAlias>,
}

/// A name of a community.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct CommunityAlias {
    /// The name.
    pub name: String,
    /// The community: `64512:100` or `large:64512:1:2`.
    pub value: String,
}
