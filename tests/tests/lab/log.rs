//! Tests of the agent's log: its level can be changed for a while, and it holds no secret at any level.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use fairlead_tests::lab::{ExternalPolicy, LabAgentOptions, LabNode, Topology, WEB_V4};
use fairlead_tests::objects::yaml;
use fairlead_tests::peers::{AGENTS_AS, PeerHost, advertisement, both, node_addresses};
use fairlead_tests::routers::{Frr, RouterDaemon, wait};
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(40);
const PASSWORD: &str = "correct-horse-battery";
const HASH_KEY: &str = "00112233445566778899aabbccddeeff";
const TAG_KEYS: [&str; 2] = ["0f1e2d3c4b5a69788796a5b4c3d2e1f0", "a0b1c2d3e4f5061728394a5b6c7d8e9f"];

fn web() -> Topology {
    let nodes = Topology::empty().node('a', 1).pods("n1", "web", 1).router('a', 1);
    nodes.service("web", "web", &[WEB_V4], ExternalPolicy::Cluster)
}

fn level(node: &LabNode<'_>, arguments: &[&str]) -> Result<Value> {
    let arguments = [&["log-level"], arguments, &["-o", "json"]].concat();
    Ok(serde_json::from_str(&node.fairlead(&arguments)?)?)
}

/// Returns the forms in which a log could hold a key.
fn forms(key: &str) -> Result<Vec<String>> {
    let mut forms = vec![key.to_owned()];
    for half in [&key[..16], &key[16..]] {
        let number = u64::from_str_radix(half, 16)?;
        forms.extend([format!("{number}"), format!("{number:x}"), half.to_owned()]);
    }
    Ok(forms)
}

#[test]
fn a_log_holds_no_secret_at_any_level() -> Result<()> {
    web().run(|lab| {
        let place = PeerHost::of(lab, "r1")?;
        let router = Frr::start(&place.host, &place.config(lab, &|peer| peer.password(PASSWORD))?)?;
        let mut objects = place.peers("r1", AGENTS_AS, |spec| spec["password"] = json!(PASSWORD));
        objects.push(advertisement("all", |_| ()));
        fs::write(lab.outside(&lab.manifests_directory().join("bgp.yaml")), yaml(&objects))?;
        let node = lab.node("n1")?;
        let file = |name: &str, text: &str| -> Result<String> {
            fs::write(node.directory_outside().join(name), text)?;
            Ok(node.directory().join(name).to_string_lossy().into_owned())
        };
        let hash_key = file("hash-key", HASH_KEY)?;
        let tag_keys = file("tag-keys", &format!("1 {}\n2 {}\n", TAG_KEYS[0], TAG_KEYS[1]))?;
        let arguments = ["--log-level", "trace", "--hash-key-file", &hash_key, "--tag-keys-file", &tag_keys];
        let arguments = arguments.map(str::to_owned).to_vec();
        node.start_agent(&LabAgentOptions { arguments, ..LabAgentOptions::default() })?;
        for address in node_addresses(lab)?.into_iter().flat_map(both) {
            router.wait_established(&address.to_string(), WITHIN)?;
        }
        // A changed key, and an object with an error in it.
        file("tag-keys", &format!("2 {}\n1 {}\n", TAG_KEYS[1], TAG_KEYS[0]))?;
        for object in &mut objects {
            object["spec"]["passwordSecret"] = json!({"name": "both-are-an-error"});
        }
        fs::write(lab.outside(&lab.manifests_directory().join("bgp.yaml")), yaml(&objects))?;
        wait(WITHIN, || {
            let log = node.agent_log();
            ensure!(log.contains("r1"), "the object is not named: {log}");
            Ok(())
        })?;
        thread::sleep(Duration::from_secs(2));
        node.stop_agent(WITHIN)?;
        let log = node.agent_log();
        ensure!(log.contains("DEBUG"), "not at every level");
        for secret in
            [HASH_KEY, TAG_KEYS[0], TAG_KEYS[1]].into_iter().map(forms).collect::<Result<Vec<_>>>()?
        {
            let shown = log.lines().find(|line| secret.iter().any(|form| line.contains(form.as_str())));
            ensure!(shown.is_none(), "a key: {shown:?}");
        }
        let shown = log.lines().find(|line| line.contains(PASSWORD));
        ensure!(shown.is_none(), "the password: {shown:?}");
        Ok(())
    })
}

#[test]
fn the_level_of_a_running_agent_changes_for_a_while() -> Result<()> {
    web().run(|lab| {
        let node = lab.node("n1")?;
        let arguments = ["--log-format", "json", "--log-level", "warn"].map(str::to_owned).to_vec();
        node.start_agent(&LabAgentOptions { arguments, ..LabAgentOptions::default() })?;
        ensure!(level(&node, &[])?["filter"] == "warn", "{}", level(&node, &[])?);
        ensure!(!node.agent_log().contains("\"level\":\"INFO\""), "{}", node.agent_log());
        let changed = level(&node, &["debug", "--for", "3s"])?;
        ensure!(changed["filter"] == "debug" && changed["initial"] == "warn", "{changed}");
        ensure!(changed["returns_in"].as_u64().is_some_and(|left| left <= 3), "{changed}");
        wait(Duration::from_secs(2), || {
            node.fairlead(&["drain", "--no-wait"])?;
            node.fairlead(&["drain", "--undo"])?;
            ensure!(node.agent_log().contains("draining on request"), "{}", node.agent_log());
            Ok(())
        })?;
        wait(Duration::from_secs(5), || {
            ensure!(level(&node, &[])?["filter"] == "warn", "{}", level(&node, &[])?);
            Ok(())
        })?;
        let drains = node.agent_log().matches("draining on request").count();
        node.fairlead(&["drain", "--no-wait"])?;
        node.fairlead(&["drain", "--undo"])?;
        thread::sleep(Duration::from_millis(500));
        ensure!(node.agent_log().matches("draining on request").count() == drains, "{}", node.agent_log());
        let kept = level(&node, &["lb_agent=trace,error", "--keep"])?;
        ensure!(kept["filter"] == "lb_agent=trace,error" && kept["returns_in"].is_null(), "{kept}");
        let refused = level(&node, &["inf"]).err().map(|error| format!("{error:#}"));
        ensure!(refused.as_ref().is_some_and(|it| it.contains("is no log filter")), "{refused:?}");
        for line in node.agent_log().lines() {
            let line: Value = serde_json::from_str(line)?;
            ensure!(line["timestamp"].is_string() && line["message"].is_string(), "{line}");
        }
        Ok(())
    })
}
