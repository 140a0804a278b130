//! Reports of the flows of a load.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::lab::Lab;

/// Why a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureCause {
    /// It was refused.
    Refused,
    /// It was reset after it was open.
    Reset,
    /// The server closed it, which it never does by itself.
    Closed,
    /// No answer came within the load's patience.
    Timeout,
    /// A wrong byte came back.
    Mismatch,
    /// Any other error of the stack.
    Other,
}

/// A failure and its time.
#[derive(Clone, Debug)]
pub struct ConnectionFailure {
    /// The cause.
    pub cause: FailureCause,
    /// The time since the load's start.
    pub at: Duration,
    /// The stack's error.
    pub detail: String,
}

impl fmt::Display for ConnectionFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} at {:.3} s: {}", self.cause, self.at.as_secs_f64(), self.detail)
    }
}

/// One TCP connection.
#[derive(Clone, Debug, Default)]
pub struct TcpConnectionReport {
    /// The pod that served it, known from its greeting.
    pub pod: Option<String>,
    /// The client's address as the pod sees it.
    pub seen: Option<SocketAddr>,
    /// Bytes that were echoed correctly.
    pub bytes: u64,
    /// When the greeting came, since the load's start.
    pub opened: Duration,
    /// Its failure, if any.
    pub failure: Option<ConnectionFailure>,
}

/// The results of all connections of a load.
#[derive(Clone, Debug, Default)]
pub struct TcpReport {
    /// All connections, in the order in which they were opened.
    pub connections: Vec<TcpConnectionReport>,
    /// How long the load ran.
    pub elapsed: Duration,
}

/// The share of a pod or node in a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficShare {
    /// Connections or flows.
    pub flows: u64,
    /// Bytes that were echoed correctly.
    pub bytes: u64,
}

impl TcpReport {
    /// Iterates over the failures.
    pub fn failures(&self) -> impl Iterator<Item = &ConnectionFailure> {
        self.connections.iter().filter_map(|connection| connection.failure.as_ref())
    }

    /// Returns how many connections failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.failures().count()
    }

    /// Returns how many connections failed that another node served.
    #[must_use]
    pub fn failed_elsewhere(&self, lab: &Lab, node: &str) -> usize {
        let is_here = |pod: &Option<String>| {
            pod.as_deref().and_then(|pod| lab.node_of_pod(pod)).as_deref() == Some(node)
        };
        self.connections.iter().filter(|it| it.failure.is_some() && !is_here(&it.pod)).count()
    }

    /// Returns how many connections failed, by cause.
    #[must_use]
    pub fn causes(&self) -> BTreeMap<FailureCause, usize> {
        let mut causes = BTreeMap::new();
        for failure in self.failures() {
            *causes.entry(failure.cause).or_default() += 1;
        }
        causes
    }

    /// Bytes that were echoed correctly.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.connections.iter().map(|connection| connection.bytes).sum()
    }

    /// Returns the share of each pod.
    #[must_use]
    pub fn by_pod(&self) -> BTreeMap<String, TrafficShare> {
        shares(self.connections.iter().map(|it| (it.pod.clone(), it.bytes)))
    }

    /// Returns the share of each node: the node of the serving pod.
    #[must_use]
    pub fn by_node(&self, lab: &Lab) -> BTreeMap<String, TrafficShare> {
        let node = |pod: &Option<String>| pod.as_deref().and_then(|pod| lab.node_of_pod(pod));
        shares(self.connections.iter().map(|it| (node(&it.pod), it.bytes)))
    }

    /// Returns the client addresses that pods saw, with their numbers of connections.
    #[must_use]
    pub fn sources(&self) -> BTreeMap<IpAddr, u64> {
        let mut sources = BTreeMap::new();
        for seen in self.connections.iter().filter_map(|connection| connection.seen) {
            *sources.entry(seen.ip()).or_default() += 1;
        }
        sources
    }
}

