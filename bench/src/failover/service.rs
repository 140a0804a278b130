//! When a Service served its clients, judged from probes or requests: pure.
//!
//! ```text
//! probes    ✓✓✓✓✓✗✓✗✗✓✗✓✓✓✓✓✓✓✓✓✓✓✓✓✓✓✓✗✗✗✓✓✓
//!           ── ↑    └─────┘                └──┘
//!         event     outage                outage     two outages, since more than `APART` lies between
//! ```

use std::time::Duration;

/// Outages are one if less than this is between them: when one of several nodes is dead, lost and answered
/// probes alternate. Probes are much closer than this, even on a busy machine.
pub const APART: Duration = Duration::from_millis(100);

/// A probe or a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceSample {
    /// When it was sent.
    pub at: Duration,
    /// Whether it was answered in time.
    pub is_served: bool,
}

/// Samples, in the order in which they were sent.
#[derive(Clone, Debug, Default)]
pub struct ServiceLog(Vec<ServiceSample>);

/// A period in which not every sample was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceOutage {
    /// When its first lost sample was sent.
    pub from: Duration,
    /// When the first sample after its last lost one was sent; `None` if there is none.
    pub until: Option<Duration>,
    /// How much longer it may have been: the distance from the sample before to the first lost one.
    pub blur: Duration,
    /// Samples that were lost.
    pub lost: usize,
}

/// The service after an event.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServiceSummary {
    /// The sum of all outages.
    pub without_service: Duration,
    /// The error of that, by the distances between samples.
    pub blur: Duration,
    /// From the event to the end of the last outage; zero without one.
    pub recovery: Duration,
    /// Whether it lasted to the end.
    pub is_out: bool,
    /// Samples after the event.
    pub samples: usize,
    /// Those that were lost.
    pub lost: usize,
}

/// The share of samples that were served in one period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimelineBucket {
    /// Its start relative to the event, in seconds.
    pub start: f64,
    /// The share.
    pub served: f64,
}

impl ServiceLog {
    /// Creates a log of samples in any order.
    #[must_use]
    pub fn new(mut samples: Vec<ServiceSample>) -> Self {
        samples.sort_by_key(|sample| sample.at);
        Self(samples)
    }

    /// Returns the outages whose first lost sample was sent at or after `since`.
    #[must_use]
    pub fn outages(&self, since: Duration) -> Vec<ServiceOutage> {
        let mut outages: Vec<ServiceOutage> = Vec::new();
        let mut before = None;
        let mut samples = self.0.iter().peekable();
        while let Some(sample) = samples.next() {
            if sample.at >= since && !sample.is_served {
                let until = samples.peek().map(|next| next.at);
                match outages.last_mut() {
                    Some(last) if last.until.is_some_and(|end| sample.at.saturating_sub(end) < APART) => {
                        last.until = until;
                        last.lost += 1;
                    }
                    _ => {
                        let blur = before.map_or(Duration::ZERO, |before| sample.at.saturating_sub(before));
                        outages.push(ServiceOutage { from: sample.at, until, blur, lost: 1 });
                    }
                }
            }
            before = Some(sample.at);
        }
        outages
    }

    /// Summarizes the service from an event to the last sample.
    #[must_use]
    pub fn summary(&self, event: Duration) -> ServiceSummary {
        let end = self.0.last().map_or(event, |last| last.at);
        let mut summary = ServiceSummary {
            samples: self.0.iter().filter(|sample| sample.at >= event).count(),
            ..ServiceSummary::default()
        };
        for outage in self.outages(event) {
            let until = outage.until.unwrap_or(end);
            summary.without_service += until.saturating_sub(outage.from);
            summary.blur += outage.blur;
            summary.recovery = until.saturating_sub(event);
            summary.is_out = outage.until.is_none();
            summary.lost += outage.lost;
        }
        summary
    }

