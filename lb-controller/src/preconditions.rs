//! The version of an object that a write replaces: a write that was decided on an older one fails with 409, and is
//! decided again on what the watch shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;
use lb_api::objects::{Metadata, Object, Sourced};
use serde_json::{Map, Value};

/// Namespace and name.
type Name = (String, String);

/// What has been seen of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    uid: Option<String>,
    version: Option<u64>,
}

/// Versions of the objects of one kind.
#[derive(Debug, Default)]
pub(super) struct Versions {
    seen: BTreeMap<Name, Seen>,
    /// Versions that came of writes, until they are seen.
    written: BTreeMap<Name, u64>,
}

impl Versions {
    /// Takes in what is seen now, of the objects that are `meant`.
    pub(super) fn see(&mut self, objects: &[Arc<Sourced<Object>>], meant: impl Fn(&Object) -> bool) {
        let of = |metadata: &Metadata| Seen {
            uid: metadata.uid.clone(),
            version: metadata.resource_version.as_deref().and_then(|version| version.parse().ok()),
        };
        let meant = objects.iter().map(|object| &object.value).filter(|object| meant(object));
        self.seen = meant.map(|object| (name(object), of(object.metadata()))).collect();
        let seen = &self.seen;
        self.written.retain(|name, written| {
            seen.get(name).is_some_and(|seen| seen.version.is_none_or(|version| version < *written))
        });
    }

    /// A write has left an object like this.
    pub(super) fn handle_written(&mut self, namespace: &str, object: &impl ResourceExt) {
        let version = object.resource_version().and_then(|version| version.parse().ok());
        let name = (namespace.to_owned(), object.name_any());
        if let Some(version) = version {
            self.written.insert(name, version);
        }
    }

    /// Metadata that say what a write replaces; nothing where nothing is known of the object.
    pub(super) fn metadata(&self, namespace: &str, name: &str) -> Map<String, Value> {
        let key = (namespace.to_owned(), name.to_owned());
        let mut metadata = Map::new();
        let Some(seen) = self.seen.get(&key) else { return metadata };
        if let Some(uid) = &seen.uid {
            metadata.insert("uid".to_owned(), uid.clone().into());
        }
        if let Some(version) = seen.version.max(self.written.get(&key).copied()) {
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

    fn see(versions: &mut Versions, version: u64) {
        let text = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: a, uid: u, resourceVersion: '{version}'}}\n"
        );
        let (objects, problems) = objects::parse("test", &text);
        assert!(problems.is_empty(), "{problems:?}");
        let objects: Vec<_> = objects.into_iter().map(Arc::new).collect();
        versions.see(&objects, |object| matches!(object, Object::Namespace(_)));
    }

    #[test]
    fn a_write_replaces_the_later_of_what_was_seen_and_what_was_written() {
        let mut versions = Versions::default();
        assert!(versions.metadata("", "a").is_empty());
        see(&mut versions, 7);
        let expected = |version: &str| json!({"uid": "u", "resourceVersion": version});
        assert_eq!(Value::from(versions.metadata("", "a")), expected("7"));
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Namespace>(&());
        let mut written = DynamicObject::new("a", &resource);
        written.metadata.resource_version = Some("9".to_owned());
        versions.handle_written("", &written);
        see(&mut versions, 8);
        assert_eq!(Value::from(versions.metadata("", "a")), expected("9"));
        see(&mut versions, 10);
        assert_eq!(Value::from(versions.metadata("", "a")), expected("10"));
        assert!(versions.written.is_empty());
    }
}
