//! Tests of applies, updates and field managers, against a real server's answers.

use serde_json::{Value, json};

use super::*;

/// A kind in two versions; the second lacks a field.
struct Widgets(Value);

impl Widgets {
    fn new() -> Self {
        let spec = |fields: Value| {
            let list = json!({"type": "array", "items": {"type": "string"}});
            let conditions = json!({
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                "items": {"type": "object", "properties": {"type": {"type": "string"}, "status": {"type": "string"}}},
            });
            let mut properties = json!({
                "a": {"type": "string"}, "b": {"type": "boolean"}, "list": list,
                "part": {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}},
                "conditions": conditions,
            });
            for (name, schema) in fields.as_object().into_iter().flatten() {
                properties[name] = schema.clone();
            }
            json!({"type": "object", "properties": properties})
        };
        let version = |name: &str, fields: Value| {
            let schema = json!({"type": "object", "properties": {"spec": spec(fields.clone()), "status": spec(fields)}});
            json!({"name": name, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": schema}})
        };
        Self(json!({"spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"kind": "Widget"},
            "versions": [version("v1", json!({"old": {"type": "string"}})), version("v2", json!({}))],
        }}))
    }
}

impl VersionConverter for Widgets {
    fn strategy(&self, api_version: &str) -> Option<Strategy> {
        Strategy::custom(&self.0, api_version.strip_prefix("example.com/")?)
    }

    fn convert(&self, object: &Value, api_version: &str) -> Result<Option<Value>, String> {
        let Some(strategy) = self.strategy(api_version) else { return Ok(None) };
        let mut object = object.clone();
        object["apiVersion"] = json!(api_version);
        strategy.show(&mut object);
        Ok(Some(object))
    }
}

fn writer<'a>(manager: &'a str, now: &'a str) -> FieldWriter<'a> {
    FieldWriter { manager, subresource: None, api_version: "example.com/v1", now }
}

fn widget(spec: &Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec})
}

fn applied(live: Option<&Value>, manager: &str, spec: &Value, force: bool) -> Result<Value, StatusError> {
    apply(live, &widget(spec), &writer(manager, "2026-01-01T00:00:01Z"), &Widgets::new(), force)
}

/// Returns the owners: manager, operation and fields.
fn owners(object: &Value) -> Vec<(String, String, Value)> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    entries
        .iter()
        .map(|entry| (text(&entry["manager"]), text(&entry["operation"]), entry["fieldsV1"].clone()))
        .collect()
}

fn owner(manager: &str, operation: &str, fields: Value) -> (String, String, Value) {
    (manager.to_owned(), operation.to_owned(), fields)
}

#[test]
fn applied_fields_are_owned_and_a_second_apply_changes_nothing() {
    let spec = json!({"a": "x", "list": [], "part": {}});
    let first = applied(None, "m1", &spec, false).unwrap();
    let fields = json!({"f:spec": {"f:a": {}, "f:list": {}, "f:part": {}}});
    assert_eq!(owners(&first), [owner("m1", "Apply", fields)]);
    assert_eq!(first["spec"], spec);
    let later = writer("m1", "2026-01-01T00:00:09Z");
    let again = apply(Some(&first), &widget(&spec), &later, &Widgets::new(), false).unwrap();
    assert_eq!(again, first);
}

#[test]
fn a_conflict_names_each_field_of_other_managers_and_can_be_forced() {
    let there = applied(None, "m1", &json!({"a": "x", "b": true}), false).unwrap();
    let error_status = applied(Some(&there), "m2", &json!({"a": "y"}), false).unwrap_err();
    assert_eq!(error_status.message, "Apply failed with 1 conflict: conflict with \"m1\": .spec.a");
    let error_status = applied(Some(&there), "m2", &json!({"a": "y", "b": false}), false).unwrap_err();
    assert_eq!(
        (error_status.code, error_status.message.as_str()),
        (409, "Apply failed with 2 conflicts: conflicts with \"m1\":\n- .spec.a\n- .spec.b")
    );
    assert_eq!(error_status.details.unwrap()["causes"][1]["field"], ".spec.b");
    let forced = applied(Some(&there), "m2", &json!({"a": "y"}), true).unwrap();
    assert_eq!(forced["spec"], json!({"a": "y", "b": true}));
    let expected = [
        owner("m1", "Apply", json!({"f:spec": {"f:b": {}}})),
        owner("m2", "Apply", json!({"f:spec": {"f:a": {}}})),
    ];
    assert_eq!(owners(&forced), expected);
}

