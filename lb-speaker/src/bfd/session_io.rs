//! One BFD session with its transmit socket and echoes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use lb_bfd::session::{
    Discriminator, Hops, LeftSession, Session, SessionConfig, SessionProfile, StateChange,
};
use lb_bfd::state::BfdState;
use nix::sys::socket::LinkAddr;

use super::addresses::SessionAddresses;
use super::echo::{EchoExchange, EchoSocket};
use super::kernel_sessions::KernelSessions;
use super::socket;
use super::target::BfdTarget;
use crate::identity::hash;
use lb_dataplane::bfd;

/// Minimum interval of a router's echoes that the XDP program loops back at forwarding speed.
const ECHO_RECEIVE: Duration = Duration::from_millis(10);

pub(super) struct SessionIo {
    pub(super) name: String,
    pub(super) target: BfdTarget,
    pub(super) session: Session,
    /// The interface on which the peer's packets arrive.
    pub(super) link: Option<u32>,
    /// Transmit socket, once the peer is reachable.
    tx_socket: Option<TxSocket>,
    /// Echoes, if used and the peer's MAC address is known.
    echo_exchange: Option<EchoExchange>,
}

/// A connected socket, and the address and port that it sends from.
struct TxSocket {
    socket: UdpSocket,
    local: SocketAddr,
}

impl SessionIo {
    pub(super) fn new(
        name: String,
        target: BfdTarget,
        local: Discriminator,
        seed: u64,
        now: Duration,
    ) -> Self {
        let session = Session::new(session_config(&target, local), hash(seed, &name), now);
        Self { name, target, session, link: None, tx_socket: None, echo_exchange: None }
    }

    /// Continues a session that an earlier agent has left; `None` if the router has noticed its end.
    pub(super) fn adopt(
        name: String,
        target: BfdTarget,
        local: Discriminator,
        left: &LeftSession,
        seed: u64,
        now: Duration,
    ) -> Option<Self> {
        let config = SessionConfig { control_plane_independent: true, ..session_config(&target, local) };
        let session = Session::adopt(config, left, hash(seed, &name), now)?;
        Some(Self { name, target, session, link: None, tx_socket: None, echo_exchange: None })
    }

    /// Returns whether the target differs in its profile at most.
    pub(super) fn has_same_path(&self, desired: &BfdTarget) -> bool {
        let BfdTarget { address, source, device, hops, profile: _ } = &self.target;
        (address, source, device, hops) == (&desired.address, &desired.source, &desired.device, &desired.hops)
    }

    /// Applies a target with the same path.
    pub(super) fn set(&mut self, desired: BfdTarget, now: Duration) {
        let differs = self.target.profile != desired.profile;
        self.target = desired;
        if differs {
            self.echo_exchange = self.echo_exchange.filter(|_| self.target.uses_echo());
            self.set_profile(now);
        }
    }

    /// Applies what the program has noted before the detection time expires.
    pub(super) fn apply_kernel_notes(&mut self, kernel_sessions: Option<&KernelSessions>, now: Duration) {
        let (Some(kernel_sessions), BfdState::Up) = (kernel_sessions, self.session.state()) else { return };
        let is_due = self.session.next_deadline().is_some_and(|deadline| deadline <= now);
        let discriminator = self.session.config().local;
        if let Some(packet) = is_due.then(|| kernel_sessions.last_packet(discriminator)).flatten() {
            self.session.handle_recorded(&packet.bytes, packet.at);
            // The program sees the router's packets, so it answers them, and loops the router's echoes back.
            self.session.set_control_plane_independent(self.is_kept());
            if self.target.hops == Hops::Single {
                self.session.set_echo_receive(ECHO_RECEIVE);
            }
        }
    }

    /// Returns whether the program answers the router while this process sends nothing.
    pub(super) fn is_kept(&self) -> bool {
        self.session.kept().is_some_and(|kept| kept.late_after.is_some())
    }

    /// Registers the session with the program while it is up.
    pub(super) fn update_kernel_entry(&mut self, kernel_sessions: &mut KernelSessions) {
        let discriminator = self.session.config().local;
        let (Some(kept), Some(local)) = (self.session.kept(), self.local()) else {
            if self.session.state() != BfdState::Up {
                self.session.set_echo_receive(Duration::ZERO);
                self.session.set_control_plane_independent(false);
                kernel_sessions.end(discriminator);
            }
            return;
        };
        let remote = self.target.address;
        let (minimum_ttl, source_port) = (self.target.minimum_ttl(), local.port());
        kernel_sessions.set(discriminator, |number, dead_after| bfd::BfdSessionConfig {
            remote,
            local: local.ip(),
            minimum_ttl,
            theirs: kept.theirs,
            ours: kept.ours,
            late_after: kept.late_after,
            answer_interval: kept.answer_interval,
            dead_after,
            source_port,
            number,
        });
    }

