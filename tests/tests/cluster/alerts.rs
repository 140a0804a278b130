//! Tests of the chart's alerts and of the dashboard with promtool.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use fairlead_deploy::{chart, dashboard, manifests, monitoring, output};
use fairlead_tests::kube_clients::{self, KubeClients};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Returns the rules of a Prometheus file.
fn of_groups(file: &Value) -> impl Iterator<Item = &Value> {
    let groups = file["groups"].as_array().into_iter().flatten();
    groups.flat_map(|group| group["rules"].as_array().into_iter().flatten())
}

fn alerts(file: &Value) -> BTreeSet<String> {
    of_groups(file).filter_map(|rule| Some(rule["alert"].as_str()?.to_owned())).collect()
}

fn committed() -> Result<Value> {
    let text = fs::read_to_string(output::root().join("monitoring/rules.yaml"))?;
    Ok(serde_saphyr::from_str(&text)?)
}

/// Runs promtool on a file.
fn promtool(program: &Path, args: &[&str], file: &Path) -> Result<()> {
    let words: Vec<&OsStr> = args.iter().map(OsStr::new).chain([file.as_os_str()]).collect();
    kube_clients::run(program, &std::env::temp_dir(), &words, "")?.success().map(drop)
}

fn series() -> Result<String> {
    Ok(fs::read_to_string(kube_clients::root().join("tests/data/alerts.yaml"))?)
}

