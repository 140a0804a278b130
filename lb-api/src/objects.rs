//! What is written: objects as they stand in YAML, not yet judged.

mod bgp;
mod document;
mod json;
mod kinds;
mod rule;
mod secret;
mod selector;
pub mod status;
mod yaml;

pub use bgp::{
    BfdProfile, BfdProfileSpec, BgpAdvertisement, BgpAdvertisementSpec, BgpPeer, BgpPeerSpec, Community,
    CommunityAlias, CommunitySpec, SecretReference,
};
pub use kinds::{
    Conditions, Endpoint, EndpointPort, EndpointSlice, Ingress, IpAddressPool, IpAddressPoolSpec,
    L2Advertisement, L2AdvertisementSpec, LoadBalancerStatus, Metadata, Namespace, Node, NodeAddress,
    NodeCondition, NodeSpec, NodeStatus, PreferredNodes, Service, ServiceAllocation, ServicePort,
    ServiceSpec, ServiceStatus, Taint,
};
pub use secret::{Hidden, Secret};
pub use selector::{LabelSelector, Operator, Requirement};

use crate::problem::{ObjectRef, Problem, Reason, place};
use document::{Document, Flaw, Header, List};

/// Namespace of an object of a namespaced kind that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// A value, and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Sourced<T> {
    /// Name of the file that it was read from; empty if it stands in none.
    pub source: String,
    /// Line of its document's first line, from 1.
    pub line: usize,
    /// The value.
    pub value: T,
}

/// An object of a kind that is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// `v1` Service.
    Service(Box<Service>),
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice(EndpointSlice),
    /// `v1` Node.
    Node(Node),
    /// `v1` Namespace.
    Namespace(Namespace),
    /// `metallb.io/v1beta1` IPAddressPool.
    IpAddressPool(Box<IpAddressPool>),
    /// `metallb.io/v1beta1` L2Advertisement.
    L2Advertisement(L2Advertisement),
    /// `metallb.io` BGPPeer.
    BgpPeer(Box<BgpPeer>),
    /// `metallb.io/v1beta1` BGPAdvertisement.
    BgpAdvertisement(Box<BgpAdvertisement>),
    /// `metallb.io/v1beta1` BFDProfile.
    BfdProfile(BfdProfile),
    /// `metallb.io/v1beta1` Community.
    Community(Community),
    /// `v1` Secret.
    Secret(Box<Secret>),
}

impl Object {
    /// The kind, as it is written.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Service(_) => "Service",
            Self::EndpointSlice(_) => "EndpointSlice",
            Self::Node(_) => "Node",
            Self::Namespace(_) => "Namespace",
            Self::IpAddressPool(_) => "IPAddressPool",
            Self::L2Advertisement(_) => "L2Advertisement",
            Self::BgpPeer(_) => "BGPPeer",
            Self::BgpAdvertisement(_) => "BGPAdvertisement",
            Self::BfdProfile(_) => "BFDProfile",
            Self::Community(_) => "Community",
            Self::Secret(_) => "Secret",
        }
    }

    /// Name, labels and annotations.
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::Service(service) => &service.metadata,
            Self::EndpointSlice(slice) => &slice.metadata,
            Self::Node(node) => &node.metadata,
            Self::Namespace(namespace) => &namespace.metadata,
            Self::IpAddressPool(pool) => &pool.metadata,
            Self::L2Advertisement(advertisement) => &advertisement.metadata,
            Self::BgpPeer(peer) => &peer.metadata,
            Self::BgpAdvertisement(advertisement) => &advertisement.metadata,
            Self::BfdProfile(profile) => &profile.metadata,
            Self::Community(community) => &community.metadata,
            Self::Secret(secret) => &secret.metadata,
        }
    }

    /// The namespace; `None` for a kind that has none.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Node(_) | Self::Namespace(_) => None,
            _ => Some(self.metadata().namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)),
        }
    }

    /// What a problem calls it.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            kind: self.kind().to_owned(),
            namespace: self.namespace().map(str::to_owned),
            name: self.metadata().name.clone(),
        }
    }
}

/// Reads all documents of a YAML text; `source` is its name in problems.
///
/// A document that cannot be read costs only itself, and an item of a `List` only that item.
pub fn parse(source: &str, text: &str) -> (Vec<Sourced<Object>>, Vec<Problem>) {
    let mut reader = Reader::of(source);
    for document in document::split(text) {
        reader.document(&document);
    }
    reader.finish()
}

/// Reads an object that came from an API server, and stands in no file.
pub fn from_json(value: serde_json::Value) -> (Vec<Sourced<Object>>, Vec<Problem>) {
    let mut reader = Reader::of("");
    reader.document(&Document::json(value));
    reader.finish()
}

struct Reader<'a> {
    source: &'a str,
    objects: Vec<Sourced<Object>>,
    problems: Vec<Problem>,
    /// How many of the problems are no object's.
    unnamed: usize,
}

