//! Access to pinned maps: open, read and write, with errors that name the map and the entry.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;

use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;

use crate::mapping::MappedWords;
use crate::pins::Pins;

/// The reason why an operation on a map failed.
#[derive(Debug, thiserror::Error)]
pub enum MapsError {
    /// A map cannot be opened.
    #[error("cannot open map {map}: {source}")]
    Open {
        /// The map's name.
        map: &'static str,
        /// The kernel's error.
        source: Box<MapError>,
    },
    /// A map cannot be read.
    #[error("cannot read map {map}: {source}")]
    Read {
        /// The map's name.
        map: &'static str,
        /// The kernel's error.
        source: Box<MapError>,
    },
    /// An entry cannot be written; in most cases the map is full.
    #[error("cannot write {entry} to map {map}: {source}")]
    Write {
        /// The map's name.
        map: &'static str,
        /// The entry, in readable form.
        entry: String,
        /// The kernel's error.
        source: Box<MapError>,
    },
    /// A map cannot be mapped into memory.
    #[error("cannot mmap map {map}: {source}")]
    Mapping {
        /// The map's name.
        map: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// The number of CPUs is unknown.
    #[error("cannot clear an entry of map {map}: the number of CPUs is unknown: {source}")]
    Cpus {
        /// The map's name.
        map: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// A slot outside the map.
    #[error("slot {0} is outside map lb_rings")]
    NoSuchSlot(usize),
    /// A bucket outside the map.
    #[error("bucket {0} is outside map {1}")]
    NoSuchBucket(usize, &'static str),
}

/// Opens a pinned map.
///
/// # Errors
/// When it is not pinned or of another type.
pub(crate) fn open<T: TryFrom<Map, Error = MapError>>(
    pins: &Pins,
    map: &'static str,
) -> Result<T, MapsError> {
    MapData::from_pin(pins.map(map))
        .and_then(Map::from_map_data)
        .and_then(T::try_from)
        .map_err(|source| MapsError::Open { map, source: Box::new(source) })
}

/// Returns the capacity of a pinned map.
///
/// # Errors
/// When it is not pinned.
pub(crate) fn capacity(pins: &Pins, name: &'static str) -> Result<u32, MapsError> {
    let opened = MapData::from_pin(pins.map(name)).and_then(|map| Ok(map.info()?.max_entries()));
    opened.map_err(|source| MapsError::Open { map: name, source: Box::new(source) })
}

/// Maps a pinned array, whose entries have `words` 64-bit words each, into memory.
///
/// # Errors
/// When it is not pinned or cannot be mapped.
pub fn open_mapped(pins: &Pins, name: &'static str, words: usize) -> Result<MappedWords, MapsError> {
    let opened = MapData::from_pin(pins.map(name)).and_then(|map| Ok((map.info()?.max_entries(), map)));
    let (entries, map) = opened.map_err(|source| MapsError::Open { map: name, source: Box::new(source) })?;
    MappedWords::new(map.fd(), entries as usize * words)
        .map_err(|source| MapsError::Mapping { map: name, source })
}

/// Reads all entries of a map.
pub(crate) fn entries<K: aya::Pod + Ord, V: aya::Pod>(
    map: &'static str,
    entries: &HashMap<MapData, K, V>,
) -> Result<BTreeMap<K, V>, MapsError> {
    entries.iter().collect::<Result<_, _>>().map_err(|e| read_error(map, e))
}

/// Returns the error of a failed read.
pub(crate) fn read_error(map: &'static str, source: MapError) -> MapsError {
    MapsError::Read { map, source: Box::new(source) }
}

/// Converts the result of a lookup; `None` if the map has no such entry.
pub(crate) fn found<V>(map: &'static str, result: Result<V, MapError>) -> Result<Option<V>, MapsError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(read_error(map, error)),
    }
}

/// Converts the result of a write.
pub(crate) fn written(
    map: &'static str,
    entry: &impl Debug,
    result: Result<(), MapError>,
) -> Result<(), MapsError> {
    result.map_err(|source| MapsError::Write { map, entry: format!("{entry:?}"), source: Box::new(source) })
}

/// Converts the result of a removal; a missing entry is no error.
pub(crate) fn removed(
    map: &'static str,
    entry: &impl Debug,
    result: Result<(), MapError>,
) -> Result<(), MapsError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(e)) if e.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => written(map, entry, other),
    }
}

/// Sets the counters of all CPUs in an entry to zero.
pub(crate) fn cleared<V: aya::Pod + Default>(
    map: &'static str,
    entry: &impl Debug,
    counters: &mut PerCpuArray<MapData, V>,
    number: u32,
) -> Result<(), MapsError> {
    let error = |source| MapsError::Cpus { map, source };
    let cpus = nr_cpus().map_err(|(_, source)| error(source))?;
    let zero = PerCpuValues::try_from(vec![V::default(); cpus]).map_err(error)?;
    written(map, entry, counters.set(number, zero, 0))
}
