//! `fairlead check`.

mod cluster;
mod input;
mod locate;
mod migration;
mod screen;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use lb_admission::preview::{self, Preview};
use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;

/// Arguments of `fairlead check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Files, directories of files, or `-` for standard input.
    #[arg(required_unless_present = "from_cluster", value_name = "FILE|DIR|-")]
    paths: Vec<PathBuf>,
    /// Look at what is in a cluster that MetalLB serves: what would come of it, what has no place here, and what
    /// would be different.
    #[arg(long, conflicts_with = "paths")]
    from_cluster: bool,
    /// Cluster to look at; without it, that of KUBECONFIG or of this pod.
    #[arg(long, value_name = "FILE", requires = "from_cluster")]
    kubeconfig: Option<PathBuf>,
    /// Namespace in which objects of metallb.io count.
    #[arg(long, env = "FAIRLEAD_NAMESPACE", default_value = "metallb-system", value_name = "NAME")]
    namespace: String,
    /// Look at Services of this load-balancer class; without it, at those that name none.
    #[arg(long, value_name = "CLASS")]
    lb_class: Option<String>,
    /// Fail also for what is only waited for: a BFDProfile, a Community or a Secret that is not among the objects.
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

/// Why objects cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// They cannot be read.
    #[error(transparent)]
    Input(#[from] input::InputError),
    /// They cannot be had from the cluster.
    #[error(transparent)]
    Cluster(#[from] cluster::ClusterError),
    /// What was found cannot be told.
    #[error("cannot write: {0}")]
    Output(#[from] std::io::Error),
}

/// Looks at objects, prints what is wrong with them and what would come of them. The exit code says whether
/// something is wrong.
///
/// # Errors
/// When they cannot be read at all.
pub fn run(args: &CheckArgs) -> Result<ExitCode, CheckError> {
    if args.from_cluster {
        return run_on_cluster(args);
    }
    let input = input::read(&args.paths)?;
    let mut preview = preview::preview(&input.objects, input.problems, args.lb_class.as_deref());
    preview.problems.iter_mut().for_each(|problem| at_field(problem, &input.objects, &input.texts));
    let text = match args.output {
        Output::Table => {
            screen::elsewhere(&input.objects, &args.namespace) + &screen::render(&preview, &input.objects)
        }
        Output::Json => format!("{:#}\n", screen::json(&preview)),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(code(is_right(&preview, args.strict)))
}

/// A problem of a field is told at the field's line, and not at that of its document; one of what could not be read has
/// the parser's line already.
fn at_field(problem: &mut Problem, objects: &[Sourced<Object>], texts: &BTreeMap<String, String>) {
    let (Some(source), Some(line), Some(field)) = (&problem.source, problem.line, &problem.field) else {
        return;
    };
    let is_document = objects.iter().any(|object| object.line == line && object.source == *source);
    if let Some(text) = texts.get(source).filter(|_| is_document) {
        problem.line = Some(locate::line(text, line, field));
    }
}

fn run_on_cluster(args: &CheckArgs) -> Result<ExitCode, CheckError> {
    let read = cluster::read(args.kubeconfig.as_deref(), &args.namespace)?;
    let findings = migration::findings(&read);
    let preview = preview::preview(&read.objects, read.problems, args.lb_class.as_deref());
    let text = match args.output {
        Output::Table => screen::render(&preview, &read.objects) + &screen::findings(&findings, &read.denied),
        Output::Json => {
            let mut json = screen::json(&preview);
            json["migration"] = serde_json::json!({"findings": findings, "notRead": read.denied});
            format!("{json:#}\n")
        }
    };
    std::io::stdout().write_all(text.as_bytes())?;
    let has_place = findings.iter().all(|finding| finding.what != migration::What::Unsupported);
    Ok(code(has_place && is_right(&preview, args.strict)))
}

fn code(is_right: bool) -> ExitCode {
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_right(preview: &Preview, strict: bool) -> bool {
    preview.error_count() == 0 && (!strict || preview.warning_count() == 0)
}
