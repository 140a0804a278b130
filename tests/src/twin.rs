//! One cluster on the host and in the kernel, in step.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use nix::time::{ClockId, clock_gettime};

use crate::kernel::{INGRESS, Kernel};
use crate::model::{self, Action, HostTables, Judged, Packet, State};
use crate::packets::fixture::Fixture;

/// The model and the program with the same maps.
pub struct Twin {
    fixture: Fixture,
    /// The model's.
    pub tables: HostTables,
    /// The program's.
    pub kernel: Kernel,
}

impl Twin {
    /// The same cluster twice.
    ///
    /// # Errors
    /// As [`Kernel::load`].
    pub fn new(fixture: Fixture) -> Result<Self> {
        let tables = fixture.tables();
        let kernel = Kernel::load(&tables)?;
        Ok(Self { fixture, tables, kernel })
    }

    /// Judges a packet on both, and says what differs. Also tells the interface that it is redirected to.
    ///
    /// # Errors
    /// As [`Kernel::judge`].
    pub fn judge(&mut self, packet: &Packet) -> Result<(Judged, Option<u32>, Option<String>)> {
        let (host, redirected_to) = model::run(&self.tables, packet, INGRESS);
        let kernel = self.kernel.judge(packet)?;
        let differs = (host != kernel).then(|| format!("host {host:02x?}\n  kernel {kernel:02x?}"));
        Ok((host, redirected_to, differs))
    }

    /// Judges a packet on both without a look at the kernel's counters, and says what differs.
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

    /// What packets have left behind on the host, and how the kernel differs from it.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn state(&self) -> Result<(State, Option<String>)> {
        let (host, kernel) = (self.tables.state(), self.kernel.state(&self.tables)?);
        let differs = (host != kernel).then(|| format!("host {host:x?}\n  kernel {kernel:x?}"));
        Ok((host, differs))
    }

    /// Forgets what packets have left behind, but for the counters; not shortly before a unit of the kernel's clock of
    /// ages ends, which stands still on the host.
    ///
    /// # Errors
    /// When a map cannot be written, or there is no clock.
    pub fn begin_anew(&mut self) -> Result<()> {
        let left = left_of_age()?;
        if left < UNDISTURBED {
            thread::sleep(left);
        }
        let sets = self.tables.forget_flows();
        self.fixture.begin_anew(&self.tables);
        self.kernel.begin_anew(&self.tables, &sets)
    }
}

/// For so long the age of flows stays the same after [`Twin::begin_anew`]: far longer than a row or a batch takes.
const UNDISTURBED: Duration = Duration::from_secs(2);
/// A unit of the age of flows, as the program counts it.
const AGE_UNIT: Duration = Duration::from_nanos(1 << 34);

/// For how long the kernel's clock of ages still shows what it shows now; a tick longer, because that clock is coarse.
///
/// # Errors
/// When there is no clock.
pub fn left_of_age() -> Result<Duration> {
    const TICK: Duration = Duration::from_millis(10);
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    let gone = now.as_nanos() % AGE_UNIT.as_nanos();
    Ok(AGE_UNIT - Duration::from_nanos(gone as u64) + TICK)
}
