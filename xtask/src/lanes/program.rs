//! The test program of a lane: one program, so that the product is linked once; each of its modules runs in a
//! process of its own, so that no test depends on what runs beside it in another module.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::totals::Totals;
use super::watched;
use crate::setup::kube_clients;
use crate::{ebpf, process, workspace};

/// Builds the program of the lane, and runs its modules one after the other.
pub(super) fn run(
    lane: &str,
    environment: &[(String, PathBuf)],
    own: &[&str],
    args: &[String],
) -> Result<Totals> {
    ebpf::build()?;
    ebpf::build_agent()?;
    let program = build(&[lane])?.remove(0).1;
    let tests = listed(&program, args)?;
    ensure!(!tests.is_empty(), "no test of the lane {lane} matches {args:?}");
    let mut totals = Totals::default();
    for (module, tests) in modules(&tests) {
        println!("\n--- {lane}::{module}");
        let mut command = test_program(&program);
        command.arg("--exact").args(tests).args(own).args(options(args));
        command.env("FAIRLEAD_BIN", workspace::release("fairlead"));
        command.env("FAIRLEAD_KUBE_CLIENTS", kube_clients::directory()?);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        totals = totals + watched(&mut command)?;
    }
    Ok(totals)
}

/// Builds test programs of the test crate, and returns them with their names, in the order asked for.
pub(super) fn build(names: &[&str]) -> Result<Vec<(String, PathBuf)>> {
    let mut cargo = process::cargo();
    cargo.args(["test", "--no-run", "--release", "--package", "fairlead-tests"]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    for name in names {
        cargo.args(["--test", name]);
    }
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
