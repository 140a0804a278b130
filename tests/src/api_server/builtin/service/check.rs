//! Validation of Services.

use serde_json::{Value, json};

use super::{balances, families, has_cluster_ip, has_health_port, is_external, is_headless, list, text};
use crate::api_server::builtin::address::{address, network, special};
use crate::api_server::builtin::names::{label, port_name, qualified, subdomain};
use crate::api_server::status_error::StatusCause;

const POLICIES: [&str; 2] = ["Cluster", "Local"];
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const ONLY_BALANCED: &str = "may only be used when `type` is 'LoadBalancer'";

/// Validates a Service.
pub(in crate::api_server::builtin) fn check(service: &Value, old: Option<&Value>) -> Vec<StatusCause> {
    let mut causes = Vec::new();
    check_type(service, &mut causes);
    check_ports(service, &mut causes);
    check_affinity(service, &mut causes);
    families::check(service, old, &mut causes);
    check_outside(service, &mut causes);
    check_policies(service, &mut causes);
    check_balancing(service, &mut causes);
    check_class(service, None, &mut causes);
    if let Some(old) = old {
        check_class(service, Some(old), &mut causes);
        if has_health_port(service)
            && has_health_port(old)
            && service["spec"]["healthCheckNodePort"] != old["spec"]["healthCheckNodePort"]
        {
            causes.push(StatusCause::forbidden("spec.healthCheckNodePort", "field is immutable"));
        }
    }
    causes
}

fn check_type(service: &Value, causes: &mut Vec<StatusCause>) {
    let types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    let kind = text(service, "type");
    if !types.contains(&kind) {
        causes.push(StatusCause::not_supported("spec.type", &json!(kind), &types));
    }
    if kind == "ExternalName" {
        let name = text(service, "externalName");
        if name.is_empty() {
            causes.push(StatusCause::required("spec.externalName", ""));
        } else {
            let words = subdomain(name.trim_end_matches('.'));
            causes.extend(
                words.into_iter().map(|words| StatusCause::invalid("spec.externalName", &json!(name), words)),
            );
        }
    } else if list(service, "ports").is_empty() && !is_headless(service) {
        causes.push(StatusCause::required("spec.ports", ""));
    }
    if matches!(kind, "LoadBalancer" | "NodePort") && is_headless(service) {
        let words = format!("may not be set to 'None' for {kind} services");
        causes.push(StatusCause::invalid("spec.clusterIPs[0]", &json!("None"), words));
    }
}

fn check_ports(service: &Value, causes: &mut Vec<StatusCause>) {
    let ports = list(service, "ports");
    for (number, port) in ports.iter().enumerate() {
        let place = format!("spec.ports[{number}]");
        let earlier = ports.get(..number).unwrap_or_default();
        check_port(port, &place, ports.len() > 1, causes);
        let name = &port["name"];
        if name.is_string() && earlier.iter().any(|other| other["name"] == *name) {
            causes.push(StatusCause::duplicate(format!("{place}.name"), name));
        }
        if earlier.iter().any(|other| other["port"] == port["port"] && other["protocol"] == port["protocol"])
        {
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":{},\"AppProtocol\":null,\"Port\":{},\"TargetPort\":0,\"NodePort\":0}}",
                port["protocol"], port["port"]
            );
            causes.push(StatusCause {
                reason: "FieldValueDuplicate",
                field: place.clone(),
                message: format!("Duplicate value: {shown}"),
            });
        }
        if port.get("nodePort").is_some() && text(service, "type") == "ClusterIP" {
            let words = "may not be used when `type` is 'ClusterIP'";
            causes.push(StatusCause::forbidden(format!("{place}.nodePort"), words));
        }
    }
}

fn check_port(port: &Value, place: &str, named: bool, causes: &mut Vec<StatusCause>) {
    let name = port["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        if named {
            causes.push(StatusCause::required(format!("{place}.name"), ""));
        }
    } else {
        let words = label(name).into_iter();
        causes.extend(words.map(|words| StatusCause::invalid(format!("{place}.name"), &port["name"], words)));
    }
    const RANGE: &str = "must be between 1 and 65535, inclusive";
    let outside = |number: &Value| !number.as_i64().is_some_and(|number| (1..=65_535).contains(&number));
    if outside(&port["port"]) {
        causes.push(StatusCause::invalid(format!("{place}.port"), &port["port"], RANGE));
    }
    let protocols = ["SCTP", "TCP", "UDP"];
    if !protocols.iter().any(|known| port["protocol"] == *known) {
        causes.push(StatusCause::not_supported(format!("{place}.protocol"), &port["protocol"], &protocols));
    }
    let target = format!("{place}.targetPort");
    match &port["targetPort"] {
        Value::String(name) => {
            let words = port_name(name).into_iter();
            causes
                .extend(words.map(|words| StatusCause::invalid(target.clone(), &port["targetPort"], words)));
        }
        number if outside(number) => causes.push(StatusCause::invalid(target, number, RANGE)),
        _ => {}
    }
    if let Some(protocol) = port["appProtocol"].as_str() {
        let words = qualified(protocol).into_iter();
        causes.extend(
            words.map(|words| {
                StatusCause::invalid(format!("{place}.appProtocol"), &port["appProtocol"], words)
            }),
        );
    }
}

