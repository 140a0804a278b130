//! An object as a server tells it, without what nobody here reads.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::api::ApiResource;
use kube::core::DynamicResourceScope;
use lb_api::objects::{self, Object, Sourced};
use lb_api::problem::Problem;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Annotations that are of no use here: a copy of the whole object, and a time that is another with every change.
const IGNORED_ANNOTATIONS: [&str; 2] =
    ["kubectl.kubernetes.io/last-applied-configuration", "endpoints.kubernetes.io/last-change-trigger-time"];
/// Metadata that is read.
const METADATA: [&str; 7] =
    ["name", "namespace", "labels", "annotations", "creationTimestamp", "uid", "resourceVersion"];
/// Fields that are read of any kind.
const FIELDS: [&str; 9] =
    ["metadata", "spec", "status", "addressType", "endpoints", "ports", "type", "data", "stringData"];
/// Kinds whose versions nobody here asks for: as long as nothing else of them changes, they are the same. Every node
/// writes its own at least every five minutes.
const VERSIONLESS: [&str; 2] = ["Node", "EndpointSlice"];

/// An object of any kind, as text: a long list of parsed ones would be many times as long.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// Name, namespace and version.
    metadata: ObjectMeta,
    text: Box<str>,
}

impl Written {
    /// Its namespace and name.
    pub(super) fn key(&self) -> (String, String) {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        (text(&self.metadata.namespace), text(&self.metadata.name))
    }

    /// The object, and what is wrong with it. Items of a list do not name their kind, so `resource` does.
    pub(super) fn read(&self, resource: &ApiResource) -> (Option<Sourced<Object>>, Vec<Problem>) {
        // Nothing but a value has been made a text, so nothing but a value comes out of it.
        let mut value: Value = serde_json::from_str(&self.text).unwrap_or_default();
        value["apiVersion"] = resource.api_version.clone().into();
        value["kind"] = resource.kind.clone().into();
        if VERSIONLESS.contains(&&*resource.kind) {
            value["metadata"]["resourceVersion"] = Value::Null;
        }
        let (mut read, problems) = objects::from_json(value);
        (read.pop(), problems)
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        fields.retain(|key, _| FIELDS.contains(&key.as_str()));
        let metadata = fields.get_mut("metadata").and_then(Value::as_object_mut);
        let slim = metadata.map(slim).unwrap_or_default();
        Ok(Self { metadata: slim, text: Value::Object(fields).to_string().into() })
    }
}

/// Takes away what is not read, and returns what the client itself asks for.
fn slim(metadata: &mut Map<String, Value>) -> ObjectMeta {
    metadata.retain(|key, _| METADATA.contains(&key.as_str()));
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !IGNORED_ANNOTATIONS.contains(&key.as_str()));
    }
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).map(str::to_owned);
    ObjectMeta {
        name: text("name"),
        namespace: text("namespace"),
        resource_version: text("resourceVersion"),
        ..ObjectMeta::default()
    }
}

impl Resource for Written {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
