//! The diff of actual and desired status objects.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::desired::{DesiredObject, DesiredStatus};
use super::kind::StatusKind;

/// A status object on the server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ActualObject {
    pub(super) version: u64,
    pub(super) labels: BTreeMap<String, String>,
    /// The UIDs of its owners.
    pub(super) owners: Vec<String>,
    pub(super) status: Value,
}

/// The objects of a kind, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Listing {
    /// They have not been listed yet.
    #[default]
    Pending,
    /// The cluster does not define the kind.
    Undefined,
    /// All objects, by name.
    Objects(BTreeMap<String, ActualObject>),
}

/// An operation on an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum StatusOperation<'a> {
    /// Apply the status; labels and owner as well if `metadata`.
    Apply { desired: &'a DesiredObject, metadata: bool },
    /// Delete the object.
    Delete,
}

/// Returns the operations that lead to the desired state, in order. Kinds that have not been listed are left
/// alone.
pub(super) fn operations<'a>(
    desired: &'a DesiredStatus,
    actual: &BTreeMap<StatusKind, Listing>,
    owner: Option<&str>,
) -> Vec<((StatusKind, String), StatusOperation<'a>)> {
    let mut operations = Vec::new();
    for (kind, listing) in actual {
        let Listing::Objects(objects) = listing else { continue };
        let is_desired = |name: &String| desired.objects.contains_key(&(*kind, name.clone()));
        let superfluous = objects.keys().filter(|name| !is_desired(name));
        operations.extend(superfluous.map(|name| ((*kind, name.clone()), StatusOperation::Delete)));
    }
    for (key, desired) in &desired.objects {
        let Some(Listing::Objects(objects)) = actual.get(&key.0) else { continue };
        let metadata = match objects.get(&key.1) {
            Some(actual) if has_metadata(actual, key.0, desired, owner) => {
                if contains(&actual.status, &desired.status) {
                    continue;
                }
                false
            }
            _ => true,
        };
        operations.push((key.clone(), StatusOperation::Apply { desired, metadata }));
    }
    operations
}

fn has_metadata(
    actual: &ActualObject,
    kind: StatusKind,
    desired: &DesiredObject,
    owner: Option<&str>,
) -> bool {
    let (label, value) = kind.owner_label();
    let has_label = |key: &str, value: &str| actual.labels.get(key).map(String::as_str) == Some(value);
    has_label(label, value)
        && desired.labels.iter().all(|(key, value)| has_label(key, value))
        && owner.is_none_or(|owner| actual.owners.iter().any(|uid| uid == owner))
}

/// Returns whether a value contains all that is desired, whatever else it contains. A desired empty field may
/// be missing.
fn contains(actual: &Value, desired: &Value) -> bool {
    match (actual, desired) {
        (Value::Object(actual), Value::Object(desired)) => desired
            .iter()
            .all(|(key, value)| actual.get(key).map_or(is_empty(value), |it| contains(it, value))),
        (Value::Array(actual), Value::Array(desired)) => {
            actual.len() == desired.len()
                && actual.iter().zip(desired).all(|(actual, desired)| contains(actual, desired))
        }
        _ => actual == desired,
    }
}

fn is_empty(value: &Value) -> bool {
    matches!(value, Value::Null) || *value == "" || value.as_array().is_some_and(Vec::is_empty)
}

/// Adds `lastTransitionTime` to the conditions of a status: the previous time if the condition's status has
/// not changed.
pub(super) fn with_transition_times(mut status: Value, before: Option<&Value>, now: &str) -> Value {
    let since = |condition: &Map<String, Value>| {
        let previous = before?.get("conditions")?.as_array()?;
        let same = |key: &str, it: &Value| it.get(key) == condition.get(key);
        let found = previous.iter().find(|it| same("type", it) && same("status", it))?;
        Some(found.get("lastTransitionTime")?.as_str()?.to_owned())
    };
    let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten().filter_map(Value::as_object_mut) {
        let time = since(condition).unwrap_or_else(|| now.to_owned());
        condition.insert("lastTransitionTime".to_owned(), time.into());
    }
    status
}

#[cfg(test)]
mod tests {
    use super::super::desired::StatusComponent;
    use super::*;
    use serde_json::json;