/// Formats the report as one line: how many connections, how many failed and why.
impl fmt::Display for TcpReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, failed, bytes) = (self.connections.len(), self.failed(), self.bytes());
        write!(formatter, "{all} connections, {failed} failed {:?}, {bytes} bytes", self.causes())?;
        match self.failures().next() {
            Some(first) => write!(formatter, "; first: {first}"),
            None => Ok(()),
        }
    }
}

/// One UDP flow.
#[derive(Clone, Debug, Default)]
pub struct UdpFlowReport {
    /// Number of answers by pod. More than one pod: the flow was moved.
    pub pods: BTreeMap<String, u64>,
    /// The client's address as the last pod saw it.
    pub seen: Option<SocketAddr>,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams answered correctly.
    pub answered: u64,
    /// Answers with a wrong byte or number, or duplicates.
    pub wrong: u64,
    /// The longest time from one answer to the next.
    pub longest_silence: Duration,
    /// Bytes that were echoed correctly.
    pub bytes: u64,
}

impl UdpFlowReport {
    /// Datagrams without an answer.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.answered)
    }
}

/// The results of all flows of a load.
#[derive(Clone, Debug, Default)]
pub struct UdpReport {
    /// Each flow.
    pub flows: Vec<UdpFlowReport>,
    /// How long the load ran.
    pub elapsed: Duration,
}

impl UdpReport {
    /// Datagrams sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.flows.iter().map(|flow| flow.sent).sum()
    }

    /// Datagrams without an answer.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.flows.iter().map(UdpFlowReport::lost).sum()
    }

    /// Wrong answers.
    #[must_use]
    pub fn wrong(&self) -> u64 {
        self.flows.iter().map(|flow| flow.wrong).sum()
    }

    /// Flows that more than one pod answered.
    #[must_use]
    pub fn moved(&self) -> usize {
        self.flows.iter().filter(|flow| flow.pods.len() > 1).count()
    }

    /// Returns the longest time that any flow got no answer.
    #[must_use]
    pub fn longest_silence(&self) -> Duration {
        self.flows.iter().map(|flow| flow.longest_silence).max().unwrap_or_default()
    }

    /// Returns the share of each pod; a moved flow counts for the pod that answered most of it.
    #[must_use]
    pub fn by_pod(&self) -> BTreeMap<String, TrafficShare> {
        shares(self.flows.iter().map(|flow| (main_pod(flow), flow.bytes)))
    }

    /// Returns the share of each node: the node of the serving pod.
    #[must_use]
    pub fn by_node(&self, lab: &Lab) -> BTreeMap<String, TrafficShare> {
        let node = |flow| main_pod(flow).and_then(|pod| lab.node_of_pod(&pod));
        shares(self.flows.iter().map(|flow| (node(flow), flow.bytes)))
    }
}

/// Formats the report as one line: how many datagrams, how many lost.
impl fmt::Display for UdpReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (flows, sent, lost, wrong) = (self.flows.len(), self.sent(), self.lost(), self.wrong());
        let (moved, silence) = (self.moved(), self.longest_silence());
        write!(formatter, "{flows} flows, {sent} datagrams, {lost} lost, {wrong} wrong, ")?;
        write!(formatter, "{moved} flows moved, longest silence {silence:.3?}")
    }
}

fn main_pod(flow: &UdpFlowReport) -> Option<String> {
    flow.pods.iter().max_by_key(|(_, answers)| **answers).map(|(pod, _)| pod.clone())
}

/// Sums up by name; flows without a server are left out.
fn shares(flows: impl Iterator<Item = (Option<String>, u64)>) -> BTreeMap<String, TrafficShare> {
    let mut shares: BTreeMap<String, TrafficShare> = BTreeMap::new();
    for (name, bytes) in flows {
        let Some(name) = name else { continue };
        let share = shares.entry(name).or_default();
        share.flows += 1;
        share.bytes += bytes;
    }
    shares
}
