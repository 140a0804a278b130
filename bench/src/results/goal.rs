//! Limits that a run must keep.

use serde::{Deserialize, Serialize};

use super::{ResultTable, RoundRatio, Spread};

/// A limit of a figure, or of a ratio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// What is promised, such as `no connection breaks when a node joins`.
    pub name: String,
    /// What is limited.
    pub subject: GoalSubject,
    /// The limit of the median.
    pub bound: Bound,
}

/// What a goal limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum GoalSubject {
    /// A figure of a row.
    Figure {
        /// Labels of the row.
        row: Vec<String>,
        /// Name of the figure.
        figure: String,
    },
    /// A ratio.
    Ratio(RoundRatio),
}

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Bound {
    /// An upper limit.
    AtMost(f64),
    /// A lower limit.
    AtLeast(f64),
}

impl Goal {
    /// Returns what was measured of its subject in the table; `None` if nothing was.
    #[must_use]
    pub fn measured(&self, table: &ResultTable) -> Option<Spread> {
        match &self.subject {
            GoalSubject::Figure { row, figure } => table.row(row)?.figure(figure)?.spread(),
            GoalSubject::Ratio(ratio) => table.ratio(ratio),
        }
    }

    /// Whether the median is within the limit. A goal that was not measured is not met.
    #[must_use]
    pub fn is_met(&self, table: &ResultTable) -> bool {
        self.measured(table).is_some_and(|spread| self.bound.holds(spread.median))
    }
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bound, Goal, GoalSubject};
    use crate::results::{FigureUnit, ResultTable};

    #[test]
    fn a_goal_is_met_by_the_median_and_never_by_absence() {
        let mut table = ResultTable::default();
        for broken in [0.0, 0.0, 3.0] {
            table.row_mut(&["fairlead"]).push("broken", FigureUnit::Count, broken);
        }
        let goal = |row: &str, bound| Goal {
            name: String::new(),
            subject: GoalSubject::Figure { row: vec![row.to_owned()], figure: "broken".to_owned() },
            bound,
        };
        assert!(goal("fairlead", Bound::AtMost(0.0)).is_met(&table));
        assert!(!goal("fairlead", Bound::AtLeast(1.0)).is_met(&table));
        assert!(!goal("ecmp", Bound::AtMost(0.0)).is_met(&table));
    }
}
