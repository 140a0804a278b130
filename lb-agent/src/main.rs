//! The `fairlead` binary.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use lb_agent::cli::{self, Cli, Command};
use lb_status::cluster::{self, ClusterCli};

fn main() -> ExitCode {
    // kubectl runs a plugin by its name, which is a link to this program.
    let result = if is_plugin() { run_plugin() } else { run(Cli::parse()) };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("fairlead: {}", cli::format_error(&error));
            ExitCode::FAILURE
        }
    }
}

fn is_plugin() -> bool {
    let program = std::env::args_os().next().map(PathBuf::from);
    program.is_some_and(|path| path.file_name().is_some_and(|name| name == cluster::NAME))
}

fn run_plugin() -> anyhow::Result<ExitCode> {
    Ok(cluster::run(ClusterCli::parse())?)
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Agent(args) => {
            args.init_log();
            return Ok(cli::agent::run(*args)?);
        }
        Command::Controller(args) => {
            args.init_log();
            cli::controller::run(args)?;
        }
        Command::Keeper(args) => {
            args.init_log();
            cli::keeper::run(args)?;
        }
        Command::Check(args) => return Ok(lb_check::command::run(&args)?),
        Command::Status(args) => return Ok(lb_client::status::run(&args)?),
        Command::Top(args) => lb_client::top::run(&args)?,
        Command::Trace(args) => lb_client::trace::run(&args)?,
        Command::Why(args) => return Ok(lb_client::why::run(&args)?),
        Command::Flow(args) => return Ok(lb_client::flow::run(&args)?),
        Command::LogLevel(args) => lb_client::log_level::run(&args)?,
        Command::Drain(args) => lb_client::drain::run(&args)?,
        Command::Detach(args) => cli::detach::run(&args).context("cannot detach")?,
        Command::Uninstall(args) => cli::uninstall::run(&args).context("cannot uninstall")?,
        Command::Doctor(args) => return Ok(cli::doctor::run(&args)?),
        Command::Completions(args) => cli::completions::run(&args)?,
        Command::Man(args) => cli::man::run(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}
