//! The subcommand `fairlead keeper`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::common::LogArgs;
use lb_keeper::process::{self, KeeperError, KeeperOptions};

/// The arguments of `fairlead keeper`.
#[derive(Debug, Args)]
pub struct KeeperArgs {
    /// Socket that the agent connects to.
    #[arg(long, default_value = "/run/fairlead/keeper.sock", value_name = "PATH")]
    socket: PathBuf,
    /// How long BGP sessions are kept while no agent is connected; then they are closed.
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    bound: u64,
    /// Exit when no agent is connected and no session is kept, or when another keeper uses the socket. Such a
    /// keeper leaves the session of its terminal.
    #[arg(long)]
    exit_when_idle: bool,
    #[command(flatten)]
    log: LogArgs,
}

impl KeeperArgs {
    /// Sets up the log.
    pub fn init_log(&self) {
        self.log.init("info");
    }
}

/// Runs the keeper until it receives a signal to stop.
///
/// # Errors
/// See [`KeeperError`].
pub fn run(args: KeeperArgs) -> Result<(), KeeperError> {
    let stop = process::stop_signals()?;
    if args.exit_when_idle {
        // The leader of a process group cannot; then no agent has started it.
        let _ = nix::unistd::setsid();
    }
    let options = KeeperOptions {
        socket: args.socket,
        bound: Duration::from_secs(args.bound),
        exit_when_idle: args.exit_when_idle,
        release: env!("CARGO_PKG_VERSION").to_owned(),
    };
    process::run(&options, stop)
}
