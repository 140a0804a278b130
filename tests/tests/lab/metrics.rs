//! Tests of the agent's metrics: what they count of real traffic and of a dead node, and the scrape of ten
//! thousand Services.

use std::fs;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fairlead_tests::lab::topology::{DATAGRAM_PORT, ECHO_PORT};
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, Topology, WEB_V4, WEB_V6, agents};
use fairlead_tests::scrape::{METRICS, OPENMETRICS, Scrape, write_services};
use fairlead_tests::traffic::{Probes, TcpLoad};
use serde_json::Value;

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const CONNECTIONS: u64 = 200;
const WITHIN: Duration = Duration::from_secs(20);

fn options() -> LabAgentOptions {
    let arguments = ["--metrics-address", METRICS].map(str::to_owned).into();
    LabAgentOptions { arguments, ready_within: Duration::from_secs(60), ..LabAgentOptions::default() }
}

fn topology(nodes: u8) -> Topology {
    let mut topology = Topology::empty();
    for node in 1..=nodes {
        topology = topology.node('a', node).pods(&format!("n{node}"), "web", 1);
    }
    topology.service("web", "web", &[WEB_V4, WEB_V6], ExternalPolicy::Cluster)
}

/// Scrapes all nodes.
fn scrapes(lab: &Lab) -> Result<Vec<Scrape>> {
    NODES.iter().map(|name| Scrape::of(&lab.node(name)?, "*/*")).collect()
}

fn sum(scrapes: &[Scrape], name: &str, labels: &[&str]) -> f64 {
    scrapes.iter().map(|scrape| scrape.sum(name, labels)).sum()
}

#[test]
fn traffic_and_a_dead_node_are_counted() -> Result<()> {
    topology(3).run(|lab| {
        agents::start(&lab.nodes()?, &options())?;
        // n2 is no next hop: what it serves was forwarded.
        lab.router()?.set_next_hops(WEB_V4, &["n1", "n3"])?;
        let before = scrapes(lab)?;
        let load = TcpLoad::to(SocketAddr::new(WEB_V4, ECHO_PORT)).connections(CONNECTIONS as usize);
        let load = load.start(lab.client()?)?;
        load.wait_open(CONNECTIONS, WITHIN)?;
        let after = scrapes(lab)?;
        let report = load.finish()?;
        ensure!(report.failed() == 0, "{report}");
        for scrape in &after {
            promtool_parses(lab, &scrape.text)?;
        }
        let grown = |name: &str, labels: &[&str]| sum(&after, name, labels) - sum(&before, name, labels);
        let vip =
            [format!("ip=\"{WEB_V4}\""), format!("port=\"{ECHO_PORT}\""), "protocol=\"TCP\"".to_owned()];
        let vip = [vip[0].as_str(), &vip[1], &vip[2], "service=\"default/web\""];
        let new = grown("fairlead_vip_new_flows_total", &vip);
        ensure!(new == CONNECTIONS as f64, "{new} new flows of {CONNECTIONS} connections");
        let (packets, bytes) =
            (grown("fairlead_vip_packets_total", &vip), grown("fairlead_vip_bytes_total", &vip));
        ensure!(
            packets > 3.0 * CONNECTIONS as f64 && bytes > 40.0 * packets,
            "{packets} packets, {bytes} bytes"
        );
        let to_n2 = grown("fairlead_forwarded_packets_total", &["destination=\"n2\"", "mode=\"l2\""]);
        let forwarded = grown("fairlead_packets_total", &["verdict=\"forwarded_l2\"", "dropped=\"false\""]);
        ensure!(to_n2 > 0.0 && forwarded >= to_n2, "{to_n2} packets to n2, {forwarded} forwarded");
        ensure!(sum(&after, "fairlead_flow_table_entries", &[]) >= CONNECTIONS as f64);
        for scrape in &after {
            ensure!(scrape.sum("fairlead_rings", &[]) >= 1.0);
            let imbalance = scrape.sum("fairlead_ring_imbalance_ratio", &[]);
            ensure!((1.0..1.5).contains(&imbalance), "{imbalance}");
            ensure!(scrape.sum("fairlead_node_liveness", &["state=\"alive\""]) == 2.0, "{}", scrape.text);
            ensure!(scrape.sum("fairlead_map_entries", &["map=\"lb_vips4\""]) >= 2.0);
            ensure!(scrape.sum("fairlead_reconcile_seconds_count", &[]) >= 1.0);
            ensure!(scrape.sum("fairlead_map_write_seconds_count", &[]) >= 1.0);
            ensure!(scrape.sum("fairlead_ring_update_seconds_count", &[]) >= 1.0);
            // Of two nodes, over virtual links.
            let answers = scrape.sum("fairlead_liveness_round_trip_seconds_count", &[]);
            let mean = scrape.sum("fairlead_liveness_round_trip_seconds_sum", &[]) / answers;
            println!("round trips: {answers} with a mean of {:.0} µs", mean * 1e6);
            ensure!(
                answers >= 2.0 && mean > 0.0 && mean < 0.05,
                "{answers} round trips, {mean} s on average"
            );
        }
        // A machine that stands still for the detection time counts as dead for a moment.
        let failovers = after.iter().map(failovers_of_n2).sum();
        dies(lab, failovers)
    })
}

fn failovers_of_n2(scrape: &Scrape) -> f64 {
    scrape.sum("fairlead_failovers_total", &["destination=\"n2\""])
}

