//! The known fields of each kind, and the removal of unknown ones.
//!
//! An API server with strict validation rejects an object with an unknown field; otherwise it removes the
//! field and stores the rest. Here, too, the object counts without the field, and a problem reports it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

use super::bgp::{BfdProfileSpec, BgpAdvertisementSpec, BgpPeerSpec, CommunitySpec};
use super::metallb::{IpAddressPoolSpec, L2AdvertisementSpec};
use super::nearest::nearest;
use super::path::Step;
use crate::kind::ObjectKind;

/// Fields of the spec of a `v1beta1` BGPPeer: a subset of those of `v1beta2`.
pub const BGP_PEER_V1BETA1_FIELDS: [&str; 12] = [
    "myASN",
    "peerASN",
    "peerAddress",
    "sourceAddress",
    "peerPort",
    "holdTime",
    "keepaliveTime",
    "routerID",
    "nodeSelectors",
    "password",
    "bfdProfile",
    "ebgpMultiHop",
];

/// Returns the schema of a type without references, which API servers do not accept.
pub fn schema_of<T: JsonSchema>() -> Schema {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.into_generator().into_root_schema_for::<T>()
}

/// An unknown field.
#[derive(Debug, PartialEq)]
pub(super) struct UnknownField {
    /// The path to it.
    pub(super) path: Vec<Step>,
    /// The closest known field.
    pub(super) instead: Option<String>,
}

/// Maximum number of reported unknown fields; an object may have a million.
pub(super) const MAX_NAMED: usize = 20;

/// UnknownField fields of an object.
#[derive(Debug, Default)]
pub(super) struct Pruned {
    /// The first of them, at most [`MAX_NAMED`].
    pub(super) named: Vec<UnknownField>,
    /// Number of the others.
    pub(super) others: usize,
}

/// Removes unknown fields. Of the kinds that do not configure the load balancer, only Services from files are
/// checked: an API server has no unknown fields.
pub(super) fn prune(api_version: &str, kind: &str, is_written: bool, object: &mut Value) -> Pruned {
    let mut pruned = Pruned::default();
    let shape = match (api_version, kind) {
        ("v1", "Service") if is_written => &*SERVICE,
        ("metallb.io/v1beta1", "BGPPeer") => &*BGP_PEER_V1BETA1,
        ("metallb.io/v1beta1" | "metallb.io/v1beta2", kind) => match METALLB.get(kind) {
            Some(shape) => shape,
            None => return pruned,
        },
        _ => return pruned,
    };
    shape.prune(object, &mut Vec::new(), &mut pruned);
    pruned
}

/// The shape of a value.
enum Shape {
    /// Any value: it is not an object, or its deserialization finds errors.
    Any,
    /// An object with these fields.
    Object(BTreeMap<String, Self>),
    /// A list with items of one shape.
    List(Box<Self>),
}

impl Shape {
    fn of(schema: &Value) -> Self {
        if let Some(Value::Object(properties)) = schema.get("properties") {
            let fields = properties.iter().map(|(name, schema)| (name.clone(), Self::of(schema)));
            return Self::Object(fields.collect());
        }
        if let Some(items) = schema.get("items") {
            return Self::List(Box::new(Self::of(items)));
        }
        // `Option` of an object: its schema, or null.
        let variants = schema.get("anyOf").and_then(Value::as_array);
        let object = variants.into_iter().flatten().find(|variant| variant.get("properties").is_some());
        object.map_or(Self::Any, Self::of)
    }

    fn fields(names: &[&str]) -> Self {
        Self::Object(names.iter().map(|name| ((*name).to_owned(), Self::Any)).collect())
    }

    /// Returns the shape of a whole object with this spec.
    fn object(spec: Self) -> Self {
        let parts = [
            ("apiVersion", Self::Any),
            ("kind", Self::Any),
            ("metadata", Self::fields(&METADATA)),
            ("spec", spec),
            // Written by programs, and not read from files.
            ("status", Self::Any),
        ];
        Self::Object(parts.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect())
    }

