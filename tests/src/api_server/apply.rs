//! Server-side apply: a manager states all fields that it wants, and loses those that it does not state any more.

use serde_json::{Map, Value};

/// The object after a manager has applied its fields. `before` is what it applied last.
pub(super) fn apply(object: &mut Value, before: &Value, wanted: &Value) {
    take_away(object, before, wanted);
    lay_on(object, wanted);
}

/// Removes what was stated before and is not any more.
fn take_away(object: &mut Value, before: &Value, wanted: &Value) {
    let (Some(object), Some(before)) = (object.as_object_mut(), before.as_object()) else { return };
    for (key, stated) in before {
        match (wanted.get(key), object.get_mut(key)) {
            (Some(wanted), Some(value)) if stated.is_object() => take_away(value, stated, wanted),
            (Some(_), _) => {}
            // What only holds other fields may hold those of others.
            (None, Some(value)) if stated.is_object() => {
                take_away(value, stated, &Value::Null);
                if value.as_object().is_some_and(Map::is_empty) {
                    object.remove(key);
                }
            }
            (None, _) => {
                object.remove(key);
            }
        }
    }
}

fn lay_on(object: &mut Value, wanted: &Value) {
    let Some(fields) = wanted.as_object() else {
        *object = wanted.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    for (key, value) in fields {
        match (&mut object[key], value) {
            (Value::Array(there), Value::Array(conditions)) if key == "conditions" => {
                by_type(there, conditions);
            }
            (there, value) => lay_on(there, value),
        }
    }
}

/// Conditions are a list by name, but a map by meaning.
fn by_type(there: &mut Vec<Value>, conditions: &[Value]) {
    for condition in conditions {
        match there.iter_mut().find(|other| other.get("type") == condition.get("type")) {
            Some(other) => lay_on(other, condition),
            None => there.push(condition.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_stated_any_more_goes_and_what_is_others_stays() {
        let mut object = json!({"a": 1, "m": {"mine": 1, "theirs": 2}, "l": [1, 2]});
        let before = json!({"a": 1, "m": {"mine": 1}, "l": [1, 2]});
        apply(&mut object, &before, &json!({"b": 2, "l": [3]}));
        assert_eq!(object, json!({"b": 2, "m": {"theirs": 2}, "l": [3]}));
    }

    #[test]
    fn conditions_go_by_their_type() {
        let mut object =
            json!({"conditions": [{"type": "A", "status": "True"}, {"type": "B", "status": "True"}]});
        apply(&mut object, &json!({}), &json!({"conditions": [{"type": "B", "status": "False"}]}));
        let expected = json!([{"type": "A", "status": "True"}, {"type": "B", "status": "False"}]);
        assert_eq!(object["conditions"], expected);
    }
}