#[test]
fn a_conflict_with_an_updater_names_its_version() {
    let new =
        track(None, widget(&json!({"a": "x"})), &writer("writer", "2026-01-01T00:00:00Z"), &Widgets::new());
    assert_eq!(owners(&new), [owner("writer", "Update", json!({"f:spec": {".": {}, "f:a": {}}}))]);
    let error_status = applied(Some(&new), "m1", &json!({"a": "y"}), false).unwrap_err();
    let words = "Apply failed with 1 conflict: conflict with \"writer\" using example.com/v1: .spec.a";
    assert_eq!(error_status.message, words);
    // The same value is no conflict: both own it, and only the ownership has changed.
    let both = applied(Some(&new), "m1", &json!({"a": "x"}), false).unwrap();
    assert_eq!(owners(&both)[0], owner("m1", "Apply", json!({"f:spec": {"f:a": {}}})));
    assert_eq!(both["metadata"]["managedFields"][0].get("time"), None);
}

#[test]
fn an_omitted_field_is_removed_if_no_other_manager_owns_it() {
    let there = applied(None, "m1", &json!({"a": "x", "part": {"x": 1, "y": 2}}), false).unwrap();
    let there = applied(Some(&there), "m2", &json!({"part": {"x": 1}}), false).unwrap();
    let there = applied(Some(&there), "m1", &json!({"b": true}), false).unwrap();
    assert_eq!(there["spec"], json!({"b": true, "part": {"x": 1}}));
    let there = applied(Some(&there), "m2", &json!({}), false).unwrap();
    assert_eq!(there["spec"], json!({"b": true}));
}

#[test]
fn a_null_owns_its_field_and_removes_the_fields_below() {
    let there = applied(None, "m1", &json!({"a": "x", "part": {"x": 1}}), false).unwrap();
    let there = applied(Some(&there), "m1", &json!({"a": "x", "part": null}), false).unwrap();
    assert_eq!(there["spec"], json!({"a": "x", "part": {}}));
    assert_eq!(owners(&there), [owner("m1", "Apply", json!({"f:spec": {"f:a": {}, "f:part": {}}}))]);
}

#[test]
fn an_emptied_map_or_list_is_null() {
    let there =
        applied(None, "m1", &json!({"part": {"x": 1}, "conditions": [{"type": "A"}]}), false).unwrap();
    let new = applied(Some(&there), "m1", &json!({"part": {}, "conditions": null}), false).unwrap();
    assert_eq!(new["spec"], json!({"part": null, "conditions": null}));
}

#[test]
fn items_of_an_associative_list_are_owned_individually() {
    let conditions = |names: &[(&str, &str)]| {
        let items: Vec<Value> =
            names.iter().map(|(kind, status)| json!({"type": kind, "status": status})).collect();
        json!({"conditions": items})
    };
    let there = applied(None, "m1", &conditions(&[("A", "x"), ("B", "x")]), false).unwrap();
    let there = applied(Some(&there), "m2", &conditions(&[("C", "x")]), false).unwrap();
    let there = applied(Some(&there), "m1", &conditions(&[("B", "y"), ("D", "x")]), false).unwrap();
    assert_eq!(there["spec"], conditions(&[("B", "y"), ("C", "x"), ("D", "x")]));
    let key = "k:{\"type\":\"C\"}";
    let fields = json!({"f:spec": {"f:conditions": {key: {".": {}, "f:status": {}, "f:type": {}}}}});
    assert!(owners(&there).contains(&owner("m2", "Apply", fields)));
    for (spec, words) in [
        (
            json!({"conditions": [{"type": "B"}, {"type": "B"}]}),
            ".spec.conditions: duplicate entries for key [type=\"B\"]",
        ),
        (
            json!({"conditions": [{"status": "x"}]}),
            ".spec.conditions: element 0: associative list with keys has an element that omits all key fields [\"type\"] (and doesn't have default values for any key fields)",
        ),
        (json!({"none": 1}), ".spec.none: field not declared in schema"),
        (json!({"b": "yes"}), ".spec.b: expected boolean, got &{yes}"),
        (json!({"a": 1}), ".spec.a: expected string, got &value.valueUnstructured{Value:1}"),
    ] {
        let error_status = applied(Some(&there), "m1", &spec, true).unwrap_err();
        let expected =
            format!("failed to create typed patch object (/w; example.com/v1, Kind=Widget): {words}");
        assert_eq!((error_status.code, error_status.message), (500, expected));
    }
}

