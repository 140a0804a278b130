//! An object as the server sends it, reduced to the fields that are read.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::api::ApiResource;
use kube::core::DynamicResourceScope;
use lb_api::objects::{self, Object, Sourced};
use lb_api::problem::Problem;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Annotations that are dropped: a copy of the whole object, and a time that differs with every change.
const IGNORED_ANNOTATIONS: [&str; 2] =
    ["kubectl.kubernetes.io/last-applied-configuration", "endpoints.kubernetes.io/last-change-trigger-time"];
/// Metadata fields that are kept.
const METADATA: [&str; 7] =
    ["name", "namespace", "labels", "annotations", "creationTimestamp", "uid", "resourceVersion"];
/// Top-level fields that are kept, of any kind.
const FIELDS: [&str; 9] =
    ["metadata", "spec", "status", "addressType", "endpoints", "ports", "type", "data", "stringData"];
/// Kinds whose resource version is dropped, so that an update of nothing else is no change: every kubelet
/// updates its Node at least every five minutes.
const VERSIONLESS: [&str; 2] = ["Node", "EndpointSlice"];

/// An object of any kind, as text: a long list of parsed objects would take many times the memory.
#[derive(Clone, Debug)]
pub(super) struct RawObject {
    /// Name, namespace and resource version.
    metadata: ObjectMeta,
    text: Box<str>,
}

impl RawObject {
    /// Returns namespace and name.
    pub(super) fn key(&self) -> (String, String) {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        (text(&self.metadata.namespace), text(&self.metadata.name))
    }

    /// Parses the object; returns its problems as well. Items of a list do not name their kind, so `resource`
    /// does.
    pub(super) fn parse(&self, resource: &ApiResource) -> (Option<Sourced<Object>>, Vec<Problem>) {
        // The text was serialized from a value, so it parses.
        let mut value: Value = serde_json::from_str(&self.text).unwrap_or_default();
        value["apiVersion"] = resource.api_version.clone().into();
        value["kind"] = resource.kind.clone().into();
        if VERSIONLESS.contains(&&*resource.kind) {
            value["metadata"]["resourceVersion"] = Value::Null;
        }
        let (mut objects, problems) = objects::from_json(value);
        (objects.pop(), problems)
    }
}

impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        fields.retain(|key, _| FIELDS.contains(&key.as_str()));
        let metadata = fields.get_mut("metadata").and_then(Value::as_object_mut);
        let metadata = metadata.map(strip).unwrap_or_default();
        Ok(Self { metadata, text: Value::Object(fields).to_string().into() })
    }
}

/// Removes metadata that is not read; returns what kube-rs itself needs.
fn strip(metadata: &mut Map<String, Value>) -> ObjectMeta {
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

impl Resource for RawObject {
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
