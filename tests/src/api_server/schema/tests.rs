//! Tests of schema validation, in a real server's words.

use serde_json::{Value, json};

use super::Schema;
use crate::api_server::status_error::StatusCause;
use crate::api_server::strategy::{Strategy, Strictness};
use crate::api_server::text::BodyEncoding;

fn schema(spec: &Value) -> Schema {
    let whole = json!({"type": "object", "properties": {"spec": spec, "status": spec}});
    Schema::new(&json!({"schema": {"openAPIV3Schema": whole}}))
}

fn described(causes: &[StatusCause]) -> Vec<String> {
    causes.iter().map(|cause| format!("{}: {} ({})", cause.field, cause.message, cause.reason)).collect()
}

fn violations(of_field: Value, value: Value) -> Vec<String> {
    let schema = schema(&json!({"type": "object", "properties": {"f": of_field}}));
    described(&schema.violations(&json!({"spec": {"f": value}}), None, false))
}

#[test]
fn each_constraint_has_the_real_servers_message() {
    let list = json!({"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}});
    for (of_field, value, expected) in [
        (
            json!({"type": "integer", "minimum": 2}),
            json!(1),
            "spec.f: Invalid value: 1: spec.f in body should be greater than or equal to 2 (FieldValueInvalid)",
        ),
        (
            json!({"type": "integer", "maximum": 2}),
            json!(3),
            "spec.f: Invalid value: 3: spec.f in body should be less than or equal to 2 (FieldValueInvalid)",
        ),
        (
            json!({"type": "integer"}),
            json!("3"),
            "spec.f: Invalid value: \"string\": spec.f in body must be of type integer: \"string\" (FieldValueTypeInvalid)",
        ),
        (
            json!({"type": "array"}),
            json!(null),
            "spec.f: Invalid value: \"null\": spec.f in body must be of type array: \"null\" (FieldValueTypeInvalid)",
        ),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            "spec.f: Unsupported value: \"c\": supported values: \"a\", \"b\" (FieldValueNotSupported)",
        ),
        (
            json!({"type": "string", "maxLength": 3}),
            json!("abcd"),
            "spec.f: Too long: may not be more than 3 bytes (FieldValueTooLong)",
        ),
        (
            json!({"type": "string", "minLength": 1, "pattern": "^a$"}),
            json!(""),
            "spec.f: Invalid value: \"\": spec.f in body should be at least 1 chars long (FieldValueInvalid)",
        ),
        (
            json!({"type": "string", "pattern": "^a+$"}),
            json!("b"),
            "spec.f: Invalid value: \"b\": spec.f in body should match '^a+$' (FieldValueInvalid)",
        ),
        (
            json!({"type": "string", "format": "date-time"}),
            json!("x"),
            "spec.f: Invalid value: \"x\": spec.f in body must be of type date-time: \"x\" (FieldValueTypeInvalid)",
        ),
        (
            list.clone(),
            json!([]),
            "spec.f: Invalid value: 0: spec.f in body should have at least 1 items (FieldValueInvalid)",
        ),
        (
            list.clone(),
            json!(["a", "b", "c"]),
            "spec.f: Too many: 3: must have at most 2 items (FieldValueTooMany)",
        ),
        (
            list,
            json!([1]),
            "spec.f[0]: Invalid value: \"integer\": spec.f[0] in body must be of type string: \"integer\" (FieldValueTypeInvalid)",
        ),
        (
            json!({"type": "object", "required": ["x"]}),
            json!({}),
            "spec.f.x: Required value (FieldValueRequired)",
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            "spec.f: Invalid value: \"boolean\": spec.f in body must be of type integer,string: \"boolean\" (FieldValueTypeInvalid)",
        ),
    ] {
        assert_eq!(violations(of_field, value), [expected]);
    }
    let fraction = violations(json!({"type": "integer", "format": "int64"}), json!(3.5));
    assert_eq!(
        fraction[1],
        "<nil>: Invalid value: \"\": Checked value must be of type integer with format int64 in spec.f (FieldValueInvalid)"
    );
    let large = violations(json!({"type": "integer", "maximum": 60000}), json!(1e20));
    assert_eq!(
        large[2],
        "spec.f: Invalid value: 1e+20: spec.f in body should be less than or equal to 60000 (FieldValueInvalid)"
    );
    for (of_field, value) in [
        (json!({"type": "number"}), json!(3)),
        (json!({"type": "string", "nullable": true}), json!(null)),
        (json!({"x-kubernetes-int-or-string": true}), json!("80%")),
        (json!({"type": "string", "format": "date-time"}), json!("2026-01-01T00:00:00Z")),
    ] {
        assert_eq!(violations(of_field, value), [""; 0]);
    }
}

#[test]
fn duplicate_keys_in_a_map_list_are_rejected() {
    let item = json!({"type": "object", "properties": {"type": {"type": "string"}}});
    let list = json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"], "items": item,
    });
    let found = violations(list, json!([{"type": "A"}, {"type": "A"}]));
    assert_eq!(found, ["spec.f[1]: Duplicate value: {\"type\":\"A\"} (FieldValueDuplicate)"]);
}

