//! Durations that the agent measures, as histograms.

use std::time::Duration;

use lb_dataplane::liveness::LivenessMeasurements;
use lb_runtime::metrics::MetricSink;
use prometheus::{Histogram, HistogramOpts};

/// Bounds of durations of the control loop, in seconds.
const WORK: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Bounds of announcement latencies, in seconds: a duplicate check takes some seconds.
const ANNOUNCEMENT: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// What the agent has measured since it started; clones are the same measurements.
#[derive(Clone, Debug)]
pub struct Measurements {
    /// Passes of the control loop.
    pub reconcile: Histogram,
    /// Times in which a pass wrote its operations to the maps, if it had any.
    pub map_write: Histogram,
    /// Times from the start of a pass that changed rings to its last write of a slot.
    pub ring_update: Histogram,
    /// Times from the change of a Service to the announcement of its new addresses.
    pub announcement: Histogram,
    /// What the liveness thread measures.
    pub liveness: LivenessMeasurements,
}

impl Measurements {
    /// Returns empty measurements.
    ///
    /// # Errors
    /// When a metric's name is invalid.
    pub fn new() -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str, bounds: &[f64]| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec()))
        };
        Ok(Self {
            reconcile: histogram("fairlead_reconcile_seconds", "Time of a pass of the control loop", &WORK)?,
            map_write: histogram(
                "fairlead_map_write_seconds",
                "Time in which a pass wrote its changes to the maps",
                &WORK,
            )?,
            ring_update: histogram(
                "fairlead_ring_update_seconds",
                "Time from the start of a pass that changed rings to its last write of a slot",
                &WORK,
            )?,
            announcement: histogram(
                "fairlead_announcement_latency_seconds",
                "Time from the change of a Service to the advertisement of its new routes, or the announcement of \
                 its new addresses",
                &ANNOUNCEMENT,
            )?,
            liveness: LivenessMeasurements::new()?,
        })
    }

    /// Registers all histograms.
    pub(crate) fn register(&self, sink: &impl MetricSink) -> Result<(), prometheus::Error> {
        let Self { reconcile, map_write, ring_update, announcement, liveness } = self;
        let LivenessMeasurements { round_trips, failovers, .. } = liveness;
        let all = [reconcile, map_write, ring_update, announcement, round_trips, failovers];
        all.into_iter().try_for_each(|histogram| sink.register(Box::new(histogram.clone())))
    }

    /// Observes a pass of the control loop.
    pub(crate) fn handle_pass(&self, took: Duration, writes: &MapWrites) {
        self.reconcile.observe(took.as_secs_f64());
        if let Some(took) = writes.took {
            self.map_write.observe(took.as_secs_f64());
        }
        if let Some(took) = writes.rings_after {
            self.ring_update.observe(took.as_secs_f64());
        }
    }
}

/// The times of a pass's writes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MapWrites {
    /// From the first to the last; `None` if there were none.
    pub(crate) took: Option<Duration>,
    /// From the start of the pass to the last write of a slot, if it wrote any.
    pub(crate) rings_after: Option<Duration>,
}
