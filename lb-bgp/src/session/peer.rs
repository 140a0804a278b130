//! One BGP peer.

mod adoption;
mod collision;
mod inbound;
mod outbound;
mod transition;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::close_history::CloseHistory;
use super::close_reason::{CloseReason, SessionClose};
use super::config::PeerConfig;
use super::connection::PeerConnection;
use super::counters::PeerCounters;
use super::direction::ConnectionDirection;
use super::fsm::Fsm;
use super::negotiated::Negotiated;
use super::negotiation::{self, OfferContext};
use super::refused_capabilities::{self, RefusedCapabilities};
use super::retry::{Damping, Jitter, Retry};
use super::shutdown::Shutdown;
use super::state_table::{BgpEvent, BgpState};
use super::view::{FamilyView, PeerView};
use crate::adj_out::{AdjOut, Routes};

/// An action for the driver, or an event to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerAction {
    /// Open a connection; abandon any attempt in progress.
    Connect,
    /// Send what [`Peer::poll_bytes`] still returns for the connection, without waiting for long, and close
    /// it; or abandon the connection attempt.
    Close(ConnectionDirection),
    /// The session is up; see [`Peer::negotiated`].
    Established(ConnectionDirection),
    /// The session of another process goes on here; see [`Peer::adopt`].
    Adopted(ConnectionDirection),
    /// The session has gone down.
    Down(SessionClose),
    /// The peer has refused these capabilities; the next OPEN omits them (RFC 5492, section 3).
    CapabilitiesRefused(RefusedCapabilities),
}

/// One BGP peer: up to two connections, and the routes to advertise.
#[derive(Debug)]
pub struct Peer {
    config: PeerConfig,
    jitter: Jitter,
    retry: Retry,
    damping: Damping,
    outgoing: Fsm,
    incoming: Fsm,
    adj_out: AdjOut,
    /// NOTIFICATIONs of connections about to be closed.
    final_messages: [Option<Vec<u8>>; 2],
    actions: VecDeque<PeerAction>,
    counters: PeerCounters,
    close_history: CloseHistory,
    /// Capabilities the peer has refused, and when.
    refused: Option<(RefusedCapabilities, Duration)>,
    reported_state: BgpState,
    since: Duration,
    bfd: Option<bool>,
    /// Not shut down.
    running: bool,
    /// There has been a session: since then, forwarding state for its routes has been preserved.
    was_established: bool,
}

impl Peer {
    /// Returns a started peer. All times, including `now`, count from one origin that the driver chooses;
    /// `seed` should differ between nodes.
    pub fn new(config: PeerConfig, seed: u64, now: Duration) -> Self {
        let mut peer = Self::idle(config, seed, now);
        peer.start(now);
        peer
    }

    /// Returns a peer that is not started.
    fn idle(config: PeerConfig, seed: u64, now: Duration) -> Self {
        Self {
            config,
            jitter: Jitter::new(seed),
            retry: Retry::default(),
            damping: Damping::default(),
            outgoing: Fsm::IDLE,
            incoming: Fsm::IDLE,
            adj_out: AdjOut::default(),
            final_messages: [None, None],
            actions: VecDeque::new(),
            counters: PeerCounters::default(),
            close_history: CloseHistory::default(),
            refused: None,
            reported_state: BgpState::Idle,
            since: now,
            bfd: None,
            running: false,
            was_established: false,
        }
    }

    /// Starts a peer after a shutdown; no effect if it is running.
    pub fn start(&mut self, now: Duration) {
        if self.running {
            return;
        }
        self.running = true;
        self.refused = None;
        self.retry.reset();
        self.damping.reset();
        self.step(ConnectionDirection::Incoming, BgpEvent::ManualStartPassive, now);
        if !self.config.passive {
            self.step(ConnectionDirection::Outgoing, BgpEvent::ManualStart, now);
        }
    }

    /// Replaces the configuration. Resets the session if its negotiated parameters would change. Retries at
    /// once a peer that is in back-off.
    pub fn set_config(&mut self, config: PeerConfig, now: Duration) {
        if config == self.config {
            return;
        }
        self.config = config;
        for direction in ConnectionDirection::BOTH {
            self.reconsider(direction, now);
        }
        // A live session keeps omitting the refused capabilities; a new one offers all again.
        if self.most_advanced().is_none() {
            self.refused = None;
        }
        self.close_history.outdate();
        self.retry.reset();
        self.damping.reset();
        self.reschedule(now);
    }

