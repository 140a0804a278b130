//! Chart and manifests against Kubernetes' own types, and against the program that they run.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use fairlead_deploy::chart::{self, Chart};
use fairlead_deploy::{manifests, output};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Namespace, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use lb_agent::cli::{Cli, Command};
use lb_agent::controller::{self, hash_key};
use lb_agent::kube::cluster::{self, Watched};
use lb_agent::source;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn chart() -> Result<Chart> {
    Chart::read(&output::root().join("chart/fairlead"))
}

/// Every object that the chart makes of these values.
fn rendered(values: &Value) -> Result<Vec<Value>> {
    let chart = chart()?;
    let mut objects = Vec::new();
    for (name, text) in chart.render("fairlead", manifests::NAMESPACE, &chart.values(values))? {
        if name.ends_with(".yaml") {
            objects.extend(chart::objects(&text).with_context(|| format!("{name}:\n{text}"))?);
        }
    }
    Ok(objects)
}

/// Values other than those of the chart, so that every branch of a template is taken once.
fn others() -> [Value; 4] {
    let pod = json!({
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "lb", "operator": "Exists"}]},
        ]}}},
        "tolerations": [{"operator": "Exists"}], "podAnnotations": {"a": "b"}, "labels": {"c": "d"},
        "serviceAccount": {"annotations": {"e": "f"}}, "logLevel": "debug",
    });
    let mut controller = pod.clone();
    controller["webhookMode"] = "disabled".into();
    let mut speaker = pod;
    speaker["interfaces"] = json!(["eth0", "eth1"]);
    speaker["acceptedDirectory"] = "/var/lib/lb".into();
    speaker["extraArgs"] = json!(["--echo-rate=5"]);
    [
        json!({}),
        json!({
            "loadBalancerClass": "example.com/lb", "image": {"tag": "2.0"}, "imagePullSecrets": [{"name": "s"}],
            "prometheus": {"scrapeAnnotations": true, "podMonitor": {"enabled": true, "additionalLabels": {"g": "h"}},
                "prometheusRule": {"enabled": true, "additionalLabels": {"g": "h"}}},
            "speaker": speaker, "controller": controller, "crds": {"validationFailurePolicy": "Ignore"},
        }),
        json!({
            "rbac": {"create": false}, "networkpolicies": {"enabled": false},
            "speaker": {"serviceAccount": {"create": false, "name": "mine"}, "tolerateMaster": false, "nodeSelector": null},
            "controller": {"serviceAccount": {"create": false}, "podDisruptionBudget": {"enabled": false}},
        }),
        json!({"speaker": {"enabled": false}, "controller": {"enabled": false}}),
    ]
}

#[test]
fn the_committed_manifests_are_those_of_the_chart() -> Result<()> {
    let stale = output::stale(&manifests::files()?, output::root())?;
    ensure!(stale.is_empty(), "run `cargo xtask manifests`: {stale:?}");
    Ok(())
}

#[test]
fn kubernetes_knows_every_field_of_every_object() -> Result<()> {
    for values in others() {
        for object in rendered(&values)? {
            check_fields(&object).with_context(|| object.to_string())?;
        }
    }
    let namespace = fs::read_to_string(output::root().join("manifests/namespace.yaml"))?;
    check_fields(&chart::objects(&namespace)?[0])
}

fn check_fields(object: &Value) -> Result<()> {
    match object["kind"].as_str() {
        Some("ClusterRole") => same::<ClusterRole>(object),
        Some("ClusterRoleBinding") => same::<ClusterRoleBinding>(object),
        Some("DaemonSet") => same::<DaemonSet>(object),
        Some("Deployment") => same::<Deployment>(object),
        Some("Namespace") => same::<Namespace>(object),
        Some("NetworkPolicy") => same::<NetworkPolicy>(object),
        Some("PodDisruptionBudget") => same::<PodDisruptionBudget>(object),
        Some("Role") => same::<Role>(object),
        Some("RoleBinding") => same::<RoleBinding>(object),
        Some("Service") => same::<Service>(object),
        Some("ServiceAccount") => same::<ServiceAccount>(object),
        Some("ValidatingWebhookConfiguration") => same::<ValidatingWebhookConfiguration>(object),
        // Of the Prometheus operator, which has no types here.
        Some("PodMonitor" | "PrometheusRule") => Ok(()),
        other => anyhow::bail!("an object of kind {other:?}"),
    }
}

/// What Kubernetes' type does not know is lost on the way through it.
fn same<T: DeserializeOwned + Serialize>(object: &Value) -> Result<()> {
    let back = serde_json::to_value(serde_json::from_value::<T>(object.clone())?)?;
    ensure!(back == *object, "came back as {back}");
    Ok(())
}

