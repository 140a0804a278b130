//! The commands of `docs/inspecting-with-bpftool.md`, run word for word on a node and compared with the
//! agent's view.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fairlead_tests::lab::node::find_binary;
use fairlead_tests::lab::topology::ECHO_PORT;
use fairlead_tests::lab::{Lab, LabAgentOptions, LabNode, Topology, WEB_V4, agents};
use fairlead_tests::page;
use fairlead_tests::traffic::TcpLoad;
use lb_common::map_table::MAPS;
use lb_common::verdict::COUNTERS;
use serde_json::Value;

const PAGE: &str = "docs/inspecting-with-bpftool.md";
const WITHIN: Duration = Duration::from_secs(20);

/// Runs all steps of the page in one shell on a node, and returns what each has printed.
fn run_page(node: &LabNode<'_>) -> Result<BTreeMap<String, String>> {
    const MARK: &str = "=== step ";
    let steps = page::steps(PAGE)?;
    let mut script = "set -eu\n".to_owned();
    for step in &steps {
        script += &format!("echo '{MARK}{}'\n{}\n", step.name, step.commands);
    }
    let outside = node.directory_outside().join("page.sh");
    fs::write(&outside, script)?;
    let path = node.directory();
    wrap_binary(&node.directory_outside(), &path, &node.socket())?;
    let search = format!("{}:{}", path.display(), std::env::var("PATH")?);
    let shell = node.command("bash").arg(path.join("page.sh"));
    let printed = shell.env("PATH", search).env("FAIRLEAD_BPFFS", node.bpffs()).text()?;
    let parts = printed.split(MARK).skip(1).filter_map(|part| part.split_once('\n'));
    let results: BTreeMap<_, _> = parts.map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    ensure!(results.len() == steps.len(), "{printed}");
    Ok(results)
}

/// Makes `fairlead` a command of the node's own agent.
fn wrap_binary(outside: &Path, inside: &Path, socket: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let wrapper = outside.join("fairlead");
    let binary = find_binary()?;
    let text = format!(
        "#!/bin/sh\nsubcommand=$1; shift\nexec {} \"$subcommand\" --socket {} \"$@\"\n",
        binary.display(),
        socket.display()
    );
    fs::write(&wrapper, text).with_context(|| inside.display().to_string())?;
    Ok(fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?)
}

fn values(text: &str) -> Result<Vec<Value>> {
    let values = serde_json::Deserializer::from_str(text).into_iter();
    values.collect::<Result<_, _>>().with_context(|| text.to_owned())
}

fn value(results: &BTreeMap<String, String>, step: &str) -> Result<Value> {
    let values = values(&results[step])?;
    let [value] = values.as_slice() else { bail!("{step}: {}", results[step]) };
    Ok(value.clone())
}

fn list<'a>(status: &'a Value, field: &str) -> Result<&'a Vec<Value>> {
    status[field].as_array().with_context(|| format!("no {field}"))
}

#[test]
fn the_pages_commands_print_what_the_agent_reports() -> Result<()> {
    Topology::standard().run(|lab| {
        lab.router()?.set_next_hops(WEB_V4, &["n1"])?;
        agents::start(&lab.nodes()?, &LabAgentOptions::default())?;
        let load = TcpLoad::to(SocketAddr::new(WEB_V4, ECHO_PORT)).connections(50).start(lab.client()?)?;
        load.wait_open(50, WITHIN)?;
        let url = format!("http://{WEB_V4}/");
        let requests = lab.client()?.command("bash");
        let script = format!("for i in $(seq 600); do curl -s -m 2 -o /dev/null {url}; sleep 0.1; done");
        let requests =
            requests.args(["-c", &script]).spawn(&lab.client()?.directory_outside().join("curl.log"))?;
        let node = lab.node("n1")?;
        let results = run_page(&node)?;
        drop(requests);
        load.finish()?;
        compare(lab, &node, &results)
    })
}

fn compare(lab: &Lab, node: &LabNode<'_>, results: &BTreeMap<String, String>) -> Result<()> {
    let status = node.status()?;
    let missing = MAPS.iter().map(|map| map.name).filter(|name| !results["directory"].contains(name));
    ensure!(missing.clone().next().is_none(), "{:?}", missing.collect::<Vec<_>>());
    let text = fs::read_to_string(fairlead_tests::kube_clients::root().join(PAGE))?;
    let unlisted = MAPS.iter().map(|map| map.name).filter(|name| !text.contains(&format!("`{name}`")));
    ensure!(unlisted.clone().next().is_none(), "the page lacks {:?}", unlisted.collect::<Vec<_>>());
    ensure!(results["programs"].contains("\"name\": \"fairlead\""), "{}", results["programs"]);
    ensure!(results["key"].trim() == "2c 03 00 00", "{}", results["key"]);
    compare_nodes(&status, results)?;
    compare_verdicts(&status, results)?;
    compare_vips(&status, results)?;
    compare_flow(lab, &status, results)
}

