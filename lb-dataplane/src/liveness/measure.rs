//! What the liveness thread measures: round trips of probes, and failovers.
//!
//! The program notes the kernel's clock when an answer arrives, and this thread reads the same clock when it
//! sends a probe: so a round trip is measured to the microsecond, though liveness itself counts in ticks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lb_common::maps::Liveness;
use lb_common::ring::NodeIndex;
use prometheus::{Histogram, HistogramOpts};

use super::ProbedNodes;

/// Probes of a node whose answers are still of interest.
const PENDING: usize = 8;

/// Bounds of round trips, in seconds.
const ROUND_TRIP: [f64; 12] =
    [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];
/// Bounds of failovers, in seconds: the shortest detection time is some ten milliseconds.
const FAILOVER: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What the liveness thread has measured; clones are the same measurements.
#[derive(Clone, Debug)]
pub struct LivenessMeasurements {
    /// Times from a probe to its answer.
    pub round_trips: Histogram,
    /// Times from the last answer of a node to the moment from which new flows go elsewhere.
    pub failovers: Histogram,
    /// Deaths of nodes, by address.
    deaths: Arc<Mutex<BTreeMap<IpAddr, u64>>>,
}

impl LivenessMeasurements {
    /// Returns empty measurements.
    ///
    /// # Errors
    /// When a metric's name is invalid.
    pub fn new() -> Result<Self, prometheus::Error> {
        let round_trips = HistogramOpts::new(
            "fairlead_liveness_round_trip_seconds",
            "Time from a probe of another node to its answer",
        );
        let failovers = HistogramOpts::new(
            "fairlead_failover_seconds",
            "Time from the last answer of a node to the moment from which new flows go to other nodes",
        );
        Ok(Self {
            round_trips: Histogram::with_opts(round_trips.buckets(ROUND_TRIP.to_vec()))?,
            failovers: Histogram::with_opts(failovers.buckets(FAILOVER.to_vec()))?,
            deaths: Arc::default(),
        })
    }

