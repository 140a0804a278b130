//! Liveness: probes out at their time, and the probe clock forward.
//!
//! A thread of its own, so that nothing else that the agent does makes it late. What comes back never gets
//! here: the XDP program notes it, and this thread tells the planner who is silent. While this thread stands still, so does the clock, and nobody dies of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use lb_bfd::clock::ProbeClock;
use lb_bfd::initiator::{Initiator, ProbeTarget};
use lb_common::maps::LIVENESS_ADMIN_DOWN;
use lb_common::ring::NodeIndex;
use lb_common::tag::TagKey;
use lb_common::wire::bfd;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::sync::watch;

use crate::mapped_tables::LivenessCells;
use lb_runtime::watchdog::Heart;

/// How nodes are probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeProfile {
    /// Time between two probes of a node.
    pub interval: Duration,
    /// Intervals without an answer after which it is dead.
    pub multiplier: u8,
}

/// A node to be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbedNode {
    /// Its address.
    pub address: IpAddr,
    /// This node's address towards it.
    pub source: IpAddr,
    /// Discriminators.
    pub target: ProbeTarget,
}

/// Whom to probe, all of them.
pub type ProbedNodes = BTreeMap<NodeIndex, ProbedNode>;

/// Whom to probe, and with which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// Whom.
    pub targets: ProbedNodes,
    /// Makes the probes' tags.
    pub key: TagKey,
}

/// The addresses of the nodes that take no new flows now: they do not answer, or answer that they drain.
pub type NotAccepting = BTreeSet<IpAddr>;

/// The thread's handle: dropped, it ends.
#[derive(Debug)]
pub struct Prober {
    probing: Sender<ProbeConfig>,
    silent: watch::Receiver<NotAccepting>,
}

/// No sleep is longer: a change of targets is not waited for otherwise.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);

impl Prober {
    /// Starts the thread, which probes nobody yet. Tags are made with `key`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(profile: ProbeProfile, cells: LivenessCells, key: TagKey, heart: Heart) -> io::Result<Self> {
        let (probing, changes) = channel();
        let (found, silent) = watch::channel(NotAccepting::new());
        let mut thread = ProbeThread::new(profile, cells, key, found);
        thread::Builder::new().name("liveness".into()).spawn(move || thread.run(&changes, &heart))?;
        Ok(Self { probing, silent })
    }

    /// Who takes no new flows now.
    pub fn not_accepting(&self) -> watch::Receiver<NotAccepting> {
        self.silent.clone()
    }

    /// Probes these from now on, and nobody else.
    pub fn set(&self, probing: ProbeConfig) {
        if self.probing.send(probing).is_err() {
            tracing::error!("the liveness thread has ended: no node will be found dead any more");
        }
    }
}

struct ProbeThread {
    start: Instant,
    cells: LivenessCells,
    clock: ProbeClock,
    /// Ticks without an answer after which a node is dead.
    limit: u32,
    found: watch::Sender<NotAccepting>,
    initiator: Initiator<NodeIndex>,
    targets: ProbedNodes,
    /// Who last had a number, also of those that are no targets for now.
    addresses: BTreeMap<NodeIndex, IpAddr>,
    sockets: BTreeMap<IpAddr, UdpSocket>,
}

impl ProbeThread {
    fn new(
        profile: ProbeProfile,
        cells: LivenessCells,
        key: TagKey,
        found: watch::Sender<NotAccepting>,
    ) -> Self {
        // The clock goes on from where an agent before this one has left it.
        let clock = ProbeClock::new(profile.interval, u64::from(cells.clock()), Duration::ZERO);
        Self {
            start: Instant::now(),
            cells,
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
            // While nobody has been probed, there is no time in which anybody could have answered.
            if !self.addresses.is_empty() && self.clock.handle_time(now) {
                self.cells.set_clock(self.clock.value() as u32);
                self.look();
            }
            while let Some(probe) = self.initiator.poll_probe(now, self.clock.value() as u32) {
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

    /// Tells who is silent, where that is somebody else than before. Nothing that carries packets waits for it.
    fn look(&self) {
        let is_silent = |(node, probed): (&NodeIndex, &ProbedNode)| {
            let cell = self.cells.of(*node);
            let is_dead = cell.silence(self.cells.clock()) >= self.limit;
            (is_dead || cell.state == LIVENESS_ADMIN_DOWN).then_some(probed.address)
        };
        let silent: NotAccepting = self.targets.iter().filter_map(is_silent).collect();
        self.found.send_if_modified(|before| {
            let differs = *before != silent;
            *before = silent;
            differs
        });
    }

    /// What the cells say holds, but for a number that was another node's. A new node is dead by its unused
    /// cell until it has answered: its pods may be ready before there is a program to tell whose a flow is.
    /// To an agent that is new itself all nodes are alive: its clock still stands where their cells do, and
    /// they know flows that it is going to be asked about.
    fn change(&mut self, targets: ProbedNodes) {
        for (node, probed) in &targets {
            let before = self.addresses.insert(*node, probed.address);
            if before.is_some_and(|before| before != probed.address) {
                self.cells.forget(*node);
            }
        }
        let wanted = targets.iter().map(|(node, probed)| (*node, probed.target)).collect();
        self.initiator.set_targets(&wanted, self.start.elapsed());
        self.sockets.retain(|source, _| targets.values().any(|probed| probed.source == *source));
        self.targets = targets;
    }

    /// A probe that cannot be sent is a probe that is not answered, which is all that need be said of it.
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
            // RFC 7881 section 4: TTL 255.
            match source {
                IpAddr::V4(_) => socket.set_ttl(255)?,
                IpAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6Ttl, &255)?,
            }
            socket.set_nonblocking(true)?;
            Ok(entry.insert(socket))
        }
    }
}
