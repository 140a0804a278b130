//! Defaults and validation of CustomResourceDefinitions.

use serde_json::{Value, json};

use super::names::{label_1035, subdomain};
use super::webhooks::default_port;
use crate::api_server::status_error::StatusCause;

const APPROVAL: &str = "api-approved.kubernetes.io";

/// Sets defaults.
pub(super) fn default(definition: &mut Value) {
    let Some(spec) = definition.pointer_mut("/spec").and_then(Value::as_object_mut) else { return };
    if let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) {
        let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !kind.is_empty() {
            names.entry("singular").or_insert_with(|| json!(kind.to_lowercase()));
            names.entry("listKind").or_insert_with(|| json!(format!("{kind}List")));
        }
    }
    let conversion = spec.entry("conversion").or_insert_with(|| json!({"strategy": "None"}));
    if let Some(service) = conversion.pointer_mut("/webhook/clientConfig/service") {
        default_port(service);
    }
}

fn versions(definition: &Value) -> &[Value] {
    definition["spec"]["versions"].as_array().map_or(&[], Vec::as_slice)
}

fn stored(definition: &Value) -> impl Iterator<Item = &Value> {
    versions(definition).iter().filter(|version| version["storage"] == true).map(|version| &version["name"])
}

/// Records the stored versions.
pub(super) fn prepare(new: &mut Value, _old: Option<&Value>) {
    let mut all: Vec<Value> = new["status"]["storedVersions"].as_array().cloned().unwrap_or_default();
    let now: Vec<Value> = stored(new).cloned().collect();
    for version in now {
        if !all.contains(&version) {
            all.push(version);
        }
    }
    if !all.is_empty() {
        new["status"]["storedVersions"] = json!(all);
    }
}

/// Validates a definition.
pub(super) fn check(definition: &Value, old: Option<&Value>) -> Vec<StatusCause> {
    let mut causes = Vec::new();
    check_names(definition, old, &mut causes);
    check_versions(definition, &mut causes);
    check_stored(definition, &mut causes);
    check_conversion(definition, &mut causes);
    let several = versions(definition).len() > 1;
    for (number, version) in versions(definition).iter().enumerate() {
        let place = if several {
            format!("spec.versions[{number}].schema.openAPIV3Schema")
        } else {
            "spec.validation.openAPIV3Schema".to_owned()
        };
        let schema = &version["schema"]["openAPIV3Schema"];
        if schema.is_object() {
            check_schema(schema, &place, &mut causes);
        } else {
            let place = format!("spec.versions[{number}].schema.openAPIV3Schema");
            causes.push(StatusCause::required(place, ""));
        }
    }
    causes
}

fn check_names(definition: &Value, old: Option<&Value>, causes: &mut Vec<StatusCause>) {
    let spec = &definition["spec"];
    let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (group, plural) = (text("/group"), text("/names/plural"));
    let name = definition["metadata"]["name"].as_str().unwrap_or_default();
    if old.is_some_and(|old| old["spec"]["group"] != spec["group"]) {
        causes.push(StatusCause::invalid("spec.group", &spec["group"], "field is immutable"));
        return;
    }
    if name != format!("{plural}.{group}") {
        let words = "must be spec.names.plural+\".\"+spec.group";
        causes.push(StatusCause::invalid("metadata.name", &json!(name), words));
    }
    if group.is_empty() {
        causes.push(StatusCause::required("spec.group", ""));
    } else if !group.contains('.') {
        causes.push(StatusCause::invalid(
            "spec.group",
            &spec["group"],
            "should be a domain with at least one dot",
        ));
    } else {
        let words = subdomain(group).into_iter();
        causes.extend(words.map(|words| StatusCause::invalid("spec.group", &spec["group"], words)));
    }
    let scopes = ["Cluster", "Namespaced"];
    if text("/scope").is_empty() {
        causes.push(StatusCause::required("spec.scope", ""));
    } else if !scopes.contains(&text("/scope")) {
        causes.push(StatusCause::not_supported("spec.scope", &spec["scope"], &scopes));
    }
    for field in ["plural", "kind"] {
        if text(&format!("/names/{field}")).is_empty() {
            causes.push(StatusCause::required(format!("spec.names.{field}"), ""));
        }
    }
    let protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group == *domain || group.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')));
    if protected && definition["metadata"]["annotations"].get(APPROVAL).is_none() {
        let words = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111";
        causes.push(StatusCause::required(format!("metadata.annotations[{APPROVAL}]"), words));
    }
}

fn check_versions(definition: &Value, causes: &mut Vec<StatusCause>) {
    for (number, version) in versions(definition).iter().enumerate() {
        let name = version["name"].as_str().unwrap_or_default();
        for words in label_1035(name) {
            causes.push(StatusCause::invalid(
                format!("spec.versions[{number}].name"),
                &version["name"],
                &words,
            ));
            if number == 0 {
                causes.push(StatusCause::invalid("spec.version", &version["name"], words));
            }
        }
    }
    if stored(definition).count() != 1 {
        let shown: Vec<String> = versions(definition).iter().map(shown).collect();
        let words = "must have exactly one version marked as storage version";
        causes.push(StatusCause {
            reason: "FieldValueInvalid",
            field: "spec.versions".to_owned(),
            message: format!("Invalid value: [{}]: {words}", shown.join(",")),
        });
    }
}

