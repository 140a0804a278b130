//! Comparison of two runs: whether they agree on every ratio and every goal.

use std::fmt::Write;

use crate::results::print::{aligned, goal_unit, ratio_words};
use crate::results::{Bound, FigureUnit, Goal, ResultRow, ResultTable, Results, RoundRatio, Spread, format};

/// The comparison of two runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// What both measured, with spreads that have no value in common.
    pub disagreements: Vec<ComparedFigure>,
    /// What both measured, with spreads that overlap.
    pub agreements: Vec<ComparedFigure>,
    /// What only one of them has: the run's name, and what.
    pub only: Vec<(&'static str, String)>,
}

/// A ratio or a goal of both runs.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparedFigure {
    /// The table.
    pub table: String,
    /// The name of the ratio or goal.
    pub name: String,
    /// Its unit.
    pub unit: FigureUnit,
    /// The limit, of a goal.
    pub bound: Option<Bound>,
    /// What each run measured.
    pub spreads: [Spread; 2],
}

/// Names of the runs in the output.
const RUNS: [&str; 2] = ["A", "B"];

/// A ratio or goal of one run.
struct Measured {
    name: String,
    unit: FigureUnit,
    bound: Option<Bound>,
    spread: Option<Spread>,
}

/// Compares two runs.
#[must_use]
pub fn compare(a: &Results, b: &Results) -> Comparison {
    let mut comparison = Comparison::default();
    for table in &a.tables {
        match b.tables.iter().find(|other| other.id == table.id) {
            Some(other) => comparison.tables(table, other),
            None => comparison.only.push((RUNS[0], format!("table {}", table.id))),
        }
    }
    let is_new = |table: &&ResultTable| a.tables.iter().all(|other| other.id != table.id);
    for table in b.tables.iter().filter(is_new) {
        comparison.only.push((RUNS[1], format!("table {}", table.id)));
    }
    comparison
}

impl Comparison {
    /// Whether no spread of one run is apart from that of the other.
    #[must_use]
    pub const fn is_agreement(&self) -> bool {
        self.disagreements.is_empty()
    }

    /// Formats the comparison: disagreements first.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (title, figures) in [("Disagreements", &self.disagreements), ("Agreements", &self.agreements)] {
            let _ = writeln!(text, "{title}: {}", figures.len());
            if !figures.is_empty() {
                let rows = figures.iter().map(ComparedFigure::cells).collect::<Vec<_>>();
                let _ =
                    writeln!(text, "{}", aligned(&["table", "ratio or goal", "limit", "A", "B"], &rows, 2));
            }
            text.push('\n');
        }
        for (run, what) in &self.only {
            let _ = writeln!(text, "only in {run}: {what}");
        }
        text
    }

    /// Compares two tables of the same name.
    fn tables(&mut self, a: &ResultTable, b: &ResultTable) {
        self.missing_figures(RUNS[0], a, b);
        self.missing_figures(RUNS[1], b, a);
        let theirs = measured(b);
        for ours in measured(a) {
            match theirs.iter().find(|other| other.name == ours.name) {
                Some(other) => self.figures(&a.id, ours, other),
                None => self.only.push((RUNS[0], format!("{}: {}", a.id, ours.name))),
            }
        }
        let names: Vec<String> = measured(a).into_iter().map(|measured| measured.name).collect();
        for other in theirs.iter().filter(|other| !names.contains(&other.name)) {
            self.only.push((RUNS[1], format!("{}: {}", b.id, other.name)));
        }
    }

    fn figures(&mut self, table: &str, ours: Measured, theirs: &Measured) {
        let Measured { name, unit, bound, spread } = ours;
        let spreads = match (spread, theirs.spread) {
            (Some(a), Some(b)) => [a, b],
            (None, None) => return,
            (Some(_), None) => return self.only.push((RUNS[0], format!("{table}: {name}"))),
            (None, Some(_)) => return self.only.push((RUNS[1], format!("{table}: {name}"))),
        };
        let figure = ComparedFigure { table: table.to_owned(), name, unit, bound, spreads };
        let [a, b] = spreads;
        if a.overlaps(&b) { &mut self.agreements } else { &mut self.disagreements }.push(figure);
    }

    /// Names rows and figures that one run has and the other lacks.
    fn missing_figures(&mut self, run: &'static str, has: &ResultTable, lacks: &ResultTable) {
        for row in &has.rows {
            let place = || format!("{}: {}", has.id, row.labels.join(", "));
            let Some(other) = lacks.row(&row.labels) else {
                self.only.push((run, place()));
                continue;
            };
            for name in names(row).filter(|name| other.figure(name).is_none()) {
                self.only.push((run, format!("{}: {name}", place())));
            }
        }
    }
}

impl ComparedFigure {
    fn cells(&self) -> Vec<String> {
        let bound = self.bound.map(|bound| format::bound(self.unit, bound)).unwrap_or_default();
        let [a, b] = self.spreads.map(|spread| format::spread(self.unit, &spread));
        vec![self.table.clone(), self.name.clone(), bound, a, b]
    }
}

fn names(row: &ResultRow) -> impl Iterator<Item = &str> {
    row.figures.iter().map(|figure| figure.name.as_str())
}

/// Returns the ratios and goals of a table.
fn measured(table: &ResultTable) -> Vec<Measured> {
    let ratio = |ratio: &RoundRatio| Measured {
        name: ratio_words(ratio),
        unit: FigureUnit::Number,
        bound: None,
        spread: table.ratio(ratio),
    };
    let goal = |goal: &Goal| Measured {
        name: goal.name.clone(),
        unit: goal_unit(table, goal),
        bound: Some(goal.bound),
        spread: goal.measured(table),
    };
    table.ratios.iter().map(ratio).chain(table.goals.iter().map(goal)).collect()
}

#[cfg(test)]
mod tests;
