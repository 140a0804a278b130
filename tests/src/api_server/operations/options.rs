//! Options and bodies of writes.

use axum::http::header::{CONTENT_TYPE, USER_AGENT};
use serde_json::Value;

use crate::api_server::call::Call;
use crate::api_server::decode;
use crate::api_server::error;
use crate::api_server::objects::text;
use crate::api_server::status_error::{StatusCause, StatusError};
use crate::api_server::strategy::Strictness;
use crate::api_server::text::BodyEncoding;

/// Longest name of a field manager.
const LONGEST_MANAGER: usize = 128;
const MEDIA: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// The options of a write.
pub(super) struct WriteOptions {
    pub(super) manager: String,
    pub(super) is_dry: bool,
    pub(super) strictness: Strictness,
}

impl Call {
    /// Parses and validates the options of a query; `kind` is their name in errors.
    pub(super) fn options(&self, kind: &'static str, is_apply: bool) -> Result<WriteOptions, StatusError> {
        let mut causes = Vec::new();
        let given = self.query.get("fieldManager");
        let is_patch = kind == "PatchOptions";
        if is_patch && !is_apply && self.query.has("force") {
            causes.push(StatusCause::forbidden("force", "may not be specified for non-apply patch"));
        }
        if is_apply && given.is_none() {
            causes.push(StatusCause::required("fieldManager", "is required for apply patch"));
        }
        causes.extend(given.and_then(check_manager));
        let dry = self.query.get("dryRun");
        if let Some(other) = dry.filter(|dry| *dry != "All") {
            causes.push(StatusCause::not_supported("dryRun", &serde_json::json!([other]), &["All"]));
        }
        let strictness = match self.query.get("fieldValidation") {
            Some("Strict") => Strictness::Strict,
            Some("Ignore") => Strictness::Ignore,
            None | Some("Warn") => Strictness::Warn,
            Some(other) => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                causes.push(StatusCause::not_supported("fieldValidation", &other.into(), &supported));
                Strictness::Warn
            }
        };
        if !causes.is_empty() {
            return Err(error::invalid_options(kind, &causes));
        }
        let manager = given.map_or_else(|| self.agent(), str::to_owned);
        Ok(WriteOptions { manager, is_dry: dry.is_some(), strictness })
    }

    /// Returns the field manager of a client that names none.
    fn agent(&self) -> String {
        let agent = self.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let name = agent.split('/').next().unwrap_or_default();
        let name: String = name.chars().take(LONGEST_MANAGER).collect();
        if name.is_empty() { "unknown".to_owned() } else { name }
    }

    /// Returns the media type of the body, without parameters.
    pub(super) fn media_type(&self) -> &str {
        let header = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        header.unwrap_or_default().split(';').next().unwrap_or_default().trim()
    }

    /// Reads the body of a create or a replacement.
    pub(super) fn read(&self, body: &[u8], strictness: Strictness) -> Result<Value, StatusError> {
        let encoding = match self.media_type() {
            "" | "application/json" => BodyEncoding::Json,
            "application/yaml" => BodyEncoding::Yaml,
            _ => return Err(error::unsupported_media(MEDIA)),
        };
        let kind = &self.kind;
        let (text, found) = decode::identify(body, encoding, &kind.kind, kind.traits.is_custom)?;
        let expected = kind.api_version(&self.version.name);
        let is_other = |found: &str, expected: &str| !found.is_empty() && found != expected;
        if !kind.traits.is_custom
            && (is_other(&found.kind, &kind.kind) || is_other(&found.api_version, &expected))
        {
            return Err(decode::mismatch(&found, &kind.group, &self.version.name, &kind.kind));
        }
        let Some(strategy) = self.version.strategy.as_ref() else {
            return decode::plain(&text, encoding);
        };
        if is_other(&found.kind, &kind.kind) {
            // It is rejected for its kind after all other checks.
            return decode::plain(&text, encoding);
        }
        if kind.traits.is_custom && is_other(&found.api_version, &expected) {
            // The rest is read as of an unknown kind.
            self.warn_of_version(&found.api_version);
            return Err(StatusError::bad_request(format!(
                "the API version in the data ({}) does not match the expected API version ({expected})",
                found.api_version
            )));
        }
        let (mut object, warnings) = strategy.read(&text, encoding, strictness)?;
        self.warn(warnings);
        object["apiVersion"] = expected.into();
        object["kind"] = kind.kind.clone().into();
        Ok(object)
    }

    /// Warns of an unknown version, in which all fields are unknown.
    pub(super) fn warn_of_version(&self, api_version: &str) {
        let mut versions = self.kind.versions.iter();
        if !versions.any(|version| self.kind.api_version(&version.name) == api_version) {
            self.warn(vec!["unknown field \"spec\"".to_owned()]);
        }
    }

    /// Sets an object's namespace to that of the request; rejects another.
    pub(super) fn place(&self, object: &mut Value) -> Result<(), StatusError> {
        let namespace = self.target.namespace.as_deref().unwrap_or_default();
        let own = text(object, "/metadata/namespace");
        if !own.is_empty() && own != namespace && self.kind.namespaced {
            let message =
                "the namespace of the provided object does not match the namespace sent on the request";
            return Err(StatusError::bad_request(message));
        }
        if !object["metadata"].is_object() {
            object["metadata"] = serde_json::json!({});
        }
        if self.kind.namespaced {
            object["metadata"]["namespace"] = namespace.into();
        } else {
            crate::api_server::objects::unset(object, "namespace");
        }
        Ok(())
    }

    /// Rejects an object whose name is not that of the path.
    pub(super) fn check_name(&self, object: &Value) -> Result<(), StatusError> {
        let (own, name) = (text(object, "/metadata/name"), self.name());
        if own.is_empty() {
            let message = format!(
                "the name of the object ({name} based on URL) was undeterminable: name must be provided"
            );
            return Err(StatusError::bad_request(message));
        }
        if own != name {
            let message =
                format!("the name of the object ({own}) does not match the name on the URL ({name})");
            return Err(StatusError::bad_request(message));
        }
        Ok(())
    }
}

fn check_manager(manager: &str) -> Option<StatusCause> {
    if manager.len() > LONGEST_MANAGER {
        return Some(StatusCause::too_long("fieldManager", LONGEST_MANAGER));
    }
    let (position, character) = manager.char_indices().find(|(_, character)| character.is_control())?;
    let why = format!("invalid character U+{:04X} (at position {position})", u32::from(character));
    Some(StatusCause::invalid("fieldManager", &manager.into(), why))
}
