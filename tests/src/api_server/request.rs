//! What a request is about.

use std::collections::BTreeMap;

use axum::http::Uri;

/// What a path names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
}

impl Target {
    /// `/api/v1/…` or `/apis/GROUP/VERSION/…`; `None` for a path of another kind.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", version, rest),
            ["apis", group, version, rest @ ..] => (*group, version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // A namespace is an object itself, and its own subresources are not kinds.
            ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => (None, rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
            _ => (None, rest),
        };
        let mut rest = rest.iter().map(|part| (*part).to_owned());
        Some(Self {
            group: group.to_owned(),
            version: (*version).to_owned(),
            plural: rest.next()?,
            namespace: namespace.map(str::to_owned),
            name: rest.next(),
            subresource: rest.next(),
        })
    }

    /// As it stands in an object.
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// As an error names it.
    pub(super) fn words(&self) -> String {
        format!("{} {:?}", self.plural, self.name.as_deref().unwrap_or_default())
    }
}

/// What stands behind the question mark.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    pub(super) fn parse(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub(super) fn is_set(&self, key: &str) -> bool {
        matches!(self.get(key), Some("true" | "1"))
    }

    /// Whether an object is asked for, by `labelSelector` (equality only) and `fieldSelector` (name and namespace).
    pub(super) fn selects(&self, object: &serde_json::Value) -> bool {
        let terms = |key: &str| {
            let list = self.get(key).unwrap_or_default().to_owned();
            list.split(',').filter(|term| !term.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let holds = |term: &str, read: &dyn Fn(&str) -> Option<String>| match term.split_once("!=") {
            Some((key, value)) => read(key).as_deref() != Some(value),
            None => match term.split_once('=') {
                Some((key, value)) => read(key).as_deref() == Some(value.trim_start_matches('=')),
                None => read(term).is_some(),
            },
        };
        let label = |key: &str| Some(object.pointer("/metadata/labels")?.get(key)?.as_str()?.to_owned());
        let field = |path: &str| {
            let pointer = format!("/{}", path.replace('.', "/"));
            Some(object.pointer(&pointer)?.as_str()?.to_owned())
        };
        terms("labelSelector").iter().all(|term| holds(term, &label))
            && terms("fieldSelector").iter().all(|term| holds(term, &field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> String {
        let target = Target::parse(path).unwrap();
        let part = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
        format!(
            "{} {} {} {} {}",
            target.api_version(),
            target.plural,
            part(target.namespace.clone()),
            part(target.name.clone()),
            part(target.subresource)
        )
    }

    #[test]
    fn paths_name_what_they_are_about() {
        assert_eq!(parse("/api/v1/nodes"), "v1 nodes - - -");
        assert_eq!(parse("/api/v1/namespaces"), "v1 namespaces - - -");
        assert_eq!(parse("/api/v1/namespaces/a"), "v1 namespaces - a -");
        assert_eq!(parse("/api/v1/namespaces/a/status"), "v1 namespaces - a status");
        assert_eq!(parse("/api/v1/namespaces/a/services/b/status"), "v1 services a b status");
        assert_eq!(
            parse("/apis/metallb.io/v1beta2/namespaces/a/bgppeers"),
            "metallb.io/v1beta2 bgppeers a - -"
        );
        assert_eq!(Target::parse("/version"), None);
    }
}
