//! Tests of `fairlead trace` with real traffic: what it shows, that it ends whatever happens to command and
//! agent, and that it disturbs nothing.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use fairlead_tests::lab::node::find_binary;
use fairlead_tests::lab::topology::{DATAGRAM_PORT, ECHO_PORT};
use fairlead_tests::lab::{Lab, LabAgentOptions, LabNode, Process, Topology, WEB_V4, agents};
use fairlead_tests::routers::wait;
use fairlead_tests::traffic::{TcpLoad, UdpLoad};
use lb_common::trace::BURST;
use lb_dataplane::object::{PROGRAM, TRACE_PROGRAM};
use nix::sys::signal::Signal;
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(10);
/// The lease of a trace, and as much time to notice that it is over.
const LEASE: Duration = Duration::from_secs(6);
/// A port that no Service declares.
const CLOSED_PORT: u16 = 81;

/// Runs a test in a lab whose packets all enter at n1.
fn with_agents(test: impl FnOnce(&Lab, &LabNode<'_>) -> Result<()>) -> Result<()> {
    Topology::standard().run(|lab| {
        lab.router()?.set_next_hops(WEB_V4, &["n1"])?;
        agents::start(&lab.nodes()?, &LabAgentOptions::default())?;
        test(lab, &lab.node("n1")?)
    })
}

/// Starts `fairlead trace` in the background, and waits until it traces.
fn start(node: &LabNode<'_>, log: &str, arguments: &[&str]) -> Result<Process> {
    let binary = find_binary()?;
    let command = node.command(&binary.to_string_lossy()).arg("trace").arg("--socket").arg(node.socket());
    let mut process = command.args(arguments).spawn(&node.directory_outside().join(log))?;
    let until = Instant::now() + WITHIN;
    while program(node)? != TRACE_PROGRAM {
        if let Some(end) = process.ended()? {
            bail!("the trace has ended: {end}: {}", read(node, log)?);
        }
        ensure!(Instant::now() < until, "no trace within {WITHIN:?}: {}", read(node, log)?);
        thread::sleep(Duration::from_millis(20));
    }
    Ok(process)
}

fn read(node: &LabNode<'_>, file: &str) -> Result<String> {
    Ok(fs::read_to_string(node.directory_outside().join(file))?)
}

/// Returns the packets that a trace has printed as JSON.
fn packets(node: &LabNode<'_>, log: &str) -> Result<Vec<Value>> {
    let text = read(node, log)?;
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// Returns the name of the XDP program on a node's uplink.
fn program(node: &LabNode<'_>) -> Result<String> {
    let shown = attached(node)?;
    Ok(shown["name"].as_str().context("a program without a name")?.to_owned())
}

/// What bpftool shows of the program on the uplink.
fn attached(node: &LabNode<'_>) -> Result<Value> {
    let links = node.command("bpftool").args(["-j", "net", "show"]).text()?;
    let links: Value = serde_json::from_str(&links)?;
    let id = links[0]["xdp"][0]["id"].as_u64().with_context(|| format!("no program: {links}"))?;
    let shown = node.command("bpftool").args(["-j", "prog", "show", "id", &id.to_string()]).text()?;
    Ok(serde_json::from_str(&shown)?)
}

/// Dumps the counters of the tracing program on the uplink. Other labs have maps of the same name.
fn trace_counts(node: &LabNode<'_>) -> Result<String> {
    let shown = attached(node)?;
    for id in shown["map_ids"].as_array().context("a program without maps")? {
        let id = id.to_string();
        let map = node.command("bpftool").args(["-j", "map", "show", "id", &id]).text()?;
        if serde_json::from_str::<Value>(&map)?["name"] == "lb_trace_count" {
            return node.command("bpftool").args(["-j", "map", "dump", "id", &id]).text();
        }
    }
    bail!("no map of counters: {shown}")
}

fn wait_own_program(node: &LabNode<'_>, within: Duration) -> Result<()> {
    wait(within, || {
        let program = program(node)?;
        ensure!(program == PROGRAM, "{program} is on the uplink");
        Ok(())
    })
}

fn get(lab: &Lab, port: u16) -> Result<()> {
    let url = format!("http://{}/", SocketAddr::new(WEB_V4, port));
    lab.client()?.command("curl").args(["-s", "-m", "2", "-o", "/dev/null", &url]).output().map(drop)
}

#[test]
fn a_trace_shows_the_outcome_of_each_packet_of_a_connection() -> Result<()> {
    with_agents(|lab, node| {
        let vip = format!("{WEB_V4}:80");
        let mut trace = start(node, "trace.log", &["--vip", &vip, "-o", "json", "--rate", "1000/s"])?;
        for _ in 0..20 {
            get(lab, 80)?;
            get(lab, CLOSED_PORT)?;
        }
        trace.signal(Signal::SIGINT)?;
        trace.wait(WITHIN)?;
        wait_own_program(node, Duration::from_secs(1))?;
        let packets = packets(node, "trace.log")?;
        ensure!(packets.len() >= 20 * 5, "{} packets of 20 requests", packets.len());
        let mut nodes = BTreeSet::new();
        for packet in &packets {
            ensure!(
                packet["destination"] == WEB_V4.to_string() && packet["destination_port"] == 80,
                "{packet}"
            );
            ensure!(packet["source"] == "192.0.2.11" && packet["protocol"] == "tcp", "{packet}");
            ensure!(packet["service"] == "default/web" && packet["dropped"] == false, "{packet}");
            ensure!(packet["slot"].is_u64() && packet["flow"].is_string(), "{packet}");
            let (verdict, to) = (packet["verdict"].as_str().context("no verdict")?, &packet["node"]);
            // Another node may ask this one for a packet in GUE.
            let is_own = verdict.starts_with("local") || ["decapsulated", "unowned"].contains(&verdict);
            ensure!(is_own == (to == "n1"), "{packet}");
            nodes.insert(to.as_str().with_context(|| format!("no node: {packet}"))?.to_owned());
            // IPv4, from the client.
            let bytes = packet["bytes"].as_str().context("no bytes")?;
            ensure!(bytes.get(24..30) == Some("080045"), "{packet}");
        }
        ensure!(nodes.len() > 2, "20 connections go to several nodes: {nodes:?}");
        ensure!(
            read(node, "trace.log")?.contains(&format!("{0} packets of {0} that matched", packets.len()))
        );

        let mut trace = start(node, "closed.log", &["--verdict", "port_unreachable_sent"])?;
        get(lab, 80)?;
        get(lab, CLOSED_PORT)?;
        thread::sleep(Duration::from_secs(1));
        trace.signal(Signal::SIGTERM)?;
        trace.wait(WITHIN)?;
        let text = read(node, "closed.log")?;
        ensure!(
            text.contains("port_unreachable_sent tcp 192.0.2.11:")
                && text.contains(&format!("> {WEB_V4}:{CLOSED_PORT}")),
            "{text}"
        );
        ensure!(text.lines().count() == 2, "{text}");
        Ok(())
    })
}

/// What tshark prints of each frame.
const FIELDS: [&str; 7] = [
    "ip.dst",
    "tcp.dstport",
    "frame.cap_len",
    "frame.len",
    "frame.time_epoch",
    "frame.interface_name",
    "frame.comment",
];

/// Reads a file by tshark: the fields of each frame.
fn read_file(path: &Path) -> Result<Vec<[String; FIELDS.len()]>> {
    let fields = FIELDS.iter().flat_map(|field| ["-e", field]);
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-T", "fields", "-E", "separator=|", "-r"]).arg(path).args(fields);
    let output = tshark.output().context("cannot run tshark: `cargo xtask setup` installs it")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let frame = |line: &str| {
        let fields: Vec<String> = line.splitn(FIELDS.len(), '|').map(str::to_owned).collect();
        <[String; _]>::try_from(fields).map_err(|fields| anyhow!("tshark printed {fields:?}"))
    };
    text.lines().map(frame).collect()
}

#[test]
fn a_file_is_what_tshark_takes_it_for() -> Result<()> {
    with_agents(|lab, node| {
        let (path, vip) = (node.directory().join("trace.pcapng"), WEB_V4.to_string());
        let file = path.to_string_lossy();
        let begin = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs_f64();
        // Verdicts on packets from outside, which are in no tunnel.
        let verdicts = ["--verdict", "forwarded_l2", "--verdict", "forwarded_gue", "--verdict", "local"];
        let rest = ["--vip", &vip, "-w", &file, "--count", "50", "--snap", "60"];
        let arguments = [&verdicts[..], &rest].concat();
        let mut trace = start(node, "trace.log", &arguments)?;
        let load = TcpLoad::to(SocketAddr::new(WEB_V4, ECHO_PORT)).connections(20).start(lab.client()?)?;
        ensure!(trace.wait(WITHIN)?.success(), "{}", read(node, "trace.log")?);
        load.finish()?;
        let frames = read_file(&node.directory_outside().join("trace.pcapng"))?;
        ensure!(frames.len() == 50, "{} frames", frames.len());
        for frame in &frames {
            let [to, port, captured, length, time, interface, comment] = frame;
            ensure!(*to == vip && *port == ECHO_PORT.to_string() && interface == "eth0", "{frame:?}");
            let (captured, length): (u32, u32) = (captured.parse()?, length.parse()?);
            ensure!(captured == length.min(60), "{frame:?}");
            ensure!((begin..begin + 60.0).contains(&time.parse()?), "{frame:?}");
            let verdict = ["forwarded_l2 n", "forwarded_gue n", "local n1"];
            ensure!(verdict.iter().any(|it| comment.starts_with(&format!("fairlead: {it}"))), "{frame:?}");
            ensure!(comment.contains("service default/web slot "), "{frame:?}");
        }
        let bounded = node.directory().join("bounded.pcapng");
        let file = bounded.to_string_lossy();
        let mut trace = start(
            node,
            "bounded.log",
            &["-w", &file, "--file-size", "1", "--rate", "10000/s", "--snap", "2048"],
        )?;
        let load = TcpLoad::to(SocketAddr::new(WEB_V4, ECHO_PORT)).connections(50).start(lab.client()?)?;
        ensure!(trace.wait(Duration::from_secs(60))?.success(), "{}", read(node, "bounded.log")?);
        load.finish()?;
        let size = fs::metadata(node.directory_outside().join("bounded.pcapng"))?.len();
        ensure!((1 << 19..=1 << 20).contains(&size), "{size} bytes");
        ensure!(read(node, "bounded.log")?.contains("the file has reached --file-size"));
        Ok(())
    })
}

#[test]
fn only_one_trace_runs_and_it_ends_with_its_command_its_time_or_its_agent() -> Result<()> {
    with_agents(|lab, node| {
        let mut trace = start(node, "killed.log", &[])?;
        let refused = node.fairlead(&["trace", "--count", "1"]).err().map(|error| format!("{error:#}"));
        ensure!(
            refused.as_ref().is_some_and(|it| it.contains("another trace runs on this node")),
            "{refused:?}"
        );
        trace.signal(Signal::SIGKILL)?;
        trace.wait(WITHIN)?;
        wait_own_program(node, LEASE)?;
        ensure!(node.agent_log().contains("its time or its lease is over"), "{}", node.agent_log());

        let begin = Instant::now();
        let mut trace = start(node, "timed.log", &["--for", "3s"])?;
        ensure!(trace.wait(WITHIN)?.success() && begin.elapsed() >= Duration::from_secs(3));
        wait_own_program(node, Duration::from_secs(1))?;

        // The program stays, records nothing, and forwards; the next agent replaces it.
        let load = TcpLoad::to(SocketAddr::new(WEB_V4, ECHO_PORT)).connections(50).start(lab.client()?)?;
        load.wait_open(50, WITHIN)?;
        let mut trace = start(node, "left.log", &[])?;
        node.kill_agent()?;
        ensure!(!trace.wait(WITHIN)?.success(), "{}", read(node, "left.log")?);
        ensure!(program(node)? == TRACE_PROGRAM, "{}", program(node)?);
        thread::sleep(LEASE);
        let before = trace_counts(node)?;
        thread::sleep(Duration::from_secs(1));
        ensure!(trace_counts(node)? == before, "the lease is over, but packets still match");
        node.start_agent(&LabAgentOptions::default())?;
        wait_own_program(node, Duration::from_secs(1))?;
        let report = load.finish()?;
        ensure!(report.failed() == 0, "{report}");
        Ok(())
    })
}

#[test]
fn traces_lose_no_packet_and_keep_their_rate() -> Result<()> {
    const TRACES: u32 = 5;
    const RATE: u64 = 50;
    with_agents(|lab, node| {
        let tcp = TcpLoad::to(SocketAddr::new(WEB_V4, ECHO_PORT)).connections(100).start(lab.client()?)?;
        let udp = UdpLoad::to(SocketAddr::new(WEB_V4, DATAGRAM_PORT))
            .flows(20)
            .interval(Duration::from_millis(10))
            .start(lab.client()?)?;
        tcp.wait_open(100, WITHIN)?;
        let rate = format!("{RATE}/s");
        for number in 0..TRACES {
            let log = format!("trace-{number}.log");
            let begin = Instant::now();
            let mut trace = start(node, &log, &["-o", "json", "--rate", &rate])?;
            thread::sleep(Duration::from_secs(2));
            trace.signal(Signal::SIGINT)?;
            trace.wait(WITHIN)?;
            let shown = packets(node, &log)?.len() as u64;
            let time = begin.elapsed() + Duration::from_nanos(BURST);
            let bound = RATE * time.as_millis() as u64 / 1000 + 2;
            ensure!((RATE..=bound).contains(&shown), "{shown} packets, at most {bound} due");
        }
        let (tcp, udp) = (tcp.finish()?, udp.finish()?);
        println!("{tcp}\n{udp}");
        ensure!(tcp.failed() == 0, "{tcp}");
        ensure!(udp.lost() == 0 && udp.wrong() == 0, "{udp}");
        ensure!(!node.agent_log().contains("another process had replaced"), "{}", node.agent_log());
        Ok(())
    })
}
