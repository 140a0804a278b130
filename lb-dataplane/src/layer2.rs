//! The announcer thread: the half of layer-2 announcement that speaks unasked. It decides by the liveness
//! cells, as the program does, which addresses this node announces, and sends gratuitous ARP, unsolicited
//! Neighbor Advertisements and duplicate checks.
//!
//! ```text
//! control loop ── table of addresses ──► thread around lb_l2::engine ──► packet sockets
//!      ▲                                      │
//!      └── standing, checked addresses ───────┘
//! ```
//!
//! It is a thread of its own so that no other work of the agent delays a takeover. While it is stalled, the
//! program goes on answering by the standing that is in its configuration.

mod absence;
mod describe;
mod socket;
mod view;

pub use view::{AddressState, Layer2View, RankState, StrangerState};

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use lb_common::maps::{Liveness, Standing};
use lb_common::ring::NodeIndex;
use lb_l2::claim::{Claim, read_claim};
use lb_l2::engine::{Engine, EngineSettings, OwnState};
use lb_l2::event::L2Event;
use lb_l2::table::L2Table;
use lb_runtime::watchdog::Heart;
use tokio::sync::watch;

use crate::bfd::AgentCells;
use crate::mapped_tables::LivenessCells;
use absence::AbsenceWatch;
use socket::{LinkSockets, SNAP};

/// The settings of the announcer.
#[derive(Clone, Copy, Debug)]
pub struct AnnouncerSettings {
    /// The settings of the engine.
    pub engine: EngineSettings,
    /// Ticks of the probe clock without an answer after which a node is dead; zero: never.
    pub liveness_limit: u32,
    /// The time of such a tick.
    pub tick: Duration,
    /// Time without a sign of life of the agent after which its node announces nothing; zero: never.
    pub agent_limit: Duration,
}

/// What the announcer goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncerConfig {
    /// The addresses, and who may announce them.
    pub table: Arc<L2Table>,
    /// What the view says of each address.
    pub details: Arc<BTreeMap<IpAddr, AddressDetails>>,
    /// Names of the nodes.
    pub nodes: Arc<BTreeMap<NodeIndex, String>>,
    /// Names of the uplinks, by interface index.
    pub links: BTreeMap<u32, String>,
    /// Whether the MAC addresses of all nodes are known: before, a node could be taken for a stranger.
    pub knows_all_nodes: bool,
    /// Whether this node drains.
    pub is_draining: bool,
    /// Whether this node can announce: it forwards packets, and is not cut off from all others.
    pub can_announce: bool,
}

impl AnnouncerConfig {
    /// Returns a configuration without addresses.
    pub fn empty() -> Self {
        Self {
            table: Arc::new(L2Table::empty()),
            details: Arc::default(),
            nodes: Arc::default(),
            links: BTreeMap::new(),
            knows_all_nodes: false,
            is_draining: false,
            can_announce: false,
        }
    }
}

/// What the view says of an address besides its state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressDetails {
    /// Its pool.
    pub pool: String,
    /// The Services on it.
    pub services: Vec<String>,
    /// Its number in `lb_l2_stats`.
    pub number: u32,
}

/// What the announcer has decided, for the control loop, which writes it to the maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnnouncerOutcome {
    /// What this node says of itself.
    pub standing: Standing,
    /// The addresses that this node may answer for.
    pub checked: BTreeSet<IpAddr>,
    /// Whether all other nodes are dead, as far as this node knows.
    pub is_alone: bool,
    /// Whether they were dead a moment ago: then this node may have been away, and holds none of them.
    pub was_alone: bool,
}

/// The handle of the announcer thread, which ends when it is dropped.
#[derive(Debug)]
pub struct AnnouncerHandle {
    config: Sender<AnnouncerConfig>,
    state: watch::Receiver<AnnouncerOutcome>,
    view: watch::Receiver<Arc<Layer2View>>,
}

impl AnnouncerHandle {
    /// Starts the thread, which announces nothing before the first [`Self::set`]. `adopted` is the standing
    /// that an earlier agent has left in the program; [`Standing::Absent`] without one.
    ///
    /// # Errors
    /// When the thread cannot be spawned.
    pub fn start(
        settings: AnnouncerSettings,
        cells: LivenessCells,
        agent: AgentCells,
        adopted: Standing,
        heart: Heart,
    ) -> io::Result<Self> {
        let (config, changes) = channel();
        let (state, published) = watch::channel(AnnouncerOutcome {
            standing: adopted,
            checked: BTreeSet::new(),
            ..AnnouncerOutcome::default()
        });
        let (view_sender, view) = watch::channel(Arc::default());
        let start = Instant::now();
        let mut thread = AnnouncerThread {
            engine: Engine::new(settings.engine, adopted, Duration::ZERO),
            absence: AbsenceWatch::new(agent, settings.agent_limit),
            settings,
            cells,
            config: AnnouncerConfig::empty(),
            sockets: BTreeMap::new(),
            failed: BTreeSet::new(),
            state,
            view: view_sender,
            view_due: Duration::ZERO,
            alone_until: Duration::ZERO,
            is_published: false,
            start,
        };
        thread::Builder::new().name("layer2".into()).spawn(move || thread.run(&changes, &heart))?;
        Ok(Self { config, state: published, view })
    }

