//! The reader of objects from YAML and JSON, which reports what it cannot read.

use super::annotations;
use super::document::{self, Document, DocumentError, Header, List};
use super::fields::Pruned;
use super::nearest::nearest;
use super::object::{Object, Sourced};
use crate::kind::ObjectKind;
use crate::problem::{ObjectRef, Problem, ReadReason, Reason, location};

/// Reads all documents of a YAML text; `source` is its name in problems.
///
/// A document that cannot be read affects no other, nor does an item of a `List`.
pub fn parse(source: &str, text: &str) -> (Vec<Sourced<Object>>, Vec<Problem>) {
    let mut reader = ObjectReader::of(source);
    for document in document::split(text) {
        reader.document(document);
    }
    reader.finish()
}

/// Reads an object from an API server.
pub fn from_json(value: serde_json::Value) -> (Vec<Sourced<Object>>, Vec<Problem>) {
    let mut reader = ObjectReader::of("");
    reader.document(Document::json(value));
    reader.finish()
}

struct ObjectReader<'a> {
    source: &'a str,
    objects: Vec<Sourced<Object>>,
    problems: Vec<Problem>,
    /// Number of problems without an object.
    unnamed: usize,
}

/// Maximum number of reported problems without an object: an unrelated file may contain millions of
/// documents.
const MAX_UNNAMED: usize = 100;

/// Types of Services.
const SERVICE_TYPES: [&str; 4] = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"];
const SERVICE_TYPES_ALLOWED: &str = "ClusterIP, NodePort, LoadBalancer, ExternalName";

/// The contents of a document.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Content {
    Object(Object),
    List(List),
    Ignored,
}

impl<'a> ObjectReader<'a> {
    fn of(source: &'a str) -> Self {
        Self { source, objects: Vec::new(), problems: Vec::new(), unnamed: 0 }
    }

    fn finish(mut self) -> (Vec<Sourced<Object>>, Vec<Problem>) {
        if let Some(count) = self.unnamed.checked_sub(MAX_UNNAMED).filter(|&count| count > 0) {
            let source = location(self.source, 0).0;
            self.problems.push(Problem { source, ..Problem::general(ReadReason::MoreDocuments { count }) });
        }
        (self.objects, self.problems)
    }

    fn push(&mut self, problem: Problem) {
        self.unnamed += usize::from(problem.object.is_none());
        if problem.object.is_some() || self.unnamed <= MAX_UNNAMED {
            self.problems.push(problem);
        }
    }

    fn document(&mut self, mut document: Document<'_>) {
        match document.read::<Header>() {
            Ok(header) => self.identified(&mut document, &header),
            Err(error) => self.unreadable(&document, None, error),
        }
    }

    fn identified(&mut self, document: &mut Document<'_>, header: &Header) {
        let (Some(api_version), Some(kind)) = (&header.api_version, &header.kind) else {
            self.problem(document, header.reference(), None, ReadReason::NoKind);
            return;
        };
        let pruned = document.prune(api_version, kind);
        match read(document, api_version, kind) {
            Some(Ok(Content::Object(value))) => {
                self.pruned(document, &value.reference(), pruned);
                self.check_service(document, &value);
                self.objects.push(Sourced { source: self.source.to_owned(), line: document.line, value });
            }
            Some(Ok(Content::List(list))) => {
                for item in document.items(list, item_of(api_version, kind)) {
                    self.document(item);
                }
            }
            Some(Ok(Content::Ignored)) => {}
            Some(Err(error)) => self.unreadable(document, header.reference(), error),
            None => {
                let (api_version, kind) = (api_version.clone(), kind.clone());
                let reason = ReadReason::UnknownKind { instead: kind_meant(&kind), api_version, kind };
                self.problem(document, header.reference(), None, reason);
            }
        }
    }

    /// Reports removed fields.
    fn pruned(&mut self, document: &Document<'_>, object: &ObjectRef, pruned: Pruned) {
        for unknown in pruned.named {
            let (field, line) = document.place(&unknown.path);
            let (source, line) = location(self.source, line);
            let reason = ReadReason::NoSuchField { instead: unknown.instead };
            self.push(Problem {
                source,
                line,
                object: Some(object.clone()),
                field: Some(field),
                reason: reason.into(),
            });
        }
        if pruned.others > 0 {
            self.problem(
                document,
                Some(object.clone()),
                None,
                ReadReason::MoreFields { count: pruned.others },
            );
        }
    }