    /// Returns the timeline from `before` the event to `after` it, in periods of `bucket`; periods without a
    /// sample are left out.
    #[must_use]
    pub fn timeline(
        &self,
        event: Duration,
        before: Duration,
        after: Duration,
        bucket: Duration,
    ) -> Vec<TimelineBucket> {
        let start = event.saturating_sub(before);
        let mut counts: Vec<(u32, u32)> = Vec::new();
        for sample in self.0.iter().filter(|it| (start..event + after).contains(&it.at)) {
            let place = (sample.at - start).as_nanos() / bucket.as_nanos().max(1);
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            if counts.len() <= place {
                counts.resize(place.saturating_add(1), (0, 0));
            }
            let (all, served) = &mut counts[place];
            *all += 1;
            *served += u32::from(sample.is_served);
        }
        let origin = start.as_secs_f64() - event.as_secs_f64();
        let buckets = counts.into_iter().zip(0_u32..).filter(|((all, _), _)| *all > 0);
        buckets
            .map(|((all, served), place)| TimelineBucket {
                start: origin + f64::from(place) * bucket.as_secs_f64(),
                served: f64::from(served) / f64::from(all),
            })
            .collect()
    }
}

impl ServiceSummary {
    /// Returns the share of samples that are served in `window` after the event, of which there is one every
    /// `every`. Those after the last one that was sent count as served, unless the service is still out.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "there are far fewer than 2^52 samples")]
    pub fn availability(&self, window: Duration, every: Duration) -> f64 {
        let expected = window.as_secs_f64() / every.as_secs_f64();
        let all = if self.is_out { self.samples as f64 } else { expected.max(self.samples as f64) };
        if all > 0.0 { 1.0 - self.lost as f64 / all } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// A sample a millisecond: `#` is served, `.` is lost.
    fn log(text: &str) -> ServiceLog {
        let samples = text.chars().zip(0..);
        ServiceLog::new(samples.map(|(it, at)| ServiceSample { at: ms(at), is_served: it == '#' }).collect())
    }

    #[test]
    fn losses_that_alternate_with_answers_are_one_outage() {
        let outages = log("####.##..#.###").outages(ms(2));
        assert_eq!(outages, [ServiceOutage { from: ms(4), until: Some(ms(11)), blur: ms(1), lost: 4 }]);
    }

    #[test]
    fn losses_far_apart_are_two_outages_and_the_time_between_is_served() {
        let text = format!("#..{}.#", "#".repeat(200));
        let summary = log(&text).summary(ms(0));
        assert_eq!(summary.without_service, ms(3));
        assert_eq!(summary.blur, ms(2));
        assert_eq!(summary.recovery, ms(204));
        assert_eq!((summary.samples, summary.lost, summary.is_out), (205, 3, false));
    }

    #[test]
    fn what_is_lost_before_the_event_does_not_count() {
        let log = log("#...####");
        assert_eq!(log.summary(ms(4)), ServiceSummary { samples: 4, ..ServiceSummary::default() });
        assert_eq!(log.summary(ms(2)).lost, 2);
    }

    #[test]
    fn an_outage_without_an_end_lasts_to_the_last_sample() {
        let summary = log("###....").summary(ms(1));
        assert!(summary.is_out);
        assert_eq!((summary.without_service, summary.recovery), (ms(3), ms(5)));
    }

    #[test]
    fn a_log_without_samples_has_no_outage() {
        let log = ServiceLog::default();
        assert_eq!(log.summary(ms(1)), ServiceSummary::default());
        assert_eq!(log.timeline(ms(5), ms(5), ms(5), ms(1)), []);
    }

    #[test]
    fn samples_need_not_be_in_order() {
        let sample = |at, is_served| ServiceSample { at: ms(at), is_served };
        let log = ServiceLog::new(vec![sample(3, true), sample(1, true), sample(2, false)]);
        assert_eq!(
            log.outages(ms(0)),
            [ServiceOutage { from: ms(2), until: Some(ms(3)), blur: ms(1), lost: 1 }]
        );
    }

    #[test]
    fn availability_takes_a_restored_service_as_served_for_the_rest_of_the_window() {
        let summary = log("#..#").summary(ms(0));
        assert!((summary.availability(ms(100), ms(1)) - 0.98).abs() < 1e-9);
        let out = log("#...").summary(ms(0));
        assert!((out.availability(ms(100), ms(1)) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn a_timeline_has_a_share_per_period_relative_to_the_event() {
        let buckets = log("####..#.####").timeline(ms(4), ms(4), ms(8), ms(2));
        let found: Vec<(i64, i64)> = buckets
            .iter()
            .map(|it| ((it.start * 1000.0).round() as i64, (it.served * 100.0).round() as i64))
            .collect();
        assert_eq!(found, [(-4, 100), (-2, 100), (0, 0), (2, 50), (4, 100), (6, 100)]);
    }
}
