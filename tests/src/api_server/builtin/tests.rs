//! Built-in kinds, in the words of a real server.

use serde_json::{Value, json};

use super::*;
use crate::api_server::form::{Form, Notation, Strictness};
use crate::api_server::refusal::Refusal;

fn form(group: &str, kind: &str) -> Form {
    Form::built_in(group, "v1", kind).unwrap()
}

/// An object of a kind as it is when it has been written, or why it is refused.
fn written(form: &Form, body: &Value, old: Option<&Value>, others: &[Value]) -> Result<Value, Refusal> {
    let (mut object, _) = form.read(&body.to_string(), Notation::Json, Strictness::Strict)?;
    form.prepare(&mut object, old, None);
    let mut causes = form.validate(&object, old, None);
    if causes.is_empty() && object["kind"] == "Service" {
        causes = allocate(&mut object, old, others).err().unwrap_or_default();
    }
    if causes.is_empty() { Ok(object) } else { Err(form.invalid("x", &causes)) }
}

fn body(kind: &str, mut rest: Value) -> Value {
    rest["kind"] = json!(kind);
    rest["apiVersion"] = json!("v1");
    if !rest["metadata"].is_object() {
        rest["metadata"] = json!({"name": "x", "namespace": "n"});
    }
    rest
}

fn service(spec: Value) -> Value {
    body("Service", json!({"spec": spec}))
}

/// Causes of a refusal, as field, reason and message.
fn told(outcome: Result<Value, Refusal>) -> Vec<String> {
    let causes = outcome.unwrap_err().details.unwrap()["causes"].clone();
    let causes = causes.as_array().unwrap().iter();
    causes
        .map(|cause| format!("{}: {}", cause["field"].as_str().unwrap(), cause["message"].as_str().unwrap()))
        .collect()
}

