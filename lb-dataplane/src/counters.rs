//! The program's counters, summed over all CPUs.
//!
//! They are read in batches, a system call for some hundred entries of an array: a scrape reads tens of
//! thousands. The kernel takes no lock for it, so the program counts on meanwhile.

use std::borrow::Cow;

use aya::maps::{MapData, MapError};
use lb_common::flows::FlowState;
use lb_common::map_table::name;
use lb_common::maps::{Traffic, capacity, flow_event};
use lb_common::verdict::{COUNTERS, Fate};
use serde::{Deserialize, Serialize};

use super::pins::Pins;
use crate::raw_map::RawMap;

/// Bytes of a batch: with many CPUs, an entry has a value for each.
const BATCH_BYTES: usize = 1 << 20;

/// The program's counters.
pub struct Counters {
    outcomes: MapData,
    vips: MapData,
    new_flows: MapData,
    nodes: MapData,
    source_refused: MapData,
    layer2: MapData,
    flow_events: MapData,
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

/// The counters of a VIP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VipCount {
    /// Packets received for it.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// New flows that this node has taken.
    pub new_flows: u64,
    /// Packets that were dropped because its source ranges exclude their client; not among `packets`.
    pub source_refused: u64,
}

/// The counters of VIPs, by their numbers.
#[derive(Clone, Debug, Default)]
pub struct VipCounts {
    /// The number of the first one.
    first: u32,
    traffic: Vec<[u64; 2]>,
    new_flows: Vec<[u64; 1]>,
    source_refused: Vec<[u64; 1]>,
}

impl VipCounts {
    /// Returns the counters of a VIP; zeros if it was not read.
    pub fn of(&self, number: u32) -> VipCount {
        let Some(at) = number.checked_sub(self.first) else { return VipCount::default() };
        let at = at as usize;
        let [packets, bytes] = self.traffic.get(at).copied().unwrap_or_default();
        let [new_flows] = self.new_flows.get(at).copied().unwrap_or_default();
        let [source_refused] = self.source_refused.get(at).copied().unwrap_or_default();
        VipCount { packets, bytes, new_flows, source_refused }
    }
}

/// Changes of the table of flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowEvents([u64; flow_event::COUNT]);

impl FlowEvents {
    /// Returns how many flows were recorded as another node's.
    pub const fn delegated(&self) -> u64 {
        self.0[flow_event::DELEGATED as usize]
    }

    /// Returns how many entries in this state were evicted by other flows.
    pub const fn evicted(&self, state: FlowState) -> u64 {
        self.0[flow_event::evicted(state) as usize]
    }
}

impl Counters {
    /// Opens the pinned counters.
    ///
    /// # Errors
    /// When they are not pinned, or not of this layout.
    pub fn open(pins: &Pins) -> Result<Self, MapError> {
        let open = |map| MapData::from_pin(pins.map(map));
        Ok(Self {
            outcomes: open(name::VERDICTS)?,
            vips: open(name::VIP_STATS)?,
            new_flows: open(name::VIP_FLOWS)?,
            nodes: open(name::NODE_STATS)?,
            source_refused: open(name::SOURCE_REFUSED)?,
            layer2: open(name::L2_STATS)?,
            flow_events: open(name::FLOW_EVENTS)?,
        })
    }

    /// Returns the count of every verdict, in the order of their numbers.
    ///
    /// # Errors
    /// When the kernel refuses the lookup.
    pub fn outcomes(&self) -> Result<Vec<VerdictCount>, MapError> {
        let counts = sums::<1>(&self.outcomes, 0, capacity::VERDICTS as u32)?;
        let of = |number: u32| counts.get(number as usize).map_or(0, |[packets]| *packets);
        let count = |&(number, name, fate): &(u32, &'static str, Fate)| VerdictCount {
            name: name.into(),
            dropped: fate == Fate::Drop,
            packets: of(number),
        };
        Ok(COUNTERS.iter().map(count).collect())
    }

    /// Returns the counters of a VIP.
    ///
    /// # Errors
    /// When the kernel refuses the lookup.
    pub fn vip(&self, number: u32) -> Result<VipCount, MapError> {
        let end = number.saturating_add(1);
        Ok(self.range(number, end)?.of(number))
    }

