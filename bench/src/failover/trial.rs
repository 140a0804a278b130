//! One event under the eyes of clients.

use std::net::{IpAddr, SocketAddr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fairlead_tests::contenders::{Attraction, ContenderSettings, RunningContender};
use fairlead_tests::lab::topology::{DATAGRAM_PORT, ECHO_PORT, HTTP_PORT};
use fairlead_tests::traffic::{
    ProbeStream, ProbeStreamReport, RequestStream, RequestStreamReport, RunningLoad, TcpLoad, TcpReport,
};

use super::event::FailoverEvent;
use super::service::{ServiceLog, ServiceSample};
use crate::connections::ConnectionCount;

/// Long-lived connections, spread over all nodes.
const CONNECTIONS: usize = 500;
/// How long a connection rests between exchanges: every one has several before and after an event.
const REST: Duration = Duration::from_millis(500);
/// How long an exchange may take where the network heals within a second or a few.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long all connections may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// The time before the event.
const BEFORE: Duration = Duration::from_secs(1);
/// The least time after the event.
const AFTER: Duration = Duration::from_secs(3);
/// The time without a lost probe after which the service counts as restored.
const RESTORED_FOR: Duration = Duration::from_secs(2);
/// How long the service may stay out beyond a hold time; a SWIM group may take 10 s.
const RESTORED_WITHIN: Duration = Duration::from_secs(20);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The time from one request to the next.
pub const REQUEST_EVERY: Duration = Duration::from_millis(5);

/// What clients saw.
#[derive(Clone, Debug)]
pub struct ClientView {
    /// The probes.
    pub probes: ServiceLog,
    /// The event, in the time of the probes.
    pub probes_event: Duration,
    /// The requests.
    pub requests: ServiceLog,
    /// The event, in the time of the requests.
    pub requests_event: Duration,
    /// The long-lived connections.
    pub connections: ConnectionCount,
}

struct Clients {
    probes: RunningLoad<ProbeStreamReport>,
    requests: RunningLoad<RequestStreamReport>,
    connections: RunningLoad<TcpReport>,
}

/// Lets an event happen to a set-up that serves, and returns what clients saw.
///
/// # Errors
/// When clients are not served before the event, or a program fails.
pub fn run(setup: &mut RunningContender, event: FailoverEvent, probe_every: Duration) -> Result<ClientView> {
    let node = setup.settings().entry();
    let machine = format!("n{}", setup.settings().nodes + 1);
    let hold = hold(setup);
    let clients = Clients::start(setup, probe_every, hold)?;
    sleep(BEFORE);
    let began = Instant::now();
    event.trigger(setup, &node, &machine).context(event.name())?;
    clients.wait_restored(began, hold);
    setup.check()?;
    let connections = clients.connections.finish()?;
    let probes = clients.probes.finish()?;
    let requests = clients.requests.finish()?;
    let samples = probes.probes.iter().map(|it| ServiceSample { at: it.sent, is_served: it.is_answered });
    let probe_log = ServiceLog::new(samples.collect());
    let samples = requests.requests.iter().map(|it| ServiceSample { at: it.sent, is_served: it.is_answered });
    let request_log = ServiceLog::new(samples.collect());
    let taken = event.takes_node().then_some(node.as_str());
    Ok(ClientView {
        probes: probe_log,
        probes_event: began.saturating_duration_since(probes.started),
        requests: request_log,
        requests_event: began.saturating_duration_since(requests.started),
        connections: ConnectionCount::of(&connections, |pod| setup.lab().node_of_pod(pod), taken),
    })
}

/// Returns the time after which BGP alone detects a dead peer; zero with BFD, and on a local network.
fn hold(setup: &RunningContender) -> Duration {
    let ContenderSettings { hold_time, .. } = setup.settings();
    match setup.contender().attraction() {
        Attraction::Bgp { has_bfd: false } => Duration::from_secs((*hold_time).into()),
        Attraction::Bgp { has_bfd: true } | Attraction::Layer2 => Duration::ZERO,
    }
}

impl Clients {
    fn start(setup: &RunningContender, probe_every: Duration, hold: Duration) -> Result<Self> {
        let client = setup.lab().client()?;
        let vip: IpAddr = setup.vip();
        let connections = TcpLoad::to(SocketAddr::new(vip, ECHO_PORT)).connections(CONNECTIONS);
        // A connection waits longer than the network takes to heal: what breaks has lost its node.
        let connections = connections.rest(REST).patience(PATIENCE + hold).start(client)?;
        connections.wait_open(CONNECTIONS as u64, OPEN_WITHIN)?;
        let probes = ProbeStream { every: probe_every, ..ProbeStream::to((vip, DATAGRAM_PORT).into()) };
        let requests = RequestStream { every: REQUEST_EVERY, ..RequestStream::to((vip, HTTP_PORT).into()) };
        let (probes, requests) = (probes.start(client)?, requests.start(client)?);
        sleep(BEFORE / 2);
        ensure!(probes.open() > 0 && requests.open() > 0, "clients are not served before the event");
        Ok(Self { probes, requests, connections })
    }

    /// Waits until no probe has been lost for a while.
    fn wait_restored(&self, began: Instant, hold: Duration) {
        let mut lost = (self.probes.failed(), Instant::now());
        loop {
            sleep(LOOK_EVERY);
            let now = Instant::now();
            if self.probes.failed() != lost.0 {
                lost = (self.probes.failed(), now);
            }
            let is_restored = now - lost.1 >= RESTORED_FOR && now - began >= AFTER;
            // A service that is out before then is reported as such.
            if is_restored || now - began > hold + RESTORED_WITHIN {
                return;
            }
        }
    }
}
