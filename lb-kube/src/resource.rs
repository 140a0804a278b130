//! Kinds of objects as kube-rs describes them.

use kube::api::{Api, ApiResource};
use kube::core::DynamicResourceScope;
use kube::{Client, Resource};
use lb_api::kind::{METALLB_GROUP, ObjectKind};

/// Returns a kind as kube-rs describes it.
pub fn resource(kind: ObjectKind) -> ApiResource {
    ApiResource {
        group: kind.group.to_owned(),
        version: kind.version().to_owned(),
        api_version: kind.api_version(),
        kind: kind.name.to_owned(),
        plural: kind.plural.to_owned(),
    }
}

/// Returns the API of the objects that count; `namespace` is the load balancer's.
pub fn api<K>(kind: ObjectKind, client: Client, namespace: &str) -> Api<K>
where
    K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
{
    if is_namespaced(kind) {
        Api::namespaced_with(client, namespace, &resource(kind))
    } else {
        Api::all_with(client, &resource(kind))
    }
}

/// Returns whether only objects in the load balancer's namespace count.
fn is_namespaced(kind: ObjectKind) -> bool {
    kind.group == METALLB_GROUP || kind == ObjectKind::SECRET || kind == ObjectKind::CONFIG_MAP
}
