//! The source ranges of VIPs, and what has been dropped because of them.

use std::collections::BTreeMap;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{MapData, PerCpuArray};
use lb_common::map_table::name;
use lb_common::maps::Source;
use lb_plan::contents::{Op, SourceRange, Sources};

use super::maps::{MapsError, cleared, open, read_error, removed, written};
use super::pins::Pins;

/// What stands in the map of every range: only whether there is one counts.
const ADMITTED: u32 = 1;

/// `lb_sources` and `lb_src_refused`.
pub(super) struct SourceMaps {
    ranges: LpmTrie<MapData, Source, u32>,
    refused: PerCpuArray<MapData, u64>,
}

impl SourceMaps {
    /// Opens the pinned maps.
    ///
    /// # Errors
    /// When one is not pinned or not of this layout.
    pub(super) fn open(pins: &Pins) -> Result<Self, MapsError> {
        Ok(Self { ranges: open(pins, name::SOURCES)?, refused: open(pins, name::SOURCE_REFUSED)? })
    }

    /// Has a VIP admit a range of clients.
    pub(super) fn write(&mut self, vip: u32, range: &SourceRange, op: &Op) -> Result<(), MapsError> {
        written(name::SOURCES, op, self.ranges.insert(&key(vip, range), ADMITTED, 0))
    }

    /// Removes a range that a VIP admits.
    pub(super) fn remove(&mut self, vip: u32, range: &SourceRange, op: &Op) -> Result<(), MapsError> {
        removed(name::SOURCES, op, self.ranges.remove(&key(vip, range)))
    }

    /// Sets the counter of a VIP to zero.
    pub(super) fn clear(&mut self, vip: u32, op: &Op) -> Result<(), MapsError> {
        cleared(name::SOURCE_REFUSED, op, &mut self.refused, vip)
    }

    /// All ranges, by the numbers of VIPs.
    pub(super) fn read(&self) -> Result<BTreeMap<u32, Sources>, MapsError> {
        let mut ranges: BTreeMap<u32, Vec<SourceRange>> = BTreeMap::new();
        for key in self.ranges.keys() {
            let key = key.map_err(|error| read_error(name::SOURCES, error))?;
            let Source { vip, address } = key.data();
            ranges.entry(vip).or_default().push(SourceRange { address, bits: key.prefix_len() });
        }
        Ok(ranges.into_iter().map(|(vip, ranges)| (vip, ranges.into_iter().collect())).collect())
    }
}

const fn key(vip: u32, range: &SourceRange) -> Key<Source> {
    Key::new(range.bits, Source { vip, address: range.address })
}