    /// Sets all routes to advertise; differences become UPDATEs. Until the first call, neither routes nor
    /// End-of-RIB are sent, so that a peer keeps its routes over our restart.
    pub fn set_routes(&mut self, routes: Arc<Routes>) {
        self.adj_out.set_routes(routes);
    }

    /// Handles an established TCP connection. True: it is now the connection in this direction; drop the
    /// socket of a former one. False: drop the connection.
    pub fn handle_connected(
        &mut self,
        direction: ConnectionDirection,
        local: SocketAddr,
        remote: SocketAddr,
        now: Duration,
    ) -> bool {
        if !self.admit_connection(direction, now) {
            return false;
        }
        self.forget_refusal(now);
        let ours = negotiation::offer(&self.config, self.context(local));
        let mut connection = PeerConnection::new(local, remote, ours, now);
        if self.fsm(direction.other()).state == BgpState::Established {
            connection.is_restart = true;
            connection.shorten_hold_timer(now.saturating_add(self.config.connect_timeout));
        }
        self.final_messages[direction as usize] = None;
        self.fsm_mut(direction).connection = Some(connection);
        let event = match direction {
            ConnectionDirection::Outgoing => BgpEvent::TcpCrAcked,
            ConnectionDirection::Incoming => BgpEvent::TcpConnectionConfirmed,
        };
        self.step(direction, event, now);
        true
    }

    /// Handles a failed connection attempt; `why` is the operating system's error.
    pub fn handle_connect_failed(&mut self, why: String, now: Duration) {
        if self.outgoing.state == BgpState::Connect {
            self.counters.connects_failed += 1;
            self.close(
                ConnectionDirection::Outgoing,
                BgpEvent::TcpConnectionFails,
                CloseReason::ConnectFailed(why),
                now,
            );
        }
    }

    /// Handles received octets.
    pub fn handle_bytes(&mut self, direction: ConnectionDirection, bytes: &[u8], now: Duration) {
        self.receive(direction, bytes, now);
    }

    /// Handles a closed, lost or unwritable connection; `why` is the operating system's error.
    pub fn handle_closed(&mut self, direction: ConnectionDirection, why: Option<String>, now: Duration) {
        if self.fsm(direction).connection.is_some() {
            self.close(direction, BgpEvent::TcpConnectionFails, CloseReason::ConnectionClosed(why), now);
        }
    }

    /// Confirms that the octets last returned by [`poll_bytes`](Self::poll_bytes) are in the kernel.
    pub fn handle_sent(&mut self, direction: ConnectionDirection, _now: Duration) {
        if let Some(connection) = &mut self.fsm_mut(direction).connection {
            connection.unsent_since = None;
        }
    }

    /// Handles a BFD state. Going down closes the session (RFC 9384); never having been up does not.
    pub fn handle_bfd(&mut self, up: bool, now: Duration) {
        let before = self.bfd.replace(up);
        if before == Some(true) && !up {
            for direction in ConnectionDirection::BOTH {
                if self.fsm(direction).connection.is_some() {
                    self.close(direction, BgpEvent::BfdDown, CloseReason::BfdDown, now);
                }
            }
        }
    }

    /// Handles expired timers: no later than [`next_deadline`](Self::next_deadline), and after
    /// [`handle_bytes`](Self::handle_bytes) with all data received by then. Otherwise a driver that was
    /// stalled would mistake its own silence for the peer's.
    pub fn handle_time(&mut self, now: Duration) {
        for direction in ConnectionDirection::BOTH {
            self.check_connection(direction, now);
            self.check_fsm(direction, now);
        }
    }

    /// Shuts the session down; it stays down or restarts, depending on the kind of shutdown.
    pub fn shut_down(&mut self, shutdown: Shutdown, now: Duration) {
        let event = if shutdown.is_final() { BgpEvent::ManualStop } else { BgpEvent::AutomaticStop };
        self.running = !shutdown.is_final() && self.running;
        self.refused = None;
        for direction in ConnectionDirection::BOTH {
            if self.fsm(direction).state != BgpState::Idle
                && (shutdown.is_final() || self.fsm(direction).connection.is_some())
            {
                self.close(direction, event, CloseReason::Stopped(shutdown.clone()), now);
            }
            if shutdown.is_final() {
                self.fsm_mut(direction).timer = None;
            }
        }
    }

    /// Returns the next action; call it until it returns `None`.
    pub fn poll_action(&mut self) -> Option<PeerAction> {
        self.actions.pop_front()
    }