fn compare_nodes(status: &Value, results: &BTreeMap<String, String>) -> Result<()> {
    let nodes = list(status, "nodes")?;
    let own = nodes.iter().find(|node| node["is_self"] == true).context("no own node")?;
    let config = value(results, "config")?;
    ensure!(config["self_node"] == own["index"], "{config} {own}");
    ensure!(config["liveness_limit"] == status["liveness_limit"], "{config}");
    let printed = values(&results["nodes"])?;
    for node in nodes.iter().filter(|node| node["is_self"] == false) {
        let entry = printed.iter().find(|entry| entry["index"] == node["index"]);
        let entry = entry.with_context(|| format!("{node}: {printed:?}"))?;
        let mode = if node["way"] == "l2" { 1 } else { 2 };
        ensure!(entry["id"] == node["id"] && entry["mode"] == mode, "{entry} {node}");
    }
    let silent = values(&results["liveness"])?;
    ensure!(silent.len() == nodes.len() - 1, "{silent:?}");
    let limit = status["liveness_limit"].as_i64().context("no limit")?;
    ensure!(
        silent.iter().all(|it| it["silent_ticks"].as_i64().is_some_and(|ticks| ticks < limit)),
        "{silent:?}"
    );
    Ok(())
}

fn compare_verdicts(status: &Value, results: &BTreeMap<String, String>) -> Result<()> {
    let printed = values(&results["verdicts"])?;
    ensure!(printed.len() > 3, "{printed:?}");
    for entry in &printed {
        let row = COUNTERS.iter().find(|(number, ..)| entry["verdict"] == *number);
        let (_, name, _) = row.with_context(|| entry.to_string())?;
        let outcome = list(status, "outcomes")?.iter().find(|outcome| outcome["name"] == *name);
        let (then, now) = (entry["packets"].as_u64(), outcome.and_then(|it| it["packets"].as_u64()));
        // The agent was asked afterwards.
        ensure!(then.is_some() && then <= now, "{name}: {entry} {outcome:?}");
    }
    Ok(())
}

fn compare_vips(status: &Value, results: &BTreeMap<String, String>) -> Result<()> {
    let printed = values(&results["vips"])?;
    let vips = list(status, "services")?.iter().filter_map(|service| service["vips"].as_array()).flatten();
    let mut compared = 0;
    for vip in vips.filter(|vip| vip["address"].as_str().is_some_and(|it| !it.contains(':'))) {
        let address: std::net::Ipv4Addr = vip["address"].as_str().unwrap_or_default().parse()?;
        let entry = printed.iter().find(|entry| {
            entry["address"] == serde_json::json!(address.octets())
                && entry["port"] == vip["port"]
                && (entry["protocol"] == 6) == (vip["protocol"] == "TCP")
        });
        let entry = entry.with_context(|| format!("{vip}: {printed:?}"))?;
        ensure!(entry["number"] == vip["number"], "{entry} {vip}");
        compared += 1;
    }
    ensure!(compared > 3, "{compared} VIPs");
    let traffic = value(results, "traffic")?;
    ensure!(traffic["packets"].is_u64() && traffic["bytes"].is_u64(), "{traffic}");
    Ok(())
}

fn compare_flow(lab: &Lab, status: &Value, results: &BTreeMap<String, String>) -> Result<()> {
    let flow = &results["flow"];
    let node = flow.split_whitespace().last().context("no node")?;
    let index = list(status, "nodes")?.iter().find(|it| it["name"] == node).context("no such node")?;
    let slot = value(results, "slot")?;
    ensure!(slot["leader"] == index["index"], "all nodes live, so the leader has the flow: {flow} {slot}");
    ensure!(value(results, "leader")? == slot["leader"], "{} {slot}", results["leader"]);
    let ways = &results["ways"];
    println!("{flow}{ways}");
    ensure!(node == lab.node("n1")?.name() && flow.contains(" local "), "{flow}");
    ensure!(ways.contains(&format!("node {}, state ", index["index"])), "{flow}{ways}");
    Ok(())
}
