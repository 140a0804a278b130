//! Tests that BFD at 10 ms × 3 stays up while its agent has no processor.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fairlead_tests::lab::{LabNode, agents};
use fairlead_tests::restart::{Keeping, RestartCluster, SessionSettings, VICTIM, is_soak, topology};
use fairlead_tests::starve::{BusyLoops, CpuLimit};

const INTERVAL: Duration = Duration::from_millis(10);
/// Thousandths of a processor, as in a container with `limits: {cpu: 100m}`.
const SHARE: u64 = 100;
const REPORT_EVERY: Duration = Duration::from_secs(30);

/// Requests for the agent's status, one after the other: more work than its share allows, as when thousands
/// of Services change.
struct Requests {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Requests {
    fn start(socket: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // A request that fails was work, too.
                let _ = request(&socket);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn request(socket: &Path) -> Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"GET /status HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n")?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Returns how many packets the program has answered in the agent's place.
fn answered(node: &LabNode<'_>) -> Result<u64> {
    let status = node.status()?;
    let outcome = agents::list(&status, "outcomes")?.iter().find(|it| it["name"] == "bfd_answered");
    Ok(outcome.and_then(|it| it["packets"].as_u64()).unwrap_or_default())
}

/// The routers have real-time priority: they do not share their processors with a cluster.
#[test]
fn no_session_flaps_at_10_ms_while_the_agent_has_a_tenth_of_a_processor() -> Result<()> {
    let time = Duration::from_secs(if is_soak() { 600 } else { 15 });
    topology(1).run(|lab| {
        let cluster = RestartCluster::start(lab, SessionSettings::every(INTERVAL), &Keeping::On.options())?;
        let node = cluster.victim()?;
        // A process with real-time threads cannot join a control group without a real-time share.
        let agent = node.agent_id()?;
        let ordinary = Command::new("chrt").args(["-a", "-o", "-p", "0", &agent.to_string()]).status()?;
        ensure!(ordinary.success(), "chrt: {ordinary}");
        cluster.wait_settled()?;
        let (limit, before) = (CpuLimit::put(agent, SHARE)?, answered(&node)?);
        let (mark, begun) = (cluster.log.mark()?, Instant::now());
        let _requests = Requests::start(node.directory_outside().join("agent.sock"));
        let loops = BusyLoops::on_all_processors()?;
        while begun.elapsed() < time {
            sleep(REPORT_EVERY.min(time.saturating_sub(begun.elapsed())));
            let ([periods, throttled], events) = (limit.periods()?, cluster.log.since(&mark)?.len());
            println!(
                "{:>4} s: {events} changes of sessions; throttled in {throttled} of {periods} periods",
                begun.elapsed().as_secs()
            );
        }
        drop(loops);
        let [_, throttled] = limit.periods()?;
        drop(limit);
        ensure!(throttled > 0, "the agent was not limited");
        let events = cluster.log.of_host(lab.node(VICTIM)?.spec().addresses(), &mark)?;
        let lines: Vec<&str> = events.iter().map(|event| event.line.as_str()).take(20).collect();
        ensure!(events.is_empty(), "{} changes of sessions:\n{}", events.len(), lines.join("\n"));
        ensure!(answered(&node)? > before, "the agent was never late");
        Ok(())
    })
}