    /// Returns whole messages to send, about 64 KiB plus one message at most. Until
    /// [`handle_sent`](Self::handle_sent) confirms them, it returns only a NOTIFICATION before a
    /// [`Close`](PeerAction::Close), to be written after the rest of them. So a peer that does not read costs
    /// one such chunk of memory, and receives the latest state when it reads again.
    pub fn poll_bytes(&mut self, direction: ConnectionDirection, now: Duration) -> Option<Vec<u8>> {
        self.final_messages[direction as usize].take().or_else(|| self.send(direction, now))
    }

    /// Returns the time at which [`handle_time`](Self::handle_time) is due; `None` if no timer runs.
    pub fn next_deadline(&self) -> Option<Duration> {
        let links = ConnectionDirection::BOTH
            .map(|direction| self.fsm(direction).connection.as_ref().and_then(PeerConnection::next_deadline));
        let timers = ConnectionDirection::BOTH
            .map(|direction| self.fsm(direction).timer.filter(|_| self.may_start(direction)));
        links.into_iter().chain(timers).flatten().min()
    }

    /// Returns the state of the most advanced connection.
    pub const fn state(&self) -> BgpState {
        self.reported_state
    }

    /// Returns the negotiated parameters while the session is up.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        let fsm = self.fsm(self.most_advanced()?);
        fsm.connection.as_ref().filter(|_| fsm.state == BgpState::Established)?.negotiated.as_ref()
    }

    /// Returns why the last session closed or none came up: the most specific reason of recent attempts.
    pub const fn last_close(&self) -> Option<&SessionClose> {
        self.close_history.primary.as_ref()
    }

    /// Returns the configuration.
    pub const fn config(&self) -> &PeerConfig {
        &self.config
    }

    /// Returns a snapshot of the peer.
    pub fn view(&self, now: Duration) -> PeerView {
        let direction = self.most_advanced();
        let connection = direction.and_then(|direction| self.fsm(direction).connection.as_ref());
        let lasted = connection.and_then(|connection| connection.lasted(now));
        let families = self.negotiated().into_iter().flat_map(|negotiated| negotiated.next_hops.keys());
        let family = |family: &_| {
            let (advertised, pending) = (self.adj_out.advertised(*family), self.adj_out.pending(*family));
            (*family, FamilyView { advertised, pending, end_of_rib: self.adj_out.end_of_rib_sent(*family) })
        };
        PeerView {
            state: self.reported_state,
            since: self.since,
            state_age: lasted.unwrap_or_else(|| now.saturating_sub(self.since)),
            is_adopted: connection.is_some_and(|connection| connection.age_at_adoption.is_some()),
            connection: direction
                .zip(connection)
                .map(|(direction, connection)| (direction, connection.local, connection.remote)),
            negotiated: connection.and_then(|connection| connection.negotiated.clone()),
            families: families.map(family).collect(),
            unsendable: if self.negotiated().is_some() { self.adj_out.unsendable() } else { 0 },
            send_stall: connection.and_then(PeerConnection::send_stall),
            last_close: self.close_history.primary.clone(),
            latest_close: self.close_history.latest.clone(),
            refused: self.refused.as_ref().map(|(refused, _)| refused.clone()),
            next_attempt: self.outgoing.timer.filter(|_| {
                self.outgoing.state != BgpState::Connect && self.may_start(ConnectionDirection::Outgoing)
            }),
            bfd: self.bfd,
            counters: self.counters,
        }
    }

    const fn fsm(&self, direction: ConnectionDirection) -> &Fsm {
        match direction {
            ConnectionDirection::Outgoing => &self.outgoing,
            ConnectionDirection::Incoming => &self.incoming,
        }
    }

    const fn fsm_mut(&mut self, direction: ConnectionDirection) -> &mut Fsm {
        match direction {
            ConnectionDirection::Outgoing => &mut self.outgoing,
            ConnectionDirection::Incoming => &mut self.incoming,
        }
    }

    /// Offers all capabilities again once the refusal has expired.
    fn forget_refusal(&mut self, now: Duration) {
        self.refused.take_if(|(_, since)| now.saturating_sub(*since) >= refused_capabilities::LIFETIME);
    }

    /// Returns the direction of the most advanced connection, if there is one.
    fn most_advanced(&self) -> Option<ConnectionDirection> {
        let connected = ConnectionDirection::BOTH
            .into_iter()
            .filter(|direction| self.fsm(*direction).connection.is_some());
        connected.max_by_key(|direction| self.fsm(*direction).state)
    }

    fn context(&self, local: SocketAddr) -> OfferContext<'_> {
        OfferContext {
            local: local.ip(),
            refused: self.refused.as_ref().map(|(refused, _)| refused),
            restarted: self.config.restarted && !self.was_established,
            forwarding: self.config.restarted || self.was_established,
        }
    }
}
