//! Tests of the plain manifests with Kubernetes' own types, and with the program that they run.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use fairlead_deploy::{chart, fields, manifests, output};
use lb_agent::cli::{Cli, Command};
use lb_api::kind::ObjectKind;
use lb_controller::hash_key;
use lb_kube::kinds::{ALLOCATION_KINDS, CONFIGURATION_KINDS, agent_kinds};
use serde_json::{Value, json};

/// Returns every object of the committed manifests.
fn committed() -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for entry in fs::read_dir(output::root().join("manifests"))? {
        let path = entry?.path();
        if !path.ends_with("kustomization.yaml") {
            objects.extend(chart::objects(&fs::read_to_string(&path)?)?);
        }
    }
    ensure!(objects.len() > 15, "{} objects", objects.len());
    Ok(objects)
}

#[test]
fn kubernetes_knows_every_field_of_every_object() -> Result<()> {
    committed()?.iter().try_for_each(fields::check)
}

#[test]
fn a_misspelt_field_is_found() -> Result<()> {
    let objects = committed()?;
    let mut daemon_set = find(&objects, "DaemonSet", "fairlead-agent")?.clone();
    fields::check(&daemon_set)?;
    daemon_set["spec"]["template"]["spec"]["hostNetworking"] = true.into();
    ensure!(fields::check(&daemon_set).is_err(), "it is not");
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
fn the_program_accepts_its_arguments() -> Result<()> {
    let objects = committed()?;
    // What the environment says in a pod.
    for (kind, name, said) in
        [("DaemonSet", "fairlead-agent", "--node=x"), ("Deployment", "fairlead-controller", "--identity=x")]
    {
        let container = &find(&objects, kind, name)?["spec"]["template"]["spec"]["containers"][0];
        let arguments = [vec!["fairlead"], texts(&container["args"]), vec![said]].concat();
        let cli = Cli::try_parse_from(&arguments).with_context(|| format!("{arguments:?}"))?;
        let is_agent = matches!(cli.command, Command::Agent(_));
        ensure!(is_agent == (kind == "DaemonSet"), "{arguments:?}");
    }
    let keeper = &find(&objects, "DaemonSet", "fairlead-agent")?["spec"]["template"]["spec"]["containers"][1];
    let cli = Cli::try_parse_from([vec!["fairlead"], texts(&keeper["args"])].concat())?;
    ensure!(matches!(cli.command, Command::Keeper(_)), "{keeper}");
    Ok(())
}

#[test]
fn the_keeper_has_the_agents_socket_directory_and_user_and_no_capability() -> Result<()> {
    let objects = committed()?;
    let containers =
        &find(&objects, "DaemonSet", "fairlead-agent")?["spec"]["template"]["spec"]["containers"];
    let [agent, keeper] = [&containers[0], &containers[1]];
    let mounts = keeper["volumeMounts"].as_array().context("mounts")?;
    let [mount] = &mounts[..] else { anyhow::bail!("{mounts:?}") };
    ensure!(agent["volumeMounts"].as_array().is_some_and(|it| it.contains(mount)), "{mount}");
    assert_eq!(mount["mountPath"], "/run/fairlead");
    assert_eq!(keeper["image"], agent["image"]);
    assert_eq!(keeper["securityContext"]["runAsUser"], agent["securityContext"]["runAsUser"]);
    assert_eq!(keeper["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
    Ok(())
}

/// Returns the DaemonSet that removes Fairlead from the nodes.
fn uninstaller() -> Result<Value> {
    let [object] = &chart::objects(&fs::read_to_string(output::root().join("uninstall.yaml"))?)?[..] else {
        anyhow::bail!("one object")
    };
    Ok(object.clone())
}

#[test]
fn the_uninstaller_runs_this_version_with_no_more_privileges_than_agents() -> Result<()> {
    let (object, objects) = (uninstaller()?, committed()?);
    fields::check(&object)?;
    let agent = find(&objects, "DaemonSet", "fairlead-agent")?;
    assert_eq!(object["metadata"]["namespace"], agent["metadata"]["namespace"]);
    let agent = &agent["spec"]["template"]["spec"];
    let pod = &object["spec"]["template"]["spec"];
    assert_eq!(object["spec"]["selector"]["matchLabels"], object["spec"]["template"]["metadata"]["labels"]);
    for name in ["hostNetwork", "nodeSelector"] {
        assert_eq!(pod[name], agent[name], "{name}");
    }
    let allowed = &agent["containers"][0]["securityContext"];
    for container in [&pod["initContainers"][0], &pod["containers"][0]] {
        let arguments = [vec!["fairlead"], texts(&container["args"])].concat();
        let cli = Cli::try_parse_from(&arguments).with_context(|| format!("{arguments:?}"))?;
        ensure!(matches!(cli.command, Command::Uninstall(_)), "{arguments:?}");
        assert_eq!(container["image"], agent["containers"][0]["image"]);
        let mut context = container["securityContext"].clone();
        let added = std::mem::take(&mut context["capabilities"]["add"]);
        let agents = texts(&allowed["capabilities"]["add"]);
        ensure!(texts(&added).iter().all(|it| agents.contains(it)), "{added}");
        context["capabilities"]["add"] = allowed["capabilities"]["add"].clone();
        assert_eq!(context, *allowed);
    }
    Ok(())
}

#[test]
fn the_watched_kinds_and_no_others_may_be_watched() -> Result<()> {
    let objects = committed()?;
    let by_controllers = [&ALLOCATION_KINDS[..], &CONFIGURATION_KINDS].concat();
    for (name, watched) in [("fairlead-agent", agent_kinds()), ("fairlead-controller", by_controllers)] {
        // Secrets are got by name.
        let watched = watched.iter().filter(|kind| **kind != ObjectKind::SECRET);
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
fn agents_get_secrets_by_name() -> Result<()> {
    let objects = committed()?;
    let of_webhook = &find(&objects, "Role", "fairlead-webhook")?["metadata"]["namespace"];
    assert_ne!(
        *of_webhook,
        manifests::NAMESPACE,
        "the webhook's certificate must be where agents have no rights"
    );
    find(&objects, "Namespace", of_webhook.as_str().context("a namespace")?)?;
    let role = find(&objects, "Role", "fairlead-agent")?;
    let rules = role["rules"].as_array().into_iter().flatten();
    let rules: Vec<_> = rules.filter(|rule| texts(&rule["resources"]).contains(&"secrets")).collect();
    let [rule] = rules[..] else { anyhow::bail!("one rule: {role}") };
    assert_eq!(texts(&rule["verbs"]), ["get"]);
    Ok(())
}

#[test]
fn kinds_of_one_namespace_are_granted_only_there() -> Result<()> {
    for object in committed()?.iter().filter(|object| object["kind"] == "ClusterRole") {
        let rules = object["rules"].as_array().into_iter().flatten();
        let resources: Vec<&str> = rules.flat_map(|rule| texts(&rule["resources"])).collect();
        for kind in [ObjectKind::SECRET, ObjectKind::IP_ADDRESS_POOL, ObjectKind::BGP_PEER] {
            ensure!(!resources.contains(&kind.plural), "{}: {}", object["metadata"]["name"], kind.plural);
        }
        ensure!(!object.to_string().contains('*'), "{object}");
    }
    Ok(())
}

#[test]
fn every_referenced_object_exists() -> Result<()> {
    let objects = committed()?;
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
fn agents_find_the_key_of_a_controller_and_have_time_to_stop() -> Result<()> {
    let objects = committed()?;
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
    let objects = committed()?;
    for (kind, name) in [("DaemonSet", "fairlead-agent"), ("Deployment", "fairlead-controller")] {
        let containers = &find(&objects, kind, name)?["spec"]["template"]["spec"]["containers"];
        for container in containers.as_array().context("containers")? {
            let context = &container["securityContext"];
            assert_eq!(context["privileged"], Value::Null, "{name}");
            assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(context["capabilities"]["drop"], json!(["ALL"]), "{name}");
        }
    }
    Ok(())
}
