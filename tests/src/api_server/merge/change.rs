//! A write of an object: merging, pruning and ownership transfers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::managers::{Manager, Managers, OwnedFields};
use super::typed::{field_set, with_holders};
use super::walk::{FieldDifference, emptied, merged, removed};
use super::{FieldWriter, VersionConverter};
use crate::api_server::field_set::{FieldSet, path_text};
use crate::api_server::status_error::StatusError;
use crate::api_server::types::ValueType;

/// A write of an object.
pub(super) struct MergeWrite<'a> {
    pub(super) of: &'a ValueType,
    pub(super) there: &'a Value,
    pub(super) versions: &'a dyn VersionConverter,
    pub(super) writer: &'a FieldWriter<'a>,
}

impl MergeWrite<'_> {
    /// Returns the object with the applied fields, and whether it is unchanged.
    pub(super) fn apply(
        &self,
        applied: &Value,
        managers: &mut Managers,
        force: bool,
    ) -> Result<(Value, bool), StatusError> {
        let me = self.writer.identity(true);
        let whole = merged(self.of, Some(self.there), Some(applied)).unwrap_or_default();
        let last = managers.get(&me).cloned();
        let fields = field_set(self.of, applied).without(&self.reset(self.writer.api_version));
        let version = self.writer.api_version.to_owned();
        managers.insert(me.clone(), OwnedFields { fields, version, time: None });
        let mut object = match last {
            Some(last) if !last.fields.is_empty() => self.prune(whole, &last, managers)?,
            _ => whole,
        };
        emptied(self.of, applied, self.there, &mut object);
        let difference = self.spread(&object, managers, &me, force)?;
        Ok((object, difference.is_none()))
    }

    /// Returns whether all conflicts are fields of an earlier client-side apply by kubectl, which may take
    /// them over.
    pub(super) fn was_applied_by_client(&self, applied: &Value, managers: &Managers) -> bool {
        const LAST: &str = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";
        let last = self.there.pointer(LAST).and_then(Value::as_str);
        let Some(last) = last.and_then(|text| serde_json::from_str::<Value>(text).ok()) else { return false };
        let Err(conflicts) = self.conflicts(applied, managers) else { return true };
        let allowed = field_set(self.of, &last);
        conflicts.values().all(|fields| fields.difference(&allowed).is_empty())
    }

    fn conflicts(&self, applied: &Value, managers: &Managers) -> Result<(), BTreeMap<Manager, FieldSet>> {
        let me = self.writer.identity(true);
        let whole = merged(self.of, Some(self.there), Some(applied)).unwrap_or_default();
        let difference = FieldDifference::between(self.of, self.there, &whole);
        let changed = difference.modified.union(&difference.added);
        let found: BTreeMap<_, _> = managers
            .iter()
            .filter(|(manager, _)| **manager != me)
            .map(|(manager, owned)| (manager.clone(), owned.fields.intersection(&changed)))
            .filter(|(_, fields)| !fields.is_empty())
            .collect();
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// Removes fields that the manager applied before and now omits, unless another manager owns them.
    fn prune(&self, whole: Value, last: &OwnedFields, managers: &Managers) -> Result<Value, StatusError> {
        let Some(merged) = self.converted(&whole, &last.version)? else { return Ok(whole) };
        let of = type_of(self.versions, &last.version)?;
        let stated = with_holders(&of, &last.fields);
        let mut pruned = removed(&of, &merged, &stated);
        let mut owned_in: BTreeMap<&str, FieldSet> = BTreeMap::new();
        for owned in managers.values() {
            let all = owned_in.entry(owned.version.as_str()).or_default();
            *all = all.union(&owned.fields);
        }
        for (version, owned) in owned_in {
            let (Some(whole), Some(left)) =
                (self.converted(&merged, version)?, self.converted(&pruned, version)?)
            else {
                continue;
            };
            let of = type_of(self.versions, version)?;
            let all = with_holders(&of, &field_set(&of, &whole));
            let kept = with_holders(&of, &field_set(&of, &left)).union(&with_holders(&of, &owned));
            let back = removed(&of, &whole, &all.difference(&kept));
            pruned = self.converted(&back, &last.version)?.unwrap_or(back);
        }
        // A field without an owner was not applied by this manager, and stays.
        let all = with_holders(&of, &field_set(&of, &merged));
        let left = with_holders(&of, &field_set(&of, &pruned));
        let gone = all.difference(&left).intersection(&stated);
        let pruned = removed(&of, &merged, &gone);
        Ok(self.converted(&pruned, self.writer.api_version)?.unwrap_or(pruned))
    }

    fn converted(&self, object: &Value, version: &str) -> Result<Option<Value>, StatusError> {
        if object["apiVersion"] == version {
            return Ok(Some(object.clone()));
        }
        self.versions.convert(object, version).map_err(StatusError::internal)
    }

    fn reset(&self, version: &str) -> FieldSet {
        let strategy = self.versions.strategy(version);
        strategy.map(|strategy| strategy.reset(self.writer.subresource)).unwrap_or_default()
    }

    /// Removes changed fields from all other managers; returns a conflict if that is not forced.
    pub(super) fn spread(
        &self,
        new: &Value,
        managers: &mut Managers,
        me: &Manager,
        force: bool,
    ) -> Result<FieldDifference, StatusError> {
        let difference =
            FieldDifference::between(self.of, self.there, new).without(&self.reset(self.writer.api_version));
        let mut conflicts: Vec<(Manager, FieldSet)> = Vec::new();
        let mut left = Managers::new();
        for (manager, owned) in managers.iter() {
            if manager == me {
                left.insert(manager.clone(), owned.clone());
                continue;
            }
            let Some(difference) = self.in_version(new, &owned.version, &difference)? else { continue };
            let conflict = owned.fields.intersection(&difference.modified.union(&difference.added));
            let fields = owned.fields.difference(&conflict).difference(&difference.removed);
            if !conflict.is_empty() {
                conflicts.push((manager.clone(), conflict));
            }
            left.insert(manager.clone(), OwnedFields { fields, ..owned.clone() });
        }
        if !force && !conflicts.is_empty() {
            return Err(conflict(&conflicts));
        }
        left.retain(|_, owned| !owned.fields.is_empty());
        *managers = left;
        Ok(difference)
    }

    /// Returns the changes in the version of a manager; `None` if that version is gone.
    fn in_version(
        &self,
        new: &Value,
        version: &str,
        here: &FieldDifference,
    ) -> Result<Option<FieldDifference>, StatusError> {
        if version == self.writer.api_version {
            return Ok(Some(here.clone()));
        }
        let (Some(old), Some(new)) = (self.converted(self.there, version)?, self.converted(new, version)?)
        else {
            return Ok(None);
        };
        let of = type_of(self.versions, version)?;
        Ok(Some(FieldDifference::between(&of, &old, &new).without(&self.reset(version))))
    }
}

