//! The status of a node on one screen: what is wrong first, then a line for each area.

use std::fmt::Write;

use lb_dataplane::kernel_lookup::LookupSupport;

use crate::output::{NOTICE, PROBLEM, WELL, styled};
use crate::overview::Overview;
use crate::summary::{Finding, FindingSeverity, Summary};
use crate::text::count;

/// The maximum number of findings; `-o json` has all.
const LISTED: usize = 12;

/// Renders the screen, with styles.
pub fn render(overview: &Overview) -> String {
    let state = &overview.status.state;
    let mut screen =
        format!("node {}   fairlead {}   {}\n\n", state.node, state.version, verdict(&overview.summary));
    let findings = &overview.summary.findings;
    for finding in findings.iter().take(LISTED) {
        let _ = writeln!(screen, "{}", line(finding));
    }
    if let Some(more @ 1..) = findings.len().checked_sub(LISTED) {
        let _ = writeln!(screen, "and {more} more: fairlead status -o yaml");
    }
    if !findings.is_empty() {
        screen.push('\n');
    }
    for area in &overview.summary.areas {
        let _ = writeln!(screen, "{:<10}{}", area.area.title(), area.text);
    }
    if state.asks_kernel != LookupSupport::default() {
        let _ = writeln!(screen, "{:<10}lookups: {}", "kernel", state.asks_kernel);
    }
    screen + "\nIn full: fairlead status nodes|services|bgp|bfd|l2|packets\n"
}

/// Returns in a few words how a node is.
pub fn verdict(summary: &Summary) -> String {
    let problems = summary.findings.iter().filter(|it| it.severity == FindingSeverity::Problem).count();
    match problems {
        0 => styled(WELL, "no problems"),
        _ => styled(PROBLEM, &count(problems, "problem")),
    }
}

/// Returns the line of a finding.
pub fn line(finding: &Finding) -> String {
    match finding.severity {
        FindingSeverity::Problem => styled(PROBLEM, "! ") + &finding.text,
        FindingSeverity::Notice => styled(NOTICE, "- ") + &finding.text,
    }
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use serde_json::json;

    use super::*;
    use crate::summary::tests::{overview, well};

    #[test]
    fn problems_stand_before_the_lines_of_the_areas() {
        let mut status = well();
        status["draining"] = json!(true);
        status["liveness"][0]["state"] = json!("dead");
        let screen = strip_str(&render(&overview(&status))).to_string();
        let lines: Vec<_> = screen.lines().collect();
        assert_eq!(lines[0], "node n1   fairlead 0.1.0   1 problem");
        assert!(lines[2].starts_with("! 1 node is dead: n2"), "{screen}");
        assert!(lines[3].starts_with("- this node is draining"), "{screen}");
        assert!(lines[5].starts_with("agent     ready, draining, uplinks eth0 (native)"), "{screen}");
    }

    #[test]
    fn a_node_with_a_hundred_problems_still_fits_on_one_screen() {
        let mut status = well();
        status["problems"] = (0..100).map(|number| format!("problem {number}")).collect();
        let screen = render(&overview(&status));
        assert!(screen.lines().count() <= 24 && screen.contains("and 88 more"), "{screen}");
    }
}
