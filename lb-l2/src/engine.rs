//! The announcer of one node.

mod announcers;
mod states;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lb_common::maps::{Liveness, Standing};
use lb_common::ring::NodeIndex;

use crate::check::{Checks, Duplicate};
use crate::claim::Claim;
use crate::engine::announcers::Announcers;
use crate::engine::states::NodeStates;
use crate::event::L2Event;
use crate::frame::{L2Frame, L2FrameKind};
use crate::pacing::Pacer;
use crate::schedule::Schedule;
use crate::standing::{StandingEngine, StandingInput};
use crate::strangers::Strangers;
use crate::table::L2Table;
use crate::view::{EngineCounters, EngineView};

/// Settings of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// Interval at which an address is announced again; `None`: never.
    pub keep_alive: Option<Duration>,
    /// Frames a second on a network, by all nodes that take addresses over at the same time.
    pub rate: u32,
    /// How long a node that has returned leaves its addresses to others; `None`: as long as they announce
    /// them.
    pub preempt_after: Option<Duration>,
    /// Whether duplicates are searched for before the first announcement of an address.
    pub check: bool,
    /// Time without a reply after which a node is dead.
    pub detection: Duration,
}

/// What this node knows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnState {
    /// Whether it drains.
    pub is_draining: bool,
    /// Whether it can announce: it forwards packets, is not isolated, and its Node object exists.
    pub can_announce: bool,
}

/// A frame to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingFrame {
    /// Interface index of the link.
    pub link: u32,
    /// The frame.
    pub frame: L2Frame,
}

/// Longest interval of keep-alives.
const LONGEST_KEEP_ALIVE: Duration = Duration::from_hours(24);
/// How often silent strangers are looked for.
const FORGET_INTERVAL: Duration = Duration::from_secs(10);

/// The announcer of one node.
#[derive(Clone, Debug)]
pub struct Engine {
    settings: EngineSettings,
    table: Arc<L2Table>,
    own: OwnState,
    standing: StandingEngine,
    states: NodeStates,
    announcers: Announcers,
    checks: Checks,
    schedule: Schedule,
    pacer: Pacer,
    strangers: Strangers,
    forget_at: Duration,
    events: Vec<L2Event>,
    counters: EngineCounters,
    /// The table has changed since the announcers were determined.
    is_outdated: bool,
    has_table: bool,
}

impl Engine {
    /// Returns an engine without addresses. `adopted` is the standing of an earlier agent whose program goes
    /// on running; [`Standing::Absent`]: there is none.
    pub fn new(settings: EngineSettings, adopted: Standing, now: Duration) -> Self {
        let keep_alive = settings.keep_alive.map(|interval| interval.min(LONGEST_KEEP_ALIVE));
        Self {
            settings,
            table: Arc::new(L2Table::empty()),
            own: OwnState { is_draining: false, can_announce: false },
            standing: StandingEngine::new(settings.preempt_after, settings.detection, adopted, now),
            states: NodeStates::default(),
            announcers: Announcers::default(),
            checks: Checks::default(),
            schedule: Schedule::new(keep_alive),
            pacer: Pacer::new(settings.rate),
            strangers: Strangers::default(),
            forget_at: now + FORGET_INTERVAL,
            events: Vec::new(),
            counters: EngineCounters::default(),
            is_outdated: false,
            has_table: false,
        }
    }

    /// Replaces the table. An address that has left it is not announced from now on; everything else follows
    /// with the next [`Self::handle_states`].
    pub fn set_table(&mut self, table: Arc<L2Table>, now: Duration) {
        for address in self.announcers.retain(&table) {
            self.schedule.stop(address);
            self.events.push(L2Event::GaveUp { address, to: None });
        }
        let is_known = |address: &IpAddr| table.addresses.contains_key(address);
        self.checks.retain(is_known);
        self.strangers.forget(is_known, now);
        self.states.set_table(&table);
        for (address, entry) in &table.addresses {
            if entry.is_known || !self.settings.check {
                self.checks.set_free(*address);
            }
        }
        self.table = table;
        (self.is_outdated, self.has_table) = (true, true);
    }

