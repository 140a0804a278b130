//! Tests of the chart as Helm renders it: valid objects, valid arguments, and the values of MetalLB's chart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use fairlead_deploy::{chart, fields, manifests, output};
use fairlead_tests::kube_clients::{self, KubeClients};
use lb_agent::cli::{Cli, Command};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// Renders the chart with these values.
fn rendered(clients: &KubeClients, values: &Value) -> Result<Vec<Value>> {
    let objects = chart::render(&clients.helm(), "fairlead", manifests::NAMESPACE, values)?;
    Ok(objects.into_iter().map(|(_, object)| object).collect())
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> Result<&'a Value> {
    let mut found = objects.iter().filter(|it| it["kind"] == kind && it["metadata"]["name"] == name);
    found.next().with_context(|| format!("no {kind} {name}"))
}

/// Returns values that cover every branch of every template, together with those of `metallb`.
fn variants() -> [Value; 3] {
    [
        json!({
            "speaker": {"interfaces": ["eth0", "eth1"], "acceptedDirectory": "/var/lib/lb", "extraArgs": ["--echo-rate=5"]},
            "controller": {"webhookMode": "disabled"}, "prometheus": {"prometheusRule": {"enabled": true}, "dashboard": {"enabled": true}},
        }),
        json!({
            "rbac": {"create": false}, "networkpolicies": {"enabled": false},
            "speaker": {"serviceAccount": {"create": false, "name": "mine"}, "tolerateMaster": false, "nodeSelector": null,
                "livenessProbe": {"enabled": false}, "readinessProbe": {"enabled": false}},
            "controller": {"serviceAccount": {"create": false}, "podDisruptionBudget": {"enabled": false},
                "livenessProbe": {"enabled": false}},
        }),
        json!({"speaker": {"enabled": false}, "controller": {"enabled": false}}),
    ]
}

#[test]
fn helm_lint_passes() -> Result<()> {
    let Some(clients) = KubeClients::or_skip("helm_lint_passes") else { return Ok(()) };
    let home = TempDir::new()?;
    let directory = chart::directory();
    let args = ["lint".as_ref(), "--strict".as_ref(), directory.as_os_str()];
    let printed = kube_clients::run(&clients.helm(), home.path(), &args, "")?.success()?;
    ensure!(printed.contains("1 chart(s) linted, 0 chart(s) failed"), "{printed}");
    Ok(())
}

#[test]
fn committed_manifests_match_the_chart() -> Result<()> {
    let Some(clients) = KubeClients::or_skip("committed_manifests_match_the_chart") else {
        return Ok(());
    };
    let stale = output::stale(&manifests::files(&clients.helm())?, output::root())?;
    ensure!(stale.is_empty(), "run `cargo xtask manifests`: {stale:?}");
    Ok(())
}

