//! Tests of built-in kinds, in a real server's words.

use serde_json::{Value, json};

use super::*;
use crate::api_server::status_error::StatusError;
use crate::api_server::strategy::{Strategy, Strictness};
use crate::api_server::text::BodyEncoding;

pub(super) fn strategy(group: &str, kind: &str) -> Strategy {
    Strategy::built_in(group, "v1", kind).unwrap()
}

/// Returns an object of a kind as it is stored, or the error.
pub(super) fn written(
    strategy: &Strategy,
    body: &Value,
    old: Option<&Value>,
    others: &[Value],
) -> Result<Value, StatusError> {
    let (mut object, _) = strategy.read(&body.to_string(), BodyEncoding::Json, Strictness::Strict)?;
    strategy.prepare(&mut object, old, None);
    let mut causes = strategy.validate(&object, old, None);
    if causes.is_empty() && object["kind"] == "Service" {
        causes = allocate(&mut object, old, others).err().unwrap_or_default();
    }
    if causes.is_empty() { Ok(object) } else { Err(strategy.invalid("x", &causes)) }
}

pub(super) fn body(kind: &str, mut rest: Value) -> Value {
    rest["kind"] = json!(kind);
    rest["apiVersion"] = json!("v1");
    if !rest["metadata"].is_object() {
        rest["metadata"] = json!({"name": "x", "namespace": "n"});
    }
    rest
}

pub(super) fn service(spec: Value) -> Value {
    body("Service", json!({"spec": spec}))
}

/// Returns the causes of an error: field and message.
pub(super) fn causes_of(outcome: Result<Value, StatusError>) -> Vec<String> {
    let causes = outcome.unwrap_err().details.unwrap()["causes"].clone();
    let causes = causes.as_array().unwrap().iter();
    causes
        .map(|cause| format!("{}: {}", cause["field"].as_str().unwrap(), cause["message"].as_str().unwrap()))
        .collect()
}

#[test]
fn bodies_are_decoded_as_in_go() {
    let lease = |spec: Value| body("Lease", json!({"spec": spec}));
    for (strategy, body, words) in [
        (
            strategy("", "Service"),
            service(json!({"ports": [{"port": "80"}]})),
            "Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            strategy("", "ConfigMap"),
            body("ConfigMap", json!({"data": {"k": 1}})),
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            strategy("", "Secret"),
            body("Secret", json!({"data": {"k": "not base64!"}})),
            "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte 3",
        ),
        (
            strategy("coordination.k8s.io", "Lease"),
            lease(json!({"renewTime": "2026-01-01T00:00:00Z"})),
            "Lease in version \"v1\" cannot be handled as a Lease: parsing time \"2026-01-01T00:00:00Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\"",
        ),
        (
            strategy("", "Service"),
            service(json!({"ports": [{"port": 80, "Port": 81}], "x": 1})),
            "Service in version \"v1\" cannot be handled as a Service: strict decoding error: unknown field \"spec.ports[0].Port\", unknown field \"spec.x\"",
        ),
    ] {
        let error_status = written(&strategy, &body, None, &[]).unwrap_err();
        assert_eq!((error_status.code, error_status.message.as_str()), (400, words));
    }
}

#[test]
fn secrets_are_stored_as_data_and_keep_their_type() {
    let strategy = strategy("", "Secret");
    let texts = body("Secret", json!({"stringData": {"k": "v"}, "data": {"l": "dw=="}}));
    let secret = written(&strategy, &texts, None, &[]).unwrap();
    assert_eq!(
        (&secret["data"], &secret["type"], secret.get("stringData")),
        (&json!({"k": "dg==", "l": "dw=="}), &json!("Opaque"), None)
    );
    let mut other = secret.clone();
    other["type"] = json!("kubernetes.io/tls");
    let expected = [
        "data[tls.crt]: Required value",
        "data[tls.key]: Required value",
        "type: Invalid value: \"kubernetes.io/tls\": field is immutable",
    ];
    assert_eq!(causes_of(written(&strategy, &other, Some(&secret), &[])), expected);
    let fixed =
        written(&strategy, &body("Secret", json!({"immutable": true, "data": {"k": "dg=="}})), None, &[])
            .unwrap();
    let mut other = fixed.clone();
    other["data"]["k"] = json!("dw==");
    assert_eq!(
        causes_of(written(&strategy, &other, Some(&fixed), &[])),
        ["data: Forbidden: field is immutable when `immutable` is set"]
    );
}

