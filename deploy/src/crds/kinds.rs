//! The table of kinds: names, versions, columns of `kubectl get`.

use lb_api::kind::ObjectKind;
use lb_api::objects::{
    BGP_PEER_V1BETA1_FIELDS, BfdProfileSpec, BgpAdvertisementSpec, BgpPeerSpec, CommunitySpec,
    IpAddressPoolSpec, L2AdvertisementSpec, schema_of, status,
};
use schemars::Schema;
use serde_json::Value;

/// A kind.
pub struct KindDefinition {
    /// Kind, plural and group.
    pub names: ObjectKind,
    /// Its description, in a sentence.
    pub description: &'static str,
    /// Whether an object requires `spec`.
    pub needs_spec: bool,
    /// Its versions. All are served; the last one is stored.
    pub versions: &'static [Version],
    /// Schema of `status`.
    pub status: fn() -> Schema,
    /// Columns of `kubectl get`.
    pub columns: &'static [Column],
}

/// A version of a kind.
pub struct Version {
    /// Name.
    pub name: &'static str,
    /// The version to use instead, if it is deprecated.
    pub successor: Option<&'static str>,
    /// Schema of `spec`.
    pub spec: fn() -> Schema,
}

/// A column of `kubectl get`.
pub struct Column {
    /// Its head.
    pub name: &'static str,
    /// Type, as of a schema.
    pub r#type: &'static str,
    /// JSON path of the value.
    pub path: &'static str,
    /// Above zero: only shown by `-o wide`.
    pub priority: u8,
}

