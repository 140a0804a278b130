//! The liveness thread: sends probes to the other nodes on time and advances the probe clock.
//!
//! It is a thread of its own so that no other work of the agent delays it. The XDP program receives and
//! records the answers; this thread reports the nodes that do not accept new flows to the control loop. While
//! the thread is stalled, so is the clock, and no node is declared dead.

mod measure;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use lb_bfd::clock::ProbeClock;
use lb_bfd::initiator::{Initiator, ProbeTarget};
use lb_common::ring::NodeIndex;
use lb_common::tag::TagKey;
use lb_common::wire::bfd;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::sync::watch;

pub use self::measure::LivenessMeasurements;
use self::measure::Measure;
use crate::bfd::monotonic;
use crate::mapped_tables::{AnswerTimes, LivenessCells};
use lb_runtime::watchdog::Heart;

/// The probe timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeProfile {
    /// The interval between two probes of a node.
    pub interval: Duration,
    /// The number of intervals without an answer after which a node is dead.
    pub multiplier: u8,
}

/// A node to probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbedNode {
    /// Its address.
    pub address: IpAddr,
    /// This node's address towards it.
    pub source: IpAddr,
    /// The S-BFD discriminators.
    pub target: ProbeTarget,
}

/// All nodes to probe.
pub type ProbedNodes = BTreeMap<NodeIndex, ProbedNode>;

/// The nodes to probe, and the key of the probes' tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// The nodes.
    pub targets: ProbedNodes,
    /// The key of the probes' tags.
    pub key: TagKey,
}

/// The addresses of the nodes that do not accept new flows: they are dead or draining.
pub type NotAccepting = BTreeSet<IpAddr>;

/// The maps that the thread shares with the program.
#[derive(Debug)]
pub struct ProbeMaps {
    /// The liveness cells.
    pub cells: LivenessCells,
    /// When nodes answered.
    pub answered: AnswerTimes,
}

/// The handle of the liveness thread, which ends when it is dropped.
#[derive(Debug)]
pub struct Prober {
    probing: Sender<ProbeConfig>,
    silent: watch::Receiver<NotAccepting>,
}

/// The maximum sleep, and so the maximum delay until the thread applies a change of targets.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);

impl Prober {
    /// Starts the thread, which probes no nodes yet. `key` is the key of the probes' tags.
    ///
    /// # Errors
    /// When the thread cannot be spawned.
    pub fn start(
        profile: ProbeProfile,
        maps: ProbeMaps,
        key: TagKey,
        measurements: LivenessMeasurements,
        heart: Heart,
    ) -> io::Result<Self> {
        let (probing, changes) = channel();
        let (found, silent) = watch::channel(NotAccepting::new());
        let mut thread = ProbeThread::new(profile, maps, key, measurements, found);
        thread::Builder::new().name("liveness".into()).spawn(move || thread.run(&changes, &heart))?;
        Ok(Self { probing, silent })
    }

    /// Returns a receiver of the nodes that do not accept new flows.
    pub fn not_accepting(&self) -> watch::Receiver<NotAccepting> {
        self.silent.clone()
    }

    /// Probes exactly these nodes from now on.
    pub fn set(&self, probing: ProbeConfig) {
        if self.probing.send(probing).is_err() {
            tracing::error!(
                "the liveness thread has ended: dead nodes are no longer detected; restart the agent"
            );
        }
    }
}

struct ProbeThread {
    start: Instant,
    cells: LivenessCells,
    answered: AnswerTimes,
    measure: Measure,
    clock: ProbeClock,
    /// The number of ticks without an answer after which a node is dead.
    limit: u32,
    found: watch::Sender<NotAccepting>,
    initiator: Initiator<NodeIndex>,
    targets: ProbedNodes,
    /// The node that last had each index, including nodes that are currently not probed.
    addresses: BTreeMap<NodeIndex, IpAddr>,
    sockets: BTreeMap<IpAddr, UdpSocket>,
}

impl ProbeThread {
    fn new(
        profile: ProbeProfile,
        maps: ProbeMaps,
        key: TagKey,
        measurements: LivenessMeasurements,
        found: watch::Sender<NotAccepting>,
    ) -> Self {
        let ProbeMaps { cells, answered } = maps;
        // The clock continues from the value that a previous agent has left.
        let clock = ProbeClock::new(profile.interval, u64::from(cells.clock()), Duration::ZERO);
        Self {
            start: Instant::now(),
            cells,
            answered,
            measure: Measure::new(measurements),
            clock,
            limit: ProbeClock::limit(profile.multiplier.into()),
            found,
            initiator: Initiator::new(profile.interval, profile.multiplier, key),
            targets: ProbedNodes::new(),
            addresses: BTreeMap::new(),
            sockets: BTreeMap::new(),
        }
    }

