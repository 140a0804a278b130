//! One neighbour.

mod collision;
mod inbound;
mod outbound;
mod transition;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::config::Config;
use super::counters::Counters;
use super::ending::{Cause, Ending};
use super::link::Link;
use super::machine::Machine;
use super::negotiation::{self, Circumstances, Negotiated};
use super::reasons::Reasons;
use super::refusal::{self, Refused};
use super::retry::{Damping, Random, Retry};
use super::shutdown::Shutdown;
use super::table::{Event, State};
use super::view::{FamilyView, PeerView};
use crate::adj_out::{AdjOut, Routes};

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// We.
    Opened,
    /// The neighbour.
    Accepted,
}

/// What the driver is to do, or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a connection; an attempt that is still under way is dropped.
    Connect,
    /// Send what [`Peer::poll_bytes`] still gives for it, without waiting for long, and close the
    /// connection; or give up the attempt at it.
    Close(Way),
    /// The session is up; see [`Peer::negotiated`].
    Established(Way),
    /// The session that was up is not any more.
    Down(Ending),
    /// The peer has refused these capabilities: the next OPEN goes without (RFC 5492 section 3).
    Refused(Refused),
}

/// One neighbour: up to two connections, and what it shall know.
#[derive(Debug)]
pub struct Peer {
    config: Config,
    random: Random,
    retry: Retry,
    damping: Damping,
    opened: Machine,
    accepted: Machine,
    adj_out: AdjOut,
    /// NOTIFICATIONs of connections that are to be closed.
    last_words: [Option<Vec<u8>>; 2],
    actions: VecDeque<Action>,
    counters: Counters,
    reasons: Reasons,
    /// What the peer has refused of our OPEN, and when.
    refused: Option<(Refused, Duration)>,
    shown: State,
    since: Duration,
    bfd: Option<bool>,
    /// Not shut down.
    running: bool,
    /// There has been a session: whatever was told in it, packets for it have been forwarded ever since.
    was_established: bool,
}

impl Way {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Opened, Self::Accepted];

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Opened => Self::Accepted,
            Self::Accepted => Self::Opened,
        }
    }
}

impl Peer {
    /// A neighbour that is tried at once. `now` and all times after it are counted from one start of the
    /// driver's choice; `seed` should differ between nodes.
    pub fn new(config: Config, seed: u64, now: Duration) -> Self {
        let mut peer = Self {
            config,
            random: Random::new(seed),
            retry: Retry::default(),
            damping: Damping::default(),
            opened: Machine::IDLE,
            accepted: Machine::IDLE,
            adj_out: AdjOut::default(),
            last_words: [None, None],
            actions: VecDeque::new(),
            counters: Counters::default(),
            reasons: Reasons::default(),
            refused: None,
            shown: State::Idle,
            since: now,
            bfd: None,
            running: false,
            was_established: false,
        };
        peer.start(now);
        peer
    }

    /// Starts a neighbour that was shut down; nothing if it was not.
    pub fn start(&mut self, now: Duration) {
        if self.running {
            return;
        }
        self.running = true;
        self.refused = None;
        self.retry.reset();
        self.damping.reset();
        self.step(Way::Accepted, Event::ManualStartPassive, now);
        if !self.config.passive {
            self.step(Way::Opened, Event::ManualStart, now);
        }
    }

    /// Another configuration. A session that would have been agreed otherwise begins anew; one that would
    /// not goes on. A neighbour that is being waited for because of an error is tried again at once.
    pub fn set_config(&mut self, config: Config, now: Duration) {
        if config == self.config {
            return;
        }
        self.config = config;
        for way in Way::BOTH {
            self.reconsider(way, now);
        }
        // What goes on goes on without what was refused; what begins anew does so with all.
        if self.foremost().is_none() {
            self.refused = None;
        }
        self.reasons.outdate();
        self.retry.reset();
        self.damping.reset();
        self.reschedule(now);
    }

