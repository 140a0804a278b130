//! Problems with objects or on a machine: object, field and reason.

mod excerpt;
mod reason;
mod severity;

pub use reason::{BgpReason, PlanReason, ReadReason, Reason};
pub use severity::Severity;

use std::fmt;

use serde::Serialize;
use serde::ser::SerializeStruct;

use excerpt::named;

use crate::kind::ObjectKind;

/// Something that keeps part of the configuration from taking effect. Everything that it does not name is
/// unaffected.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// File of the object.
    pub source: Option<String>,
    /// Line in that file, from 1.
    pub line: Option<usize>,
    /// The object.
    pub object: Option<ObjectRef>,
    /// Path of the field, as `spec.ports[0].port`.
    pub field: Option<String>,
    /// Why, and what to do.
    pub reason: Reason,
}

/// A reference to an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ObjectRef {
    /// Kind.
    pub kind: String,
    /// Namespace, if the kind has one.
    pub namespace: Option<String>,
    /// Name; empty if it could not be read.
    pub name: String,
}

impl ObjectRef {
    /// Refers to an object of a kind.
    pub fn new(kind: ObjectKind, namespace: Option<&str>, name: &str) -> Self {
        Self { kind: kind.name.to_owned(), namespace: namespace.map(str::to_owned), name: name.to_owned() }
    }

    /// Returns whether the object is of this kind.
    pub fn is(&self, kind: ObjectKind) -> bool {
        self.kind == kind.name
    }

    /// Returns whether the object configures the load balancer.
    pub fn is_configuration(&self) -> bool {
        ObjectKind::CONFIGURATION.iter().any(|kind| self.is(*kind))
    }
}

impl Problem {
    /// Creates a problem of an object without its position in a file.
    pub fn about(object: ObjectRef, reason: impl Into<Reason>) -> Self {
        Self { source: None, line: None, object: Some(object), field: None, reason: reason.into() }
    }

    /// Creates a problem without an object: of this machine, or of the maps.
    pub fn general(reason: impl Into<Reason>) -> Self {
        Self { source: None, line: None, object: None, field: None, reason: reason.into() }
    }

    /// Returns a fixed word for metrics.
    pub fn label(&self) -> &'static str {
        self.reason.label()
    }

    /// Returns how severe it is.
    pub fn severity(&self) -> Severity {
        self.reason.severity()
    }
}

/// Returns file and line of an object in a file.
pub(crate) fn location(source: &str, line: usize) -> (Option<String>, Option<usize>) {
    if source.is_empty() { (None, None) } else { (Some(source.to_owned()), Some(line)) }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}:")?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
        }
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{}: ", named(field))?;
        }
        // Parser messages and quoted values may contain line breaks.
        let reason = self.reason.to_string();
        f.write_str(&reason.replace(['\n', '\r'], " "))
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {}/{}", named(&self.kind), named(namespace), named(&self.name)),
            None => write!(f, "{} {}", named(&self.kind), named(&self.name)),
        }
    }
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Problem", 7)?;
        fields.serialize_field("source", &self.source)?;
        fields.serialize_field("line", &self.line)?;
        fields.serialize_field("object", &self.object)?;
        fields.serialize_field("field", &self.field)?;
        fields.serialize_field("severity", &self.severity())?;
        fields.serialize_field("label", self.label())?;
        fields.serialize_field("reason", &self.reason.to_string())?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Problem {
        Problem {
            source: Some("web.yaml".into()),
            line: Some(7),
            object: Some(ObjectRef {
                kind: "Service".into(),
                namespace: Some("shop".into()),
                name: "web".into(),
            }),
            field: Some("spec.ports[0].port".into()),
            reason: ReadReason::BadField { words: "not\na number".into() }.into(),
        }
    }

    #[test]
    fn it_is_one_line() {
        let line = problem().to_string();
        assert!(line.starts_with("web.yaml:7: Service shop/web: spec.ports[0].port: "), "{line}");
        assert!(line.contains("not a number") && !line.contains('\n'), "{line}");
    }

    #[test]
    fn unknown_parts_are_left_out() {
        let general = Problem::general(ReadReason::NoKind);
        assert_eq!(general.to_string(), ReadReason::NoKind.to_string());
        let node = ObjectRef { kind: "Node".into(), namespace: None, name: "a".into() };
        assert!(Problem::about(node, ReadReason::NoKind).to_string().starts_with("Node a: "));
    }

    #[test]
    fn it_serializes_with_label_and_message() {
        let json = serde_json::to_value(problem()).unwrap();
        assert_eq!(json["label"], "bad_field");
        assert_eq!(json["severity"], "error");
        assert_eq!(json["object"]["namespace"], "shop");
        assert_eq!(json["line"], 7);
    }
}
