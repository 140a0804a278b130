//! The outcomes of all faults as tables.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};

use super::death::{FlushTime, NodeDeath};
use super::trial::FaultOutcome;

/// What was seen of each fault.
#[derive(Clone, Debug, Default)]
pub struct FaultTable(Vec<FaultOutcome>);

/// How fast dead nodes were flushed.
#[derive(Clone, Debug, Default)]
pub struct DeathTable(Vec<NodeDeath>);

impl FaultTable {
    /// Adds the outcome of a fault.
    pub fn add(&mut self, outcome: FaultOutcome) {
        self.0.push(outcome);
    }

    /// Returns the outcomes.
    #[must_use]
    pub fn outcomes(&self) -> &[FaultOutcome] {
        &self.0
    }
}

impl DeathTable {
    /// Adds a measurement.
    pub fn add(&mut self, death: NodeDeath) {
        self.0.push(death);
    }
}

impl fmt::Display for FaultTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = table(&[
            "fault",
            "agent",
            "took s",
            "datagrams",
            "lost",
            "machine",
            "twice",
            "longest gap ms",
            "BGP",
            "BFD",
            "routes",
            "broken",
        ]);
        for it in &self.0 {
            let of = |protocol| it.sessions.iter().filter(|event| event.protocol == protocol).count();
            table.add_row([
                it.plan.fault.name().to_owned(),
                it.plan.keeping.name().to_owned(),
                format!("{:.1}", it.took.as_secs_f64()),
                it.stream.sent.to_string(),
                it.stream.lost.to_string(),
                it.stream.machine.total().to_string(),
                it.stream.duplicated.to_string(),
                format!("{:.0}", it.stream.longest_gap.as_secs_f64() * 1e3),
                of("BGP").to_string(),
                of("BFD").to_string(),
                it.routes.len().to_string(),
                it.broken.to_string(),
            ]);
        }
        table.fmt(formatter)
    }
}

impl fmt::Display for DeathTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = table(&["fault", "agent", "detection ms", "FRR ms", "BIRD ms", "limits"]);
        let flushed = |time: FlushTime| match time {
            FlushTime::Before => "before".to_owned(),
            FlushTime::After(time) => format!("{:.0}", time.as_secs_f64() * 1e3),
            FlushTime::Never => "never".to_owned(),
        };
        for it in &self.0 {
            let [frr, bird] = it.gone;
            table.add_row([
                it.plan.map_or("none", |plan| plan.fault.name()).to_owned(),
                it.plan.map_or("running", |plan| plan.keeping.name()).to_owned(),
                it.detection.as_millis().to_string(),
                flushed(frr.1),
                flushed(bird.1),
                format!("{}, {}", it.limit(frr.0).as_millis(), it.limit(bird.0).as_millis()),
            ]);
        }
        table.fmt(formatter)
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
