//! Forwarding on devices without anything below them, and a restart of the agent.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4, WEB_V6, agents};

use super::machine::{WITHIN, connections, forwarded};

/// Returns the guest's interfaces.
fn nics() -> Result<Vec<String>> {
    let names = env::var("FAIRLEAD_GUEST_NICS")
        .context("these tests use the machine's interfaces: run them by `cargo xtask test kernels`")?;
    Ok(names.split_whitespace().map(str::to_owned).collect())
}

/// Returns two nodes with a pod each; all traffic enters at n1.
fn cluster() -> Topology {
    let mut topology = Topology::empty();
    for number in 1..=2 {
        topology = topology.node('a', number).pods(&format!("n{number}"), "web", 1);
    }
    topology.service("web", "web", &[WEB_V4, WEB_V6], ExternalPolicy::Local)
}

/// Moves the nodes and their switch to the guest's virtio-net interfaces instead of veth pairs.
fn use_nics(lab: &Lab) -> Result<()> {
    let nics = nics()?;
    let [first, second, port] = nics.as_slice() else {
        anyhow::bail!("needs three interfaces, has {nics:?}")
    };
    for (node, nic) in [("n1", first), ("n2", second)] {
        lab.node(node)?.delete_uplink()?;
        move_nic(lab, nic, node, "eth0")?;
        lab.node(node)?.configure_uplink("eth0")?;
    }
    let switch = lab.node("n1")?.spec().segment().switch();
    move_nic(lab, port, &switch, "port")?;
    lab.host(&switch)?.ip(&["link set port master br0 up".to_owned()])
}

fn move_nic(lab: &Lab, nic: &str, host: &str, name: &str) -> Result<()> {
    let namespace = lab.outside(&Path::new("/run/netns").join(host));
    let status = Command::new("ip")
        .args(["link", "set", nic, "down", "netns"])
        .arg(&namespace)
        .args(["name", name])
        .status()
        .context("cannot run ip")?;
    ensure!(status.success(), "cannot move {nic} to {host}");
    Ok(())
}

/// Checks both modes: connections through n1, of which n2 serves its share, while another agent on n1 takes
/// over the state of the first.
fn forwards_and_adopts(lab: &Lab) -> Result<()> {
    [WEB_V4, WEB_V6].iter().try_for_each(|vip| lab.router()?.set_next_hops(*vip, &["n1"]))?;
    for mode in ["native", "generic"] {
        let arguments = ["--liveness-interval", "1000", "--ring-slots", "65536"].map(str::to_owned).into();
        let options =
            LabAgentOptions { arguments, xdp_mode: mode, ready_within: WITHIN, ..LabAgentOptions::default() };
        agents::start(&lab.nodes()?, &options)?;
        let node = lab.node("n1")?;
        let attached = node.status()?["interfaces"][0]["mode"].clone();
        ensure!(attached == mode, "attached in mode {attached}: {}", node.agent_log());
        connections(lab, WEB_V6, || Ok(()))?;
        let adopted = |node: &LabNode<'_>| node.agent_log().matches("adopted the XDP program").count();
        let before = adopted(&node);
        connections(lab, WEB_V4, || {
            node.kill_agent()?;
            node.start_agent(&options)
        })?;
        ensure!(adopted(&node) > before, "{}", node.agent_log());
        ensure!(forwarded(&node)?, "n1 has forwarded nothing: {}", node.status()?["outcomes"]);
        for node in lab.nodes()? {
            node.stop_agent(WITHIN)?;
            node.detach()?;
        }
    }
    Ok(())
}

#[test]
fn forwards_and_adopts_on_veth() -> Result<()> {
    nics()?;
    cluster().run(forwards_and_adopts)
}

#[test]
fn forwards_and_adopts_on_virtio_net() -> Result<()> {
    cluster().run(|lab| {
        use_nics(lab)?;
        forwards_and_adopts(lab)
    })
}

#[test]
fn the_guest_runs_the_requested_kernel() -> Result<()> {
    let series = env::var("FAIRLEAD_GUEST_KERNEL").context("run this by `cargo xtask test kernels`")?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    ensure!(
        release.strip_prefix(&series).is_some_and(|rest| rest.starts_with('.')),
        "the kernel is {release}"
    );
    Ok(())
}
