//! Who leads, by what is seen of a Lease.

use std::time::Duration;

/// How long a Lease is held, and how often it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Without a renewal for this long, it is anybody's.
    pub duration: Duration,
    /// The holder acts no longer than this after its last renewal: less than `duration`, by more than a request
    /// takes and clocks differ in speed.
    pub act: Duration,
    /// Time between two looks, and so between renewals.
    pub retry: Duration,
}

impl Terms {
    /// What client-go does by default.
    pub const DEFAULT: Self = Self {
        duration: Duration::from_secs(15),
        act: Duration::from_secs(10),
        retry: Duration::from_secs(2),
    };
}

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Who holds it.
    pub holder: Option<String>,
    /// Changes with every write.
    pub version: String,
    /// How often it has gone from one to another.
    pub transitions: i32,
    /// For how long its holder takes it.
    pub duration: Option<Duration>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write oneself into it, for the first time or again.
    Take {
        /// How often it has gone from one to another then.
        transitions: i32,
    },
    /// Look again later.
    Wait,
}

/// What one contender knows. Times are since any moment that stays the same.
#[derive(Clone, Debug)]
pub struct Election {
    identity: String,
    terms: Terms,
    record: Option<Record>,
    /// When the record was first seen as it is.
    since: Duration,
    /// When this contender last wrote itself into it.
    renewed: Option<Duration>,
}

impl Election {
    /// A contender that has seen nothing yet.
    pub fn new(identity: String, terms: Terms) -> Self {
        Self { identity, terms, record: None, since: Duration::ZERO, renewed: None }
    }

    /// The Lease as it is now; `None` if there is none.
    pub fn handle_record(&mut self, record: Option<Record>, now: Duration) {
        if record != self.record {
            self.since = now;
        }
        if record.as_ref().and_then(|record| record.holder.as_ref()) != Some(&self.identity) {
            self.renewed = None;
        }
        self.record = record;
    }

    /// This contender has written itself into it; `asked` is from before the request.
    pub fn handle_taken(&mut self, record: Record, asked: Duration) {
        self.record = Some(record);
        self.since = asked;
        self.renewed = Some(asked);
    }

    /// What is to be done.
    pub fn step(&self, now: Duration) -> Step {
        let Some(record) = &self.record else { return Step::Take { transitions: 0 } };
        match &record.holder {
            // Also after a restart under the same name.
            Some(holder) if *holder == self.identity => Step::Take { transitions: record.transitions },
            Some(_) if now.saturating_sub(self.since) < record.duration.unwrap_or(self.terms.duration) => {
                Step::Wait
            }
            Some(_) | None => Step::Take { transitions: record.transitions.saturating_add(1) },
        }
    }

    /// Whether this contender may act.
    pub fn leads(&self, now: Duration) -> bool {
        self.renewed.is_some_and(|renewed| now.saturating_sub(renewed) < self.terms.act)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms::DEFAULT;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn held_by(holder: &str, version: u32) -> Option<Record> {
        let duration = Some(TERMS.duration);
        Some(Record { holder: Some(holder.into()), version: version.to_string(), transitions: 3, duration })
    }

    #[test]
    fn a_lease_that_is_not_there_is_taken() {
        let mut me = Election::new("me".into(), TERMS);
        me.handle_record(None, secs(0));
        assert_eq!(me.step(secs(0)), Step::Take { transitions: 0 });
        assert!(!me.leads(secs(0)));
        me.handle_taken(held_by("me", 1).unwrap(), secs(0));
        assert!(me.leads(secs(9)));
        assert!(!me.leads(secs(10)), "without a renewal it acts no longer");
    }

    #[test]
    fn anothers_is_taken_when_it_has_not_changed_for_its_duration() {
        let mut me = Election::new("me".into(), TERMS);
        me.handle_record(held_by("other", 1), secs(100));
        me.handle_record(held_by("other", 1), secs(110));
        assert_eq!(me.step(secs(114)), Step::Wait);
        me.handle_record(held_by("other", 2), secs(114));
        assert_eq!(me.step(secs(120)), Step::Wait, "it has been renewed");
        assert_eq!(me.step(secs(129)), Step::Take { transitions: 4 });
    }

    #[test]
    fn who_sees_another_holder_does_not_act_any_more() {
        let mut me = Election::new("me".into(), TERMS);
        me.handle_taken(held_by("me", 1).unwrap(), secs(0));
        me.handle_record(held_by("other", 2), secs(1));
        assert!(!me.leads(secs(1)));
    }

    #[test]
    fn never_do_two_lead_at_once_whatever_they_see_and_when() {
        // A world of one Lease and two contenders that look at it at odd times; requests may fail.
        for seed in 0u64..200 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut random = |bound: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % bound
            };
            let mut both = [Election::new("a".into(), TERMS), Election::new("b".into(), TERMS)];
            let (mut lease, mut version, mut now) = (None::<Record>, 0, 0u64);
            let mut led = [false; 2];
            for _ in 0..400 {
                now += random(3000);
                let at = Duration::from_millis(now);
                let i = random(2) as usize;
                both[i].handle_record(lease.clone(), at);
                if let Step::Take { transitions } = both[i].step(at)
                    && random(4) != 0
                {
                    version += 1;
                    let name = if i == 0 { "a" } else { "b" };
                    lease = held_by(name, version).map(|record| Record { transitions, ..record });
                    both[i].handle_taken(lease.clone().unwrap(), at);
                }
                let leads = [both[0].leads(at), both[1].leads(at)];
                assert!(!(leads[0] && leads[1]), "seed {seed}: both lead at {at:?}");
                led = [led[0] || leads[0], led[1] || leads[1]];
            }
            assert!(led[0] || led[1], "seed {seed}: nobody ever led");
        }
    }
}
