//! Defaults and validation of Services.

mod allocate;
mod check;
mod families;
mod prepare;
mod status;
#[cfg(test)]
mod tests;

pub(in crate::api_server) use allocate::allocate;
pub(super) use check::check;
pub(super) use prepare::{default, prepare};
pub(super) use status::{check_status, warnings};

use serde_json::Value;

fn text<'a>(service: &'a Value, name: &str) -> &'a str {
    service["spec"][name].as_str().unwrap_or_default()
}

fn list<'a>(service: &'a Value, name: &str) -> &'a [Value] {
    service["spec"][name].as_array().map_or(&[], Vec::as_slice)
}

fn balances(service: &Value) -> bool {
    text(service, "type") == "LoadBalancer"
}

fn has_cluster_ip(service: &Value) -> bool {
    matches!(text(service, "type"), "ClusterIP" | "NodePort" | "LoadBalancer")
}

fn is_headless(service: &Value) -> bool {
    text(service, "clusterIP") == "None"
        || list(service, "clusterIPs").first().is_some_and(|first| first == "None")
}

fn has_node_ports(service: &Value) -> bool {
    text(service, "type") == "NodePort"
        || balances(service) && service["spec"]["allocateLoadBalancerNodePorts"] != false
}

/// Returns whether it is reachable from outside of the cluster.
fn is_external(service: &Value) -> bool {
    matches!(text(service, "type"), "NodePort" | "LoadBalancer") || !list(service, "externalIPs").is_empty()
}

fn has_health_port(service: &Value) -> bool {
    balances(service) && text(service, "externalTrafficPolicy") == "Local"
}
