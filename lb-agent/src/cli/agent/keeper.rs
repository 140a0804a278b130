//! The arguments of `fairlead agent` about the keeper.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::super::common::LogArgs;
use crate::app::{KeeperMode, KeeperSettings};
use lb_client::common::SocketArgs;

/// The arguments about the keeper.
#[derive(Debug, Args)]
pub(super) struct KeeperArgs {
    /// The process that keeps BGP sessions open while no agent runs (fairlead keeper).
    #[arg(long, value_enum, default_value = "auto")]
    keeper: KeeperArg,
    /// Socket of the keeper. By default, keeper.sock in the directory of the agent's socket; with another
    /// name of the agent's socket, that name with the extension keeper.sock.
    #[arg(long, value_name = "PATH")]
    keeper_socket: Option<PathBuf>,
    /// How long BGP and BFD sessions and announced addresses outlive an agent that has ended or is stuck, in
    /// seconds. If no agent takes over by then, the routers remove this node's routes, and other nodes
    /// announce its addresses.
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(super) dead_man: u64,
}

/// Who starts the keeper.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum KeeperArg {
    /// spawn with --source, external with Kubernetes.
    Auto,
    /// The agent, if no keeper listens on the socket.
    Spawn,
    /// Another one, such as the second container of the agent's pod.
    External,
    /// No keeper: BGP sessions close when the agent stops.
    Off,
}

impl KeeperArgs {
    /// Returns the settings, beside the agent's own socket.
    pub(super) fn options(self, agent: &SocketArgs, log: &LogArgs, has_directory: bool) -> KeeperSettings {
        let mode = match self.keeper {
            KeeperArg::Auto if has_directory => KeeperMode::Spawn,
            KeeperArg::Auto | KeeperArg::External => KeeperMode::External,
            KeeperArg::Spawn => KeeperMode::Spawn,
            KeeperArg::Off => KeeperMode::Off,
        };
        let socket = self.keeper_socket.unwrap_or_else(|| agent.keeper());
        KeeperSettings { mode, socket, arguments: log.arguments() }
    }
}
