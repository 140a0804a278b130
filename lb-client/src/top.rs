//! The subcommand `fairlead top`.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use hyper::Method;
use lb_status::output::{self, OutputError, OutputFormat};
use lb_status::status::Status;
use lb_status::top::{self, Feed, Sample, SortDirection, SortKey, TopError, TopModel};

use crate::client::{self, AdminClientError};
use crate::common::SocketArgs;

/// The arguments of `fairlead top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Print one table and exit. This is the default if standard output is not a terminal, or with -o.
    #[arg(long)]
    once: bool,
    /// Interval of updates, in milliseconds.
    #[arg(long, default_value_t = 1000, value_name = "MS", value_parser = clap::value_parser!(u64).range(100..=60_000))]
    interval: u64,
    /// Column to sort by.
    #[arg(long, value_enum, default_value_t, value_name = "COLUMN")]
    sort: SortKey,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: OutputFormat,
    #[command(flatten)]
    socket: SocketArgs,
}

/// Why the traffic cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum TopCommandError {
    /// The agent does not answer.
    #[error(transparent)]
    Client(#[from] AdminClientError),
    /// The terminal cannot be used.
    #[error(transparent)]
    Terminal(#[from] TopError),
    /// The table cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Shows the traffic to VIPs: on a terminal until the user quits, otherwise once.
///
/// # Errors
/// When the agent does not answer at first, or the output cannot be written.
pub fn run(args: &TopArgs) -> Result<(), TopCommandError> {
    let (socket, start) = (args.socket.socket.clone(), Instant::now());
    let interval = Duration::from_millis(args.interval);
    let first = sample(&socket, start)?;
    if !args.once && args.output == OutputFormat::Table && std::io::stdout().is_terminal() {
        let feed: Feed =
            Box::new(move || sample(&socket, start).map(|it| vec![it]).map_err(|error| error.to_string()));
        return Ok(top::run(feed, interval, args.sort)?);
    }
    let mut model = TopModel::default();
    model.add(vec![first]);
    std::thread::sleep(interval);
    model.add(vec![sample(&socket, start)?]);
    let (rows, totals) = (model.sorted(args.sort, SortDirection::Usual), model.totals());
    let document = args.output.document(&serde_json::json!({"vips": rows, "totals": totals}))?;
    Ok(output::print(&document.unwrap_or_else(|| top::listing(&rows, &totals)))?)
}

fn sample(socket: &Path, start: Instant) -> Result<Sample, AdminClientError> {
    let response = client::request_within(socket, &Method::GET, "/status", client::STATUS_TIMEOUT)?;
    let status: Status = serde_json::from_slice(&response)?;
    Ok(Sample::new(&status, start.elapsed()))
}
