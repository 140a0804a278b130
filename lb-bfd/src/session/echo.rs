//! Echoes: packets to ourselves that the neighbor's forwarding loops back (RFC 5880 section 6.4).

use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub(super) struct Echo {
    running: Option<Running>,
}

#[derive(Clone, Debug)]
struct Running {
    interval: Duration,
    next: Duration,
    /// When the last one came back, or the first could have been sent.
    returned: Duration,
}

impl Echo {
    /// Sends them this often; `None`: none.
    pub(super) fn set(&mut self, interval: Option<Duration>, now: Duration) {
        self.running = interval.map(|interval| match self.running.take() {
            Some(running) => Running { interval, ..running },
            None => Running { interval, next: now, returned: now },
        });
    }

    pub(super) fn interval(&self) -> Option<Duration> {
        self.running.as_ref().map(|running| running.interval)
    }

    pub(super) fn poll(&mut self, now: Duration) -> bool {
        match &mut self.running {
            Some(running) if now >= running.next => {
                running.next = now + running.interval;
                true
            }
            _ => false,
        }
    }

    pub(super) fn handle_return(&mut self, at: Duration) {
        if let Some(running) = &mut self.running {
            running.returned = running.returned.max(at);
        }
    }

    pub(super) fn has_failed(&self, now: Duration, multiplier: u8) -> bool {
        self.running.as_ref().is_some_and(|running| now >= running.deadline(multiplier))
    }

    pub(super) fn next_deadline(&self, multiplier: u8) -> Option<Duration> {
        self.running.as_ref().map(|running| running.next.min(running.deadline(multiplier)))
    }
}

impl Running {
    fn deadline(&self, multiplier: u8) -> Duration {
        self.returned + self.interval * u32::from(multiplier)
    }
}