#[test]
fn an_event_is_converted_between_groups_and_validated_in_the_new_one() {
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "x", "namespace": "n"},
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "example.com/c", "reportingInstance": "c-1",
        "action": "Act", "reason": "Reason", "type": "Normal", "note": "words", "regarding": {"kind": "Service", "namespace": "n", "name": "s"},
    });
    let strategy = strategy("events.k8s.io", "Event");
    let stored = written(&strategy, &event, None, &[]).unwrap();
    let core = convert_event(&stored, "v1");
    assert_eq!(
        (&core["message"], &core["involvedObject"], &core["firstTimestamp"]),
        (&json!("words"), &event["regarding"], &Value::Null)
    );
    assert_eq!(convert_event(&core, "events.k8s.io/v1"), stored);
    for (change, expected) in [
        (json!({"action": ""}), "action: Required value"),
        (json!({"type": "Odd"}), "type: Invalid value: \"\": has invalid value: Odd"),
        (json!({"reason": "x".repeat(129)}), "reason: Invalid value: \"\": can have at most 128 characters"),
        (json!({"deprecatedCount": 1}), "count: Invalid value: \"\": needs to be unset"),
        (
            json!({"series": {"count": 1, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}}),
            "series.count: Invalid value: \"\": should be at least 2",
        ),
        (
            json!({"regarding": {"kind": "Node", "namespace": null}}),
            "involvedObject.namespace: Invalid value: \"\": does not match event.namespace",
        ),
    ] {
        let mut event = event.clone();
        crate::api_server::patch::merge(&mut event, &change);
        assert_eq!(causes_of(written(&strategy, &event, None, &[])), [expected]);
    }
    let mut other = stored.clone();
    other["note"] = json!("other words");
    assert_eq!(
        causes_of(written(&strategy, &other, Some(&stored), &[])),
        ["message: Invalid value: \"other words\": field is immutable"]
    );
}

fn definition(versions: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"}, "versions": versions},
    })
}

#[test]
fn a_definition_gets_defaults_and_must_be_structural() {
    let strategy = strategy("apiextensions.k8s.io", "CustomResourceDefinition");
    let version = |spec: Value| {
        let schema = json!({"type": "object", "properties": {"spec": spec}});
        json!([{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}])
    };
    let stored = written(&strategy, &definition(&version(json!({"type": "object"}))), None, &[]).unwrap();
    assert_eq!(
        stored["spec"]["names"],
        json!({"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"})
    );
    assert_eq!(
        (&stored["spec"]["conversion"], &stored["status"]["storedVersions"]),
        (&json!({"strategy": "None"}), &json!(["v1"]))
    );
    let mut with_status = definition(&version(json!({"type": "object", "default": {}})));
    with_status["spec"]["versions"][0]["subresources"] = json!({"status": {}});
    let kept = &written(&strategy, &with_status, None, &[]).unwrap()["spec"]["versions"][0];
    assert_eq!(kept["subresources"], json!({"status": {}}));
    assert_eq!(kept["schema"]["openAPIV3Schema"]["properties"]["spec"]["default"], json!({}));
    let place = "spec.validation.openAPIV3Schema.properties[spec]";
    let untyped = definition(&version(json!({"properties": {"a": {"type": "string"}}})));
    assert_eq!(
        causes_of(written(&strategy, &untyped, None, &[])),
        [format!("{place}.type: Required value: must not be empty for specified object fields")]
    );
    let rule = definition(&version(
        json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.nothing == 1"}]}),
    ));
    let words = "{\"Rule\":\"self.nothing == 1\",\"Message\":\"\",\"MessageExpression\":\"\",\"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}: compilation failed: ERROR: <input>:1:5: undefined field 'nothing'\n | self.nothing == 1\n | ....^";
    assert_eq!(
        causes_of(written(&strategy, &rule, None, &[])),
        [format!("{place}.x-kubernetes-validations[0].rule: Invalid value: {words}")]
    );
    let mut renamed = definition(&version(json!({"type": "object"})));
    renamed["metadata"]["name"] = json!("wrong.example.com");
    assert_eq!(
        causes_of(written(&strategy, &renamed, None, &[])),
        ["metadata.name: Invalid value: \"wrong.example.com\": must be spec.names.plural+\".\"+spec.group"]
    );
    let mut gone = stored.clone();
    gone["spec"]["versions"][0]["name"] = json!("v2");
    let found = causes_of(written(&strategy, &gone, Some(&stored), &[]));
    assert!(
        found[0].starts_with("status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions;"),
        "{found:?}"
    );
}

