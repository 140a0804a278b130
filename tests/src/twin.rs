//! The host model and the kernel program side by side, with the same maps and the same packets.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use lb_dataplane::tracing_program::TraceMaps;
use nix::time::{ClockId, clock_gettime};

use crate::kernel::{INGRESS, Kernel};
use crate::model::{self, Action, HostTables, Judged, Packet, State};
use crate::packets::fixture::Fixture;

/// The host model and the kernel program with the same maps.
pub struct Twin {
    fixture: Fixture,
    /// The model's tables.
    pub tables: HostTables,
    /// The program in the kernel.
    pub kernel: Kernel,
}

impl Twin {
    /// Loads one cluster into both.
    ///
    /// # Errors
    /// As [`Kernel::load`].
    pub fn new(fixture: Fixture) -> Result<Self> {
        let tables = fixture.tables();
        let kernel = Kernel::load(&tables)?;
        Ok(Self { fixture, tables, kernel })
    }

    /// Loads one cluster into both, with the tracing program in the kernel.
    ///
    /// # Errors
    /// As [`Kernel::load`].
    pub fn tracing(fixture: Fixture) -> Result<(Self, TraceMaps)> {
        let tables = fixture.tables();
        let (kernel, maps) = Kernel::load_tracing(&tables)?;
        Ok((Self { fixture, tables, kernel }, maps))
    }

    /// Runs a packet on both. Returns the verdict, the interface that it is redirected to, and any
    /// difference.
    ///
    /// # Errors
    /// As [`Kernel::judge`].
    pub fn judge(&mut self, packet: &Packet) -> Result<(Judged, Option<u32>, Option<String>)> {
        let (host, redirected_to) = model::run(&self.tables, packet, INGRESS);
        let kernel = self.kernel.judge(packet)?;
        let differs = (host != kernel).then(|| format!("host {host:02x?}\n  kernel {kernel:02x?}"));
        Ok((host, redirected_to, differs))
    }

    /// Runs a packet on both without reading the kernel's counters. Returns the verdict and any difference.
    ///
    /// # Errors
    /// As [`Kernel::run`].
    pub fn run(&mut self, packet: &Packet) -> Result<(Judged, Option<String>)> {
        let (host, _) = model::run(&self.tables, packet, INGRESS);
        let kernel: (Action, Vec<u8>) = self.kernel.run(packet)?;
        let same = host.action == kernel.0 && host.bytes == kernel.1;
        let differs = (!same).then(|| format!("host {host:02x?}\nkernel {kernel:02x?}"));
        Ok((host, differs))
    }

    /// Returns the state that packets have left on the host, and how the kernel's differs.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn state(&self) -> Result<(State, Option<String>)> {
        let (host, kernel) = (self.tables.state(), self.kernel.state(&self.tables)?);
        let differs = (host != kernel).then(|| format!("host {host:x?}\n  kernel {kernel:x?}"));
        Ok((host, differs))
    }

    /// Resets the state that packets have left, except the counters. Waits if the kernel's age clock, which
    /// stands still on the host, is about to tick.
    ///
    /// # Errors
    /// When a map cannot be written, or there is no clock.
    pub fn reset(&mut self) -> Result<()> {
        let left = until_age_tick()?;
        if left < AGE_CLOCK_STANDS {
            thread::sleep(left);
        }
        let sets = self.tables.forget_flows();
        self.fixture.reset(&self.tables);
        self.kernel.reset(&self.tables, &sets)
    }
}

/// How long the age clock does not tick after [`Twin::reset`]: far longer than a row or a batch takes.
const AGE_CLOCK_STANDS: Duration = Duration::from_secs(2);
/// A tick of the age clock of flows, as the program counts it.
const AGE_UNIT: Duration = Duration::from_nanos(1 << 34);

/// Returns the time until the kernel's age clock ticks, plus one tick of the coarse clock that it reads.
///
/// # Errors
/// When there is no clock.
pub fn until_age_tick() -> Result<Duration> {
    const TICK: Duration = Duration::from_millis(10);
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    let gone = now.as_nanos() % AGE_UNIT.as_nanos();
    Ok(AGE_UNIT - Duration::from_nanos(gone as u64) + TICK)
}
