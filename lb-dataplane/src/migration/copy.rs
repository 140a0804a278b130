//! Copies of entries from a map to one whose values have other fields.

use std::io;
use std::os::fd::AsFd;

use aya::maps::{MapData, MapInfo, MapType};
use aya::util::nr_cpus;

use super::fate::Move;
use crate::raw_map::RawMap;

/// The kernel aligns the value of each CPU to so many bytes.
const CPU_ALIGNMENT: usize = 8;

/// Why entries could not be copied.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    /// The kernel does not describe the map.
    #[error("cannot describe the map: {0}")]
    Info(#[from] aya::maps::MapError),
    /// The number of CPUs is unknown.
    #[error("the number of CPUs is unknown: {0}")]
    Cpus(io::Error),
    /// An entry cannot be read.
    #[error("cannot read an entry: {0}")]
    Read(io::Error),
    /// An entry cannot be written.
    #[error("cannot write an entry: {0}")]
    Write(io::Error),
    /// Entries come and go faster than they are read.
    #[error("its entries change faster than they are read")]
    Restless,
}

/// A map as it is copied: the bytes of a value, and of the values of all CPUs.
struct Side<'a> {
    map: RawMap<'a>,
    info: MapInfo,
    value_size: usize,
    /// The bytes between the values of two CPUs, and their number.
    cpus: (usize, usize),
}

/// Copies all entries, of an array those that both maps have.
pub(super) fn copy(old: &MapData, new: &MapData, moves: &[Move]) -> Result<(), CopyError> {
    let (from, to) = (Side::of(old)?, Side::of(new)?);
    match from.info.map_type()? {
        MapType::Array | MapType::PerCpuArray => {
            let entries = from.info.max_entries().min(to.info.max_entries());
            (0..entries).try_for_each(|index| copy_entry(&from, &to, moves, &index.to_ne_bytes()))
        }
        _ => copy_by_key(&from, &to, moves),
    }
}

fn copy_by_key(from: &Side<'_>, to: &Side<'_>, moves: &[Move]) -> Result<(), CopyError> {
    let mut key = None::<Vec<u8>>;
    // If the program removes the key that was read last, the kernel starts again.
    for _ in 0..=u64::from(from.info.max_entries()) * 2 {
        key = from.map.next_key(key.as_deref()).map_err(CopyError::Read)?;
        let Some(key) = &key else { return Ok(()) };
        copy_entry(from, to, moves, key)?;
    }
    Err(CopyError::Restless)
}

fn copy_entry(from: &Side<'_>, to: &Side<'_>, moves: &[Move], key: &[u8]) -> Result<(), CopyError> {
    let Some(value) = from.map.value(key).map_err(CopyError::Read)? else { return Ok(()) };
    // The new map's values are zero already where they have a place for every key.
    if from.is_array() && value.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    let (old_step, cpus) = from.cpus;
    let mut converted = Vec::with_capacity(to.cpus.0 * to.cpus.1);
    for cpu in 0..cpus {
        let value = value.get(cpu * old_step..).unwrap_or_default();
        let mut bytes = convert(value, to.value_size, moves);
        bytes.resize(to.cpus.0, 0);
        converted.append(&mut bytes);
    }
    to.map.write(key, &converted).map_err(CopyError::Write)
}

/// Returns a new value of this size with the moved bytes of an old one; the others are zero.
fn convert(old: &[u8], size: usize, moves: &[Move]) -> Vec<u8> {
    let mut new = vec![0; size];
    for Move { from, to, length } in moves {
        let (source, target) = (old.get(*from..from + length), new.get_mut(*to..to + length));
        if let (Some(source), Some(target)) = (source, target) {
            target.copy_from_slice(source);
        }
    }
    new
}

impl<'a> Side<'a> {
    fn of(data: &'a MapData) -> Result<Self, CopyError> {
        let info = data.info()?;
        let value_size = info.value_size() as usize;
        let cpus = match info.map_type()? {
            MapType::PerCpuArray => (
                value_size.next_multiple_of(CPU_ALIGNMENT),
                nr_cpus().map_err(|(_, error)| CopyError::Cpus(error))?,
            ),
            _ => (value_size, 1),
        };
        let map = RawMap::new(data.fd().as_fd(), info.key_size() as usize, cpus.0 * cpus.1);
        Ok(Self { map, info, value_size, cpus })
    }

    fn is_array(&self) -> bool {
        matches!(self.info.map_type(), Ok(MapType::Array | MapType::PerCpuArray))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_outside_a_value_are_not_moved() {
        let moves = [(0, 4, 4), (2, 0, 4), (0, 6, 4)].map(|(from, to, length)| Move { from, to, length });
        assert_eq!(convert(&[1, 2, 3, 4], 8, &moves), [0, 0, 0, 0, 1, 2, 3, 4]);
    }
}