#[test]
fn rules_are_evaluated_and_transition_rules_only_on_updates() {
    let spec = json!({
        "type": "object",
        "x-kubernetes-validations": [{"rule": "!has(self.a) || self.a == 'x'", "message": "a is x"}],
        "properties": {
            "a": {"type": "string"},
            "fixed": {"type": "string", "x-kubernetes-validations": [
                {"rule": "self == oldSelf", "message": "this cannot be changed"}]},
            "time": {"type": "string", "x-kubernetes-validations": [
                {"rule": "duration(self).getSeconds() >= 1", "message": "at least a second"}]},
            "big": {"type": "integer", "x-kubernetes-validations": [{"rule": "self < 10"}]},
        },
    });
    let schema = schema(&spec);
    let asked = |new: Value, old: Option<Value>| {
        let old = old.map(|old| json!({"spec": old}));
        described(&schema.violations(&json!({"spec": new}), old.as_ref(), false))
    };
    assert_eq!(asked(json!({"a": "y"}), None), ["spec: Invalid value: a is x (FieldValueInvalid)"]);
    assert_eq!(asked(json!({"fixed": "n", "time": "1s", "big": 9}), None), [""; 0]);
    let words = "spec.fixed: Invalid value: \"n\": this cannot be changed (FieldValueInvalid)";
    assert_eq!(asked(json!({"fixed": "n"}), Some(json!({"fixed": "o"}))), [words]);
    assert_eq!(asked(json!({"fixed": "n"}), Some(json!({}))), [""; 0]);
    let words = "spec.time: Invalid value: \"0s\": at least a second (FieldValueInvalid)";
    assert_eq!(asked(json!({"time": "0s"}), None), [words]);
    let words = "spec.time: Invalid value: \"string\": type conversion error from 'string' to 'google.protobuf.Duration' evaluating rule: at least a second (FieldValueInvalid)";
    assert_eq!(asked(json!({"time": "soon"}), None), [words]);
    assert_eq!(
        asked(json!({"big": 10}), None),
        ["spec.big: Invalid value: 10: failed rule: self < 10 (FieldValueInvalid)"]
    );
    // Rules on a value of a wrong type cannot be evaluated.
    let found = asked(json!({"a": "y", "big": "many"}), None);
    assert_eq!(found.len(), 2);
    assert!(
        found[1].starts_with("<nil>: Invalid value: null: some validation rules were not checked"),
        "{found:?}"
    );
}

#[test]
fn unchanged_values_pass_a_stricter_schema() {
    let schema = schema(&json!({
        "type": "object", "properties": {"a": {"type": "string", "maxLength": 3}, "b": {"type": "string"}},
    }));
    let old = json!({"spec": {"a": "long value", "b": "x"}});
    let same = json!({"spec": {"a": "long value", "b": "y"}});
    assert_eq!(described(&schema.violations(&same, Some(&old), false)), [""; 0]);
    let other = json!({"spec": {"a": "other long", "b": "x"}});
    let words = "spec.a: Too long: may not be more than 3 bytes (FieldValueTooLong)";
    assert_eq!(described(&schema.violations(&other, Some(&old), false)), [words]);
}

