//! Defaults of a Service, and fields that depend on its type.

use serde_json::{Map, Value, json};

use super::{balances, has_cluster_ip, has_health_port, has_node_ports, is_external, list, text};
use crate::api_server::objects::set;

/// Default timeout of session affinity, in seconds.
const AFFINITY_SECONDS: u32 = 10_800;

/// Sets defaults.
pub(in crate::api_server::builtin) fn default(service: &mut Value) {
    let balances_load = {
        let Some(spec) = service.get_mut("spec").and_then(Value::as_object_mut) else { return };
        fill(spec, "sessionAffinity", || json!("None"));
        fill(spec, "type", || json!("ClusterIP"));
        if spec["sessionAffinity"] == "ClientIP" {
            fill(spec, "sessionAffinityConfig", || json!({"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}}));
        } else if spec["sessionAffinity"] == "None" {
            spec.remove("sessionAffinityConfig");
        }
        let kind = spec["type"].as_str().unwrap_or_default().to_owned();
        if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
            fill(spec, "externalTrafficPolicy", || json!("Cluster"));
        }
        if matches!(kind.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
            fill(spec, "internalTrafficPolicy", || json!("Cluster"));
        }
        if kind == "LoadBalancer" {
            fill(spec, "allocateLoadBalancerNodePorts", || json!(true));
        }
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            default_port(port);
        }
        kind == "LoadBalancer"
    };
    let ingress = service.pointer_mut("/status/loadBalancer/ingress").and_then(Value::as_array_mut);
    for ingress in ingress.into_iter().flatten().filter_map(Value::as_object_mut).filter(|_| balances_load) {
        if ingress.contains_key("ip") {
            fill(ingress, "ipMode", || json!("VIP"));
        }
    }
}

fn default_port(port: &mut Value) {
    let Some(port) = port.as_object_mut() else { return };
    fill(port, "protocol", || json!("TCP"));
    if port.get("targetPort").is_none_or(|target| *target == 0 || *target == "") {
        let number = port.get("port").cloned().unwrap_or_else(|| json!(0));
        port.insert("targetPort".to_owned(), number);
    }
}

fn fill(fields: &mut Map<String, Value>, name: &str, value: impl Fn() -> Value) {
    if fields.get(name).is_none_or(|there| *there == "" || there.is_null()) {
        fields.insert(name.to_owned(), value());
    }
}

/// Prepares a write: synchronizes `clusterIP` and `clusterIPs`, keeps allocated values that an update omits,
/// and drops fields that the new type does not have.
pub(in crate::api_server::builtin) fn prepare(new: &mut Value, old: Option<&Value>) {
    keep_allocated(new, old);
    agree_on_addresses(new, old);
    let Some(old) = old else {
        return;
    };
    drop_of_type(new, old);
    go_back_to_one(new, old);
    if !balances(new) {
        new["status"]["loadBalancer"] = json!({});
    }
}

fn agree_on_addresses(new: &mut Value, old: Option<&Value>) {
    let first = text(new, "clusterIP").to_owned();
    let all = list(new, "clusterIPs").to_vec();
    let (old_first, old_all) = old.map_or_else(Default::default, |old| {
        (text(old, "clusterIP").to_owned(), list(old, "clusterIPs").to_vec())
    });
    let Some(spec) = new.pointer_mut("/spec").and_then(Value::as_object_mut) else { return };
    if old.is_none() || old_first.is_empty() {
        if !first.is_empty() && all.is_empty() {
            spec.insert("clusterIPs".to_owned(), json!([first]));
        }
        return;
    }
    if first != old_first && all == old_all {
        if first.is_empty() {
            spec.remove("clusterIPs");
        } else {
            let rest = all.iter().skip(1).cloned();
            let all: Vec<Value> = [json!(first)].into_iter().chain(rest).collect();
            spec.insert("clusterIPs".to_owned(), json!(all));
        }
    } else if first == old_first && all != old_all {
        match all.first() {
            None => spec.remove("clusterIP"),
            Some(first) => spec.insert("clusterIP".to_owned(), first.clone()),
        };
    }
}

/// Keeps allocated values that a replacement omits.
fn keep_allocated(new: &mut Value, old: Option<&Value>) {
    let Some(old) = old else { return };
    if has_cluster_ip(old) && has_cluster_ip(new) {
        for name in ["clusterIP", "clusterIPs"] {
            if new["spec"].get(name).is_none() && text(new, "clusterIP") != "None" {
                let kept = old["spec"].get(name).cloned();
                if let (Some(spec), Some(kept)) =
                    (new.pointer_mut("/spec").and_then(Value::as_object_mut), kept)
                {
                    spec.insert(name.to_owned(), kept);
                }
            }
        }
    }
    if has_health_port(old)
        && has_health_port(new)
        && new["spec"].get("healthCheckNodePort").is_none()
        && let Some(port) = old["spec"].get("healthCheckNodePort")
    {
        new["spec"]["healthCheckNodePort"] = port.clone();
    }
    if has_node_ports(old) && has_node_ports(new) {
        let named: Vec<Value> =
            list(new, "ports").iter().filter_map(|port| port.get("nodePort")).cloned().collect();
        for port in new.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
            let same =
                |other: &&Value| other["port"] == port["port"] && other["protocol"] == port["protocol"];
            let kept = list(old, "ports").iter().find(same).and_then(|other| other.get("nodePort"));
            if let Some(kept) = kept.filter(|kept| port.get("nodePort").is_none() && !named.contains(kept)) {
                port["nodePort"] = kept.clone();
            }
        }
    }
}

/// Drops fields of the old type that the new type does not have, unless they were changed as well.
fn drop_of_type(new: &mut Value, old: &Value) {
    let node_ports = |service: &Value| -> Vec<Value> {
        list(service, "ports").iter().filter_map(|port| port.get("nodePort")).cloned().collect()
    };
    let same = |new: &Value, name: &str| new["spec"].get(name) == old["spec"].get(name);
    let mut gone: Vec<&str> = Vec::new();
    if has_cluster_ip(old) && !has_cluster_ip(new) && same(new, "clusterIP") && same(new, "clusterIPs") {
        gone.extend(["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"]);
    }
    if has_health_port(old) && !has_health_port(new) && same(new, "healthCheckNodePort") {
        gone.push("healthCheckNodePort");
    }
    if balances(old) && !balances(new) {
        gone.extend(
            ["allocateLoadBalancerNodePorts", "loadBalancerClass"].iter().filter(|name| same(new, name)),
        );
    }
    if is_external(old) && !is_external(new) && same(new, "externalTrafficPolicy") {
        gone.push("externalTrafficPolicy");
    }
    let ports_go = has_node_ports(old) && !has_node_ports(new) && text(new, "type") != "LoadBalancer";
    let ports_go = ports_go && node_ports(new) == node_ports(old);
    let Some(spec) = new.pointer_mut("/spec").and_then(Value::as_object_mut) else { return };
    for name in gone {
        set(spec, name, None);
    }
    if ports_go {
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(port) = port.as_object_mut() {
                port.remove("nodePort");
            }
        }
    }
}

/// Keeps the first family of a dual-stack Service that returns to one.
fn go_back_to_one(new: &mut Value, old: &Value) {
    let single = |service: &Value| text(service, "ipFamilyPolicy") == "SingleStack";
    if single(old) || !single(new) {
        return;
    }
    for name in ["clusterIPs", "ipFamilies"] {
        if new["spec"].get(name) == old["spec"].get(name)
            && let Some(items) = new.pointer_mut(&format!("/spec/{name}")).and_then(Value::as_array_mut)
        {
            items.truncate(1);
        }
    }
}