    fn prune(&self, value: &mut Value, path: &mut Vec<Step>, pruned: &mut Pruned) {
        match (self, value) {
            (Self::Object(fields), Value::Object(written)) => {
                Self::prune_object(fields, written, path, pruned);
            }
            (Self::List(shape), Value::Array(items)) => {
                for (i, item) in items.iter_mut().enumerate() {
                    path.push(Step::Item(i));
                    shape.prune(item, path, pruned);
                    path.pop();
                }
            }
            // Values of the wrong type are reported by deserialization.
            _ => {}
        }
    }

    fn prune_object(
        fields: &BTreeMap<String, Self>,
        written: &mut Map<String, Value>,
        path: &mut Vec<Step>,
        pruned: &mut Pruned,
    ) {
        written.retain(|name, _| {
            let is_known = fields.contains_key(name);
            if !is_known && pruned.named.len() < MAX_NAMED {
                let instead = nearest(name, fields.keys().map(String::as_str)).map(str::to_owned);
                let path = path.iter().cloned().chain([Step::Field(name.clone())]).collect();
                pruned.named.push(UnknownField { path, instead });
            } else if !is_known {
                pruned.others += 1;
            }
            is_known
        });
        for (name, value) in written {
            if let Some(shape) = fields.get(name) {
                path.push(Step::Field(name.clone()));
                shape.prune(value, path, pruned);
                path.pop();
            }
        }
    }
}

/// Fields of `metadata` in Kubernetes.
const METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Fields of the spec of a Service in Kubernetes 1.36.
const SERVICE_SPEC: [&str; 19] = [
    "allocateLoadBalancerNodePorts",
    "clusterIP",
    "clusterIPs",
    "externalIPs",
    "externalName",
    "externalTrafficPolicy",
    "healthCheckNodePort",
    "internalTrafficPolicy",
    "ipFamilies",
    "ipFamilyPolicy",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "publishNotReadyAddresses",
    "selector",
    "sessionAffinity",
    "sessionAffinityConfig",
    "trafficDistribution",
    "type",
];

/// Fields of a port of a Service.
const SERVICE_PORT: [&str; 6] = ["appProtocol", "name", "nodePort", "port", "protocol", "targetPort"];

static SERVICE: LazyLock<Shape> = LazyLock::new(|| {
    let mut spec = Shape::fields(&SERVICE_SPEC);
    if let Shape::Object(fields) = &mut spec {
        fields.insert("ports".to_owned(), Shape::List(Box::new(Shape::fields(&SERVICE_PORT))));
    }
    Shape::object(spec)
});

static METALLB: LazyLock<BTreeMap<&str, Shape>> = LazyLock::new(|| {
    let specs = [
        (ObjectKind::IP_ADDRESS_POOL.name, schema_of::<IpAddressPoolSpec>()),
        (ObjectKind::L2_ADVERTISEMENT.name, schema_of::<L2AdvertisementSpec>()),
        (ObjectKind::BGP_ADVERTISEMENT.name, schema_of::<BgpAdvertisementSpec>()),
        (ObjectKind::BGP_PEER.name, schema_of::<BgpPeerSpec>()),
        (ObjectKind::BFD_PROFILE.name, schema_of::<BfdProfileSpec>()),
        (ObjectKind::COMMUNITY.name, schema_of::<CommunitySpec>()),
    ];
    specs.map(|(kind, schema)| (kind, Shape::object(Shape::of(schema.as_value())))).into()
});

