//! `fairlead check`: what is wrong with objects, and what would come of them.

mod locate;
mod read;
mod screen;

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use lb_api::problem::Problem;
use lb_plan::forecast::{Forecast, forecast};

pub use read::{Read, read};

/// Arguments of `fairlead check`.
#[derive(Debug, Args)]
#[command(after_help = "Exit code: 0 fine, 1 warnings (with --strict only), 2 errors.")]
pub struct CheckArgs {
    /// Files, directories of files (*.yaml, *.yml, *.json), or - for standard input.
    #[arg(required = true, value_name = "FILE|DIR|-")]
    paths: Vec<String>,
    /// Namespace in which objects of metallb.io count.
    #[arg(long, env = "FAIRLEAD_NAMESPACE", default_value = "metallb-system", value_name = "NAME")]
    namespace: String,
    /// Show Services of this load-balancer class only; without it, those that name none.
    #[arg(long, value_name = "CLASS")]
    lb_class: Option<String>,
    /// Warnings make the exit code 1.
    #[arg(long)]
    strict: bool,
    /// As tables for people, or as JSON.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// Aligned, one screen.
    Table,
    /// Everything, for programs.
    Json,
}

/// The exit code where there are warnings, and those count.
const WARNINGS: u8 = 1;
/// The exit code where there are errors.
const ERRORS: u8 = 2;

/// Checks, prints, and says how it went.
pub fn run(args: &CheckArgs) -> ExitCode {
    match read(&args.paths) {
        Ok(read) => {
            let found = check(read, args.lb_class.as_deref(), &args.namespace);
            match args.output {
                Output::Table => print!("{}", screen::render(&found)),
                Output::Json => println!("{}", screen::json(&found)),
            }
            code(&found, args.strict)
        }
        Err(error) => {
            eprintln!("fairlead: {error}");
            ExitCode::from(ERRORS)
        }
    }
}

/// What would come of what was read, with what could not be read among its errors, each at its line.
pub fn check(read: Read, class: Option<&str>, namespace: &str) -> Forecast {
    let mut found = forecast(&read.objects, class, namespace);
    found.errors.splice(..0, read.problems);
    for problem in found.errors.iter_mut().chain(&mut found.warnings) {
        at_field(problem, &read.texts);
    }
    found
}

/// The line of the field is nearer than that of the document.
fn at_field(problem: &mut Problem, texts: &read::Texts) {
    let (Some(source), Some(line), Some(field)) = (&problem.source, problem.line, &problem.field) else {
        return;
    };
    if let Some(text) = texts.get(source) {
        problem.line = Some(locate::line(text, line, field));
    }
}

fn code(found: &Forecast, strict: bool) -> ExitCode {
    if !found.errors.is_empty() {
        ExitCode::from(ERRORS)
    } else if strict && !found.warnings.is_empty() {
        ExitCode::from(WARNINGS)
    } else {
        ExitCode::SUCCESS
    }
}
