//! The command line of the plugin.

use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::answers::{NodeAnswer, split};
use super::ask::{Agents, AskError};
use super::flow::ClusterFlow;
use super::status::ClusterStatus;
use super::why::ClusterWhy;
use crate::output::{self, OutputError, OutputFormat};
use crate::status::Status;
use crate::top::{self, Feed, Sample, SortDirection, SortKey, TopError, TopModel};

/// The name by which kubectl calls the plugin.
pub const NAME: &str = "kubectl-fairlead";

/// The view of a whole cluster: asks the agents of all nodes through the API server.
#[derive(Debug, Parser)]
#[command(name = NAME, bin_name = "kubectl fairlead", version, max_term_width = 110)]
pub struct ClusterCli {
    #[command(subcommand)]
    command: ClusterCommand,
    #[command(flatten)]
    agents: AgentsArgs,
}

#[derive(Debug, Args)]
struct AgentsArgs {
    /// Kubeconfig file. By default, KUBECONFIG or ~/.kube/config is used.
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig. By default, the current one is used.
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// Namespace of the agents.
    #[arg(
        short,
        long,
        global = true,
        env = "FAIRLEAD_NAMESPACE",
        default_value = "metallb-system",
        value_name = "NAME"
    )]
    namespace: String,
    /// Labels of the agents' pods.
    #[arg(
        short = 'l',
        long,
        global = true,
        default_value = "app.kubernetes.io/component=agent",
        value_name = "LABELS"
    )]
    selector: String,
    /// Ask only this node. Can be repeated.
    #[arg(long = "node", global = true, value_name = "NAME")]
    nodes: Vec<String>,
    /// How long a node may take to answer, in seconds.
    #[arg(long, global = true, default_value_t = 15, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    /// Output format.
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    output: OutputFormat,
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Show all nodes in one table: what is wrong first, then how their views differ.
    Status {
        /// Exit with code 1 if there are problems, a node does not answer, or nodes differ.
        #[arg(long)]
        check: bool,
    },
    /// Show the first broken link between a Service or VIP and its clients, as seen by each node.
    Why {
        /// Service (`name` or `namespace/name`) or VIP (`address`, `address:port` or
        /// `address:port/protocol`).
        #[arg(value_name = "SERVICE|VIP")]
        target: String,
        /// Client that cannot reach it.
        #[arg(long, value_name = "CLIENT")]
        from: Option<IpAddr>,
    },
    /// Show the nodes of a flow, as seen by each node.
    Flow {
        /// Client, and its port if that is known.
        #[arg(value_name = "CLIENT[:PORT]")]
        client: String,
        /// VIP, and its port if it has several.
        #[arg(value_name = "VIP[:PORT]")]
        vip: String,
        /// Protocol of the VIP's port.
        #[arg(value_parser = ["tcp", "udp", "sctp"])]
        protocol: Option<String>,
    },
    /// Show the traffic to each VIP, summed over all nodes, as it passes.
    Top {
        /// Print one table and exit. This is the default if standard output is not a terminal, or with -o.
        #[arg(long)]
        once: bool,
        /// Interval of updates, in milliseconds.
        #[arg(long, default_value_t = 2000, value_name = "MS", value_parser = clap::value_parser!(u64).range(500..=60_000))]
        interval: u64,
        /// Column to sort by.
        #[arg(long, value_enum, default_value_t, value_name = "COLUMN")]
        sort: SortKey,
    },
}

/// Why the cluster cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// No node can be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The runtime cannot be created.
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] std::io::Error),
    /// The output cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The terminal cannot be used.
    #[error(transparent)]
    Terminal(#[from] TopError),
}

