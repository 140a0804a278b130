//! Tests of the definitions with objects, and with the parser of the same objects.

use anyhow::{Context, Result, anyhow};
use cel::{Context as Scope, Program, Value as Outcome};
use fairlead_deploy::crds::{self, KINDS, KindDefinition, Version};
use fairlead_deploy::output;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use lb_api::objects::from_json;
use serde_json::{Map, Value, json};

/// Returns whether a server with the definition accepts a new object.
fn is_accepted(object: &Value) -> Result<bool> {
    let (kind, version) = definition_of(object).with_context(|| format!("no such kind: {object}"))?;
    let schema = crds::schema(kind, version);
    Ok(jsonschema::is_valid(&schema, object) && keeps_rules(&schema, object)?)
}

/// Returns whether all rules hold.
fn keeps_rules(schema: &Value, part: &Value) -> Result<bool> {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let rule = rule["rule"].as_str().context("a rule")?;
        let program = Program::compile(rule).with_context(|| rule.to_owned())?;
        // These are about a change, and a new object is none.
        if program.references().has_variable("oldSelf") {
            continue;
        }
        let mut scope = Scope::default();
        scope.add_variable("self", part.clone()).map_err(|error| anyhow!("{rule}: {error}"))?;
        // What cannot be evaluated is refused.
        if !matches!(program.execute(&scope), Ok(Outcome::Bool(true))) {
            return Ok(false);
        }
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(part) = part.get(name)
            && !keeps_rules(schema, part)?
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn definition_of(object: &Value) -> Option<(&'static KindDefinition, &'static Version)> {
    let kind = KINDS.iter().find(|kind| object["kind"] == kind.names.name)?;
    let (group, name) = object["apiVersion"].as_str()?.split_once('/')?;
    let version = kind.versions.iter().find(|version| version.name == name && kind.names.group == group)?;
    Some((kind, version))
}

fn object((kind, version, rest): &Row) -> Result<Value> {
    let group = if *kind == "BGPSessionState" { "frrk8s.metallb.io" } else { "metallb.io" };
    let text = format!("{{apiVersion: {group}/{version}, kind: {kind}, metadata: {{name: x}}, {rest}}}");
    serde_saphyr::from_str(&text).context(text)
}

/// Kind, version, the rest of the object.
type Row = (&'static str, &'static str, &'static str);

const TAKEN: &[Row] = &[
    ("IPAddressPool", "v1beta1", "spec: {addresses: [192.0.2.0/24]}"),
    ("IPAddressPool", "v1beta1", "spec: {addresses: [192.0.2.1 - 192.0.2.9, '2001:db8::/64'], autoAssign: false}"),
    (
        "IPAddressPool",
        "v1beta1",
        "spec: {addresses: [192.0.2.7/32], avoidBuggyIPs: true, serviceAllocation: {priority: 50, namespaces: [a, b],
         namespaceSelectors: [{matchLabels: {team: x}}],
         serviceSelectors: [{matchExpressions: [{key: app, operator: In, values: [web, api]}]}]}},
         status: {assignedIPv4: 1, assignedIPv6: 0, availableIPv4: 0, availableIPv6: 9223372036854775807}",
    ),
    ("IPAddressPool", "v1beta1", "spec: {addresses: [192.0.2.0/24], serviceAllocation: {}}"),
    ("L2Advertisement", "v1beta1", ""),
    ("L2Advertisement", "v1beta1", "spec: {}"),
    (
        "L2Advertisement",
        "v1beta1",
        "spec: {ipAddressPools: [a], ipAddressPoolSelectors: [{}], interfaces: [eth0, bond0.100],
         nodeSelectors: [{matchExpressions: [{key: x, operator: DoesNotExist}]}], serviceSelectors: [{matchLabels: {a: b}}],
         preferredNodeSelectors: [{weight: 1, preference: {}}, {weight: 100, preference: {matchLabels: {zone: a}}}]}",
    ),
    ("BGPAdvertisement", "v1beta1", ""),
    (
        "BGPAdvertisement",
        "v1beta1",
        "spec: {aggregationLength: 24, aggregationLengthV6: 64, localPref: 4294967295,
         communities: ['64512:100', 'large:64512:1:2', vpn], ipAddressPools: [a], ipAddressPoolSelectors: [{}],
         nodeSelectors: [{}], peers: [tor-a], serviceSelectors: []}",
    ),
    (
        "BGPAdvertisement",
        "v1beta1",
        "spec: {serviceSelectors: [{}], aggregationLength: 32, aggregationLengthV6: 128}",
    ),
    ("BGPPeer", "v1beta2", "spec: {myASN: 1, connectTime: 65535s}"),
    ("BGPPeer", "v1beta2", "spec: {myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1}"),
    (
        "BGPPeer",
        "v1beta2",
        "spec: {myASN: 4294967295, dynamicASN: external, interface: eth0, peerPort: 16384, holdTime: 90s,
         keepaliveTime: 30s, connectTime: 10s, routerID: 192.0.2.9, localASN: 1, enableGracefulRestart: true,
         ebgpMultiHop: true, vrf: red, disableMP: true, dualStackAddressFamily: true, bfdProfile: fast,
         passwordSecret: {name: s, namespace: lb}}",
    ),
    ("BGPPeer", "v1beta2", "spec: {myASN: 0, peerASN: 0, peerAddress: '2001:db8::1', sourceAddress: '2001:db8::2', password: p}"),
    ("BGPPeer", "v1beta1", "spec: {myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1}"),
    (
        "BGPPeer",
        "v1beta1",
        "spec: {myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, sourceAddress: 192.0.2.2, peerPort: 0, holdTime: 0s,
         keepaliveTime: 0s, routerID: 192.0.2.9, password: p, bfdProfile: f, ebgpMultiHop: false,
         nodeSelectors: [{matchLabels: {a: b}, matchExpressions: [{key: k, operator: In, values: [v]}]}]}",
    ),
    ("BFDProfile", "v1beta1", "spec: {}"),
    (
        "BFDProfile",
        "v1beta1",
        "spec: {receiveInterval: 10, transmitInterval: 60000, detectMultiplier: 255, echoInterval: 50, echoMode: true,
         passiveMode: true, minimumTtl: 254}",
    ),
    ("Community", "v1beta1", "spec: {communities: [{name: vpn, value: '1234:1'}]}"),
];

