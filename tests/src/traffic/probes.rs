//! Datagrams at short intervals, each from a port of its own and so a flow of its own: they show when each
//! node started and stopped answering, to about one interval.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::running::{Progress, RunningLoad, stopped};
use crate::lab::LabHost;
use crate::payload::{DATAGRAM_HEADER, Greeting};

/// A stream of probes to one address.
#[derive(Clone, Copy, Debug)]
pub struct Probes {
    /// The target.
    pub target: SocketAddr,
    /// Interval; the runtime's timers have a resolution of a millisecond.
    pub every: Duration,
    /// How long an answer may take.
    pub patience: Duration,
}

/// One probe.
#[derive(Clone, Debug)]
pub struct DatagramProbe {
    /// When it was sent, since the load's start.
    pub sent: Duration,
    /// The pod that answered it.
    pub pod: Option<String>,
}

/// The results of all probes.
#[derive(Clone, Debug)]
pub struct ProbeReport {
    /// The probes in the order in which they were sent.
    pub probes: Vec<DatagramProbe>,
    /// The origin of `sent`.
    pub started: Instant,
}

impl Probes {
    /// Probes `target` every millisecond.
    #[must_use]
    pub fn to(target: SocketAddr) -> Self {
        Self { target, every: Duration::from_millis(1), patience: Duration::from_millis(300) }
    }

    /// Starts them on a host.
    ///
    /// # Errors
    /// When the host cannot be entered.
    pub fn start(self, host: &LabHost) -> Result<RunningLoad<ProbeReport>> {
        RunningLoad::start(host, move |progress, stop| self.run(progress, stop))
    }

    async fn run(self, progress: Arc<Progress>, mut stop: watch::Receiver<bool>) -> Result<ProbeReport> {
        let mut ticks = interval(self.every);
        // Do not catch up on missed probes: a burst shows no more than one.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tasks = Vec::new();
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                _ = ticks.tick() => tasks.push(tokio::spawn(self.probe(Arc::clone(&progress)))),
            }
        }
        let mut probes = Vec::with_capacity(tasks.len());
        for task in tasks {
            probes.push(task.await.context("a probe's task")??);
        }
        Ok(ProbeReport { probes, started: progress.start })
    }

    async fn probe(self, progress: Arc<Progress>) -> Result<DatagramProbe> {
        let any: SocketAddr = match self.target {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(self.target).await?;
        let sent = progress.start.elapsed();
        let mut answer = [0; 256];
        let exchange = async {
            socket.send(&[0; DATAGRAM_HEADER]).await?;
            socket.recv(&mut answer).await
        };
        // An ICMP error is not an answer.
        let length = timeout(self.patience, exchange).await.ok().and_then(Result::ok);
        let greeting = length.and_then(|length| {
            Greeting::from_line(&String::from_utf8_lossy(answer.get(DATAGRAM_HEADER..length)?))
        });
        Progress::add(if greeting.is_some() { &progress.open } else { &progress.failed }, 1);
        Ok(DatagramProbe { sent, pod: greeting.map(|it| it.pod) })
    }
}

/// A period in which not every probe was answered.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// From the last answered probe before it to the first one after it: an upper bound.
    pub at_most: Duration,
    /// The error of `at_most`: the distances of those two probes to the lost ones next to them.
    pub blur: Duration,
    /// Probes without an answer.
    pub lost: usize,
}

impl ProbeReport {
    /// Returns the outage that began after `since`; `None` if every probe was answered.
    #[must_use]
    pub fn outage(&self, since: Instant) -> Option<Outage> {
        let from = since.saturating_duration_since(self.started);
        let lost: Vec<usize> =
            (0..self.probes.len()).filter(|at| self.is_lost(*at) && self.probes[*at].sent >= from).collect();
        let (first, last) = (*lost.first()?, *lost.last()?);
        let before = self.probes[first.saturating_sub(1)].sent;
        let after = self.probes[(last + 1).min(self.probes.len() - 1)].sent;
        let blur = (self.probes[first].sent - before) + (after - self.probes[last].sent);
        Some(Outage { at_most: after - before, blur, lost: lost.len() })
    }

    /// Returns the pods that answered probes sent within these times.
    #[must_use]
    pub fn pods_between(&self, from: Instant, to: Instant) -> BTreeSet<&str> {
        let within = |probe: &&DatagramProbe| (from..to).contains(&(self.started + probe.sent));
        self.probes.iter().filter(within).filter_map(|probe| probe.pod.as_deref()).collect()
    }

    fn is_lost(&self, at: usize) -> bool {
        self.probes[at].pod.is_none()
    }
}
