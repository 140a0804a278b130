//! Content negotiation of responses.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

use super::error;
use super::status_error::StatusError;
use super::text::BodyEncoding;

/// The offered media types, as in errors.
const OFFERED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// The view of objects in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectView {
    Object,
    Table,
    Metadata,
    MetadataList,
    /// Aggregated discovery.
    Groups,
}

/// The accepted media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AcceptedMedia {
    pub(super) encoding: BodyEncoding,
    pub(super) view: ObjectView,
}

impl AcceptedMedia {
    const PLAIN: Self = Self { encoding: BodyEncoding::Json, view: ObjectView::Object };

    /// Returns the encoding of errors for a client.
    pub(super) fn encoding_of_errors(accept: Option<&str>) -> BodyEncoding {
        Self::of(accept, |_| true).map_or(BodyEncoding::Json, |expected| expected.encoding)
    }

    /// Negotiates the media type for objects.
    pub(super) fn for_objects(accept: Option<&str>, is_custom: bool) -> Result<Self, StatusError> {
        let views = |view| !matches!(view, ObjectView::Groups);
        Self::of(accept, views).ok_or_else(|| refuse(accept, is_custom))
    }

    /// Negotiates the media type for discovery.
    pub(super) fn for_discovery(accept: Option<&str>) -> Result<Self, StatusError> {
        let views = |view| matches!(view, ObjectView::Groups | ObjectView::Object);
        Self::of(accept, views).ok_or_else(|| refuse(accept, false))
    }

    fn of(accept: Option<&str>, offers: impl Fn(ObjectView) -> bool) -> Option<Self> {
        let accept = accept.map(str::trim).filter(|accept| !accept.is_empty());
        let Some(accept) = accept else { return Some(Self::PLAIN) };
        let mut clauses: Vec<(f32, Vec<&str>)> = accept
            .split(',')
            .map(|clause| {
                let parts: Vec<&str> = clause.split(';').map(str::trim).collect();
                let quality = parts.iter().find_map(|part| part.strip_prefix("q=")?.parse().ok());
                (quality.unwrap_or(1.0), parts)
            })
            .collect();
        clauses.sort_by(|one, other| other.0.total_cmp(&one.0));
        clauses
            .iter()
            .find_map(|(_, parts)| Self::of_clause(parts))
            .filter(|expected| offers(expected.view))
            .or_else(|| {
                clauses
                    .iter()
                    .filter_map(|(_, parts)| Self::of_clause(parts))
                    .find(|expected| offers(expected.view))
            })
    }

    fn of_clause(parts: &[&str]) -> Option<Self> {
        let encoding = match *parts.first()? {
            "application/json" | "application/*" | "*/*" => BodyEncoding::Json,
            "application/yaml" => BodyEncoding::Yaml,
            _ => return None,
        };
        let parameter = |name: &str| parts.iter().find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let view = match (parameter("as"), parameter("g"), parameter("v")) {
            (None, ..) => ObjectView::Object,
            (Some("Table"), Some("meta.k8s.io"), Some("v1" | "v1beta1")) => ObjectView::Table,
            (Some("PartialObjectMetadata"), Some("meta.k8s.io"), Some("v1" | "v1beta1")) => {
                ObjectView::Metadata
            }
            (Some("PartialObjectMetadataList"), Some("meta.k8s.io"), Some("v1" | "v1beta1")) => {
                ObjectView::MetadataList
            }
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => ObjectView::Groups,
            _ => return None,
        };
        Some(Self { encoding, view })
    }
}

/// Returns the `Accept` header.
pub(super) fn accept(headers: &HeaderMap) -> Option<&str> {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok())
}

fn refuse(accept: Option<&str>, is_custom: bool) -> StatusError {
    let types = accept.unwrap_or_default().split(',').filter_map(|clause| clause.split(';').next());
    let is_known = |kind: &str| OFFERED.split(", ").any(|offered| offered == kind);
    // The routes of built-in kinds check media types before their parameters.
    if !is_custom && !types.into_iter().any(|kind| is_known(kind.trim())) {
        return refuse_type(OFFERED);
    }
    error::not_acceptable(format!("only the following media types are accepted: {OFFERED}"), None)
}

/// Returns the error for a route that offers only these types.
pub(super) fn refuse_type(offered: &str) -> StatusError {
    let message = format!("406: Not Acceptable\n\nAvailable representations: {offered}");
    error::not_acceptable(message, Some(serde_json::json!({})))
}
