//! A request for objects of a kind.

mod create;
mod delete;
mod list;
mod options;
mod update;

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method};
use serde_json::Value;

pub(super) use list::{check_list, number};

use super::conversion;
use super::error;
use super::kinds::{ApiKind, KindVersion};
use super::negotiate::{AcceptedMedia, ObjectView};
use super::request::{Query, RequestTarget};
use super::respond::StatusAndBody;
use super::status_error::StatusError;
use super::store::{ObjectKey, ObjectStore, key_of};
use super::table;
use super::users::User;

/// A request with its target.
pub(super) struct Call {
    pub(super) store: Arc<ObjectStore>,
    pub(super) user: User,
    pub(super) kind: Arc<ApiKind>,
    pub(super) version: KindVersion,
    pub(super) target: RequestTarget,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    /// The version of the request, with its group.
    pub(super) api_version: String,
    warnings: Mutex<Vec<String>>,
}

impl Call {
    pub(super) fn new(
        store: Arc<ObjectStore>,
        user: User,
        kind: Arc<ApiKind>,
        version: KindVersion,
        target: RequestTarget,
        query: Query,
        headers: HeaderMap,
    ) -> Self {
        let api_version = kind.api_version(&version.name);
        Self { store, user, kind, version, target, query, headers, api_version, warnings: Mutex::default() }
    }

    pub(super) async fn run(&self, method: &Method, body: Bytes) -> Result<StatusAndBody, StatusError> {
        match (method.as_str(), self.target.name.is_some()) {
            ("GET" | "HEAD", true) => Ok((200, self.get()?)),
            ("GET" | "HEAD", false) => Ok((200, self.list()?)),
            ("POST", _) => Ok((201, self.create(&body).await?)),
            ("PUT", _) => self.replace(&body).await,
            ("PATCH", _) => self.patch(&body).await,
            ("DELETE", true) => self.delete(&body).await,
            ("DELETE", false) => Ok((200, self.delete_collection(&body).await?)),
            _ => Err(error::no_method()),
        }
    }

    fn get(&self) -> Result<Value, StatusError> {
        if let Some(version) = self.query.get("resourceVersion") {
            let wanted = parse_version(version).map_err(StatusError::internal)?;
            let current = self.store.lock().version;
            if wanted > current {
                return Err(error::too_new(wanted, current));
            }
        }
        let found =
            self.store.object(&self.key()).ok_or_else(|| error::not_found(&self.kind, self.name()))?;
        Ok(self.shown(&found))
    }

    fn key(&self) -> ObjectKey {
        key_of(&self.kind, &self.target)
    }

    fn name(&self) -> &str {
        self.target.name.as_deref().unwrap_or_default()
    }

    /// Converts a stored object to the version of the request.
    fn shown(&self, stored: &Value) -> Value {
        conversion::to_version(&self.kind, stored.clone(), &self.version.name)
    }

    pub(super) fn warn(&self, warnings: Vec<String>) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).extend(warnings);
    }

    pub(super) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Converts a response to the accepted view.
    pub(super) fn view(&self, wanted: AcceptedMedia, object: Value) -> Result<Value, StatusError> {
        if object["kind"] == "Status" && object["apiVersion"] == "v1" {
            return Ok(object);
        }
        let is_list =
            object.get("items").is_some_and(Value::is_array) && self.kind.list_kind == object["kind"];
        match wanted.view {
            ObjectView::Object | ObjectView::Groups => Ok(object),
            ObjectView::Table => table::of(&self.kind, &self.version, &self.query, &object, is_list, true),
            ObjectView::Metadata if is_list => {
                let message = "you requested PartialObjectMetadata, but the requested object is a list \
                               (*unstructured.UnstructuredList)";
                Err(error::not_acceptable(message, None))
            }
            ObjectView::Metadata => Ok(conversion::partial(&object)),
            ObjectView::MetadataList if !is_list => Err(StatusError::internal("content is not a list")),
            ObjectView::MetadataList => {
                let items = object["items"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(conversion::partial)
                    .collect::<Vec<_>>();
                let mut metadata = object["metadata"].clone();
                if let Some(fields) = metadata.as_object_mut() {
                    fields.retain(|key, value| key != "continue" || value != "");
                }
                Ok(serde_json::json!({
                    "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata, "items": items,
                }))
            }
        }
    }
}

/// Parses a resource version.
pub(super) fn parse_version(version: &str) -> Result<u64, String> {
    version.parse().map_err(|_| {
        format!(
            "resourceVersion: Invalid value: {version:?}: strconv.ParseUint: parsing {version:?}: invalid syntax"
        )
    })
}
