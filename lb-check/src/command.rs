//! The subcommand `fairlead check`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::migration::{self, Category};
use crate::{cluster, input, locate, screen};
use clap::Args;
use lb_admission::preview::{self, Preview};
use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;
use lb_status::output::{self, OutputError, OutputFormat};

/// The arguments of `fairlead check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Files, directories with files, or `-` for standard input.
    #[arg(required_unless_present = "from_cluster", value_name = "FILE|DIR|-")]
    paths: Vec<PathBuf>,
    /// Check the objects of a cluster that MetalLB serves: preview their effect, and list what is not
    /// supported or works differently.
    #[arg(long, conflicts_with = "paths")]
    from_cluster: bool,
    /// Kubeconfig file of the cluster. By default, KUBECONFIG or the in-cluster configuration is used.
    #[arg(long, value_name = "FILE", requires = "from_cluster")]
    kubeconfig: Option<PathBuf>,
    /// Namespace of the metallb.io objects; objects in other namespaces have no effect.
    #[arg(long, env = "FAIRLEAD_NAMESPACE", default_value = "metallb-system", value_name = "NAME")]
    namespace: String,
    /// Check only Services with this loadBalancerClass. By default, only Services without a class are
    /// checked.
    #[arg(long, value_name = "CLASS")]
    lb_class: Option<String>,
    /// Treat warnings as errors: references to objects that are not among those checked, such as a
    /// BFDProfile, a Community or a Secret.
    #[arg(long)]
    strict: bool,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: OutputFormat,
}

/// The reason why objects cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The files cannot be read.
    #[error(transparent)]
    Input(#[from] input::InputError),
    /// The cluster cannot be read.
    #[error(transparent)]
    Cluster(#[from] cluster::ClusterError),
    /// The result cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Validates objects, and prints the problems and a preview of their effect. Returns a failure if there are
/// errors.
///
/// # Errors
/// When the objects cannot be read at all.
pub fn run(args: &CheckArgs) -> Result<ExitCode, CheckError> {
    if args.from_cluster {
        return run_on_cluster(args);
    }
    let input = input::read(&args.paths)?;
    let mut preview = preview::preview(&input.objects, input.problems, args.lb_class.as_deref());
    preview.problems.iter_mut().for_each(|problem| at_field(problem, &input.objects, &input.texts));
    let text = args.output.document(&screen::json(&preview))?.unwrap_or_else(|| {
        screen::other_namespaces(&input.objects, &args.namespace) + &screen::render(&preview, &input.objects)
    });
    output::print(&text)?;
    Ok(exit_code(is_valid(&preview, args.strict)))
}

/// Moves a problem from the line of its document to the line of its field. A parse error already has the
/// parser's line.
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
    let cluster = cluster::read(args.kubeconfig.as_deref(), &args.namespace)?;
    let findings = migration::findings(&cluster);
    let preview = preview::preview(&cluster.objects, cluster.problems, args.lb_class.as_deref());
    let mut json = screen::json(&preview);
    json["migration"] = serde_json::json!({"findings": findings, "notRead": cluster.denied});
    let text = args.output.document(&json)?.unwrap_or_else(|| {
        screen::render(&preview, &cluster.objects) + &screen::findings(&findings, &cluster.denied)
    });
    output::print(&text)?;
    let is_supported = findings.iter().all(|finding| finding.category != Category::Unsupported);
    Ok(exit_code(is_supported && is_valid(&preview, args.strict)))
}

fn exit_code(is_valid: bool) -> ExitCode {
    if is_valid { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_valid(preview: &Preview, strict: bool) -> bool {
    preview.error_count() == 0 && (!strict || preview.warning_count() == 0)
}
