//! Events as clients see them, for everything that Fairlead is compared with.
//!
//! ```text
//! client ─┬─ probes: a datagram every 100 µs over 64 flows     → time without service, recovery, timeline
//!         ├─ requests: HTTP, 200/s, a connection each, 1 s      → failed requests, availability
//!         └─ 500 connections, every byte checked                → broken connections
//! ```
//!
//! Every event happens to a set-up of its own, which has served before.

pub mod event;
pub mod service;
mod table;
pub mod trial;

use std::time::Duration;

use anyhow::{Context, Result};
use fairlead_tests::contenders::{Attraction, Contender, ContenderSettings};

pub use self::event::FailoverEvent;
use self::table::FailoverTables;
use crate::results::ResultTable;

/// A hold time that operators use to detect faults sooner: three keepalives of 3 s.
const TUNED_HOLD: u16 = 9;
/// MetalLB's default.
const DEFAULT_HOLD: u16 = 90;

/// What is measured.
#[derive(Clone, Debug)]
pub struct FailoverSettings {
    /// Rounds.
    pub rounds: u32,
    /// The set-ups.
    pub contenders: Vec<Contender>,
    /// The events.
    pub events: Vec<FailoverEvent>,
    /// Whether a node failure below BGP with its default hold time is measured, once: it takes 90 s and more.
    pub has_default_hold: bool,
    /// The time from one probe to the next.
    pub probe_every: Duration,
}

/// One trial.
#[derive(Clone, Copy, Debug)]
struct Planned {
    event: FailoverEvent,
    contender: Contender,
    hold_time: u16,
}

impl FailoverSettings {
    /// Returns the settings of a run within minutes, or of a short one.
    #[must_use]
    pub fn new(is_quick: bool) -> Self {
        let probe_every = Duration::from_micros(100);
        if is_quick {
            return Self {
                rounds: 1,
                contenders: vec![Contender::MetallbBgpBfd, Contender::FairleadL2, Contender::FairleadBgpBfd],
                events: vec![FailoverEvent::NodeFailure],
                has_default_hold: false,
                probe_every,
            };
        }
        let (contenders, events) = (Contender::ALL.into(), FailoverEvent::ALL.into());
        Self { rounds: 1, contenders, events, has_default_hold: true, probe_every }
    }

    /// Returns the number of trials.
    #[must_use]
    pub fn steps(&self) -> usize {
        (0..self.rounds).map(|round| self.planned(round).len()).sum()
    }

    /// Returns the trials of a round: the set-ups in turn within each event.
    fn planned(&self, round: u32) -> Vec<Planned> {
        let mut planned = Vec::new();
        for &event in &self.events {
            for &contender in &self.contenders {
                planned.push(Planned { event, contender, hold_time: TUNED_HOLD });
            }
            let (contender, hold_time) = (Contender::MetallbBgp, DEFAULT_HOLD);
            let is_wanted = self.has_default_hold && self.contenders.contains(&contender);
            if is_wanted && round == 0 && event == FailoverEvent::NodeFailure {
                planned.push(Planned { event, contender, hold_time });
            }
        }
        planned
    }
}

impl Planned {
    /// Describes the timers that decide how soon a fault is detected.
    fn timers(self) -> String {
        match self.contender.attraction() {
            Attraction::Layer2 if self.contender.is_fairlead() => "probes 50 ms × 3".to_owned(),
            Attraction::Layer2 => "memberlist's defaults".to_owned(),
            Attraction::Bgp { has_bfd: true } => "BFD 50 ms × 3".to_owned(),
            Attraction::Bgp { has_bfd: false } => format!("hold time {} s", self.hold_time),
        }
    }
}

/// Measures, and calls `progress` before every trial with its description.
///
/// # Errors
/// When a set-up does not start or does not serve.
pub fn measure(settings: &FailoverSettings, progress: &dyn Fn(&str)) -> Result<Vec<ResultTable>> {
    let mut tables = FailoverTables::new(settings);
    for round in 0..settings.rounds {
        for planned in settings.planned(round) {
            let Planned { event, contender, hold_time } = planned;
            let timers = planned.timers();
            let name = format!("{}: {}, {timers}", event.name(), contender.name());
            progress(&name);
            let setting = ContenderSettings { machines: 1, hold_time, ..ContenderSettings::default() };
            let mut setup = contender.start(setting).with_context(|| name.clone())?;
            let view = trial::run(&mut setup, event, settings.probe_every);
            let view = view.with_context(|| format!("{name}\n{}", setup.lab().logs()))?;
            tables.record(planned, &timers, &view);
        }
    }
    Ok(tables.finish())
}
