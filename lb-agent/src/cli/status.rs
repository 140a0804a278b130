//! `fairlead status`.

mod advertised;
mod overview;
mod sessions;
mod table;

use clap::{Args, ValueEnum};
use hyper::Method;

use super::SocketArgs;
use super::client::{self, ClientError};

/// Arguments of `fairlead status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Of what; without it, of packets, Services and nodes.
    #[arg(value_enum)]
    of: Option<Of>,
    /// As a table for people, or as JSON.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Of {
    /// The sessions with routers.
    Bgp,
    /// The ways to routers.
    Bfd,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// Aligned, one screen.
    Table,
    /// Everything, for programs.
    Json,
}

/// Asks the agent and prints what it says.
///
/// # Errors
/// When the agent does not answer, or not as this command expects.
pub fn run(args: &StatusArgs) -> Result<(), ClientError> {
    let path = match args.of {
        None => "/status",
        Some(Of::Bgp) => "/bgp",
        Some(Of::Bfd) => "/bfd",
    };
    let answer: serde_json::Value =
        serde_json::from_slice(&client::ask(&args.socket.socket, &Method::GET, path)?)?;
    match (args.output, args.of) {
        (Output::Json, _) => println!("{answer:#}"),
        (Output::Table, None) => print!("{}", overview::render(&serde_json::from_value(answer)?)),
        (Output::Table, Some(Of::Bgp)) => print!("{}", sessions::bgp(&serde_json::from_value(answer)?)),
        (Output::Table, Some(Of::Bfd)) => print!("{}", sessions::bfd(&serde_json::from_value(answer)?)),
    }
    Ok(())
}
