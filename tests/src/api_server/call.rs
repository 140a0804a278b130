//! A request for objects of a kind, with its target.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use serde_json::Value;

use super::conversion;
use super::error;
use super::kinds::{ApiKind, KindVersion};
use super::negotiate::{AcceptedMedia, ObjectView};
use super::request::{Query, RequestTarget};
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

    pub(super) fn key(&self) -> ObjectKey {
        key_of(&self.kind, &self.target)
    }

    pub(super) fn name(&self) -> &str {
        self.target.name.as_deref().unwrap_or_default()
    }

    /// Converts a stored object to the version of the request.
    pub(super) fn shown(&self, stored: &Value) -> Value {
        conversion::to_version(&self.kind, stored.clone(), &self.version.name)
    }

    pub(super) fn warn(&self, warnings: Vec<String>) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).extend(warnings);
    }

    pub(super) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Converts a response to the accepted view.
    pub(super) fn view(&self, expected: AcceptedMedia, object: Value) -> Result<Value, StatusError> {
        if object["kind"] == "Status" && object["apiVersion"] == "v1" {
            return Ok(object);
        }
        let is_list =
            object.get("items").is_some_and(Value::is_array) && self.kind.list_kind == object["kind"];
        match expected.view {
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
