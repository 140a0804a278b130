//! Tests with many Services: how soon four routers have all routes, how soon one more, and the cost of an
//! idle agent.

use std::fmt::Write;
use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::addresses::IpVersion;
use fairlead_tests::lab::{Lab, LabAgentOptions, Topology};
use fairlead_tests::routers::fake::{FakeBehavior, FakeRouter};
use fairlead_tests::routers::{Frr, RouterConfig, RouterDaemon, RouterPeer, wait};
use serde_json::Value;

const ROUTERS_AS: u32 = 4_200_000_000;
const AGENTS_AS: u32 = 4_200_000_001;
const WITHIN: Duration = Duration::from_secs(60);
const ROUTERS: [&str; 4] = ["router", "r1", "r2", "r3"];

#[test]
fn a_thousand_services_are_advertised_to_four_routers() -> Result<()> {
    (1..=3).fold(Topology::empty().node('a', 1), |topology, number| topology.router('a', number)).run(|lab| {
        let routers = start(lab, &ROUTERS)?;
        services(lab, "many", 0..1000)?;
        let took = launch(lab, &routers, 1000)?;
        println!("1,000 Services: known to four routers {took:.0?} after the first session was up");
        Ok(())
    })
}

#[test]
fn one_of_ten_thousand_services_is_advertised_at_once_with_one_update() -> Result<()> {
    Topology::empty().node('a', 1).router('a', 1).run(|lab| {
        let host = lab.host("r1")?;
        let address = lab.topology().find_router("r1").context("no r1")?.addresses().v4;
        let witness = FakeRouter::start(host, ROUTERS_AS, Ipv4Addr::new(192, 0, 2, 2), FakeBehavior::RecordsUpdates)?;
        put(lab, "witness", &object("witness", address))?;
        let routers = start(lab, &["router"])?;
        services(lab, "many", 0..10_000)?;
        let took = launch(lab, &routers, 10_000)?;
        wait_quiet(&witness)?;
        println!("10,000 Services: known to FRR {took:.0?} after the session was up");
        let mut times = Vec::new();
        for more in 0..10 {
            let before = witness.updates().len();
            let begun = Instant::now();
            services(lab, "more", 10_000..10_001 + more)?;
            wait(WITHIN, || knows(&routers[0], 10_001 + more as usize))?;
            let come = || witness.updates().get(before).copied().context("no UPDATE yet");
            times.push(wait(WITHIN, come)? - begun);
            let updates = witness.updates().len();
            ensure!(updates == before + 1, "{} UPDATEs for one route", updates - before);
        }
        times.sort_unstable();
        let (least, median, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
        println!("one more: its UPDATE came {least:.1?}, {median:.1?}, {most:.1?} after its file (min, median, max)");
        let idle = processor_time(lab, Duration::from_secs(5))?;
        println!("idle: {:.1} % of one processor", idle * 100.0);
        Ok(())
    })
}

/// Waits until the witness has all routes, too: no more UPDATEs come.
fn wait_quiet(witness: &FakeRouter) -> Result<()> {
    wait(WITHIN, || {
        let before = witness.updates().len();
        std::thread::sleep(Duration::from_secs(1));
        ensure!(before > 0 && witness.updates().len() == before, "the initial routes are still being sent");
        Ok(())
    })
}

fn start(lab: &Lab, names: &[&str]) -> Result<Vec<Frr>> {
    let node = lab.node("n1")?.spec().addresses().of(IpVersion::V4);
    let mut text = String::new();
    let mut routers = Vec::new();
    for name in names {
        let gateway = lab.node("n1")?.spec().segment().gateway();
        let own = lab.topology().find_router(name).map_or(gateway, |router| router.addresses()).v4;
        let peer = RouterPeer::at(node, AGENTS_AS).source(own);
        routers.push(Frr::start(lab.host(name)?, &RouterConfig::new(ROUTERS_AS, own).peer(peer))?);
        text += &object(name, own);
    }
    text += "---\n{apiVersion: metallb.io/v1beta1, kind: BGPAdvertisement, metadata: {name: all}}\n";
    text += "---\n{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: many}, \
             spec: {addresses: [10.128.0.0/16]}}\n";
    put(lab, "bgp", &text)?;
    Ok(routers)
}

fn object(name: &str, address: Ipv4Addr) -> String {
    let spec =
        format!("{{myASN: {AGENTS_AS}, peerASN: {ROUTERS_AS}, peerAddress: {address}, connectTime: 1s}}");
    format!(
        "---\n{{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {{name: {name}}}, spec: {spec}}}\n"
    )
}

/// Writes Services with an address and an endpoint each, in a file of their own.
fn services(lab: &Lab, file: &str, numbers: std::ops::Range<u32>) -> Result<()> {
    let mut text = String::new();
    for number in numbers {
        let address = Ipv4Addr::from_bits(Ipv4Addr::new(10, 128, 0, 0).to_bits() + number);
        write!(
            text,
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: s{number}, namespace: d, annotations: \
             {{metallb.io/loadBalancerIPs: {address}}}}}, spec: {{type: LoadBalancer, ports: [{{port: 80}}]}}}}\n\
             ---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: s{number}, namespace: d, \
             labels: {{kubernetes.io/service-name: s{number}}}}}, addressType: IPv4, ports: [{{port: 80}}], \
             endpoints: [{{addresses: [10.244.1.2], nodeName: n1}}]}}\n"
        )?;
    }
    put(lab, file, &text)
}