#[test]
fn a_service_gets_what_it_does_not_name() {
    let form = form("", "Service");
    let first = written(&form, &service(json!({"ports": [{"port": 80}], "type": "LoadBalancer"})), None, &[])
        .unwrap();
    let expected = json!({
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80, "nodePort": 30000}],
        "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "type": "LoadBalancer", "sessionAffinity": "None",
        "externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack", "allocateLoadBalancerNodePorts": true,
    });
    assert_eq!((&first["spec"], &first["status"]), (&expected, &json!({"loadBalancer": {}})));
    let both = service(
        json!({"ports": [{"port": 80}], "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]}),
    );
    let second = written(&form, &both, None, &[first]).unwrap();
    assert_eq!(second["spec"]["clusterIPs"], json!(["fd00:96::1", "10.96.0.2"]));
    let headless = service(json!({"ports": [{"port": 80}], "clusterIP": "None"}));
    let headless = written(&form, &headless, None, &[]).unwrap();
    assert_eq!(
        (&headless["spec"]["clusterIPs"], &headless["spec"]["ipFamilyPolicy"]),
        (&json!(["None"]), &json!("RequireDualStack"))
    );
    let name = service(json!({"type": "ExternalName", "externalName": "example.com"}));
    let expected = json!({"type": "ExternalName", "externalName": "example.com", "sessionAffinity": "None"});
    assert_eq!(written(&form, &name, None, &[]).unwrap()["spec"], expected);
}

#[test]
fn what_a_type_has_goes_with_it() {
    let form = form("", "Service");
    let spec = json!({"ports": [{"port": 80}], "type": "LoadBalancer", "loadBalancerClass": "x/y", "externalTrafficPolicy": "Local"});
    let mut old = written(&form, &service(spec), None, &[]).unwrap();
    old["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}});
    let mut changed = old.clone();
    changed["spec"]["type"] = json!("ClusterIP");
    let new = written(&form, &changed, Some(&old), &[]).unwrap();
    let expected = json!({
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "clusterIP": "10.96.0.1",
        "clusterIPs": ["10.96.0.1"], "type": "ClusterIP", "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
    });
    assert_eq!((&new["spec"], &new["status"]), (&expected, &json!({"loadBalancer": {}})));
    // A replacement that names nothing of it keeps what the server has given.
    let bare = service(json!({"ports": [{"port": 80}], "type": "LoadBalancer", "loadBalancerClass": "x/y"}));
    let kept = written(&form, &bare, Some(&old), &[]).unwrap();
    assert_eq!(
        (&kept["spec"]["ports"], &kept["spec"]["clusterIPs"]),
        (&old["spec"]["ports"], &old["spec"]["clusterIPs"])
    );
}

#[test]
fn a_service_that_makes_no_sense_is_refused() {
    let form = form("", "Service");
    let taken = written(
        &form,
        &service(json!({"ports": [{"port": 80, "nodePort": 31999}], "type": "NodePort"})),
        None,
        &[],
    );
    let others = [taken.unwrap()];
    for (spec, expected) in [
        (json!({}), vec!["spec.ports: Required value"]),
        (
            json!({"ports": [{"port": 0}]}),
            vec![
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
            ],
        ),
        (
            json!({"ports": [{"port": 80}, {"port": 81}]}),
            vec!["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
        ),
        (
            json!({"ports": [{"port": 80, "protocol": "tcp"}]}),
            vec![
                "spec.ports[0].protocol: Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ],
        ),
        (
            json!({"ports": [{"port": 80, "targetPort": "Not_A_Port"}]}),
            vec![
                "spec.ports[0].targetPort: Invalid value: \"Not_A_Port\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
            ],
        ),
        (
            json!({"ports": [{"port": 80}], "loadBalancerClass": "x/y"}),
            vec!["spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"],
        ),
        (
            json!({"ports": [{"port": 80}], "type": "Balancer"}),
            vec![
                "spec.type: Unsupported value: \"Balancer\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
            ],
        ),
        (
            json!({"ports": [{"port": 80}], "ipFamilies": ["IPv4", "IPv6"]}),
            vec![
                "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified",
            ],
        ),
        (
            json!({"ports": [{"port": 80, "nodePort": 31999}], "type": "NodePort"}),
            vec!["spec.ports[0].nodePort: Invalid value: 31999: provided port is already allocated"],
        ),
        (
            json!({"ports": [{"port": 80}], "clusterIP": "10.96.0.1"}),
            vec![
                "spec.clusterIPs: Invalid value: [\"10.96.0.1\"]: failed to allocate IP 10.96.0.1: provided IP is already allocated",
            ],
        ),
        (
            json!({"ports": [{"port": 80}], "clusterIP": "192.0.2.1"}),
            vec![
                "spec.clusterIPs: Invalid value: [\"192.0.2.1\"]: failed to allocate IP 192.0.2.1: the provided network does not match the current range",
            ],
        ),
        (
            json!({"ports": [{"port": 80}], "externalTrafficPolicy": "Local"}),
            vec![
                "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services",
            ],
        ),
        (
            json!({"ports": [{"port": 80}], "type": "LoadBalancer", "loadBalancerSourceRanges": ["010.0.0.0/8", "10.0.0.1/8", "x"]}),
            vec![
                "spec.LoadBalancerSourceRanges[0]: Invalid value: \"010.0.0.0/8\": must not have leading 0s in IP or prefix length",
                "spec.LoadBalancerSourceRanges[1]: Invalid value: \"10.0.0.1/8\": must not have bits set beyond the prefix length",
                "spec.LoadBalancerSourceRanges[2]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            ],
        ),
    ] {
        assert_eq!(told(written(&form, &service(spec), None, &others)), expected);
    }
}

#[test]
fn the_class_and_the_first_address_of_a_service_stay() {
    let form = form("", "Service");
    let spec = json!({"ports": [{"port": 80}], "type": "LoadBalancer", "loadBalancerClass": "x/y"});
    let old = written(&form, &service(spec), None, &[]).unwrap();
    let mut other = old.clone();
    other["spec"]["loadBalancerClass"] = json!("x/z");
    assert_eq!(
        told(written(&form, &other, Some(&old), &[])),
        ["spec.loadBalancerClass: Invalid value: \"x/z\": may not change once set"]
    );
    let mut other = old.clone();
    other["spec"]["clusterIP"] = json!("10.96.9.9");
    assert_eq!(
        told(written(&form, &other, Some(&old), &[])),
        ["spec.clusterIPs[0]: Invalid value: [\"10.96.9.9\"]: may not change once set"]
    );
}

#[test]
fn a_status_of_a_service_holds_addresses_of_a_load_balancer() {
    let form = form("", "Service");
    let status = |kind: &str, ingress: Value| {
        let object = json!({"spec": {"type": kind}, "status": {"loadBalancer": {"ingress": [ingress]}}, "metadata": {"name": "x"}});
        let causes = form.validate(&object, Some(&json!({"metadata": {"name": "x"}})), Some("status"));
        causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect::<Vec<_>>()
    };
    let place = "status.loadBalancer.ingress";
    assert_eq!(status("LoadBalancer", json!({"ip": "192.0.2.1", "ipMode": "VIP"})), [""; 0]);
    assert_eq!(
        status("ClusterIP", json!({"ip": "192.0.2.1"})),
        [format!("{place}: Forbidden: may only be used when `spec.type` is 'LoadBalancer'")]
    );
    for (ip, words) in [
        ("192.0.2.300", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ("192.0.2.010", "must not have leading 0s"),
        ("::ffff:192.0.2.1", "must not be an IPv4-mapped IPv6 address"),
    ] {
        assert_eq!(
            status("LoadBalancer", json!({"ip": ip})),
            [format!("{place}[0].ip: Invalid value: \"{ip}\": {words}")]
        );
    }
    let words = format!("{place}[0].ipMode: Forbidden: may not be specified when `ip` is not set");
    assert_eq!(status("LoadBalancer", json!({"hostname": "a.example.com", "ipMode": "VIP"})), [words]);
}

#[test]
fn bodies_are_read_as_go_reads_them() {
    let lease = |spec: Value| body("Lease", json!({"spec": spec}));
    for (form, body, words) in [
        (
            form("", "Service"),
            service(json!({"ports": [{"port": "80"}]})),
            "Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            form("", "ConfigMap"),
            body("ConfigMap", json!({"data": {"k": 1}})),
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            form("", "Secret"),
            body("Secret", json!({"data": {"k": "not base64!"}})),
            "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte 3",
        ),
        (
            form("coordination.k8s.io", "Lease"),
            lease(json!({"renewTime": "2026-01-01T00:00:00Z"})),
            "Lease in version \"v1\" cannot be handled as a Lease: parsing time \"2026-01-01T00:00:00Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\"",
        ),
        (
            form("", "Service"),
            service(json!({"ports": [{"port": 80, "Port": 81}], "x": 1})),
            "Service in version \"v1\" cannot be handled as a Service: strict decoding error: unknown field \"spec.ports[0].Port\", unknown field \"spec.x\"",
        ),
    ] {
        let refusal = written(&form, &body, None, &[]).unwrap_err();
        assert_eq!((refusal.code, refusal.message.as_str()), (400, words));
    }
}

#[test]
fn secrets_are_stored_as_data_and_keep_their_type() {
    let form = form("", "Secret");
    let texts = body("Secret", json!({"stringData": {"k": "v"}, "data": {"l": "dw=="}}));
    let secret = written(&form, &texts, None, &[]).unwrap();
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
    assert_eq!(told(written(&form, &other, Some(&secret), &[])), expected);
    let fixed = written(&form, &body("Secret", json!({"immutable": true, "data": {"k": "dg=="}})), None, &[])
        .unwrap();
    let mut other = fixed.clone();
    other["data"]["k"] = json!("dw==");
    assert_eq!(
        told(written(&form, &other, Some(&fixed), &[])),
        ["data: Forbidden: field is immutable when `immutable` is set"]
    );
}

#[test]
fn an_event_is_the_same_in_both_groups_and_complete_in_the_new_one() {
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "x", "namespace": "n"},
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "example.com/c", "reportingInstance": "c-1",
        "action": "Act", "reason": "Reason", "type": "Normal", "note": "words", "regarding": {"kind": "Service", "namespace": "n", "name": "s"},
    });
    let form = form("events.k8s.io", "Event");
    let stored = written(&form, &event, None, &[]).unwrap();
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
        assert_eq!(told(written(&form, &event, None, &[])), [expected]);
    }
    let mut other = stored.clone();
    other["note"] = json!("other words");
    assert_eq!(
        told(written(&form, &other, Some(&stored), &[])),
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
fn a_definition_is_completed_and_must_be_structural() {
    let form = form("apiextensions.k8s.io", "CustomResourceDefinition");
    let version = |spec: Value| {
        let schema = json!({"type": "object", "properties": {"spec": spec}});
        json!([{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}])
    };
    let stored = written(&form, &definition(&version(json!({"type": "object"}))), None, &[]).unwrap();
    assert_eq!(
        stored["spec"]["names"],
        json!({"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"})
    );
    assert_eq!(
        (&stored["spec"]["conversion"], &stored["status"]["storedVersions"]),
        (&json!({"strategy": "None"}), &json!(["v1"]))
    );
    let place = "spec.validation.openAPIV3Schema.properties[spec]";
    let untyped = definition(&version(json!({"properties": {"a": {"type": "string"}}})));
    assert_eq!(
        told(written(&form, &untyped, None, &[])),
        [format!("{place}.type: Required value: must not be empty for specified object fields")]
    );
    let rule = definition(&version(
        json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.nothing == 1"}]}),
    ));
    let words = "{\"Rule\":\"self.nothing == 1\",\"Message\":\"\",\"MessageExpression\":\"\",\"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}: compilation failed: ERROR: <input>:1:5: undefined field 'nothing'\n | self.nothing == 1\n | ....^";
    assert_eq!(
        told(written(&form, &rule, None, &[])),
        [format!("{place}.x-kubernetes-validations[0].rule: Invalid value: {words}")]
    );
    let mut renamed = definition(&version(json!({"type": "object"})));
    renamed["metadata"]["name"] = json!("wrong.example.com");
    assert_eq!(
        told(written(&form, &renamed, None, &[])),
        ["metadata.name: Invalid value: \"wrong.example.com\": must be spec.names.plural+\".\"+spec.group"]
    );
    let mut gone = stored.clone();
    gone["spec"]["versions"][0]["name"] = json!("v2");
    let found = told(written(&form, &gone, Some(&stored), &[]));
    assert!(
        found[0].starts_with("status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions;"),
        "{found:?}"
    );
}

#[test]
fn webhooks_default_and_say_what_they_need() {
    let form = form("admissionregistration.k8s.io", "ValidatingWebhookConfiguration");
    let configuration = |change: Value| {
        let mut webhook = json!({
            "name": "check.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"service": {"namespace": "n", "name": "s"}},
            "rules": [{"apiGroups": ["x"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["things"]}],
        });
        crate::api_server::patch::merge(&mut webhook, &change);
        body("ValidatingWebhookConfiguration", json!({"webhooks": [webhook]}))
    };
    let stored = written(&form, &configuration(json!({})), None, &[]).unwrap();
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
        assert_eq!(told(written(&form, &configuration(change), None, &[])), [expected]);
    }
}

#[test]
fn metadata_is_looked_at_for_every_kind() {
    let form = form("", "ConfigMap");
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
        let found = told(written(&form, &body("ConfigMap", json!({"metadata": metadata})), None, &[]));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn leases_nodes_namespaces_and_slices_have_rules_of_their_own() {
    let lease = form("coordination.k8s.io", "Lease");
    let refused = written(&lease, &body("Lease", json!({"spec": {"leaseDurationSeconds": 0}})), None, &[]);
    assert_eq!(told(refused), ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"]);
    let kept = written(
        &lease,
        &body("Lease", json!({"spec": {"holderIdentity": "", "leaseTransitions": 0}})),
        None,
        &[],
    )
    .unwrap();
    assert_eq!(kept["spec"], json!({"holderIdentity": "", "leaseTransitions": 0}));

    let namespace =
        written(&form("", "Namespace"), &body("Namespace", json!({"metadata": {"name": "x"}})), None, &[])
            .unwrap();
    assert_eq!(namespace["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "x"}));
    assert_eq!(
        (&namespace["spec"], &namespace["status"]),
        (&json!({"finalizers": ["kubernetes"]}), &json!({"phase": "Active"}))
    );

    let node = form("", "Node");
    let stored =
        written(&node, &body("Node", json!({"spec": {"podCIDR": "10.0.0.0/24"}})), None, &[]).unwrap();
    assert_eq!(stored["spec"]["podCIDRs"], json!(["10.0.0.0/24"]));
    let mut moved = stored.clone();
    moved["spec"]["podCIDR"] = json!("10.0.1.0/24");
    let words = "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid";
    assert_eq!(told(written(&node, &moved, Some(&stored), &[])), [words]);

    let slice = form("discovery.k8s.io", "EndpointSlice");
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
        told(written(&slice, &of("2001:db8::1"), None, &[])),
        ["endpoints[0].addresses: Invalid value: \"2001:db8::1\": must be an IPv4 address"]
    );
    assert_eq!(
        told(written(&slice, &of("127.0.0.1"), None, &[])),
        [
            "endpoints[0].addresses[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)"
        ]
    );
}