const REFUSED: &[Row] = &[
    ("IPAddressPool", "v1beta1", ""),
    ("IPAddressPool", "v1beta1", "spec: {}"),
    ("IPAddressPool", "v1beta1", "spec: {addresses: []}"),
    ("IPAddressPool", "v1beta1", "spec: {addresses: 192.0.2.0/24}"),
    ("IPAddressPool", "v1beta1", "spec: {addresses: [192.0.2.0/24], autoAssign: 'no'}"),
    ("IPAddressPool", "v1beta1", "spec: {addresses: [192.0.2.0/24], serviceAllocation: {priority: high}}"),
    ("IPAddressPool", "v1beta1", "spec: {addresses: [192.0.2.0/24]}, status: {assignedIPv4: 1}"),
    ("L2Advertisement", "v1beta1", "spec: {interfaces: eth0}"),
    (
        "L2Advertisement",
        "v1beta1",
        "spec: {nodeSelectors: [{matchExpressions: [{key: a, operator: Equals}]}]}",
    ),
    ("L2Advertisement", "v1beta1", "spec: {preferredNodeSelectors: [{weight: 101, preference: {}}]}"),
    ("L2Advertisement", "v1beta1", "spec: {preferredNodeSelectors: [{weight: 1}]}"),
    ("BGPAdvertisement", "v1beta1", "spec: {aggregationLength: 0}"),
    ("BGPAdvertisement", "v1beta1", "spec: {localPref: -1}"),
    ("BGPAdvertisement", "v1beta1", "spec: {serviceSelectors: [{}], aggregationLength: 24}"),
    ("BGPAdvertisement", "v1beta1", "spec: {serviceSelectors: [{}], aggregationLengthV6: 64}"),
    ("BGPPeer", "v1beta2", "spec: {myASN: 1, connectTime: 0s}"),
    ("BGPPeer", "v1beta2", "spec: {myASN: 1, connectTime: 1500ms}"),
    ("BGPPeer", "v1beta2", "spec: {myASN: 1, connectTime: 65536s}"),
    ("BGPPeer", "v1beta2", "spec: {myASN: 1, connectTime: soon}"),
    ("BGPPeer", "v1beta2", "spec: {peerASN: 64513, peerAddress: 192.0.2.1}"),
    ("BGPPeer", "v1beta2", "spec: {myASN: 4294967296}"),
    ("BGPPeer", "v1beta2", "spec: {myASN: 1, peerPort: 0}"),
    ("BGPPeer", "v1beta2", "spec: {myASN: 1, peerPort: 16385}"),
    ("BGPPeer", "v1beta2", "spec: {myASN: 1, localASN: 0}"),
    ("BGPPeer", "v1beta2", "spec: {myASN: 1, dynamicASN: any}"),
    ("BGPPeer", "v1beta2", "spec: {myASN: 1, holdTime: 90}"),
    ("BGPPeer", "v1beta1", "spec: {myASN: 1, peerASN: 2}"),
    ("BFDProfile", "v1beta1", "spec: {receiveInterval: 9}"),
    ("BFDProfile", "v1beta1", "spec: {transmitInterval: 60001}"),
    ("BFDProfile", "v1beta1", "spec: {detectMultiplier: 1}"),
    ("BFDProfile", "v1beta1", "spec: {detectMultiplier: 256}"),
    ("BFDProfile", "v1beta1", "spec: {minimumTtl: 255}"),
    ("BFDProfile", "v1beta1", "spec: {echoInterval: 1}"),
    ("Community", "v1beta1", "spec: {communities: [{name: vpn}]}"),
];

