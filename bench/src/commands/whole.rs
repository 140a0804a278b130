//! `cargo xtask bench`: all subjects, one after the other, and their report.
//!
//! A subject is part of it if its command has `--json` and `--quick`. Each runs as a process of its own: what
//! one of them leaves behind in memory, or a crash, does not affect the next.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use fairlead_bench::report;
use fairlead_bench::results::print::aligned;
use fairlead_bench::results::{Results, file, merge, read};
use nix::unistd::Uid;

/// Between two looks at a subject.
const LOOK: Duration = Duration::from_millis(100);
/// Minutes for all subjects.
const FULL: u64 = 30;
/// Minutes of a quick run.
const QUICK: u64 = 3;

/// Options without a subject.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Run all subjects for a short time, to see that they work: their figures are less exact, and no goal is
    /// judged.
    #[arg(long)]
    quick: bool,
    /// Minutes for all subjects; what is not measured by then is stopped, and reported as missing [default:
    /// 30, or 3 with --quick].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: Option<u64>,
    /// Run only these subjects.
    #[arg(long, value_name = "SUBJECTS", value_delimiter = ',')]
    only: Vec<String>,
    /// Where results and report are written.
    #[arg(long, value_name = "DIRECTORY", default_value = "target/bench")]
    output: PathBuf,
}

/// The end of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubjectEnd {
    Measured,
    /// Measured, and a goal was missed.
    GoalMissed,
    Failed,
    /// The time was over.
    Stopped,
    /// The time was over before it began.
    NotRun,
}

/// Returns the subjects of a whole run, in the order of the program's commands.
pub(crate) fn subjects(program: &clap::Command) -> Vec<String> {
    let has = |command: &clap::Command, long: &str| {
        command.get_arguments().any(|argument| argument.get_long() == Some(long))
    };
    let is_part = |command: &&clap::Command| has(command, "json") && has(command, "quick");
    program.get_subcommands().filter(is_part).map(|command| command.get_name().to_owned()).collect()
}

/// Runs all subjects and writes their report.
pub(crate) fn run(arguments: &Arguments, mut subjects: Vec<String>) -> Result<ExitCode> {
    ensure!(Uid::effective().is_root(), "the lab creates network namespaces: run it as root");
    for name in &arguments.only {
        ensure!(subjects.contains(name), "no subject `{name}`; there are {}", subjects.join(", "));
    }
    subjects.retain(|name| arguments.only.is_empty() || arguments.only.contains(name));
    fs::create_dir_all(&arguments.output)
        .with_context(|| format!("create {}", arguments.output.display()))?;
    let minutes = arguments.minutes.unwrap_or(if arguments.quick { QUICK } else { FULL });
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(60 * minutes);
    let (mut parts, mut rows, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for (number, name) in (1..).zip(&subjects) {
        let passed = seconds(begun.elapsed());
        eprintln!("[{number}/{}] {name}: {passed} of {minutes} min passed", subjects.len());
        let start = Instant::now();
        let (end, results) = measure(name, arguments, deadline)?;
        rows.push(vec![name.clone(), end.words().to_owned(), seconds(start.elapsed())]);
        ends.push(end);
        parts.extend(results);
    }
    println!("{}\n", aligned(&["subject", "", "took"], &rows, 2));
    ensure!(!parts.is_empty(), "no subject was measured");
    write(&arguments.output, parts)?;
    let is_success = |end: &SubjectEnd| *end == SubjectEnd::Measured;
    Ok(if ends.iter().all(is_success) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes results and report, and prints where they are.
fn write(directory: &Path, parts: Vec<Results>) -> Result<()> {
    let results = merge::merge(parts)?;
    let json = directory.join("results.json");
    file::save(&json, &results)?;
    println!("{}", json.display());
    for path in report::write(directory, &results)? {
        println!("{}", path.display());
    }
    Ok(())
}

/// Runs a subject until the deadline.
fn measure(name: &str, arguments: &Arguments, deadline: Instant) -> Result<(SubjectEnd, Option<Results>)> {
    if Instant::now() >= deadline {
        return Ok((SubjectEnd::NotRun, None));
    }
    let json = arguments.output.join(format!("{name}.json"));
    // The results of an earlier run would pass for those of this one.
    if json.exists() {
        fs::remove_file(&json).with_context(|| format!("remove {}", json.display()))?;
    }
    let mut command = Command::new(env::current_exe().context("find this program")?);
    command.arg(name).arg("--json").arg(&json).args(arguments.quick.then_some("--quick"));
    let child = command.spawn().with_context(|| format!("start `bench {name}`"))?;
    let Some(status) = wait(child, deadline)? else { return Ok((SubjectEnd::Stopped, None)) };
    let results = if json.exists() { Some(read(&json)?) } else { None };
    let end = match (&results, status.success()) {
        (Some(_), true) => SubjectEnd::Measured,
        (Some(_), false) => SubjectEnd::GoalMissed,
        (None, _) => SubjectEnd::Failed,
    };
    Ok((end, results))
}

/// Waits for a process until the deadline; `None` if it had to be killed. What it has started in namespaces
/// dies with it.
fn wait(mut child: Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        sleep(LOOK);
    }
}

impl SubjectEnd {
    const fn words(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::GoalMissed => "measured, GOAL MISSED",
            Self::Failed => "FAILED",
            Self::Stopped => "STOPPED: the time was over",
            Self::NotRun => "NOT RUN: the time was over",
        }
    }
}

fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    format!("{} min {:02} s", whole / 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::wait;

    #[test]
    fn a_process_is_killed_at_the_deadline_and_not_before() {
        let start = |seconds: &str| Command::new("sleep").arg(seconds).spawn().unwrap();
        let begun = Instant::now();
        assert!(wait(start("60"), begun + Duration::from_millis(300)).unwrap().is_none());
        assert!(begun.elapsed() >= Duration::from_millis(300));
        // The child needs almost no time; ten seconds are for a machine that is busy.
        let status = wait(start("0"), Instant::now() + Duration::from_secs(10)).unwrap();
        assert!(status.is_some_and(|status| status.success()));
    }
}