impl Column {
    const fn text(name: &'static str, path: &'static str) -> Self {
        Self { name, r#type: "string", path, priority: 0 }
    }

    const fn of(name: &'static str, r#type: &'static str, path: &'static str) -> Self {
        Self { name, r#type, path, priority: 0 }
    }

    const fn wide(name: &'static str, path: &'static str) -> Self {
        Self { name, r#type: "string", path, priority: 10 }
    }
}

impl Version {
    const fn only(spec: fn() -> Schema) -> Self {
        Self { name: "v1beta1", successor: None, spec }
    }
}

/// All kinds.
pub const KINDS: &[KindDefinition] = &[
    KindDefinition {
        names: ObjectKind::IP_ADDRESS_POOL,
        description: "A pool of addresses for Services.",
        needs_spec: true,
        versions: &[Version::only(schema_of::<IpAddressPoolSpec>)],
        status: schema_of::<status::IpAddressPoolStatus>,
        columns: &[
            Column::of("Auto Assign", "boolean", ".spec.autoAssign"),
            Column::of("Avoid Buggy IPs", "boolean", ".spec.avoidBuggyIPs"),
            Column::text("Addresses", ".spec.addresses"),
        ],
    },
    KindDefinition {
        names: ObjectKind::L2_ADVERTISEMENT,
        description: "Pools whose addresses are announced by ARP and NDP, and where.",
        needs_spec: false,
        versions: &[Version::only(schema_of::<L2AdvertisementSpec>)],
        status: schema_of::<status::NoFields>,
        columns: &[
            Column::text("IPAddressPools", ".spec.ipAddressPools"),
            Column::text("IPAddressPool Selectors", ".spec.ipAddressPoolSelectors"),
            Column::text("Interfaces", ".spec.interfaces"),
            Column::wide("Node Selectors", ".spec.nodeSelectors"),
        ],
    },
    KindDefinition {
        names: ObjectKind::BGP_ADVERTISEMENT,
        description: "Pools whose addresses are advertised by BGP, how, and to which peers.",
        needs_spec: false,
        versions: &[Version::only(schema_of::<BgpAdvertisementSpec>)],
        status: schema_of::<status::NoFields>,
        columns: &[
            Column::text("IPAddressPools", ".spec.ipAddressPools"),
            Column::text("IPAddressPool Selectors", ".spec.ipAddressPoolSelectors"),
            Column::text("Peers", ".spec.peers"),
            Column::wide("Node Selectors", ".spec.nodeSelectors"),
        ],
    },
    KindDefinition {
        names: ObjectKind::BGP_PEER,
        description: "A BGP peer of nodes.",
        needs_spec: true,
        versions: &[
            Version { name: "v1beta1", successor: Some("metallb.io/v1beta2"), spec: older_bgp_peer },
            Version { name: "v1beta2", successor: None, spec: schema_of::<BgpPeerSpec> },
        ],
        status: schema_of::<status::NoFields>,
        columns: &[
            Column::text("Address", ".spec.peerAddress"),
            Column::text("ASN", ".spec.peerASN"),
            Column::text("BFD Profile", ".spec.bfdProfile"),
            Column::text("Multi Hops", ".spec.ebgpMultiHop"),
        ],
    },
    KindDefinition {
        names: ObjectKind::BFD_PROFILE,
        description: "The parameters of BFD sessions; times in milliseconds.",
        needs_spec: false,
        versions: &[Version::only(schema_of::<BfdProfileSpec>)],
        status: schema_of::<status::NoFields>,
        columns: &[
            Column::of("Passive Mode", "boolean", ".spec.passiveMode"),
            Column::of("Transmit Interval", "integer", ".spec.transmitInterval"),
            Column::of("Receive Interval", "integer", ".spec.receiveInterval"),
            Column::of("Multiplier", "integer", ".spec.detectMultiplier"),
        ],
    },
    KindDefinition {
        names: ObjectKind::COMMUNITY,
        description: "Aliases of BGP communities.",
        needs_spec: false,
        versions: &[Version::only(schema_of::<CommunitySpec>)],
        status: schema_of::<status::NoFields>,
        columns: &[],
    },
    KindDefinition {
        names: ObjectKind::SERVICE_L2_STATUS,
        description: "The node that announces a Service by ARP or NDP. Written by agents.",
        needs_spec: false,
        versions: &[Version::only(schema_of::<status::NoFields>)],
        status: schema_of::<status::ServiceL2Status>,
        columns: &[
            Column::text("Allocated Node", ".status.node"),
            Column::text("Service Name", ".status.serviceName"),
            Column::text("Service Namespace", ".status.serviceNamespace"),
        ],
    },
    KindDefinition {
        names: ObjectKind::SERVICE_BGP_STATUS,
        description: "The BGP peers that a node advertises a Service to. Written by agents.",
        needs_spec: false,
        versions: &[Version::only(schema_of::<status::NoFields>)],
        status: schema_of::<status::ServiceBgpStatus>,
        columns: &[
            Column::text("Node", ".status.node"),
            Column::text("Service Name", ".status.serviceName"),
            Column::text("Service Namespace", ".status.serviceNamespace"),
        ],
    },
    KindDefinition {
        names: ObjectKind::CONFIGURATION_STATE,
        description: "The state of the configuration, as seen by the controller or the agent of a node. Written by both.",
        needs_spec: false,
        versions: &[Version::only(schema_of::<status::NoFields>)],
        status: schema_of::<status::ConfigurationState>,
        columns: &[
            Column::text("Result", ".status.result"),
            Column::text("ErrorSummary", ".status.errorSummary"),
            Column::of("Age", "date", ".metadata.creationTimestamp"),
        ],
    },
    KindDefinition {
        names: ObjectKind::BGP_SESSION_STATE,
        description: "The state of a node's session with a BGP peer. Written by agents.",
        needs_spec: false,
        versions: &[Version::only(schema_of::<status::NoFields>)],
        status: schema_of::<status::BgpSessionState>,
        columns: &[
            Column::text("Node", ".status.node"),
            Column::text("Peer", ".status.peer"),
            Column::text("VRF", ".status.vrf"),
            Column::text("BGP", ".status.bgpStatus"),
            Column::text("BFD", ".status.bfdStatus"),
        ],
    },
];

/// The spec of a BGPPeer of `v1beta1`.
fn older_bgp_peer() -> Schema {
    let mut schema = schema_of::<BgpPeerSpec>();
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.retain(|name, _| BGP_PEER_V1BETA1_FIELDS.contains(&name.as_str()));
        // In this version, a missing port is zero, and both mean the standard port.
        if let Some(Value::Object(port)) = properties.get_mut("peerPort") {
            port.remove("x-default");
            port.insert("minimum".to_owned(), 0.into());
        }
    }
    schema.insert("required".to_owned(), serde_json::json!(["myASN", "peerASN", "peerAddress"]));
    schema
}