    /// The whole that the neighbour shall know; differences become UPDATEs. Before the first call no route
    /// is sent and no End-of-RIB, so that a neighbour keeps what it knows over our restart.
    pub fn set_routes(&mut self, routes: Arc<Routes>) {
        self.adj_out.set_routes(routes);
    }

    /// A connection is there. True: it is the one of this way now, and the socket of a former one of the
    /// same way is to be dropped. False: it is not wanted, drop it.
    pub fn handle_connected(
        &mut self,
        way: Way,
        local: SocketAddr,
        remote: SocketAddr,
        now: Duration,
    ) -> bool {
        if !self.make_room(way, now) {
            return false;
        }
        self.forget_refusal(now);
        let ours = negotiation::offer(&self.config, self.circumstances(local));
        let mut link = Link::new(local, remote, ours, now);
        if self.machine(way.other()).state == State::Established {
            link.begins_anew = true;
            link.hurry(now.saturating_add(self.config.connect_timeout));
        }
        self.last_words[way as usize] = None;
        self.machine_mut(way).link = Some(link);
        let event = match way {
            Way::Opened => Event::TcpCrAcked,
            Way::Accepted => Event::TcpConnectionConfirmed,
        };
        self.step(way, event, now);
        true
    }

    /// The attempt at a connection failed; `why` is what the operating system said.
    pub fn handle_connect_failed(&mut self, why: String, now: Duration) {
        if self.opened.state == State::Connect {
            self.counters.connects_failed += 1;
            self.end(Way::Opened, Event::TcpConnectionFails, Cause::ConnectFailed(why), now);
        }
    }

    /// Octets were received.
    pub fn handle_bytes(&mut self, way: Way, bytes: &[u8], now: Duration) {
        self.receive(way, bytes, now);
    }

    /// A connection was closed or lost, or can be written to no more; `why` is what the operating system said.
    pub fn handle_closed(&mut self, way: Way, why: Option<String>, now: Duration) {
        if self.machine(way).link.is_some() {
            self.end(way, Event::TcpConnectionFails, Cause::Closed(why), now);
        }
    }

    /// The octets that [`poll_bytes`](Self::poll_bytes) gave last are in the kernel.
    pub fn handle_sent(&mut self, way: Way, _now: Duration) {
        if let Some(link) = &mut self.machine_mut(way).link {
            link.unsent_since = None;
        }
    }

    /// What BFD says of the way to the neighbour. That it is gone ends the session (RFC 9384); that it never
    /// was there does not.
    pub fn handle_bfd(&mut self, up: bool, now: Duration) {
        let before = self.bfd.replace(up);
        if before == Some(true) && !up {
            for way in Way::BOTH {
                if self.machine(way).link.is_some() {
                    self.end(way, Event::BfdDown, Cause::BfdDown, now);
                }
            }
        }
    }

    /// Time has passed: at the latest to be called at [`next_deadline`](Self::next_deadline), and after
    /// [`handle_bytes`](Self::handle_bytes) with what had come by then: or a driver that stood still would
    /// take its own silence for the neighbour's.
    pub fn handle_time(&mut self, now: Duration) {
        for way in Way::BOTH {
            self.check_link(way, now);
            self.check_machine(way, now);
        }
    }

    /// Ends the session and stays so, or begins anew, as the kind of end says.
    pub fn shut_down(&mut self, shutdown: Shutdown, now: Duration) {
        let event = if shutdown.is_final() { Event::ManualStop } else { Event::AutomaticStop };
        self.running = !shutdown.is_final() && self.running;
        self.refused = None;
        for way in Way::BOTH {
            if self.machine(way).state != State::Idle
                && (shutdown.is_final() || self.machine(way).link.is_some())
            {
                self.end(way, event, Cause::Stopped(shutdown.clone()), now);
            }
            if shutdown.is_final() {
                self.machine_mut(way).timer = None;
            }
        }
    }

