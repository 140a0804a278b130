//! The echo function: packets to this node that the peer's forwarding plane loops back (RFC 5880, section
//! 6.4).
//!
//! It fails when as many packets as the multiplier were sent and none returned. Elapsed time alone proves
//! nothing: a stalled process sends no echoes.

use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub(super) struct EchoTransmitter {
    running: Option<EchoSchedule>,
}

#[derive(Clone, Debug)]
struct EchoSchedule {
    interval: Duration,
    next: Duration,
    /// Packets sent since the last one returned.
    unanswered: u32,
}

impl EchoTransmitter {
    /// Sets the interval; `None` stops it.
    pub(super) fn set(&mut self, interval: Option<Duration>, now: Duration) {
        self.running = interval.map(|interval| match self.running.take() {
            Some(running) if running.interval == interval => running,
            // Packets in flight were sent at another pace and must not count towards this one.
            Some(running) => {
                let next = running.next.min(now.saturating_add(interval));
                EchoSchedule { interval, next, unanswered: 0 }
            }
            None => EchoSchedule { interval, next: now, unanswered: 0 },
        });
    }

    pub(super) fn interval(&self) -> Option<Duration> {
        self.running.as_ref().map(|running| running.interval)
    }

    pub(super) fn poll(&mut self, now: Duration, multiplier: u8) -> bool {
        match &mut self.running {
            Some(running) if now >= running.next && running.unanswered < u32::from(multiplier) => {
                running.next = now.saturating_add(running.interval);
                running.unanswered += 1;
                true
            }
            _ => false,
        }
    }

    /// Handles a returned packet; it is too late after a failure.
    pub(super) fn handle_return(&mut self, at: Duration, multiplier: u8) {
        let is_late = self.has_failed(at, multiplier);
        if let Some(running) = self.running.as_mut().filter(|_| !is_late) {
            running.unanswered = 0;
        }
    }

    /// Returns whether the interval after the last permitted packet has elapsed.
    pub(super) fn has_failed(&self, now: Duration, multiplier: u8) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| now >= running.next && running.unanswered >= u32::from(multiplier))
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.running.as_ref().map(|running| running.next)
    }
}
