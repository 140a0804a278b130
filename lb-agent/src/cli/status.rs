//! The subcommand `fairlead status`.

mod advertised;
mod layer2;
mod overview;
mod sessions;

use clap::{Args, ValueEnum};
use hyper::Method;

use super::client::{self, AdminClientError};
use super::common::SocketArgs;

/// The arguments of `fairlead status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Sessions or announcers to show. By default, nodes, Services and packets are shown.
    #[arg(value_enum)]
    of: Option<StatusTopic>,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StatusTopic {
    /// BGP sessions.
    Bgp,
    /// BFD sessions.
    Bfd,
    /// Addresses that nodes announce on the local network, and their announcers.
    L2,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// Tables.
    Table,
    /// JSON, with all fields.
    Json,
}

/// Requests the status from the agent and prints it.
///
/// # Errors
/// When the request fails, or the response cannot be parsed.
pub fn run(args: &StatusArgs) -> Result<(), AdminClientError> {
    let path = match args.of {
        None => "/status",
        Some(StatusTopic::Bgp) => "/bgp",
        Some(StatusTopic::Bfd) => "/bfd",
        Some(StatusTopic::L2) => "/l2",
    };
    let response: serde_json::Value =
        serde_json::from_slice(&client::request(&args.socket.socket, &Method::GET, path)?)?;
    match (args.output, args.of) {
        (Output::Json, _) => println!("{response:#}"),
        (Output::Table, None) => print!("{}", overview::render(&serde_json::from_value(response)?)),
        (Output::Table, Some(StatusTopic::Bgp)) => {
            print!("{}", sessions::bgp(&serde_json::from_value(response)?))
        }
        (Output::Table, Some(StatusTopic::Bfd)) => {
            print!("{}", sessions::bfd(&serde_json::from_value(response)?))
        }
        (Output::Table, Some(StatusTopic::L2)) => {
            print!("{}", layer2::render(&serde_json::from_value(response)?))
        }
    }
    Ok(())
}
