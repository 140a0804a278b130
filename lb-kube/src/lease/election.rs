//! The state machine of leader election by a Lease, without I/O or a clock.
//!
//! The driver passes in responses, with the times at which the request was sent and the response received.
//!
//! Safety: the holder leads until [`LeaseTimings::renew_deadline`] after it *sent* its last successful
//! renewal, and another candidate acquires the Lease no sooner than [`LeaseTimings::lease_duration`] after it
//! *received* the version that this renewal wrote. Receiving is later than sending, so the difference of the
//! two durations is a margin for writes in flight and clocks of different speed. Lost responses, delayed
//! requests and stopped processes only widen it.

use std::time::Duration;

/// The durations of an election, named as in client-go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimings {
    /// A Lease that has not been renewed for this long has expired.
    pub lease_duration: Duration,
    /// The holder stops leading this long after it sent its last successful renewal. `lease_duration` is
    /// longer by more than a write of the holder may be in flight.
    pub renew_deadline: Duration,
    /// Interval of renewals, and of a candidate's reads.
    pub retry_period: Duration,
    /// Delay after a failed request.
    pub failure_retry_period: Duration,
}

impl LeaseTimings {
    /// The defaults of client-go.
    pub const DEFAULT: Self = Self {
        lease_duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_secs(2),
        failure_retry_period: Duration::from_secs(1),
    };
}

/// The content of a Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LeaseRecord {
    /// Identity of the holder; `None` if the Lease was released.
    pub(super) holder: Option<String>,
    /// Resource version.
    pub(super) version: String,
    /// Number of times that the holder has changed.
    pub(super) transitions: i32,
    /// The duration that the holder has set.
    pub(super) duration: Option<Duration>,
}

/// The next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ElectionStep {
    /// No request before this time.
    WaitUntil(Duration),
    /// Read the Lease.
    Read,
    /// Write the Lease with this candidate as the holder over the version read last; create it if there was
    /// none.
    AcquireOrRenew {
        /// Number of times that the holder has changed, including this one.
        transitions: i32,
    },
}

/// The election, as one candidate sees it. Times are relative to any fixed instant.
#[derive(Clone, Debug)]
pub(super) struct Election {
    identity: String,
    timings: LeaseTimings,
    /// The Lease as last read or written.
    record: Option<LeaseRecord>,
    /// When this record was first received.
    observed_at: Duration,
    /// Whether the record may still be current, so a write may replace its version.
    is_fresh: bool,
    /// Whether the Lease has ever existed.
    has_existed: bool,
    /// When the last successful renewal was sent.
    renewed_at: Option<Duration>,
    /// No request before this time.
    next: Duration,
}

impl Election {
    /// Creates a candidate that has not read the Lease yet.
    pub(super) fn new(identity: String, timings: LeaseTimings) -> Self {
        Self {
            identity,
            timings,
            record: None,
            observed_at: Duration::ZERO,
            is_fresh: false,
            has_existed: false,
            renewed_at: None,
            next: Duration::ZERO,
        }
    }

    /// Returns the next request.
    pub(super) fn step(&self, now: Duration) -> ElectionStep {
        if now < self.next {
            return ElectionStep::WaitUntil(self.next);
        }
        match &self.record {
            _ if !self.is_fresh => ElectionStep::Read,
            None => ElectionStep::AcquireOrRenew { transitions: 0 },
            // Its own, or that of a previous process with the same identity.
            Some(record) if record.holder.as_ref() == Some(&self.identity) => {
                ElectionStep::AcquireOrRenew { transitions: record.transitions }
            }
            Some(record) => {
                ElectionStep::AcquireOrRenew { transitions: record.transitions.saturating_add(1) }
            }
        }
    }

    /// Handles that the Lease was read; `None` if it does not exist. `now` is when the response was received:
    /// the version may be that recent.
    pub(super) fn handle_read(&mut self, record: Option<LeaseRecord>, now: Duration) {
        if record != self.record {
            self.observed_at = now;
        }
        self.has_existed |= record.is_some();
        self.record = record;
        if !self.is_mine() {
            self.renewed_at = None;
        }
        self.is_fresh = true;
        if let Some(expires) = self.expires_at()
            && now < expires
        {
            self.is_fresh = false;
            self.next = now + self.timings.retry_period;
        }
    }

    /// Handles that the Lease was written; `sent` is a time before the request was sent.
    pub(super) fn handle_written(&mut self, record: LeaseRecord, sent: Duration) {
        self.record = Some(record);
        self.has_existed = true;
        self.observed_at = sent;
        self.is_fresh = true;
        self.renewed_at = Some(sent);
        self.next = sent + self.timings.retry_period;
    }

    /// Handles that a write was rejected because the Lease had changed.
    pub(super) fn handle_conflict(&mut self) {
        self.is_fresh = false;
    }

    /// Handles a failed request, or one without a response: a write may have been executed, or may be
    /// executed later.
    pub(super) fn handle_failure(&mut self, now: Duration) {
        self.is_fresh = false;
        self.next = now + self.timings.failure_retry_period;
    }

    /// Stops leading for good. Returns the version to release, if this candidate knows that it holds the
    /// Lease.
    pub(super) fn step_down(&mut self) -> Option<&LeaseRecord> {
        self.renewed_at = None;
        self.record.as_ref().filter(|_| self.is_fresh && self.is_mine())
    }

    /// Returns when this candidate's leadership ends; `None` if it does not lead.
    pub(super) fn leads_until(&self) -> Option<Duration> {
        self.renewed_at.map(|sent| sent + self.timings.renew_deadline)
    }

    fn is_mine(&self) -> bool {
        self.record.as_ref().and_then(|record| record.holder.as_ref()) == Some(&self.identity)
    }

    /// Returns when this candidate may acquire the Lease; `None` if it may at once.
    fn expires_at(&self) -> Option<Duration> {
        match &self.record {
            // It was deleted, and its holder may not know yet.
            None => self.has_existed.then(|| self.observed_at + self.timings.lease_duration),
            Some(record) => {
                record.holder.as_ref().filter(|holder| **holder != self.identity)?;
                Some(self.observed_at + record.duration.unwrap_or_default().max(self.timings.lease_duration))
            }
        }
    }
}

#[cfg(test)]
mod tests;
