//! Kinds of objects as the client names them.

use kube::api::{Api, ApiResource};
use kube::core::DynamicResourceScope;
use kube::{Client, Resource};
use lb_api::kind::{METALLB_GROUP, ObjectKind};

/// Returns the client's name of a kind.
pub fn resource(kind: ObjectKind) -> ApiResource {
    ApiResource {
        group: kind.group.to_owned(),
        version: kind.version().to_owned(),
        api_version: kind.api_version(),
        kind: kind.name.to_owned(),
        plural: kind.plural.to_owned(),
    }
}

/// Returns a client of the objects that count, where `namespace` is the load balancer's.
pub fn api<K>(kind: ObjectKind, client: Client, namespace: &str) -> Api<K>
where
    K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
{
    if is_of_namespace(kind) {
        Api::namespaced_with(client, namespace, &resource(kind))
    } else {
        Api::all_with(client, &resource(kind))
    }
}

/// Whether only objects of the load balancer's namespace count.
fn is_of_namespace(kind: ObjectKind) -> bool {
    kind.group == METALLB_GROUP || kind == ObjectKind::SECRET || kind == ObjectKind::CONFIG_MAP
}