#[test]
fn a_typing_error_in_a_field_would_be_found() -> Result<()> {
    let objects = rendered(&json!({}))?;
    let mut daemon_set = find(&objects, "DaemonSet", "fairlead-agent")?.clone();
    check_fields(&daemon_set)?;
    daemon_set["spec"]["template"]["spec"]["hostNetworking"] = true.into();
    ensure!(check_fields(&daemon_set).is_err(), "it is not");
    Ok(())
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> Result<&'a Value> {
    let mut found = objects.iter().filter(|it| it["kind"] == kind && it["metadata"]["name"] == name);
    found.next().with_context(|| format!("no {kind} {name}"))
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn the_program_takes_the_arguments_that_it_is_given() -> Result<()> {
    for values in &others()[..3] {
        let objects = rendered(values)?;
        // What the environment says in a pod.
        for (kind, name, said) in [
            ("DaemonSet", "fairlead-agent", "--node=x"),
            ("Deployment", "fairlead-controller", "--identity=x"),
        ] {
            let container = &find(&objects, kind, name)?["spec"]["template"]["spec"]["containers"][0];
            let arguments = [vec!["fairlead"], texts(&container["args"]), vec![said]].concat();
            let cli = Cli::try_parse_from(&arguments).with_context(|| format!("{arguments:?}"))?;
            let is_agent = matches!(cli.command, Command::Agent(_));
            ensure!(is_agent == (kind == "DaemonSet"), "{arguments:?}");
        }
    }
    Ok(())
}

#[test]
fn who_watches_a_kind_may_and_nobody_may_watch_more() -> Result<()> {
    let objects = rendered(&json!({}))?;
    let by_controllers = [&controller::WATCHED[..], &cluster::CONFIGURATION].concat();
    for (name, watched) in [("fairlead-agent", source::watched()), ("fairlead-controller", by_controllers)] {
        // Secrets are got by name.
        let watched = watched.iter().filter(|kind| **kind != Watched::SECRET);
        let watched: BTreeSet<_> =
            watched.map(|kind| (kind.group.to_owned(), kind.plural.to_owned())).collect();
        let mut granted = BTreeSet::new();
        for kind in ["ClusterRole", "Role"] {
            for rule in find(&objects, kind, name)?["rules"].as_array().context("rules")? {
                let [group] = texts(&rule["apiGroups"])[..] else {
                    anyhow::bail!("one group a rule: {rule}")
                };
                let verbs = texts(&rule["verbs"]);
                // What is written is watched as well, so that it can be mended.
                if verbs.contains(&"watch") && !verbs.contains(&"delete") {
                    ensure!(verbs.contains(&"list"), "{rule}");
                    let resources = texts(&rule["resources"]).into_iter();
                    granted.extend(resources.map(|plural| (group.to_owned(), plural.to_owned())));
                }
            }
        }
        assert_eq!(granted, watched, "{name}");
    }
    Ok(())
}

#[test]
fn agents_get_secrets_by_name_and_only_those_that_are_given() -> Result<()> {
    let webhook = rendered(&json!({}))?;
    let of_webhook = &find(&webhook, "Role", "fairlead-webhook")?["metadata"]["namespace"];
    assert_ne!(*of_webhook, manifests::NAMESPACE, "the webhook's certificate is where agents have no rights");
    find(&webhook, "Namespace", of_webhook.as_str().context("a namespace")?)?;
    for (names, given) in [(json!([]), Value::Null), (json!(["tor", "spine"]), json!(["tor", "spine"]))] {
        let objects = rendered(&json!({"speaker": {"passwordSecrets": names}}))?;
        let role = find(&objects, "Role", "fairlead-agent")?;
        let rules = role["rules"].as_array().into_iter().flatten();
        let rules: Vec<_> = rules.filter(|rule| texts(&rule["resources"]).contains(&"secrets")).collect();
        let [rule] = rules[..] else { anyhow::bail!("one rule: {role}") };
        assert_eq!((texts(&rule["verbs"]), &rule["resourceNames"]), (vec!["get"], &given));
    }
    Ok(())
}

#[test]
fn kinds_of_one_namespace_are_granted_in_that_namespace_only() -> Result<()> {
    for object in rendered(&json!({}))?.iter().filter(|object| object["kind"] == "ClusterRole") {
        let rules = object["rules"].as_array().into_iter().flatten();
        let resources: Vec<&str> = rules.flat_map(|rule| texts(&rule["resources"])).collect();
        for kind in [Watched::SECRET, Watched::POOL, Watched::BGP_PEER] {
            ensure!(!resources.contains(&kind.plural), "{}: {}", object["metadata"]["name"], kind.plural);
        }
        ensure!(!object.to_string().contains('*'), "{object}");
    }
    Ok(())
}

#[test]
fn what_is_named_is_there() -> Result<()> {
    let objects = rendered(&json!({}))?;
    for object in &objects {
        let subject = &object["subjects"][0];
        if !subject.is_null() {
            find(&objects, "ServiceAccount", subject["name"].as_str().unwrap_or_default())?;
            let role = &object["roleRef"];
            find(
                &objects,
                role["kind"].as_str().unwrap_or_default(),
                role["name"].as_str().unwrap_or_default(),
            )?;
        }
        let template = &object["spec"]["template"];
        if template.is_null() {
            continue;
        }
        find(
            &objects,
            "ServiceAccount",
            template["spec"]["serviceAccountName"].as_str().unwrap_or_default(),
        )?;
        for (label, value) in object["spec"]["selector"]["matchLabels"].as_object().context("a selector")? {
            assert_eq!(template["metadata"]["labels"][label], *value, "{label}");
        }
        let names = |list: &Value| -> BTreeSet<String> {
            list.as_array().into_iter().flatten().map(|it| it["name"].to_string()).collect()
        };
        let container = &template["spec"]["containers"][0];
        assert_eq!(names(&container["volumeMounts"]), names(&template["spec"]["volumes"]));
    }
    Ok(())
}

#[test]
fn agents_find_the_key_that_a_controller_makes_and_have_time_to_leave() -> Result<()> {
    let objects = rendered(&json!({}))?;
    let pod = &find(&objects, "DaemonSet", "fairlead-agent")?["spec"]["template"]["spec"];
    let volumes = pod["volumes"].as_array().context("volumes")?;
    ensure!(volumes.iter().any(|volume| volume["secret"]["secretName"] == hash_key::SECRET), "{volumes:?}");
    let arguments = texts(&pod["containers"][0]["args"]);
    let file = format!("/{}", hash_key::KEY);
    ensure!(
        arguments.iter().any(|it| it.starts_with("--hash-key-file=") && it.ends_with(&file)),
        "{arguments:?}"
    );
    let keys = volumes.iter().find(|volume| volume["secret"]["secretName"] == "fairlead-tag-keys");
    // No cluster has to have any.
    ensure!(keys.is_some_and(|volume| volume["secret"]["optional"] == true), "{volumes:?}");
    ensure!(arguments.contains(&"--tag-keys-file=/etc/fairlead/tag-keys/keys"), "{arguments:?}");
    let grace = arguments.iter().find_map(|it| it.strip_prefix("--shutdown-grace=")).context("no grace")?;
    let period = pod["terminationGracePeriodSeconds"].as_u64().context("a period")?;
    ensure!(period * 1000 >= 2 * grace.parse::<u64>()?, "{period} s for {grace} ms");
    Ok(())
}

#[test]
fn no_container_is_privileged_or_can_write_to_its_image() -> Result<()> {
    let objects = rendered(&json!({}))?;
    for (kind, name) in [("DaemonSet", "fairlead-agent"), ("Deployment", "fairlead-controller")] {
        let context =
            &find(&objects, kind, name)?["spec"]["template"]["spec"]["containers"][0]["securityContext"];
        assert_eq!(context["privileged"], Value::Null, "{name}");
        assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]), "{name}");
    }
    Ok(())
}

