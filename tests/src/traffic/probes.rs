//! One datagram after the other, each from a port of its own and so a flow of its own: when which node began
//! and ended to answer is seen to about the time between two of them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::payload::Greeting;
use super::running::{Progress, RunningLoad, told_to_stop};
use super::udp::HEADER;
use crate::lab::LabHost;

/// A stream of probes to one address.
#[derive(Clone, Copy, Debug)]
pub struct Probes {
    /// Where they go.
    pub target: SocketAddr,
    /// Time from one to the next; the runtime's timers are good for a millisecond.
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

/// What became of all probes.
#[derive(Clone, Debug)]
pub struct ProbeReport {
    /// In the order in which they were sent.
    pub probes: Vec<DatagramProbe>,
    /// What `sent` is counted from.
    pub started: Instant,
}

impl Probes {
    /// A probe to `target` every millisecond.
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
        // What was missed is missed: probes in a burst tell no more than one.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tasks = Vec::new();
        loop {
            tokio::select! {
                () = told_to_stop(&mut stop) => break,
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
            socket.send(&[0; HEADER]).await?;
            socket.recv(&mut answer).await
        };
        // An ICMP error in the place of an answer is no answer.
        let length = timeout(self.patience, exchange).await.ok().and_then(Result::ok);
        let greeting = length
            .and_then(|length| Greeting::from_line(&String::from_utf8_lossy(answer.get(HEADER..length)?)));
        Progress::add(if greeting.is_some() { &progress.open } else { &progress.failed }, 1);
        Ok(DatagramProbe { sent, pod: greeting.map(|it| it.pod) })
    }
}

/// A time in which not every probe was answered.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// From the last probe that was answered before it to the first one after it: no shorter than the truth.
    pub at_most: Duration,
    /// How far apart those and the probes next to them are: what the figure may be too long by.
    pub blur: Duration,
    /// Probes without an answer.
    pub lost: usize,
}

impl ProbeReport {
    /// The outage that began after `since`; `None` if every probe was answered.
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

    /// The pods that answered probes sent within these times.
    #[must_use]
    pub fn pods_between(&self, from: Instant, to: Instant) -> BTreeSet<&str> {
        let within = |probe: &&DatagramProbe| (from..to).contains(&(self.started + probe.sent));
        self.probes.iter().filter(within).filter_map(|probe| probe.pod.as_deref()).collect()
    }

    fn is_lost(&self, at: usize) -> bool {
        self.probes[at].pod.is_none()
    }
}