    /// Returns a receiver of what is to be written to the maps.
    pub fn state(&self) -> watch::Receiver<AnnouncerOutcome> {
        self.state.clone()
    }

    /// Returns a receiver of the view.
    pub fn view(&self) -> watch::Receiver<Arc<Layer2View>> {
        self.view.clone()
    }

    /// Announces by this configuration from now on.
    pub fn set(&self, config: AnnouncerConfig) {
        if self.config.send(config).is_err() {
            tracing::error!(
                "the layer2 thread has ended: no address is announced unasked; restart the agent"
            );
        }
    }
}

/// Maximum sleep, and so the maximum delay until a change of the configuration applies.
const LONGEST_SLEEP: Duration = Duration::from_millis(10);
/// Minimum sleep: liveness has ticks of two milliseconds with the shortest probe interval.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);
/// Frames that are read from a link at a time.
const MAX_RECEIVED: usize = 64;
/// Interval of the view, for each thousand addresses, which it takes a millisecond or so to describe.
const VIEW_EVERY: Duration = Duration::from_millis(500);

/// How long a node that has been alone waits before it holds others, besides two detection times: by then,
/// all of them have been heard again.
const ALONE_FOR: Duration = Duration::from_millis(300);

struct AnnouncerThread {
    start: Instant,
    settings: AnnouncerSettings,
    cells: LivenessCells,
    absence: AbsenceWatch,
    engine: Engine,
    config: AnnouncerConfig,
    sockets: BTreeMap<u32, LinkSockets>,
    /// The links whose sockets could not be opened, so that each failure is logged once.
    failed: BTreeSet<u32>,
    state: watch::Sender<AnnouncerOutcome>,
    view: watch::Sender<Arc<Layer2View>>,
    view_due: Duration,
    /// Until when this node counts as having been alone.
    alone_until: Duration,
    /// Nothing has changed since the state was published.
    is_published: bool,
}