/// Returns the type of an object in a version.
pub(super) fn type_of(versions: &dyn VersionConverter, version: &str) -> Result<ValueType, StatusError> {
    let strategy = versions.strategy(version);
    let strategy =
        strategy.ok_or_else(|| StatusError::internal(format!("no corresponding type for {version}")))?;
    Ok(strategy.types().clone())
}

fn conflict(conflicts: &[(Manager, FieldSet)]) -> StatusError {
    let paths: Vec<(String, String)> = conflicts
        .iter()
        .flat_map(|(manager, fields)| {
            fields.paths().into_iter().map(|path| (manager.in_words(), path_text(&path)))
        })
        .collect();
    let causes: Vec<Value> = paths
        .iter()
        .map(|(manager, path)| {
            json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": path})
        })
        .collect();
    let words = match paths.as_slice() {
        [(manager, path)] => format!("1 conflict: conflict with {manager}: {path}"),
        paths => {
            let mut lines: Vec<String> = Vec::new();
            for (manager, _) in conflicts {
                let manager = manager.in_words();
                lines.push(format!("conflicts with {manager}:"));
                lines.extend(
                    paths.iter().filter(|(of, _)| *of == manager).map(|(_, path)| format!("- {path}")),
                );
            }
            format!("{} conflicts: {}", paths.len(), lines.join("\n"))
        }
    };
    let message = format!("Apply failed with {words}");
    StatusError {
        code: 409,
        reason: "Conflict".to_owned(),
        message,
        details: Some(json!({"causes": causes})),
    }
}