    /// Looks at the state of this node and of the others; `states` returns `None` for a dead node. Called
    /// every few milliseconds. Before the first table it does nothing, so that an adopted standing is kept.
    pub fn handle_states(
        &mut self,
        own: OwnState,
        states: impl Fn(NodeIndex) -> Option<Liveness>,
        now: Duration,
    ) {
        if !self.has_table {
            return;
        }
        let mut has_changed = self.states.set(states) | (self.own != own) | self.is_outdated;
        self.own = own;
        if has_changed || self.standing.next_deadline().is_some_and(|deadline| deadline <= now) {
            has_changed |= self.update_standing(now);
        }
        if has_changed {
            self.update_announcers(now);
        }
        self.poll_free(now);
        if now >= self.forget_at {
            self.strangers.forget(|_| true, now);
            self.forget_at = now + FORGET_INTERVAL;
        }
    }

    /// Returns whether the standing has changed.
    fn update_standing(&mut self, now: Duration) -> bool {
        let (table, states, own) = (&self.table, &self.states, self.own);
        let OwnState { is_draining, can_announce } = own;
        let input = StandingInput { can_announce, is_draining, others: &states.others() };
        let standing = self.standing.standing();
        let is_harmless = |hypothesis| states.is_harmless(table, is_draining, standing, hypothesis);
        let Some(change) = self.standing.handle_input(input, is_harmless, now) else { return false };
        let (from, to, why) = (change.from, change.to, change.why);
        self.events.push(L2Event::StandingChanged { from, to, why });
        true
    }

    /// Determines the announcer of every address.
    fn update_announcers(&mut self, now: Duration) {
        self.is_outdated = false;
        let table = Arc::clone(&self.table);
        let own = self.states.own(self.own.is_draining, self.standing.standing());
        let (mut mine, mut all) = (0, 0);
        for (address, entry) in &table.addresses {
            let announcer = self.states.first_live(entry.ranks, own);
            if self.announcers.set(*address, announcer, now) {
                all += u64::from(announcer.is_some());
                mine += u64::from(announcer == Some(table.own));
            }
            let first = self.announcers.first_live(address, table.own);
            self.checks.set_first_live(*address, first, &entry.links, now);
        }
        if all > 0 {
            self.pacer.handle_change(mine, all, now);
        }
        for (address, entry) in &table.addresses {
            self.follow(*address, &entry.links, now);
        }
    }

    /// Begins or ends to announce an address.
    fn follow(&mut self, address: IpAddr, links: &[u32], now: Duration) {
        let announcer = self.announcers.announcer(&address);
        let is_here = announcer == Some(self.table.own);
        if !is_here || !self.checks.free().contains(&address) {
            self.stop(address, announcer.filter(|_| !is_here));
            return;
        }
        self.schedule.start(address, links, now);
        if let Some(from) = self.announcers.begin(&address) {
            self.counters.takeovers += u64::from(from.is_some());
            self.events.push(L2Event::TookOver { address, from });
        }
    }

    fn stop(&mut self, address: IpAddr, to: Option<NodeIndex>) {
        self.schedule.stop(address);
        if self.announcers.end(&address) {
            self.events.push(L2Event::GaveUp { address, to });
        }
    }

    /// Announces addresses whose check is over.
    fn poll_free(&mut self, now: Duration) {
        let table = Arc::clone(&self.table);
        while let Some(address) = self.checks.poll_free(now) {
            self.events.push(L2Event::Free { address });
            if let Some(entry) = table.addresses.get(&address) {
                self.follow(address, &entry.links, now);
            }
        }
    }

    /// Notes the claim of a received frame ([`crate::claim::read_claim`]).
    pub fn handle_claim(&mut self, link: u32, claim: Claim, now: Duration) {
        let Claim { address, mac, is_probe } = claim;
        if !self.table.addresses.contains_key(&address) {
            return;
        }
        if self.table.is_node_mac(mac) {
            self.handle_node_claim(claim, now);
            return;
        }
        if self.checks.handle_claim(address, Duplicate { mac, link }, now) {
            self.events.push(L2Event::Conflict { address, mac, link });
        }
        // A host that only asks gets its answer, and then does not use the address.
        if is_probe {
            return;
        }
        let is_free = self.checks.free().contains(&address);
        if self.strangers.handle_claim(address, mac, link, now) && is_free {
            self.events.push(L2Event::StrangerSeen { address, mac, link });
        }
        if self.announcers.is_announcing(&address) && self.strangers.take_defence(address, now) {
            self.schedule.defend(address, link, now);
        }
    }

