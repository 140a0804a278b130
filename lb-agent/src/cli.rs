//! The command line: the subcommands of `fairlead`.

pub mod agent;
mod common;
pub mod completions;
pub mod controller;
pub mod detach;
pub mod doctor;
pub mod keeper;
pub mod man;
mod metrics;
mod removal;
pub mod uninstall;

use clap::{Parser, Subcommand};
use lb_check::command as check;
use lb_client::{drain, flow, log_level, status, top, trace, why};
use lb_status::{output, table};

/// Load balancer for bare-metal Kubernetes: an XDP data plane that forwards each packet to the node that owns
/// its flow.
#[derive(Debug, Parser)]
#[command(name = "fairlead", version, max_term_width = 110)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent of a node: attach the XDP program to its uplinks, and reconcile the maps with the
    /// objects.
    Agent(Box<agent::AgentArgs>),
    /// Run the controller of the cluster: allocate addresses to Services, and serve the validating webhook.
    Controller(controller::ControllerArgs),
    /// Run the keeper of a node: hold the BGP sessions while the agent restarts.
    Keeper(keeper::KeeperArgs),
    /// Validate manifests offline and preview their effect.
    Check(check::CheckArgs),
    /// Show the status of this node: what is wrong first, then a line for each area.
    Status(status::StatusArgs),
    /// Show the traffic to each VIP as it passes.
    Top(top::TopArgs),
    /// Show packets with their outcomes: a sample of the verdicts of the XDP program.
    Trace(trace::TraceArgs),
    /// Explain why a Service or VIP is unreachable: check each link from its object to its endpoints, and
    /// name the first broken one.
    Why(why::WhyArgs),
    /// Show which node serves a flow, and what this node's program does with its packets.
    Flow(flow::FlowArgs),
    /// Show or change what the agent on this node logs, for a while.
    LogLevel(log_level::LogLevelArgs),
    /// Drain this node: accept no new flows, and wait until the existing flows have ended.
    Drain(drain::DrainArgs),
    /// Detach the XDP program, and remove everything that the agent has installed in the kernel.
    Detach(detach::DetachArgs),
    /// Remove everything of Fairlead from this node: routes, BGP sessions, XDP program, maps and files. A
    /// running agent ends.
    Uninstall(uninstall::UninstallArgs),
    /// Check whether this node can run the agent, and describe the XDP program.
    Doctor(doctor::DoctorArgs),
    /// Print the completion script of a shell.
    Completions(completions::CompletionsArgs),
    /// Write manual pages: of the program, and of each subcommand.
    Man(man::ManArgs),
}

/// Formats an error with its causes, each of them once: some errors quote their cause themselves.
pub fn format_error(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::format_error;

    #[test]
    fn a_cause_is_printed_once() {
        let error = anyhow!("no such file").context("no agent answers: no such file; start one");
        assert_eq!(format_error(&error), "no agent answers: no such file; start one");
        assert_eq!(
            format_error(&anyhow!("no such file").context("cannot detach")),
            "cannot detach: no such file"
        );
    }
}