    /// Reports errors in a Service that an API server would reject, and unknown annotations.
    fn check_service(&mut self, document: &Document<'_>, object: &Object) {
        let Object::Service(service) = object else { return };
        let reference = || Some(object.reference());
        for (key, instead) in annotations::unknown(&service.metadata.annotations) {
            let field = Some(format!("metadata.annotations[{key}]"));
            self.problem(document, reference(), field, ReadReason::UnknownAnnotation { instead });
        }
        let kind = service.spec.r#type.as_deref().filter(|kind| !SERVICE_TYPES.contains(kind));
        if let Some(written) = kind.filter(|kind| !kind.is_empty()) {
            let reason = Reason::UnknownValue { written: written.to_owned(), allowed: SERVICE_TYPES_ALLOWED };
            self.problem(document, reference(), Some("spec.type".to_owned()), reason);
        }
    }

    fn unreadable(&mut self, document: &Document<'_>, object: Option<ObjectRef>, error: DocumentError) {
        let reason = match error.field {
            Some(_) => ReadReason::BadField { words: error.words },
            None => ReadReason::BadDocument { words: error.words },
        };
        let (source, line) = location(self.source, error.line.unwrap_or(document.line));
        self.push(Problem { source, line, object, field: error.field, reason: reason.into() });
    }

    fn problem(
        &mut self,
        document: &Document<'_>,
        object: Option<ObjectRef>,
        field: Option<String>,
        reason: impl Into<Reason>,
    ) {
        let (source, line) = location(self.source, document.line);
        self.push(Problem { source, line, object, field, reason: reason.into() });
    }
}

/// Returns the kind of a list's items if the list names it, as `ServiceList` does.
fn item_of<'a>(api_version: &'a str, kind: &'a str) -> Option<(&'a str, &'a str)> {
    let item = kind.strip_suffix("List").filter(|item| !item.is_empty())?;
    Some((api_version, item))
}

/// Returns the closest kind, in its newest version.
fn kind_meant(name: &str) -> Option<String> {
    let name = nearest(name, ObjectKind::READ.iter().map(|kind| kind.name))?;
    let kind = ObjectKind::READ.iter().find(|kind| kind.name == name)?;
    Some(format!("{} {name}", kind.api_version()))
}

/// Reads a document of a kind; `None` for an unsupported kind.
fn read(document: &Document<'_>, api_version: &str, kind: &str) -> Option<Result<Content, DocumentError>> {
    let is_list =
        item_of(api_version, kind).is_some_and(|(_, item)| ObjectKind::find(api_version, item).is_some());
    if is_list || (api_version, kind) == ("v1", "List") {
        return Some(document.read().map(Content::List));
    }
    let object = match ObjectKind::find(api_version, kind)? {
        ObjectKind::SERVICE => document.read().map(Object::Service),
        ObjectKind::NODE => document.read().map(Object::Node),
        ObjectKind::SECRET => document.read().map(|secret| Object::Secret(Box::new(secret))),
        ObjectKind::NAMESPACE => document.read().map(Object::Namespace),
        ObjectKind::ENDPOINT_SLICE => document.read().map(Object::EndpointSlice),
        ObjectKind::IP_ADDRESS_POOL => document.read().map(|pool| Object::IpAddressPool(Box::new(pool))),
        ObjectKind::L2_ADVERTISEMENT => document.read().map(Object::L2Advertisement),
        ObjectKind::BGP_ADVERTISEMENT => document.read().map(|it| Object::BgpAdvertisement(Box::new(it))),
        ObjectKind::BGP_PEER => document.read().map(|peer| Object::BgpPeer(Box::new(peer))),
        ObjectKind::BFD_PROFILE => document.read().map(Object::BfdProfile),
        ObjectKind::COMMUNITY => document.read().map(Object::Community),
        // A ConfigMap.
        _ => return Some(Ok(Content::Ignored)),
    };
    Some(object.map(Content::Object))
}
