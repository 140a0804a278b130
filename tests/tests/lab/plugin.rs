//! Tests of `kubectl fairlead` against an API server that runs commands in the pods of a lab's agents.

use std::os::unix::fs::symlink;
use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fairlead_tests::control_plane::ControlPlane;
use fairlead_tests::kube_clients::KubeClients;
use fairlead_tests::lab::node::find_binary;
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabHost, Topology, WEB_V4, agents};
use fairlead_tests::routers::wait;
use nix::sys::signal::Signal;
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(10);
const NODES: [&str; 3] = ["n1", "n2", "n3"];

/// A laptop: a host that reaches the API server, with the plugin in a directory of its own.
struct Laptop {
    host: LabHost,
    plane: ControlPlane,
}

impl Laptop {
    fn new(lab: &Lab, plane: ControlPlane) -> Result<Self> {
        let host = LabHost::clone(&*lab.router()?);
        symlink(find_binary()?, host.directory_outside().join("kubectl-fairlead"))?;
        Ok(Self { host, plane })
    }

    fn plugin(&self, arguments: &[&str]) -> Result<Output> {
        let plugin = self.host.directory().join("kubectl-fairlead");
        let command = self.host.command(&plugin.to_string_lossy()).args(arguments);
        command.arg("--kubeconfig").arg(self.plane.kubeconfig()).output()
    }

    /// Returns what the plugin prints, whatever its exit code.
    fn screen(&self, arguments: &[&str]) -> Result<String> {
        let output = self.plugin(arguments)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(!text.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(text)
    }

    fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.screen(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).with_context(|| text)
    }
}

fn topology() -> Topology {
    let nodes =
        Topology::empty().node('a', 1).node('a', 2).node('a', 3).pods("n1", "web", 1).pods("n2", "web", 1);
    nodes.service("web", "web", &[WEB_V4], ExternalPolicy::Cluster)
}

/// Runs a test with agents on all nodes; not where the server cannot run commands.
fn with_laptop(test: impl FnOnce(&Lab, &Laptop) -> Result<()>) -> Result<()> {
    topology().run(|lab| {
        let plane = ControlPlane::start(lab)?;
        agents::start(&lab.nodes()?, &LabAgentOptions::default())?;
        if !plane.put_agents(&lab.nodes()?)? {
            return Ok(());
        }
        test(lab, &Laptop::new(lab, plane)?)
    })
}

#[test]
fn the_plugin_shows_all_nodes_and_names_those_that_differ_or_do_not_answer() -> Result<()> {
    with_laptop(|lab, laptop| {
        let screen = laptop.screen(&["status"])?;
        for node in NODES {
            let row = screen
                .lines()
                .find(|line| line.trim_start().starts_with(node))
                .with_context(|| screen.clone())?;
            ensure!(row.contains("ready") && row.contains("2 of 2 alive"), "{screen}");
        }
        // Agents that have just started agree on the announcers after their first probes.
        let status = wait(WITHIN, || {
            let status = laptop.json(&["status"])?;
            ensure!(status["differences"].as_array().is_some_and(Vec::is_empty), "{status:#}");
            Ok(status)
        })?;
        ensure!(status["silent"].as_array().is_some_and(Vec::is_empty), "{status:#}");
        ensure!(status["nodes"][0]["answer"]["node"] == "n1", "{status:#}");

        let traffic = laptop.json(&["top", "--interval", "500"])?;
        ensure!(traffic["vips"].as_array().is_some_and(|vips| !vips.is_empty()), "{traffic:#}");
        ensure!(traffic["totals"]["nodes"] == serde_json::json!(NODES), "{traffic:#}");

        let why = laptop.screen(&["why", "default/web"])?;
        ensure!(
            NODES.iter().all(|node| why.lines().any(|line| line.trim_start().starts_with(node))),
            "{why}"
        );
        let flow = laptop.screen(&["flow", "192.0.2.7:4000", &format!("{WEB_V4}:80")])?;
        ensure!(!flow.contains("does not answer") && !flow.contains("different nodes"), "{flow}");
        ensure!(
            NODES.iter().all(|node| flow.lines().any(|line| line.trim_start().starts_with(node))),
            "{flow}"
        );

        // An agent that is stopped does not hold up the others.
        let stopped = lab.node("n3")?;
        stopped.signal_agent(Signal::SIGSTOP)?;
        let start = Instant::now();
        let output = laptop.plugin(&["status", "--check", "--timeout", "3"])?;
        let screen = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.code() == Some(1), "{screen}");
        ensure!(
            screen.contains("node n3 does not answer: ") && screen.contains("did not end within 3 s"),
            "{screen}"
        );
        ensure!(start.elapsed() < Duration::from_secs(20), "it took {:?}", start.elapsed());
        ensure!(
            screen.lines().any(|line| line.trim_start().starts_with("n1") && line.contains("ready")),
            "{screen}"
        );
        stopped.signal_agent(Signal::SIGCONT)?;

        // A node that serves other Services has another view.
        stopped.stop_agent(Duration::from_secs(20))?;
        let other = ["--lb-class", "example.com/other"].map(str::to_owned).into();
        stopped.start_agent(&LabAgentOptions { arguments: other, ..LabAgentOptions::default() })?;
        let screen = laptop.screen(&["status"])?;
        let line =
            screen.lines().find(|line| line.contains("nodes differ: VIP")).with_context(|| screen.clone())?;
        ensure!(line.contains("on n1, n2; unknown on n3"), "{line}");

        laptop.plane.delete("v1", "Pod", "fairlead-agent-n2")?;
        let screen = laptop.screen(&["status"])?;
        ensure!(screen.contains("! no agent runs on node n2"), "{screen}");
        let only = laptop.screen(&["status", "--node", "n1"])?;
        ensure!(!only.contains("no agent runs"), "{only}");
        Ok(())
    })
}

#[test]
fn kubectl_finds_the_plugin_and_runs_commands_in_pods() -> Result<()> {
    let Some(clients) = KubeClients::or_skip("kubectl_finds_the_plugin_and_runs_commands_in_pods") else {
        return Ok(());
    };
    with_laptop(|_, laptop| {
        let directory = laptop.host.directory();
        let kubectl = |arguments: &[&str]| {
            let command = laptop.host.command(&clients.kubectl().to_string_lossy()).args(arguments);
            command
                .env("PATH", &directory)
                .env("HOME", &directory)
                .env("KUBECONFIG", laptop.plane.kubeconfig())
                .output()
        };
        let text = |output: &Output| {
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        };
        let listed = kubectl(&["plugin", "list"])?;
        ensure!(text(&listed).contains("kubectl-fairlead"), "{}", text(&listed));
        let status = kubectl(&["fairlead", "status", "-n", "metallb-system"])?;
        ensure!(
            NODES.iter().all(|node| text(&status).lines().any(|it| it.trim_start().starts_with(node))),
            "{}",
            text(&status)
        );
        let exec =
            ["exec", "--namespace", "metallb-system", "fairlead-agent-n2", "--container", "agent", "--"];
        let shown = kubectl(&[&exec[..], &["/fairlead", "status"]].concat())?;
        ensure!(shown.status.success() && text(&shown).starts_with("node n2 "), "{}", text(&shown));
        let wrong = kubectl(&[&exec[..], &["/fairlead", "status", "--nonsense"]].concat())?;
        ensure!(wrong.status.code() == Some(2) && text(&wrong).contains("--nonsense"), "{}", text(&wrong));
        Ok(())
    })
}
