//! One session, and where its packets go out.

use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use lb_bfd::session::{Discriminator, Hops, Session, SessionConfig, SessionProfile, StateChange};
use lb_bfd::state::BfdState;
use nix::sys::socket::LinkAddr;

use super::addresses::Ends;
use super::echo::{Echoes, Exchange};
use super::notes::Notes;
use super::{Watched, socket};
use crate::identity::hash;
use lb_dataplane::bfd;

/// Time between two echoes of a router that the program in the kernel can return: it is as fast as forwarding.
const ECHO_RECEIVE: Duration = Duration::from_millis(10);

pub(super) struct Driven {
    pub(super) name: String,
    pub(super) watched: Watched,
    pub(super) session: Session,
    /// The interface that the neighbour's packets come by.
    pub(super) link: Option<u32>,
    /// Where packets go out, once there is a way.
    mouth: Option<UdpSocket>,
    /// Echoes, if they are wanted and the neighbour's MAC is known.
    exchange: Option<Exchange>,
}

impl Driven {
    pub(super) fn new(
        name: String,
        watched: Watched,
        local: Discriminator,
        seed: u64,
        now: Duration,
    ) -> Self {
        let config = SessionConfig {
            local,
            hops: watched.hops,
            profile: SessionProfile { echo: None, ..watched.profile },
            // Nobody answers for this process while it is away, so it does not say so (RFC 5880 section 4.1).
            control_plane_independent: false,
            echo_receive: Duration::ZERO,
        };
        let session = Session::new(config, hash(seed, &name), now);
        Self { name, watched, session, link: None, mouth: None, exchange: None }
    }

    /// Whether a session would be the same but for its profile.
    pub(super) fn is_along(&self, wanted: &Watched) -> bool {
        let Watched { address, source, device, hops, profile: _ } = &self.watched;
        (address, source, device, hops) == (&wanted.address, &wanted.source, &wanted.device, &wanted.hops)
    }

    /// What is wanted of it, along the same path.
    pub(super) fn set(&mut self, wanted: Watched, now: Duration) {
        let differs = self.watched.profile != wanted.profile;
        self.watched = wanted;
        if differs {
            self.exchange = self.exchange.filter(|_| self.watched.wants_echo());
            self.set_profile(now);
        }
    }

    /// Before a session is judged, what the kernel has seen of the router counts.
    pub(super) fn believe(&mut self, discriminator: Discriminator, notes: Option<&Notes>, now: Duration) {
        let (Some(notes), BfdState::Up) = (notes, self.session.state()) else { return };
        let is_due = self.session.next_deadline().is_some_and(|deadline| deadline <= now);
        if let Some(at) = is_due.then(|| notes.heard(discriminator)).flatten() {
            self.session.handle_kernel_stamp(at);
            // The program is on the way that the router's packets take, so it returns the router's echoes, too.
            if self.watched.hops == Hops::Single {
                self.session.set_echo_receive(ECHO_RECEIVE);
            }
        }
    }

    /// The program notes packets of sessions that are up.
    pub(super) fn note(&mut self, discriminator: Discriminator, notes: Option<&mut Notes>) {
        let Some(notes) = notes else { return };
        match (self.session.state(), self.local()) {
            (BfdState::Up, Some(local)) => {
                let minimum_ttl = match self.watched.hops {
                    Hops::Single => None,
                    Hops::Multi { minimum_ttl } => Some(minimum_ttl),
                };
                let remote = self.watched.address;
                notes.begin(discriminator, &bfd::BfdSessionConfig { remote, local, minimum_ttl });
            }
            _ => {
                self.session.set_echo_receive(Duration::ZERO);
                notes.end(discriminator);
            }
        }
    }

    /// A control packet between these two was heard from there. Echoes of its session go there from now on.
    pub(super) fn learn(
        &mut self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        station: LinkAddr,
        now: Duration,
    ) {
        let is_its_own = self.watched.wants_echo()
            && self.watched.address == source
            && self.local() == Some(destination.into())
            && self.link.is_some_and(|link| link as usize == station.ifindex());
        match &mut self.exchange {
            _ if !is_its_own => {}
            Some(exchange) => exchange.station = station,
            None => {
                self.exchange = Some(Exchange::with(station));
                self.set_profile(now);
            }
        }
    }

    /// An echo of this session has come back to an address.
    pub(super) fn take_echo(
        &mut self,
        echoes: &Echoes,
        content: &lb_bfd::echo::EchoPayload,
        address: Ipv4Addr,
        at: Duration,
    ) {
        let is_here = self.local() == Some(address.into());
        if let Some(exchange) = self.exchange.as_mut().filter(|_| is_here)
            && exchange.takes(content, &echoes.key)
        {
            self.session.handle_echo(at);
        }
    }

    pub(super) fn send(&mut self, seed: u64, echoes: Option<&Echoes>, now: Duration) {
        while let Some(packet) = self.session.poll_packet(now) {
            if let Err(error) = self.say(&packet, seed) {
                // No way there, or nobody: which the router finds out by its silence.
                tracing::trace!(peer = %self.name, %error, "cannot send a BFD packet");
            }
        }
        let discriminator = self.session.config().local;
        while self.session.poll_echo(now) {
            if let (Some(echoes), Some(exchange), Some(IpAddr::V4(local))) =
                (echoes, &mut self.exchange, local(self.mouth.as_ref()))
                && let Err(error) = echoes.send(discriminator, local, exchange)
            {
                tracing::trace!(peer = %self.name, %error, "cannot send an echo");
            }
        }
    }

    fn say(&mut self, packet: &[u8], seed: u64) -> io::Result<()> {
        let mouth = match self.mouth.take() {
            Some(mouth) => mouth,
            None => socket::mouth(&self.watched, hash(seed, &self.name))?,
        };
        match mouth.send(packet) {
            Ok(_) => {}
            // What an earlier packet met with.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                mouth.send(packet)?;
            }
            Err(error) => return Err(error),
        }
        self.mouth = Some(mouth);
        Ok(())
    }

    /// The profile that was asked for; with echoes as soon as it is known where they go.
    fn set_profile(&mut self, now: Duration) {
        let SessionProfile { echo, .. } = self.watched.profile;
        let echo = echo.filter(|_| self.exchange.is_some());
        self.session.set_profile(SessionProfile { echo, ..self.watched.profile }, now);
    }

    /// Its addresses, where `received` says whether the agent alone receives its packets.
    pub(super) fn ends(&self, discriminator: Discriminator, received: bool) -> Ends {
        Ends {
            discriminator: discriminator.get(),
            remote: self.watched.address,
            local: self.local(),
            hops: self.watched.hops,
            up: self.session.state() == BfdState::Up,
            received,
        }
    }

    fn local(&self) -> Option<IpAddr> {
        local(self.mouth.as_ref())
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
fn local(mouth: Option<&UdpSocket>) -> Option<IpAddr> {
    Some(mouth?.local_addr().ok()?.ip())
}
