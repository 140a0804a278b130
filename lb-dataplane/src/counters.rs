//! The program's counters, summed over all CPUs.

use std::borrow::Cow;

use aya::maps::{MapData, MapError, PerCpuArray};
use lb_common::map_table::name;
use lb_common::maps::Traffic;
use lb_common::verdict::{COUNTERS, Fate};
use serde::{Deserialize, Serialize};

use super::pins::Pins;

/// The program's counters.
pub struct Counters {
    outcomes: PerCpuArray<MapData, u64>,
    vips: PerCpuArray<MapData, Traffic>,
    nodes: PerCpuArray<MapData, Traffic>,
    source_refused: PerCpuArray<MapData, u64>,
    layer2: PerCpuArray<MapData, u64>,
}

/// The number of packets with one verdict.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerdictCount {
    /// The verdict's name.
    pub name: Cow<'static, str>,
    /// Whether the verdict drops packets.
    pub dropped: bool,
    /// The number of packets.
    pub packets: u64,
}

impl Counters {
    /// Opens the pinned counters.
    ///
    /// # Errors
    /// When they are not pinned, or not of this layout.
    pub fn open(pins: &Pins) -> Result<Self, MapError> {
        let open = |map| MapData::from_pin(pins.map(map));
        Ok(Self {
            outcomes: PerCpuArray::try_from(aya::maps::Map::from_map_data(open(name::VERDICTS)?)?)?,
            vips: PerCpuArray::try_from(aya::maps::Map::from_map_data(open(name::VIP_STATS)?)?)?,
            nodes: PerCpuArray::try_from(aya::maps::Map::from_map_data(open(name::NODE_STATS)?)?)?,
            source_refused: PerCpuArray::try_from(aya::maps::Map::from_map_data(open(
                name::SOURCE_REFUSED,
            )?)?)?,
            layer2: PerCpuArray::try_from(aya::maps::Map::from_map_data(open(name::L2_STATS)?)?)?,
        })
    }

    /// Returns the count of every verdict, in the order of their numbers.
    ///
    /// # Errors
    /// When the kernel refuses the lookup.
    pub fn outcomes(&self) -> Result<Vec<VerdictCount>, MapError> {
        COUNTERS
            .iter()
            .map(|&(number, name, fate)| {
                let packets = self.outcomes.get(&number, 0)?.iter().sum();
                Ok(VerdictCount { name: name.into(), dropped: fate == Fate::Drop, packets })
            })
            .collect()
    }

    /// Returns the traffic to a VIP, by its number.
    ///
    /// # Errors
    /// When the kernel refuses the lookup.
    pub fn vip(&self, number: u32) -> Result<Traffic, MapError> {
        Ok(sum(&self.vips.get(&number, 0)?))
    }

    /// Returns the number of packets to a VIP that were dropped because its source ranges exclude their
    /// client.
    ///
    /// # Errors
    /// When the kernel refuses the lookup.
    pub fn source_refused(&self, number: u32) -> Result<u64, MapError> {
        Ok(self.source_refused.get(&number, 0)?.iter().sum())
    }

    /// Returns the number of ARP requests and Neighbor Solicitations for an address that were answered, by
    /// the address's number.
    ///
    /// # Errors
    /// When the kernel refuses the lookup.
    pub fn layer2_answered(&self, number: u32) -> Result<u64, MapError> {
        Ok(self.layer2.get(&number, 0)?.iter().sum())
    }

    /// Returns the traffic forwarded to a node, by its index.
    ///
    /// # Errors
    /// When the kernel refuses the lookup.
    pub fn node(&self, index: u16) -> Result<Traffic, MapError> {
        Ok(sum(&self.nodes.get(&u32::from(index), 0)?))
    }
}

fn sum(cpus: &[Traffic]) -> Traffic {
    cpus.iter().fold(Traffic::default(), |mut sum, cpu| {
        sum.packets += cpu.packets;
        sum.bytes += cpu.bytes;
        sum
    })
}
