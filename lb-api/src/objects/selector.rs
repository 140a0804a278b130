//! Label selectors.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::null::null_default;

/// A selector of labels. An empty selector matches everything; all parts must match.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct LabelSelector {
    /// Labels with their required values.
    #[serde(default, deserialize_with = "null_default")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements, all of which must hold.
    #[serde(default, deserialize_with = "null_default")]
    pub match_expressions: Vec<Requirement>,
}

/// A requirement of one label.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Requirement {
    /// Key of the label.
    pub key: String,
    /// The relation of its value to `values`.
    pub operator: Operator,
    /// Values; empty for `Exists` and `DoesNotExist`.
    #[serde(default, deserialize_with = "null_default")]
    pub values: Vec<String>,
}

/// The relation of a label to the values of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label has none of the values, or is absent.
    NotIn,
    /// The label is present.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl LabelSelector {
    /// Returns whether it matches an object with these labels.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.holds(labels))
    }
}

impl fmt::Display for LabelSelector {
    /// Formats it for `kubectl get --selector`: `app=web,tier in (a,b),!draft`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.match_labels.is_empty() && self.match_expressions.is_empty() {
            return f.write_str("the selector of everything");
        }
        let mut comma = "";
        for (key, value) in &self.match_labels {
            write!(f, "{comma}{key}={value}")?;
            comma = ",";
        }
        for Requirement { key, operator, values } in &self.match_expressions {
            let values = values.join(",");
            match operator {
                Operator::In => write!(f, "{comma}{key} in ({values})")?,
                Operator::NotIn => write!(f, "{comma}{key} notin ({values})")?,
                Operator::Exists => write!(f, "{comma}{key}")?,
                Operator::DoesNotExist => write!(f, "{comma}!{key}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
        let selector: LabelSelector = serde_saphyr::from_str(selector).unwrap();
        selector.matches(&labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    #[test]
    fn an_empty_selector_selects_everything() {
        assert!(selects("{}", &[]));
        assert!(selects("{matchLabels: null}", &[("a", "b")]));
    }

    #[test]
    fn it_is_formatted_as_kubectl_reads_it() {
        let selector: LabelSelector = serde_saphyr::from_str(
            "{matchLabels: {a: b, c: d}, matchExpressions: [{key: e, operator: In, values: [f, g]}, \
             {key: h, operator: NotIn, values: [i]}, {key: j, operator: Exists}, {key: k, operator: DoesNotExist}]}",
        )
        .unwrap();
        assert_eq!(selector.to_string(), "a=b,c=d,e in (f,g),h notin (i),j,!k");
    }

    #[test]
    fn all_labels_must_match() {
        let selector = "{matchLabels: {a: x, b: y}}";
        assert!(selects(selector, &[("a", "x"), ("b", "y"), ("c", "z")]));
        assert!(!selects(selector, &[("a", "x")]));
        assert!(!selects(selector, &[("a", "x"), ("b", "x")]));
    }

    #[test]
    fn operators_distinguish_missing_labels_from_other_values() {
        let verdicts = |operator: &'static str| {
            let selector =
                format!("{{matchExpressions: [{{key: a, operator: {operator}, values: [x, y]}}]}}");
            [&[("a", "y")][..], &[("a", "z")], &[]].map(|labels| selects(&selector, labels))
        };
        assert_eq!(verdicts("In"), [true, false, false]);
        assert_eq!(verdicts("NotIn"), [false, true, true]);
        assert_eq!(verdicts("Exists"), [true, true, false]);
        assert_eq!(verdicts("DoesNotExist"), [false, false, true]);
    }
}
