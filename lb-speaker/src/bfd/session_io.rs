//! One BFD session with its transmit socket and echoes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use lb_bfd::session::{Discriminator, Hops, Session, SessionConfig, SessionProfile, StateChange};
use lb_bfd::state::BfdState;
use nix::sys::socket::LinkAddr;

use super::addresses::SessionAddresses;
use super::echo::{EchoExchange, EchoSocket};
use super::kernel_stamps::KernelStamps;
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
    tx_socket: Option<UdpSocket>,
    /// Echoes, if used and the peer's MAC address is known.
    echo_exchange: Option<EchoExchange>,
}

impl SessionIo {
    pub(super) fn new(
        name: String,
        target: BfdTarget,
        local: Discriminator,
        seed: u64,
        now: Duration,
    ) -> Self {
        let config = SessionConfig {
            local,
            hops: target.hops,
            profile: SessionProfile { echo: None, ..target.profile },
            // The session ends with this process, so the C bit is clear (RFC 5880, section 4.1).
            control_plane_independent: false,
            echo_receive: Duration::ZERO,
        };
        let session = Session::new(config, hash(seed, &name), now);
        Self { name, target, session, link: None, tx_socket: None, echo_exchange: None }
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

    /// Applies the program's latest stamp before the detection time expires.
    pub(super) fn apply_kernel_stamp(
        &mut self,
        discriminator: Discriminator,
        kernel_stamps: Option<&KernelStamps>,
        now: Duration,
    ) {
        let (Some(kernel_stamps), BfdState::Up) = (kernel_stamps, self.session.state()) else { return };
        let is_due = self.session.next_deadline().is_some_and(|deadline| deadline <= now);
        if let Some(at) = is_due.then(|| kernel_stamps.last_up(discriminator)).flatten() {
            self.session.handle_kernel_stamp(at);
            // The program sees the router's packets, so it loops the router's echoes back, too.
            if self.target.hops == Hops::Single {
                self.session.set_echo_receive(ECHO_RECEIVE);
            }
        }
    }

    /// Registers the session with the program while it is up.
    pub(super) fn update_kernel_entry(
        &mut self,
        discriminator: Discriminator,
        kernel_stamps: Option<&mut KernelStamps>,
    ) {
        let Some(kernel_stamps) = kernel_stamps else { return };
        match (self.session.state(), self.local()) {
            (BfdState::Up, Some(local)) => {
                let minimum_ttl = match self.target.hops {
                    Hops::Single => None,
                    Hops::Multi { minimum_ttl } => Some(minimum_ttl),
                };
                let remote = self.target.address;
                kernel_stamps.begin(discriminator, &bfd::BfdSessionConfig { remote, local, minimum_ttl });
            }
            _ => {
                self.session.set_echo_receive(Duration::ZERO);
                kernel_stamps.end(discriminator);
            }
        }
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
            && self.local() == Some(destination.into())
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
        let is_here = self.local() == Some(address.into());
        if let Some(echo_exchange) = self.echo_exchange.as_mut().filter(|_| is_here)
            && echo_exchange.accept(payload, &echo_socket.key)
        {
            self.session.handle_echo(at);
        }
    }

    pub(super) fn send(&mut self, seed: u64, echo_socket: Option<&EchoSocket>, now: Duration) {
        while let Some(packet) = self.session.poll_packet(now) {
            if let Err(error) = self.transmit(&packet, seed) {
                // No route or no peer: the router detects that by time-out.
                tracing::trace!(peer = %self.name, %error, "cannot send BFD packet");
            }
        }
        let discriminator = self.session.config().local;
        while self.session.poll_echo(now) {
            if let (Some(echo_socket), Some(echo_exchange), Some(IpAddr::V4(local))) =
                (echo_socket, &mut self.echo_exchange, local(self.tx_socket.as_ref()))
                && let Err(error) = echo_socket.send(discriminator, local, echo_exchange)
            {
                tracing::trace!(peer = %self.name, %error, "cannot send BFD echo");
            }
        }
    }

    fn transmit(&mut self, packet: &[u8], seed: u64) -> io::Result<()> {
        let tx_socket = match self.tx_socket.take() {
            Some(tx_socket) => tx_socket,
            None => socket::tx_socket(&self.target, hash(seed, &self.name))?,
        };
        match tx_socket.send(packet) {
            Ok(_) => {}
            // The error belongs to an earlier packet.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                tx_socket.send(packet)?;
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
            local: self.local(),
            hops: self.target.hops,
            up: self.session.state() == BfdState::Up,
            is_sole_receiver,
        }
    }

    fn local(&self) -> Option<IpAddr> {
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

/// Returns the address that packets are sent from.
fn local(tx_socket: Option<&UdpSocket>) -> Option<IpAddr> {
    Some(tx_socket?.local_addr().ok()?.ip())
}
