//! What requests would have to be allowed to do, where somebody looks.

use super::request::Target;

/// A permission, as roles grant it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: &'static str,
    /// Group of the kind.
    pub group: String,
    /// Plural of the kind, and behind a slash the subresource.
    pub resource: String,
    /// Namespace; `None` for all of them, or for a kind that has none.
    pub namespace: Option<String>,
    /// Name of the object; `None` where the request names none.
    pub name: Option<String>,
}

impl Access {
    /// What a request takes. To apply an object that is not there also takes `create`.
    pub(super) fn of(
        verb: &'static str,
        target: &Target,
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
