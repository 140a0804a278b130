//! Validation and conversion of Events, which are the same objects in two groups.

use serde_json::{Value, json};

use super::names::qualified;
use crate::api_server::status_error::StatusCause;
use crate::api_server::types::root;

/// Fields whose names differ: in the core group, and in `events.k8s.io`.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Immutable fields, by their names in the core group.
const FIXED: [&str; 12] = [
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "reason",
    "type",
    "eventTime",
    "action",
    "related",
];

/// Converts an Event to a group.
pub(in crate::api_server) fn convert_event(event: &Value, api_version: &str) -> Value {
    let Some(fields) = event.as_object() else { return event.clone() };
    let to_core = api_version == "v1";
    let renamed = |name: &String| {
        let pair = NAMES.iter().find(|(core, new)| *name == if to_core { *new } else { *core });
        pair.map_or_else(
            || name.clone(),
            |(core, new)| if to_core { (*core).to_owned() } else { (*new).to_owned() },
        )
    };
    let mut fields: serde_json::Map<String, Value> =
        fields.iter().map(|(name, value)| (renamed(name), value.clone())).collect();
    fields.insert("apiVersion".to_owned(), json!(api_version));
    let mut event = Value::Object(fields);
    let group = if to_core { "" } else { "events.k8s.io" };
    if let Some(of) = root(group, "Event") {
        // One group always writes strings that the other omits.
        super::write(&of, &mut event);
    }
    event
}

/// Validates an Event in a group.
pub(super) fn check(group: &str, event: &Value, old: Option<&Value>) -> Vec<StatusCause> {
    let core = convert_event(event, "v1");
    let new_style = group == "events.k8s.io";
    let reporter = if new_style { "reportingController" } else { "reportingComponent" };
    let mut causes = Vec::new();
    if let Some(old) = old {
        if new_style {
            check_change(&core, &convert_event(old, "v1"), &mut causes);
        }
        return causes;
    }
    check_place(&core, &mut causes);
    if core["eventTime"].is_string() {
        check_report(&core, reporter, &mut causes);
    }
    if new_style {
        check_new(&core, &mut causes);
    }
    causes
}

fn check_place(core: &Value, causes: &mut Vec<StatusCause>) {
    let namespace = core["metadata"]["namespace"].as_str().unwrap_or_default();
    let about = core["involvedObject"]["namespace"].as_str().unwrap_or_default();
    let fits = if about.is_empty() {
        ["", "default", "kube-system"].contains(&namespace)
    } else {
        // An Event with an event time may be in another namespace.
        about == namespace || core["eventTime"].is_string()
    };
    if !fits {
        let words = "does not match event.namespace";
        causes.push(StatusCause::invalid("involvedObject.namespace", &json!(about), words));
    }
}

fn check_report(core: &Value, reporter: &str, causes: &mut Vec<StatusCause>) {
    let text = |name: &str| core[name].as_str().unwrap_or_default();
    let name = text("reportingComponent");
    if name.is_empty() {
        causes.push(StatusCause::required(reporter, ""));
    }
    causes
        .extend(qualified(name).into_iter().map(|words| StatusCause::invalid(reporter, &json!(name), words)));
    for field in ["reportingInstance", "action", "reason"] {
        if text(field).is_empty() {
            causes.push(StatusCause::required(field, ""));
        }
        if text(field).len() > 128 {
            causes.push(StatusCause::invalid(field, &json!(""), "can have at most 128 characters"));
        }
    }
    if text("message").len() > 1024 {
        causes.push(StatusCause::invalid("message", &json!(""), "can have at most 1024 characters"));
    }
}

fn check_new(core: &Value, causes: &mut Vec<StatusCause>) {
    check_series(core, causes);
    if !core["eventTime"].is_string() {
        causes.push(StatusCause::required("eventTime", ""));
    }
    let kind = core["type"].as_str().unwrap_or_default();
    if !["Normal", "Warning"].contains(&kind) {
        causes.push(StatusCause::invalid("type", &json!(""), format!("has invalid value: {kind}")));
    }
    for field in ["firstTimestamp", "lastTimestamp", "count"] {
        if core.get(field).is_some_and(|value| !value.is_null() && *value != 0) {
            causes.push(StatusCause::invalid(field, &json!(""), "needs to be unset"));
        }
    }
    if core["source"].as_object().is_some_and(|source| !source.is_empty()) {
        causes.push(StatusCause::invalid("source", &json!(""), "needs to be unset"));
    }
}

fn check_series(core: &Value, causes: &mut Vec<StatusCause>) {
    let Some(series) = core.get("series").filter(|series| series.is_object()) else { return };
    if series["count"].as_i64().unwrap_or_default() < 2 {
        causes.push(StatusCause::invalid("series.count", &json!(""), "should be at least 2"));
    }
    if !series["lastObservedTime"].is_string() {
        causes.push(StatusCause::required("series.lastObservedTime", ""));
    }
}

fn check_change(core: &Value, old: &Value, causes: &mut Vec<StatusCause>) {
    if core.get("series") != old.get("series") {
        check_series(core, causes);
    }
    for field in FIXED.into_iter().chain(["reportingComponent", "reportingInstance"]) {
        if core.get(field) != old.get(field) {
            let place = if field == "reportingComponent" { "reportingController" } else { field };
            causes.push(StatusCause::invalid(place, &core[field], "field is immutable"));
        }
    }
}
