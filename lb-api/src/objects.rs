//! What is written: objects as they stand in YAML, not yet judged.

mod annotations;
mod bgp;
mod document;
mod fields;
mod json;
mod kinds;
mod rule;
mod secret;
mod selector;
mod spelling;
pub mod status;
mod words;
mod yaml;

pub use bgp::{
    BfdProfile, BfdProfileSpec, BgpAdvertisement, BgpAdvertisementSpec, BgpPeer, BgpPeerSpec, Community,
    CommunityAlias, CommunitySpec, SecretReference,
};
pub use fields::{OLDER_BGP_PEER, schema_of};
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
use fields::Pruned;
use spelling::nearest;

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
        reader.document(document);
    }
    reader.finish()
}

/// Reads an object that came from an API server, and stands in no file.
pub fn from_json(value: serde_json::Value) -> (Vec<Sourced<Object>>, Vec<Problem>) {
    let mut reader = Reader::of("");
    reader.document(Document::json(value));
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

/// Types of Services.
const SERVICE_TYPES: [&str; 4] = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"];
const SERVICE_TYPES_ALLOWED: &str = "ClusterIP, NodePort, LoadBalancer, ExternalName";

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

    fn document(&mut self, mut document: Document<'_>) {
        match document.read::<Header>() {
            Ok(header) => self.headed(&mut document, &header),
            Err(flaw) => self.flawed(&document, None, flaw),
        }
    }

    fn headed(&mut self, document: &mut Document<'_>, header: &Header) {
        let (Some(api_version), Some(kind)) = (&header.api_version, &header.kind) else {
            self.problem(document, header.reference(), None, Reason::NoKind);
            return;
        };
        let pruned = document.prune(api_version, kind);
        match read(document, api_version, kind) {
            Some(Ok(Known::Object(value))) => {
                self.pruned(document, &value.reference(), pruned);
                self.look_at(document, &value);
                self.objects.push(Sourced { source: self.source.to_owned(), line: document.line, value });
            }
            Some(Ok(Known::List(list))) => {
                for item in document.items(list, item_of(api_version, kind)) {
                    self.document(item);
                }
            }
            Some(Ok(Known::Ignored)) => {}
            Some(Err(flaw)) => self.flawed(document, header.reference(), flaw),
            None => {
                let (api_version, kind) = (api_version.clone(), kind.clone());
                let reason = Reason::UnknownKind { instead: kind_meant(&kind), api_version, kind };
                self.problem(document, header.reference(), None, reason);
            }
        }
    }

    /// Reports the fields that were taken away.
    fn pruned(&mut self, document: &Document<'_>, object: &ObjectRef, pruned: Pruned) {
        for unknown in pruned.named {
            let (field, line) = document.place(&unknown.path);
            let (source, line) = place(self.source, line);
            let reason = Reason::NoSuchField { instead: unknown.instead };
            self.push(Problem { source, line, object: Some(object.clone()), field: Some(field), reason });
        }
        if pruned.others > 0 {
            self.problem(document, Some(object.clone()), None, Reason::MoreFields { count: pruned.others });
        }
    }

    /// Reports what an API server would refuse of a Service, and annotations that nobody reads.
    fn look_at(&mut self, document: &Document<'_>, object: &Object) {
        let Object::Service(service) = object else { return };
        let reference = || Some(object.reference());
        for (key, instead) in annotations::unknown(&service.metadata.annotations) {
            let field = Some(format!("metadata.annotations[{key}]"));
            self.problem(document, reference(), field, Reason::UnknownAnnotation { instead });
        }
        let kind = service.spec.r#type.as_deref().filter(|kind| !SERVICE_TYPES.contains(kind));
        if let Some(written) = kind.filter(|kind| !kind.is_empty()) {
            let reason = Reason::UnknownValue { written: written.to_owned(), allowed: SERVICE_TYPES_ALLOWED };
            self.problem(document, reference(), Some("spec.type".to_owned()), reason);
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

/// The kind of a list's items, where the list names it, as `ServiceList` does.
fn item_of<'a>(api_version: &'a str, kind: &'a str) -> Option<(&'a str, &'a str)> {
    let item = kind.strip_suffix("List").filter(|item| !item.is_empty())?;
    Some((api_version, item))
}

fn is_known(api_version: &str, kind: &str) -> bool {
    let is_of = |(version, kinds): &(&str, &[&str])| *version == api_version && kinds.contains(&kind);
    KINDS.iter().any(is_of)
}

/// The kind that was probably meant, in the newest version that is read.
fn kind_meant(kind: &str) -> Option<String> {
    let kind = nearest(kind, KINDS.iter().flat_map(|(_, kinds)| kinds.iter().copied()))?;
    let (api_version, _) = KINDS.iter().rev().find(|(_, kinds)| kinds.contains(&kind))?;
    Some(format!("{api_version} {kind}"))
}

/// The kinds that are read. [`Reason::UnknownKind`] lists them.
const KINDS: [(&str, &[&str]); 4] = [
    ("v1", &["Service", "Node", "Secret", "Namespace", "ConfigMap"]),
    ("discovery.k8s.io/v1", &["EndpointSlice"]),
    (
        "metallb.io/v1beta1",
        &["IPAddressPool", "L2Advertisement", "BGPAdvertisement", "BGPPeer", "BFDProfile", "Community"],
    ),
    ("metallb.io/v1beta2", &["BGPPeer"]),
];

/// Reads a document of a kind; `None` for a kind that is not read.
fn read(document: &Document<'_>, api_version: &str, kind: &str) -> Option<Result<Known, Flaw>> {
    let is_list = item_of(api_version, kind).is_some_and(|(_, item)| is_known(api_version, item));
    if is_list || (api_version, kind) == ("v1", "List") {
        return Some(document.read().map(Known::List));
    }
    if !is_known(api_version, kind) {
        return None;
    }
    let object = match kind {
        "Service" => document.read().map(Object::Service),
        "Node" => document.read().map(Object::Node),
        "Secret" => document.read().map(|secret| Object::Secret(Box::new(secret))),
        "Namespace" => document.read().map(Object::Namespace),
        "ConfigMap" => return Some(Ok(Known::Ignored)),
        "EndpointSlice" => document.read().map(Object::EndpointSlice),
        "IPAddressPool" => document.read().map(|pool| Object::IpAddressPool(Box::new(pool))),
        "L2Advertisement" => document.read().map(Object::L2Advertisement),
        "BGPAdvertisement" => document.read().map(|it| Object::BgpAdvertisement(Box::new(it))),
        "BGPPeer" => document.read().map(|peer| Object::BgpPeer(Box::new(peer))),
        "BFDProfile" => document.read().map(Object::BfdProfile),
        "Community" => document.read().map(Object::Community),
        _ => return None,
    };
    Some(object.map(Known::Object))
}

#[cfg(test)]
mod tests;
