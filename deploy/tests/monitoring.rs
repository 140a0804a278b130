//! Alerts and panels name only metrics, labels and values that agents and controllers export.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, ensure};
use fairlead_deploy::{dashboard, output};
use serde_json::Value;

/// Labels that the chart's monitors set, and those that functions of Prometheus add.
const LABELS_OF_TARGETS: [&str; 8] =
    ["cluster", "component", "instance", "job", "le", "node", "pod", "namespace"];

/// Returns the labels of each metric; a histogram has its three series.
fn exported() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::from([("up".into(), BTreeSet::new())]);
    for metric in
        lb_agent::admin::metrics::descriptions()?.into_iter().chain(lb_controller::metrics::descriptions()?)
    {
        let suffixes: &[&str] =
            if metric.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        for suffix in suffixes {
            all.entry(format!("{}{suffix}", metric.name)).or_default().extend(metric.labels.iter().cloned());
        }
    }
    Ok(all)
}

fn expressions() -> Result<Vec<String>> {
    let text = fs::read_to_string(output::root().join("monitoring/rules.yaml"))?;
    let rules: Value = serde_saphyr::from_str(&text)?;
    let groups = rules["groups"].as_array().context("no groups")?;
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
    let alerts = rules.filter_map(|rule| Some(rule["expr"].as_str()?.to_owned()));
    let panels = dashboard::rows().into_iter().flat_map(|row| row.panels);
    let queries = panels.flat_map(|panel| panel.queries).map(|query| query.expression);
    Ok(alerts.chain(queries).collect())
}

/// Returns the words of an expression that are no part of a text in quotes, each with what follows it.
fn words(expression: &str) -> Vec<(&str, &str)> {
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let (mut found, mut rest) = (Vec::new(), expression);
    while let Some(start) = rest.find(|character| is_word(character) || character == '"') {
        rest = &rest[start..];
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted.split_once('"').map_or("", |(_, behind)| behind);
            continue;
        }
        let (word, behind) = rest.split_at(rest.find(|it| !is_word(it)).unwrap_or(rest.len()));
        found.push((word, behind));
        rest = behind;
    }
    found
}

#[test]
fn every_metric_and_label_exists() -> Result<()> {
    let exported = exported()?;
    let mut used = 0;
    for expression in expressions()? {
        let words = words(&expression);
        let is_metric =
            |word: &str| word == "up" || word.starts_with("fairlead_") || word.starts_with("metallb_");
        let metrics: Vec<_> = words.iter().map(|(word, _)| *word).filter(|word| is_metric(word)).collect();
        ensure!(!metrics.is_empty(), "no metric: {expression}");
        let mut labels: BTreeSet<&str> = LABELS_OF_TARGETS.into();
        for metric in &metrics {
            let found = exported.get(*metric).with_context(|| format!("no metric {metric}: {expression}"))?;
            labels.extend(found.iter().map(String::as_str));
            used += 1;
        }
        let matched = words.iter().filter(|(_, behind)| {
            ["=~", "!~", "!=", "=\""].iter().any(|operator| behind.starts_with(operator))
        });
        for (label, _) in matched {
            ensure!(labels.contains(label), "no metric has the label {label}: {expression}");
        }
    }
    ensure!(used > 80, "{used} metrics");
    Ok(())
}

#[test]
fn a_misspelt_metric_would_be_found() {
    let found = words(r#"sum by (node) (rate(fairlead_x_total{state=~"open|moved"}[5m])) > 0"#);
    let names: Vec<_> = found.iter().map(|(word, _)| *word).collect();
    assert_eq!(names, ["sum", "by", "node", "rate", "fairlead_x_total", "state", "5m", "0"]);
}