/// Documents that are no object's and are named for what is wrong with them: a file of something else may hold
/// millions.
const MAX_UNNAMED: usize = 100;

/// What a document turned out to be.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Known {
    Object(Object),
    List(List),
    Ignored,
}

impl<'a> Reader<'a> {
    fn of(source: &'a str) -> Self {
        Self { source, objects: Vec::new(), problems: Vec::new(), unnamed: 0 }
    }

    fn finish(mut self) -> (Vec<Sourced<Object>>, Vec<Problem>) {
        if let Some(count) = self.unnamed.checked_sub(MAX_UNNAMED).filter(|&count| count > 0) {
            let source = place(self.source, 0).0;
            self.problems.push(Problem { source, ..Problem::general(Reason::MoreDocuments { count }) });
        }
        (self.objects, self.problems)
    }

    fn push(&mut self, problem: Problem) {
        self.unnamed += usize::from(problem.object.is_none());
        if problem.object.is_some() || self.unnamed <= MAX_UNNAMED {
            self.problems.push(problem);
        }
    }

    fn document(&mut self, document: &Document<'_>) {
        match document.read::<Header>() {
            Ok(header) => self.headed(document, &header),
            Err(flaw) => self.flawed(document, None, flaw),
        }
    }

    fn headed(&mut self, document: &Document<'_>, header: &Header) {
        let (Some(api_version), Some(kind)) = (&header.api_version, &header.kind) else {
            self.problem(document, header.reference(), None, Reason::NoKind);
            return;
        };
        match read(document, api_version, kind) {
            Some(Ok(Known::Object(value))) => {
                self.objects.push(Sourced { source: self.source.to_owned(), line: document.line, value });
            }
            Some(Ok(Known::List(list))) => {
                for item in document.items(list) {
                    self.document(&item);
                }
            }
            Some(Ok(Known::Ignored)) => {}
            Some(Err(flaw)) => self.flawed(document, header.reference(), flaw),
            None => {
                let reason = Reason::UnknownKind { api_version: api_version.clone(), kind: kind.clone() };
                self.problem(document, header.reference(), None, reason);
            }
        }
    }

    fn flawed(&mut self, document: &Document<'_>, object: Option<ObjectRef>, flaw: Flaw) {
        let reason = match flaw.field {
            Some(_) => Reason::BadField { words: flaw.words },
            None => Reason::BadDocument { words: flaw.words },
        };
        let (source, line) = place(self.source, flaw.line.unwrap_or(document.line));
        self.push(Problem { source, line, object, field: flaw.field, reason });
    }

    fn problem(
        &mut self,
        document: &Document<'_>,
        object: Option<ObjectRef>,
        field: Option<String>,
        reason: Reason,
    ) {
        let (source, line) = place(self.source, document.line);
        self.push(Problem { source, line, object, field, reason });
    }
}

/// The one table of kinds; `None` for a kind that is not in it. [`Reason::UnknownKind`] lists them.
fn read(document: &Document<'_>, api_version: &str, kind: &str) -> Option<Result<Known, Flaw>> {
    Some(match (api_version, kind) {
        ("v1", "Service") => document.read().map(|service| Known::Object(Object::Service(service))),
        ("v1", "Node") => document.read().map(|node| Known::Object(Object::Node(node))),
        ("discovery.k8s.io/v1", "EndpointSlice") => {
            document.read().map(|slice| Known::Object(Object::EndpointSlice(slice)))
        }
        ("metallb.io/v1beta1", "IPAddressPool") => {
            document.read().map(|pool| Known::Object(Object::IpAddressPool(Box::new(pool))))
        }
        ("metallb.io/v1beta1", "L2Advertisement") => {
            document.read().map(|advertisement| Known::Object(Object::L2Advertisement(advertisement)))
        }
        ("metallb.io/v1beta1", "BGPAdvertisement") => {
            document.read().map(|it| Known::Object(Object::BgpAdvertisement(Box::new(it))))
        }
        ("metallb.io/v1beta1" | "metallb.io/v1beta2", "BGPPeer") => {
            document.read().map(|peer| Known::Object(Object::BgpPeer(Box::new(peer))))
        }
        ("metallb.io/v1beta1", "BFDProfile") => {
            document.read().map(|profile| Known::Object(Object::BfdProfile(profile)))
        }
        ("metallb.io/v1beta1", "Community") => {
            document.read().map(|community| Known::Object(Object::Community(community)))
        }
        ("v1", "Secret") => document.read().map(|secret| Known::Object(Object::Secret(Box::new(secret)))),
        ("v1", "List") => document.read().map(Known::List),
        ("v1", "Namespace") => document.read().map(|it| Known::Object(Object::Namespace(it))),
        ("v1", "ConfigMap") => Ok(Known::Ignored),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
