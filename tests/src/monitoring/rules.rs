//! The shipped alerts, on a faster clock.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use regex::{Captures, Regex};
use serde_json::Value;

use crate::kube_clients::root;

/// How much faster the clock of a lab's Prometheus runs: it scrapes and evaluates every second instead of
/// every 30 s, and all times in rules are divided by this.
pub const SPEED: u32 = 30;

/// Returns the shipped rules with all times divided by [`SPEED`].
///
/// # Errors
/// When the file cannot be read.
pub fn scaled() -> Result<Value> {
    let mut rules = shipped()?;
    for group in rules["groups"].as_array_mut().context("no groups")? {
        for rule in group["rules"].as_array_mut().context("no rules")? {
            let hold = rule["for"].as_str().map(faster);
            if let Some(hold) = hold {
                rule["for"] = hold.into();
            }
            let expression = rule["expr"].as_str().context("no expression")?;
            rule["expr"] = with_faster_ranges(expression)?.into();
        }
    }
    Ok(rules)
}

fn shipped() -> Result<Value> {
    let text = fs::read_to_string(root().join("deploy/monitoring/rules.yaml"))?;
    Ok(serde_saphyr::from_str(&text)?)
}

/// Returns the expressions of the shipped rules.
///
/// # Errors
/// When the file cannot be read.
pub fn expressions() -> Result<Vec<String>> {
    let rules = shipped()?;
    let groups = rules["groups"].as_array().context("no groups")?;
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
    Ok(rules.filter_map(|rule| Some(rule["expr"].as_str()?.to_owned())).collect())
}

/// Returns the metrics of Fairlead that expressions name.
///
/// # Errors
/// Never.
pub fn metrics<'a>(expressions: impl IntoIterator<Item = &'a str>) -> Result<BTreeSet<String>> {
    let name = Regex::new(r"\b(?:fairlead|metallb)_\w+\b")?;
    let found = expressions.into_iter().flat_map(|it| name.find_iter(it));
    Ok(found.map(|found| found.as_str().to_owned()).collect())
}

/// Divides the ranges in brackets, which are in minutes.
fn with_faster_ranges(expression: &str) -> Result<String> {
    let range = Regex::new(r"\[(\d+m)\]")?;
    let divided = |found: &Captures<'_>| format!("[{}]", faster(&found[1]));
    Ok(range.replace_all(expression, divided).into_owned())
}

/// Divides a time in minutes.
fn faster(time: &str) -> String {
    let minutes: u64 = time.trim_end_matches('m').parse().unwrap_or_default();
    let divided = Duration::from_secs(60 * minutes) / SPEED;
    format!("{}s", divided.as_secs().max(1))
}

#[cfg(test)]
mod tests {
    use super::{expressions, metrics, scaled, with_faster_ranges};

    #[test]
    fn ranges_and_times_are_divided() {
        let expression = r#"rate(a_total{b="5m"}[5m]) > 10"#;
        assert_eq!(with_faster_ranges(expression).unwrap(), r#"rate(a_total{b="5m"}[10s]) > 10"#);
        assert!(!scaled().unwrap().to_string().contains("m]"));
    }

    #[test]
    fn metrics_are_found_in_expressions() {
        let found = metrics(["sum(fairlead_a_total) by (b) / metallb_c{d=\"e\"}", "up == 0"]).unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["fairlead_a_total", "metallb_c"]);
        assert!(expressions().unwrap().len() > 20);
    }
}
