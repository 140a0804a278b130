//! Defaults and validation of admission webhook configurations.

use serde_json::{Value, json};

use super::names::subdomain;
use crate::api_server::status_error::StatusCause;

/// Sets defaults.
pub(super) fn default(configuration: &mut Value) {
    for webhook in configuration
        .pointer_mut("/webhooks")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        for (name, value) in [
            ("failurePolicy", json!("Fail")),
            ("matchPolicy", json!("Equivalent")),
            ("namespaceSelector", json!({})),
            ("objectSelector", json!({})),
            ("timeoutSeconds", json!(10)),
        ] {
            webhook.entry(name).or_insert(value);
        }
        if let Some(service) = webhook.get_mut("clientConfig").and_then(|config| config.get_mut("service")) {
            default_port(service);
        }
        let rules = webhook.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten();
        for rule in rules.filter_map(Value::as_object_mut) {
            rule.entry("scope").or_insert_with(|| json!("*"));
        }
    }
}

/// Sets the default port of a webhook's Service.
pub(super) fn default_port(service: &mut Value) {
    if let Some(service) = service.as_object_mut() {
        service.entry("port").or_insert_with(|| json!(443));
    }
}

/// Validates a configuration.
pub(super) fn check(configuration: &Value) -> Vec<StatusCause> {
    let webhooks: Vec<&Value> = configuration["webhooks"].as_array().into_iter().flatten().collect();
    let mut causes = Vec::new();
    for (number, webhook) in webhooks.iter().enumerate() {
        let place = format!("webhooks[{number}]");
        check_webhook(webhook, &place, &mut causes);
        if webhooks.iter().take(number).any(|other| other["name"] == webhook["name"]) {
            causes.push(StatusCause::duplicate(format!("{place}.name"), &webhook["name"]));
        }
    }
    causes
}

fn check_webhook(webhook: &Value, place: &str, causes: &mut Vec<StatusCause>) {
    let text = |name: &str| webhook[name].as_str().unwrap_or_default();
    let name = text("name");
    let words = match name.split('.').count() {
        0..=2 => vec!["should be a domain with at least three segments separated by dots".to_owned()],
        _ => subdomain(name),
    };
    causes.extend(
        words.into_iter().map(|words| StatusCause::invalid(format!("{place}.name"), &webhook["name"], words)),
    );
    let effects = ["None", "NoneOnDryRun"];
    if text("sideEffects").is_empty() {
        causes.push(StatusCause::required(
            format!("{place}.sideEffects"),
            "must specify one of None, NoneOnDryRun",
        ));
    } else if !effects.contains(&text("sideEffects")) {
        causes.push(StatusCause::not_supported(
            format!("{place}.sideEffects"),
            &webhook["sideEffects"],
            &effects,
        ));
    }
    let versions = webhook["admissionReviewVersions"].as_array().map_or(&[][..], Vec::as_slice);
    let versions_at = format!("{place}.admissionReviewVersions");
    if versions.is_empty() {
        causes.push(StatusCause::required(versions_at, "must specify one of v1, v1beta1"));
    } else if !versions.iter().any(|version| version == "v1" || version == "v1beta1") {
        let words = "must include at least one of v1, v1beta1";
        causes.push(StatusCause::invalid(versions_at, &json!(versions), words));
    }
    let seconds = &webhook["timeoutSeconds"];
    if !seconds.as_i64().is_some_and(|seconds| (1..=30).contains(&seconds)) {
        let words = "the timeout value must be between 1 and 30 seconds";
        causes.push(StatusCause::invalid(format!("{place}.timeoutSeconds"), seconds, words));
    }
    for (field, known) in [("failurePolicy", ["Fail", "Ignore"]), ("matchPolicy", ["Equivalent", "Exact"])] {
        if !known.contains(&text(field)) {
            causes.push(StatusCause::not_supported(format!("{place}.{field}"), &webhook[field], &known));
        }
    }
    check_client(&webhook["clientConfig"], &format!("{place}.clientConfig"), causes);
}

/// Validates a webhook's client configuration.
pub(super) fn check_client(client: &Value, place: &str, causes: &mut Vec<StatusCause>) {
    let url = client["url"].as_str();
    if url.is_some() == client["service"].is_object() {
        causes.push(StatusCause::required(place, "exactly one of url or service is required"));
        return;
    }
    let Some(url) = url else { return };
    const FORM: &str = "; desired format: https://host[/path]";
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if scheme != "https" {
        let words = format!("'https' is the only allowed URL scheme{FORM}");
        causes.push(StatusCause::invalid(format!("{place}.url"), &json!(scheme), words));
    }
}