/// Cuts n2 off: both others count a failover more than before, and they take about the detection time.
fn dies(lab: &Lab, before: f64) -> Result<()> {
    lab.node("n2")?.cut_link()?;
    let begun = Instant::now();
    let mut after = 0.0;
    for name in ["n1", "n3"] {
        let node = lab.node(name)?;
        let scrape = loop {
            let scrape = Scrape::of(&node, "*/*")?;
            if scrape.sum("fairlead_node_liveness", &["destination=\"n2\"", "state=\"dead\""]) == 1.0 {
                break scrape;
            }
            ensure!(begun.elapsed() < WITHIN, "{name} does not see n2 dead");
            sleep(Duration::from_millis(50));
        };
        let all = scrape.sum("fairlead_failovers_total", &[]);
        let counted = scrape.sum("fairlead_failover_seconds_count", &[]);
        after += failovers_of_n2(&scrape);
        let seconds = scrape.sum("fairlead_failover_seconds_sum", &[]) / counted;
        println!("{name}: new flows went elsewhere {:.0} ms after the last answer of n2", seconds * 1e3);
        ensure!(counted >= 1.0 && all >= 1.0, "{name}: {all} failovers, {counted} with their time");
        // Three intervals of 50 ms after the send time of the last probe that was answered.
        ensure!((0.1..2.0).contains(&seconds), "{name}: {seconds} s");
    }
    ensure!(after >= before + 2.0, "{before} failovers of n2 before its death, {after} after it");
    lab.node("n2")?.restore_link()
}

/// Checks that promtool can parse a scrape. It has other findings, such as the names of MetalLB's counters.
fn promtool_parses(lab: &Lab, text: &str) -> Result<()> {
    let checked =
        lab.node("n1")?.command("promtool").args(["check", "metrics"]).feed(text.to_owned()).output()?;
    let printed = String::from_utf8_lossy(&checked.stderr).into_owned();
    match checked.status.code() {
        Some(0 | 3) => Ok(()),
        _ => bail!("promtool does not parse the metrics: {printed}"),
    }
}

const PROMETHEUS: &str = "
global: {scrape_interval: 1s}
scrape_configs: [{job_name: agent, static_configs: [{targets: ['127.0.0.1:9125']}]}]
";

/// A real Prometheus asks for OpenMetrics, and takes from it what the text format has.
#[test]
fn prometheus_reads_openmetrics() -> Result<()> {
    topology(1).run(|lab| {
        let node = lab.node("n1")?;
        node.start_agent(&options())?;
        fs::write(node.directory_outside().join("prometheus.yaml"), PROMETHEUS)?;
        let (inside, log) = (node.directory(), node.directory_outside().join("prometheus.log"));
        let program = node.command("prometheus").arg("--config.file").arg(inside.join("prometheus.yaml"));
        let program = program.arg("--storage.tsdb.path").arg(inside.join("prometheus"));
        let _prometheus = program.args(["--web.listen-address", "127.0.0.1:9090"]).spawn(&log)?;
        let query = |query: &str| -> Result<f64> {
            let url = format!("http://127.0.0.1:9090/api/v1/query?query={query}");
            let text = node.command("curl").args(["-sS", "-g", "-m", "5", &url]).text()?;
            let answer: Value = serde_json::from_str(&text)?;
            let value = answer["data"]["result"][0]["value"][1].as_str();
            Ok(value.with_context(|| format!("{query}: {answer}"))?.parse()?)
        };
        let begun = Instant::now();
        loop {
            let ours = Scrape::of(&node, "text/plain")?;
            let (read, written) = (query("scrape_samples_scraped"), ours.len() as f64);
            if matches!(read, Ok(read) if read == written) {
                println!("{written} samples");
                break;
            }
            ensure!(begun.elapsed() < WITHIN, "{read:?}, not {written}: {}", fs::read_to_string(&log)?);
            sleep(Duration::from_millis(250));
        }
        for metric in
            ["up", "fairlead_ready", "fairlead_reconcile_seconds_count", "metallb_k8s_client_updates_total"]
        {
            ensure!(query(metric)? >= 1.0, "{metric}");
        }
        Ok(())
    })
}

const SERVICES: u32 = 10_000;

/// Each VIP has a series of each of its metrics, in both formats, and scrapes cost no packet.
#[test]
fn ten_thousand_services_are_scraped_without_a_lost_packet() -> Result<()> {
    topology(1).run(|lab| {
        write_services(lab, SERVICES)?;
        let node = lab.node("n1")?;
        node.start_agent(&options())?;
        lab.router()?.set_next_hops(WEB_V4, &["n1"])?;
        let probes = Probes::to(SocketAddr::new(WEB_V4, DATAGRAM_PORT)).start(lab.client()?)?;
        let begun = Instant::now();
        let mut took = Vec::new();
        for accept in ["text/plain", OPENMETRICS].repeat(5) {
            let scrape = Scrape::of(&node, accept)?;
            for metric in [
                "fairlead_vip_packets_total",
                "fairlead_vip_bytes_total",
                "fairlead_vip_new_flows_total",
                "fairlead_vip_source_refused_packets_total",
            ] {
                let series = scrape.count(metric);
                // The Service of the lab has two addresses with three ports.
                ensure!(series == 2 * SERVICES as usize + 6, "{metric}: {series} series");
            }
            ensure!(scrape.text.ends_with("# EOF\n") == (accept == OPENMETRICS));
            took.push(scrape.took);
        }
        let report = probes.finish()?;
        took.sort_unstable();
        println!("{SERVICES} Services of two addresses: {:.0?} (median), {:.0?} (maximum)", took[5], took[9]);
        ensure!(report.outage(begun).is_none(), "lost: {:?}", report.outage(begun));
        Ok(())
    })
}
