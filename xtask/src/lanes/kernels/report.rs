//! The report of a guest, parsed from its serial line.

use crate::lanes::totals::Totals;

/// Columns of a row about a machine.
pub(super) const MACHINE: usize = 6;

/// The results of a guest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) totals: Totals,
    /// Its verifier's work for each program: name, instructions, bytes of stack.
    pub(super) verified: Vec<[String; 3]>,
    /// The machines that it has tested: uplink, mode, whether its addresses are announced, whether it
    /// forwards, whether connections survive what happens to the uplink, and whether a restart adopts the
    /// program.
    pub(super) machines: Vec<[String; MACHINE]>,
    /// Seconds from its start to its last line.
    pub(super) seconds: Option<u32>,
    /// The reason of a failure that is not of one test.
    pub(super) failure: Option<String>,
}

impl Report {
    /// Parses the output. A guest without a verdict has failed, whatever its tests report.
    pub(super) fn of(output: &str) -> Self {
        let mut report = Self::default();
        let mut verdict = None;
        for line in output.lines() {
            report.totals = report.totals + Totals::of(line).unwrap_or_default();
            report.verified.extend(verified(line));
            report.machines.extend(machine(line));
            verdict = line.strip_prefix("verdict ").or(verdict);
        }
        report.failure = match verdict {
            None => Some("no verdict: it hangs, crashed, or took too long".to_owned()),
            Some(verdict) => {
                report.seconds = field(verdict, "seconds").and_then(|number| number.parse().ok());
                let count = |key| field(verdict, key).and_then(|number| number.parse::<u32>().ok());
                match (count("failed"), count("faults")) {
                    (Some(0), Some(0)) if report.totals.passed == 0 => Some("it ran no test".to_owned()),
                    (Some(0), Some(0)) => None,
                    (_, Some(1..)) => Some("its kernel reports a fault of its own".to_owned()),
                    _ if report.totals.failed > 0 => None,
                    _ => Some(format!("its verdict is {verdict:?}")),
                }
            }
        };
        if report.failure.is_some() {
            report.totals = report.totals + Totals::FAILURE;
        }
        report
    }
}

/// Parses `verified fairlead instructions=167439 stack=480`, behind the test runner's output on the line.
fn verified(line: &str) -> Option<[String; 3]> {
    let (program, counts) = line.split_once("verified ")?.1.split_once(' ')?;
    Some([program, field(counts, "instructions")?, field(counts, "stack")?].map(str::to_owned))
}

/// Parses `machine uplink=bond,_802.3ad mode=native announced=yes forwards=yes event=yes adopts=yes`.
fn machine(line: &str) -> Option<[String; MACHINE]> {
    let words = line.strip_prefix("machine ")?;
    let value = |key| field(words, key).map(|value| value.replace('_', " "));
    let [uplink, mode, announced] = [value("uplink")?, value("mode")?, value("announced")?];
    Some([uplink, mode, announced, value("forwards")?, value("event")?, value("adopts")?])
}

/// Returns the value behind `key=`.
fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::lanes::totals::Totals;

    const PASSED: &str =
        "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s\n";
    const FAILED: &str =
        "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s\n";

    fn of(tests: &str, verdict: &str) -> (u32, u32, bool) {
        let Report { totals, failure, .. } = Report::of(&format!("{tests}{verdict}"));
        (totals.passed, totals.failed, failure.is_some())
    }

    #[test]
    fn a_guest_passes_only_by_its_verdict() {
        assert_eq!(of(PASSED, "verdict release=6.1 failed=0 faults=0 seconds=9\n"), (3, 0, false));
        assert_eq!(of(PASSED, ""), (3, 1, true), "no verdict");
        assert_eq!(
            of(PASSED, "verdict release=6.1 failed=1 faults=0\n"),
            (3, 1, true),
            "a test that crashed"
        );
        assert_eq!(
            of(PASSED, "verdict release=6.1 failed=0 faults=2\n"),
            (3, 1, true),
            "the kernel's own fault"
        );
        assert_eq!(of(PASSED, "verdict release=6.1\n"), (3, 1, true), "half a verdict");
        assert_eq!(of("", "verdict release=6.1 failed=0 faults=0\n"), (0, 1, true), "no tests");
        assert_eq!(
            of(FAILED, "verdict release=6.1 failed=1 faults=0\n"),
            (1, 2, false),
            "each failed test once"
        );
    }

    #[test]
    fn rows_of_machines_are_read() {
        let line = "machine uplink=bond,_802.3ad mode=native announced=yes forwards=yes event=- adopts=yes\n";
        let expected = ["bond, 802.3ad", "native", "yes", "yes", "-", "yes"].map(str::to_owned);
        assert_eq!(Report::of(line).machines, [expected]);
        assert_eq!(Report::of("machine uplink=x\n").machines, Vec::<[String; 6]>::new(), "half a row");
    }

    #[test]
    fn the_verifiers_work_is_read() {
        let output = format!(
            "noise\ntest budget ... verified fairlead instructions=167439 stack=480\n{PASSED}verdict failed=0 faults=0 seconds=31\n"
        );
        let report = Report::of(&output);
        assert_eq!(report.verified, [["fairlead", "167439", "480"].map(str::to_owned)]);
        assert_eq!(report.totals, Totals { passed: 3, failed: 0, ignored: 0 });
        assert_eq!(report.seconds, Some(31));
    }
}