/// Formats a version as Go does, without its schema.
fn shown(version: &Value) -> String {
    format!(
        "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":null,\"Subresources\":null,\"AdditionalPrinterColumns\":null,\"SelectableFields\":null}}",
        version["name"],
        version["served"] == true,
        version["storage"] == true,
        version["deprecated"] == true,
        version["deprecationWarning"],
    )
}

fn check_stored(definition: &Value, causes: &mut Vec<StatusCause>) {
    let stored = definition["status"]["storedVersions"].as_array().map_or(&[][..], Vec::as_slice);
    if stored.is_empty() {
        let words = "must have at least one stored version";
        causes.push(StatusCause::invalid("status.storedVersions", &Value::Null, words));
    }
    for (number, name) in stored.iter().enumerate() {
        if versions(definition).iter().any(|version| version["name"] == *name) {
            continue;
        }
        let text = name.as_str().unwrap_or_default();
        let words = format!(
            "missing from spec.versions; {text} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {text} and removes {text} from status.storedVersions"
        );
        causes.push(StatusCause::invalid(format!("status.storedVersions[{number}]"), name, words));
    }
}

fn check_conversion(definition: &Value, causes: &mut Vec<StatusCause>) {
    let conversion = &definition["spec"]["conversion"];
    let strategies = ["None", "Webhook"];
    if !strategies.iter().any(|known| conversion["strategy"] == *known) {
        let place = "spec.conversion.strategy";
        causes.push(StatusCause::not_supported(place, &conversion["strategy"], &strategies));
        return;
    }
    let words = "should not be set when strategy is not set to Webhook";
    let webhook = &conversion["webhook"];
    if conversion["strategy"] == "None" && webhook.is_object() {
        if webhook["clientConfig"].is_object() {
            causes.push(StatusCause::forbidden("spec.conversion.webhookClientConfig", words));
        }
        if webhook["conversionReviewVersions"].as_array().is_some_and(|versions| !versions.is_empty()) {
            causes.push(StatusCause::forbidden("spec.conversion.conversionReviewVersions", words));
        }
    }
}

/// Reports parts of a schema that are not structural, and rules that name undefined fields.
fn check_schema(schema: &Value, place: &str, causes: &mut Vec<StatusCause>) {
    let untyped = schema["x-kubernetes-int-or-string"] == true
        || schema["x-kubernetes-preserve-unknown-fields"] == true;
    if schema["type"].as_str().is_none_or(str::is_empty) && !untyped {
        let words = if place.ends_with("openAPIV3Schema") {
            "must not be empty at the root"
        } else if place.ends_with(".items") {
            "must not be empty for specified array items"
        } else {
            "must not be empty for specified object fields"
        };
        causes.push(StatusCause::required(format!("{place}.type"), words));
    }
    for (number, rule) in schema["x-kubernetes-validations"].as_array().into_iter().flatten().enumerate() {
        let text = rule["rule"].as_str().unwrap_or_default();
        if let Some(words) = uncompiled(schema, text) {
            causes.push(broken_rule(
                rule,
                &format!("{place}.x-kubernetes-validations[{number}].rule"),
                &words,
            ));
        }
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        check_schema(schema, &format!("{place}.properties[{name}]"), causes);
    }
    for (field, schema) in
        [("items", &schema["items"]), ("additionalProperties", &schema["additionalProperties"])]
    {
        if schema.is_object() {
            check_schema(schema, &format!("{place}.{field}"), causes);
        }
    }
}

fn broken_rule(rule: &Value, place: &str, words: &str) -> StatusCause {
    let text = |name: &str| rule.get(name).cloned().unwrap_or_else(|| json!(""));
    let shown = format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{},\"FieldPath\":{},\"OptionalOldSelf\":{}}}",
        text("rule"),
        text("message"),
        text("messageExpression"),
        rule["reason"],
        text("fieldPath"),
        rule["optionalOldSelf"],
    );
    StatusCause {
        reason: "FieldValueInvalid",
        field: place.to_owned(),
        message: format!("Invalid value: {shown}: compilation failed: {words}"),
    }
}

/// Returns why a rule does not compile, as far as can be known without types: it does not parse, or names a
/// field of `self` that the schema lacks.
fn uncompiled(schema: &Value, rule: &str) -> Option<String> {
    if let Err(error) = cel::Program::compile(rule) {
        return Some(error.to_string());
    }
    if schema["type"] != "object" || schema["additionalProperties"].is_object() {
        return None;
    }
    for (place, _) in rule.match_indices("self.") {
        let before = rule[..place].chars().last();
        if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == '.') {
            continue;
        }
        let rest = &rule[place + "self.".len()..];
        let name: String =
            rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
        let method = rest[name.len()..].starts_with('(');
        if !method && schema["properties"].get(&name).is_none() {
            let dot = place + "self".len();
            return Some(format!(
                "ERROR: <input>:1:{}: undefined field '{name}'\n | {rule}\n | {}^",
                dot + 1,
                ".".repeat(dot)
            ));
        }
    }
    None
}
