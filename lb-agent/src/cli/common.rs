//! Arguments that several subcommands share.

use std::path::PathBuf;

use clap::Args;

/// The agent's admin socket.
#[derive(Debug, Args)]
pub(super) struct SocketArgs {
    /// Admin socket of the agent.
    #[arg(long, default_value = "/run/fairlead/agent.sock", value_name = "PATH")]
    pub(super) socket: PathBuf,
}

impl SocketArgs {
    /// Returns the default socket of the keeper, beside the agent's. Agents whose sockets share a directory
    /// have a keeper each.
    pub(super) fn keeper(&self) -> PathBuf {
        match self.socket.file_name() {
            Some(name) if name == "agent.sock" => self.socket.with_file_name("keeper.sock"),
            _ => self.socket.with_extension("keeper.sock"),
        }
    }

    /// Returns the default file of the last-known-good configuration, beside the socket.
    pub(super) fn last_good(&self) -> PathBuf {
        self.socket.with_extension("accepted.json")
    }
}

/// The BPF file system.
#[derive(Debug, Args)]
pub(super) struct PinArgs {
    /// BPF file system in which maps and links are pinned.
    #[arg(long, env = "FAIRLEAD_BPFFS", default_value = "/sys/fs/bpf", value_name = "DIR")]
    pub(super) bpffs: PathBuf,
}
