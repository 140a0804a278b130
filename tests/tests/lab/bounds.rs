//! Tests of an agent's bounds on resources that foreign connections take, and of stuck loops.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fairlead_tests::frr_router::FrrRouter;
use fairlead_tests::lab::addresses::IpVersion;
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4};
use fairlead_tests::routers::wait;
use fairlead_tests::stopped_thread::StoppedThread;
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(100);
const METRICS: u16 = 9125;
const BGP: u16 = 179;
/// Number of connections to a port that never complete a request.
const HALF_OPEN: usize = 10_000;
/// The memory they may take together, in KiB.
const COST: u64 = 32 << 10;
/// The agent's limit on open files, which foreign connections could exhaust.
const FILES: usize = 512;
/// How soon health and status must be answered meanwhile.
const SOON: Duration = Duration::from_secs(3);

fn run(test: impl FnOnce(&Lab, &LabNode<'_>, &FrrRouter) -> Result<()>) -> Result<()> {
    let topology = Topology::empty().node('a', 1).pods("n1", "web", 1).service(
        "web",
        "web",
        &[WEB_V4],
        ExternalPolicy::Local,
    );
    topology.run(|lab| {
        let node = lab.node("n1")?;
        let router = FrrRouter::start(lab, &['a'], INTERVAL)?;
        let arguments = vec!["--metrics-address".to_owned(), format!("0.0.0.0:{METRICS}")];
        let wrapper = vec!["prlimit".to_owned(), format!("--nofile={FILES}:{FILES}"), "--".to_owned()];
        node.start_agent(&LabAgentOptions { arguments, wrapper, ..LabAgentOptions::default() })?;
        router.wait_next_hops(&[WEB_V4], &["n1"], WITHIN)?;
        router.wait_bfd_up(&["n1"], WITHIN)?;
        test(lab, &node, &router)
    })
}

/// Returns the response of the metrics port, with the status code on its last line.
fn health(node: &LabNode<'_>, path: &str) -> Result<String> {
    let url = format!("http://127.0.0.1:{METRICS}{path}");
    node.command("curl").args(["-sS", "-m", "5", "-w", "\n%{http_code}", &url]).text()
}

fn is_healthy(node: &LabNode<'_>) -> Result<()> {
    let answer = health(node, "/healthz")?;
    ensure!(answer.ends_with("\n200"), "{answer}");
    Ok(())
}

/// Returns the agent's resident memory in KiB, and its open descriptors.
fn usage(node: &LabNode<'_>) -> Result<(u64, usize)> {
    let process = format!("/proc/{}", node.agent_id()?);
    let status = fs::read_to_string(format!("{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let resident = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok((resident, fs::read_dir(format!("{process}/fd"))?.count()))
}

/// Returns counters that change if a session is lost.
fn sessions(node: &LabNode<'_>) -> Result<[Value; 2]> {
    let ask = |what: &str| -> Result<Value> {
        Ok(serde_json::from_str(&node.fairlead(&["status", what, "-o", "json"])?)?)
    };
    let (bgp, bfd) = (ask("bgp")?, ask("bfd")?);
    let flaps: Vec<_> =
        list(&bgp, "sessions")?.iter().map(|it| [&it["state"], &it["counters"]["flaps"]]).collect();
    let downs: Vec<_> = list(&bfd, "sessions")?.iter().map(|it| [&it["state"], &it["down_events"]]).collect();
    ensure!(!flaps.is_empty() && !downs.is_empty(), "{bgp} {bfd}");
    Ok([serde_json::to_value(flaps)?, serde_json::to_value(downs)?])
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key].as_array().with_context(|| format!("no {key}: {value}"))
}

/// Opens a connection that begins a request and does not complete it; some send nothing. A refused connection
/// is fine, too.
fn half_open(address: SocketAddr, number: usize) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
    if number.is_multiple_of(2) {
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ");
    }
    Some(stream)
}

/// Checks that the agent works as before.
fn works_as_before(lab: &Lab, node: &LabNode<'_>, before: &[Value; 2]) -> Result<()> {
    let begun = Instant::now();
    is_healthy(node)?;
    ensure!(node.status()?["ready"] == true);
    ensure!(begun.elapsed() < SOON, "answered after {:?}", begun.elapsed());
    let now = sessions(node)?;
    ensure!(now == *before, "{now:?} was {before:?}");
    let url = format!("http://{}/", SocketAddr::new(WEB_V4, 80));
    lab.client()?.command("curl").args(["-sS", "-f", "-m", "5", "-o", "/dev/null", &url]).text().map(drop)
}

#[test]
fn ten_thousand_half_open_connections_per_port_cost_bounded_memory() -> Result<()> {
    run(|lab, node, _| {
        let before = sessions(node)?;
        let (resident, open) = usage(node)?;
        println!("before: {resident} KiB resident, {open} descriptors");
        let address: IpAddr = node.spec().addresses().of(IpVersion::V4);
        for port in [METRICS, BGP] {
            let target = SocketAddr::new(address, port);
            let held =
                lab.client()?.run(|| Ok((0..HALF_OPEN).map(|n| half_open(target, n)).collect::<Vec<_>>()))?;
            ensure!(held.iter().flatten().count() > HALF_OPEN * 9 / 10, "too few connections to port {port}");
            bounded(node, &format!("port {port}"), resident, open)?;
            works_as_before(lab, node, &before)?;
            reads_a_new_object(lab, node, &format!("192.0.2.{}", port % 200))?;
        }
        let socket = lab.outside(&node.socket());
        let held: Vec<_> = (0..HALF_OPEN).map(|_| UnixStream::connect(&socket)).collect();
        ensure!(held.iter().flatten().count() > HALF_OPEN * 9 / 10, "too few connections to the socket");
        bounded(node, "the status socket", resident, open)?;
        works_as_before(lab, node, &before)
    })
}

fn bounded(node: &LabNode<'_>, to: &str, before: u64, open_before: usize) -> Result<()> {
    let (resident, open) = usage(node)?;
    println!("{HALF_OPEN} to {to}: {resident} KiB resident, {open} descriptors");
    ensure!(resident < before + COST, "{resident} KiB, {before} before");
    ensure!(open < open_before + FILES / 4, "{open} descriptors, {open_before} before");
    Ok(())
}

/// Checks that the agent can still open files: it reads a new object.
fn reads_a_new_object(lab: &Lab, node: &LabNode<'_>, address: &str) -> Result<()> {
    let service = format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: x, namespace: default}}, spec: {{type: LoadBalancer, ports: \
         [{{port: 7000}}]}}, status: {{loadBalancer: {{ingress: [{{ip: {address}}}]}}}}}}"
    );
    fs::write(lab.outside(&lab.manifests_directory().join("x.yaml")), service)?;
    wait(WITHIN, || {
        let status = node.status()?.to_string();
        ensure!(status.contains(address), "{address} is not known: {status}");
        Ok(())
    })
}

#[test]
fn health_names_a_stuck_loop_until_it_recovers() -> Result<()> {
    run(|_, node, _| {
        is_healthy(node)?;
        for name in ["liveness", "bfd"] {
            let stopped = StoppedThread::of_agent(node, name)?;
            let words = format!("loop \"{name}\" has been stuck for ");
            wait(WITHIN, || {
                let answer = health(node, "/healthz")?;
                ensure!(answer.contains(&words) && answer.ends_with("\n503"), "{answer}");
                Ok(())
            })?;
            ensure!(node.status()?["ready"] == true, "status is answered");
            drop(stopped);
            wait(WITHIN, || is_healthy(node))?;
        }
        Ok(())
    })
}
