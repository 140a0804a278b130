//! Reasons why manifests cannot be read, or not in full.

use crate::kind::ObjectKind;
use crate::problem::excerpt::named;
use crate::problem::severity::Severity;

/// Why a manifest cannot be read, or not in full, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadReason {
    /// Text that is not YAML.
    #[error("cannot parse this document: {words}; it is ignored until this is fixed")]
    BadDocument {
        /// The parser's message.
        words: String,
    },
    /// A field of another type than its kind has.
    #[error("{words}; the object is ignored until this is fixed")]
    BadField {
        /// The parser's message.
        words: String,
    },
    /// Unreadable documents of a file beyond those that are reported.
    #[error("{count} more documents of this file are ignored; fix the reported ones first")]
    MoreDocuments {
        /// Number of them.
        count: usize,
    },
    /// A file that cannot be read.
    #[error("{error}; the last-known-good content of the file stays in force")]
    UnreadableFile {
        /// The error.
        error: String,
    },
    /// A directory that cannot be read.
    #[error("{error}; the last-known-good configuration stays in force")]
    UnreadableDirectory {
        /// The error.
        error: String,
    },
    /// Files beyond the limit.
    #[error("{count} files beyond the limit of {limit} are ignored; put objects together into fewer files")]
    TooManyFiles {
        /// Number of them.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A document without `apiVersion` or `kind`.
    #[error("apiVersion or kind is missing; write both")]
    NoKind,
    /// A kind that is not supported.
    #[error("unknown kind {} {}{}", named(.api_version), named(.kind), kinds(.instead.as_deref()))]
    UnknownKind {
        /// As written.
        api_version: String,
        /// As written.
        kind: String,
        /// The closest known name.
        instead: Option<String>,
    },
    /// An unknown field.
    #[error("unknown field, which has no effect{}", hint(.instead.as_deref()))]
    NoSuchField {
        /// The closest known name.
        instead: Option<String>,
    },
    /// Unknown fields beyond those that are reported.
    #[error("{count} more unknown fields, which have no effect; correct the reported ones first")]
    MoreFields {
        /// Number of them.
        count: usize,
    },
    /// An unknown annotation of MetalLB.
    #[error("unknown annotation, which has no effect{}", hint(.instead.as_deref()))]
    UnknownAnnotation {
        /// The closest known name.
        instead: Option<String>,
    },
}

impl ReadReason {
    /// Returns a fixed word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::BadDocument { .. } => "bad_document",
            Self::BadField { .. } => "bad_field",
            Self::MoreDocuments { .. } => "more_documents",
            Self::UnreadableFile { .. } => "unreadable_file",
            Self::UnreadableDirectory { .. } => "unreadable_directory",
            Self::TooManyFiles { .. } => "too_many_files",
            Self::NoKind => "no_kind",
            Self::UnknownKind { .. } => "unknown_kind",
            Self::NoSuchField { .. } | Self::MoreFields { .. } => "no_such_field",
            Self::UnknownAnnotation { .. } => "unknown_annotation",
        }
    }

    /// Returns how severe it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::NoSuchField { .. } | Self::MoreFields { .. } | Self::UnknownAnnotation { .. } => {
                Severity::Warning
            }
            _ => Severity::Error,
        }
    }
}

/// Suggests a name for an unknown one.
fn hint(instead: Option<&str>) -> String {
    instead.map_or_else(|| "; remove it".to_owned(), |instead| format!("; did you mean {instead}?"))
}

/// Suggests a kind for an unknown one.
fn kinds(instead: Option<&str>) -> String {
    if instead.is_some() {
        return hint(instead);
    }
    let kinds = ObjectKind::READ.iter().filter(|kind| **kind != ObjectKind::CONFIG_MAP);
    let kinds: Vec<_> = kinds.map(|kind| format!("{} {}", kind.api_version(), kind.name)).collect();
    format!("; write one of v1 List, {}", kinds.join(", "))
}
