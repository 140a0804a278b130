//! Leader election by a Lease: a state machine without I/O or a clock.
//!
//! The driver passes in what the server answered, with the times at which the request was sent and the answer came.
//!
//! Safety: the holder acts until [`Terms::act`] after it *sent* the renewal that succeeded last, and another takes the
//! Lease no sooner than [`Terms::duration`] after it *received* the version that this renewal made. The answer is later
//! than the renewal, so the difference of the two terms is a margin that covers writes in flight and clocks of
//! different speed. Lost answers, delayed requests and stopped processes only make it larger.

use std::time::Duration;

/// Durations of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// A Lease that has not been renewed for this long is free.
    pub duration: Duration,
    /// The holder stops acting this long after it sent its last successful renewal. `duration` is longer by more than a
    /// write of the holder may be in flight.
    pub act: Duration,
    /// Interval of renewals, and of a candidate's reads.
    pub retry: Duration,
    /// Interval after a request that failed.
    pub retry_failed: Duration,
}

impl Terms {
    /// As client-go has it by default.
    pub const DEFAULT: Self = Self {
        duration: Duration::from_secs(15),
        act: Duration::from_secs(10),
        retry: Duration::from_secs(2),
        retry_failed: Duration::from_secs(1),
    };
}

/// Content of a Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Holder; `None` if it was released.
    pub holder: Option<String>,
    /// Resource version.
    pub version: String,
    /// Number of changes of the holder.
    pub transitions: i32,
    /// Duration that the holder asks for.
    pub duration: Option<Duration>,
}

/// The next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// No request before this time.
    WaitUntil(Duration),
    /// Read the Lease.
    Read,
    /// Write this candidate as the holder into the version that was read last, or create the Lease if there was none.
    Take {
        /// Number of changes of the holder, this one included.
        transitions: i32,
    },
}

/// A candidate. Times are since any fixed moment.
#[derive(Clone, Debug)]
pub struct Election {
    identity: String,
    terms: Terms,
    /// The Lease as it was read or written last.
    record: Option<Record>,
    /// When an answer first had this record.
    since: Duration,
    /// Whether the record may still be current, so that a write can name its version.
    is_fresh: bool,
    /// Whether a Lease has ever been seen.
    has_seen_one: bool,
    /// When the last successful renewal was sent.
    renewed: Option<Duration>,
    /// No request before this.
    next: Duration,
}

impl Election {
    /// A candidate that knows nothing yet.
    pub fn new(identity: String, terms: Terms) -> Self {
        Self {
            identity,
            terms,
            record: None,
            since: Duration::ZERO,
            is_fresh: false,
            has_seen_one: false,
            renewed: None,
            next: Duration::ZERO,
        }
    }

    /// The next request.
    pub fn step(&self, now: Duration) -> Step {
        if now < self.next {
            return Step::WaitUntil(self.next);
        }
        match &self.record {
            _ if !self.is_fresh => Step::Read,
            None => Step::Take { transitions: 0 },
            // Its own, also after a restart under the same name.
            Some(record) if record.holder.as_ref() == Some(&self.identity) => {
                Step::Take { transitions: record.transitions }
            }
            Some(record) => Step::Take { transitions: record.transitions.saturating_add(1) },
        }
    }

    /// The Lease was read; `None` if there is none. `now` is when the answer came: the version may be as young as that.
    pub fn handle_read(&mut self, record: Option<Record>, now: Duration) {
        if record != self.record {
            self.since = now;
        }
        self.has_seen_one |= record.is_some();
        self.record = record;
        if !self.is_mine() {
            self.renewed = None;
        }
        self.is_fresh = true;
        if let Some(free) = self.free_at()
            && now < free
        {
            self.is_fresh = false;
            self.next = now + self.terms.retry;
        }
    }

    /// The Lease was written; `sent` is from before the request.
    pub fn handle_taken(&mut self, record: Record, sent: Duration) {
        self.record = Some(record);
        self.has_seen_one = true;
        self.since = sent;
        self.is_fresh = true;
        self.renewed = Some(sent);
        self.next = sent + self.terms.retry;
    }

    /// A write was refused because the Lease is another by now.
    pub fn handle_conflict(&mut self) {
        self.is_fresh = false;
    }

    /// A request failed, or its answer did not come: a write may or may not have been carried out, or be so later.
    pub fn handle_failure(&mut self, now: Duration) {
        self.is_fresh = false;
        self.next = now + self.terms.retry_failed;
    }

    /// Stops acting for good. Returns the version to release, if this candidate knows that it holds the Lease.
    pub fn resign(&mut self) -> Option<&Record> {
        self.renewed = None;
        self.record.as_ref().filter(|_| self.is_fresh && self.is_mine())
    }

    /// Until when this candidate may act; `None` if it may not at all.
    pub fn acts_until(&self) -> Option<Duration> {
        self.renewed.map(|sent| sent + self.terms.act)
    }

    fn is_mine(&self) -> bool {
        self.record.as_ref().and_then(|record| record.holder.as_ref()) == Some(&self.identity)
    }

    /// When the Lease is free for this candidate; `None` if it is.
    fn free_at(&self) -> Option<Duration> {
        match &self.record {
            // Somebody deleted it, and its holder does not know yet.
            None => self.has_seen_one.then(|| self.since + self.terms.duration),
            Some(record) => {
                record.holder.as_ref().filter(|holder| **holder != self.identity)?;
                Some(self.since + record.duration.unwrap_or_default().max(self.terms.duration))
            }
        }
    }
}

#[cfg(test)]
mod tests;
