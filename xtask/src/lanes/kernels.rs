//! The tests on other kernels, each booted in a guest.
//!
//! ```text
//! packages ── Debian's kernels, cached        ─┐
//! modules  ── those that the lab needs        ─┼─ image (cpio) ── guest ── report
//! the agent, the tests, tools, libraries      ─┘
//! ```

mod cpio;
mod guest;
mod image;
mod modules;
mod packages;
mod report;

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::Args;

use self::guest::Guest;
use self::packages::{ALL, Series};
use self::report::Report;
use super::program;
use super::totals::Totals;
use crate::architecture::Architecture;
use crate::{process, table, workspace};

/// Guests that run at a time.
const AT_A_TIME: usize = 2;

/// Programs of the test crate that guests hold.
const PROGRAMS: [&str; 3] = ["kernel", "guest", "old_guest"];

/// Those of guests that test machines.
const PROGRAMS_OF_MACHINES: [&str; 1] = ["guest"];

/// Programs that a guest runs, each with its modules behind colons, none for all: the doctor, reasons of
/// drivers, the budget of the verifier, libbpf, the packet table, and tests for guests only.
const TESTS: [&str; 2] = ["kernel:doctor:native:verifier:libbpf:table", "guest:forwarding"];
/// Those that take an uplink of each kind, instead.
const TESTS_OF_MACHINES: [&str; 1] = ["guest:bond:vlan"];
/// Those of a guest whose kernel is too old.
const TESTS_OF_OLD: [&str; 1] = ["old_guest"];

/// The choice of guests for the lane `kernels`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Lane kernels: architecture of the guests
    #[arg(long, value_enum, default_value_t = Architecture::X86_64)]
    arch: Architecture,
    /// Lane kernels: a series of kernels, such as 6.1, instead of all; may be given several times
    #[arg(long = "kernel", value_name = "SERIES")]
    series: Vec<String>,
    /// Lane kernels: test uplinks of each kind (bonds, VLANs) instead, and print the table of machines
    #[arg(long)]
    machines: bool,
}

/// A guest that has ended.
struct Finished {
    series: &'static str,
    release: String,
    report: Report,
}

/// Boots all chosen guests.
pub(super) fn run(options: &Options, args: &[String]) -> Result<Totals> {
    let chosen = options.check()?;
    let directory = workspace::target().join("kernels");
    fs::create_dir_all(&directory)?;
    let programs = if options.machines { &PROGRAMS_OF_MACHINES[..] } else { &PROGRAMS };
    let programs = program::build(programs)?;
    let common = image::common(&workspace::release("fairlead"), &programs)?;
    let filter = args.first().map(|word| format!(" fairlead.filter={word}")).unwrap_or_default();
    let (next, finished) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(series) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = boot(*series, options.machines, &common, &directory, &filter);
                    finished.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(result);
                }
            });
        }
    });
    let finished = finished.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(summary(finished))
}

impl Options {
    /// Returns the chosen series.
    fn check(&self) -> Result<Vec<Series>> {
        ensure!(
            self.arch == Architecture::X86_64,
            "guests of architecture {} are not implemented: only x86-64 is",
            self.arch
        );
        let known = || ALL.iter().map(|it| it.name).collect::<Vec<_>>().join(", ");
        for name in &self.series {
            if !ALL.iter().any(|it| it.name == name) {
                bail!("no packages of Linux {name}; known are {}", known());
            }
        }
        let is_chosen =
            |it: &&Series| self.series.is_empty() || self.series.iter().any(|name| name == it.name);
        let is_tested = |it: &&Series| !(self.machines && it.is_too_old);
        Ok(ALL.iter().filter(is_chosen).filter(is_tested).copied().collect())
    }
}

/// Boots one guest and reads its report.
fn boot(
    series: Series,
    machines: bool,
    common: &[u8],
    directory: &std::path::Path,
    filter: &str,
) -> Result<Finished> {
    let kernel = series.provide()?;
    let start = Instant::now();
    let files = directory.join(format!("{}.cpio", series.name));
    let modules = modules::in_order(&kernel.modules, machines)?;
    fs::write(&files, [common, &image::of_kernel(&modules)].concat())?;
    let log = directory.join(format!("{}.log", series.name));
    let tests = match (series.is_too_old, machines) {
        (true, _) => TESTS_OF_OLD.as_slice(),
        (false, true) => TESTS_OF_MACHINES.as_slice(),
        (false, false) => TESTS.as_slice(),
    };
    let tests = tests.join(",");
    let words = format!("fairlead.series={} fairlead.tests={tests}{filter}", series.name);
    let limit = if machines { guest::LIMIT_OF_MACHINES } else { guest::LIMIT };
    let guest =
        Guest { release: &kernel.release, image: &kernel.image, files: files.clone(), log, words, limit };
    let output = guest.run();
    fs::remove_file(&files)?;
    let report = Report::of(&output?);
    let Totals { passed, failed, .. } = report.totals;
    println!(
        "{}: {passed} passed, {failed} failed in {} ({})",
        guest.release,
        process::elapsed(start.elapsed()),
        guest.log.display()
    );
    Ok(Finished { series: kernel.series.name, release: kernel.release, report })
}

/// Prints why guests failed and their verifiers' work, and adds up the results.
fn summary(finished: Vec<Result<Finished>>) -> Totals {
    let mut totals = Totals::default();
    let mut rows = Vec::new();
    let mut machines = Vec::new();
    for result in finished {
        match result {
            Ok(Finished { series, release, report }) => {
                totals = totals + report.totals;
                if let Some(failure) = &report.failure {
                    eprintln!("xtask: guest with Linux {release}: {failure}");
                }
                let row = |machine: [String; report::MACHINE]| [&[series.to_owned()][..], &machine].concat();
                machines.extend(report.machines.into_iter().map(row));
                let cells = |program: [String; 3]| [&[release.clone()][..], &program].concat();
                rows.push((series, report.verified.into_iter().map(cells).collect::<Vec<_>>()));
            }
            Err(error) => {
                eprintln!("xtask: {error:#}");
                totals = totals + Totals::FAILURE;
            }
        }
    }
    rows.sort_by_key(|(series, _)| ALL.iter().position(|it| it.name == *series));
    let mut lines =
        vec![["kernel", "program", "verifier processed", "bytes of stack"].map(str::to_owned).to_vec()];
    lines.extend(rows.into_iter().flat_map(|(_, rows)| rows));
    println!();
    if lines.len() > 1 {
        table::print(&lines, &[2, 3]);
    }
    if !machines.is_empty() {
        machines.sort();
        let header = ["kernel", "uplink", "attaches", "announced", "forwards", "event", "restart adopts"];
        machines.insert(0, header.map(str::to_owned).to_vec());
        table::print(&machines, &[]);
    }
    totals
}

#[cfg(test)]
mod tests {

    use super::{Architecture, Options};

    #[test]
    fn only_known_guests_can_be_chosen() {
        let chosen = |arch, names: &[&str]| {
            let series = names.iter().map(ToString::to_string).collect();
            Options { arch, series, machines: false }
                .check()
                .map(|it| it.iter().map(|it| it.name).collect::<Vec<_>>())
        };
        assert_eq!(chosen(Architecture::X86_64, &["6.12", "6.1"]).unwrap(), ["6.1", "6.12"]);
        assert!(chosen(Architecture::X86_64, &[]).unwrap().len() > 2);
        assert!(chosen(Architecture::X86_64, &["6.6"]).unwrap_err().to_string().contains("6.1, 6.12"));
        assert!(chosen(Architecture::Aarch64, &[]).unwrap_err().to_string().contains("aarch64"));
    }
}
