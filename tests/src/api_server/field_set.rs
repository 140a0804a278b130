//! Field paths and sets of them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

/// A scalar value with an order.
#[derive(Clone, Debug)]
pub(super) struct Item(pub(super) Value);

impl Item {
    fn rank(&self) -> u8 {
        match self.0 {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            _ => 3,
        }
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Item {}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Value::Number(left), Value::Number(right)) => {
                let (left, right) = (left.as_f64().unwrap_or_default(), right.as_f64().unwrap_or_default());
                left.total_cmp(&right)
            }
            (Value::String(left), Value::String(right)) => left.cmp(right),
            (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()).then_with(|| self.0.to_string().cmp(&other.0.to_string())),
        }
    }
}

/// An element of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Element {
    /// A field, or an entry of a map.
    Field(String),
    /// An item of a list, by its key fields.
    Key(Vec<(String, Item)>),
    /// An item of a list, by its value.
    Value(Item),
    /// An item of a list, by its index.
    Index(usize),
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                let fields = fields.iter().map(|(name, item)| format!("{name}={}", item.0));
                write!(f, "[{}]", fields.collect::<Vec<_>>().join(","))
            }
            Self::Value(item) => write!(f, "[={}]", item.0),
            Self::Index(place) => write!(f, "[{place}]"),
        }
    }
}

/// A set of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldSet {
    /// Paths of one element.
    pub(super) members: BTreeSet<Element>,
    /// The rest of longer paths, by their first element.
    pub(super) children: BTreeMap<Element, FieldSet>,
}

impl FieldSet {
    /// Creates the set of these paths of fields.
    pub(super) fn of(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path = path.iter().map(|name| Element::Field((*name).to_owned())).collect::<Vec<_>>();
            set.insert(&path);
        }
        set
    }

    /// Adds a path; the empty path is ignored.
    pub(super) fn insert(&mut self, path: &[Element]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Self::is_empty)
    }

    /// Returns the union.
    pub(super) fn union(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.members.extend(other.members.iter().cloned());
        for (step, theirs) in &other.children {
            let ours = both.children.entry(step.clone()).or_default();
            *ours = ours.union(theirs);
        }
        both
    }

    /// Returns the intersection.
    pub(super) fn intersection(&self, other: &Self) -> Self {
        let members = self.members.intersection(&other.members).cloned().collect();
        let children = self.children.iter().filter_map(|(step, ours)| {
            let shared = ours.intersection(other.children.get(step)?);
            (!shared.is_empty()).then(|| (step.clone(), shared))
        });
        Self { members, children: children.collect() }
    }

    /// Returns the difference.
    pub(super) fn difference(&self, other: &Self) -> Self {
        let members = self.members.difference(&other.members).cloned().collect();
        let children = self.children.iter().filter_map(|(step, ours)| {
            let rest =
                other.children.get(step).map_or_else(|| ours.clone(), |theirs| ours.difference(theirs));
            (!rest.is_empty()).then(|| (step.clone(), rest))
        });
        Self { members, children: children.collect() }
    }

    /// Returns the difference, also without the paths below members of the second set.
    pub(super) fn without(&self, other: &Self) -> Self {
        let members = self.members.difference(&other.members).cloned().collect();
        let children = self.children.iter().filter(|(step, _)| !other.members.contains(step));
        let children = children.filter_map(|(step, ours)| {
            let rest = other.children.get(step).map_or_else(|| ours.clone(), |theirs| ours.without(theirs));
            (!rest.is_empty()).then(|| (step.clone(), rest))
        });
        Self { members, children: children.collect() }
    }

    /// Returns all paths: members before children, each in order.
    pub(super) fn paths(&self) -> Vec<Vec<Element>> {
        let mut paths: Vec<Vec<Element>> = self.members.iter().map(|step| vec![step.clone()]).collect();
        for (step, rest) in &self.children {
            paths.extend(rest.paths().into_iter().map(|path| [vec![step.clone()], path].concat()));
        }
        paths
    }
}

/// Formats a path.
pub(super) fn path_text(path: &[Element]) -> String {
    path.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_sets_have_union_intersection_and_difference() {
        let a = FieldSet::of(&[&["x"], &["x", "y"], &["z", "w"]]);
        let b = FieldSet::of(&[&["x", "y"], &["z"]]);
        assert_eq!(a.intersection(&b), FieldSet::of(&[&["x", "y"]]));
        assert_eq!(a.difference(&b), FieldSet::of(&[&["x"], &["z", "w"]]));
        assert_eq!(a.without(&b), FieldSet::of(&[&["x"]]));
        assert_eq!(b.union(&a), FieldSet::of(&[&["x"], &["x", "y"], &["z"], &["z", "w"]]));
        assert_eq!(a.paths().iter().map(|path| path_text(path)).collect::<Vec<_>>(), [".x", ".x.y", ".z.w"]);
    }
}
