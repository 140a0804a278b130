//! One session, and where its packets go out.

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

/// Time between two echoes of a router that the program in the kernel can return: it is as fast as forwarding.
const ECHO_RECEIVE: Duration = Duration::from_millis(10);

pub(super) struct SessionIo {
    pub(super) name: String,
    pub(super) target: BfdTarget,
    pub(super) session: Session,
    /// The interface that the neighbour's packets come by.
    pub(super) link: Option<u32>,
    /// Where packets go out, once there is a way.
    tx_socket: Option<UdpSocket>,
    /// Echoes, if they are desired and the neighbour's MAC is known.
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
            // Nobody answers for this process while it is away, so it does not say so (RFC 5880 section 4.1).
            control_plane_independent: false,
            echo_receive: Duration::ZERO,
        };
        let session = Session::new(config, hash(seed, &name), now);
        Self { name, target, session, link: None, tx_socket: None, echo_exchange: None }
    }

    /// Whether a session would be the same but for its profile.
    pub(super) fn has_same_path(&self, desired: &BfdTarget) -> bool {
        let BfdTarget { address, source, device, hops, profile: _ } = &self.target;
        (address, source, device, hops) == (&desired.address, &desired.source, &desired.device, &desired.hops)
    }

    /// What is desired of it, along the same path.
    pub(super) fn set(&mut self, desired: BfdTarget, now: Duration) {
        let differs = self.target.profile != desired.profile;
        self.target = desired;
        if differs {
            self.echo_exchange = self.echo_exchange.filter(|_| self.target.uses_echo());
            self.set_profile(now);
        }
    }

    /// Before a session is judged, what the kernel has seen of the router counts.
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
            // The program is on the way that the router's packets take, so it returns the router's echoes, too.
            if self.target.hops == Hops::Single {
                self.session.set_echo_receive(ECHO_RECEIVE);
            }
        }
    }

    /// The program notes packets of sessions that are up.
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

    /// A control packet between these two was heard from there. Echoes of its session go there from now on.
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

    /// An echo of this session has come back to an address.
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
                // No way there, or nobody: which the router finds out by its silence.
                tracing::trace!(peer = %self.name, %error, "cannot send a BFD packet");
            }
        }
        let discriminator = self.session.config().local;
        while self.session.poll_echo(now) {
            if let (Some(echo_socket), Some(echo_exchange), Some(IpAddr::V4(local))) =
                (echo_socket, &mut self.echo_exchange, local(self.tx_socket.as_ref()))
                && let Err(error) = echo_socket.send(discriminator, local, echo_exchange)
            {
                tracing::trace!(peer = %self.name, %error, "cannot send an echo");
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
            // What an earlier packet met with.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                tx_socket.send(packet)?;
            }
            Err(error) => return Err(error),
        }
        self.tx_socket = Some(tx_socket);
        Ok(())
    }

    /// The profile that was asked for; with echoes as soon as it is known where they go.
    fn set_profile(&mut self, now: Duration) {
        let SessionProfile { echo, .. } = self.target.profile;
        let echo = echo.filter(|_| self.echo_exchange.is_some());
        self.session.set_profile(SessionProfile { echo, ..self.target.profile }, now);
    }

    /// Its addresses, where `received` says whether the agent alone receives its packets.
    pub(super) fn addresses(&self, discriminator: Discriminator, received: bool) -> SessionAddresses {
        SessionAddresses {
            discriminator: discriminator.get(),
            remote: self.target.address,
            local: self.local(),
            hops: self.target.hops,
            up: self.session.state() == BfdState::Up,
            received,
        }
    }

    fn local(&self) -> Option<IpAddr> {
        local(self.tx_socket.as_ref())
    }

    pub(super) fn log(&self, change: &StateChange) {
        let peer = &self.name;
        match change.to {
            BfdState::Up => tracing::info!(%peer, "BFD session is up"),
            to if change.from == BfdState::Up => {
                tracing::warn!(%peer, state = to.name(), "BFD session is down: {}", change.diagnostic.description());
            }
            _ => {}
        }
    }
}

/// The address that packets go out from.
fn local(tx_socket: Option<&UdpSocket>) -> Option<IpAddr> {
    Some(tx_socket?.local_addr().ok()?.ip())
}
