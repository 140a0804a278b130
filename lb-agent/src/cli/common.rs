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

/// The BPF file system.
#[derive(Debug, Args)]
pub(super) struct PinArgs {
    /// BPF file system in which maps and links are pinned.
    #[arg(long, env = "FAIRLEAD_BPFFS", default_value = "/sys/fs/bpf", value_name = "DIR")]
    pub(super) bpffs: PathBuf,
}
