//! The subcommand `fairlead log-level`.

use clap::{Args, ValueEnum};
use hyper::Method;
use hyper::body::Bytes;

use crate::client::{self, AdminClientError};
use crate::common::{SocketArgs, seconds};
use lb_runtime::logging::{LogFilter, LogLevel, LogLevelRequest, MAX_SECONDS};

/// Without a level, shows the one in force.
#[derive(Debug, Args)]
pub struct LogLevelArgs {
    /// A level, or levels of parts of the program: error, warn, info, debug, trace, off;
    /// lb_speaker=debug,info.
    #[arg(value_name = "LEVEL|FILTER")]
    filter: Option<LogFilter>,
    /// How long it is in force: 30s, 10m, 1h. Then the level that the agent started with returns.
    #[arg(long = "for", default_value = "10m", value_name = "TIME", value_parser = |text: &str| seconds(text, MAX_SECONDS))]
    time: u64,
    /// Keep the level until the agent ends.
    #[arg(long, conflicts_with = "time", requires = "filter")]
    keep: bool,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// A sentence.
    Text,
    /// JSON, with all fields.
    Json,
}

/// Changes the agent's log filter, if there is one to change to, and prints it.
///
/// # Errors
/// When the request fails, or the response cannot be parsed.
pub fn run(args: &LogLevelArgs) -> Result<(), AdminClientError> {
    let (method, body) = match &args.filter {
        None => (Method::GET, Bytes::new()),
        Some(filter) => {
            let seconds = (!args.keep).then_some(args.time);
            let request = LogLevelRequest { filter: filter.to_string(), seconds };
            (Method::PUT, serde_json::to_vec(&request)?.into())
        }
    };
    let socket = &args.socket.socket;
    let answer = client::runtime(socket)?.block_on(client::send(socket, &method, "/log-level", body))?;
    let level: LogLevel = serde_json::from_slice(&answer)?;
    match args.output {
        Output::Json => println!("{:#}", serde_json::json!(level)),
        Output::Text => println!("{}", sentence(&level)),
    }
    Ok(())
}

fn sentence(level: &LogLevel) -> String {
    let LogLevel { filter, initial, returns_in } = level;
    match returns_in {
        Some(seconds) => format!("{filter}, for {seconds} s; then {initial}"),
        None if filter == initial => filter.clone(),
        None => format!("{filter}, until the agent ends; it started with {initial}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_says_for_how_long() {
        let of = |filter: &str, returns_in| {
            sentence(&LogLevel { filter: filter.into(), initial: "info".into(), returns_in })
        };
        assert_eq!(of("info", None), "info");
        assert_eq!(of("debug", Some(600)), "debug, for 600 s; then info");
        assert_eq!(of("debug", None), "debug, until the agent ends; it started with info");
    }
}
