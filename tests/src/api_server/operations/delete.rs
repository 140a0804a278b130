//! Deletion of objects: at once, or when the last finalizer is removed.

use serde_json::{Map, Value, json};

use crate::api_server::admission::{self, AdmissionOperation};
use crate::api_server::answer::StatusAndBody;
use crate::api_server::call::Call;
use crate::api_server::decode;
use crate::api_server::definition;
use crate::api_server::error;
use crate::api_server::objects::{has_finalizers, is_deleted, name, now, text, uid_of, version};
use crate::api_server::status_error::{StatusCause, StatusError};
use crate::api_server::store::{ObjectKey, key};

/// Finalizers that the garbage collector removes.
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";
/// The finalizer with which a definition waits for the deletion of its objects.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The options of a deletion.
#[derive(Default)]
struct Deletion {
    propagation: Option<String>,
    uid: Option<String>,
    version: Option<String>,
    is_dry: bool,
}

impl Call {
    pub(super) async fn delete(&self, body: &[u8]) -> Result<StatusAndBody, StatusError> {
        let deletion = self.deletion(body)?;
        let key = self.key();
        let there = self.store.object(&key).ok_or_else(|| error::not_found(&self.kind, self.name()))?;
        self.check_preconditions(&deletion, &there)?;
        let old = self.shown(&there);
        admission::ask(self, AdmissionOperation::Delete, None, Some(&old), deletion.is_dry).await?;
        let (object, is_gone) = self.remove(&key, &deletion)?;
        if !is_gone || self.kind.traits.returns_deleted {
            return Ok((200, object));
        }
        let mut details = Map::new();
        let parts = [("name", self.name()), ("group", &self.kind.group), ("kind", &self.kind.plural)];
        for (part, value) in parts.into_iter().filter(|(_, value)| !value.is_empty()) {
            details.insert(part.to_owned(), json!(value));
        }
        details.insert("uid".to_owned(), json!(uid_of(&object)));
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
        });
        Ok((200, status))
    }

    pub(super) async fn delete_collection(&self, body: &[u8]) -> Result<Value, StatusError> {
        let deletion = self.deletion(body)?;
        let list = self.list()?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        for item in &items {
            let old = self.store.object(&key(&self.kind, self.target.namespace.as_deref(), name(item)));
            let Some(old) = old.map(|old| self.shown(&old)) else { continue };
            admission::ask(self, AdmissionOperation::Delete, None, Some(&old), deletion.is_dry).await?;
            match self.remove(&key(&self.kind, self.target.namespace.as_deref(), name(item)), &deletion) {
                // Another client was faster.
                Err(error_status) if error_status.code == 404 => {}
                other => other.map(|_| ())?,
            }
        }
        Ok(list)
    }

    /// Reads the options from the query and the body.
    fn deletion(&self, body: &[u8]) -> Result<Deletion, StatusError> {
        let given = if body.is_empty() { Value::Null } else { decode::delete_options(body)? };
        let in_body = |pointer: &str| Some(text(&given, pointer).to_owned()).filter(|text| !text.is_empty());
        let of_query = |name: &str| self.query.get(name).map(str::to_owned);
        let propagation = in_body("/propagationPolicy").or_else(|| of_query("propagationPolicy"));
        let orphan_dependents = given.get("orphanDependents").and_then(Value::as_bool);
        let mut causes = Vec::new();
        match (&propagation, orphan_dependents) {
            (Some(policy), Some(_)) => {
                let why = "orphanDependents and deletionPropagation cannot be both set";
                causes.push(StatusCause::invalid("propagationPolicy", &json!(policy), why));
            }
            (Some(policy), None) if !["Foreground", "Background", "Orphan"].contains(&policy.as_str()) => {
                let supported = ["Foreground", "Background", "Orphan", "nil"];
                causes.push(StatusCause::not_supported("propagationPolicy", &json!(policy), &supported));
            }
            _ => {}
        }
        let dry = given.pointer("/dryRun/0").and_then(Value::as_str).or_else(|| self.query.get("dryRun"));
        if let Some(other) = dry.filter(|dry| *dry != "All") {
            causes.push(StatusCause::not_supported("dryRun", &json!([other]), &["All"]));
        }
        if !causes.is_empty() {
            return Err(error::invalid_options("DeleteOptions", &causes));
        }
        Ok(Deletion {
            propagation: propagation
                .or_else(|| orphan_dependents.unwrap_or_default().then(|| "Orphan".to_owned())),
            uid: in_body("/preconditions/uid"),
            version: in_body("/preconditions/resourceVersion"),
            is_dry: dry.is_some(),
        })
    }

    fn check_preconditions(&self, deletion: &Deletion, there: &Value) -> Result<(), StatusError> {
        let kind = &self.kind;
        let refuse = |why: String| Err(error::conflict(&kind.group, &kind.kind, name(there), &why));
        if let Some(expected) = deletion.uid.as_ref().filter(|uid| *uid != uid_of(there)) {
            return refuse(format!(
                "the UID in the precondition ({expected}) does not match the UID in record ({}). The object might have \
                 been deleted and then recreated",
                uid_of(there)
            ));
        }
        if let Some(expected) = deletion.version.as_ref().filter(|expected| *expected != version(there)) {
            return refuse(format!(
                "the ResourceVersion in the precondition ({expected}) does not match the ResourceVersion in record \
                 ({}). The object might have been modified",
                version(there)
            ));
        }
        Ok(())
    }

    /// Removes an object or marks it as terminating; returns true if it is removed.
    fn remove(&self, key: &ObjectKey, deletion: &Deletion) -> Result<(Value, bool), StatusError> {
        let mut inner = self.store.lock();
        let there = inner.objects.get(key).cloned().ok_or_else(|| error::not_found(&self.kind, &key.3))?;
        self.check_preconditions(deletion, &there)?;
        let mut object = (*there).clone();
        add_finalizers(&mut object, deletion.propagation.as_deref());
        if !has_finalizers(&object) {
            let removed = if deletion.is_dry { Some(there) } else { inner.remove(key) };
            self.store.notify(inner);
            return Ok((self.shown(&removed.unwrap_or_default()), true));
        }
        if !is_deleted(&there) {
            object["metadata"]["deletionTimestamp"] = json!(now());
            self.mark(&mut object);
        }
        if object == *there || deletion.is_dry {
            return Ok((self.shown(&object), false));
        }
        let stored = inner.put(key, object);
        self.store.notify(inner);
        Ok((self.shown(&stored), false))
    }
}

impl Call {
    /// Marks an object as terminating, as its kind does.
    fn mark(&self, object: &mut Value) {
        match object["kind"].as_str() {
            Some("Namespace") => object["status"]["phase"] = json!("Terminating"),
            Some("CustomResourceDefinition") => definition::terminate(object),
            _ => {
                object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
                if let Some(generation) = object["metadata"]["generation"].as_u64() {
                    object["metadata"]["generation"] = json!(generation + 1);
                }
            }
        }
    }
}

/// Adds finalizers for the propagation policy and for the kind.
fn add_finalizers(object: &mut Value, propagation: Option<&str>) {
    let finalizer = match propagation {
        _ if object["kind"] == "CustomResourceDefinition" => CLEANUP,
        Some("Foreground") => FOREGROUND,
        Some("Orphan") => ORPHAN,
        _ => return,
    };
    let finalizers = &mut object["metadata"]["finalizers"];
    match finalizers.as_array_mut() {
        Some(all) if all.iter().any(|other| other == finalizer) => {}
        Some(all) => all.push(json!(finalizer)),
        None => *finalizers = json!([finalizer]),
    }
}