    /// Handles a control packet from this link-layer address: the destination of the session's echoes from
    /// now on.
    pub(super) fn learn_station(
        &mut self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        station: LinkAddr,
        now: Duration,
    ) {
        let is_its_own = self.target.uses_echo()
            && self.target.address == source
            && self.local().is_some_and(|local| local.ip() == destination)
            && self.link.is_some_and(|link| link as usize == station.ifindex());
        match &mut self.echo_exchange {
            _ if !is_its_own => {}
            Some(echo_exchange) => echo_exchange.station = station,
            None => {
                self.echo_exchange = Some(EchoExchange::new(station));
                self.set_profile(now);
            }
        }
    }

    /// Handles a returned echo of this session.
    pub(super) fn handle_echo(
        &mut self,
        echo_socket: &EchoSocket,
        payload: &lb_bfd::echo::EchoPayload,
        address: Ipv4Addr,
        at: Duration,
    ) {
        let is_here = self.local().is_some_and(|local| local.ip() == address);
        if let Some(echo_exchange) = self.echo_exchange.as_mut().filter(|_| is_here)
            && echo_exchange.accept(payload, &echo_socket.key)
        {
            self.session.handle_echo(at);
        }
    }

    /// Sends what is due; returns whether a control packet was sent.
    pub(super) fn send(&mut self, seed: u64, echo_socket: Option<&EchoSocket>, now: Duration) -> bool {
        let mut is_sent = false;
        while let Some(packet) = self.session.poll_packet(now) {
            match self.transmit(&packet, seed) {
                Ok(()) => is_sent = true,
                // No route or no peer: the router detects that by time-out.
                Err(error) => tracing::trace!(peer = %self.name, %error, "cannot send BFD packet"),
            }
        }
        let discriminator = self.session.config().local;
        while self.session.poll_echo(now) {
            if let (Some(echo_socket), Some(echo_exchange), Some(IpAddr::V4(local))) =
                (echo_socket, &mut self.echo_exchange, local(self.tx_socket.as_ref()).map(|local| local.ip()))
                && let Err(error) = echo_socket.send(discriminator, local, echo_exchange)
            {
                tracing::trace!(peer = %self.name, %error, "cannot send BFD echo");
            }
        }
        is_sent
    }

    fn transmit(&mut self, packet: &[u8], seed: u64) -> io::Result<()> {
        let tx_socket = match self.tx_socket.take() {
            Some(tx_socket) => tx_socket,
            None => {
                let socket = socket::tx_socket(&self.target, hash(seed, &self.name))?;
                TxSocket { local: socket.local_addr()?, socket }
            }
        };
        match tx_socket.socket.send(packet) {
            Ok(_) => {}
            // The error belongs to an earlier packet.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                tx_socket.socket.send(packet)?;
            }
            Err(error) => return Err(error),
        }
        self.tx_socket = Some(tx_socket);
        Ok(())
    }

    /// Applies the profile; echoes only once their destination is known.
    fn set_profile(&mut self, now: Duration) {
        let SessionProfile { echo, .. } = self.target.profile;
        let echo = echo.filter(|_| self.echo_exchange.is_some());
        self.session.set_profile(SessionProfile { echo, ..self.target.profile }, now);
    }

    /// Returns the session's addresses; `is_sole_receiver` if only this agent receives its packets.
    pub(super) fn addresses(&self, discriminator: Discriminator, is_sole_receiver: bool) -> SessionAddresses {
        SessionAddresses {
            discriminator: discriminator.get(),
            remote: self.target.address,
            local: self.local().map(|local| local.ip()),
            hops: self.target.hops,
            up: self.session.state() == BfdState::Up,
            is_sole_receiver,
        }
    }

    fn local(&self) -> Option<SocketAddr> {
        local(self.tx_socket.as_ref())
    }

    pub(super) fn log(&self, change: &StateChange) {
        let peer = &self.name;
        match change.to {
            BfdState::Up => tracing::info!(%peer, "BFD session up"),
            to if change.from == BfdState::Up => {
                tracing::warn!(%peer, state = to.name(), "BFD session down: {}", change.diagnostic.description());
            }
            _ => {}
        }
    }
}

/// Returns the address and port that packets are sent from.
fn local(tx_socket: Option<&TxSocket>) -> Option<SocketAddr> {
    Some(tx_socket?.local)
}

fn session_config(target: &BfdTarget, local: Discriminator) -> SessionConfig {
    SessionConfig {
        local,
        hops: target.hops,
        profile: SessionProfile { echo: None, ..target.profile },
        // Without the program, the session ends with this process, so the C bit is clear (RFC 5880, section
        // 4.1).
        control_plane_independent: false,
        echo_receive: Duration::ZERO,
    }
}
