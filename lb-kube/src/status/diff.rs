//! From what is held to what is wanted.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::desired::{Statement, Wanted};
use super::kind::Kind;

/// What is held of an object by the server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct HeldObject {
    pub(super) version: u64,
    pub(super) labels: BTreeMap<String, String>,
    /// The UIDs of its owners.
    pub(super) owners: Vec<String>,
    pub(super) status: Value,
}

/// What is known of the objects of a kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Listed {
    /// Nothing yet.
    #[default]
    Awaited,
    /// The cluster does not define the kind.
    Undefined,
    /// All of them, by name.
    Objects(BTreeMap<String, HeldObject>),
}

/// What has to be done about an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operation<'a> {
    /// It shall say this. Labels and owner are written if `metadata`.
    State { statement: &'a Statement, metadata: bool },
    /// It shall not be there.
    Delete,
}

/// What has to be done, in this order. Kinds that have not been listed are left alone.
pub(super) fn operations<'a>(
    wanted: &'a Wanted,
    held: &BTreeMap<Kind, Listed>,
    owner: Option<&str>,
) -> Vec<((Kind, String), Operation<'a>)> {
    let mut operations = Vec::new();
    for (kind, listed) in held {
        let Listed::Objects(listed) = listed else { continue };
        let is_wanted = |name: &String| wanted.objects.contains_key(&(*kind, name.clone()));
        let superfluous = listed.keys().filter(|name| !is_wanted(name));
        operations.extend(superfluous.map(|name| ((*kind, name.clone()), Operation::Delete)));
    }
    for (key, statement) in &wanted.objects {
        let Some(Listed::Objects(listed)) = held.get(&key.0) else { continue };
        let metadata = match listed.get(&key.1) {
            Some(object) if has_metadata(object, key.0, statement, owner) => {
                if holds(&object.status, &statement.status) {
                    continue;
                }
                false
            }
            _ => true,
        };
        operations.push((key.clone(), Operation::State { statement, metadata }));
    }
    operations
}

fn has_metadata(object: &HeldObject, kind: Kind, statement: &Statement, owner: Option<&str>) -> bool {
    let (label, value) = kind.owner_label();
    let says = |key: &str, value: &str| object.labels.get(key).map(String::as_str) == Some(value);
    says(label, value)
        && statement.labels.iter().all(|(key, value)| says(key, value))
        && owner.is_none_or(|owner| object.owners.iter().any(|uid| uid == owner))
}

/// Whether an object says all that is wanted, whatever else it says. What is wanted to be empty need not be there.
fn holds(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (Value::Object(there), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| there.get(key).map_or(is_empty(value), |it| holds(it, value)))
        }
        (Value::Array(there), Value::Array(wanted)) => {
            there.len() == wanted.len()
                && there.iter().zip(wanted).all(|(there, wanted)| holds(there, wanted))
        }
        _ => there == wanted,
    }
}

fn is_empty(value: &Value) -> bool {
    matches!(value, Value::Null) || *value == "" || value.as_array().is_some_and(Vec::is_empty)
}

/// A status with the times at which its conditions came to be as they are: where one has been so before, that time.
pub(super) fn stamped(mut status: Value, before: Option<&Value>, now: &str) -> Value {
    let since = |condition: &Map<String, Value>| {
        let there = before?.get("conditions")?.as_array()?;
        let same = |key: &str, it: &Value| it.get(key) == condition.get(key);
        let found = there.iter().find(|it| same("type", it) && same("status", it))?;
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
    use super::*;
    use serde_json::json;

    /// What the server would hold after an operation list, and the words of each operation.
    fn carry_out(
        held: &mut BTreeMap<Kind, Listed>,
        operations: Vec<((Kind, String), Operation<'_>)>,
        owner: Option<&str>,
    ) -> Vec<String> {
        let mut words = Vec::new();
        for ((kind, name), operation) in operations {
            let Some(Listed::Objects(listed)) = held.get_mut(&kind) else { panic!("{kind:?}") };
            match operation {
                Operation::Delete => {
                    words.push(format!("delete {name}"));
                    listed.remove(&name).unwrap();
                }
                Operation::State { statement, metadata } => {
                    words.push(format!("{} {name}", if metadata { "apply" } else { "status" }));
                    let object = listed.entry(name).or_default();
                    if metadata {
                        let labels = statement.labels.iter().map(|(k, v)| ((*k).to_owned(), v.clone()));
                        object.labels = labels.collect();
                        let (key, value) = kind.owner_label();
                        object.labels.insert(key.to_owned(), value.to_owned());
                        object.owners = owner.map(str::to_owned).into_iter().collect();
                    }
                    object.status = stamped(statement.status.clone(), Some(&object.status), "now");
                }
            }
        }
        words
    }

    fn services(list: &[(&str, &[&str])]) -> Wanted {
        let mut wanted = Wanted::default();
        for (name, peers) in list {
            let peers: Vec<String> = peers.iter().map(|it| (*it).to_owned()).collect();
            wanted.service("n1", "shop", name, &peers);
        }
        wanted.configuration(super::super::Configuration::Agent("n1"), &[], &[]);
        wanted
    }

    #[test]
    fn every_step_leads_to_what_is_wanted_and_a_second_changes_nothing() {
        let none = || Listed::Objects(BTreeMap::new());
        let mut held = BTreeMap::from([(Kind::ServiceBgp, none()), (Kind::Configuration, none())]);
        /// Services and their peers, the owner, and what is done then.
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
            // A pod in the place of this one owns all that it finds.
            (
                &[("b", &["p"]), ("c", &["p"])],
                "2",
                &["apply speaker-n1", "apply bgp-b.shop.n1", "apply bgp-c.shop.n1"],
            ),
        ];
        for (wish, owner, expected) in steps {
            let wanted = services(wish);
            let done = operations(&wanted, &held, Some(owner));
            assert_eq!(carry_out(&mut held, done, Some(owner)), expected);
            assert_eq!(operations(&wanted, &held, Some(owner)), []);
        }
    }

    #[test]
    fn what_has_not_been_listed_is_left_alone() {
        let held = BTreeMap::from([
            (Kind::ServiceBgp, Listed::Awaited),
            (Kind::Configuration, Listed::Undefined),
            (Kind::Session, Listed::Objects(BTreeMap::new())),
        ]);
        assert_eq!(operations(&services(&[("a", &["p"])]), &held, None), []);
    }

    #[test]
    fn what_somebody_else_adds_stays_and_what_they_change_is_set_right() {
        let there = json!({"node": "n", "peers": ["p"], "more": 1, "conditions": [{"type": "A", "at": 7}]});
        assert!(holds(
            &there,
            &json!({"node": "n", "peers": ["p"], "vrf": "", "conditions": [{"type": "A"}]})
        ));
        for wanted in
            [json!({"node": "m"}), json!({"peers": []}), json!({"peers": ["p", "q"]}), json!({"x": 1})]
        {
            assert!(!holds(&there, &wanted), "{wanted}");
        }
    }

    #[test]
    fn a_condition_keeps_the_time_since_which_it_is_so() {
        let condition = |status: &str, message: &str| json!({"conditions": [{"type": "A", "status": status, "message": message}]});
        let first = stamped(condition("False", "x"), None, "1");
        assert_eq!(first["conditions"][0]["lastTransitionTime"], "1");
        let second = stamped(condition("False", "y"), Some(&first), "2");
        assert_eq!(second["conditions"][0]["lastTransitionTime"], "1");
        let third = stamped(condition("True", ""), Some(&second), "3");
        assert_eq!(third["conditions"][0]["lastTransitionTime"], "3");
    }
}
