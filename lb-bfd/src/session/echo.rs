//! Echoes: packets to ourselves that the neighbor's forwarding loops back (RFC 5880 section 6.4).
//!
//! Dead is a path on which as many as the multiplier says went out and did not come back. Time alone says nothing:
//! while this process stood still, it sent none.

use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub(super) struct EchoTransmitter {
    running: Option<EchoSchedule>,
}

#[derive(Clone, Debug)]
struct EchoSchedule {
    interval: Duration,
    next: Duration,
    /// How many went out since one came back.
    unanswered: u32,
}

impl EchoTransmitter {
    /// Sends them this often; `None`: none.
    pub(super) fn set(&mut self, interval: Option<Duration>, now: Duration) {
        self.running = interval.map(|interval| match self.running.take() {
            Some(running) if running.interval == interval => running,
            // Those that are under way were sent at another pace, and say nothing about this one.
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

    /// One came back; one that comes when the path is dead is too late.
    pub(super) fn handle_return(&mut self, at: Duration, multiplier: u8) {
        let is_late = self.has_failed(at, multiplier);
        if let Some(running) = self.running.as_mut().filter(|_| !is_late) {
            running.unanswered = 0;
        }
    }

    /// Whether the last of them has had its interval for coming back.
    pub(super) fn has_failed(&self, now: Duration, multiplier: u8) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| now >= running.next && running.unanswered >= u32::from(multiplier))
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.running.as_ref().map(|running| running.next)
    }
}