    fn run(&mut self, changes: &Receiver<ProbeConfig>, heart: &Heart) {
        loop {
            heart.beat();
            match changes.try_recv() {
                Ok(ProbeConfig { targets, key }) => {
                    self.initiator.set_key(key);
                    self.change(targets);
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return,
            }
            let now = self.start.elapsed();
            // The clock stands still until a node has been probed: before that, no node could have answered.
            if !self.addresses.is_empty() && self.clock.handle_time(now) {
                self.cells.set_clock(self.clock.value() as u32);
                self.report();
                self.measure();
            }
            let sequence = self.clock.value() as u32;
            while let Some(probe) = self.initiator.poll_probe(now, sequence) {
                self.measure.handle_sent(probe.key, sequence, monotonic());
                self.send(probe.key, &probe.packet);
            }
            thread::sleep(self.until_next());
        }
    }

    fn until_next(&self) -> Duration {
        let next =
            self.initiator.next_deadline().map_or(Duration::MAX, |due| due.min(self.clock.next_deadline()));
        next.saturating_sub(self.start.elapsed()).min(LONGEST_SLEEP)
    }

    /// Reports the nodes that do not accept new flows, if they have changed. Forwarding does not depend on
    /// it.
    fn report(&self) {
        let is_silent = |(node, probed): (&NodeIndex, &ProbedNode)| {
            let cell = self.cells.of(*node);
            let is_dead = cell.silence(self.cells.clock()) >= self.limit;
            (is_dead || cell.is_draining()).then_some(probed.address)
        };
        let silent: NotAccepting = self.targets.iter().filter_map(is_silent).collect();
        self.found.send_if_modified(|before| {
            let differs = *before != silent;
            *before = silent;
            differs
        });
    }

    /// Measures what has happened since the last tick.
    fn measure(&mut self) {
        let (clock, now) = (self.cells.clock(), monotonic());
        for (node, probed) in &self.targets {
            let cell = self.cells.of(*node);
            self.measure.handle_cell(*node, cell, || (self.answered.of(*node), self.cells.of(*node)));
            let is_dead = cell.silence(clock) >= self.limit;
            self.measure.handle_state(*node, probed.address, is_dead, self.answered.of(*node), now);
        }
    }

    /// Applies a change of targets. Cells remain valid, except that of an index which belonged to another
    /// node. A new node is dead by its unused cell until it answers: its pods may be ready before its program
    /// can identify the owner of a flow. To a new agent all nodes are alive, since its clock equals their
    /// cells: they know flows that it will have to look up.
    fn change(&mut self, targets: ProbedNodes) {
        for (node, probed) in &targets {
            let before = self.addresses.insert(*node, probed.address);
            if before.is_some_and(|before| before != probed.address) {
                self.cells.forget(*node);
            }
            self.cells.introduce(*node);
        }
        let desired = targets.iter().map(|(node, probed)| (*node, probed.target)).collect();
        self.initiator.set_targets(&desired, self.start.elapsed());
        self.measure.set_targets(&self.targets, &targets);
        self.sockets.retain(|source, _| targets.values().any(|probed| probed.source == *source));
        self.targets = targets;
    }

    /// Sends a probe. A failure counts as a missing answer, so it is only logged.
    fn send(&mut self, node: NodeIndex, packet: &[u8; bfd::TAGGED_LENGTH]) {
        let Some(probed) = self.targets.get(&node) else { return };
        let sent = socket(&mut self.sockets, probed.source).and_then(|socket| {
            socket.send_to(packet, SocketAddr::new(probed.address, u16::from_be_bytes(bfd::SBFD_PORT)))
        });
        if let Err(error) = sent {
            tracing::debug!(address = %probed.address, %error, "cannot send a probe");
        }
    }
}

fn socket(sockets: &mut BTreeMap<IpAddr, UdpSocket>, source: IpAddr) -> io::Result<&UdpSocket> {
    use std::collections::btree_map::Entry;
    match sockets.entry(source) {
        Entry::Occupied(entry) => Ok(entry.into_mut()),
        Entry::Vacant(entry) => {
            let socket = UdpSocket::bind(SocketAddr::new(source, 0))?;
            // RFC 7881, section 4: TTL 255.
            match source {
                IpAddr::V4(_) => socket.set_ttl(255)?,
                IpAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6Ttl, &255)?,
            }
            socket.set_nonblocking(true)?;
            Ok(entry.insert(socket))
        }
    }
}
