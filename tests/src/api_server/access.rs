//! The permissions that requests need, recorded for tests of RBAC rules.

use super::request::RequestTarget;

/// A permission, as roles grant it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: &'static str,
    /// Group of the kind.
    pub group: String,
    /// Plural of the kind, followed by a slash and the subresource, if any.
    pub resource: String,
    /// Namespace; `None` for all namespaces, or a cluster-scoped kind.
    pub namespace: Option<String>,
    /// Name of the object; `None` if the request has none.
    pub name: Option<String>,
}

impl Access {
    /// Returns the permissions for a request. Applying an object that does not exist also needs `create`.
    pub(super) fn of(
        verb: &'static str,
        target: &RequestTarget,
        is_apply_of_new: bool,
    ) -> impl Iterator<Item = Self> {
        let resource = match &target.subresource {
            Some(subresource) => format!("{}/{subresource}", target.plural),
            None => target.plural.clone(),
        };
        let of = move |verb| Self {
            verb,
            group: target.group.clone(),
            resource: resource.clone(),
            namespace: target.namespace.clone(),
            name: target.name.clone(),
        };
        [Some(verb), is_apply_of_new.then_some("create")].into_iter().flatten().map(of)
    }
}
