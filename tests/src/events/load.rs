//! The client load during an event, and its report.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::lab::topology::{DATAGRAM_PORT, ECHO_PORT};
use crate::lab::{Lab, WEB_V4, WEB_V6};
use crate::traffic::report::TcpConnectionReport;
use crate::traffic::{FailureCause, RunningLoad, TcpLoad, TcpReport, UdpLoad, UdpReport};

/// TCP connections over IPv4 and over IPv6.
const CONNECTIONS: [usize; 2] = [1200, 800];
const DATAGRAM_FLOWS: usize = 40;
/// How long each connection rests between exchanges.
const REST: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(5);
const OPEN_WITHIN: Duration = Duration::from_secs(30);

/// Two thousand connections and some UDP flows, all of them active.
#[derive(Debug)]
pub struct EventLoad {
    tcp: Vec<RunningLoad<TcpReport>>,
    udp: RunningLoad<UdpReport>,
}

/// The result of an event's load.
#[derive(Debug)]
pub struct EventLoadReport {
    /// The connections of each family, and the start of their times.
    pub tcp: Vec<(Instant, TcpReport)>,
    /// The UDP flows.
    pub udp: UdpReport,
}

impl EventLoad {
    /// Opens all connections to the Service `web`.
    ///
    /// # Errors
    /// When not all of them open.
    pub fn start(lab: &Lab) -> Result<Self> {
        let load = Self::begin(lab)?;
        for (running, connections) in load.tcp.iter().zip(CONNECTIONS) {
            running.wait_open(connections as u64, OPEN_WITHIN)?;
        }
        load.udp.wait_open(DATAGRAM_FLOWS as u64, OPEN_WITHIN)?;
        Ok(load)
    }

    fn begin(lab: &Lab) -> Result<Self> {
        let client = lab.client()?;
        let mut tcp = Vec::new();
        for (vip, connections) in [WEB_V4, WEB_V6].into_iter().zip(CONNECTIONS) {
            let load = TcpLoad::to(SocketAddr::new(vip, ECHO_PORT)).connections(connections);
            tcp.push(load.rest(REST).patience(PATIENCE).start(client)?);
        }
        let udp = UdpLoad::to(SocketAddr::new(WEB_V4, DATAGRAM_PORT)).flows(DATAGRAM_FLOWS);
        let udp = udp.interval(Duration::from_millis(100)).start(client)?;
        Ok(Self { tcp, udp })
    }

    /// Returns how many connections have opened.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.tcp.iter().map(RunningLoad::open).sum()
    }

    /// Returns how many connections have broken so far.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.tcp.iter().map(RunningLoad::failed).sum()
    }

    /// Returns how many bytes have been echoed correctly.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.tcp.iter().map(RunningLoad::bytes).sum()
    }

    /// Closes the remaining connections cleanly.
    ///
    /// # Errors
    /// When a load could not run.
    pub fn finish(self) -> Result<EventLoadReport> {
        let finish = |running: RunningLoad<TcpReport>| Ok((running.started(), running.finish()?));
        let tcp = self.tcp.into_iter().map(finish).collect::<Result<Vec<_>>>()?;
        Ok(EventLoadReport { tcp, udp: self.udp.finish()? })
    }
}

impl EventLoadReport {
    /// Iterates over all connections.
    pub fn connections(&self) -> impl Iterator<Item = &TcpConnectionReport> {
        self.tcp.iter().flat_map(|(_, report)| &report.connections)
    }

    /// Returns the number of connections.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.connections().count()
    }

    /// Returns how many connections broke.
    #[must_use]
    pub fn broken(&self) -> usize {
        self.connections().filter(|it| it.failure.is_some()).count()
    }

    /// Returns how many connections broke, by cause.
    #[must_use]
    pub fn causes(&self) -> BTreeMap<FailureCause, usize> {
        let mut causes = BTreeMap::new();
        for failure in self.connections().filter_map(|it| it.failure.as_ref()) {
            *causes.entry(failure.cause).or_default() += 1;
        }
        causes
    }

    /// Returns how many connections a node served, and how many of those broke.
    #[must_use]
    pub fn of_node(&self, lab: &Lab, node: &str) -> (usize, usize) {
        let served = |it: &&TcpConnectionReport| {
            it.pod.as_deref().and_then(|pod| lab.node_of_pod(pod)).is_some_and(|on| on == node)
        };
        let all = self.connections().filter(served);
        all.fold((0, 0), |(all, broken), it| (all + 1, broken + usize::from(it.failure.is_some())))
    }

    /// Returns when connections broke, in order, relative to `event`.
    #[must_use]
    pub fn delays(&self, event: Instant) -> Vec<Duration> {
        let of = |(started, report): &(Instant, TcpReport)| {
            let times: Vec<Instant> = report.failures().map(|failure| *started + failure.at).collect();
            times
        };
        let mut delays: Vec<Duration> =
            self.tcp.iter().flat_map(of).map(|at| at.saturating_duration_since(event)).collect();
        delays.sort_unstable();
        delays
    }
}

/// Formats the report as one line.
impl fmt::Display for EventLoadReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} connections, {} broken {:?}", self.flows(), self.broken(), self.causes())?;
        for it in self.connections().filter(|it| it.failure.is_some()).take(3) {
            let TcpConnectionReport { pod, opened, bytes, .. } = it;
            let (pod, failure) = (pod.as_deref().unwrap_or("no pod"), it.failure.as_ref());
            write!(formatter, "; one served by {pod}, opened at {opened:.3?}, after {bytes} bytes: ")?;
            failure.map_or(Ok(()), |failure| write!(formatter, "{failure}"))?;
        }
        write!(formatter, "; UDP: {}", self.udp)
    }
}