/// Objects that are only written.
const STATUSES: &[(Row, bool)] = &[
    (("ServiceL2Status", "v1beta1", "spec: {}, status: {node: a, serviceName: s, serviceNamespace: shop, interfaces: [{name: eth0}]}"), true),
    (("ServiceL2Status", "v1beta1", "status: {interfaces: [eth0]}"), false),
    (("ServiceBGPStatus", "v1beta1", "status: {node: a, serviceName: s, serviceNamespace: shop, peers: [tor-a]}"), true),
    (("ServiceBGPStatus", "v1beta1", "status: {peers: tor-a}"), false),
    (("ConfigurationState", "v1beta1", "status: {result: Valid, errorSummary: '', conditions: []}"), true),
    (
        (
            "ConfigurationState",
            "v1beta1",
            "status: {result: Invalid, errorSummary: x, conditions: [{type: poolReconcilerValid, status: 'False',
             reason: ConfigurationError, message: x, lastTransitionTime: '2026-01-02T03:04:05Z'}]}",
        ),
        true,
    ),
    (("ConfigurationState", "v1beta1", "status: {result: Good}"), false),
    (("ConfigurationState", "v1beta1", "status: {conditions: [{type: x, status: 'True'}]}"), false),
    (("BGPSessionState", "v1beta1", "status: {bgpStatus: Established, bfdStatus: N/A, node: a, peer: 192.0.2.1, vrf: ''}"), true),
    (("BGPSessionState", "v1beta1", "status: {bgpStatus: 6}"), false),
];

#[test]
fn valid_objects_are_accepted_and_parsed() -> Result<()> {
    for row in TAKEN {
        let object = object(row)?;
        assert!(is_accepted(&object)?, "{object}");
        assert_is_parsed(object);
    }
    Ok(())
}

#[test]
fn invalid_objects_are_refused() -> Result<()> {
    for row in REFUSED {
        let object = object(row)?;
        assert!(!is_accepted(&object)?, "{object}");
    }
    Ok(())
}

#[test]
fn statuses_have_the_fields_that_tools_read() -> Result<()> {
    for (row, verdict) in STATUSES {
        let object = object(row)?;
        assert_eq!(is_accepted(&object)?, *verdict, "{object}");
    }
    Ok(())
}

