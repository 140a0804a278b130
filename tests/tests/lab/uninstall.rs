//! Tests of `fairlead uninstall` and `fairlead agent --dry-run`: nothing of Fairlead is left on the node, or
//! nothing is changed, and what is of others stays.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use aya::programs::{Xdp, XdpMode};
use fairlead_tests::lab::node::find_binary;
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology};
use fairlead_tests::layer2::segment::vip;
use fairlead_tests::objects::{metallb, yaml};
use fairlead_tests::routers::{Frr, GracefulRestartMode, RouterConfig, RouterDaemon, RouterPeer, wait};
use lb_dataplane::object::{EMPTY_PROGRAM, OBJECT};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const ROUTERS_AS: u32 = 64_500;
const AGENTS_AS: u32 = 64_501;
const WITHIN: Duration = Duration::from_secs(30);
/// A router deletes the routes of a session that ends without a successor at once.
const FLUSHED_WITHIN: Duration = Duration::from_millis(500);
const AGGREGATE: &str = "10.1.0.96/28";
const NOTHING_LEFT: &str = "nothing of Fairlead is left on this node";

/// Runs a test with a node whose Service is advertised to FRR as an aggregate, with graceful restart, and
/// announced on the local network.
fn with_node(test: impl FnOnce(&Lab, &LabNode<'_>, &Frr) -> Result<()>) -> Result<()> {
    let vips = [vip(0).v4.into(), vip(0).v6.into()];
    let topology = Topology::empty().node('a', 1).pods("n1", "web", 1);
    topology.service("web", "web", &vips, ExternalPolicy::Cluster).run(|lab| {
        let node = lab.node("n1")?;
        let (here, gateway) = (node.spec().addresses().v4, node.spec().segment().gateway().v4);
        let mut peer = RouterPeer::at(here, AGENTS_AS).source(gateway);
        peer.graceful_restart = GracefulRestartMode::Helper;
        let frr = Frr::start(&*lab.router()?, &RouterConfig::new(ROUTERS_AS, gateway).peer(peer))?;
        write_objects(lab, &node)?;
        test(lab, &node, &frr)
    })
}

fn write_objects(lab: &Lab, node: &LabNode<'_>) -> Result<()> {
    let directory = lab.outside(&lab.manifests_directory());
    fs::remove_file(directory.join("metallb.yaml"))?;
    let peer = json!({
        "myASN": AGENTS_AS,
        "peerASN": ROUTERS_AS,
        "peerAddress": node.spec().segment().gateway().v4.to_string(),
        "connectTime": "1s",
        "enableGracefulRestart": true,
    });
    let advertisement = json!({ "aggregationLength": 28, "communities": ["64500:80"] });
    let objects = [
        metallb("v1beta1", "IPAddressPool", "lab", &json!({ "addresses": [AGGREGATE, "fd00:1::1:0/124"] })),
        metallb("v1beta1", "L2Advertisement", "lab", &json!({ "ipAddressPools": ["lab"] })),
        metallb("v1beta2", "BGPPeer", "router", &peer),
        metallb("v1beta1", "BGPAdvertisement", "router", &advertisement),
    ];
    Ok(fs::write(directory.join("bgp.yaml"), yaml(&objects))?)
}

/// Puts objects on the node that resemble Fairlead's and are of others: an attached program, a pin, a route,
/// a rule, and a proxy neighbor entry. They stay as long as the value lives.
fn others(node: &LabNode<'_>) -> Result<Ebpf> {
    node.ip(&[
        "link add other0 type veth peer name other1".to_owned(),
        "link set other0 up".to_owned(),
        "route add blackhole 198.51.100.0/24 table 6080".to_owned(),
        "rule add iif eth0 lookup 6080 priority 32000".to_owned(),
        "neighbor add proxy fd00:1::9999 dev eth0".to_owned(),
    ])?;
    let mut object = node.run(|| {
        let mut object = Ebpf::load(OBJECT)?;
        let program: &mut Xdp = object.program_mut(EMPTY_PROGRAM).context("no such program")?.try_into()?;
        program.load()?;
        program.attach("other0", XdpMode::Skb)?;
        Ok(object)
    })?;
    let bpffs = node.pins().directory().ancestors().nth(2).map(Path::to_path_buf).context("no bpffs")?;
    let program: &mut Xdp = object.program_mut(EMPTY_PROGRAM).context("no such program")?.try_into()?;
    program.pin(bpffs.join("theirs"))?;
    Ok(object)
}

/// Lists what Fairlead puts on a node, and what resembles it: files, pins, programs, routes, rules, neighbor
/// entries and multicast groups.
fn listing(node: &LabNode<'_>) -> Result<String> {
    let directory = node.directory().display().to_string();
    let find = ["-mindepth", "1", "-not", "-name", "*.log", "-not", "-path", "*/frr*"];
    let mut text = node.command("find").arg(&directory).args(find).text()?;
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    text = lines.join("\n") + "\n";
    let links = node.command("ip").args(["-json", "-details", "link", "show"]).text()?;
    for link in serde_json::from_str::<Vec<Value>>(&links)? {
        text += &format!("{} {}\n", link["ifname"], link["xdp"]);
    }
    for words in
        ["route show table all", "-6 route show table all", "rule", "-6 rule", "-6 neighbor show proxy"]
    {
        text += &node.command("ip").args(words.split(' ')).text()?;
    }
    Ok(text + &node.command("ip").args(["maddr", "show", "dev", "eth0"]).text()?)
}

/// Waits until the listing is this one.
fn wait_listing(node: &LabNode<'_>, expected: &str) -> Result<()> {
    wait(Duration::from_secs(3), || {
        let found = listing(node)?;
        ensure!(found == expected, "expected:\n{expected}\nfound:\n{found}");
        Ok(())
    })
}

fn run(node: &LabNode<'_>, subcommand: &str, arguments: &[&str]) -> Result<(Output, String)> {
    let binary = find_binary()?;
    let command = node.command(&binary.to_string_lossy()).arg(subcommand);
    let command = command.arg("--socket").arg(node.socket()).arg("--bpffs").arg(node.bpffs());
    let output = command.args(arguments).output()?;
    let printed = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    println!("fairlead {subcommand} {arguments:?}: {}\n{printed}", output.status);
    Ok((output, printed))
}

/// Waits until the agent has installed everything that an uninstallation has to remove.
fn wait_installed(node: &LabNode<'_>, frr: &Frr) -> Result<()> {
    frr.wait_routes(AGGREGATE.parse()?, WITHIN, &|routes| routes.len() == 1)?;
    wait(WITHIN, || {
        let found = listing(node)?;
        let group = "ff02::1:ff01:0";
        for expected in [&format!("blackhole {AGGREGATE}"), "lookup 6080", &vip(0).v6.to_string(), group] {
            ensure!(found.contains(expected), "{expected} is missing:\n{found}");
        }
        Ok(())
    })
}

#[test]
fn an_uninstalled_node_is_as_before_and_its_routes_are_withdrawn_at_once() -> Result<()> {
    with_node(|_, node, frr| {
        let _others = others(node)?;
        let before = listing(node)?;
        node.start_agent(&LabAgentOptions::default())?;
        wait_installed(node, frr)?;

        let (output, printed) = run(node, "uninstall", &[])?;
        frr.wait_routes(AGGREGATE.parse()?, FLUSHED_WITHIN, &<[_]>::is_empty)?;
        ensure!(output.status.success() && printed.ends_with(&format!("{NOTHING_LEFT}\n")), "{printed}");
        for removed in [AGGREGATE, "rule 32765", "proxy neighbor entry fd00:1::1:0", "agent.accepted.json"] {
            ensure!(printed.contains(removed), "{removed} is not named: {printed}");
        }
        ensure!(node.wait_agent_exit(WITHIN)?.success(), "the agent must end without an error");
        wait_listing(node, &before)?;

        let (output, printed) = run(node, "uninstall", &[])?;
        ensure!(output.status.success() && printed == format!("{NOTHING_LEFT}\n"), "{printed}");
        wait_listing(node, &before)
    })
}

#[test]
fn a_killed_agent_leaves_nothing_that_is_not_removed() -> Result<()> {
    with_node(|_, node, frr| {
        let _others = others(node)?;
        let before = listing(node)?;
        node.start_agent(&LabAgentOptions::default())?;
        wait_installed(node, frr)?;
        node.kill_agent()?;
        // As an agent of another version leaves them.
        let other = node.pins().directory().with_file_name("v1");
        fs::create_dir(&other)?;
        fs::rename(node.pins().map("lb_verdicts"), other.join("lb_verdicts"))?;

        let (output, printed) = run(node, "uninstall", &[])?;
        ensure!(output.status.success() && printed.ends_with(&format!("{NOTHING_LEFT}\n")), "{printed}");
        ensure!(printed.contains("fairlead/v1/lb_verdicts"), "{printed}");
        wait_listing(node, &before)
    })
}

#[test]
fn what_is_left_is_named() -> Result<()> {
    with_node(|_, node, frr| {
        node.start_agent(&LabAgentOptions::default())?;
        wait_installed(node, frr)?;
        // It answers on another socket, so that it cannot be asked, and holds its link.
        let hidden = node.directory_outside().join("hidden.sock");
        fs::rename(node.directory_outside().join("agent.sock"), &hidden)?;
        node.signal_agent(Signal::SIGSTOP)?;
        let (output, printed) = run(node, "uninstall", &[])?;
        node.signal_agent(Signal::SIGCONT)?;
        ensure!(!output.status.success() && !printed.contains(NOTHING_LEFT), "{printed}");
        let left = printed.lines().find(|line| line.starts_with("left ")).context("nothing is named")?;
        ensure!(left.contains("XDP program") && left.contains("on eth0"), "{left}");
        Ok(())
    })
}

fn dry_run(lab: &Lab, node: &LabNode<'_>, more: &[&str]) -> Result<(Output, String)> {
    let source = lab.manifests_directory().display().to_string();
    let arguments = ["--node", "n1", "--interface", "eth0", "--xdp-mode", "native", "--source", &source];
    run(node, "agent", &[&arguments, more].concat())
}

#[test]
fn a_dry_run_prints_what_an_agent_would_do_and_changes_nothing() -> Result<()> {
    with_node(|lab, node, frr| {
        let before = listing(node)?;
        let (output, printed) = dry_run(lab, node, &["--dry-run"])?;
        ensure!(output.status.success(), "{printed}");
        let expected =
            ["eth0", "no XDP program", "attach", "lb_config", "lb_vips4", AGGREGATE, "64500:80", "1 of 1"];
        for expected in expected {
            ensure!(printed.contains(expected), "{expected} is missing: {printed}");
        }
        ensure!(printed.lines().count() < 45, "more than a screen: {printed}");
        let (_, full) = dry_run(lab, node, &["--dry-run=full"])?;
        ensure!(full.contains(&format!("{} tcp 80", vip(0).v4)), "{full}");
        ensure!(listing(node)? == before, "a dry run changes nothing");
        ensure!(frr.routes(AGGREGATE.parse()?)?.is_empty(), "nothing is advertised");

        node.start_agent(&LabAgentOptions::default())?;
        wait_installed(node, frr)?;
        let before = listing(node)?;
        let (output, printed) = dry_run(lab, node, &["--dry-run", "-o", "json"])?;
        let preview: Value = serde_json::from_slice(&output.stdout)?;
        ensure!(output.status.success() && preview["uplinks"][0]["action"] == "adopt", "{printed}");
        ensure!(preview["operations"] == json!([]), "the running agent has written everything: {printed}");
        ensure!(listing(node)? == before && node.status()?["ready"] == true, "the agent goes on");
        Ok(())
    })
}

#[test]
fn a_dry_run_fails_if_the_agent_would_not_start_or_an_object_has_an_error() -> Result<()> {
    with_node(|lab, node, _| {
        let invalid = "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: bad, namespace: \
                       metallb-system}\nspec: {addresses: [198.51.100.300/32]}\n";
        let file = lab.outside(&lab.manifests_directory()).join("bad.yaml");
        fs::write(&file, invalid)?;
        let (output, printed) = dry_run(lab, node, &["--dry-run"])?;
        ensure!(output.status.code() == Some(1) && printed.contains("error: bad.yaml"), "{printed}");
        fs::remove_file(&file)?;
        let mut object = node.run(|| {
            let mut object = Ebpf::load(OBJECT)?;
            let program: &mut Xdp =
                object.program_mut(EMPTY_PROGRAM).context("no such program")?.try_into()?;
            program.load()?;
            program.attach("eth0", XdpMode::Driver)?;
            Ok(object)
        })?;
        let (output, printed) = dry_run(lab, node, &["--dry-run"])?;
        ensure!(output.status.code() == Some(1) && printed.contains("failed  interface eth0"), "{printed}");
        object.program_mut(EMPTY_PROGRAM).context("it is still attached").map(drop)
    })
}
