//! Creation of objects.

use serde_json::{Value, json};

use super::options::WriteOptions;
use crate::api_server::admission::{self, AdmissionOperation};
use crate::api_server::builtin;
use crate::api_server::call::Call;
use crate::api_server::conversion::{self, KindVersions};
use crate::api_server::error;
use crate::api_server::merge::{self, FieldWriter};
use crate::api_server::objects::{generated_name, is_deleted, name, now, text, uid, unset};
use crate::api_server::status_error::{StatusCause, StatusError};
use crate::api_server::store::key;

/// Largest object that can be stored.
const LARGEST: usize = 3 << 19;
/// Metadata of new objects that only the server sets.
const SERVERS: [&str; 5] =
    ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "uid"];
/// How often a generated name that is taken is retried.
const TRIES: usize = 8;

impl Call {
    pub(super) async fn create(&self, body: &[u8]) -> Result<Value, StatusError> {
        let options = self.options("CreateOptions", false)?;
        let mut object = self.read(body, options.strictness)?;
        self.place(&mut object)?;
        for field in SERVERS {
            unset(&mut object, field);
        }
        let object = merge::track(None, object, &self.writer(&options, &now()), &KindVersions(&self.kind));
        self.insert(object, &options).await
    }

    /// Returns the writer of this request.
    pub(super) fn writer<'a>(&'a self, options: &'a WriteOptions, now: &'a str) -> FieldWriter<'a> {
        FieldWriter {
            manager: &options.manager,
            subresource: self.target.subresource.as_deref(),
            api_version: &self.api_version,
            now,
        }
    }

    /// Creates an object that has been read and whose field managers are set.
    pub(super) async fn insert(
        &self,
        mut object: Value,
        options: &WriteOptions,
    ) -> Result<Value, StatusError> {
        let kind = &*self.kind;
        self.check_namespace(&object)?;
        self.begin(&mut object);
        if self.version.strategy.is_some() && object["kind"] != kind.kind {
            return Err(self.wrong_kind(&object));
        }
        for _ in 0..TRIES {
            let mut object = object.clone();
            let is_generated = name(&object).is_empty();
            if is_generated && !text(&object, "/metadata/generateName").is_empty() {
                object["metadata"]["name"] = json!(generated_name(text(&object, "/metadata/generateName")));
            }
            self.check(&mut object)?;
            admission::ask(self, AdmissionOperation::Create, Some(&object), None, options.is_dry).await?;
            match self.store_new(object, options.is_dry) {
                Err(error_status) if is_generated && error_status.reason == "AlreadyExists" => {}
                other => return other,
            }
        }
        Err(error::already_exists(kind, text(&object, "/metadata/generateName"), false))
    }

    pub(super) fn wrong_kind(&self, object: &Value) -> StatusError {
        let found = object["kind"].as_str().unwrap_or_default();
        let cause = StatusCause::invalid("kind", &found.into(), format!("must be {}", self.kind.kind));
        StatusError::invalid(&self.kind.group, found, name(object), &[cause])
    }

    /// Checks that the namespace exists and is not terminating.
    fn check_namespace(&self, object: &Value) -> Result<(), StatusError> {
        let Some(namespace) = self.target.namespace.as_deref().filter(|_| self.kind.namespaced) else {
            return Ok(());
        };
        let inner = self.store.lock();
        let Some(kind) = inner.kinds.of("", "namespaces") else { return Ok(()) };
        match inner.objects.get(&key(kind, None, namespace)) {
            None => Err(error::not_found(kind, namespace)),
            Some(found) if is_deleted(found) => Err(error::terminating(&self.kind, name(object), namespace)),
            Some(_) => Ok(()),
        }
    }

    /// Sets the server's metadata of a new object.
    fn begin(&self, object: &mut Value) {
        let metadata = &mut object["metadata"];
        metadata["uid"] = json!(uid());
        metadata["creationTimestamp"] = json!(now());
        for field in SERVERS.iter().filter(|field| !["uid", "creationTimestamp"].contains(*field)) {
            unset(object, field);
        }
    }

    fn check(&self, object: &mut Value) -> Result<(), StatusError> {
        let kind = &*self.kind;
        let Some(strategy) = &self.version.strategy else { return Ok(()) };
        strategy.prepare(object, None, None);
        let refuse = |object: &Value, causes: &[StatusCause]| Err(strategy.invalid(name(object), causes));
        let causes = strategy.validate(object, None, None);
        if !causes.is_empty() {
            return refuse(object, &causes);
        }
        if kind.group.is_empty() && kind.plural == "services" {
            let others = self.store.lock().list(kind, None);
            let others: Vec<Value> = others.iter().map(|service| (**service).clone()).collect();
            if let Err(causes) = builtin::allocate(object, None, &others) {
                return refuse(object, &causes);
            }
        }
        self.warn(strategy.warnings(object, None));
        Ok(())
    }

    fn store_new(&self, object: Value, is_dry: bool) -> Result<Value, StatusError> {
        if !["", "0"].contains(&text(&object, "/metadata/resourceVersion")) {
            return Err(StatusError::internal("resourceVersion should not be set on objects to be created"));
        }
        let name = name(&object).to_owned();
        let key = key(&self.kind, self.target.namespace.as_deref(), &name);
        let mut inner = self.store.lock();
        if let Some(there) = inner.objects.get(&key) {
            return Err(error::already_exists(&self.kind, &name, is_deleted(there)));
        }
        let stored = conversion::to_storage(&self.kind, object);
        check_size(&stored)?;
        if is_dry {
            return Ok(self.shown(&stored));
        }
        let stored = inner.put(&key, stored);
        self.store.notify(inner);
        Ok(self.shown(&stored))
    }
}

/// Rejects objects that are too large to be stored.
pub(super) fn check_size(object: &Value) -> Result<(), StatusError> {
    if object.to_string().len() > LARGEST {
        return Err(StatusError::internal("etcdserver: request is too large"));
    }
    Ok(())
}
