//! The tests in lanes, cheapest first. A test belongs to the lowest lane in which it can fail.

pub(crate) mod kernels;
mod program;
mod totals;
mod unit;

use std::env;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::lanes::program::Pace;
use crate::lanes::totals::Totals;
use crate::setup::Part;
use crate::{ebpf, machine, process, setup, table, tidy};

/// A group of tests with the same needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Lane {
    /// Format, and the rules of the tree
    Tidy,
    /// Logic on the host
    Unit,
    /// The XDP program, one packet at a time (as root)
    Kernel,
    /// The controller against an API server, on loopback
    Cluster,
    /// Agents, servers, clients and routers in network namespaces (as root)
    Lab,
    /// Tests of the lab that take a minute or more; only on request (as root)
    Long,
    /// Agents replaced by other builds and by another map layout, under traffic; only on request (as root)
    Upgrade,
    /// The program and agents on other kernels, in emulated guests; only on request
    Kernels,
    /// Pure logic, built for the other architecture and emulated; only on request
    Foreign,
    /// Ten minutes each under CPU starvation or damage; only on request (as root)
    Soak,
}

/// Modules of the lab whose tests measure times. Two of the others run at a time: each test has a network of
/// its own, and waits most of the time.
const LAB_PACE: Pace = Pace::InPairsBut(&[
    "bfd",
    "bgp_faults",
    "cache",
    "events",
    "events_bgp",
    "events_flood",
    "forward",
    "l2",
    "l2_faults",
    "liveness",
    "metrics",
    "restart",
    "restart_forged",
    "restart_gone",
    "restart_kills",
    "restart_starved",
    "shutdown",
]);

/// Tests of these lanes run two at a time.
const TWO_TESTS: Pace = Pace::InTurn(&["--test-threads=2"]);

/// Soak tests run one after the other, with their output.
const SOAK_PACE: Pace = Pace::InTurn(&["--test-threads=1", "--nocapture"]);

impl Lane {
    /// The lanes that run if none is named.
    const DEFAULT: [Self; 5] = [Self::Tidy, Self::Unit, Self::Kernel, Self::Cluster, Self::Lab];

    const fn name(self) -> &'static str {
        match self {
            Self::Tidy => "tidy",
            Self::Unit => "unit",
            Self::Kernel => "kernel",
            Self::Cluster => "cluster",
            Self::Lab => "lab",
            Self::Long => "long",
            Self::Upgrade => "upgrade",
            Self::Kernels => "kernels",
            Self::Foreign => "foreign",
            Self::Soak => "soak",
        }
    }

    /// Whether the lane is a program of the test crate, which needs nothing else to be built first.
    const fn is_of_programs(self) -> bool {
        matches!(self, Self::Kernel | Self::Cluster | Self::Lab | Self::Long | Self::Soak)
    }

    const fn needs_kernel(self) -> bool {
        matches!(self, Self::Kernel | Self::Lab | Self::Long | Self::Upgrade | Self::Soak)
    }

    const fn parts(self) -> &'static [Part] {
        match self {
            Self::Tidy => &[Part::Components],
            Self::Unit => &[],
            Self::Foreign => &[Part::ForeignTarget],
            Self::Kernel => &[Part::BpfCore, Part::BpfLinker, Part::Lab],
            Self::Cluster => &[Part::BpfCore, Part::BpfLinker],
            Self::Kernels => &[Part::BpfCore, Part::BpfLinker, Part::Lab, Part::Guests],
            Self::Lab | Self::Long => {
                &[Part::BpfCore, Part::BpfLinker, Part::Lab, Part::Routers, Part::Prometheus]
            }
            Self::Upgrade | Self::Soak => &[Part::BpfCore, Part::BpfLinker, Part::Lab, Part::Routers],
        }
    }

    /// Parts without which some tests of the lane are skipped.
    const fn optional_parts(self) -> &'static [Part] {
        match self {
            Self::Cluster => &[Part::KubeClients, Part::Prometheus],
            Self::Lab => &[Part::KubeClients, Part::Browser],
            _ => &[],
        }
    }

    fn run(self, guests: &kernels::Options, args: &[String]) -> Result<Totals> {
        match self {
            Self::Tidy => tidy::run(args).map(|counts| Totals {
                passed: counts.kept,
                failed: counts.broken,
                ignored: 0,
            }),
            Self::Unit => Ok(tests(unit::tests()?, args)? + tests(unit::examples()?, args)?),
            Self::Kernel => release_tests(self, Pace::InTurn(&[]), args),
            Self::Cluster => release_tests(self, Pace::InPairsBut(&[]), args),
            Self::Lab => release_tests(self, LAB_PACE, args),
            Self::Long => release_tests(self, TWO_TESTS, args),
            Self::Upgrade => upgrade_tests(args),
            Self::Kernels => kernels::run(guests, args),
            Self::Foreign => tests(unit::foreign()?, args),
            Self::Soak => release_tests(self, SOAK_PACE, args),
        }
    }
}

