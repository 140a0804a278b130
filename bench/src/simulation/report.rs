//! The report of the simulation, as tables and as JSON.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use lb_common::wire::gue::MAX_ASKED;
use serde::Serialize;

use super::engine::{EntryPoint, RunResult, Score};

/// The scheme with a bound.
pub const OURS: &str = "Fairlead";

/// All runs, and their parameters.
#[derive(Clone, Debug, Serialize)]
pub struct SimulationReport {
    /// Flows of each run.
    pub flows: u32,
    /// Number of initial nodes.
    pub nodes: u16,
    /// The seed of the random numbers.
    pub seed: u64,
    /// Maximum ticks until an object change arrives.
    pub delay: u32,
    /// Ticks of silence after which a node is dead.
    pub detection: u32,
    /// Number of sets of a flow table.
    pub sets: usize,
    /// Where packets enter.
    pub ingress: EntryPoint,
    /// The runs.
    pub outcomes: Vec<RunResult>,
}

impl SimulationReport {
    /// Returns the runs in which Fairlead exceeds its bound: subject, broken connections, bound.
    pub fn excesses(&self) -> Vec<(&'static str, u64, u64)> {
        let excess = |outcome: &RunResult| {
            let broken = ours(outcome)?.broken;
            let bound = outcome.subject.bound() * outcome.at_risk / 100_000;
            (broken > bound).then_some((outcome.subject.name(), broken, bound))
        };
        self.outcomes.iter().filter_map(excess).collect()
    }

    /// Returns the table of broken connections, by event and scheme.
    pub fn broken(&self) -> Table {
        let cell = |outcome: &RunResult, score: &Score| share(score.broken, outcome.at_risk);
        self.table(&["event", "at risk"], |outcome| Some(outcome.at_risk.to_string()), cell)
    }

    /// Returns the table of connections whose owner died, for the events with a death. No scheme is to blame
    /// for them; they differ only because schemes place flows differently.
    pub fn died(&self) -> Table {
        let relevant = |outcome: &RunResult| {
            outcome.scores.iter().any(|score| score.died > 0).then(|| outcome.at_risk.to_string())
        };
        self.table(&["owner died", "at risk"], relevant, |outcome, score| share(score.died, outcome.at_risk))
    }

    /// Returns the table of entries that schemes keep for single flows, in percent of the flows.
    pub fn tracked(&self) -> Table {
        let flows = u64::from(self.flows);
        self.table(
            &["entries kept", "flows"],
            |_| Some(flows.to_string()),
            |_, score| share(score.tracked, flows),
        )
    }

    /// Returns the table of Fairlead's packets by event and number of nodes asked.
    pub fn asked(&self) -> Table {
        let mut table = plain();
        let numbers = (0..=MAX_ASKED).map(|count| count.to_string());
        table.set_header([String::from("nodes asked")].into_iter().chain(numbers));
        for outcome in &self.outcomes {
            let Some(asked) = ours(outcome).and_then(|score| score.asked) else { continue };
            let counts = asked.iter().map(u64::to_string);
            table.add_row([outcome.subject.name().to_owned()].into_iter().chain(counts));
        }
        align(table)
    }

    /// Returns the maximum number of nodes that Fairlead asked for a packet.
    pub fn most_asked(&self) -> usize {
        let most = |asked: [u64; MAX_ASKED + 1]| asked.iter().rposition(|count| *count > 0);
        let asked = self.outcomes.iter().filter_map(|outcome| ours(outcome)?.asked);
        asked.filter_map(most).max().unwrap_or_default()
    }

    /// Returns a table with a row for each run that has a second column, and a column for each scheme.
    fn table(
        &self,
        head: &[&'static str; 2],
        second: impl Fn(&RunResult) -> Option<String>,
        cell: impl Fn(&RunResult, &Score) -> String,
    ) -> Table {
        let mut table = plain();
        let schemes = self.outcomes.first().map(|outcome| outcome.scores.as_slice()).unwrap_or_default();
        table.set_header(head.iter().copied().chain(schemes.iter().map(|score| score.scheme)));
        for outcome in &self.outcomes {
            let Some(second) = second(outcome) else { continue };
            let cells = outcome.scores.iter().map(|score| cell(outcome, score));
            table.add_row([outcome.subject.name().to_owned(), second].into_iter().chain(cells));
        }
        align(table)
    }
}

fn ours(outcome: &RunResult) -> Option<&Score> {
    outcome.scores.iter().find(|score| score.scheme == OURS)
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table
}

fn align(mut table: Table) -> Table {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Formats a count with its share of the total; a count above zero is never shown as zero percent.
fn share(count: u64, whole: u64) -> String {
    let percent = count as f64 * 100.0 / whole.max(1) as f64;
    match count {
        0 => String::from("0"),
        _ if percent < 0.001 => format!("{count} (< 0.001 %)"),
        _ if percent < 0.1 => format!("{count} ({percent:.3} %)"),
        _ => format!("{count} ({percent:.1} %)"),
    }
}
