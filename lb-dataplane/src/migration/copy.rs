//! Copies of entries from a map to one whose values have other fields.

use std::io;

use aya::maps::{MapData, MapError};

use super::fate::Move;
use crate::raw_map::RawMap;

/// Why entries could not be copied.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    /// The kernel does not describe the map.
    #[error("cannot describe the map: {0}")]
    Info(#[from] MapError),
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

/// Copies all entries, of an array those that both maps have.
pub(super) fn copy(old: &MapData, new: &MapData, moves: &[Move]) -> Result<(), CopyError> {
    let (from, to) = (RawMap::of(old)?, RawMap::of(new)?);
    if from.is_array {
        let entries = from.entries.min(to.entries);
        return (0..entries).try_for_each(|index| copy_entry(&from, &to, moves, &index.to_ne_bytes()));
    }
    let mut key = None::<Vec<u8>>;
    // If the program removes the key that was read last, the kernel starts again.
    for _ in 0..=u64::from(from.entries) * 2 {
        key = from.next_key(key.as_deref()).map_err(CopyError::Read)?;
        let Some(key) = &key else { return Ok(()) };
        copy_entry(&from, &to, moves, key)?;
    }
    Err(CopyError::Restless)
}

fn copy_entry(from: &RawMap<'_>, to: &RawMap<'_>, moves: &[Move], key: &[u8]) -> Result<(), CopyError> {
    let Some(value) = from.value(key).map_err(CopyError::Read)? else { return Ok(()) };
    // A new array is zero already.
    if from.is_array && value.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    let mut converted = Vec::with_capacity(to.stride * to.values);
    for value in value.chunks(from.stride) {
        let mut bytes = convert(value, to.value_size, moves);
        bytes.resize(to.stride, 0);
        converted.append(&mut bytes);
    }
    to.write(key, &converted).map_err(CopyError::Write)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_outside_a_value_are_not_moved() {
        let moves = [(0, 4, 4), (2, 0, 4), (0, 6, 4)].map(|(from, to, length)| Move { from, to, length });
        assert_eq!(convert(&[1, 2, 3, 4], 8, &moves), [0, 0, 0, 0, 1, 2, 3, 4]);
    }
}
