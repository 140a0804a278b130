//! The measurement as tables of results.

use super::case::{COST, CaseSize, Program, labels};
use super::goals;
use super::line::Line;
use super::live::LiveLine;
use super::measure::Prepared;
use super::sizes::SizeLine;
use crate::results::{Figure, FigureUnit, Plot, ResultRow, ResultTable, RoundRatio};

const RATE: &str = "frames";
const NANOSECOND: f64 = 1e-9;

/// Cases beside the reference in the ratios, with the reference of each.
const BESIDE: [(&str, &str); 6] = [
    ("l2", "reference"),
    ("l2", "floor"),
    ("l2, IPv6 UDP", "l2"),
    ("gue", "reference"),
    ("owner", "reference"),
    ("miss", "reference, miss"),
];

/// Returns the table of costs.
pub fn costs(prepared: &[Prepared], lines: &[Line]) -> ResultTable {
    let harness = prepared.iter().filter(|prepared| prepared.case.kind.program == Program::Harness);
    let harness = harness.map(Prepared::median).min().unwrap_or_default();
    let row = |prepared: &Prepared| {
        // The programs without a packet of their own are what the others are freed of.
        let is_bare = matches!(prepared.case.kind.program, Program::Nothing | Program::Harness);
        let spent = if is_bare { 0 } else { harness };
        let samples = prepared.rounds.iter().map(|cost| net(*cost, spent)).collect();
        ResultRow {
            labels: labels(prepared.case.kind.name, prepared.case.size),
            figures: vec![Figure::new(COST, FigureUnit::Seconds, samples)],
        }
    };
    let mut table = ResultTable {
        id: "packet".to_owned(),
        title: "The cost of a packet in the XDP program".to_owned(),
        method: "Time of a packet in the program alone by BPF_PROG_TEST_RUN, without the median of the harness that \
                 makes each packet anew; all cases in turns. The reference is a load balancer with a Maglev ring, a \
                 kernel LRU hash of flows and IP in IP; the floor is the least program that does all that l2 does."
            .to_owned(),
        labels: vec!["size".to_owned(), "case".to_owned()],
        rows: prepared.iter().map(row).collect(),
        goals: goals::of_results(lines),
        plot: Some(Plot::Bars),
        ..ResultTable::default()
    };
    table.rows.sort_by(|a, b| a.labels.first().cmp(&b.labels.first()));
    table.ratios = BESIDE
        .into_iter()
        .map(|(of, to)| RoundRatio {
            name: format!("{of} beside {to}"),
            figure: COST.to_owned(),
            of: labels(of, CaseSize::MANY),
            to: labels(to, CaseSize::MANY),
        })
        .filter(|ratio| table.ratio(ratio).is_some())
        .collect();
    table
}

/// Returns the table of live frames.
pub fn live(lines: &[LiveLine]) -> ResultTable {
    let row = |line: &LiveLine| {
        let rates = line.turns.iter().map(|cost| 1e9 / (*cost).max(1) as f64).collect();
        ResultRow {
            labels: vec![line.way.to_owned(), line.case.to_owned()],
            figures: vec![Figure::new(RATE, FigureUnit::PerSecond, rates)],
        }
    };
    ResultTable {
        id: "packet-live".to_owned(),
        title: "Live frames of 64 bytes on one CPU".to_owned(),
        method: "Frames in 65,536 flows of 1,000 VIPs, made by the kernel and carried by it from veth to veth, or up \
                 the stack, which drops them; \"nothing\" makes the packet and passes or transmits it."
            .to_owned(),
        labels: vec!["verdict".to_owned(), "program".to_owned()],
        rows: lines.iter().map(row).collect(),
        plot: Some(Plot::Bars),
        ..ResultTable::default()
    }
}

/// Returns the table of sizes.
pub fn sizes(lines: &[SizeLine]) -> ResultTable {
    let row = |line: &SizeLine| {
        let once = |name, unit, value| Figure::new(name, unit, vec![value]);
        ResultRow {
            labels: vec![line.program.to_owned()],
            figures: vec![
                once("BPF", FigureUnit::Bytes, f64::from(line.translated)),
                once("machine code", FigureUnit::Bytes, f64::from(line.machine_code)),
                once("verified instructions", FigureUnit::Count, f64::from(line.verified)),
                once("load", FigureUnit::Seconds, line.load_ms / 1000.0),
            ],
        }
    };
    ResultTable {
        id: "packet-sizes".to_owned(),
        title: "Sizes of the programs, and the verifier's work".to_owned(),
        method: "As this kernel has them; the fastest of three loads.".to_owned(),
        labels: vec!["program".to_owned()],
        rows: lines.iter().map(row).collect(),
        ..ResultTable::default()
    }
}

/// A packet that costs no more than the harness costs nothing.
fn net(cost: u64, harness: u64) -> f64 {
    cost.saturating_sub(harness) as f64 * NANOSECOND
}

#[cfg(test)]
mod tests {
    use super::BESIDE;
    use crate::packet::case::{COST, CaseSize, labels};
    use crate::packet::cases;
    use crate::packet::goals;
    use crate::packet::line::Line;
    use crate::results::{FigureUnit, ResultTable};

    #[test]
    fn every_ratio_is_of_cases_that_are_measured() {
        let cases = cases::all();
        for name in BESIDE.into_iter().flat_map(|(of, to)| [of, to]) {
            let is_measured = |size| cases.iter().any(|case| case.kind.name == name && case.size == size);
            assert!(is_measured(CaseSize::MANY), "{name}");
        }
    }

    #[test]
    fn goals_find_their_rows() {
        let measured = [("reference", 400), ("l2", 90)];
        let lines = measured.map(|(case, cost)| Line::new(case, CaseSize::MANY, [0, 0], [cost, cost]));
        let mut table = ResultTable::default();
        for (case, cost) in measured {
            let labels = labels(case, CaseSize::MANY);
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            table.row_mut(&labels).push(COST, FigureUnit::Seconds, cost as f64);
        }
        let goals = goals::of_results(&lines);
        assert_eq!(goals.len(), 1);
        assert_eq!(goals[0].measured(&table).map(|spread| spread.median), Some(0.225));
    }
}