    /// Returns the counters of the VIPs with these numbers.
    ///
    /// # Errors
    /// When the kernel refuses the lookup.
    pub fn vips(&self, numbers: impl Iterator<Item = u32>) -> Result<VipCounts, MapError> {
        self.range(0, end_of(numbers))
    }

    fn range(&self, first: u32, end: u32) -> Result<VipCounts, MapError> {
        Ok(VipCounts {
            first,
            traffic: sums(&self.vips, first, end)?,
            new_flows: sums(&self.new_flows, first, end)?,
            source_refused: sums(&self.source_refused, first, end)?,
        })
    }

    /// Returns the number of ARP requests and Neighbor Solicitations that were answered, by the number of the
    /// address, up to the highest of these.
    ///
    /// # Errors
    /// When the kernel refuses the lookup.
    pub fn layer2_answered(&self, numbers: impl Iterator<Item = u32>) -> Result<Vec<u64>, MapError> {
        Ok(sums::<1>(&self.layer2, 0, end_of(numbers))?.into_iter().map(|[answered]| answered).collect())
    }

    /// Returns the traffic forwarded to each node, by its index.
    ///
    /// # Errors
    /// When the kernel refuses the lookup.
    pub fn nodes(&self) -> Result<Vec<Traffic>, MapError> {
        let traffic = |[packets, bytes]: [u64; 2]| {
            #[allow(clippy::needless_update, reason = "the layout for tests has one more field")]
            Traffic { packets, bytes, ..Traffic::default() }
        };
        Ok(sums::<2>(&self.nodes, 0, capacity::NODES as u32)?.into_iter().map(traffic).collect())
    }

    /// Returns the changes of the table of flows.
    ///
    /// # Errors
    /// When the kernel refuses the lookup.
    pub fn flow_events(&self) -> Result<FlowEvents, MapError> {
        let counts = sums::<1>(&self.flow_events, 0, flow_event::COUNT as u32)?;
        let mut events = FlowEvents::default();
        events.0.iter_mut().zip(counts).for_each(|(event, [count])| *event = count);
        Ok(events)
    }
}

/// Returns the number after the highest one: all entries before it are read, which takes few calls.
fn end_of(numbers: impl Iterator<Item = u32>) -> u32 {
    numbers.max().map_or(0, |last| last.saturating_add(1))
}

/// Returns the first `N` words of the entries of a per-CPU array from `begin` to below `end`, each summed
/// over the CPUs.
fn sums<const N: usize>(map: &MapData, begin: u32, end: u32) -> Result<Vec<[u64; N]>, MapError> {
    let map = RawMap::of(map)?;
    let end = end.min(map.entries);
    let entry = map.stride * map.values;
    let wanted = end.saturating_sub(begin);
    let per_batch = (BATCH_BYTES / entry.max(1)).clamp(1, wanted.max(1) as usize) as u32;
    let mut buffer = vec![0; entry * per_batch as usize];
    let mut all = Vec::with_capacity(wanted as usize);
    while (all.len() as u32) < wanted {
        let first = begin + all.len() as u32;
        let count = per_batch.min(end - first);
        let values = buffer.get_mut(..entry * count as usize).unwrap_or_default();
        let read = map.batch(first, count, values).map_err(MapError::IoError)?;
        if read == 0 {
            break;
        }
        all.extend(values.chunks_exact(entry).take(read as usize).map(|cpus| sum(cpus, map.stride)));
    }
    Ok(all)
}

/// Sums the first `N` words of the values of an entry.
fn sum<const N: usize>(cpus: &[u8], stride: usize) -> [u64; N] {
    let mut total = [0u64; N];
    for cpu in cpus.chunks_exact(stride) {
        for (sum, word) in total.iter_mut().zip(cpu.as_chunks::<8>().0) {
            *sum = sum.wrapping_add(u64::from_ne_bytes(*word));
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_summed_over_the_cpus_and_later_words_are_left_out() {
        let words = [1u64, 10, 99, 2, 20, 99];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(sum::<2>(&bytes, 24), [3, 30]);
        assert_eq!(sum::<1>(&bytes[..8], 8), [1]);
    }
}