/// Writes a file atomically, so that the agent never reads half of it.
fn put(lab: &Lab, file: &str, text: &str) -> Result<()> {
    let directory = lab.outside(&lab.manifests_directory());
    let draft = directory.join(format!(".{file}.draft"));
    fs::write(&draft, text)?;
    Ok(fs::rename(draft, directory.join(format!("{file}.yaml")))?)
}

/// Starts the agent; returns the time from the first session until all routers have all prefixes.
fn launch(lab: &Lab, routers: &[Frr], prefixes: usize) -> Result<Duration> {
    let node = lab.node("n1")?;
    let here = node.spec().addresses().of(IpVersion::V4);
    node.launch_agent(&LabAgentOptions::default())?;
    wait(WITHIN, || {
        let established = routers
            .iter()
            .any(|router| router.session(&here.to_string()).is_ok_and(|session| session.established));
        ensure!(established, "no session yet");
        Ok(())
    })?;
    let begun = Instant::now();
    for router in routers {
        wait(WITHIN, || knows(router, prefixes))?;
    }
    Ok(begun.elapsed())
}

/// Checks that a router has received this many prefixes.
fn knows(router: &Frr, prefixes: usize) -> Result<()> {
    let summary: Value = serde_json::from_str(&router.vtysh("show bgp ipv4 unicast summary json")?)?;
    let peers = summary["peers"].as_object().context("no peers")?;
    let known: u64 = peers.values().filter_map(|peer| peer["pfxRcd"].as_u64()).sum();
    ensure!(known == prefixes as u64, "{}: {known} of {prefixes} prefixes", router.host().name());
    Ok(())
}

/// Measures the agent's share of one processor for a while.
fn processor_time(lab: &Lab, during: Duration) -> Result<f64> {
    let node = lab.node("n1")?;
    let process = node.command("pgrep").args(["-n", "-f", "fairlead agent"]).text()?;
    let file = format!("/proc/{}/stat", process.trim());
    let ticks = || -> Result<u64> {
        let stat = node.command("cat").arg(&file).text()?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let field = |place: usize| {
            fields.get(place).context("a stat without times")?.parse::<u64>().map_err(Into::into)
        };
        let (user, system): (Result<u64>, Result<u64>) = (field(11), field(12));
        Ok(user? + system?)
    };
    let turns = || node.status()?["turns"].as_u64().context("no turns");
    let (before, turned) = (ticks()?, turns()?);
    std::thread::sleep(during);
    ensure!(turns()? == turned, "the agent plans although nothing changes");
    // A hundred ticks per second.
    Ok((ticks()? - before) as f64 / 100.0 / during.as_secs_f64())
}