    /// Returns how often each node has died while this agent probed it, by address.
    pub fn deaths(&self) -> BTreeMap<IpAddr, u64> {
        self.deaths.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The state of the measurements.
#[derive(Debug)]
pub(super) struct Measure {
    results: LivenessMeasurements,
    pending: BTreeMap<NodeIndex, PendingProbes>,
    dead: BTreeSet<NodeIndex>,
}

/// The last probes of a node.
#[derive(Debug, Default)]
struct PendingProbes {
    /// Value of the probe clock, and time since the start of `CLOCK_MONOTONIC`.
    sent: VecDeque<(u32, Duration)>,
}

impl PendingProbes {
    fn note(&mut self, sequence: u32, now: Duration) {
        if self.sent.len() == PENDING {
            self.sent.pop_front();
        }
        self.sent.push_back((sequence, now));
    }

    /// Takes the probe that was answered, and forgets those before it.
    fn answered(&mut self, sequence: u32) -> Option<Duration> {
        let at = self.sent.iter().position(|(sent, _)| *sent == sequence)?;
        self.sent.drain(..=at).next_back().map(|(_, time)| time)
    }
}

impl Measure {
    pub(super) fn new(results: LivenessMeasurements) -> Self {
        Self { results, pending: BTreeMap::new(), dead: BTreeSet::new() }
    }

    /// Probes these nodes from now on. A node that is new counts as dead until it has been seen alive, so its
    /// first silence is no failover.
    pub(super) fn set_targets(&mut self, before: &ProbedNodes, targets: &ProbedNodes) {
        self.pending.retain(|node, _| targets.contains_key(node));
        self.dead.retain(|node| targets.contains_key(node));
        for (node, probed) in targets {
            if before.get(node).is_none_or(|before| before.address != probed.address) {
                self.dead.insert(*node);
                self.pending.remove(node);
            }
        }
        let mut deaths = self.results.deaths.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses: BTreeSet<_> = targets.values().map(|probed| probed.address).collect();
        deaths.retain(|address, _| addresses.contains(address));
        // A series for each node, so that the first death of a node is an increase.
        addresses.into_iter().for_each(|address| {
            deaths.entry(address).or_default();
        });
    }

    /// Notes that a probe is sent. `now` is the time since the start of `CLOCK_MONOTONIC`.
    pub(super) fn handle_sent(&mut self, node: NodeIndex, sequence: u32, now: Duration) {
        self.pending.entry(node).or_default().note(sequence, now);
    }

    /// Handles the cell of a node. `answered` reads when its last answer arrived, and the cell again: another
    /// answer may have come in between.
    pub(super) fn handle_cell(
        &mut self,
        node: NodeIndex,
        cell: Liveness,
        answered: impl FnOnce() -> (Option<Duration>, Liveness),
    ) {
        let Some(sent) = self.pending.get_mut(&node).and_then(|pending| pending.answered(cell.last_seen))
        else {
            return;
        };
        let (answered, after) = answered();
        if let Some(answered) = answered.filter(|_| after.last_seen == cell.last_seen) {
            self.results.round_trips.observe(answered.saturating_sub(sent).as_secs_f64());
        }
    }

    /// Handles whether a node is dead. `answered` is when its last answer arrived.
    pub(super) fn handle_state(
        &mut self,
        node: NodeIndex,
        address: IpAddr,
        is_dead: bool,
        answered: Option<Duration>,
        now: Duration,
    ) {
        if !is_dead {
            self.dead.remove(&node);
            return;
        }
        if !self.dead.insert(node) {
            return;
        }
        *self.results.deaths.lock().unwrap_or_else(PoisonError::into_inner).entry(address).or_default() += 1;
        if let Some(answered) = answered {
            self.results.failovers.observe(now.saturating_sub(answered).as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use lb_bfd::initiator::ProbeTarget;

    use super::super::ProbedNode;
    use super::*;

    const NODE: NodeIndex = 3;
    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn measure() -> Measure {
        let target = ProbeTarget { discriminator: 1, own_discriminator: 2 };
        let probed = ProbedNode { address: ADDRESS, source: ADDRESS, target };
        let mut measure = Measure::new(LivenessMeasurements::new().unwrap());
        measure.set_targets(&ProbedNodes::new(), &ProbedNodes::from([(NODE, probed)]));
        measure
    }

    fn cell(last_seen: u32) -> Liveness {
        Liveness { last_seen, state: 0 }
    }

    #[test]
    fn a_round_trip_is_measured_once_from_the_probe_that_was_answered() {
        let mut measure = measure();
        measure.handle_sent(NODE, 5, ms(100));
        measure.handle_sent(NODE, 10, ms(150));
        for _ in 0..3 {
            measure.handle_cell(NODE, cell(5), || (Some(ms(102)), cell(5)));
        }
        let times = &measure.results.round_trips;
        assert_eq!(times.get_sample_count(), 1);
        assert!((times.get_sample_sum() - 0.002).abs() < 1e-9);
        // The answer came between the two reads.
        measure.handle_cell(NODE, cell(10), || (Some(ms(999)), cell(15)));
        // Not a probe of this agent.
        measure.handle_cell(NODE, cell(15), || (Some(ms(999)), cell(15)));
        assert_eq!(measure.results.round_trips.get_sample_count(), 1);
    }

    #[test]
    fn a_failover_is_the_end_of_a_node_that_was_alive() {
        let mut measure = measure();
        measure.handle_state(NODE, ADDRESS, true, None, ms(0));
        assert_eq!(measure.results.deaths(), BTreeMap::from([(ADDRESS, 0)]), "it was never alive");
        measure.handle_state(NODE, ADDRESS, false, Some(ms(100)), ms(110));
        for now in [250, 260] {
            measure.handle_state(NODE, ADDRESS, true, Some(ms(100)), ms(now));
        }
        assert_eq!(measure.results.deaths(), BTreeMap::from([(ADDRESS, 1)]));
        assert_eq!(measure.results.failovers.get_sample_count(), 1);
        assert!((measure.results.failovers.get_sample_sum() - 0.15).abs() < 1e-9);
        measure.set_targets(&ProbedNodes::new(), &ProbedNodes::new());
        assert!(measure.results.deaths().is_empty(), "a node that is gone leaves no series");
    }
}
