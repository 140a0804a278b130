//! Tests of the agent with the capabilities of its manifest, and with fewer.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::frr_router::FrrRouter;
use fairlead_tests::lab::node::find_binary;
use fairlead_tests::lab::topology::HTTP_PORT;
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4};
use fairlead_tests::objects::{metallb, yaml};
use fairlead_tests::routers::wait;
use serde_json::{Value, json};

/// Sessions are up in a few seconds; a busy machine takes longer.
const WITHIN: Duration = Duration::from_secs(30);
/// BFD interval.
const INTERVAL: Duration = Duration::from_millis(50);

/// Returns the capabilities that the manifest of the agent grants, as `setpriv` names them.
fn granted() -> Result<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/manifests/agent.yaml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    for object in serde_saphyr::from_multiple::<Value>(&text)? {
        let add = object.pointer("/spec/template/spec/containers/0/securityContext/capabilities/add");
        if let Some(Value::Array(names)) = add {
            return Ok(names.iter().filter_map(Value::as_str).map(str::to_lowercase).collect());
        }
    }
    anyhow::bail!("{} grants nothing", path.display())
}

/// Returns a wrapper that starts a program as a container runtime would: as root, limited to these
/// capabilities.
fn container_wrapper(capabilities: &[String]) -> Vec<String> {
    let set: String = capabilities.iter().map(|name| format!(",+{name}")).collect();
    let words = ["setpriv", "--no-new-privs", "--inh-caps", &format!("-all{set}"), "--bounding-set"];
    words.into_iter().map(str::to_owned).chain([format!("-all{set}")]).collect()
}

/// The message of an agent that may not use real-time priority.
const NO_PRECEDENCE: &str = "BFD runs without real-time priority";

/// Enables that message.
fn debug_logging() -> Vec<(String, String)> {
    vec![("RUST_LOG".to_owned(), "info,lb_speaker::bfd=debug".to_owned())]
}

fn without(capability: &str) -> Result<Vec<String>> {
    let all = granted()?;
    ensure!(all.iter().any(|name| name == capability), "{capability} is not granted: {all:?}");
    Ok(container_wrapper(&all.into_iter().filter(|name| name != capability).collect::<Vec<_>>()))
}