fn check_affinity(service: &Value, causes: &mut Vec<StatusCause>) {
    let affinity = &service["spec"]["sessionAffinity"];
    if affinity != "ClientIP" && affinity != "None" {
        causes.push(StatusCause::not_supported("spec.sessionAffinity", affinity, &["ClientIP", "None"]));
    }
    let seconds = &service["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"];
    if seconds.as_i64().is_some_and(|seconds| !(1..=86_400).contains(&seconds)) {
        let words = "must be greater than 0 and less than 86400";
        causes.push(StatusCause::invalid(
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            seconds,
            words,
        ));
    }
}

fn check_outside(service: &Value, causes: &mut Vec<StatusCause>) {
    for (place, value) in list(service, "externalIPs").iter().enumerate() {
        let place = format!("spec.externalIPs[{place}]");
        let text = value.as_str().unwrap_or_default();
        let words = address(text).or_else(|| special(text.parse().ok()?));
        causes.extend(words.map(|words| StatusCause::invalid(place, value, words)));
    }
    let ranges = list(service, "loadBalancerSourceRanges");
    if !ranges.is_empty() && !balances(service) {
        causes.push(StatusCause::forbidden("spec.LoadBalancerSourceRanges", ONLY_BALANCED));
        return;
    }
    for (place, value) in ranges.iter().enumerate() {
        let place = format!("spec.LoadBalancerSourceRanges[{place}]");
        let words = network(value.as_str().unwrap_or_default().trim());
        causes.extend(words.map(|words| StatusCause::invalid(place, value, words)));
    }
    let annotation = service["metadata"]["annotations"][SOURCE_RANGES].as_str().unwrap_or_default();
    let place = format!("metadata.annotations[{SOURCE_RANGES}]");
    if ranges.is_empty() && !annotation.trim().is_empty() {
        if balances(service) {
            let words = annotation.split(',').find_map(|range| network(range.trim()));
            causes.extend(words.map(|words| StatusCause::invalid(place, &json!(annotation), words)));
        } else {
            causes.push(StatusCause::forbidden(place, ONLY_BALANCED));
        }
    }
}

fn check_policies(service: &Value, causes: &mut Vec<StatusCause>) {
    let policy = &service["spec"]["externalTrafficPolicy"];
    if policy.is_string() {
        if !is_external(service) {
            let words = "may only be set for externally-accessible services";
            causes.push(StatusCause::invalid("spec.externalTrafficPolicy", policy, words));
        } else if !POLICIES.iter().any(|known| policy == known) {
            causes.push(StatusCause::not_supported("spec.externalTrafficPolicy", policy, &POLICIES));
        }
    }
    if service["spec"].get("healthCheckNodePort").is_some() && !has_health_port(service) {
        let words = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        causes.push(StatusCause::invalid(
            "spec.healthCheckNodePort",
            &service["spec"]["healthCheckNodePort"],
            words,
        ));
    }
    let policy = &service["spec"]["internalTrafficPolicy"];
    if has_cluster_ip(service) && !POLICIES.iter().any(|known| policy == known) {
        causes.push(StatusCause::not_supported("spec.internalTrafficPolicy", policy, &POLICIES));
    }
    let known = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    if let Some(value) = service["spec"].get("trafficDistribution")
        && !known.iter().any(|known| value == known)
    {
        causes.push(StatusCause::not_supported("spec.trafficDistribution", value, &known));
    }
}

fn check_balancing(service: &Value, causes: &mut Vec<StatusCause>) {
    let ports = service["spec"].get("allocateLoadBalancerNodePorts");
    if ports.is_some() && !balances(service) {
        causes.push(StatusCause::forbidden("spec.allocateLoadBalancerNodePorts", ONLY_BALANCED));
    }
}

fn check_class(service: &Value, old: Option<&Value>, causes: &mut Vec<StatusCause>) {
    let place = "spec.loadBalancerClass";
    let class = service["spec"].get("loadBalancerClass");
    if let Some(old) = old.filter(|old| balances(old) && balances(service)) {
        if class != old["spec"].get("loadBalancerClass") {
            let shown = class.unwrap_or(&Value::Null);
            causes.push(StatusCause::invalid(place, shown, "may not change once set"));
        }
        return;
    }
    let Some(class) = class else { return };
    if !balances(service) {
        causes.push(StatusCause::forbidden(place, ONLY_BALANCED));
        return;
    }
    let words = qualified(class.as_str().unwrap_or_default()).into_iter();
    causes.extend(words.map(|words| StatusCause::invalid(place, class, words)));
}