/// Runs the plugin. Returns a failure if a check fails, a link is broken, or nodes do not answer or differ.
///
/// # Errors
/// When no node can be asked, or the output cannot be written.
pub fn run(cli: ClusterCli) -> Result<ExitCode, PluginError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(PluginError::Runtime)?;
    let output = cli.agents.output;
    let agents = Agents::from(cli.agents);
    let json =
        |words: &[&str]| words.iter().chain(&["-o", "json"]).map(ToString::to_string).collect::<Vec<_>>();
    match cli.command {
        ClusterCommand::Status { check } => {
            let status =
                ClusterStatus::new(&ask(&runtime, &agents, &json(&["status"]))?, agents.nodes.is_empty());
            print(output, &status.json(), || status.render())?;
            Ok(exit_code(!check || status.is_well()))
        }
        ClusterCommand::Why { target, from } => {
            let from = from.map(|client| client.to_string());
            let mut words = vec!["why", &target];
            words.extend(from.iter().flat_map(|client| ["--from", client]));
            let answers = ask(&runtime, &agents, &json(&words))?;
            let why = ClusterWhy::new(&answers);
            print(output, &all(&answers), || why.render())?;
            Ok(exit_code(why.is_well()))
        }
        ClusterCommand::Flow { client, vip, protocol } => {
            let mut words = vec!["flow", &client, &vip];
            words.extend(protocol.as_deref());
            let answers = ask(&runtime, &agents, &json(&words))?;
            let flow = ClusterFlow::new(&answers);
            print(output, &all(&answers), || flow.render())?;
            Ok(exit_code(flow.is_well()))
        }
        ClusterCommand::Top { once, interval, sort } => {
            let interval = Duration::from_millis(interval);
            let is_live = !once && output == OutputFormat::Table && std::io::stdout().is_terminal();
            let mut feed = feed(runtime, agents)?;
            if is_live {
                let feed: Feed = Box::new(move || feed().map_err(|error| error.to_string()));
                top::run(feed, interval, sort)?;
                return Ok(ExitCode::SUCCESS);
            }
            let mut model = TopModel::default();
            model.add(feed()?);
            std::thread::sleep(interval);
            model.add(feed()?);
            let (rows, totals) = (model.sorted(sort, SortDirection::Usual), model.totals());
            print(output, &json!({"vips": rows, "totals": totals}), || top::listing(&rows, &totals))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl From<AgentsArgs> for Agents {
    fn from(args: AgentsArgs) -> Self {
        Self {
            kubeconfig: args.kubeconfig,
            context: args.context,
            namespace: args.namespace,
            labels: args.selector,
            nodes: args.nodes,
            limit: Duration::from_secs(args.timeout),
        }
    }
}

fn ask(runtime: &Runtime, agents: &Agents, command: &[String]) -> Result<Vec<NodeAnswer>, AskError> {
    runtime.block_on(async { agents.ask(&agents.client().await?, command).await })
}

/// Returns what samples all nodes that answer. Nodes that do not are left out; an error is that none does.
fn feed(runtime: Runtime, agents: Agents) -> Result<impl FnMut() -> Result<Vec<Sample>, AskError>, AskError> {
    let client = runtime.block_on(agents.client())?;
    let start = Instant::now();
    let command: Vec<String> = ["status", "-o", "json"].map(str::to_owned).into();
    Ok(move || {
        let answers = runtime.block_on(agents.ask(&client, &command))?;
        let (statuses, _) = split::<Status>(&answers);
        let times = answers.iter().map(|answer| (&answer.node, answer.at.duration_since(start)));
        let samples = times.filter_map(|(node, at)| Some(Sample::new(statuses.get(node)?, at)));
        Ok(samples.collect())
    })
}

fn all(answers: &[NodeAnswer]) -> Value {
    json!({"nodes": answers.iter().map(NodeAnswer::json).collect::<Vec<_>>()})
}

fn print(output: OutputFormat, value: &Value, screen: impl FnOnce() -> String) -> Result<(), OutputError> {
    output::print(&output.document(value)?.unwrap_or_else(screen))
}

fn exit_code(is_well: bool) -> ExitCode {
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_may_stand_after_the_arguments() {
        let cli = ClusterCli::try_parse_from([
            NAME,
            "why",
            "shop/web",
            "-n",
            "lb",
            "--from",
            "::1",
            "--context",
            "c",
        ]);
        let cli = cli.unwrap();
        assert_eq!((cli.agents.namespace.as_str(), cli.agents.context.as_deref()), ("lb", Some("c")));
        assert!(matches!(cli.command, ClusterCommand::Why { target, from: Some(_) } if target == "shop/web"));
    }
}