#[test]
fn alerts_fire_when_they_should_and_only_then() -> Result<()> {
    let name = "alerts_fire_when_they_should_and_only_then";
    let Some(clients) = KubeClients::or_skip(name) else { return Ok(()) };
    let Some(program) = kube_clients::program_or_skip("promtool", name) else { return Ok(()) };
    let mut rules =
        monitoring::rules(&clients.helm(), &json!({"addressPoolUsage": {"excludePools": "lab.*"}}))?;
    for group in rules["groups"].as_array_mut().context("groups")? {
        for rule in group["rules"].as_array_mut().context("rules")? {
            // A test has to repeat all annotations; another one checks that there are more.
            rule["annotations"] = json!({"summary": rule["annotations"]["summary"]});
        }
    }
    let directory = TempDir::new()?;
    fs::write(directory.path().join("rules.yaml"), rules.to_string())?;
    let file = directory.path().join("series.yaml");
    fs::write(&file, series()?)?;
    promtool(&program, &["test", "rules"], &file)
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> Result<()> {
    let cases: Value = serde_saphyr::from_str(&series()?)?;
    let cases = || {
        let tests = cases["tests"].as_array().into_iter().flatten();
        tests.flat_map(|test| test["alert_rule_test"].as_array().into_iter().flatten())
    };
    let names = |fires: bool| -> BTreeSet<String> {
        let those =
            cases().filter(|case| case["exp_alerts"].as_array().is_some_and(|it| it.is_empty() != fires));
        those.filter_map(|case| Some(case["alertname"].as_str()?.to_owned())).collect()
    };
    let alerts = alerts(&committed()?);
    assert_eq!(names(true), alerts);
    assert_eq!(names(false), alerts);
    Ok(())
}

#[test]
fn committed_rules_and_dashboard_match_the_chart_and_are_valid() -> Result<()> {
    let name = "committed_rules_and_dashboard_match_the_chart_and_are_valid";
    let Some(clients) = KubeClients::or_skip(name) else { return Ok(()) };
    let stale = output::stale(&monitoring::files(&clients.helm())?, output::root())?;
    ensure!(stale.is_empty(), "run `cargo xtask manifests`: {stale:?}");
    let Some(program) = kube_clients::program_or_skip("promtool", name) else { return Ok(()) };
    promtool(&program, &["check", "rules"], &output::root().join("monitoring/rules.yaml"))
}

#[test]
fn every_alert_has_a_severity_an_object_advice_and_a_section_in_the_manual() -> Result<()> {
    let page = fs::read_to_string(kube_clients::root().join("docs/monitoring.md"))?;
    let sections: BTreeSet<String> =
        page.lines().filter_map(|line| Some(line.strip_prefix("### ")?.to_lowercase())).collect();
    for rule in of_groups(&committed()?) {
        let text = |pointer: &str| rule.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name = text("/alert");
        ensure!(["critical", "warning", "info"].contains(&text("/labels/severity")), "{name}: no severity");
        let names_an_object = text("/annotations/summary").contains("{{ $labels.");
        ensure!(names_an_object || name == "FairleadControllerDown", "{name}: no object");
        ensure!(text("/annotations/description").len() > 60, "{name}: no advice");
        let (_, anchor) =
            text("/annotations/runbook_url").split_once("docs/monitoring.md#").context("no link")?;
        ensure!(sections.contains(anchor), "{name}: docs/monitoring.md has no section {anchor}");
    }
    Ok(())
}

#[test]
fn every_alert_can_be_switched_off() -> Result<()> {
    let Some(clients) = KubeClients::or_skip("every_alert_can_be_switched_off") else { return Ok(()) };
    let text = fs::read_to_string(chart::directory().join("values.yaml"))?;
    let values: Value = serde_saphyr::from_str(&text)?;
    let rules = values["prometheus"]["prometheusRule"].as_object().context("no rules")?;
    let keys: Vec<_> =
        rules.iter().filter(|(_, value)| value["enabled"] == true).map(|(key, _)| key).collect();
    let all = alerts(&committed()?);
    ensure!(keys.len() > 20, "{keys:?}");
    let mut silenced = BTreeSet::new();
    for key in keys {
        let rest = alerts(&monitoring::rules(&clients.helm(), &json!({key: {"enabled": false}}))?);
        let gone: BTreeSet<_> = all.difference(&rest).cloned().collect();
        ensure!(!gone.is_empty(), "{key} switches nothing off");
        silenced.extend(gone);
    }
    assert_eq!(silenced, all);
    Ok(())
}

#[test]
fn grafana_gets_the_dashboard_by_a_config_map() -> Result<()> {
    let Some(clients) = KubeClients::or_skip("grafana_gets_the_dashboard_by_a_config_map") else {
        return Ok(());
    };
    let values = json!({"prometheus": {"dashboard": {"enabled": true, "namespace": "grafana"}}});
    let objects = chart::render(&clients.helm(), "fairlead", manifests::NAMESPACE, &values)?;
    let mut maps = objects.iter().map(|(_, object)| object).filter(|it| it["kind"] == "ConfigMap");
    let map = maps.next().context("no ConfigMap")?;
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    assert_eq!(map["metadata"]["namespace"], "grafana");
    let text = map["data"]["fairlead.json"].as_str().context("no dashboard")?;
    assert_eq!(serde_json::from_str::<Value>(text)?, dashboard::json());
    Ok(())
}

#[test]
fn queries_of_the_dashboard_are_valid() -> Result<()> {
    let name = "queries_of_the_dashboard_are_valid";
    let Some(program) = kube_clients::program_or_skip("promtool", name) else { return Ok(()) };
    let queries = dashboard::rows().into_iter().flat_map(|row| row.panels).flat_map(|panel| panel.queries);
    let rules: Vec<Value> = (0..)
        .zip(queries)
        .map(
            |(number, query)| json!({"record": format!("query:{number}"), "expr": query.with_interval("1m")}),
        )
        .collect();
    ensure!(rules.len() > 40, "{} queries", rules.len());
    let directory = TempDir::new()?;
    let file = directory.path().join("rules.yaml");
    fs::write(&file, json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string())?;
    promtool(&program, &["check", "rules"], &file)
}

#[test]
fn the_manuals_scrape_configuration_is_valid() -> Result<()> {
    let name = "the_manuals_scrape_configuration_is_valid";
    let Some(program) = kube_clients::program_or_skip("promtool", name) else { return Ok(()) };
    let page = fs::read_to_string(kube_clients::root().join("docs/monitoring.md"))?;
    let (_, rest) = page.split_once("```yaml\nrule_files:").context("no configuration")?;
    let (block, _) = rest.split_once("```").context("no end")?;
    // Debian's build has no discovery by Kubernetes.
    let discovery = "  kubernetes_sd_configs:\n  - role: pod\n    namespaces: {names: [metallb-system]}\n";
    ensure!(block.contains(discovery), "{block}");
    let directory = TempDir::new()?;
    let file = directory.path().join("prometheus.yml");
    fs::write(&file, format!("rule_files:{}", block.replace(discovery, "")))?;
    promtool(&program, &["check", "config", "--syntax-only"], &file)
}