#[test]
fn a_subresource_owns_only_the_fields_it_writes() {
    let there = applied(None, "m1", &json!({"a": "x"}), false).unwrap();
    let mut status = widget(&json!({"a": "other"}));
    status["status"] = json!({"a": "s"});
    let to_status = FieldWriter { subresource: Some("status"), ..writer("m1", "2026-01-01T00:00:02Z") };
    let new = apply(Some(&there), &status, &to_status, &Widgets::new(), true).unwrap();
    let expected = [
        owner("m1", "Apply", json!({"f:spec": {"f:a": {}}})),
        owner("m1", "Apply", json!({"f:status": {"f:a": {}}})),
    ];
    assert_eq!(owners(&new), expected);
    assert_eq!(new["metadata"]["managedFields"][1]["subresource"], "status");
}

#[test]
fn after_managed_fields_are_cleared_an_apply_starts_from_before_first_apply() {
    let there = applied(None, "m1", &json!({"a": "x", "b": true}), false).unwrap();
    let mut cleared = there.clone();
    cleared["metadata"]["managedFields"] = json!([{}]);
    let cleared = track(Some(&there), cleared, &writer("m2", "2026-01-01T00:00:02Z"), &Widgets::new());
    assert_eq!(cleared["metadata"].get("managedFields"), None);
    let there = applied(Some(&cleared), "m1", &json!({"a": "x"}), false).unwrap();
    assert_eq!(there["spec"], json!({"a": "x", "b": true}));
    let expected = [
        owner("m1", "Apply", json!({"f:spec": {"f:a": {}}})),
        owner("before-first-apply", "Update", json!({"f:spec": {".": {}, "f:a": {}, "f:b": {}}})),
    ];
    assert_eq!(owners(&there), expected);
}

#[test]
fn a_manager_that_applies_in_two_versions_has_one_entry() {
    let there = applied(None, "m1", &json!({"a": "x", "old": "o"}), false).unwrap();
    let mut in_v2 = Widgets::new().convert(&there, "example.com/v2").unwrap().unwrap();
    in_v2["metadata"] = there["metadata"].clone();
    let mut config = widget(&json!({"b": true}));
    config["apiVersion"] = json!("example.com/v2");
    let to_v2 = FieldWriter { api_version: "example.com/v2", ..writer("m1", "2026-01-01T00:00:02Z") };
    let new = apply(Some(&in_v2), &config, &to_v2, &Widgets::new(), false).unwrap();
    assert_eq!(new["spec"], json!({"b": true}));
    assert_eq!(owners(&new), [owner("m1", "Apply", json!({"f:spec": {"f:b": {}}}))]);
    assert_eq!(new["metadata"]["managedFields"][0]["apiVersion"], "example.com/v2");
}

#[test]
fn a_write_that_changes_only_times_is_no_change() {
    let there = applied(None, "m1", &json!({"a": "x"}), false).unwrap();
    let mut new = there.clone();
    new["metadata"]["managedFields"][0]["time"] = json!("2026-01-01T00:00:09Z");
    settle(&there, &mut new);
    assert_eq!(new, there);
    let mut other = there.clone();
    other["spec"]["a"] = json!("y");
    let changed = other.clone();
    settle(&there, &mut other);
    assert_eq!(other, changed);
}

#[test]
fn more_than_ten_updaters_are_merged_into_ancient_changes() {
    let mut there = applied(None, "m", &json!({"a": "x"}), false).unwrap();
    for number in 0..14 {
        let mut new = there.clone();
        new["metadata"]["annotations"][format!("n{number}")] = json!("x");
        let (name, now) = (format!("u{number:02}"), format!("2026-01-01T00:00:{number:02}Z"));
        there = track(Some(&there), new, &writer(&name, &now), &Widgets::new());
    }
    let updating = owners(&there).iter().filter(|(_, operation, _)| operation == "Update").count();
    assert_eq!(updating, 10);
    assert!(owners(&there).iter().any(|(manager, ..)| manager == "ancient-changes"));
}
