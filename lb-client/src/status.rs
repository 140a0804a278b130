//! The subcommand `fairlead status`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use hyper::Method;
use lb_status::overview::Overview;
use lb_status::screen;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::{self, AdminClientError};
use crate::common::SocketArgs;
use lb_status::output::{self, OutputError, OutputFormat};

/// The arguments of `fairlead status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Part of the status to show in full. By default, problems and a line for each part are shown.
    #[arg(value_enum)]
    topic: Option<StatusTopic>,
    /// Exit with code 1 if there are problems.
    #[arg(long, conflicts_with = "topic")]
    check: bool,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: OutputFormat,
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StatusTopic {
    /// The nodes of the cluster, their liveness, and the packets forwarded to them.
    Nodes,
    /// Services: their VIPs, rings, announcers and packets.
    Services,
    /// BGP sessions, and the Services that are advertised.
    Bgp,
    /// BFD sessions.
    Bfd,
    /// Addresses that nodes announce on the local network, and their announcers.
    L2,
    /// Packets by verdict.
    Packets,
}

/// The reason why the status cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The agent does not answer.
    #[error(transparent)]
    Client(#[from] AdminClientError),
    /// The status cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Requests the status from the agent and prints it. Returns a failure if problems are to be checked for, and
/// there are some.
///
/// # Errors
/// When the request fails, or the response cannot be parsed.
pub fn run(args: &StatusArgs) -> Result<ExitCode, StatusError> {
    let Some(topic) = args.topic else { return run_overview(args) };
    let response: Value = get(args, topic.path())?;
    let text = match args.output.document(&topic.fields(&response))? {
        Some(document) => document,
        None => topic.screen(response)?,
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn run_overview(args: &StatusArgs) -> Result<ExitCode, StatusError> {
    let response: Value = get(args, "/overview")?;
    let document = args.output.document(&response)?;
    let overview: Overview = serde_json::from_value(response).map_err(AdminClientError::from)?;
    output::print(&document.unwrap_or_else(|| screen::overview(&overview)))?;
    Ok(if args.check && !overview.summary.well { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn get<T: DeserializeOwned>(args: &StatusArgs, path: &'static str) -> Result<T, AdminClientError> {
    Ok(serde_json::from_slice(&client::request(&args.socket.socket, &Method::GET, path)?)?)
}

impl StatusTopic {
    fn path(self) -> &'static str {
        match self {
            Self::Nodes | Self::Services | Self::Packets => "/status",
            Self::Bgp => "/bgp",
            Self::Bfd => "/bfd",
            Self::L2 => "/l2",
        }
    }

    /// Returns the fields of a response that belong to the topic.
    fn fields(self, response: &Value) -> Value {
        let names: &[&str] = match self {
            Self::Nodes => &["node", "nodes", "liveness", "node_traffic"],
            Self::Services => &["node", "services", "vip_traffic"],
            Self::Packets => &["node", "outcomes", "flows"],
            Self::Bgp | Self::Bfd | Self::L2 => return response.clone(),
        };
        names.iter().map(|name| ((*name).to_owned(), response[*name].clone())).collect()
    }

    fn screen(self, response: Value) -> Result<String, AdminClientError> {
        let screen = match self {
            Self::Nodes => format!("{}\n", screen::nodes(&serde_json::from_value(response)?)),
            Self::Services => format!("{}\n", screen::services(&serde_json::from_value(response)?)),
            Self::Packets => format!("{}\n", screen::packets(&serde_json::from_value(response)?)),
            Self::Bgp => screen::bgp(&serde_json::from_value(response)?),
            Self::Bfd => screen::bfd(&serde_json::from_value(response)?),
            Self::L2 => screen::layer2(&serde_json::from_value(response)?),
        };
        Ok(screen)
    }
}
