//! In which form an answer is wanted.

use super::error;
use super::refusal::Refusal;

/// What is offered, in words.
const OFFERED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    Json,
    Yaml,
}

/// What of objects an answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Object,
    Table,
    Metadata,
    MetadataList,
    /// Aggregated discovery.
    Groups,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) notation: Notation,
    pub(super) view: View,
}

impl Wanted {
    const PLAIN: Self = Self { notation: Notation::Json, view: View::Object };

    /// How an error is written to who wants this.
    pub(super) fn notation_of_errors(accept: Option<&str>) -> Notation {
        Self::of(accept, |_| true).map_or(Notation::Json, |wanted| wanted.notation)
    }

    /// What a client accepts of what is offered for objects.
    pub(super) fn for_objects(accept: Option<&str>, is_custom: bool) -> Result<Self, Refusal> {
        let views = |view| !matches!(view, View::Groups);
        Self::of(accept, views).ok_or_else(|| refuse(accept, is_custom))
    }

    /// What a client accepts of what is offered for lists of kinds.
    pub(super) fn for_discovery(accept: Option<&str>) -> Result<Self, Refusal> {
        let views = |view| matches!(view, View::Groups | View::Object);
        Self::of(accept, views).ok_or_else(|| refuse(accept, false))
    }

    fn of(accept: Option<&str>, offers: impl Fn(View) -> bool) -> Option<Self> {
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
            .filter(|wanted| offers(wanted.view))
            .or_else(|| {
                clauses
                    .iter()
                    .filter_map(|(_, parts)| Self::of_clause(parts))
                    .find(|wanted| offers(wanted.view))
            })
    }

    fn of_clause(parts: &[&str]) -> Option<Self> {
        let notation = match *parts.first()? {
            "application/json" | "application/*" | "*/*" => Notation::Json,
            "application/yaml" => Notation::Yaml,
            _ => return None,
        };
        let parameter = |name: &str| parts.iter().find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let view = match (parameter("as"), parameter("g"), parameter("v")) {
            (None, ..) => View::Object,
            (Some("Table"), Some("meta.k8s.io"), Some("v1" | "v1beta1")) => View::Table,
            (Some("PartialObjectMetadata"), Some("meta.k8s.io"), Some("v1" | "v1beta1")) => View::Metadata,
            (Some("PartialObjectMetadataList"), Some("meta.k8s.io"), Some("v1" | "v1beta1")) => {
                View::MetadataList
            }
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => View::Groups,
            _ => return None,
        };
        Some(Self { notation, view })
    }
}

fn refuse(accept: Option<&str>, is_custom: bool) -> Refusal {
    let types = accept.unwrap_or_default().split(',').filter_map(|clause| clause.split(';').next());
    let is_known = |kind: &str| OFFERED.split(", ").any(|offered| offered == kind);
    // The routes of built-in kinds look at types before anybody looks at parameters.
    if !is_custom && !types.into_iter().any(|kind| is_known(kind.trim())) {
        return refuse_type(OFFERED);
    }
    error::not_acceptable(format!("only the following media types are accepted: {OFFERED}"), None)
}

/// A route offers these types only.
pub(super) fn refuse_type(offered: &str) -> Refusal {
    let message = format!("406: Not Acceptable\n\nAvailable representations: {offered}");
    error::not_acceptable(message, Some(serde_json::json!({})))
}
