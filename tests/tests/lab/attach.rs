//! Tests of changes to uplinks, pins and the program while an agent runs: the uplink is attached again within
//! two seconds, or withdrawn within one, and the status is always correct.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{Xdp, XdpMode};
use fairlead_tests::frr_router::FrrRouter;
use fairlead_tests::lab::topology::{DATAGRAM_PORT, ECHO_PORT};
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4, WEB_V6, agents};
use fairlead_tests::traffic::{Probes, TcpLoad};
use lb_dataplane::object::{EMPTY_PROGRAM, OBJECT};
use lb_dataplane::pins::Pins;
use nix::mount::MntFlags;
use serde_json::Value;

const SERVED_WITHIN: Duration = Duration::from_secs(2);
const WITHDRAWN_WITHIN: Duration = Duration::from_secs(1);
/// The resolution of the tests' measurements.
const BLUR: Duration = Duration::from_millis(200);
const OPEN_WITHIN: Duration = Duration::from_secs(10);
const CONNECTIONS: usize = 120;
const METRICS: &str = "127.0.0.1:9125";

/// Returns three nodes with a pod each; all traffic enters at n1.
fn cluster() -> Topology {
    let mut topology = Topology::empty();
    for number in 1..=3 {
        topology = topology.node('a', number).pods(&format!("n{number}"), "web", 1);
    }
    topology.service("web", "web", &[WEB_V4, WEB_V6], ExternalPolicy::Local)
}

fn options(mode: &'static str) -> LabAgentOptions {
    let arguments = ["--metrics-address", METRICS].map(str::to_owned).into();
    LabAgentOptions { arguments, xdp_mode: mode, ..LabAgentOptions::default() }
}

/// Runs a test with agents, and with connections through n1, none of which may break.
fn with_connections(mode: &'static str, test: impl FnOnce(&Lab, &LabNode<'_>) -> Result<()>) -> Result<()> {
    cluster().run(|lab| {
        [WEB_V4, WEB_V6].iter().try_for_each(|vip| lab.router()?.set_next_hops(*vip, &["n1"]))?;
        agents::start(&lab.nodes()?, &options(mode))?;
        let target = SocketAddr::new(WEB_V4, ECHO_PORT);
        let load = TcpLoad::to(target).connections(CONNECTIONS).start(lab.client()?)?;
        load.wait_open(CONNECTIONS as u64, OPEN_WITHIN)?;
        test(lab, &lab.node("n1")?)?;
        let report = load.finish()?;
        println!("{report}; {:?}", report.by_node(lab));
        ensure!(report.failed() == 0 && report.by_node(lab).len() == 3, "{report}: {:?}", report.causes());
        Ok(())
    })
}

/// Measures how long not every new flow is answered after `act`.
fn outage(lab: &Lab, node: &LabNode<'_>, what: &str, act: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let every = Duration::from_millis(10);
    let probes = Probes { every, ..Probes::to(SocketAddr::new(WEB_V4, DATAGRAM_PORT)) };
    let probes = probes.start(lab.client()?)?;
    probes.wait_open(20, OPEN_WITHIN)?;
    let began = Instant::now();
    act().with_context(|| what.to_owned())?;
    std::thread::sleep((SERVED_WITHIN + BLUR).saturating_sub(began.elapsed()));
    let (status, now) = (node.status()?, Instant::now());
    let report = probes.finish()?;
    // Without the program n1 answers all flows itself.
    let pods = report.pods_between(now.checked_sub(BLUR).unwrap_or(now), now);
    ensure!(pods.len() == 3, "{what}: only {pods:?} are served");
    let outage = report.outage(began).map_or(Duration::ZERO, |outage| outage.at_most);
    println!("{what}: {outage:.3?}; {} {}", status["ready"], status["interfaces"]);
    ensure!(outage <= SERVED_WITHIN + BLUR, "{what}: {outage:?}");
    ensure!(status["ready"] == true && readyz(node)? == "200", "{what}: {}", status["problems"]);
    Ok(outage)
}

