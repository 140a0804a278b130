//! Comparison, merging and pruning of typed objects.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::typed::{same, step_of};
use crate::api_server::field_set::{Element, FieldSet};
use crate::api_server::types::{ListItems, ListType, RecordType, ResolvedType, ValueType};

/// The differences between two objects.
#[derive(Clone, Debug, Default)]
pub(super) struct FieldDifference {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

impl FieldDifference {
    /// Returns how the second object differs from the first.
    pub(super) fn between(of: &ValueType, old: &Value, new: &Value) -> Self {
        let mut found = Self::default();
        found.visit(of, Some(old), Some(new), &mut Vec::new());
        found
    }

    /// Returns the differences without these fields, and those below them.
    pub(super) fn without(&self, fields: &FieldSet) -> Self {
        Self {
            added: self.added.without(fields),
            modified: self.modified.without(fields),
            removed: self.removed.without(fields),
        }
    }

    pub(super) fn is_none(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    fn visit(&mut self, of: &ValueType, old: Option<&Value>, new: Option<&Value>, path: &mut Vec<Element>) {
        let Some(shown) = new.or(old) else { return };
        if !self.descend(of.shape(shown), old, new, path) {
            self.leaf(old, new, path);
        }
        match (old, new) {
            (None, _) => self.added.insert(path),
            (_, None) => self.removed.insert(path),
            _ => {}
        }
    }

    /// Descends into a list or map; returns false if it is atomic.
    fn descend(
        &mut self,
        shape: ResolvedType,
        old: Option<&Value>,
        new: Option<&Value>,
        path: &mut Vec<Element>,
    ) -> bool {
        let empty = |value: Option<&Value>| match value {
            Some(Value::Array(items)) => items.is_empty(),
            Some(Value::Object(fields)) => fields.is_empty(),
            _ => true,
        };
        match shape {
            _ if empty(old) && empty(new) => return false,
            ResolvedType::Record(record) if !record.atomic => self.fields(&record, old, new, path),
            ResolvedType::List(list) if list.items != ListItems::Atomic => self.items(&list, old, new, path),
            _ => return false,
        }
        true
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>, path: &[Element]) {
        match (old, new) {
            (Some(old), Some(new)) if !same(old, new) => self.modified.insert(path),
            _ => {}
        }
    }

    fn fields(
        &mut self,
        record: &RecordType,
        old: Option<&Value>,
        new: Option<&Value>,
        path: &mut Vec<Element>,
    ) {
        for name in names(old, new) {
            let Some(of) = record.field(&name) else { continue };
            path.push(Element::Field(name.clone()));
            let (old, new) = (old.and_then(|old| old.get(&name)), new.and_then(|new| new.get(&name)));
            self.visit(of, old, new, path);
            path.pop();
        }
    }

    fn items(&mut self, list: &ListType, old: Option<&Value>, new: Option<&Value>, path: &mut Vec<Element>) {
        let (old, new) = (by_step(list, old), by_step(list, new));
        let mut steps: Vec<&Element> = old.keys().chain(new.keys()).collect();
        steps.sort();
        steps.dedup();
        for step in steps {
            path.push(step.clone());
            match (old.get(step).map(Vec::as_slice), new.get(step).map(Vec::as_slice)) {
                (Some([old]), Some([new])) => self.visit(&list.element, Some(old), Some(new), path),
                (Some([old]), None) => self.visit(&list.element, Some(old), None, path),
                (None, Some([new])) => self.visit(&list.element, None, Some(new), path),
                (None, _) => self.added.insert(path),
                (_, None) => self.removed.insert(path),
                (Some(old), Some(new)) if old == new => {}
                _ => self.modified.insert(path),
            }
            path.pop();
        }
    }
}

fn names(left: Option<&Value>, right: Option<&Value>) -> Vec<String> {
    let fields = [left, right].into_iter().flatten().filter_map(Value::as_object);
    let mut names: Vec<String> = fields.flat_map(|fields| fields.keys().cloned()).collect();
    names.sort();
    names.dedup();
    names
}

fn by_step<'a>(list: &ListType, value: Option<&'a Value>) -> BTreeMap<Element, Vec<&'a Value>> {
    let mut found: BTreeMap<Element, Vec<&Value>> = BTreeMap::new();
    for item in value.and_then(Value::as_array).into_iter().flatten() {
        if let Ok(step) = step_of(list, item) {
            found.entry(step).or_default().push(item);
        }
    }
    found
}

/// Merges a live and a desired value.
pub(super) fn merged(of: &ValueType, there: Option<&Value>, desired: Option<&Value>) -> Option<Value> {
    let shown = desired.filter(|desired| !desired.is_null()).or(there).or(desired)?;
    let empty = |value: Option<&Value>| match value {
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        _ => true,
    };
    match of.shape(shown) {
        _ if empty(there) && empty(desired) => {}
        ResolvedType::Record(record) if !record.atomic => return merged_fields(&record, there, desired),
        ResolvedType::List(list) if list.items != ListItems::Atomic => {
            return merged_items(&list, there, desired);
        }
        _ => {}
    }
    desired.or(there).cloned()
}

