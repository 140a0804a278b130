//! The tracing program: loaded on demand with the pinned maps, and read while it is on the uplinks.

use std::io;

use aya::Ebpf;
use aya::maps::{Array, Map, MapData, MapError, PerCpuArray, RingBuf};
use lb_common::trace::{SETTINGS_WORDS, TraceCount, TraceRecord, TraceSettings, map};
use nix::time::{ClockId, clock_gettime};

use crate::attach::{AttachError, MapSizes, load_tracing};
use crate::attachment::TracingProgram;
use crate::pins::Pins;

/// The reason why a trace cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The program cannot be loaded.
    #[error("cannot load the tracing program: {0}")]
    Load(#[from] AttachError),
    /// A map of the program cannot be used.
    #[error("cannot use map {map} of the tracing program: {source}")]
    Map {
        /// The map's name.
        map: &'static str,
        /// The kernel's error.
        source: Box<MapError>,
    },
    /// The clock cannot be read.
    #[error("cannot read the monotonic clock: {0}")]
    Clock(#[source] io::Error),
}

/// What a trace reads and writes: the settings, the records and the counters.
pub struct TraceMaps {
    settings: Array<MapData, [u64; SETTINGS_WORDS]>,
    records: RingBuf<MapData>,
    counts: PerCpuArray<MapData, u64>,
}

/// A packet from the ring buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedFrame {
    /// The record.
    pub record: TraceRecord,
    /// The first bytes of the packet, as it arrived.
    pub bytes: Vec<u8>,
}

/// The counters of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceCounts {
    /// Packets that the trace asked for.
    pub matched: u64,
    /// Records that did not fit into the ring buffer.
    pub lost: u64,
}

/// Loads the tracing program with the pinned maps. Takes as long as the verifier does, so it blocks.
///
/// # Errors
/// See [`TraceError`].
pub fn load(object: &[u8], pins: &Pins, sizes: MapSizes) -> Result<(TracingProgram, TraceMaps), TraceError> {
    let mut ebpf = load_tracing(object, pins, sizes).map_err(AttachError::Maps)?;
    let maps = TraceMaps::take(&mut ebpf)?;
    Ok((TracingProgram::load(ebpf)?, maps))
}

/// Returns the nanoseconds since boot, as the program reads them.
///
/// # Errors
/// When the kernel has no such clock.
pub fn now() -> Result<u64, TraceError> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(|error| TraceError::Clock(error.into()))?;
    Ok(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

impl TraceMaps {
    /// Takes the maps out of the object. The program that is loaded from it uses them all the same.
    ///
    /// # Errors
    /// When the object lacks one.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self, TraceError> {
        Ok(Self {
            settings: taken(ebpf, map::SETTINGS)?,
            records: taken(ebpf, map::RECORDS)?,
            counts: taken(ebpf, map::COUNTS)?,
        })
    }

    /// Writes what to trace, and until when.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn set(&mut self, settings: &TraceSettings) -> Result<(), TraceError> {
        self.settings.set(0, settings.to_words(), 0).map_err(error(map::SETTINGS))
    }

    /// Takes at most `limit` packets from the ring buffer.
    pub fn take_frames(&mut self, limit: usize) -> Vec<TracedFrame> {
        let mut frames = Vec::new();
        while frames.len() < limit
            && let Some(item) = self.records.next()
        {
            frames.extend(
                TraceRecord::parse(&item)
                    .map(|(record, bytes)| TracedFrame { record, bytes: bytes.to_vec() }),
            );
        }
        frames
    }

    /// Returns the counters, summed over all CPUs.
    ///
    /// # Errors
    /// When the kernel refuses to read them.
    pub fn counts(&self) -> Result<TraceCounts, TraceError> {
        let count = |count: TraceCount| {
            let values = self.counts.get(&(count as u32), 0).map_err(error(map::COUNTS))?;
            Ok::<u64, TraceError>(values.iter().sum())
        };
        Ok(TraceCounts { matched: count(TraceCount::Matched)?, lost: count(TraceCount::Lost)? })
    }
}

fn taken<T: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, TraceError> {
    let missing = || MapError::InvalidName { name: name.to_owned() };
    ebpf.take_map(name).ok_or_else(missing).and_then(T::try_from).map_err(error(name))
}

fn error(map: &'static str) -> impl Fn(MapError) -> TraceError {
    move |source| TraceError::Map { map, source: Box::new(source) }
}