fn with_one_node(test: impl FnOnce(&Lab, &LabNode<'_>) -> Result<()>) -> Result<()> {
    let topology = Topology::empty().node('a', 1).pods("n1", "web", 1).service(
        "web",
        "web",
        &[WEB_V4],
        ExternalPolicy::Local,
    );
    topology.run(|lab| test(lab, &lab.node("n1")?))
}

fn answers(lab: &Lab) -> Result<()> {
    let url = format!("http://{}/", SocketAddr::new(WEB_V4, HTTP_PORT));
    let curl =
        lab.client()?.command("curl").args(["--silent", "--show-error", "--fail", "--max-time", "5", &url]);
    curl.text().map(drop)
}

#[test]
fn an_agent_runs_with_only_the_capabilities_of_its_manifest() -> Result<()> {
    with_one_node(|lab, node| {
        let router = FrrRouter::start(lab, &['a'], INTERVAL)?;
        let options = LabAgentOptions {
            wrapper: container_wrapper(&granted()?),
            environment: debug_logging(),
            ..LabAgentOptions::default()
        };
        // The second agent takes over the pins of the first.
        for _ in 0..2 {
            node.start_agent(&options)?;
            router.wait_next_hops(&[WEB_V4], &["n1"], WITHIN)?;
            router.wait_bfd_up(&["n1"], WITHIN)?;
            answers(lab)?;
            node.stop_agent(WITHIN)?;
        }
        let log = node.agent_log();
        ensure!(!log.contains("denied") && !log.contains("not permitted"), "{log}");
        ensure!(!log.contains(NO_PRECEDENCE), "{log}");
        Ok(())
    })
}

#[test]
fn a_missing_capability_is_reported_by_name() -> Result<()> {
    with_one_node(|lab, node| {
        let source = lab.manifests_directory().to_string_lossy().into_owned();
        let bpffs = node.bpffs().to_string_lossy().into_owned();
        for capability in ["bpf", "net_admin", "perfmon"] {
            let binary = find_binary()?.to_string_lossy().into_owned();
            let wrapper = without(capability)?;
            let (program, rest) = wrapper.split_first().context("a command has a program")?;
            let command = node.command(program).args(rest).args([binary.as_str(), "agent", "--node", "n1"]);
            let command = command.args(["--interface", "eth0", "--source", &source, "--bpffs", &bpffs]);
            let output = command.env("RUST_LOG", "off").output()?;
            let printed = String::from_utf8_lossy(&output.stderr);
            let name = format!("CAP_{}", capability.to_uppercase());
            ensure!(!output.status.success(), "it must fail: {printed}");
            ensure!(printed.contains(&format!("missing capability {name}")), "{name}: {printed}");
            ensure!(!node.pins().directory().exists(), "pins remain");
        }
        Ok(())
    })
}

#[test]
fn a_missing_optional_capability_is_logged_and_the_agent_runs() -> Result<()> {
    with_one_node(|lab, node| {
        let router = FrrRouter::start(lab, &['a'], INTERVAL)?;
        for (capability, words) in [("net_bind_service", "CAP_NET_BIND_SERVICE"), ("sys_nice", NO_PRECEDENCE)]
        {
            let wrapper = without(capability)?;
            node.start_agent(&LabAgentOptions {
                wrapper,
                environment: debug_logging(),
                ..LabAgentOptions::default()
            })?;
            router.wait_next_hops(&[WEB_V4], &["n1"], WITHIN)?;
            let log = node.agent_log();
            ensure!(log.contains(words), "{capability}: {log}");
            node.stop_agent(WITHIN)?;
        }
        Ok(())
    })
}

/// With CAP_NET_RAW nothing that needs it fails; without it, everything that needs it is reported.
#[test]
fn bfd_echoes_and_unnumbered_peers_report_the_missing_capability() -> Result<()> {
    with_one_node(|lab, node| {
        let gateway = node.spec().segment().gateway().v4.to_string();
        let peer = |name: &str, key: &str, value: &str| {
            let spec = json!({ "myASN": 64_501, "peerASN": 64_500, key: value, "bfdProfile": "echoing" });
            metallb("v1beta2", "BGPPeer", name, &spec)
        };
        let objects = [
            metallb("v1beta1", "BFDProfile", "echoing", &json!({ "echoMode": true })),
            peer("numbered", "peerAddress", &gateway),
            peer("unnumbered", "interface", "eth0"),
        ];
        fs::write(lab.outside(&lab.manifests_directory().join("bgp.yaml")), yaml(&objects))?;
        let reported = [
            "cannot open BFD echo socket, which requires CAP_NET_RAW",
            "cannot discover routers, which requires CAP_NET_RAW",
        ];
        node.start_agent(&LabAgentOptions {
            wrapper: container_wrapper(&granted()?),
            ..LabAgentOptions::default()
        })?;
        node.stop_agent(WITHIN)?;
        let log = node.agent_log();
        ensure!(!reported.iter().any(|words| log.contains(words)), "{log}");

        node.start_agent(&LabAgentOptions { wrapper: without("net_raw")?, ..LabAgentOptions::default() })?;
        wait(WITHIN, || {
            let log = node.agent_log();
            ensure!(reported.iter().all(|words| log.contains(words)), "{log}");
            Ok(())
        })
    })
}

#[test]
fn an_agent_finds_the_uplink_of_the_default_route() -> Result<()> {
    with_one_node(|lab, node| {
        lab.router()?.set_next_hops(WEB_V4, &["n1"])?;
        node.start_agent(&LabAgentOptions { finds_uplink: true, ..LabAgentOptions::default() })?;
        let interfaces = node.status()?["interfaces"].clone();
        ensure!(interfaces[0]["interface"] == "eth0" && interfaces[1].is_null(), "{interfaces}");
        answers(lab)
    })
}
