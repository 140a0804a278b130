//! The maps that the agent accesses through memory: liveness cells with the probe clock, and the flow table.

use std::time::Duration;

use lb_common::flows::{self, AGE_BITS, WAYS};
use lb_common::map_table::name;
use lb_common::maps::{Liveness, capacity};
use lb_common::ring::NodeIndex;

use crate::map_io::{MapsError, open_mapped};
use crate::mapping::MappedWords;
use crate::pins::Pins;

/// Ticks of silence that exceed every liveness limit and hold time.
const LONG_SILENCE: u32 = 1 << 24;

/// The liveness cells of all nodes and the probe clock (`lb_liveness`).
#[derive(Debug)]
pub struct LivenessCells(MappedWords);

impl LivenessCells {
    /// Maps the pinned cells.
    ///
    /// # Errors
    /// When they are not pinned or cannot be mapped.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        open_mapped(pins, name::LIVENESS, 1).map(Self)
    }

    /// Returns the probe clock.
    pub fn clock(&self) -> u32 {
        self.read(capacity::CLOCK as usize).last_seen
    }

    /// Sets the probe clock.
    pub(crate) fn set_clock(&self, value: u32) {
        self.write(capacity::CLOCK as usize, Liveness { last_seen: value, state: 0 });
    }

    /// Returns the liveness cell of a node.
    pub fn of(&self, node: NodeIndex) -> Liveness {
        self.read(usize::from(node))
    }

    /// Marks a node as dead for long: it has not died recently.
    pub(crate) fn forget(&self, node: NodeIndex) {
        let last_seen = self.clock().wrapping_sub(LONG_SILENCE);
        self.write(usize::from(node), Liveness::of_new_node(last_seen));
    }

    /// Notes that a node whose cell has never been used announces nothing, as far as is known.
    pub(crate) fn introduce(&self, node: NodeIndex) {
        let cell = self.of(node);
        if cell == Liveness::default() {
            self.write(usize::from(node), Liveness::of_new_node(cell.last_seen));
        }
    }

    fn read(&self, at: usize) -> Liveness {
        Liveness::from_word(self.0.read(at).unwrap_or_default())
    }

    fn write(&self, at: usize, liveness: Liveness) {
        let within = self.0.write(at, liveness.to_word());
        debug_assert!(within, "the map has a cell for every node and for the clock");
    }
}

/// When nodes last answered a probe (`lb_answered`).
#[derive(Debug)]
pub struct AnswerTimes(MappedWords);

impl AnswerTimes {
    /// Maps the pinned times.
    ///
    /// # Errors
    /// When they are not pinned or cannot be mapped.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        open_mapped(pins, name::ANSWERED, 1).map(Self)
    }

    /// Returns when a node last answered, since the start of `CLOCK_MONOTONIC`; `None` if it never has.
    pub fn of(&self, node: NodeIndex) -> Option<Duration> {
        let time = self.0.read(usize::from(node)).filter(|time| *time != 0)?;
        Some(Duration::from_nanos(time))
    }
}

/// The flow table (`lb_flows`).
#[derive(Debug)]
pub struct FlowTable(MappedWords);

/// Flows that are not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FlowCount {
    /// Flows that this node owns.
    pub owned: usize,
    /// Flows that this node has delegated.
    pub delegated: usize,
}

impl FlowTable {
    /// Maps the pinned table.
    ///
    /// # Errors
    /// When it is not pinned or cannot be mapped.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        open_mapped(pins, name::FLOWS, WAYS).map(Self)
    }

    /// Returns the ways of a set; zeros outside the table.
    pub fn set(&self, number: u32) -> [u64; WAYS] {
        let first = number as usize * WAYS;
        std::array::from_fn(|way| self.0.read(first + way).unwrap_or_default())
    }

    /// Returns the clock that ages of flows are compared with.
    pub fn age_clock() -> u16 {
        // As `flow_age` of the program: 2^34 ns are 17.2 s.
        let now = crate::bfd::monotonic().as_nanos() >> 34;
        (now & ((1 << AGE_BITS) - 1)) as u16
    }

    /// Returns the entries that it has room for.
    pub const fn capacity(&self) -> usize {
        self.0.len()
    }

    /// Counts the entries by the number of their state, 0 for free ones. Reads the whole table, which takes a
    /// few milliseconds.
    pub fn by_state(&self) -> [u64; 8] {
        let mut counts = [0; 8];
        for way in (0..self.0.len()).filter_map(|at| self.0.read(at)) {
            if let Some(count) = counts.get_mut(flows::state(way as u32) as usize) {
                *count += 1;
            }
        }
        counts
    }

    /// Counts the flows of node `own`. Reads the whole table, which takes a few milliseconds.
    pub fn count(&self, own: NodeIndex) -> FlowCount {
        let mut count = FlowCount::default();
        for way in (0..self.0.len()).filter_map(|at| self.0.read(at)).filter(|way| *way != 0) {
            let packed = way as u32;
            if flows::is_closed(packed) {
                continue;
            }
            if flows::holder(packed) == own { count.owned += 1 } else { count.delegated += 1 }
        }
        count
    }
}
