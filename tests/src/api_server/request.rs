//! Paths and queries of requests.

use std::collections::BTreeMap;

use axum::http::Uri;

use super::kinds::qualified;

/// The target of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestTarget {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
    /// Whether the path is the deprecated form of a watch.
    pub(super) is_watch: bool,
    /// Whether the path matches a route: no empty segments, and nothing after the subresource.
    pub(super) is_regular: bool,
}

impl RequestTarget {
    /// Parses `/api/v1/…` or `/apis/GROUP/VERSION/…`; `None` for any other path, including discovery.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let path = percent_decoded(path.trim_matches('/'));
        let parts: Vec<&str> = path.split('/').collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (is_watch, rest) = match rest {
            ["watch", rest @ ..] => (true, rest),
            _ => (false, rest),
        };
        let (namespace, rest) = match rest {
            // A namespace is an object itself, and its subresources are not kinds.
            ["namespaces"] | ["namespaces", _] | ["namespaces", _, "status" | "finalize", ..] => (None, rest),
            ["namespaces", namespace, rest @ ..] => {
                (Some(*namespace).filter(|namespace| !namespace.is_empty()), rest)
            }
            _ => (None, rest),
        };
        let part =
            |index: usize| rest.get(index).filter(|part| !part.is_empty()).map(|part| (*part).to_owned());
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: part(0)?,
            namespace: namespace.map(str::to_owned),
            name: part(1),
            subresource: part(2),
            is_watch,
            is_regular: rest.len() <= 3 && !parts.contains(&""),
        })
    }

    /// Returns its name in errors.
    pub(super) fn resource(&self) -> String {
        qualified(&self.plural, &self.group)
    }
}

fn percent_decoded(path: &str) -> String {
    // A plus sign is literal in a path.
    let pairs = form_urlencoded::parse(path.replace('+', "%2B").as_bytes()).into_owned().next();
    if path.contains('%') { pairs.map(|(path, _)| path).unwrap_or_default() } else { path.to_owned() }
}

/// The query.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    pub(super) fn parse(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        let mut values = BTreeMap::new();
        for (key, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
            values.entry(key).or_insert(value);
        }
        Self(values)
    }

    /// Returns a value that is not empty.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Returns a flag: any value except false and 0 is true.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| !value.eq_ignore_ascii_case("false") && value != "0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> String {
        let target = RequestTarget::parse(path).unwrap();
        let part = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
        format!(
            "{} {} {} {} {}",
            qualified(&target.version, &target.group),
            target.plural,
            part(target.namespace.clone()),
            part(target.name.clone()),
            part(target.subresource)
        )
    }

    #[test]
    fn paths_are_parsed_into_targets() {
        assert_eq!(parse("/api/v1/nodes"), "v1 nodes - - -");
        assert_eq!(parse("/api/v1/namespaces"), "v1 namespaces - - -");
        assert_eq!(parse("/api/v1/namespaces/a"), "v1 namespaces - a -");
        assert_eq!(parse("/api/v1/namespaces/a/status"), "v1 namespaces - a status");
        assert_eq!(parse("/api/v1/namespaces/a/services/b/status"), "v1 services a b status");
        assert_eq!(parse("/apis/g/v1/namespaces//things/"), "v1.g things - - -");
        assert_eq!(
            parse("/apis/metallb.io/v1beta2/namespaces/a/bgppeers"),
            "v1beta2.metallb.io bgppeers a - -"
        );
        assert_eq!(RequestTarget::parse("/version"), None);
        assert_eq!(RequestTarget::parse("/apis/g/v1"), None);
    }
}
