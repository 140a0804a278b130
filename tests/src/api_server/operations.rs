//! The operations on objects of a kind: get, list, create, update, patch, apply and delete.

mod create;
mod delete;
mod list;
mod options;
mod update;

use axum::body::Bytes;
use axum::http::Method;
use serde_json::Value;

pub(super) use list::{check_list, number};

use super::answer::StatusAndBody;
use super::call::Call;
use super::error;
use super::status_error::StatusError;

impl Call {
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
            let expected = parse_version(version).map_err(StatusError::internal)?;
            let current = self.store.lock().version;
            if expected > current {
                return Err(error::too_new(expected, current));
            }
        }
        let found =
            self.store.object(&self.key()).ok_or_else(|| error::not_found(&self.kind, self.name()))?;
        Ok(self.shown(&found))
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