impl AnnouncerThread {
    fn run(&mut self, changes: &Receiver<AnnouncerConfig>, heart: &Heart) {
        loop {
            heart.beat();
            loop {
                match changes.try_recv() {
                    Ok(config) => self.configure(config),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            self.turn();
            thread::sleep(self.until_next());
        }
    }

    fn configure(&mut self, config: AnnouncerConfig) {
        if self.config.table != config.table {
            self.engine.set_table(Arc::clone(&config.table), self.start.elapsed());
        }
        self.config = config;
        let links = &self.config.table.links;
        self.sockets.retain(|index, _| links.contains_key(index));
        self.failed.retain(|index| links.contains_key(index));
        self.view_due = Duration::ZERO;
        self.is_published = false;
    }

    /// One pass: observe, decide, send, publish.
    fn turn(&mut self) {
        let now = self.start.elapsed();
        self.open_sockets();
        self.observe(now);
        self.receive(now);
        while let Some(outgoing) = self.engine.poll_frame(self.start.elapsed()) {
            self.send(outgoing.link, outgoing.frame.as_bytes());
        }
        let events = self.engine.take_events();
        if !events.is_empty() {
            self.view_due = self.view_due.min(now);
            self.is_published = false;
            events.iter().for_each(|event| self.log(event));
        }
        self.publish(now);
    }

    fn observe(&mut self, now: Duration) {
        let AnnouncerConfig { is_draining, can_announce, .. } = self.config;
        // It returns as after a restart.
        let can_announce = can_announce && !self.absence.was_away();
        let (cells, limit) = (&self.cells, self.settings.liveness_limit);
        let clock = cells.clock();
        let cell = |node: NodeIndex| {
            if limit == 0 {
                return Some(Liveness::default());
            }
            // A node that has not been heard of counts as alive for its flows, but nothing is known of what
            // it announces.
            Some(cells.of(node)).filter(|cell| !cell.is_new() && cell.silence(clock) < limit)
        };
        self.engine.handle_states(OwnState { is_draining, can_announce }, cell, now);
    }

    fn open_sockets(&mut self) {
        for index in self.config.table.links.keys() {
            if self.sockets.contains_key(index) {
                continue;
            }
            match LinkSockets::open(*index) {
                Ok(sockets) => {
                    self.failed.remove(index);
                    self.sockets.insert(*index, sockets);
                }
                Err(error) => {
                    if self.failed.insert(*index) {
                        let interface = self.link(*index);
                        tracing::warn!(interface, %error, "cannot open packet sockets, so nothing is announced unasked on this interface; retrying");
                    }
                }
            }
        }
    }

    fn receive(&mut self, now: Duration) {
        let mut claims: Vec<(u32, Claim)> = Vec::new();
        let mut buffer = [0; SNAP];
        for (index, sockets) in &self.sockets {
            for _ in 0..MAX_RECEIVED {
                let Some(frame) = sockets.receive(&mut buffer) else { break };
                claims.extend(read_claim(frame).map(|claim| (*index, claim)));
            }
        }
        if self.config.knows_all_nodes {
            claims.into_iter().for_each(|(link, claim)| self.engine.handle_claim(link, claim, now));
        }
    }

    /// Sends a frame. One that is lost is repeated by the engine's schedule.
    fn send(&self, link: u32, frame: &[u8]) {
        let Some(sockets) = self.sockets.get(&link) else { return };
        if let Err(error) = sockets.send(frame) {
            tracing::debug!(interface = self.link(link), %error, "cannot send an announcement");
        }
    }

    fn publish(&mut self, now: Duration) {
        let is_alone = self.is_alone();
        if is_alone {
            self.alone_until = now + self.settings.engine.detection * 2 + ALONE_FOR;
        }
        let was_alone = now < self.alone_until;
        let before = [self.state.borrow().is_alone, self.state.borrow().was_alone];
        if !self.is_published || before != [is_alone, was_alone] {
            let (standing, checked) = (self.engine.standing(), self.engine.checked().clone());
            let state = AnnouncerOutcome { standing, checked, is_alone, was_alone };
            self.state.send_if_modified(|before| {
                let differs = *before != state;
                *before = state;
                differs
            });
            self.is_published = true;
        }
        if now >= self.view_due {
            let thousands = 1 + self.config.table.addresses.len() as u32 / 1000;
            self.view_due = now + VIEW_EVERY * thousands;
            self.view.send_replace(Arc::new(self.describe(now)));
        }
    }

    fn is_alone(&self) -> bool {
        let probed = &self.config.table.probed;
        !probed.is_empty() && probed.iter().all(|node| self.is_dead(*node))
    }

    fn is_dead(&self, node: NodeIndex) -> bool {
        let limit = self.settings.liveness_limit;
        limit != 0 && self.cells.of(node).silence(self.cells.clock()) >= limit
    }

    fn until_next(&self) -> Duration {
        let now = self.start.elapsed();
        let next = self.engine.next_deadline().map_or(LONGEST_SLEEP, |due| due.saturating_sub(now));
        next.min(self.settings.tick).clamp(SHORTEST_SLEEP, LONGEST_SLEEP)
    }

    fn log(&self, event: &L2Event) {
        match event {
            L2Event::TookOver { address, from: Some(from) } => {
                tracing::info!(%address, from = self.node(*from), "took over an address");
            }
            L2Event::TookOver { address, from: None } => tracing::info!(%address, "announcing an address"),
            L2Event::GaveUp { address, to } => {
                let to = to.map_or("none", |to| self.node(to));
                tracing::info!(%address, to, "stopped announcing an address");
            }
            L2Event::Conflict { address, mac, link } => {
                let (mac, interface) = (describe::mac(*mac), self.link(*link));
                tracing::warn!(%address, mac, interface, "another host uses a new address, which is not announced: find the host by its MAC address, or remove the address from the pool");
            }
            L2Event::StrangerSeen { address, mac, link } => {
                let (mac, interface) = (describe::mac(*mac), self.link(*link));
                tracing::warn!(%address, mac, interface, "another host claims an address: find the host by its MAC address, or remove the address from the pool");
            }
            L2Event::Free { address } => tracing::debug!(%address, "no other host has the address"),
            L2Event::StandingChanged { from, to, why } => {
                let (from, to) = (describe::standing(*from), describe::standing(*to));
                tracing::info!(from, to, why = why.text(), "standing as an announcer changed");
            }
        }
    }

    fn node(&self, index: NodeIndex) -> &str {
        self.config.nodes.get(&index).map_or("none", String::as_str)
    }

    fn link(&self, index: u32) -> &str {
        self.config.links.get(&index).map_or("?", String::as_str)
    }
}