fn readyz(node: &LabNode<'_>) -> Result<String> {
    let url = format!("http://{METRICS}/readyz");
    node.command("curl")
        .args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", &url])
        .text()
}

fn problems(status: &Value) -> String {
    status["problems"].to_string()
}

fn wait_problem(node: &LabNode<'_>, words: &str, is_there: bool, within: Duration) -> Result<()> {
    let what = format!("{} of {words:?}", if is_there { "reports" } else { "no longer reports" });
    node.wait_status(&what, within, |status| Ok(problems(status).contains(words) == is_there))
}

fn ip(node: &LabNode<'_>, lines: &[&str]) -> Result<()> {
    node.ip(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
}

#[test]
fn a_changed_uplink_is_attached_again() -> Result<()> {
    with_connections("native", |lab, node| {
        outage(lab, node, "deleted and recreated", || node.recreate_uplink())?;
        outage(lab, node, "down and up", || {
            ip(node, &["link set eth0 down"])?;
            ip(node, &["link set eth0 up"])?;
            node.configure_routes()
        })?;
        outage(lab, node, "renamed", || rename(node, "eth0", "ens3"))?;
        wait_problem(node, "renamed to ens3", true, SERVED_WITHIN)?;
        ensure!(node.status()?["interfaces"][0]["interface"] == "ens3", "the new name is reported");
        outage(lab, node, "renamed back", || rename(node, "ens3", "eth0"))?;
        wait_problem(node, "renamed to ens3", false, SERVED_WITHIN)?;
        outage(lab, node, "another MAC", || ip(node, &["link set eth0 address 02:00:00:00:11:11"]))?;
        let other = lab.node("n2")?;
        outage(lab, &other, "another node's MAC", || {
            ip(&other, &["link set eth0 address 02:00:00:00:22:22"])
        })?;
        outage(lab, node, "another MTU", || ip(node, &["link set eth0 mtu 1400"]))?;
        outage(lab, node, "its old MTU", || ip(node, &["link set eth0 mtu 1500"])).map(drop)
    })
}

/// Renames an interface while it is down, which removes its routes.
fn rename(node: &LabNode<'_>, from: &str, to: &str) -> Result<()> {
    ip(node, &[&format!("link set {from} down"), &format!("link set {from} name {to}")])?;
    ip(node, &[&format!("link set {to} up")])?;
    node.configure_routes()
}

#[test]
fn removed_pins_are_restored_without_packet_loss() -> Result<()> {
    with_connections("native", |lab, node| {
        let is_pinned = || {
            let pins = node.pins();
            pins.link("eth0").exists() && pins.map("lb_config").exists() && pins.map("lb_flows").exists()
        };
        let unpinned = |what, act: &dyn Fn() -> Result<()>| -> Result<()> {
            let lost = outage(lab, node, what, act)?;
            ensure!(lost.is_zero(), "{what}: {lost:?}");
            Ok(())
        };
        let inside = Pins::below(&node.bpffs());
        unpinned("link pin removed", &|| Ok(fs::remove_file(node.pins().link("eth0"))?))?;
        ensure!(is_pinned(), "the link is not pinned again");
        let all = node.bpffs().join("fairlead");
        unpinned("all pins removed", &|| node.command("rm").arg("-r").arg(&all).text().map(drop))?;
        ensure!(is_pinned(), "{} was not restored", inside.directory().display());
        for flags in [MntFlags::empty(), MntFlags::MNT_DETACH] {
            unpinned("bpffs unmounted", &|| node.unmount_bpffs(flags))?;
            wait_problem(node, "no longer a BPF file system", true, SERVED_WITHIN)?;
            unpinned("bpffs mounted", &|| node.mount_bpffs())?;
            ensure!(
                is_pinned() && !problems(&node.status()?).contains("no longer a BPF"),
                "pinned, without problems"
            );
        }
        // The next agent takes over the restored pins.
        node.kill_agent()?;
        outage(lab, node, "another agent", || node.start_agent(&options("native")))?;
        ensure!(node.agent_log().contains("adopted the XDP program"), "{}", node.agent_log());
        Ok(())
    })
}

/// An agent of another version has left its link elsewhere, with maps that this one cannot read: its
/// program keeps running until this one's maps are written.
#[test]
fn the_link_of_another_map_layout_is_taken_over() -> Result<()> {
    cluster().run(|lab| {
        lab.router()?.set_next_hops(WEB_V4, &["n1"])?;
        agents::start(&lab.nodes()?, &options("native"))?;
        let node = lab.node("n1")?;
        node.kill_agent()?;
        let own = Pins::below(&node.bpffs()).directory();
        let other = node.bpffs().join("fairlead/v1");
        node.command("mv").args([&own, &other]).text()?;
        let lost = outage(lab, &node, "another layout", || node.start_agent(&options("native")))?;
        ensure!(lost <= BLUR, "{lost:?}");
        ensure!(node.agent_log().contains("of another version"), "{}", node.agent_log());
        ensure!(node.pins().link("eth0").exists(), "the link is not pinned");
        node.command("test")
            .args(["!", "-e"])
            .arg(&other)
            .text()
            .map(drop)
            .context("the other version's pins remain")
    })
}

/// Loads the empty program, as another process would.
fn others_program() -> Result<Ebpf> {
    let mut object = Ebpf::load(OBJECT)?;
    others(&mut object)?.load()?;
    Ok(object)
}

fn others(object: &mut Ebpf) -> Result<&mut Xdp> {
    Ok(object.program_mut(EMPTY_PROGRAM).context("no such program")?.try_into()?)
}

/// Detaches the agent's link as an administrator can.
fn detach_link(node: &LabNode<'_>) -> Result<()> {
    let pin = Pins::below(&node.bpffs()).link("eth0");
    node.command("bpftool").args(["link", "detach", "pinned"]).arg(pin).text().map(drop)
}

/// With new flows only: while the program is detached, the stack of n1 resets connections of other nodes that
/// enter at n1.
#[test]
fn a_replaced_or_detached_program_is_attached_again() -> Result<()> {
    cluster().run(|lab| {
        lab.router()?.set_next_hops(WEB_V4, &["n1"])?;
        let node = &lab.node("n1")?;
        agents::start(&lab.nodes()?, &options("native"))?;
        let mut object = others_program()?;
        let mut theirs = None;
        outage(lab, node, "program replaced on the link", || {
            let link: FdLink = PinnedLink::from_pin(node.pins().link("eth0"))?.into();
            theirs = Some(others(&mut object)?.attach_to_link(XdpLink::try_from(link)?)?);
            Ok(())
        })?;
        outage(lab, node, "link detached", || detach_link(node))?;
        ensure!(
            node.agent_log().contains("restored the XDP program, which another process had replaced"),
            "the replacement must be logged"
        );
        Ok(())
    })
}

/// The peer of a veth needs a program to receive what a native program sends; in generic mode it
/// needs none.
#[test]
fn a_veth_uses_generic_mode_by_default() -> Result<()> {
    with_connections("auto", |lab, node| {
        ensure!(node.status()?["interfaces"][0]["mode"] == "generic", "{}", node.status()?["interfaces"]);
        outage(lab, node, "deleted and recreated", || node.recreate_uplink())?;
        Ok(())
    })
}

/// Without connections: the kernel allows one mode at a time, so for a moment there is no program, and a
/// packet of another node's flow that arrives then is reset.
#[test]
fn an_agent_with_another_mode_reattaches_the_program() -> Result<()> {
    cluster().run(|lab| {
        [WEB_V4, WEB_V6].iter().try_for_each(|vip| lab.router()?.set_next_hops(*vip, &["n1"]))?;
        agents::start(&lab.nodes()?, &options("auto"))?;
        let node = lab.node("n1")?;
        for mode in ["native", "generic"] {
            node.stop_agent(OPEN_WITHIN)?;
            outage(lab, &node, mode, || node.start_agent(&options(mode)))?;
            ensure!(node.status()?["interfaces"][0]["mode"] == mode, "{}", node.status()?["interfaces"]);
        }
        Ok(())
    })
}

#[test]
fn an_uplink_without_a_program_is_withdrawn_and_reported() -> Result<()> {
    cluster().run(|lab| {
        let frr_router = FrrRouter::start(lab, &['a'], Duration::from_millis(50))?;
        agents::start(&lab.nodes()?, &options("native"))?;
        let all = ["n1", "n2", "n3"];
        frr_router.wait_next_hops(&[WEB_V4, WEB_V6], &all, OPEN_WITHIN)?;
        let node = lab.node("n1")?;
        // The sessions with the router stay up: only the agent can know that packets bypass its program.
        let mut object = others_program()?;
        let occupied = occupy(&node, &mut object)?;
        let began = Instant::now();
        wait_problem(&node, "already has an XDP program", true, WITHDRAWN_WITHIN + BLUR)?;
        frr_router.wait_next_hops(&[WEB_V4, WEB_V6], &["n2", "n3"], WITHDRAWN_WITHIN + BLUR)?;
        println!("withdrawn after {:.3?}", began.elapsed());
        let status = node.status()?;
        ensure!(status["ready"] == false && readyz(&node)? == "503", "{}", status["ready"]);
        ensure!(metric(&node, "fairlead_uplink_attached{interface=\"eth0\"} 0")?, "no such metric");
        ensure!(node.fairlead(&["status"])?.contains("eth0 (off)"), "the table shows it");
        let target = SocketAddr::new(WEB_V4, ECHO_PORT);
        let load = TcpLoad::to(target).connections(CONNECTIONS).start(lab.client()?)?;
        load.wait_open(CONNECTIONS as u64, OPEN_WITHIN)?;
        others(&mut object)?.detach(occupied)?;
        node.wait_agent_ready(SERVED_WITHIN + BLUR)?;
        frr_router.wait_next_hops(&[WEB_V4, WEB_V6], &all, SERVED_WITHIN)?;
        ensure!(
            readyz(&node)? == "200" && node.status()?["interfaces"][0]["mode"] == "native",
            "served again"
        );
        // The uplink is deleted.
        node.delete_uplink()?;
        node.wait_status("is not ready", WITHDRAWN_WITHIN, |status| Ok(status["ready"] == false))?;
        wait_problem(&node, "uplink eth0 does not exist", true, BLUR)?;
        node.create_uplink("eth0")?;
        node.configure_uplink("eth0")?;
        node.wait_agent_ready(SERVED_WITHIN + BLUR)?;
        frr_router.wait_next_hops(&[WEB_V4, WEB_V6], &all, OPEN_WITHIN * 2)?;
        let report = load.finish()?;
        let (all, live) = (report.failed(), report.failed_elsewhere(lab, "n1"));
        println!("{report}; {all} broken, {live} of them on other nodes");
        ensure!(live == 0, "{report}: {:?}", report.causes());
        Ok(())
    })
}

/// Detaches the agent's link and attaches another program before the agent attaches its own again.
fn occupy(node: &LabNode<'_>, object: &mut Ebpf) -> Result<aya::programs::xdp::XdpLinkId> {
    let program = others(object)?;
    for _ in 0..20 {
        detach_link(node)?;
        if let Ok(link) = node.run(|| Ok(program.attach("eth0", XdpMode::Driver)?)) {
            return Ok(link);
        }
        std::thread::sleep(BLUR);
    }
    anyhow::bail!("the agent was always faster")
}

fn metric(node: &LabNode<'_>, line: &str) -> Result<bool> {
    let url = format!("http://{METRICS}/metrics");
    let text = node.command("curl").args(["--silent", "--fail", &url]).text()?;
    Ok(text.lines().any(|it| it == line))
}

/// A running agent detaches, and does not attach again by itself.
#[test]
fn a_detached_agent_stays_detached_until_it_is_restarted() -> Result<()> {
    cluster().run(|lab| {
        lab.router()?.set_next_hops(WEB_V4, &["n1"])?;
        let node = lab.node("n1")?;
        node.start_agent(&options("native"))?;
        node.fairlead(&["detach"])?;
        ensure!(!node.pins().link("eth0").exists(), "the link is still pinned");
        std::thread::sleep(Duration::from_millis(1200));
        let links = node.command("ip").args(["-details", "link", "show", "eth0"]).text()?;
        ensure!(!links.contains("prog/xdp") && !node.pins().link("eth0").exists(), "{links}");
        let status = node.status()?;
        ensure!(status["ready"] == false && problems(&status).contains("fairlead detach"), "{status}");
        node.stop_agent(OPEN_WITHIN)?;
        node.start_agent(&options("native"))
    })
}

/// Both uplinks receive every request; the sender must get one reply, always with the same MAC.
#[test]
fn two_uplinks_on_one_lan_send_one_arp_reply() -> Result<()> {
    let inside = IpAddr::from([10, 1, 0, 200]);
    let topology = Topology::empty().node('a', 1).pods("n1", "web", 1);
    topology.service("web", "web", &[WEB_V4, inside], ExternalPolicy::Local).run(|lab| {
        let node = lab.node("n1")?;
        node.add_port("eth1")?;
        lab.router()?.ip(&[format!("route replace {WEB_V4}/32 dev rack-a")])?;
        let arguments = ["--interface", "eth1"].map(str::to_owned).into();
        node.start_agent(&LabAgentOptions { arguments, ..LabAgentOptions::default() })?;
        let status = node.status()?;
        let uplinks = agents::list(&status, "interfaces")?;
        ensure!(uplinks.len() == 2 && uplinks.iter().all(|it| it["mode"] == "native"), "{uplinks:?}");
        // Of a port without an address it is only known that the VIP is not on-link there.
        answered_once(lab, &node, inside)?;
        ip(&node, &["addr add 10.1.0.111/24 dev eth1"])?;
        std::thread::sleep(BLUR);
        answered_once(lab, &node, inside)?;
        answered_once(lab, &node, WEB_V4)?;
        // One of two uplinks may disappear: the other carries packets, and the missing one is reported.
        ip(&node, &["link del eth1"])?;
        wait_problem(&node, "uplink eth1 does not exist", true, WITHDRAWN_WITHIN)?;
        ensure!(node.status()?["ready"] == true, "one uplink is enough");
        answered_once(lab, &node, inside)
    })
}

/// Checks that three requests get three replies, all with the MAC of eth0.
fn answered_once(lab: &Lab, node: &LabNode<'_>, vip: IpAddr) -> Result<()> {
    let (router, vip) = (lab.router()?, vip.to_string());
    let link = node.command("ip").args(["-brief", "link", "show", "eth0"]).text()?;
    let mac = link.split_whitespace().nth(2).context("eth0 has no MAC")?.to_owned();
    let before = counted(node, "arp_answered")?;
    for _ in 0..3 {
        router.command("ip").args(["neigh", "flush", "to", &vip, "dev", "rack-a"]).text()?;
        router.command("ping").args(["-q", "-c", "1", "-W", "2", &vip]).text().context("ping")?;
        let known = router.command("ip").args(["neigh", "show", &vip]).text()?;
        ensure!(known.contains(mac.trim()), "{known} instead of {mac}");
    }
    let answers = counted(node, "arp_answered")? - before;
    println!("{vip}: {answers} answers to 3 requests, with {}", mac.trim());
    // An announcement that comes while the router asks spares it the request.
    ensure!((1..=3).contains(&answers), "{vip}: {answers} answers to 3 requests");
    Ok(())
}

fn counted(node: &LabNode<'_>, outcome: &str) -> Result<u64> {
    let status = node.status()?;
    let found = agents::list(&status, "outcomes")?.iter().find(|it| it["name"] == outcome);
    found.and_then(|it| it["packets"].as_u64()).context("no such outcome")
}