#[test]
fn rendered_objects_are_valid_for_kubernetes_and_for_the_command_line() -> Result<()> {
    let name = "rendered_objects_are_valid_for_kubernetes_and_for_the_command_line";
    let Some(clients) = KubeClients::or_skip(name) else { return Ok(()) };
    for values in variants().into_iter().chain([followed(&metallb()?)?]) {
        let objects = rendered(&clients, &values)?;
        for object in &objects {
            fields::check(object)?;
        }
        // Set by the environment in a pod.
        for (kind, printed) in [("DaemonSet", "--node=x"), ("Deployment", "--identity=x")] {
            for workload in objects.iter().filter(|it| it["kind"] == kind) {
                let container = &workload["spec"]["template"]["spec"]["containers"][0];
                let arguments = [vec!["fairlead"], texts(&container["args"]), vec![printed]].concat();
                let cli = Cli::try_parse_from(&arguments).with_context(|| format!("{arguments:?}"))?;
                assert_eq!(matches!(cli.command, Command::Agent(_)), kind == "DaemonSet", "{arguments:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn releases_in_two_namespaces_share_no_object() -> Result<()> {
    let name = "releases_in_two_namespaces_share_no_object";
    let Some(clients) = KubeClients::or_skip(name) else { return Ok(()) };
    let identities = |release: &str, namespace: &str| -> Result<BTreeSet<String>> {
        let objects = chart::render(&clients.helm(), release, namespace, &json!({}))?;
        let of = |object: &Value| {
            let [kind, namespace, name] =
                [&object["kind"], &object["metadata"]["namespace"], &object["metadata"]["name"]];
            format!("{kind} {namespace} {name}")
        };
        Ok(objects.iter().map(|(_, object)| of(object)).collect())
    };
    let sets = [
        identities("fairlead", manifests::NAMESPACE)?,
        identities("fairlead", "second")?,
        identities("other", "third")?,
    ];
    for (index, set) in sets.iter().enumerate() {
        for other in sets.iter().skip(index + 1) {
            let both: Vec<_> = set.intersection(other).collect();
            ensure!(both.is_empty(), "{both:?}");
        }
    }
    Ok(())
}

#[test]
fn agents_may_read_only_the_configured_secrets() -> Result<()> {
    let Some(clients) = KubeClients::or_skip("agents_may_read_only_the_configured_secrets") else {
        return Ok(());
    };
    let objects = rendered(&clients, &json!({"speaker": {"passwordSecrets": ["tor", "spine"]}}))?;
    let rules = find(&objects, "Role", "fairlead-agent")?["rules"].as_array().context("rules")?;
    let about: Vec<_> = rules.iter().filter(|rule| texts(&rule["resources"]).contains(&"secrets")).collect();
    let [rule] = about[..] else { anyhow::bail!("one rule: {rules:?}") };
    assert_eq!((texts(&rule["verbs"]), texts(&rule["resourceNames"])), (vec!["get"], vec!["tor", "spine"]));
    Ok(())
}

#[test]
fn with_tls_every_part_speaks_it_and_may_review_tokens() -> Result<()> {
    let name = "with_tls_every_part_speaks_it_and_may_review_tokens";
    let Some(clients) = KubeClients::or_skip(name) else { return Ok(()) };
    let monitored = json!({"serviceAccount": "prom", "namespace": "monitoring", "tls": {"enabled": true},
        "serviceMonitor": {"enabled": true}, "podMonitor": {"enabled": true, "tokenSecret": "prom-token"}});
    let objects = rendered(&clients, &json!({"prometheus": monitored}))?;
    for (kind, workload, role) in [
        ("DaemonSet", "fairlead-agent", "fairlead-agent"),
        ("Deployment", "fairlead-controller", "fairlead-controller"),
    ] {
        let container = &find(&objects, kind, workload)?["spec"]["template"]["spec"]["containers"][0];
        ensure!(texts(&container["args"]).contains(&"--metrics-tls=on"), "{container}");
        for probe in ["livenessProbe", "readinessProbe"] {
            ensure!(container[probe]["httpGet"]["scheme"] == "HTTPS", "{kind} {probe}: {container}");
        }
        let rules = find(&objects, "ClusterRole", role)?["rules"].as_array().context("rules")?;
        for resource in ["tokenreviews", "subjectaccessreviews"] {
            let may = |rule: &&Value| {
                texts(&rule["resources"]) == [resource] && texts(&rule["verbs"]) == ["create"]
            };
            ensure!(rules.iter().any(|rule| may(&rule)), "{role}: {resource}: {rules:?}");
        }
        let monitor = &find(&objects, "ServiceMonitor", workload)?["spec"]["endpoints"][0];
        ensure!(monitor["scheme"] == "https" && monitor["bearerTokenFile"].is_string(), "{monitor}");
        ensure!(monitor["tlsConfig"]["insecureSkipVerify"] == true, "{monitor}");
    }
    let endpoint = &find(&objects, "PodMonitor", "fairlead")?["spec"]["podMetricsEndpoints"][0];
    ensure!(endpoint["scheme"] == "https", "{endpoint}");
    ensure!(endpoint["authorization"]["credentials"]["name"] == "prom-token", "{endpoint}");
    let role = find(&objects, "ClusterRole", "fairlead-metrics")?;
    ensure!(texts(&role["rules"][0]["nonResourceURLs"]) == ["/metrics"], "{role}");
    let binding = find(&objects, "ClusterRoleBinding", "fairlead-metrics")?;
    ensure!(binding["subjects"][0]["name"] == "prom" && binding["subjects"][0]["namespace"] == "monitoring");
    let plain = rendered(&clients, &json!({}))?;
    ensure!(
        !serde_json::to_string(&plain)?.contains("tokenreviews"),
        "without TLS, nothing may review tokens"
    );
    Ok(())
}

#[test]
fn unknown_values_are_rejected_by_name() -> Result<()> {
    let Some(clients) = KubeClients::or_skip("unknown_values_are_rejected_by_name") else {
        return Ok(());
    };
    for (wrong, named) in [
        (json!({"speaker": {"logLvel": "all"}}), "logLvel"),
        (json!({"speaker": {"logLevel": "loud"}}), "logLevel"),
        (json!({"speaker": {"bgpPort": 65536}}), "bgpPort"),
        (json!({"speaker": {"interfaces": "eth0"}}), "interfaces"),
        (json!({"speaker": {"forwarding": "snat"}}), "forwarding"),
        (json!({"speaker": {"frr": {"enabledd": true}}}), "enabledd"),
        (json!({"controller": {"replicas": "2"}}), "replicas"),
        (json!({"prometheus": {"metricsPort": 0}}), "metricsPort"),
        (json!({"image": {"repository": ""}}), "repository"),
        (
            json!({"speaker": {"image": {"repository": "quay.io/metallb/speaker"}}}),
            "speaker.image.repository",
        ),
    ] {
        let error = rendered(&clients, &wrong).err().with_context(|| format!("accepted: {wrong}"))?;
        ensure!(error.to_string().contains(named), "{wrong}: {error}");
    }
    Ok(())
}

/// A value of MetalLB's chart.
#[derive(Debug, Deserialize)]
struct Row {
    key: String,
    value: Value,
    /// The rendered text it leads to.
    renders: Option<String>,
    /// The chart's answer instead: `refused` or `noted`.
    answer: Option<String>,
}

fn metallb() -> Result<Vec<Row>> {
    let path = kube_clients::root().join("tests/data/metallb-values.yaml");
    let rows: Vec<Row> = serde_saphyr::from_str(&fs::read_to_string(path)?)?;
    ensure!(
        rows.iter().all(|row| row.renders.is_some() != row.answer.is_some()),
        "each row needs either `renders` or `answer`"
    );
    Ok(rows)
}

/// Returns the values of some rows as a values file.
fn nested<'a>(rows: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Result<Value> {
    let mut values = json!({});
    for (key, value) in rows {
        let mut place = &mut values;
        for part in key.split('.') {
            let map = place.as_object_mut().with_context(|| key.to_owned())?;
            place = map.entry(part).or_insert_with(|| Value::Object(Map::new()));
        }
        *place = value.clone();
    }
    Ok(values)
}

fn answered(rows: &[Row], answer: &str) -> Result<Value> {
    let those = rows.iter().filter(|row| row.answer.as_deref() == Some(answer));
    nested(those.map(|row| (row.key.as_str(), &row.value)))
}

fn followed(rows: &[Row]) -> Result<Value> {
    nested(rows.iter().filter(|row| row.renders.is_some()).map(|row| (row.key.as_str(), &row.value)))
}

/// Returns Helm's output of an installation with these values: objects, then notes.
fn installed(clients: &KubeClients, values: &Value) -> Result<kube_clients::CommandOutput> {
    let home = TempDir::new()?;
    let directory = chart::directory();
    let mut args = vec!["install".as_ref(), "fairlead".as_ref(), directory.as_os_str()];
    let rest = ["--namespace", manifests::NAMESPACE, "--dry-run=client", "--values", "-"];
    args.extend(rest.map(std::ffi::OsStr::new));
    kube_clients::run(&clients.helm(), home.path(), &args, &values.to_string())
}

#[test]
fn every_value_of_metallbs_chart_is_supported_or_reported_by_name() -> Result<()> {
    let name = "every_value_of_metallbs_chart_is_supported_or_reported_by_name";
    let Some(clients) = KubeClients::or_skip(name) else { return Ok(()) };
    let rows = metallb()?;
    let objects = installed(&clients, &followed(&rows)?)?.success()?;
    ensure!(!objects.contains("have no effect"), "{objects}");
    let noted = installed(&clients, &answered(&rows, "noted")?)?.success()?;
    let refused = installed(&clients, &answered(&rows, "refused")?)?.failure()?;
    for row in &rows {
        let (printed, expected) = match (row.renders.as_deref(), row.answer.as_deref()) {
            (Some(text), _) => (&objects, text.to_owned()),
            (None, Some("noted")) => (&noted, format!("  {}: ", row.key)),
            (None, _) => (&refused, format!("  {}: ", row.key)),
        };
        ensure!(printed.contains(&expected), "{}: no {expected:?} in\n{printed}", row.key);
    }
    Ok(())
}

#[test]
fn default_values_of_metallbs_chart_cause_no_messages() -> Result<()> {
    let name = "default_values_of_metallbs_chart_cause_no_messages";
    let Some(clients) = KubeClients::or_skip(name) else { return Ok(()) };
    let text = fs::read_to_string(chart::directory().join("metallb-values.yaml"))?;
    let unread: Vec<BTreeMap<String, Value>> = serde_saphyr::from_str(&text)?;
    let rows = metallb()?;
    let answered: BTreeSet<_> =
        rows.iter().filter(|row| row.answer.is_some()).map(|row| row.key.as_str()).collect();
    let keys: BTreeSet<_> = unread.iter().filter_map(|it| it["key"].as_str()).collect();
    assert_eq!(answered, keys);
    let defaults = nested(unread.iter().filter_map(|it| Some((it["key"].as_str()?, &it["default"]))))?;
    let printed = installed(&clients, &defaults)?.success()?;
    ensure!(!printed.contains("have no effect"), "{printed}");
    Ok(())
}
