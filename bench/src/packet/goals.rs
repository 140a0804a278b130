//! Goals: limits for the cost of a case relative to another one of the same run.

use super::case::{self, COST, CaseSize};
use super::line::{Line, Ratio};
use crate::results::{self, Bound, GoalSubject, RoundRatio};

/// The name and size of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id(&'static str, CaseSize);

/// The maximum ratio of the costs of two cases.
#[derive(Clone, Copy, Debug)]
struct Goal {
    case: Id,
    beside: Id,
    most: f64,
}

/// A goal and the measured ratio.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The case with the goal.
    pub case: String,
    /// The case to which it is compared.
    pub beside: String,
    /// The maximum ratio.
    pub most: f64,
    /// The ratio of the costs, without the harness.
    pub ratio: Ratio,
    /// Whether the ratio of the minima and that of the medians are both within the goal.
    pub met: bool,
}

/// Equal, apart from the noise of a quiet machine.
const EQUAL: f64 = 1.05;

/// Returns all goals.
const GOALS: [Goal; 18] = [
    goal(many("l2"), many("reference"), 0.25),
    goal(many("gue"), many("reference"), 0.4),
    goal(one("l2"), one("reference"), 0.5),
    goal(many("miss"), many("reference, miss"), 0.5),
    goal(many("owner"), many("reference"), 0.65),
    goal(one("owner"), one("reference"), 0.5),
    goal(many("l2"), many("floor"), 1.5),
    goal(many("l2, UDP"), many("l2"), 1.2),
    goal(many("l2, IPv6"), many("l2"), 1.2),
    goal(many("l2, IPv6 UDP"), many("l2"), 1.2),
    goal(many("gue, UDP"), many("gue"), 1.2),
    goal(many("gue, IPv6 in IPv6"), many("gue"), 1.2),
    goal(many("gue, IPv6 UDP"), many("gue"), 1.2),
    goal(many("owner, UDP"), many("owner"), 1.2),
    goal(many("owner, IPv6"), many("owner"), 1.2),
    goal(many("l2, 4 nodes"), many("l2"), EQUAL),
    goal(Id("l2", CaseSize::MANY_RINGS), many("l2"), 1.4),
    goal(Id("gue", CaseSize::MANY_RINGS), many("gue"), 1.4),
];

const fn goal(case: Id, beside: Id, most: f64) -> Goal {
    Goal { case, beside, most }
}

const fn many(name: &'static str) -> Id {
    Id(name, CaseSize::MANY)
}

const fn one(name: &'static str) -> Id {
    Id(name, CaseSize::ONE)
}

/// Returns the judgements of the goals whose cases were both measured.
pub fn judge(lines: &[Line]) -> Vec<Judgement> {
    GOALS.iter().filter_map(|goal| goal.judge(lines)).collect()
}

/// Returns the goals whose cases were both measured, for the table of results.
pub fn of_results(lines: &[Line]) -> Vec<results::Goal> {
    let is_measured = |goal: &&Goal| goal.case.line(lines).is_some() && goal.beside.line(lines).is_some();
    GOALS.iter().filter(is_measured).map(Goal::of_results).collect()
}

impl Goal {
    fn of_results(&self) -> results::Goal {
        let [case, beside] = [self.case, self.beside].map(Id::words);
        let name = format!("{case} ÷ {beside}");
        let [of, to] = [self.case, self.beside].map(|Id(case, size)| case::labels(case, size));
        let ratio = RoundRatio { name: name.clone(), figure: COST.to_owned(), of, to };
        results::Goal { name, subject: GoalSubject::Ratio(ratio), bound: Bound::AtMost(self.most) }
    }

    fn judge(&self, lines: &[Line]) -> Option<Judgement> {
        let ratio = self.case.line(lines)?.ratio_to(self.beside.line(lines)?)?;
        let met = ratio.minimum <= self.most && ratio.median <= self.most;
        let [case, beside] = [self.case, self.beside].map(Id::words);
        Some(Judgement { case, beside, most: self.most, ratio, met })
    }
}

impl Id {
    fn line(self, lines: &[Line]) -> Option<&Line> {
        lines.iter().find(|line| line.case == self.0 && line.size() == self.1)
    }

    fn words(self) -> String {
        let Self(name, size) = self;
        match size {
            CaseSize::MANY => name.to_owned(),
            CaseSize::MANY_RINGS => format!("{name} ({} rings)", size.rings),
            _ => format!("{name} ({} flow)", size.flows),
        }
    }
}

#[cfg(test)]
mod tests;
