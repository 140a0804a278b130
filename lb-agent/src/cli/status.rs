//! `fairlead status`.

mod table;

use clap::{Args, ValueEnum};
use hyper::Method;

use super::SocketArgs;
use super::client::{self, ClientError};

/// Arguments of `fairlead status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// As a table for people, or as JSON.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    socket: SocketArgs,
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
    let status: serde_json::Value =
        serde_json::from_slice(&client::ask(&args.socket.socket, &Method::GET, "/status")?)?;
    match args.output {
        Output::Json => println!("{status:#}"),
        Output::Table => print!("{}", table::render(&serde_json::from_value(status)?)),
    }
    Ok(())
}