    /// What is to be done next; to be asked until there is nothing.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whole messages that are to be sent, one or several, at most some 64 KiB and one message. Until [`handle_sent`](Self::handle_sent) says that the last are in the kernel there is nothing
    /// but a NOTIFICATION before a [`Close`](Action::Close), which follows whatever of them is still to be
    /// written. So a neighbour that does not read costs one such piece of memory, and is told the latest when
    /// it reads again.
    pub fn poll_bytes(&mut self, way: Way, now: Duration) -> Option<Vec<u8>> {
        self.last_words[way as usize].take().or_else(|| self.send(way, now))
    }

    /// When [`handle_time`](Self::handle_time) is to be called at the latest; `None` for no need.
    pub fn next_deadline(&self) -> Option<Duration> {
        let links = Way::BOTH.map(|way| self.machine(way).link.as_ref().and_then(Link::next_deadline));
        let timers = Way::BOTH.map(|way| self.machine(way).timer.filter(|_| self.may_start(way)));
        links.into_iter().chain(timers).flatten().min()
    }

    /// The state of the connection that is furthest.
    pub const fn state(&self) -> State {
        self.shown
    }

    /// What was agreed with the neighbour, while the session is up.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        let machine = self.machine(self.foremost()?);
        machine.link.as_ref().filter(|_| machine.state == State::Established)?.negotiated.as_ref()
    }

    /// Why the last session ended or none came up: of the last attempts, the one that says most.
    pub const fn last_ending(&self) -> Option<&Ending> {
        self.reasons.telling.as_ref()
    }

    /// The configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// All that there is to see.
    pub fn view(&self, now: Duration) -> PeerView {
        let way = self.foremost();
        let link = way.and_then(|way| self.machine(way).link.as_ref());
        let spoken = self.negotiated().into_iter().flat_map(|negotiated| negotiated.next_hops.keys());
        let family = |family: &_| {
            let (told, pending) = (self.adj_out.told(*family), self.adj_out.pending(*family));
            (*family, FamilyView { told, pending, end_of_rib: self.adj_out.is_complete(*family) })
        };
        PeerView {
            state: self.shown,
            since: self.since,
            lasting: now.saturating_sub(self.since),
            connection: way.zip(link).map(|(way, link)| (way, link.local, link.remote)),
            negotiated: link.and_then(|link| link.negotiated.clone()),
            families: spoken.map(family).collect(),
            unsendable: if self.negotiated().is_some() { self.adj_out.unspoken() } else { 0 },
            unread: link.and_then(Link::unread),
            last_ending: self.reasons.telling.clone(),
            latest_ending: self.reasons.latest.clone(),
            refused: self.refused.as_ref().map(|(refused, _)| refused.clone()),
            next_attempt: self
                .opened
                .timer
                .filter(|_| self.opened.state != State::Connect && self.may_start(Way::Opened)),
            bfd: self.bfd,
            counters: self.counters,
        }
    }

    const fn machine(&self, way: Way) -> &Machine {
        match way {
            Way::Opened => &self.opened,
            Way::Accepted => &self.accepted,
        }
    }

    const fn machine_mut(&mut self, way: Way) -> &mut Machine {
        match way {
            Way::Opened => &mut self.opened,
            Way::Accepted => &mut self.accepted,
        }
    }

    /// Once a refusal has counted for long enough, the whole is offered again.
    fn forget_refusal(&mut self, now: Duration) {
        self.refused.take_if(|(_, since)| now.saturating_sub(*since) >= refusal::LASTS);
    }

    /// The way of the connection that is furthest, if there is any.
    fn foremost(&self) -> Option<Way> {
        let connected = Way::BOTH.into_iter().filter(|way| self.machine(*way).link.is_some());
        connected.max_by_key(|way| self.machine(*way).state)
    }

    fn circumstances(&self, local: SocketAddr) -> Circumstances<'_> {
        Circumstances {
            local: local.ip(),
            refused: self.refused.as_ref().map(|(refused, _)| refused),
            restarted: self.config.restarted && !self.was_established,
            forwarding: self.config.restarted || self.was_established,
        }
    }
}