#[test]
fn every_accepted_object_is_parsed() -> Result<()> {
    let mut count = 0;
    let is_status = |kind: &KindDefinition| STATUSES.iter().any(|((name, ..), _)| *name == kind.names.name);
    for kind in KINDS.iter().filter(|kind| !is_status(kind)) {
        for version in kind.versions {
            let schema = crds::schema(kind, version);
            for spec in extremes(&schema["properties"]["spec"]) {
                let api_version = format!("{}/{}", kind.names.group, version.name);
                let object = json!({
                    "apiVersion": api_version, "kind": kind.names.name, "metadata": {"name": "x"}, "spec": spec,
                });
                assert!(is_accepted(&object)?, "{object}");
                assert_is_parsed(object);
                count += 1;
            }
        }
    }
    assert!(count > 100, "{count}");
    Ok(())
}

fn assert_is_parsed(object: Value) {
    let text = object.to_string();
    let (objects, problems) = from_json(object);
    assert!(objects.len() == 1 && problems.is_empty(), "{text}: {problems:?}");
}

/// Returns values at the limits of a schema; of an object: its required fields, plus each field at its
/// limits.
fn extremes(schema: &Value) -> Vec<Value> {
    if let Some(values) = schema["enum"].as_array() {
        return values.clone();
    }
    match schema["type"].as_str() {
        Some("boolean") => vec![true.into(), false.into()],
        Some("integer") => {
            let (lowest, highest) = match schema["format"].as_str() {
                Some("int32") => (i32::MIN.into(), i32::MAX.into()),
                _ => (i64::MIN, i64::MAX),
            };
            let limit = |word: &str, other: i64| schema[word].as_i64().unwrap_or(other);
            vec![limit("minimum", lowest).into(), limit("maximum", highest).into()]
        }
        // The only rules about a text are those of a time in whole seconds.
        Some("string") if schema["x-kubernetes-validations"].is_array() => vec!["1s".into(), "65535s".into()],
        Some("string") => vec!["".into(), "some text".into()],
        Some("array") => {
            let one = extremes(&schema["items"]).into_iter().map(|item| json!([item]));
            let none = schema["minItems"].is_null().then(|| json!([]));
            none.into_iter().chain(one).collect()
        }
        _ => objects(schema),
    }
}

fn objects(schema: &Value) -> Vec<Value> {
    let fields: Vec<(&String, Vec<Value>)> = match &schema["properties"] {
        Value::Object(fields) => fields.iter().map(|(name, field)| (name, extremes(field))).collect(),
        _ => return vec![json!({}), json!({"a": "b"})],
    };
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let is_required = |name: &str| required.iter().any(|it| it == name);
    let least = fields.iter().filter(|(name, _)| is_required(name));
    let least: Map<String, Value> =
        least.map(|(name, values)| ((*name).clone(), values[0].clone())).collect();
    let with = |name: &str, value: &Value| {
        let mut object = least.clone();
        object.insert(name.to_owned(), value.clone());
        Value::Object(object)
    };
    let each = fields.iter().flat_map(|(name, values)| values.iter().map(|value| with(name, value)));
    std::iter::once(Value::Object(least.clone())).chain(each).collect()
}

#[test]
fn every_schema_is_structural() {
    for kind in KINDS {
        for version in kind.versions {
            let mut schema = crds::schema(kind, version);
            // The one part that Kubernetes knows by itself.
            schema["properties"]["metadata"] = json!({"type": "object"});
            let none: [String; 0] = [];
            assert_eq!(crds::violations(&schema), none, "{} {}", kind.names.name, version.name);
        }
    }
}

#[test]
fn kubernetes_knows_every_keyword_of_a_definition() -> Result<()> {
    for kind in KINDS {
        let written = crds::definition(kind);
        let read: CustomResourceDefinition = serde_json::from_value(written.clone())?;
        assert_eq!(whole(serde_json::to_value(read)?), whole(written), "{}", kind.names.name);
        let stored = kind.versions.iter().filter(|version| version.successor.is_none()).count();
        assert_eq!(stored, 1, "{}", kind.names.name);
    }
    Ok(())
}

/// Converts limits to integers: Kubernetes' type has floating-point numbers.
fn whole(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, |it| (it as i64).into()),
        Value::Array(items) => items.into_iter().map(whole).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, whole(value))).collect(),
        other => other,
    }
}

#[test]
fn the_committed_definitions_are_those_of_the_types() -> Result<()> {
    let stale = output::stale(&crds::files()?, output::root())?;
    assert!(stale.is_empty(), "run `cargo xtask crds`: {stale:?}");
    Ok(())
}