/// Runs the lanes, all of them even if one fails, and prints a table of their results.
pub(crate) fn run(named: &[Lane], guests: &kernels::Options, args: &[String]) -> Result<ExitCode> {
    let lanes = in_order(named);
    let as_root: Vec<&str> =
        lanes.iter().filter(|lane| lane.needs_kernel()).map(|lane| lane.name()).collect();
    ensure!(
        as_root.is_empty() || machine::is_root(),
        "lanes {} need root: run as root, or run `cargo xtask test tidy unit cluster`",
        as_root.join(" and ")
    );
    for lane in &lanes {
        setup::ensure(lane.parts())?;
        provide_optional(*lane)?;
    }
    let programs: Vec<&str> =
        lanes.iter().filter(|lane| lane.is_of_programs()).map(|lane| lane.name()).collect();
    let mut results = Vec::new();
    for lane in &lanes {
        if programs.first() == Some(&lane.name()) {
            results.push(timed("build", || program::build(&programs).map(|_| Totals::default())));
        }
        results.push(timed(lane.name(), || lane.run(guests, args)));
    }
    Ok(summary(&results))
}

/// Installs the optional parts; without them a machine skips tests, and continuous integration fails.
fn provide_optional(lane: Lane) -> Result<()> {
    for part in lane.optional_parts() {
        match setup::ensure(&[*part]) {
            Err(error) if env::var_os("CI").is_none() => {
                eprintln!("xtask: tests are skipped: {error:#}");
            }
            result => result?,
        }
    }
    Ok(())
}

fn in_order(named: &[Lane]) -> Vec<Lane> {
    let mut lanes = if named.is_empty() { Lane::DEFAULT.to_vec() } else { named.to_vec() };
    lanes.sort_unstable();
    lanes.dedup();
    lanes
}

fn timed(name: &'static str, part: impl FnOnce() -> Result<Totals>) -> (&'static str, Totals, Duration) {
    println!("\n=== {name} ===");
    let start = Instant::now();
    let totals = part().unwrap_or_else(|error| {
        eprintln!("xtask: {name}: {error:#}");
        Totals::FAILURE
    });
    (name, totals, start.elapsed())
}

fn summary(results: &[(&'static str, Totals, Duration)]) -> ExitCode {
    let mut rows = vec![["lane", "passed", "failed", "ignored", "time"].map(str::to_owned).to_vec()];
    rows.extend(results.iter().map(|(name, totals, time)| {
        let [passed, failed, ignored] =
            [totals.passed, totals.failed, totals.ignored].map(|count| count.to_string());
        vec![(*name).to_owned(), passed, failed, ignored, process::elapsed(*time)]
    }));
    println!();
    table::print(&rows, &[1, 2, 3, 4]);
    let all: Totals = results.iter().map(|(_, totals, _)| *totals).sum();
    println!("\n{} passed, {} failed", all.passed, all.failed);
    if all.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tests with agents of other builds. Those are built first: the product's is built last, and stays.
fn upgrade_tests(args: &[String]) -> Result<Totals> {
    let variants = ebpf::build_variant_agents()?;
    program::run(Lane::Upgrade.name(), &variants, TWO_TESTS, args)
}

/// Tests of the release build.
fn release_tests(lane: Lane, pace: Pace, args: &[String]) -> Result<Totals> {
    program::run(lane.name(), &[], pace, args)
}

fn cargo_test() -> Command {
    let mut cargo = process::cargo();
    cargo.args(["test", "--no-fail-fast"]);
    cargo
}

/// Runs a `cargo test` with its output shown, and adds up its results.
fn tests(mut cargo: Command, args: &[String]) -> Result<Totals> {
    cargo.arg("--").args(args);
    watched(&mut cargo)
}

/// Runs tests with their output shown, and adds up their results.
fn watched(command: &mut Command) -> Result<Totals> {
    let mut totals = Totals::default();
    let code = process::watch(command, |line| totals = totals + Totals::of(line).unwrap_or_default())?;
    Ok(counted(totals, code, command))
}

/// Returns the results of a command with its exit code: a build that failed and a killed test report no
/// failed test.
fn counted(totals: Totals, code: u8, command: &Command) -> Totals {
    if code == 0 || totals.failed > 0 {
        return totals;
    }
    eprintln!("xtask: `{}` ended with {code}", process::line(command));
    totals + Totals::FAILURE
}

#[cfg(test)]
mod tests {
    use super::{Lane, in_order};

    #[test]
    fn lanes_run_once_and_the_cheapest_first() {
        assert_eq!(in_order(&[Lane::Lab, Lane::Tidy, Lane::Lab]), [Lane::Tidy, Lane::Lab]);
        assert_eq!(in_order(&[Lane::Soak, Lane::Unit]), [Lane::Unit, Lane::Soak]);
        assert_eq!(in_order(&[]), Lane::DEFAULT);
        assert!(Lane::DEFAULT.is_sorted());
    }
}
