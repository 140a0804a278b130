//! Address families of a Service, in a dual-stack cluster.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{has_cluster_ip, is_headless, list, text};
use crate::api_server::status_error::StatusCause;

/// Returns the family of an address.
pub(super) fn family(address: &Value) -> Option<&'static str> {
    match address.as_str()?.parse().ok()? {
        IpAddr::V4(_) => Some("IPv4"),
        IpAddr::V6(_) => Some("IPv6"),
    }
}

/// Validates families, their policy and the addresses.
pub(super) fn check(service: &Value, old: Option<&Value>, causes: &mut Vec<StatusCause>) {
    let families = list(service, "ipFamilies");
    for (place, family) in families.iter().enumerate() {
        let field = format!("spec.ipFamilies[{place}]");
        if family != "IPv4" && family != "IPv6" {
            causes.push(StatusCause::not_supported(field, family, &["IPv4", "IPv6"]));
        } else if families.iter().take(place).any(|other| other == family) {
            causes.push(StatusCause::duplicate(field, family));
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    if let Some(policy) = service["spec"].get("ipFamilyPolicy")
        && !policies.iter().any(|known| policy == known)
    {
        causes.push(StatusCause::not_supported("spec.ipFamilyPolicy", policy, &policies));
    }
    check_addresses(service, old, causes);
}

fn check_addresses(service: &Value, old: Option<&Value>, causes: &mut Vec<StatusCause>) {
    let addresses = list(service, "clusterIPs");
    if !has_cluster_ip(service) {
        if !addresses.is_empty() {
            causes
                .push(StatusCause::forbidden("spec.clusterIPs", "may not be set for ExternalName services"));
        }
        return;
    }
    let before = old.filter(|old| has_cluster_ip(old)).map_or(&[][..], |old| list(old, "clusterIPs"));
    if before.first().is_some_and(|first| Some(first) != addresses.first()) {
        let shown = if addresses.is_empty() { Value::Null } else { json!(addresses) };
        causes.push(StatusCause::invalid("spec.clusterIPs[0]", &shown, "may not change once set"));
        return;
    }
    if is_headless(service) {
        return;
    }
    for (place, address) in addresses.iter().enumerate() {
        let field = format!("spec.clusterIPs[{place}]");
        let text = address.as_str().unwrap_or_default();
        if let Some(words) = crate::api_server::builtin::address::address(text) {
            causes.push(StatusCause::invalid(field, address, words));
            continue;
        }
        let wanted = list(service, "ipFamilies").get(place).and_then(Value::as_str);
        if let Some(wanted) = wanted.filter(|wanted| family(address) != Some(*wanted)) {
            let words = format!("expected an {wanted} value as indicated by `ipFamilies[{place}]`");
            causes.push(StatusCause::invalid(field, address, words));
        }
    }
}

/// Completes policy and families.
///
/// # Errors
/// When two families are given with policy SingleStack.
pub(super) fn complete(service: &mut Value) -> Result<(), StatusCause> {
    if !has_cluster_ip(service) {
        return Ok(());
    }
    let headless = is_headless(service);
    let selects = service["spec"]["selector"].as_object().is_some_and(|selector| !selector.is_empty());
    let mut families: Vec<Value> = list(service, "ipFamilies").to_vec();
    if families.is_empty() && !headless {
        families = list(service, "clusterIPs").iter().filter_map(family).map(Value::from).collect();
    }
    let both = headless && !selects && families.is_empty();
    let policy = match text(service, "ipFamilyPolicy") {
        "" if both => "RequireDualStack".to_owned(),
        "" => "SingleStack".to_owned(),
        policy => policy.to_owned(),
    };
    if policy == "SingleStack" && families.len() > 1 {
        let words = "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified";
        return Err(StatusCause::invalid("spec.ipFamilyPolicy", &json!(policy), words));
    }
    if families.is_empty() {
        families.push(json!("IPv4"));
    }
    if policy != "SingleStack" && families.len() == 1 {
        families.push(if families[0] == "IPv4" { json!("IPv6") } else { json!("IPv4") });
    }
    service["spec"]["ipFamilyPolicy"] = json!(policy);
    service["spec"]["ipFamilies"] = json!(families);
    Ok(())
}
