//! A node whose health check fails drains, and takes new flows again when it passes.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, Topology, WEB_V4};
use fairlead_tests::routers::wait;

/// The port of kube-proxy's health.
const HEALTH: &str = "127.0.0.1:10256";
const STARTS_WITHIN: Duration = Duration::from_secs(20);
/// Twice what the checks take in the slower direction.
const CHANGES_WITHIN: Duration = Duration::from_secs(20);

/// Answers requests with 200 or 503 until the process ends.
fn serve(listener: TcpListener, is_healthy: Arc<AtomicBool>) {
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // The head of the request ends with an empty line.
            let head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|it| !it.is_empty());
            let is_check = head.take(1).any(|line| line.starts_with("GET /livez "));
            let is_healthy = is_check && is_healthy.load(Ordering::Relaxed);
            let status = if is_healthy { "200 OK" } else { "503 Service Unavailable" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
}

/// Waits until n1 drains, or not, for itself and for n2.
fn wait_draining(lab: &Lab, draining: bool) -> Result<()> {
    let (own, other) = (lab.node("n1")?, lab.node("n2")?);
    wait(CHANGES_WITHIN, || {
        let problem = format!("this node drains: health check http://{HEALTH}/livez: ");
        let status = own.status()?;
        let is_named = status["problems"].to_string().contains(&problem);
        ensure!(status["draining"] == draining && is_named == draining, "{status}");
        let seen = other.status()?;
        let nodes = seen["liveness"].as_array().cloned().unwrap_or_default();
        let expected = if draining { "draining" } else { "alive" };
        ensure!(nodes.iter().any(|node| node["state"] == expected), "{seen}");
        Ok(())
    })
}

#[test]
fn a_node_drains_while_its_health_check_fails() -> Result<()> {
    let nodes =
        Topology::empty().node('a', 1).node('a', 2).pods("n1", "web", 1).pods("n2", "web", 1).router('a', 1);
    nodes.service("web", "web", &[WEB_V4], ExternalPolicy::Cluster).run(|lab| {
        let is_healthy = Arc::new(AtomicBool::new(true));
        let listener = lab.host("n1")?.run(|| Ok(TcpListener::bind(HEALTH)?))?;
        serve(listener, Arc::clone(&is_healthy));
        let arguments = vec!["--health-check".to_owned(), format!("http://{HEALTH}/livez")];
        lab.node("n1")?.start_agent(&LabAgentOptions { arguments, ..LabAgentOptions::default() })?;
        lab.node("n2")?.start_agent(&LabAgentOptions::default())?;
        lab.nodes()?.iter().try_for_each(|node| node.wait_agent_ready(STARTS_WITHIN))?;
        wait_draining(lab, false)?;
        is_healthy.store(false, Ordering::Relaxed);
        wait_draining(lab, true)?;
        is_healthy.store(true, Ordering::Relaxed);
        wait_draining(lab, false)
    })
}
