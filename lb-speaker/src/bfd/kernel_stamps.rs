//! The XDP program's stamps of BFD sessions: when it last saw a router's packet, even if this process has not
//! read it. A process starved of CPU does not mistake its own stall for the router's failure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lb_bfd::session::Discriminator;
use lb_common::maps::BfdAddress;
use nix::time::{ClockId, clock_gettime};

use lb_dataplane::bfd::{BfdMaps, BfdSessionConfig};

/// The stamps, relative to the thread's start.
pub(super) struct KernelStamps {
    sessions: BfdMaps,
    /// The thread's start on the kernel's clock.
    start: Duration,
    /// The addresses last written; `None` before, and after a failure.
    addresses: Option<BTreeMap<IpAddr, BfdAddress>>,
}

impl KernelStamps {
    /// Takes over the maps for a thread started at `start`. Entries of an earlier agent are removed: its
    /// sessions are not ours.
    pub(super) fn new(mut sessions: BfdMaps, start: Instant) -> Option<Self> {
        let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?);
        for left in sessions.discriminators().unwrap_or_default() {
            log_failure(sessions.remove(left));
        }
        Some(Self { sessions, start: now.saturating_sub(start.elapsed()), addresses: None })
    }

    /// Registers a session with the program.
    pub(super) fn begin(&mut self, discriminator: Discriminator, session: &BfdSessionConfig) {
        log_failure(self.sessions.write(discriminator.get(), session));
    }

    /// Removes a session from the program.
    pub(super) fn end(&mut self, discriminator: Discriminator) {
        log_failure(self.sessions.remove(discriminator.get()));
    }

    /// Writes the program's complete set of addresses.
    pub(super) fn set_addresses(&mut self, addresses: BTreeMap<IpAddr, BfdAddress>) {
        if self.addresses.as_ref() == Some(&addresses) {
            return;
        }
        match self.sessions.set_addresses(&addresses) {
            Ok(()) => self.addresses = Some(addresses),
            Err(error) => {
                self.addresses = None;
                tracing::warn!(%error, "cannot update the XDP program's BFD addresses; packets from unknown senders reach the agent");
            }
        }
    }

    /// Returns when the program last saw a packet in state Up.
    pub(super) fn last_up(&self, discriminator: Discriminator) -> Option<Duration> {
        let packet = self.sessions.last_packet(discriminator.get()).ok()??;
        packet.is_up().then(|| packet.at.saturating_sub(self.start))
    }
}

/// Without stamps, a session works like any other BFD session.
fn log_failure(result: Result<(), lb_dataplane::map_io::MapsError>) {
    if let Err(error) = result {
        tracing::warn!(%error, "cannot update a BFD session in the XDP program; it may flap while this process is starved of CPU");
    }
}