#[test]
fn webhook_configurations_get_defaults_and_are_validated() {
    let strategy = strategy("admissionregistration.k8s.io", "ValidatingWebhookConfiguration");
    let configuration = |change: Value| {
        let mut webhook = json!({
            "name": "check.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"service": {"namespace": "n", "name": "s"}},
            "rules": [{"apiGroups": ["x"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["things"]}],
        });
        crate::api_server::patch::merge(&mut webhook, &change);
        body("ValidatingWebhookConfiguration", json!({"webhooks": [webhook]}))
    };
    let stored = written(&strategy, &configuration(json!({})), None, &[]).unwrap();
    let webhook = &stored["webhooks"][0];
    assert_eq!(
        (&webhook["failurePolicy"], &webhook["timeoutSeconds"], &webhook["rules"][0]["scope"]),
        (&json!("Fail"), &json!(10), &json!("*"))
    );
    assert_eq!(
        (&webhook["clientConfig"]["service"]["port"], &webhook["objectSelector"]),
        (&json!(443), &json!({}))
    );
    for (change, expected) in [
        (
            json!({"sideEffects": "Some"}),
            "webhooks[0].sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
        ),
        (
            json!({"admissionReviewVersions": []}),
            "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1",
        ),
        (
            json!({"name": "nodots"}),
            "webhooks[0].name: Invalid value: \"nodots\": should be a domain with at least three segments separated by dots",
        ),
        (
            json!({"timeoutSeconds": 31}),
            "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
        ),
        (
            json!({"clientConfig": {"service": null}}),
            "webhooks[0].clientConfig: Required value: exactly one of url or service is required",
        ),
    ] {
        assert_eq!(causes_of(written(&strategy, &configuration(change), None, &[])), [expected]);
    }
}

#[test]
fn metadata_of_every_kind_is_validated() {
    let strategy = strategy("", "ConfigMap");
    for (metadata, expected) in [
        (
            json!({"name": "A b"}),
            "metadata.name: Invalid value: \"A b\": a lowercase RFC 1123 subdomain must consist of",
        ),
        (
            json!({"name": "x", "labels": {"a b": "c"}}),
            "metadata.labels: Invalid value: \"a b\": name part must consist of alphanumeric characters",
        ),
        (json!({"name": "x", "labels": {"a": "x".repeat(64)}}), "metadata.labels: Invalid value: \"xxxx"),
        (
            json!({"name": "x", "annotations": {"A/B/C": "x"}}),
            "metadata.annotations: Invalid value: \"A/B/C\": a valid label key must consist of",
        ),
        (
            json!({"name": "x", "finalizers": ["plain"]}),
            "metadata.finalizers[0]: Invalid value: \"plain\": name is neither a standard finalizer name nor is it fully qualified",
        ),
        (
            json!({"name": "x", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": ""}]}),
            "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
        ),
    ] {
        let found =
            causes_of(written(&strategy, &body("ConfigMap", json!({"metadata": metadata})), None, &[]));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn leases_nodes_namespaces_and_slices_are_validated() {
    let lease = strategy("coordination.k8s.io", "Lease");
    let refused = written(&lease, &body("Lease", json!({"spec": {"leaseDurationSeconds": 0}})), None, &[]);
    assert_eq!(causes_of(refused), ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"]);
    let kept = written(
        &lease,
        &body("Lease", json!({"spec": {"holderIdentity": "", "leaseTransitions": 0}})),
        None,
        &[],
    )
    .unwrap();
    assert_eq!(kept["spec"], json!({"holderIdentity": "", "leaseTransitions": 0}));

    let namespace = written(
        &strategy("", "Namespace"),
        &body("Namespace", json!({"metadata": {"name": "x"}})),
        None,
        &[],
    )
    .unwrap();
    assert_eq!(namespace["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "x"}));
    assert_eq!(
        (&namespace["spec"], &namespace["status"]),
        (&json!({"finalizers": ["kubernetes"]}), &json!({"phase": "Active"}))
    );

    let node = strategy("", "Node");
    let stored =
        written(&node, &body("Node", json!({"spec": {"podCIDR": "10.0.0.0/24"}})), None, &[]).unwrap();
    assert_eq!(stored["spec"]["podCIDRs"], json!(["10.0.0.0/24"]));
    let mut moved = stored.clone();
    moved["spec"]["podCIDR"] = json!("10.0.1.0/24");
    let words = "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid";
    assert_eq!(causes_of(written(&node, &moved, Some(&stored), &[])), [words]);

    let slice = strategy("discovery.k8s.io", "EndpointSlice");
    let of = |address: &str| {
        body(
            "EndpointSlice",
            json!({"addressType": "IPv4", "endpoints": [{"addresses": [address]}], "ports": [{"port": 80}]}),
        )
    };
    let stored = written(&slice, &of("192.0.2.1"), None, &[]).unwrap();
    assert_eq!(
        (&stored["ports"], &stored["endpoints"][0]["conditions"]),
        (&json!([{"name": "", "protocol": "TCP", "port": 80}]), &json!({}))
    );
    assert_eq!(
        causes_of(written(&slice, &of("2001:db8::1"), None, &[])),
        ["endpoints[0].addresses: Invalid value: \"2001:db8::1\": must be an IPv4 address"]
    );
    assert_eq!(
        causes_of(written(&slice, &of("127.0.0.1"), None, &[])),
        [
            "endpoints[0].addresses[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)"
        ]
    );
}
