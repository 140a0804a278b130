//! The subcommands.

pub mod agent;
pub mod check;
mod client;
pub mod controller;
pub mod detach;
pub mod doctor;
pub mod drain;
pub mod status;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A load balancer for bare-metal Kubernetes: carries each packet, in XDP, to the node that owns its connection.
#[derive(Debug, Parser)]
#[command(name = "fairlead", version, about, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run on a node: attach to its uplinks and keep the maps in step with the objects.
    Agent(Box<agent::AgentArgs>),
    /// Give Services their addresses: one for the whole cluster.
    Controller(controller::ControllerArgs),
    /// Say what is wrong with objects, and what would come of them: before they are in a cluster.
    Check(check::CheckArgs),
    /// Show what the agent of this machine does.
    Status(status::StatusArgs),
    /// Take no new flows on this node, and wait until the old ones are over.
    Drain(drain::DrainArgs),
    /// Take everything out of the kernel that an agent has put there.
    Detach(detach::DetachArgs),
    /// Say whether this machine is fit for the agent, and what the XDP program is made of.
    Doctor(doctor::DoctorArgs),
}

/// Where an agent listens.
#[derive(Debug, Args)]
pub struct SocketArgs {
    /// The agent's socket.
    #[arg(long, default_value = "/run/fairlead/agent.sock", value_name = "PATH")]
    pub socket: PathBuf,
}

/// Where things are pinned.
#[derive(Debug, Args)]
pub struct PinArgs {
    /// The BPF file system to pin in.
    #[arg(long, env = "FAIRLEAD_BPFFS", default_value = "/sys/fs/bpf", value_name = "DIR")]
    pub bpffs: PathBuf,
}

/// An error with its causes, each of them once: some errors quote their cause themselves.
pub fn words(error: &anyhow::Error) -> String {
    let mut words = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::words;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow!("no such file").context("no agent answers: no such file; start one");
        assert_eq!(words(&error), "no agent answers: no such file; start one");
        assert_eq!(words(&anyhow!("no such file").context("cannot detach")), "cannot detach: no such file");
    }
}
