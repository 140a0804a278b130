//! Claims in texts, such as README, that results must bear out.
//!
//! A claim is a number with a comment behind it that names a table and one of its ratios or goals:
//!
//! ```text
//! Fairlead serves 1.8 × <!-- bench: load: requests/s, remote owner --> as many requests.
//! ```
//!
//! The number must lie between the minimum and the maximum of what was measured.

use super::{ResultTable, Results, Spread, format};
use crate::results::FigureUnit;
use crate::results::print::goal_unit;

const BEGIN: &str = "<!-- bench: ";
const END: &str = " -->";

/// Units in a text, and the factor of each.
const UNITS: [(&str, f64); 7] =
    [("×", 1.0), ("%", 0.01), ("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("", 1.0)];

/// Returns a sentence for each claim of the text that the results do not bear out.
#[must_use]
pub fn refuted(text: &str, results: &Results) -> Vec<String> {
    text.lines().enumerate().flat_map(|(at, line)| of_line(at + 1, line, results)).collect()
}

fn of_line(number: usize, line: &str, results: &Results) -> Vec<String> {
    let mut refuted = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(END).unwrap_or((after, ""));
        if let Some(fault) = fault(before, name, results) {
            refuted.push(format!("line {number}: {name}: {fault}"));
        }
        rest = after;
    }
    refuted
}

fn fault(before: &str, name: &str, results: &Results) -> Option<String> {
    let Some(claimed) = last_number(before) else { return Some("no number before the comment".to_owned()) };
    let Some((unit, measured)) = measured(name, results) else {
        return Some("not in the results".to_owned());
    };
    // A claim has fewer digits than a sample; half of its last one may be rounding.
    let slack = claimed.abs() * 0.005;
    let is_inside = measured.minimum - slack <= claimed && claimed <= measured.maximum + slack;
    let measured = format::spread(unit, &measured);
    (!is_inside).then(|| format!("claims {}, measured {measured}", format::value(unit, claimed)))
}

fn measured(name: &str, results: &Results) -> Option<(FigureUnit, Spread)> {
    let (table, name) = name.split_once(": ")?;
    let table = results.tables.iter().find(|other| other.id == table)?;
    of_ratio(table, name).or_else(|| of_goal(table, name))
}

fn of_ratio(table: &ResultTable, name: &str) -> Option<(FigureUnit, Spread)> {
    let ratio = table.ratios.iter().find(|ratio| ratio.name == name)?;
    Some((FigureUnit::Number, table.ratio(ratio)?))
}

fn of_goal(table: &ResultTable, name: &str) -> Option<(FigureUnit, Spread)> {
    let goal = table.goals.iter().find(|goal| goal.name == name)?;
    Some((goal_unit(table, goal), goal.measured(table)?))
}

/// Returns the number at the end of a text, in base units.
fn last_number(text: &str) -> Option<f64> {
    let text = text.trim_end();
    UNITS.iter().find_map(|(unit, factor)| {
        let number = text.strip_suffix(unit)?.trim_end();
        let is_part = |character: char| character.is_ascii_digit() || matches!(character, '.' | ',');
        let digits = number.rsplit(|character| !is_part(character)).next()?.replace(',', "");
        Some(digits.parse::<f64>().ok()? * factor)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{last_number, refuted};
    use crate::results::{
        Bound, FORMAT, FigureUnit, Goal, GoalSubject, Machine, ResultTable, Results, RoundRatio, read,
    };

    fn results() -> Results {
        let mut table = ResultTable { id: "load".to_owned(), ..ResultTable::default() };
        for (a, b) in [(2.0, 1.0), (2.4, 1.0)] {
            table.row_mut(&["a"]).push("time", FigureUnit::Seconds, a);
            table.row_mut(&["b"]).push("time", FigureUnit::Seconds, b);
        }
        table.ratios = vec![RoundRatio {
            name: "twice, or more".to_owned(),
            figure: "time".to_owned(),
            of: vec!["a".to_owned()],
            to: vec!["b".to_owned()],
        }];
        let subject = GoalSubject::Figure { row: vec!["b".to_owned()], figure: "time".to_owned() };
        table.goals = vec![Goal { name: "fast".to_owned(), subject, bound: Bound::AtMost(1.0) }];
        let machine = Machine {
            processor: String::new(),
            processors: 1,
            memory: 1,
            kernel: String::new(),
            commit: String::new(),
            is_modified: false,
            load: [0.0; 2],
        };
        let tables = vec![table];
        Results { format: FORMAT, machine, is_quick: false, started: String::new(), seconds: 1.0, tables }
    }

    #[test]
    fn a_claim_inside_the_spread_holds_and_one_outside_is_named_by_its_line() {
        let text =
            "Text.\n2.2 × <!-- bench: load: twice, or more --> and 1,000 ms <!-- bench: load: fast -->.";
        assert_eq!(refuted(text, &results()), Vec::<String>::new());
        let outside = "Text.\nA 2.5 × <!-- bench: load: twice, or more --> gain.";
        assert_eq!(
            refuted(outside, &results()),
            ["line 2: load: twice, or more: claims 2.5, measured 2/2.2/2.4"]
        );
    }

    #[test]
    fn a_claim_of_nothing_that_was_measured_is_refuted() {
        assert_eq!(refuted("2 × <!-- bench: load: unknown -->", &results()).len(), 1);
        assert_eq!(refuted("many <!-- bench: load: fast -->", &results()).len(), 1);
    }

    #[test]
    fn numbers_have_units() {
        for (text, number) in [("in 1,500 µs ", 0.0015), ("0 %", 0.0), ("| 1.8 ×", 1.8), ("broke 12", 12.0)]
        {
            assert_eq!(last_number(text), Some(number), "{text}");
        }
        assert_eq!(last_number("no number"), None);
    }

    #[test]
    fn readme_claims_what_the_reference_results_show() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let reference = root.join("reference/results.json");
        if !reference.exists() {
            return;
        }
        let readme = fs::read_to_string(root.join("../README.md")).unwrap();
        assert_eq!(refuted(&readme, &read(&reference).unwrap()), Vec::<String>::new());
    }
}
