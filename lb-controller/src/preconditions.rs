//! Preconditions of writes: a write names the version that it replaces, fails with 409 if the object has
//! changed, and is then planned again from the new version.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;
use lb_api::objects::{Metadata, Object, Sourced};
use serde_json::{Map, Value};

/// Namespace and name.
type Name = (String, String);

/// The observed version of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ObservedVersion {
    uid: Option<String>,
    version: Option<u64>,
}

/// Preconditions of the objects of one kind.
#[derive(Debug, Default)]
pub(super) struct Preconditions {
    observed: BTreeMap<Name, ObservedVersion>,
    /// Versions created by writes, until they are observed.
    written: BTreeMap<Name, u64>,
}

impl Preconditions {
    /// Sets the observed objects, of those that `is_of_kind` selects.
    pub(super) fn observe(&mut self, objects: &[Arc<Sourced<Object>>], is_of_kind: impl Fn(&Object) -> bool) {
        let of = |metadata: &Metadata| ObservedVersion {
            uid: metadata.uid.clone(),
            version: metadata.resource_version.as_deref().and_then(|version| version.parse().ok()),
        };
        let objects = objects.iter().map(|object| &object.value).filter(|object| is_of_kind(object));
        self.observed = objects.map(|object| (name(object), of(object.metadata()))).collect();
        let observed = &self.observed;
        self.written.retain(|name, written| {
            observed
                .get(name)
                .is_some_and(|observed| observed.version.is_none_or(|version| version < *written))
        });
    }

    /// Handles the result of a write.
    pub(super) fn handle_written(&mut self, namespace: &str, object: &impl ResourceExt) {
        let version = object.resource_version().and_then(|version| version.parse().ok());
        let name = (namespace.to_owned(), object.name_any());
        if let Some(version) = version {
            self.written.insert(name, version);
        }
    }

    /// Returns the metadata that name the version to replace; empty if the object is unknown.
    pub(super) fn metadata(&self, namespace: &str, name: &str) -> Map<String, Value> {
        let key = (namespace.to_owned(), name.to_owned());
        let mut metadata = Map::new();
        let Some(observed) = self.observed.get(&key) else { return metadata };
        if let Some(uid) = &observed.uid {
            metadata.insert("uid".to_owned(), uid.clone().into());
        }
        if let Some(version) = observed.version.max(self.written.get(&key).copied()) {
            metadata.insert("resourceVersion".to_owned(), version.to_string().into());
        }
        metadata
    }
}

fn name(object: &Object) -> Name {
    (object.namespace().unwrap_or_default().to_owned(), object.metadata().name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::api::{ApiResource, DynamicObject};
    use lb_api::objects;
    use serde_json::json;

    fn observe(preconditions: &mut Preconditions, version: u64) {
        let text = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: a, uid: u, resourceVersion: '{version}'}}\n"
        );
        let (objects, problems) = objects::parse("test", &text);
        assert!(problems.is_empty(), "{problems:?}");
        let objects: Vec<_> = objects.into_iter().map(Arc::new).collect();
        preconditions.observe(&objects, |object| matches!(object, Object::Namespace(_)));
    }

    #[test]
    fn a_write_replaces_the_later_of_the_observed_and_the_written_version() {
        let mut preconditions = Preconditions::default();
        assert!(preconditions.metadata("", "a").is_empty());
        observe(&mut preconditions, 7);
        let expected = |version: &str| json!({"uid": "u", "resourceVersion": version});
        assert_eq!(Value::from(preconditions.metadata("", "a")), expected("7"));
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Namespace>(&());
        let mut written = DynamicObject::new("a", &resource);
        written.metadata.resource_version = Some("9".to_owned());
        preconditions.handle_written("", &written);
        observe(&mut preconditions, 8);
        assert_eq!(Value::from(preconditions.metadata("", "a")), expected("9"));
        observe(&mut preconditions, 10);
        assert_eq!(Value::from(preconditions.metadata("", "a")), expected("10"));
        assert!(preconditions.written.is_empty());
    }
}
