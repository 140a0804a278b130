//! Lists: current or of an earlier version, paginated, and selected.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::parse_version;
use crate::api_server::call::Call;
use crate::api_server::error;
use crate::api_server::objects::text;
use crate::api_server::request::Query;
use crate::api_server::selectors::Selectors;
use crate::api_server::status_error::{StatusCause, StatusError};

const INCONSISTENT: &str = "The provided continue parameter is too old to display a consistent list result. You can \
    start a new list without the continue parameter, or use the continue token in this response to retrieve the \
    remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were \
    created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
const TOO_OLD: &str = "The resourceVersion for the provided list is too old.";

/// The version and the position of a list request.
struct ListPosition {
    version: Option<u64>,
    /// Where it continues.
    after: Option<String>,
}

impl Call {
    pub(super) fn list(&self) -> Result<Value, StatusError> {
        let query = &self.query;
        check_list(query, false)?;
        let selectors = Selectors::parse(
            query.get("labelSelector").unwrap_or_default(),
            query.get("fieldSelector").unwrap_or_default(),
            &self.kind,
        )
        .map_err(StatusError::bad_request)?;
        let limit = number(query, "limit")?.filter(|limit| *limit > 0);
        // Version 0 is read from a cache, which does not paginate.
        let limit = limit.filter(|_| query.get("resourceVersion") != Some("0"));
        let of = self.of(limit.is_some())?;
        let inner = self.store.lock();
        if let Some(version) = of.version.filter(|version| *version > inner.version) {
            return Err(error::too_new(version, inner.version));
        }
        let namespace = self.target.namespace.as_deref();
        let (objects, version) = match of.version {
            None => (inner.list(&self.kind, namespace), inner.version),
            Some(version) => {
                let found = inner.list_at(&self.kind, namespace, version);
                (found.map_err(|_| self.expired(&of))?, version)
            }
        };
        drop(inner);
        let is_after = |object: &Arc<Value>| of.after.as_ref().is_none_or(|after| place(object) > *after);
        let mut selected = objects.iter().filter(|object| is_after(object) && selectors.select(object));
        let page: Vec<&Arc<Value>> = match limit {
            Some(limit) => selected.by_ref().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect(),
            None => selected.by_ref().collect(),
        };
        let remaining = selected.count();
        let last = page.last().filter(|_| remaining > 0).map(|object| place(object));
        Ok(self.listed(&page, version, last, remaining, selectors.is_empty()))
    }

    fn listed(
        &self,
        page: &[&Arc<Value>],
        version: u64,
        last: Option<String>,
        remaining: usize,
        is_whole: bool,
    ) -> Value {
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if self.kind.traits.is_custom {
            metadata["continue"] = json!("");
        }
        if let Some(last) = last {
            metadata["continue"] = json!(token(version, &last));
            if is_whole {
                metadata["remainingItemCount"] = json!(remaining);
            }
        }
        let show = |object: &&Arc<Value>| {
            let mut shown = self.shown(object);
            if let Some(fields) = shown.as_object_mut().filter(|_| !self.kind.traits.is_custom) {
                fields.remove("kind");
                fields.remove("apiVersion");
            }
            shown
        };
        json!({
            "apiVersion": self.api_version, "kind": self.kind.list_kind, "metadata": metadata,
            "items": page.iter().map(show).collect::<Vec<_>>(),
        })
    }

    /// Parses the version and the continue token.
    fn of(&self, has_limit: bool) -> Result<ListPosition, StatusError> {
        let query = &self.query;
        let given = query.get("resourceVersion");
        if let Some(token) = query.get("continue") {
            if given.is_some_and(|version| version != "0") {
                let message = "specifying resource version is not allowed when using continue";
                return Err(StatusError::bad_request(message));
            }
            let (version, after) = read_token(token).map_err(StatusError::bad_request)?;
            return Ok(ListPosition { version, after: Some(after) });
        }
        let Some(given) = given else { return Ok(ListPosition { version: None, after: None }) };
        let version = parse_version(given)
            .map_err(|error| StatusError::bad_request(format!("invalid resource version: {error}")))?;
        let current = self.store.lock().version;
        if version > current {
            return Err(error::too_new(version, current));
        }
        let is_exact = query.get("resourceVersionMatch") == Some("Exact")
            || (has_limit && version > 0 && query.get("resourceVersionMatch").is_none());
        Ok(ListPosition { version: is_exact.then_some(version), after: None })
    }

    /// Returns the error for a version that has been compacted.
    fn expired(&self, of: &ListPosition) -> StatusError {
        let Some(after) = &of.after else { return error::expired(TOO_OLD) };
        StatusError { details: Some(json!({"continue": token(0, after)})), ..error::expired(INCONSISTENT) }
    }
}

/// Rejects conflicting options of lists and watches.
pub(in crate::api_server) fn check_list(query: &Query, is_watch: bool) -> Result<(), StatusError> {
    let matches = query.get("resourceVersionMatch");
    let version = query.get("resourceVersion").unwrap_or_default();
    let field = "resourceVersionMatch";
    let forbid = |why: &str| StatusCause::forbidden(field, why);
    let mut causes = Vec::new();
    if is_watch && query.has("sendInitialEvents") {
        if matches != Some("NotOlderThan") {
            causes.push(forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
        }
        if let Some(other) = matches.filter(|other| *other != "NotOlderThan") {
            causes.push(StatusCause::not_supported(field, &json!(other), &["NotOlderThan"]));
        }
        if query.get("continue").is_some() {
            causes.push(forbid("resourceVersionMatch is forbidden when continue is provided"));
        }
    } else if let Some(matches) = matches {
        if is_watch {
            causes.push(forbid(
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        } else {
            if version.is_empty() {
                causes.push(forbid("resourceVersionMatch is forbidden unless resourceVersion is provided"));
            }
            if query.get("continue").is_some() {
                causes.push(forbid("resourceVersionMatch is forbidden when continue is provided"));
            }
            if !["Exact", "NotOlderThan"].contains(&matches) {
                causes.push(StatusCause::not_supported(
                    field,
                    &json!(matches),
                    &["Exact", "NotOlderThan", ""],
                ));
            }
            if matches == "Exact" && version == "0" {
                causes.push(forbid("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""));
            }
        }
    }
    if !is_watch && query.has("sendInitialEvents") {
        causes.push(StatusCause::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if causes.is_empty() { Ok(()) } else { Err(error::invalid_options("ListOptions", &causes)) }
}

/// Parses a number in a query.
pub(in crate::api_server) fn number(query: &Query, name: &str) -> Result<Option<i64>, StatusError> {
    let parse = |text: &str| {
        text.parse().map_err(|_| {
            StatusError::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
        })
    };
    query.get(name).map(parse).transpose()
}

/// Returns an object's position in a list.
fn place(object: &Value) -> String {
    format!("{}/{}", text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}

fn token(version: u64, last: &str) -> String {
    URL_SAFE_NO_PAD.encode(json!({"v": "meta.k8s.io/v1", "rv": version, "start": last}).to_string())
}

/// Parses a continue token: the version, or none to continue with the present objects; and the position.
fn read_token(token: &str) -> Result<(Option<u64>, String), String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    let read: Value = serde_json::from_slice(&bytes).map_err(|_| {
        let first = bytes.first().copied().unwrap_or_default();
        format!(
            "invalid continue token: continue key is not valid: invalid character '\\u{first:04x}' looking for \
             beginning of value"
        )
    })?;
    let version = read["rv"].as_u64().filter(|version| *version > 0);
    Ok((version, read["start"].as_str().unwrap_or_default().to_owned()))
}
