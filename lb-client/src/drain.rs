//! The subcommand `fairlead drain`.

use std::time::{Duration, Instant};

use clap::Args;
use hyper::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use crate::client::{self, AdminClientError};
use crate::common::SocketArgs;

/// The arguments of `fairlead drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// End the drain: accept new flows again.
    #[arg(long)]
    undo: bool,
    /// Do not wait for the existing flows to end.
    #[arg(long)]
    no_wait: bool,
    /// Maximum time to wait, in seconds. Remaining flows continue after it.
    #[arg(long, default_value_t = 3600, value_name = "S")]
    timeout: u64,
    #[command(flatten)]
    socket: SocketArgs,
}

/// The reason why a drain has not completed.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The agent does not answer.
    #[error(transparent)]
    Client(#[from] AdminClientError),
    /// Flows remain after the timeout.
    #[error(
        "{left} flows remain after {seconds} s; the node continues to drain, use `fairlead drain --undo` to end it"
    )]
    TimedOut {
        /// The number of remaining flows.
        left: usize,
        /// The timeout.
        seconds: u64,
    },
}

#[derive(Deserialize)]
struct StatusView {
    flows: FlowsView,
}

#[derive(Deserialize)]
struct FlowsView {
    owned: usize,
}

/// The interval at which the flows are counted.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Requests the drain, and waits until the existing flows have ended.
///
/// # Errors
/// See [`DrainError`].
pub fn run(args: &DrainArgs) -> Result<(), DrainError> {
    let method = if args.undo { Method::DELETE } else { Method::POST };
    client::request(&args.socket.socket, &method, "/drain")?;
    if args.undo || args.no_wait {
        return Ok(());
    }
    let start = Instant::now();
    let spinner = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
    loop {
        let status = client::request(&args.socket.socket, &Method::GET, "/status")?;
        let left = serde_json::from_slice::<StatusView>(&status).map_err(AdminClientError::from)?.flows.owned;
        spinner.set_message(format!("draining: {left} flows remain"));
        spinner.tick();
        if left == 0 {
            spinner.finish_and_clear();
            println!("drained");
            return Ok(());
        }
        if start.elapsed() >= Duration::from_secs(args.timeout) {
            spinner.finish_and_clear();
            return Err(DrainError::TimedOut { left, seconds: args.timeout });
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}
