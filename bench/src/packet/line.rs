//! The measured values of a case.

use super::case::CaseSize;

/// One line of the report, in nanoseconds per packet.
#[derive(Clone, Debug)]
pub struct Line {
    /// Kind of packet.
    pub case: &'static str,
    /// Flows.
    pub flows: u32,
    /// VIPs.
    pub vips: u16,
    /// Rings.
    pub rings: u16,
    /// The fastest round, harness included.
    pub minimum: u64,
    /// The middle round, harness included.
    pub median: u64,
    /// The fastest round without the fastest of the harness alone.
    pub net_minimum: u64,
    /// The middle round without the middle one of the harness alone.
    pub net_median: u64,
    /// Cost relative to the reference: of a miss to its misses, of all others to a flow in its LRU.
    pub to_reference: Option<Ratio>,
    /// Cost relative to the floor.
    pub to_floor: Option<Ratio>,
}

/// The cost of a case divided by that of another one, without the harness.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    /// Of the fastest rounds.
    pub minimum: f64,
    /// Of the middle rounds.
    pub median: f64,
}

impl Line {
    /// Creates a line from the fastest and the median round, and from those of the harness alone.
    pub fn new(case: &'static str, size: CaseSize, harness: [u64; 2], [minimum, median]: [u64; 2]) -> Self {
        let CaseSize { flows, vips, rings } = size;
        let [net_minimum, net_median] =
            [minimum.saturating_sub(harness[0]), median.saturating_sub(harness[1])];
        let (to_reference, to_floor) = (None, None);
        Self { case, flows, vips, rings, minimum, median, net_minimum, net_median, to_reference, to_floor }
    }

    /// Returns flows, VIPs and rings.
    pub const fn size(&self) -> CaseSize {
        CaseSize { flows: self.flows, vips: self.vips, rings: self.rings }
    }

    /// Returns the cost relative to another case; `None` if that one costs nothing measurable.
    pub fn ratio_to(&self, other: &Self) -> Option<Ratio> {
        if other.net_minimum == 0 || other.net_median == 0 {
            return None;
        }
        let ratio = |one, other| one as f64 / other as f64;
        Some(Ratio {
            minimum: ratio(self.net_minimum, other.net_minimum),
            median: ratio(self.net_median, other.net_median),
        })
    }
}