static BGP_PEER_V1BETA1: LazyLock<Shape> = LazyLock::new(|| {
    let mut spec = Shape::of(schema_of::<BgpPeerSpec>().as_value());
    if let Shape::Object(fields) = &mut spec {
        fields.retain(|name, _| BGP_PEER_V1BETA1_FIELDS.contains(&name.as_str()));
    }
    Shape::object(spec)
});

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pruned(api_version: &str, kind: &str, mut object: Value) -> (Vec<String>, Value) {
        let found = prune(api_version, kind, true, &mut object);
        let words = found.named.iter().map(|unknown| {
            let steps = unknown.path.iter().map(|step| match step {
                Step::Field(name) => name.clone(),
                Step::Item(i) => format!("[{i}]"),
            });
            let path: Vec<_> = steps.collect();
            format!("{} -> {}", path.join("."), unknown.instead.as_deref().unwrap_or("?"))
        });
        (words.collect(), object)
    }

    #[test]
    fn every_kind_that_configures_has_its_fields() {
        for (kind, field, instead) in [
            ("IPAddressPool", "autoassign", "autoAssign"),
            ("L2Advertisement", "interface", "interfaces"),
            ("BGPAdvertisement", "community", "communities"),
            ("BGPPeer", "ebgpMultihop", "ebgpMultiHop"),
            ("BFDProfile", "recieveInterval", "receiveInterval"),
            ("Community", "community", "communities"),
        ] {
            let version = if kind == "BGPPeer" { "metallb.io/v1beta2" } else { "metallb.io/v1beta1" };
            let (found, _) = pruned(version, kind, json!({"spec": {field: 1}}));
            assert_eq!(found, [format!("spec.{field} -> {instead}")], "{kind}");
        }
    }

    #[test]
    fn unknown_fields_are_removed_at_any_depth() {
        let object = json!({
            "kind": "L2Advertisement", "metdata": {}, "metadata": {"name": "x", "label": {}},
            "spec": {"nodeSelectors": [{}, {"matchLabel": {"a": "b"}, "matchLabels": {"c": "d"}}],
                     "preferredNodeSelectors": [{"weight": 1, "preference": {"matchExpressions": [{"keys": "a"}]}}]},
            "status": {"anything": 1},
        });
        let (found, left) = pruned("metallb.io/v1beta1", "L2Advertisement", object);
        let expected = [
            "metdata -> metadata",
            "metadata.label -> labels",
            "spec.nodeSelectors.[1].matchLabel -> matchLabels",
            "spec.preferredNodeSelectors.[0].preference.matchExpressions.[0].keys -> key",
        ];
        assert_eq!(found, expected);
        assert_eq!(left["spec"]["nodeSelectors"][1], json!({"matchLabels": {"c": "d"}}));
        assert_eq!(pruned("metallb.io/v1beta1", "L2Advertisement", left).0, [""; 0]);
    }

    #[test]
    fn an_older_version_has_fewer_fields() {
        let object = || json!({"spec": {"myASN": 1, "vrf": "red", "passwordSecret": {"name": "s"}}});
        assert_eq!(pruned("metallb.io/v1beta2", "BGPPeer", object()).0, [""; 0]);
        let (found, left) = pruned("metallb.io/v1beta1", "BGPPeer", object());
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(left, json!({"spec": {"myASN": 1}}));
    }

    #[test]
    fn a_service_from_a_file_has_the_fields_of_kubernetes() {
        let mut service =
            json!({"spec": {"externaltrafficPolicy": "Local", "ports": [{"port": 1, "targetport": 2}]}});
        let (found, _) = pruned("v1", "Service", service.clone());
        let expected = [
            "spec.externaltrafficPolicy -> externalTrafficPolicy",
            "spec.ports.[0].targetport -> targetPort",
        ];
        assert_eq!(found, expected);
        assert!(prune("v1", "Service", false, &mut service).named.is_empty());
    }

    #[test]
    fn a_million_unknown_fields_are_counted() {
        let fields: Map<String, Value> = (0..1000).map(|i| (format!("field{i}"), json!(1))).collect();
        let found = prune("metallb.io/v1beta1", "BFDProfile", true, &mut json!({"spec": fields}));
        assert_eq!((found.named.len(), found.others), (MAX_NAMED, 1000 - MAX_NAMED));
    }
}
