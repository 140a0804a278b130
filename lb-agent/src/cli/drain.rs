//! `fairlead drain`.

use std::time::{Duration, Instant};

use clap::Args;
use hyper::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use super::SocketArgs;
use super::client::{self, ClientError};

/// Arguments of `fairlead drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Take new flows again.
    #[arg(long)]
    undo: bool,
    /// Return at once; the drain goes on.
    #[arg(long)]
    no_wait: bool,
    /// Wait no longer than this, in seconds; flows that are left then go on.
    #[arg(long, default_value_t = 3600, value_name = "S")]
    timeout: u64,
    #[command(flatten)]
    socket: SocketArgs,
}

/// Why a drain is not over.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The agent does not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It took too long.
    #[error(
        "{left} flows are left after {seconds} s; the node goes on draining, `fairlead drain --undo` ends it"
    )]
    TimedOut {
        /// Flows that are not over.
        left: usize,
        /// The time that was given.
        seconds: u64,
    },
}

#[derive(Deserialize)]
struct Shown {
    flows: Flows,
}

#[derive(Deserialize)]
struct Flows {
    owned: usize,
}

/// How often the flows are counted.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Tells the agent to take no new flows, and waits until the old ones are over.
///
/// # Errors
/// See [`DrainError`].
pub fn run(args: &DrainArgs) -> Result<(), DrainError> {
    let method = if args.undo { Method::DELETE } else { Method::POST };
    client::ask(&args.socket.socket, &method, "/drain")?;
    if args.undo || args.no_wait {
        return Ok(());
    }
    let begun = Instant::now();
    let spinner = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
    loop {
        let status = client::ask(&args.socket.socket, &Method::GET, "/status")?;
        let left = serde_json::from_slice::<Shown>(&status).map_err(ClientError::from)?.flows.owned;
        spinner.set_message(format!("draining: {left} flows left"));
        spinner.tick();
        if left == 0 {
            spinner.finish_and_clear();
            println!("drained");
            return Ok(());
        }
        if begun.elapsed() >= Duration::from_secs(args.timeout) {
            spinner.finish_and_clear();
            return Err(DrainError::TimedOut { left, seconds: args.timeout });
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