#[test]
fn the_schema_of_the_values_takes_what_there_is_and_nothing_else() -> Result<()> {
    let text = fs::read_to_string(output::root().join("chart/fairlead/values.schema.json"))?;
    let schema: Value = serde_json::from_str(&text)?;
    let chart = chart()?;
    for values in others() {
        let values = chart.values(&values);
        // Helm takes a value that is null away.
        let mut values = values;
        if values["speaker"]["nodeSelector"].is_null() {
            values["speaker"].as_object_mut().context("a map")?.remove("nodeSelector");
        }
        ensure!(jsonschema::is_valid(&schema, &values), "{values}");
    }
    for wrong in [
        json!({"speaker": {"frr": {"enabled": true}}}),
        json!({"speaker": {"logLevel": "all"}}),
        json!({"speaker": {"bgpPort": 65536}}),
        json!({"speaker": {"interfaces": "eth0"}}),
        json!({"speaker": {"forwarding": "snat"}}),
        json!({"controller": {"replicas": "2"}}),
        json!({"prometheus": {"metricsPort": 0}}),
        json!({"image": {"repository": ""}}),
        json!({"frrk8s": {"enabled": true}}),
    ] {
        ensure!(!jsonschema::is_valid(&schema, &chart.values(&wrong)), "{wrong}");
    }
    all_named(&chart.values(&json!({})), &schema, "")
}

/// Every value of the chart has its place in the schema, and the schema no others.
fn all_named(values: &Value, schema: &Value, path: &str) -> Result<()> {
    let (Some(values), Some(named)) = (values.as_object(), schema["properties"].as_object()) else {
        return Ok(());
    };
    for (name, part) in named {
        // What a chart above this one says to all of its charts.
        if path.is_empty() && name == "global" {
            continue;
        }
        let value = values.get(name).with_context(|| format!("values.yaml has no {path}{name}"))?;
        all_named(value, part, &format!("{path}{name}."))?;
    }
    Ok(())
}
