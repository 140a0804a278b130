//! What the program in the kernel has noted of sessions: when it saw a router's packet, even if this process did not
//! get to read it. A process that is kept from running does not take its own sleep for the router's death.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lb_bfd::session::Discriminator;
use lb_common::maps::BfdAddress;
use nix::time::{ClockId, clock_gettime};

use lb_dataplane::bfd::{BfdMaps, BfdSessionConfig};

/// The program's notes, by the driver's clock.
pub(super) struct Notes {
    sessions: BfdMaps,
    /// The driver's start by the kernel's clock.
    start: Duration,
    /// The addresses that the program knows; `None` before they have been written, and after that has failed.
    addresses: Option<BTreeMap<IpAddr, BfdAddress>>,
}

impl Notes {
    /// Notes for a driver whose time began at `start`. What an agent before this one has left is forgotten: its
    /// sessions are not this one's.
    pub(super) fn new(mut sessions: BfdMaps, start: Instant) -> Option<Self> {
        let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?);
        for left in sessions.discriminators().unwrap_or_default() {
            told(sessions.remove(left));
        }
        Some(Self { sessions, start: now.saturating_sub(start.elapsed()), addresses: None })
    }

    /// Has the program note the packets of a session.
    pub(super) fn begin(&mut self, discriminator: Discriminator, session: &BfdSessionConfig) {
        told(self.sessions.write(discriminator.get(), session));
    }

    /// Has the program forget a session.
    pub(super) fn end(&mut self, discriminator: Discriminator) {
        told(self.sessions.remove(discriminator.get()));
    }

    /// Has the program know these addresses and no others.
    pub(super) fn set_addresses(&mut self, addresses: BTreeMap<IpAddr, BfdAddress>) {
        if self.addresses.as_ref() == Some(&addresses) {
            return;
        }
        match self.sessions.set_addresses(&addresses) {
            Ok(()) => self.addresses = Some(addresses),
            Err(error) => {
                self.addresses = None;
                tracing::warn!(%error, "cannot tell the program whose BFD packets to pass; strangers' reach the agent");
            }
        }
    }

    /// When the program last saw the router say that the session is up.
    pub(super) fn heard(&self, discriminator: Discriminator) -> Option<Duration> {
        let heard = self.sessions.last_packet(discriminator.get()).ok()??;
        heard.is_up().then(|| heard.at.saturating_sub(self.start))
    }
}

/// Without the program's notes a session is as good as with any other BFD.
fn told(result: Result<(), lb_dataplane::maps::MapsError>) {
    if let Err(error) = result {
        tracing::warn!(%error, "the program does not note a BFD session: while this process is starved, it may flap");
    }
}
