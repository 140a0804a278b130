//! The measurements: what each needs on this machine. The bench program knows everything else of them, and
//! gets its arguments as they were typed.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::setup::{self, Part};
use crate::{ebpf, machine, process, workspace};

/// What a measurement needs beyond the bench program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// Nothing.
    Nothing,
    /// Root alone.
    Root,
    /// The lab's hosts and routers, programs that load it, and a release build of the agent on them.
    Lab,
}

/// Needs by subject. A subject that is not listed is one of the lab's, as are all of them together.
const SUBJECTS: [(&str, Needs); 6] = [
    ("compare", Needs::Nothing),
    ("help", Needs::Nothing),
    ("packet", Needs::Root),
    ("report", Needs::Nothing),
    ("scale", Needs::Root),
    ("simulate", Needs::Nothing),
];

/// Runs the measurements that the arguments name; all of them if they name none.
///
/// Returns the exit code of the bench program.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let needs = needs(args);
    if needs != Needs::Nothing {
        ensure!(
            machine::is_root(),
            "this measurement loads XDP programs or creates network namespaces: run it as root"
        );
    }
    setup::ensure(&[Part::BpfCore, Part::BpfLinker])?;
    if needs == Needs::Lab {
        setup::ensure(&[Part::Lab, Part::Routers, Part::Load])?;
    }
    ebpf::build()?;
    if needs == Needs::Lab {
        ebpf::build_agent()?;
    }
    program(args)
}

/// Runs the bench program, built anew.
///
/// Returns its exit code.
pub(crate) fn program(args: &[String]) -> Result<ExitCode> {
    process::run(process::cargo().args(["build", "--release", "--package", "fairlead-bench"]))?;
    let mut bench = process::command(workspace::release("fairlead-bench"));
    Ok(ExitCode::from(process::code(bench.args(args))?))
}

fn needs(args: &[String]) -> Needs {
    // Help of any subject measures nothing.
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        return Needs::Nothing;
    }
    let subject = args.first().map(String::as_str).unwrap_or_default();
    SUBJECTS.iter().find(|(name, _)| *name == subject).map_or(Needs::Lab, |(_, needs)| *needs)
}

#[cfg(test)]
mod tests {
    use super::{Needs, needs};

    #[test]
    fn all_subjects_together_need_the_lab_and_help_needs_nothing() {
        let of = |line: &str| needs(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(of(""), Needs::Lab);
        assert_eq!(of("--quick"), Needs::Lab);
        assert_eq!(of("failover --quick"), Needs::Lab);
        assert_eq!(of("failover --help"), Needs::Nothing);
        assert_eq!(of("packet --rounds 3"), Needs::Root);
        assert_eq!(of("compare A.json B.json"), Needs::Nothing);
    }
}
