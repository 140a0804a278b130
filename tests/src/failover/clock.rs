//! Times of day, the common time format of all logs.

use std::time::{Duration, SystemTime};

use anyhow::Result;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Times further apart than this are not of one trial: the second one was earlier.
const HORIZON: Duration = Duration::from_secs(60 * 60);

/// A time of day (UTC), to the microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeOfDay(Duration);

impl TimeOfDay {
    /// Returns the present time.
    pub(crate) fn now() -> Result<Self> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let days = since.as_secs() / DAY.as_secs();
        Ok(Self(since.saturating_sub(Duration::from_secs(days * DAY.as_secs()))))
    }

    /// Parses the time of a log line: the first word like 05:10:22.773545.
    pub(crate) fn of(line: &str) -> Option<Self> {
        let words = line.split([' ', 'T', ']', '[']).take(4);
        words.into_iter().find_map(|word| {
            let (clock, fraction) = word.split_once('.')?;
            let mut seconds: u64 = 0;
            let mut parts = 0;
            for part in clock.split(':') {
                seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
                parts += 1;
            }
            let micros = fraction.parse().ok().filter(|_| fraction.len() == 6 && parts == 3)?;
            Some(Self(Duration::from_secs(seconds) + Duration::from_micros(micros)))
        })
    }

    /// Returns how long after `start` this is; `None` if it is before.
    pub(crate) fn since(self, start: Self) -> Option<Duration> {
        let after = self.0.checked_sub(start.0).unwrap_or_else(|| (self.0 + DAY).saturating_sub(start.0));
        (after < HORIZON).then_some(after)
    }

    /// Returns the time of day so long before.
    pub(crate) fn before(self, time: Duration) -> Self {
        Self(self.0.checked_sub(time).unwrap_or_else(|| (self.0 + DAY).saturating_sub(time)))
    }

    pub(crate) fn is_after(self, other: Self) -> bool {
        self.since(other).is_some()
    }

    /// Returns how long ago it was; a day for a time outside the last hour.
    pub(crate) fn elapsed(self) -> Duration {
        Self::now().ok().and_then(|now| now.since(self)).unwrap_or(DAY)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::TimeOfDay;

    #[test]
    fn times_of_all_log_formats_are_parsed() {
        let expected = Some(TimeOfDay(Duration::from_micros(18_622_773_545)));
        for line in [
            "2026/11/21 05:10:22.773545 BFD: [J1C6V-VMRW5] state-change",
            "2026-11-21 05:10:22.773545 <TRACE> bfd1: Session to fd77::1",
            "[2026-11-21T05:10:22.773545] 203.0.113.10 nhid 38",
        ] {
            assert_eq!(TimeOfDay::of(line), expected, "{line}");
        }
        assert_eq!(TimeOfDay::of("203.0.113.10 via 10.1.0.11"), None);
    }

    #[test]
    fn differences_across_midnight_are_right() {
        let [before, after] =
            ["x 23:59:59.900000", "x 00:00:00.100000"].map(|line| TimeOfDay::of(line).unwrap());
        assert_eq!(after.since(before), Some(Duration::from_millis(200)));
        assert_eq!(before.since(after), None);
    }
}
