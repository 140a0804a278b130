//! Results of measurements: what a command measures, what `--json` writes, and what reports are made of.
//!
//! ```text
//! Results ── machine and settings
//!         └─ ResultTable ── ResultRow (labels) ── Figure (a sample a round)
//!                        ├─ RoundRatio (of two figures, round by round)
//!                        └─ Goal  (a limit of a figure or of a ratio)
//! ```
//!
//! A figure keeps the sample of each round. All rows of a table are measured in turns, so samples with the
//! same index were measured next to each other, and a ratio is made of those.

use serde::{Deserialize, Serialize};

pub mod claims;
pub mod file;
pub mod format;
pub mod goal;
pub mod machine;
pub mod merge;
pub mod print;
pub mod spread;

pub use self::file::{finish, read, write};
pub use self::goal::{Bound, Goal, GoalSubject};
pub use self::machine::RunStart;
pub use self::print::{print, text};
pub use self::spread::Spread;

/// The version of this format.
pub const FORMAT: u32 = 1;

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The version of the format.
    pub format: u32,
    /// Where it ran.
    pub machine: Machine,
    /// Whether it was a short run, whose figures are less exact.
    pub is_quick: bool,
    /// When it began: RFC 3339.
    pub started: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What was measured.
    pub tables: Vec<ResultTable>,
}

/// The machine and the build of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the processor.
    pub processor: String,
    /// Processors that the run may use.
    pub processors: usize,
    /// Memory, in MiB.
    pub memory: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// Commit of the tree.
    pub commit: String,
    /// Whether tracked files differed from the commit.
    pub is_modified: bool,
    /// Load average of the last minute, before and after the run.
    pub load: [f64; 2],
}

/// A table of one measurement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResultTable {
    /// A word to find it by, such as `latency`: unique in a run.
    pub id: String,
    /// The title.
    pub title: String,
    /// How it was measured, in one or two sentences.
    pub method: String,
    /// Names of the labels of a row.
    pub labels: Vec<String>,
    /// The rows.
    pub rows: Vec<ResultRow>,
    /// Ratios of figures of the rows.
    pub ratios: Vec<RoundRatio>,
    /// Goals.
    pub goals: Vec<Goal>,
    /// How the table is drawn; `None` for no plot.
    pub plot: Option<Plot>,
}

/// A row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResultRow {
    /// Its labels, one for each of the table's names.
    pub labels: Vec<String>,
    /// Its figures. A row may lack figures that others have.
    pub figures: Vec<Figure>,
}

/// A figure of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name, such as `p99`: the column.
    pub name: String,
    /// Its unit.
    pub unit: FigureUnit,
    /// The sample of each round, in the order of the rounds.
    pub samples: Vec<f64>,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FigureUnit {
    /// Things: connections, requests, instructions.
    Count,
    /// Things per second.
    PerSecond,
    /// Seconds; printed as ns, µs, ms or s.
    Seconds,
    /// Bits per second.
    BitsPerSecond,
    /// Bytes.
    Bytes,
    /// A part of one: printed in percent.
    Share,
    /// A plain number without a unit: a slope, a factor.
    Number,
}

/// The ratio of a figure of one row to the same figure of another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundRatio {
    /// What is claimed of it, such as `requests/s, remote owner`.
    pub name: String,
    /// The figure.
    pub figure: String,
    /// Labels of the row above the line.
    pub of: Vec<String>,
    /// Labels of the row below the line.
    pub to: Vec<String>,
}

/// How a table is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Plot {
    /// A bar for each row and figure, from zero.
    Bars,
    /// Bars on a logarithmic axis, for figures that differ by orders of magnitude.
    LogarithmicBars,
    /// A line for each value of all labels but the last, over the last label, which is a number; both axes
    /// are logarithmic.
    Lines,
    /// A line for each value of all labels but the last, over the last label: the time from an event, in
    /// seconds. Both axes are linear. Reports draw such a table, and do not list its many rows.
    Timeline,
}

impl Figure {
    /// Returns a figure.
    #[must_use]
    pub fn new(name: &str, unit: FigureUnit, samples: Vec<f64>) -> Self {
        Self { name: name.to_owned(), unit, samples }
    }

    /// Returns minimum, median and maximum; `None` without samples.
    #[must_use]
    pub fn spread(&self) -> Option<Spread> {
        Spread::of(&self.samples)
    }
}

