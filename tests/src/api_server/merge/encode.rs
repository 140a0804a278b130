//! The `fieldsV1` encoding of field sets.

use serde_json::{Map, Value, json};

use crate::api_server::field_set::{Element, FieldSet, Item};

/// Encodes a set.
pub(super) fn encode(set: &FieldSet) -> Value {
    let mut fields = Map::new();
    for step in &set.members {
        fields.insert(encode_step(step), json!({}));
    }
    for (step, rest) in &set.children {
        let mut below = encode(rest);
        if set.members.contains(step) {
            below["."] = json!({});
        }
        fields.insert(encode_step(step), below);
    }
    Value::Object(fields)
}

/// Decodes a set; `None` if it is invalid.
pub(super) fn decode(written: &Value) -> Option<FieldSet> {
    let mut set = FieldSet::default();
    for (step, below) in written.as_object()? {
        if step == "." {
            continue;
        }
        let step = decode_step(step)?;
        let fields = below.as_object()?;
        if fields.is_empty() || fields.contains_key(".") {
            set.members.insert(step.clone());
        }
        let below = decode(below)?;
        if !below.is_empty() {
            set.children.insert(step, below);
        }
    }
    Some(set)
}

fn encode_step(step: &Element) -> String {
    match step {
        Element::Field(name) => format!("f:{name}"),
        Element::Key(fields) => {
            let fields: Map<_, _> =
                fields.iter().map(|(name, item)| (name.clone(), item.0.clone())).collect();
            format!("k:{}", Value::Object(fields))
        }
        Element::Value(item) => format!("v:{}", item.0),
        Element::Index(place) => format!("i:{place}"),
    }
}

fn decode_step(text: &str) -> Option<Element> {
    let (kind, rest) = text.split_once(':')?;
    match kind {
        "f" => Some(Element::Field(rest.to_owned())),
        "k" => {
            let Ok(Value::Object(fields)) = serde_json::from_str(rest) else { return None };
            Some(Element::Key(fields.into_iter().map(|(name, value)| (name, Item(value))).collect()))
        }
        "v" => Some(Element::Value(Item(serde_json::from_str(rest).ok()?))),
        "i" => Some(Element::Index(rest.parse().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_sets_round_trip() {
        let written = json!({
            "f:metadata": {"f:labels": {".": {}, "f:a": {}}, "f:finalizers": {"v:\"x/y\"": {}}},
            "f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}, "f:l": {"i:0": {}}},
        });
        let set = decode(&written).unwrap();
        assert_eq!(encode(&set), written);
        assert_eq!(decode(&json!({"x": {}})), None);
    }
}
