//! The machine and the build, as a run records them.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

use super::Machine;

/// The beginning of a run: its time, and the load of the machine before it.
#[derive(Clone, Debug)]
pub struct RunStart {
    /// The time, as RFC 3339 with whole seconds.
    pub time: String,
    clock: Instant,
    load: f64,
}

impl RunStart {
    /// Records the present.
    ///
    /// # Errors
    /// When the kernel's load average cannot be read.
    pub fn now() -> Result<Self> {
        let whole = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Trunc);
        let time = Timestamp::now().round(whole).context("round the time")?.to_string();
        Ok(Self { time, clock: Instant::now(), load: load_average()? })
    }

    /// Returns the seconds since the beginning.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.clock.elapsed().as_secs_f64()
    }
}

impl Machine {
    /// Describes this machine and the tree from which this program was built, at the end of a run.
    ///
    /// # Errors
    /// When a file of the kernel cannot be read, or git does not know the tree.
    pub fn describe(start: &RunStart) -> Result<Self> {
        let memory = read("/proc/meminfo")?;
        Ok(Self {
            processor: processor(&read("/proc/cpuinfo")?),
            processors: thread::available_parallelism().context("count the processors")?.get(),
            memory: memory_mib(&memory).context("/proc/meminfo has no MemTotal")?,
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            commit: git(&["rev-parse", "HEAD"])?,
            is_modified: !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty(),
            load: [start.load, load_average()?],
        })
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {path}"))
}

/// Arm has no model name in this file.
fn processor(cpuinfo: &str) -> String {
    let model = field(cpuinfo, "model name").or_else(|| field(cpuinfo, "Model"));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), ToOwned::to_owned)
}

fn memory_mib(meminfo: &str) -> Option<u64> {
    let kib: u64 = field(meminfo, "MemTotal")?.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}

/// Returns the value of the first line `NAME: VALUE`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().filter_map(|line| line.split_once(':')).find_map(|(key, value)| {
        let value = value.trim();
        (key.trim() == name && !value.is_empty()).then_some(value)
    })
}

fn load_average() -> Result<f64> {
    let text = read("/proc/loadavg")?;
    let first = text.split_whitespace().next().context("/proc/loadavg is empty")?;
    first.parse().with_context(|| format!("load average {first:?}"))
}

/// The tree of the sources: a run may start anywhere.
fn git(arguments: &[&str]) -> Result<String> {
    let mut git = Command::new("git");
    let output = git.arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments).output();
    let output = output.context("start git, which names the measured commit")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {}: {}", arguments.join(" "), errors.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Machine, RunStart, memory_mib, processor};

    #[test]
    fn the_processor_is_named_by_its_model_or_its_architecture() {
        let x86 = "processor\t: 0\nmodel name\t: A Processor @ 2 GHz\n\nprocessor\t: 1\n";
        assert_eq!(processor(x86), "A Processor @ 2 GHz");
        assert_eq!(processor("processor\t: 0\nCPU part\t: 0xd0c\n"), std::env::consts::ARCH);
    }

    #[test]
    fn memory_is_in_mib() {
        assert_eq!(memory_mib("MemTotal:        4096000 kB\nMemFree: 1 kB\n"), Some(4000));
        assert_eq!(memory_mib("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn this_machine_can_be_described() {
        let start = RunStart::now().unwrap();
        let machine = Machine::describe(&start).unwrap();
        assert!(machine.processors > 0 && machine.memory > 0, "{machine:?}");
        assert_eq!(machine.commit.len(), 40);
        assert!(start.time.ends_with('Z') && !start.time.contains('.'), "{}", start.time);
    }
}
