//! The source ranges of VIPs, and the counters of the packets that they drop.

use std::collections::BTreeMap;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{MapData, PerCpuArray};
use lb_common::map_table::name;
use lb_common::maps::Source;
use lb_model::{SourceRange, SourceSet};
use lb_plan::contents::Op;

use crate::map_io::{MapsError, cleared, open, read_error, removed, written};
use crate::pins::Pins;

/// The value of every range in the map; only its presence counts.
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

    /// Admits a range of clients to a VIP.
    pub(super) fn write(&mut self, vip: u32, range: &SourceRange, op: &Op) -> Result<(), MapsError> {
        written(name::SOURCES, op, self.ranges.insert(&key(vip, range), ADMITTED, 0))
    }

    /// Removes a range of clients from a VIP.
    pub(super) fn remove(&mut self, vip: u32, range: &SourceRange, op: &Op) -> Result<(), MapsError> {
        removed(name::SOURCES, op, self.ranges.remove(&key(vip, range)))
    }

    /// Sets a VIP's counter to zero.
    pub(super) fn clear(&mut self, vip: u32, op: &Op) -> Result<(), MapsError> {
        cleared(name::SOURCE_REFUSED, op, &mut self.refused, vip)
    }

    /// Reads all ranges, by VIP number.
    pub(super) fn read(&self) -> Result<BTreeMap<u32, SourceSet>, MapsError> {
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
