//! The BFD sessions in the XDP program. It notes when it last saw a router's packet, even if this process has
//! not read it: a process starved of CPU does not mistake its own stall for the router's failure. And it
//! answers routers while this process sends nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lb_bfd::session::{Discriminator, LeftSession};
use lb_common::maps::{BfdAddress, capacity};
use lb_common::wire::bfd;
use nix::time::{ClockId, clock_gettime};

use lb_dataplane::bfd::{AgentCells, BfdMaps, BfdSessionConfig, InstalledSession, LastPacket};

/// The program's maps, and how long it answers without an agent.
pub struct BfdKernel {
    /// Sessions and addresses.
    pub maps: BfdMaps,
    /// Signs of life of this process.
    pub cells: AgentCells,
    /// Time without a sign of life after which the program stops answering.
    pub dead_after: Duration,
}

/// The sessions in the program, with times relative to the thread's start.
pub(super) struct KernelSessions {
    kernel: BfdKernel,
    /// The thread's start on the kernel's clock.
    start: Duration,
    /// Sessions of an earlier agent that have not been adopted yet.
    left: BTreeMap<u32, InstalledSession>,
    /// The sessions of this agent, as written.
    written: BTreeMap<Discriminator, BfdSessionConfig>,
    /// The addresses last written; `None` before, and after a failure.
    addresses: Option<BTreeMap<IpAddr, BfdAddress>>,
}

impl KernelSessions {
    /// Takes over the maps for a thread started at `start`.
    pub(super) fn new(kernel: BfdKernel, start: Instant) -> Option<Self> {
        let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?);
        let left = kernel.maps.sessions().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read the BFD sessions of an earlier agent; they start again");
            BTreeMap::new()
        });
        let start = now.saturating_sub(start.elapsed());
        Some(Self { kernel, start, left, written: BTreeMap::new(), addresses: None })
    }

    /// Notes that this process is alive.
    pub(super) fn note_alive(&self, now: Duration) {
        self.kernel.cells.note_alive(self.start + now);
    }

    /// Limits a sleep: a process that sleeps must not be taken for one that is gone.
    pub(super) fn limit_sleep(&self, sleep: Duration) -> Duration {
        sleep.min(self.kernel.dead_after / 8)
    }

    /// Takes over a session of an earlier agent with the same path.
    pub(super) fn adopt(
        &mut self,
        discriminator: Discriminator,
        remote: IpAddr,
        minimum_ttl: Option<u8>,
    ) -> Option<LeftSession> {
        let installed = self.left.remove(&discriminator.get())?;
        let InstalledSession { config, heard } = installed;
        let left = LeftSession {
            ours: config.ours,
            theirs: config.theirs,
            heard: heard?.saturating_sub(self.start),
        };
        if (config.remote, config.minimum_ttl) == (remote, minimum_ttl) {
            // Its number stays in use.
            self.written.insert(discriminator, config);
            return Some(left);
        }
        self.remove(discriminator.get());
        None
    }

    /// Removes the sessions of an earlier agent that have not been adopted, this time after the first
    /// targets. A peer may be known later than others: the router of an interface has to be discovered first.
    pub(super) fn forget_left(&mut self, waited: Duration) {
        if self.left.is_empty() || waited < self.kernel.dead_after {
            return;
        }
        for discriminator in std::mem::take(&mut self.left).into_keys() {
            self.remove(discriminator);
        }
    }

    /// Writes a session to the program unless it has it; `session` is given the session's number.
    pub(super) fn set(
        &mut self,
        discriminator: Discriminator,
        session: impl FnOnce(u16, Duration) -> BfdSessionConfig,
    ) {
        let Some(number) = self.number(discriminator) else { return };
        let mut session = session(number, self.kernel.dead_after);
        if let Some(written) = self.written.get(&discriminator) {
            // The program keeps the peer's packet itself, until another discriminator sends it.
            if bfd::is_same_sender(&bfd::words(&written.theirs), &bfd::words(&session.theirs)) {
                session.theirs = written.theirs;
            }
            if *written == session {
                return;
            }
        }
        match self.kernel.maps.write(discriminator.get(), &session) {
            Ok(()) => drop(self.written.insert(discriminator, session)),
            Err(error) => log_failure(&error),
        }
    }

    /// Removes a session from the program.
    pub(super) fn end(&mut self, discriminator: Discriminator) {
        if self.written.remove(&discriminator).is_some() {
            self.remove(discriminator.get());
        }
    }

    /// Notes that this process has sent a packet of a session.
    pub(super) fn note_sent(&self, discriminator: Discriminator, now: Duration) {
        if let Some(session) = self.written.get(&discriminator) {
            self.kernel.cells.note_bfd_sent(session.number, self.start + now);
        }
    }

    /// Writes the program's complete set of addresses.
    pub(super) fn set_addresses(&mut self, addresses: BTreeMap<IpAddr, BfdAddress>) {
        if self.addresses.as_ref() == Some(&addresses) {
            return;
        }
        match self.kernel.maps.set_addresses(&addresses) {
            Ok(()) => self.addresses = Some(addresses),
            Err(error) => {
                self.addresses = None;
                tracing::warn!(%error, "cannot update the XDP program's BFD addresses; packets from unknown senders reach the agent");
            }
        }
    }

    /// Returns the last packet of a session that the program has seen, if any, and when.
    pub(super) fn last_packet(&self, discriminator: Discriminator) -> Option<LastPacket> {
        let packet = self.kernel.maps.last_packet(discriminator.get()).ok()??;
        Some(LastPacket { at: packet.at.saturating_sub(self.start), ..packet })
    }

    /// Returns the number of a session: the one it has, or the lowest free one.
    fn number(&self, discriminator: Discriminator) -> Option<u16> {
        if let Some(session) = self.written.get(&discriminator) {
            return Some(session.number);
        }
        let left = self.left.values().map(|session| session.config.number);
        let used: BTreeSet<u16> = self.written.values().map(|session| session.number).chain(left).collect();
        (0..capacity::BFD as u16).find(|number| !used.contains(number))
    }

    fn remove(&mut self, discriminator: u32) {
        if let Err(error) = self.kernel.maps.remove(discriminator) {
            log_failure(&error);
        }
    }
}

/// Without the program, a session works like any other BFD session.
fn log_failure(error: &lb_dataplane::map_io::MapsError) {
    tracing::warn!(%error, "cannot update a BFD session in the XDP program; it may flap while this process is starved of CPU or restarts");
}