fn merged_fields(record: &RecordType, there: Option<&Value>, desired: Option<&Value>) -> Option<Value> {
    let mut fields = Map::new();
    for name in names(there, desired) {
        let of = record.field(&name).unwrap_or(&ValueType::Any);
        let both = merged(
            of,
            there.and_then(|there| there.get(&name)),
            desired.and_then(|desired| desired.get(&name)),
        );
        if let Some(value) = both {
            fields.insert(name, value);
        }
    }
    Some(Value::Object(fields))
}

fn merged_items(list: &ListType, there: Option<&Value>, desired: Option<&Value>) -> Option<Value> {
    let steps = |value: Option<&Value>| -> Vec<Element> {
        let items = value.and_then(Value::as_array).into_iter().flatten();
        items.filter_map(|item| step_of(list, item).ok()).collect()
    };
    let order = order(&steps(there), &steps(desired));
    let (there, desired) = (by_step(list, there), by_step(list, desired));
    let first = |items: &BTreeMap<Element, Vec<&Value>>, step| {
        items.get(step).and_then(|items| items.first().copied().cloned())
    };
    let items = order.iter().filter_map(|step| {
        merged(&list.element, first(&there, step).as_ref(), first(&desired, step).as_ref())
    });
    Some(Value::Array(items.collect()))
}

/// Returns the merged order of two lists: the desired order, into which live-only items are interleaved.
fn order(there: &[Element], desired: &[Element]) -> Vec<Element> {
    let mut shared = desired.iter().filter(|step| there.contains(step)).peekable();
    let (mut left, mut right) = (0, 0);
    let mut out: Vec<Element> = Vec::new();
    while left < there.len() || right < desired.len() {
        if let (Some(ours), Some(theirs)) = (there.get(left), desired.get(right)) {
            if ours == theirs {
                out.push(ours.clone());
                (left, right) = (left + 1, right + 1);
                shared.next();
                continue;
            }
            if desired.contains(ours) && shared.peek().is_some_and(|next| *next != ours) {
                left += 1;
                continue;
            }
        }
        if let Some(ours) = there.get(left) {
            if !desired.contains(ours) {
                out.push(ours.clone());
                left += 1;
                continue;
            }
            if out.contains(ours) {
                left += 1;
            }
        }
        if let Some(theirs) = desired.get(right) {
            out.push(theirs.clone());
            right += 1;
            shared.next_if_eq(&theirs);
        }
    }
    out
}

/// Handles values applied as null of which nothing is left: an object becomes empty, a map or list null.
pub(super) fn emptied(of: &ValueType, stated: &Value, there: &Value, result: &mut Value) {
    let Some(record) = of.record().filter(|record| !record.atomic) else { return };
    match (stated, there) {
        (Value::Null, Value::Object(_)) if result.is_null() && record.rest.is_none() => {
            *result = Value::Object(Map::new());
        }
        (Value::Object(stated), Value::Object(there)) => {
            for (name, stated) in stated {
                let below = (record.field(name), there.get(name), result.get_mut(name));
                if let (Some(of), Some(there), Some(result)) = below {
                    emptied(of, stated, there, result);
                }
            }
        }
        _ => {}
    }
}

/// Removes fields from a value. A value of which nothing is left becomes null, as in the real server.
pub(super) fn removed(of: &ValueType, value: &Value, fields: &FieldSet) -> Value {
    match (of.shape(value), value) {
        (ResolvedType::Record(record), Value::Object(all)) if !record.atomic => {
            let left = all.iter().filter_map(|(name, value)| {
                let step = Element::Field(name.clone());
                let of = record.field(name).unwrap_or(&ValueType::Any);
                Some((name.clone(), left_of(of, value, &step, fields)?))
            });
            let left: Map<_, _> = left.collect();
            if left.is_empty() { Value::Null } else { Value::Object(left) }
        }
        (ResolvedType::List(list), Value::Array(items)) if list.items != ListItems::Atomic => {
            let left = items.iter().filter_map(|item| match step_of(&list, item) {
                Ok(step) => left_of(&list.element, item, &step, fields),
                Err(_) => Some(item.clone()),
            });
            let left: Vec<_> = left.collect();
            if left.is_empty() { Value::Null } else { Value::Array(left) }
        }
        _ => value.clone(),
    }
}

fn left_of(of: &ValueType, value: &Value, step: &Element, fields: &FieldSet) -> Option<Value> {
    if fields.members.contains(step) {
        return None;
    }
    Some(fields.children.get(step).map_or_else(|| value.clone(), |below| removed(of, value, below)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_server::field_set::Item;

    #[test]
    fn desired_items_set_the_order_and_live_only_items_keep_their_place() {
        let steps = |text: &str| -> Vec<Element> {
            text.chars().map(|name| Element::Value(Item(Value::from(name.to_string())))).collect()
        };
        for (there, desired, expected) in [
            ("", "ab", "ab"),
            ("ab", "", "ab"),
            ("ab", "c", "abc"),
            ("abc", "bd", "abcd"),
            ("abc", "ca", "bca"),
            ("abcd", "dx", "abcdx"),
            ("axb", "ba", "xba"),
        ] {
            assert_eq!(order(&steps(there), &steps(desired)), steps(expected), "{there} {desired}");
        }
    }
}