    /// Takes an address for free that another node announces: that node has searched for duplicates.
    fn handle_node_claim(&mut self, claim: Claim, now: Duration) {
        let is_own = self.table.links.values().any(|mac| *mac == claim.mac);
        let is_here = self.announcers.announcer(&claim.address) == Some(self.table.own);
        if is_own || is_here || claim.is_probe || self.checks.free().contains(&claim.address) {
            return;
        }
        self.checks.set_free(claim.address);
        self.events.push(L2Event::Free { address: claim.address });
        if let Some(entry) = Arc::clone(&self.table).addresses.get(&claim.address) {
            self.follow(claim.address, &entry.links, now);
        }
    }

    /// Returns a frame that is due; call it until it returns `None`.
    pub fn poll_frame(&mut self, now: Duration) -> Option<OutgoingFrame> {
        self.poll_free(now);
        loop {
            let announcement = self.schedule.due(now);
            let probe = self.checks.due_probe(now);
            if announcement.is_none() && probe.is_none() || !self.pacer.is_open(now) {
                return None;
            }
            let is_probe = probe.is_some() && announcement.is_none_or(|(_, is_urgent)| !is_urgent);
            let next = if is_probe { self.next_probe(now) } else { self.next_announcement(now) };
            // A link that has just gone has no MAC address.
            let (link, address, kind, due) = next?;
            if let Some(mac) = self.table.links.get(&link) {
                self.counters.sent += 1;
                self.counters.deferred += u64::from(self.pacer.handle_sent(due, now));
                return Some(OutgoingFrame { link, frame: L2Frame::new(kind, *mac, address) });
            }
        }
    }

    fn next_probe(&mut self, now: Duration) -> Option<(u32, IpAddr, L2FrameKind, Duration)> {
        let due = self.checks.due_probe(now)?;
        let (address, link) = self.checks.poll_probe(now)?;
        Some((link, address, L2FrameKind::Probe, due))
    }

    fn next_announcement(&mut self, now: Duration) -> Option<(u32, IpAddr, L2FrameKind, Duration)> {
        let next = self.schedule.poll_announcement(now)?;
        if self.table.links.contains_key(&next.link) {
            self.counters.defended += u64::from(next.is_defence);
            self.announcers.note_sent(&next.address, now);
        }
        Some((next.link, next.address, next.kind, next.due))
    }

    /// Returns when the engine next has something to do by itself. The nodes' states have to be looked at
    /// more often.
    pub fn next_deadline(&self) -> Option<Duration> {
        let frame = [self.schedule.next_deadline(), self.checks.next_deadline()].into_iter().flatten().min();
        let frame = frame.map(|due| due.max(self.pacer.next_time()));
        [frame, self.standing.next_deadline()].into_iter().flatten().min()
    }

    /// Returns what has happened since the last call.
    pub fn take_events(&mut self) -> Vec<L2Event> {
        std::mem::take(&mut self.events)
    }

    /// Returns what this node says of itself as an announcer.
    pub const fn standing(&self) -> Standing {
        self.standing.standing()
    }

    /// Returns the addresses that this node's program may answer for: no duplicate of them was found. Without
    /// the check, all of them.
    pub const fn checked(&self) -> &BTreeSet<IpAddr> {
        self.checks.free()
    }

    /// Returns the state, for commands and metrics.
    pub fn view(&self, now: Duration) -> EngineView {
        let addresses = self.table.addresses.iter().map(|(address, entry)| {
            let mut view = self.announcers.view(address, entry, self.table.own, now);
            view.phase = view
                .phase
                .with_check(self.checks.free().contains(address), self.checks.duplicate(address).is_some());
            view.strangers = self.strangers.view(address, now);
            (*address, view)
        });
        EngineView {
            standing: self.standing.standing(),
            standing_for: now.saturating_sub(self.standing.since()),
            addresses: addresses.collect(),
            counters: self.counters,
        }
    }
}