    /// Applies an operation list to the actual state; returns a description of each operation.
    fn execute(
        actual: &mut BTreeMap<StatusKind, Listing>,
        operations: Vec<((StatusKind, String), StatusOperation<'_>)>,
        owner: Option<&str>,
    ) -> Vec<String> {
        let mut done = Vec::new();
        for ((kind, name), operation) in operations {
            let Some(Listing::Objects(objects)) = actual.get_mut(&kind) else { panic!("{kind:?}") };
            match operation {
                StatusOperation::Delete => {
                    done.push(format!("delete {name}"));
                    objects.remove(&name).unwrap();
                }
                StatusOperation::Apply { desired, metadata } => {
                    done.push(format!("{} {name}", if metadata { "apply" } else { "status" }));
                    let object = objects.entry(name).or_default();
                    if metadata {
                        let labels = desired.labels.iter().map(|(k, v)| ((*k).to_owned(), v.clone()));
                        object.labels = labels.collect();
                        let (key, value) = kind.owner_label();
                        object.labels.insert(key.to_owned(), value.to_owned());
                        object.owners = owner.map(str::to_owned).into_iter().collect();
                    }
                    object.status =
                        with_transition_times(desired.status.clone(), Some(&object.status), "now");
                }
            }
        }
        done
    }

    fn services(list: &[(&str, &[&str])]) -> DesiredStatus {
        let mut desired = DesiredStatus::default();
        for (name, peers) in list {
            let peers: Vec<String> = peers.iter().map(|it| (*it).to_owned()).collect();
            desired.set_service_bgp("n1", "shop", name, &peers);
        }
        desired.set_configuration(StatusComponent::Agent("n1"), &[], &[]);
        desired
    }

    #[test]
    fn operations_lead_to_the_desired_state_and_a_second_diff_is_empty() {
        let none = || Listing::Objects(BTreeMap::new());
        let mut actual =
            BTreeMap::from([(StatusKind::ServiceBgp, none()), (StatusKind::Configuration, none())]);
        /// Services and their peers, the owner, and the expected operations.
        type Step =
            (&'static [(&'static str, &'static [&'static str])], &'static str, &'static [&'static str]);
        let steps: [Step; 5] = [
            (
                &[("a", &["p"]), ("b", &["p"])],
                "1",
                &["apply speaker-n1", "apply bgp-a.shop.n1", "apply bgp-b.shop.n1"],
            ),
            (&[("a", &["p", "q"]), ("b", &["p"])], "1", &["status bgp-a.shop.n1"]),
            (&[("b", &["p"]), ("c", &["p"])], "1", &["delete bgp-a.shop.n1", "apply bgp-c.shop.n1"]),
            (&[("b", &["p"]), ("c", &["p"])], "1", &[]),
            // A pod that replaces this one takes over all objects.
            (
                &[("b", &["p"]), ("c", &["p"])],
                "2",
                &["apply speaker-n1", "apply bgp-b.shop.n1", "apply bgp-c.shop.n1"],
            ),
        ];
        for (desired, owner, expected) in steps {
            let desired = services(desired);
            let todo = operations(&desired, &actual, Some(owner));
            assert_eq!(execute(&mut actual, todo, Some(owner)), expected);
            assert_eq!(operations(&desired, &actual, Some(owner)), []);
        }
    }

    #[test]
    fn kinds_that_have_not_been_listed_are_left_alone() {
        let actual = BTreeMap::from([
            (StatusKind::ServiceBgp, Listing::Pending),
            (StatusKind::Configuration, Listing::Undefined),
            (StatusKind::Session, Listing::Objects(BTreeMap::new())),
        ]);
        assert_eq!(operations(&services(&[("a", &["p"])]), &actual, None), []);
    }

    #[test]
    fn fields_of_other_writers_stay_and_changed_fields_are_restored() {
        let actual = json!({"node": "n", "peers": ["p"], "more": 1, "conditions": [{"type": "A", "at": 7}]});
        assert!(contains(
            &actual,
            &json!({"node": "n", "peers": ["p"], "vrf": "", "conditions": [{"type": "A"}]})
        ));
        for desired in
            [json!({"node": "m"}), json!({"peers": []}), json!({"peers": ["p", "q"]}), json!({"x": 1})]
        {
            assert!(!contains(&actual, &desired), "{desired}");
        }
    }

    #[test]
    fn a_condition_keeps_its_transition_time_until_its_status_changes() {
        let condition = |status: &str, message: &str| json!({"conditions": [{"type": "A", "status": status, "message": message}]});
        let first = with_transition_times(condition("False", "x"), None, "1");
        assert_eq!(first["conditions"][0]["lastTransitionTime"], "1");
        let second = with_transition_times(condition("False", "y"), Some(&first), "2");
        assert_eq!(second["conditions"][0]["lastTransitionTime"], "1");
        let third = with_transition_times(condition("True", ""), Some(&second), "3");
        assert_eq!(third["conditions"][0]["lastTransitionTime"], "3");
    }
}