impl Machine {
    /// Returns the load average of the last minute before the run.
    #[must_use]
    pub const fn load_before(&self) -> f64 {
        self.load[0]
    }

    /// Returns the load average of the last minute after the run.
    #[must_use]
    pub const fn load_after(&self) -> f64 {
        self.load[1]
    }
}

impl ResultRow {
    /// Returns a row without figures.
    #[must_use]
    pub fn new(labels: &[&str]) -> Self {
        Self { labels: labels.iter().map(ToString::to_string).collect(), figures: Vec::new() }
    }

    /// Adds the sample of a round to a figure, which it creates if it is new.
    pub fn push(&mut self, name: &str, unit: FigureUnit, sample: f64) {
        match self.figures.iter_mut().find(|figure| figure.name == name) {
            Some(figure) => figure.samples.push(sample),
            None => self.figures.push(Figure::new(name, unit, vec![sample])),
        }
    }

    /// Returns a figure by its name.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }
}

impl ResultTable {
    /// Returns a row by its labels.
    #[must_use]
    pub fn row(&self, labels: &[String]) -> Option<&ResultRow> {
        self.rows.iter().find(|row| row.labels == labels)
    }

    /// Returns the row with these labels, which it adds if it is new.
    pub fn row_mut(&mut self, labels: &[&str]) -> &mut ResultRow {
        let at = self.rows.iter().position(|row| row.labels.iter().eq(labels));
        let at = at.unwrap_or_else(|| {
            self.rows.push(ResultRow::new(labels));
            self.rows.len().saturating_sub(1)
        });
        &mut self.rows[at]
    }

    /// Returns the title, with the word that names the table in commands.
    #[must_use]
    pub fn heading(&self) -> String {
        format!("{}: {}", self.id, self.title)
    }

    /// Whether its rows are listed: those of a timeline are drawn only.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        !self.rows.is_empty() && self.plot != Some(Plot::Timeline)
    }

    /// Returns the names of the figures of all rows, in the order of their first appearance.
    #[must_use]
    pub fn figure_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for figure in self.rows.iter().flat_map(|row| &row.figures) {
            if !names.contains(&figure.name.as_str()) {
                names.push(&figure.name);
            }
        }
        names
    }

    /// Returns a ratio, round by round: minimum, median and maximum. `None` if a row or a figure is missing.
    #[must_use]
    pub fn ratio(&self, ratio: &RoundRatio) -> Option<Spread> {
        let samples = |labels| Some(&self.row(labels)?.figure(&ratio.figure)?.samples);
        let (of, to) = (samples(&ratio.of)?, samples(&ratio.to)?);
        let ratios: Vec<f64> =
            of.iter().zip(to).filter(|(_, to)| **to != 0.0).map(|(of, to)| of / to).collect();
        Spread::of(&ratios)
    }
}

#[cfg(test)]
mod tests {
    use super::{FigureUnit, ResultTable, RoundRatio, Spread};

    fn table() -> ResultTable {
        let mut table = ResultTable { labels: vec!["scheme".to_owned()], ..ResultTable::default() };
        for (a, b) in [(10.0, 5.0), (30.0, 10.0), (20.0, 10.0)] {
            table.row_mut(&["a"]).push("p99", FigureUnit::Seconds, a);
            table.row_mut(&["b"]).push("p99", FigureUnit::Seconds, b);
        }
        table
    }

    #[test]
    fn a_ratio_is_of_samples_of_the_same_round() {
        let ratio = |of: &str, to: &str| RoundRatio {
            name: String::new(),
            figure: "p99".to_owned(),
            of: vec![of.to_owned()],
            to: vec![to.to_owned()],
        };
        let table = table();
        assert_eq!(table.ratio(&ratio("a", "b")), Some(Spread { minimum: 2.0, median: 2.0, maximum: 3.0 }));
        assert_eq!(table.ratio(&ratio("a", "c")), None);
    }

    #[test]
    fn rows_and_figures_are_added_once() {
        let table = table();
        assert_eq!(table.rows.len(), 2);
        assert_eq!(table.rows[0].figures.len(), 1);
        assert_eq!(table.rows[0].figures[0].samples, [10.0, 30.0, 20.0]);
    }

    #[test]
    fn results_survive_json() {
        let table = table();
        let text = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<ResultTable>(&text).unwrap(), table);
    }
}