#[test]
fn a_status_is_validated_separately() {
    let schema = schema(&json!({
        "type": "object", "required": ["r"], "properties": {"l": {"type": "array", "items": {"type": "string", "minLength": 1}}},
    }));
    let object = json!({"spec": {}, "status": {"r": 1, "l": [""]}});
    let words =
        "status.l[0]: Invalid value: \"\": l[0] in body should be at least 1 chars long (FieldValueInvalid)";
    assert_eq!(described(&schema.violations(&object, Some(&json!({"spec": {}})), true)), [words]);
}

fn strategy() -> Strategy {
    let spec = json!({
        "type": "object",
        "properties": {
            "a": {"type": "string"}, "n": {"type": "integer"}, "d": {"type": "boolean", "default": true},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "part": {"type": "object", "properties": {"d": {"type": "integer", "default": 5}}},
        },
    });
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    let definition = json!({"spec": {
        "group": "example.com", "names": {"kind": "Widget"},
        "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}],
    }});
    Strategy::custom(&definition, "v1").unwrap()
}

fn body(rest: &str) -> String {
    format!(r#"{{"apiVersion": "example.com/v1", "kind": "Widget", {rest}}}"#)
}

#[test]
fn unknown_fields_are_pruned_and_defaults_set() {
    let text = body(
        r#""metadata": {"name": "w", "labels": {}, "odd": 1}, "more": 1, "spec": {"n": 3.0, "a": null, "d": null, "x": {}, "part": {}, "open": {"y": 1}}"#,
    );
    let (object, warnings) = strategy().read(&text, BodyEncoding::Json, Strictness::Warn).unwrap();
    let expected = json!({"n": 3, "d": true, "part": {"d": 5}, "open": {"y": 1}});
    assert_eq!(
        (&object["spec"], &object["metadata"], object.get("more")),
        (&expected, &json!({"name": "w"}), None)
    );
    let expected = ["unknown field \"metadata.odd\"", "unknown field \"more\"", "unknown field \"spec.x\""];
    assert_eq!(warnings, expected);
    let (_, warnings) = strategy().read(&text, BodyEncoding::Json, Strictness::Ignore).unwrap();
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn a_strict_request_rejects_unknown_and_duplicate_fields() {
    let refuse =
        |text: &str| strategy().read(text, BodyEncoding::Json, Strictness::Strict).unwrap_err().message;
    let text = body(r#""metadata": {"name": "w"}, "spec": {"x": 1, "a": "one", "a": "two"}"#);
    assert_eq!(
        refuse(&text),
        "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: duplicate field \"spec.a\", unknown field \"spec.x\""
    );
    let yaml = "apiVersion: example.com/v1\nkind: Widget\nspec: {a: first, a: last}\n";
    let error_status = strategy().read_applied(yaml, Strictness::Strict).unwrap_err();
    assert_eq!(
        error_status.message,
        "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 3: key \"a\" already set in map"
    );
    let (object, warnings) = strategy().read_applied(yaml, Strictness::Warn).unwrap();
    assert_eq!(
        (&object["spec"]["a"], warnings.as_slice()),
        (&json!("last"), &["line 3: key \"a\" already set in map".to_owned()][..])
    );
}

#[test]
fn an_apply_must_be_an_object() {
    for (text, words) in [
        (
            "[]",
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (
            "{\"apiVersion\": ",
            "error decoding YAML: error converting YAML to JSON: yaml: line 1: did not find expected node content",
        ),
    ] {
        assert_eq!(strategy().read_applied(text, Strictness::Warn).unwrap_err().message, words);
    }
    assert_eq!(strategy().read_applied("", Strictness::Warn).unwrap().0, json!({}));
}

#[test]
fn generation_counts_changes_of_the_spec() {
    let object = |n: u32| json!({"metadata": {"name": "w"}, "spec": {"n": n}});
    let mut first = object(1);
    strategy().prepare(&mut first, None, None);
    assert_eq!(first["metadata"]["generation"], 1);
    let mut second = first.clone();
    second["metadata"]["labels"] = json!({"a": "b"});
    strategy().prepare(&mut second, Some(&first), None);
    assert_eq!(second["metadata"]["generation"], 1);
    second["spec"]["n"] = json!(2);
    strategy().prepare(&mut second, Some(&first), None);
    assert_eq!(second["metadata"]["generation"], 2);
}
