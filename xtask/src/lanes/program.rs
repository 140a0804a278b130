//! The test program of a lane: one program, so that the product is linked once; each of its modules runs in a
//! process of its own, so that no test depends on what runs beside it in another module.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Result, ensure};

use super::totals::Totals;
use super::{counted, watched};
use crate::setup::kube_clients;
use crate::{ebpf, process, workspace};

/// Modules that run at a time, if the lane allows it.
const AT_A_TIME: usize = 2;

/// How the modules of a lane run.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    /// One after the other, with these arguments.
    InTurn(&'static [&'static str]),
    /// Two at a time, each with one test at a time; but these, which measure times, one after the other, with
    /// two tests at a time.
    InPairsBut(&'static [&'static str]),
}

impl Pace {
    fn is_paired(self, module: &str) -> bool {
        matches!(self, Self::InPairsBut(measuring) if !measuring.contains(&module))
    }

    fn arguments(self, module: &str) -> &'static [&'static str] {
        match self {
            Self::InTurn(arguments) => arguments,
            Self::InPairsBut(_) if self.is_paired(module) => &["--test-threads=1"],
            Self::InPairsBut(_) => &["--test-threads=2"],
        }
    }
}

/// Builds the program of the lane, and runs its modules.
pub(super) fn run(
    lane: &str,
    environment: &[(String, PathBuf)],
    pace: Pace,
    args: &[String],
) -> Result<Totals> {
    let program = build(&[lane])?.remove(0).1;
    let tests = listed(&program, args)?;
    ensure!(!tests.is_empty(), "no test of the lane {lane} matches {args:?}");
    let clients = kube_clients::directory()?;
    let command = |module: &str, tests: &[&str]| {
        let mut command = test_program(&program);
        command.arg("--exact").args(tests).args(pace.arguments(module)).args(options(args));
        command.env("FAIRLEAD_BIN", workspace::release("fairlead"));
        command.env("FAIRLEAD_KUBE_CLIENTS", &clients);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command
    };
    let (paired, in_turn): (Vec<_>, Vec<_>) =
        modules(&tests).into_iter().partition(|(module, _)| pace.is_paired(module));
    let mut totals = in_pairs(lane, paired, &command)?;
    for (module, tests) in in_turn {
        println!("\n--- {lane}::{module}");
        totals = totals + watched(&mut command(module, &tests))?;
    }
    Ok(totals)
}

/// Runs modules two at a time, and prints the output of each when it has ended.
fn in_pairs(
    lane: &str,
    modules: Vec<(&str, Vec<&str>)>,
    command: &(impl Fn(&str, &[&str]) -> Command + Sync),
) -> Result<Totals> {
    let left = Mutex::new(modules.into_iter());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let shown = Mutex::new(());
    let worker = || -> Result<Totals> {
        let mut totals = Totals::default();
        while let Some((module, tests)) = next() {
            let mut output = String::new();
            let mut command = command(module, &tests);
            let code = process::capture(&mut command, |line| {
                totals = totals + Totals::of(line).unwrap_or_default();
                output.extend([line, "\n"]);
            })?;
            let _shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
            println!("\n--- {lane}::{module}\n{output}");
            totals = counted(totals, code, &command);
        }
        Ok(totals)
    };
    thread::scope(|scope| {
        let workers = [(); AT_A_TIME].map(|()| scope.spawn(worker));
        let results = workers.map(|worker| worker.join().unwrap_or_else(|_| Ok(Totals::FAILURE)));
        results.into_iter().sum()
    })
}

/// Builds the agent and test programs of the test crate, and returns the programs with their names, in the
/// order asked for.
///
/// It is one build: one for each would use other features of dependencies, and compile half of them again.
pub(super) fn build(names: &[&str]) -> Result<Vec<(String, PathBuf)>> {
    ebpf::build()?;
    let mut cargo = process::cargo();
    cargo.args(["build", "--release", "--message-format", "json-render-diagnostics"]);
    cargo.args(["--package", "lb-agent", "--bin", "fairlead", "--package", "fairlead-tests"]);
    cargo.args(names.iter().flat_map(|name| ["--test", name]));
    let mut programs = BTreeMap::new();
    let code = process::capture(&mut cargo, |line| programs.extend(executable(line)))?;
    ensure!(code == 0, "`{}` ended with {code}", process::line(&cargo));
    names
        .iter()
        .map(|name| {
            let found = programs.remove_entry(*name);
            found.ok_or_else(|| anyhow::anyhow!("cargo built no test {name}"))
        })
        .collect()
}

fn test_program(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root().join("tests"));
    command
}

/// Returns the names of the tests that the arguments choose.
fn listed(program: &Path, args: &[String]) -> Result<Vec<String>> {
    let mut command = test_program(program);
    command.args(["--list", "--format", "terse"]).args(args);
    let mut tests = Vec::new();
    let code = process::capture(&mut command, |line| {
        tests.extend(line.strip_suffix(": test").map(str::to_owned));
    })?;
    ensure!(code == 0, "`{}` ended with {code}", process::line(&command));
    Ok(tests)
}

/// Groups tests by their first module.
fn modules(tests: &[String]) -> BTreeMap<&str, Vec<&str>> {
    let mut modules = BTreeMap::<_, Vec<_>>::new();
    for test in tests {
        let module = test.split_once("::").map_or(test.as_str(), |(module, _)| module);
        modules.entry(module).or_default().push(test.as_str());
    }
    modules
}

/// Returns the arguments that are not names: those have chosen the tests.
fn options(args: &[String]) -> impl Iterator<Item = &String> {
    args.iter().filter(|it| it.starts_with('-') && *it != "--exact")
}

/// Parses name and program of a target from one of cargo's messages.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let value = |key: &str| {
        let (_, rest) = message.split_once(&format!("\"{key}\":\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let path = PathBuf::from(value("executable")?);
    let (_, target) = message.split_once("\"target\":{")?;
    let (_, name) = target.split_once("\"name\":\"")?;
    Some((name.split_once('"')?.0.to_owned(), path))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{executable, modules, options};

    #[test]
    fn tests_are_grouped_by_module() {
        let tests = ["a::x", "b::y::z", "a::y"].map(str::to_owned);
        let expected = [("a", vec!["a::x", "a::y"]), ("b", vec!["b::y::z"])];
        assert!(modules(&tests).into_iter().eq(expected));
    }

    #[test]
    fn names_choose_tests_and_are_no_options() {
        let args = ["events", "--nocapture", "--exact", "--skip=x"].map(str::to_owned);
        assert!(options(&args).eq(["--nocapture", "--skip=x"]));
    }

    #[test]
    fn programs_are_found_in_cargos_messages() {
        let message = r#"{"reason":"compiler-artifact","package_id":"x","manifest_path":"/w/Cargo.toml","target":{"kind":["test"],"crate_types":["bin"],"name":"guest","src_path":"/w/guest.rs"},"filenames":["/w/guest-1"],"executable":"/w/guest-1","fresh":true}"#;
        assert_eq!(executable(message), Some(("guest".to_owned(), PathBuf::from("/w/guest-1"))));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"anyhow"},"executable":null}"#;
        assert_eq!(executable(library), None);
    }
}
