//! What the program counted, summed over the CPUs.

use aya::maps::{MapData, MapError, PerCpuArray};
use lb_common::map_table::name;
use lb_common::maps::Traffic;
use lb_common::verdict::{COUNTERS, Fate};
use serde::Serialize;

use super::pins::Pins;

/// The program's counters.
pub struct Counters {
    outcomes: PerCpuArray<MapData, u64>,
    vips: PerCpuArray<MapData, Traffic>,
    nodes: PerCpuArray<MapData, Traffic>,
    source_refused: PerCpuArray<MapData, u64>,
}

/// Packets that had one outcome.
#[derive(Clone, Debug, Serialize)]
pub struct OutcomeCount {
    /// The outcome or refusal.
    pub name: &'static str,
    /// Whether such packets are dropped.
    pub dropped: bool,
    /// How many there were.
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
        })
    }

    /// Every outcome and refusal, in order of their numbers.
    ///
    /// # Errors
    /// When the kernel refuses the look-up.
    pub fn outcomes(&self) -> Result<Vec<OutcomeCount>, MapError> {
        COUNTERS
            .iter()
            .map(|&(number, name, fate)| {
                let packets = self.outcomes.get(&number, 0)?.iter().sum();
                Ok(OutcomeCount { name, dropped: fate == Fate::Drop, packets })
            })
            .collect()
    }

    /// What came for the VIP of a number.
    ///
    /// # Errors
    /// When the kernel refuses the look-up.
    pub fn vip(&self, number: u32) -> Result<Traffic, MapError> {
        Ok(sum(&self.vips.get(&number, 0)?))
    }

    /// Packets that were dropped because the VIP of a number does not admit their client.
    ///
    /// # Errors
    /// When the kernel refuses the look-up.
    pub fn source_refused(&self, number: u32) -> Result<u64, MapError> {
        Ok(self.source_refused.get(&number, 0)?.iter().sum())
    }

    /// What was forwarded to the node of an index.
    ///
    /// # Errors
    /// When the kernel refuses the look-up.
    pub fn node(&self, index: u16) -> Result<Traffic, MapError> {
        Ok(sum(&self.nodes.get(&u32::from(index), 0)?))
    }
}

fn sum(cpus: &[Traffic]) -> Traffic {
    cpus.iter().fold(Traffic::default(), |sum, cpu| Traffic {
        packets: sum.packets + cpu.packets,
        bytes: sum.bytes + cpu.bytes,
    })
}
