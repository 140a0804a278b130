//! Tests of Services, in a real server's words.

use serde_json::{Value, json};

use crate::api_server::builtin::tests::{causes_of, service, strategy, written};

#[test]
fn defaults_of_a_service_are_set() {
    let strategy = strategy("", "Service");
    let first =
        written(&strategy, &service(json!({"ports": [{"port": 80}], "type": "LoadBalancer"})), None, &[])
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
    let second = written(&strategy, &both, None, &[first]).unwrap();
    assert_eq!(second["spec"]["clusterIPs"], json!(["fd00:96::1", "10.96.0.2"]));
    let headless = service(json!({"ports": [{"port": 80}], "clusterIP": "None"}));
    let headless = written(&strategy, &headless, None, &[]).unwrap();
    assert_eq!(
        (&headless["spec"]["clusterIPs"], &headless["spec"]["ipFamilyPolicy"]),
        (&json!(["None"]), &json!("RequireDualStack"))
    );
    let name = service(json!({"type": "ExternalName", "externalName": "example.com"}));
    let expected = json!({"type": "ExternalName", "externalName": "example.com", "sessionAffinity": "None"});
    assert_eq!(written(&strategy, &name, None, &[]).unwrap()["spec"], expected);
}

#[test]
fn fields_of_the_old_type_are_dropped() {
    let strategy = strategy("", "Service");
    let spec = json!({"ports": [{"port": 80}], "type": "LoadBalancer", "loadBalancerClass": "x/y", "externalTrafficPolicy": "Local"});
    let mut old = written(&strategy, &service(spec), None, &[]).unwrap();
    old["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}});
    let mut changed = old.clone();
    changed["spec"]["type"] = json!("ClusterIP");
    let new = written(&strategy, &changed, Some(&old), &[]).unwrap();
    let expected = json!({
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "clusterIP": "10.96.0.1",
        "clusterIPs": ["10.96.0.1"], "type": "ClusterIP", "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
    });
    assert_eq!((&new["spec"], &new["status"]), (&expected, &json!({"loadBalancer": {}})));
    // A replacement that omits allocated values keeps them.
    let bare = service(json!({"ports": [{"port": 80}], "type": "LoadBalancer", "loadBalancerClass": "x/y"}));
    let kept = written(&strategy, &bare, Some(&old), &[]).unwrap();
    assert_eq!(
        (&kept["spec"]["ports"], &kept["spec"]["clusterIPs"]),
        (&old["spec"]["ports"], &old["spec"]["clusterIPs"])
    );
}

#[test]
fn an_invalid_service_is_rejected() {
    let strategy = strategy("", "Service");
    let taken = written(
        &strategy,
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
        assert_eq!(causes_of(written(&strategy, &service(spec), None, &others)), expected);
    }
}

#[test]
fn the_class_and_the_first_address_of_a_service_are_immutable() {
    let strategy = strategy("", "Service");
    let spec = json!({"ports": [{"port": 80}], "type": "LoadBalancer", "loadBalancerClass": "x/y"});
    let old = written(&strategy, &service(spec), None, &[]).unwrap();
    let mut other = old.clone();
    other["spec"]["loadBalancerClass"] = json!("x/z");
    assert_eq!(
        causes_of(written(&strategy, &other, Some(&old), &[])),
        ["spec.loadBalancerClass: Invalid value: \"x/z\": may not change once set"]
    );
    let mut other = old.clone();
    other["spec"]["clusterIP"] = json!("10.96.9.9");
    assert_eq!(
        causes_of(written(&strategy, &other, Some(&old), &[])),
        ["spec.clusterIPs[0]: Invalid value: [\"10.96.9.9\"]: may not change once set"]
    );
}

#[test]
fn a_service_status_holds_only_valid_load_balancer_addresses() {
    let strategy = strategy("", "Service");
    let status = |kind: &str, ingress: Value| {
        let object = json!({"spec": {"type": kind}, "status": {"loadBalancer": {"ingress": [ingress]}}, "metadata": {"name": "x"}});
        let causes = strategy.validate(&object, Some(&json!({"metadata": {"name": "x"}})), Some("status"));
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
