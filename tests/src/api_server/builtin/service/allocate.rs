//! Allocation of cluster IPs and node ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::{families, has_cluster_ip, has_health_port, has_node_ports, is_headless, list, text};
use crate::api_server::status_error::StatusCause;

const NODE_PORTS: RangeInclusive<i64> = 30_000..=32_767;

/// Allocates the missing addresses and ports of a Service, unique among Services.
///
/// # Errors
/// The requested values that are not available.
pub(in crate::api_server) fn allocate(
    new: &mut Value,
    old: Option<&Value>,
    others: &[Value],
) -> Result<(), Vec<StatusCause>> {
    families::complete(new).map_err(|cause| vec![cause])?;
    if has_cluster_ip(new) && !is_headless(new) {
        addresses(new, old, others).map_err(|cause| vec![cause])?;
    }
    let mut taken = taken_ports(others);
    let before = old.map(|old| taken_ports(std::slice::from_ref(old))).unwrap_or_default();
    let mut causes = Vec::new();
    let give = has_node_ports(new);
    for (place, port) in
        new.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten().enumerate()
    {
        let protocol = port["protocol"].as_str().unwrap_or_default().to_owned();
        match port["nodePort"].as_i64() {
            Some(number) => {
                let place = format!("spec.ports[{place}].nodePort");
                let known = before.contains(&(protocol.clone(), number));
                causes.extend(
                    refused(number, &protocol, &taken, known)
                        .map(|words| StatusCause::invalid(place, &json!(number), words)),
                );
                taken.push((protocol, number));
            }
            None if give => {
                if let Some(number) = free(&taken, &protocol) {
                    port["nodePort"] = json!(number);
                    taken.push((protocol, number));
                }
            }
            None => {}
        }
    }
    if has_health_port(new)
        && new["spec"].get("healthCheckNodePort").is_none()
        && let Some(number) = free(&taken, "TCP")
    {
        new["spec"]["healthCheckNodePort"] = json!(number);
    }
    if causes.is_empty() { Ok(()) } else { Err(causes) }
}

fn refused(number: i64, protocol: &str, taken: &[(String, i64)], known: bool) -> Option<&'static str> {
    if known {
        None
    } else if !NODE_PORTS.contains(&number) {
        Some("provided port is not in the valid range. The range of valid ports is 30000-32767")
    } else if taken.iter().any(|(other, port)| *port == number && other == protocol) {
        Some("provided port is already allocated")
    } else {
        None
    }
}

fn free(taken: &[(String, i64)], protocol: &str) -> Option<i64> {
    NODE_PORTS.clone().find(|number| !taken.iter().any(|(other, port)| port == number && other == protocol))
}

fn taken_ports(services: &[Value]) -> Vec<(String, i64)> {
    let of = |service: &Value| -> Vec<(String, i64)> {
        let ports = list(service, "ports").iter().filter_map(|port| {
            Some((port["protocol"].as_str().unwrap_or("TCP").to_owned(), port["nodePort"].as_i64()?))
        });
        let health = service["spec"]["healthCheckNodePort"].as_i64().map(|port| ("TCP".to_owned(), port));
        ports.chain(health).collect()
    };
    services.iter().flat_map(of).collect()
}

fn addresses(new: &mut Value, old: Option<&Value>, others: &[Value]) -> Result<(), StatusCause> {
    let taken: Vec<Value> = others.iter().flat_map(|other| list(other, "clusterIPs")).cloned().collect();
    let before = old.map_or(&[][..], |old| list(old, "clusterIPs"));
    let mut found: Vec<Value> = list(new, "clusterIPs").to_vec();
    for address in found.iter().filter(|address| !before.contains(address)) {
        let Some(asked) = address.as_str().and_then(|text| text.parse::<IpAddr>().ok()) else { continue };
        let words = if !in_range(asked) {
            "the provided network does not match the current range"
        } else if taken.contains(address) {
            "provided IP is already allocated"
        } else {
            continue;
        };
        let words = format!("failed to allocate IP {asked}: {words}");
        return Err(StatusCause::invalid("spec.clusterIPs", &json!(found), words));
    }
    let families: Vec<Value> = list(new, "ipFamilies").to_vec();
    for family in families.iter().skip(found.len()) {
        let address = (1..u16::MAX).map(|number| json!(numbered(family == "IPv6", number)));
        found.extend(address.into_iter().find(|address| !taken.contains(address)));
    }
    found.truncate(families.len());
    if let Some(first) = found.first().filter(|_| text(new, "type") != "ExternalName") {
        new["spec"]["clusterIP"] = first.clone();
        new["spec"]["clusterIPs"] = json!(found);
    }
    Ok(())
}

fn in_range(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets().starts_with(&[10, 96]),
        IpAddr::V6(address) => address.segments().starts_with(&[0xfd00, 0x96, 0, 0, 0, 0, 0]),
    }
}

fn numbered(six: bool, number: u16) -> String {
    let [high, low] = number.to_be_bytes();
    if six {
        Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, number).to_string()
    } else {
        Ipv4Addr::new(10, 96, high, low).to_string()
    }
}
