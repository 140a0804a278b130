//! Validation of the status of a Service, and warnings.

use std::net::IpAddr;

use serde_json::Value;

use super::balances;
use crate::api_server::builtin::address::address;
use crate::api_server::builtin::names::subdomain;
use crate::api_server::status_error::StatusCause;

fn ingress(service: &Value) -> impl Iterator<Item = &Value> {
    service["status"]["loadBalancer"]["ingress"].as_array().into_iter().flatten()
}

/// Validates a status.
pub(in crate::api_server::builtin) fn check_status(service: &Value, old: Option<&Value>) -> Vec<StatusCause> {
    let place = "status.loadBalancer.ingress";
    let mut causes = Vec::new();
    if ingress(service).next().is_some() && !balances(service) {
        let same = old.is_some_and(|old| ingress(old).eq(ingress(service)));
        if !same {
            causes.push(StatusCause::forbidden(place, "may only be used when `spec.type` is 'LoadBalancer'"));
        }
        return causes;
    }
    for (number, ingress) in ingress(service).enumerate() {
        check_ingress(ingress, &format!("{place}[{number}]"), &mut causes);
    }
    causes
}

fn check_ingress(ingress: &Value, place: &str, causes: &mut Vec<StatusCause>) {
    let ip = ingress["ip"].as_str().filter(|ip| !ip.is_empty());
    if let Some(words) = ip.and_then(address) {
        causes.push(StatusCause::invalid(format!("{place}.ip"), &ingress["ip"], words));
    }
    let mode = &ingress["ipMode"];
    if mode.is_string() {
        let place = format!("{place}.ipMode");
        if ip.is_none() {
            causes.push(StatusCause::forbidden(place, "may not be specified when `ip` is not set"));
        } else if mode != "VIP" && mode != "Proxy" {
            causes.push(StatusCause::not_supported(place, mode, &["Proxy", "VIP"]));
        }
    }
    if let Some(name) = ingress["hostname"].as_str().filter(|name| !name.is_empty()) {
        let place = format!("{place}.hostname");
        let words = subdomain(name).into_iter();
        causes.extend(words.map(|words| StatusCause::invalid(place.clone(), &ingress["hostname"], words)));
        if name.parse::<IpAddr>().is_ok() {
            let words = "must be a DNS name, not an IP address";
            causes.push(StatusCause::invalid(place, &ingress["hostname"], words));
        }
    }
}

/// Returns warnings for the client.
pub(in crate::api_server::builtin) fn warnings(service: &Value, old: Option<&Value>) -> Vec<String> {
    let mut found = Vec::new();
    if old.is_some_and(|old| old["status"] != service["status"]) {
        for (place, ingress) in ingress(service).enumerate() {
            let text = ingress["ip"].as_str().unwrap_or_default();
            if let Ok(IpAddr::V6(address)) = text.parse()
                && address.to_string() != text
            {
                found.push(format!(
                    "status.loadBalancer.ingress[{place}]: IPv6 address {text:?} should be in RFC 5952 canonical format (\"{address}\")"
                ));
            }
        }
    }
    if service["spec"]["trafficDistribution"] == "PreferClose"
        && old.is_none_or(|old| old["spec"]["trafficDistribution"] != "PreferClose")
    {
        found.push(
            "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".to_owned(),
        );
    }
    found
}
