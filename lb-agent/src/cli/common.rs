//! Arguments that several subcommands share.

use std::path::PathBuf;

use clap::Args;

use lb_runtime::logging::{self, LogFilter, LogFormat};

/// The BPF file system.
#[derive(Debug, Args)]
pub(super) struct PinArgs {
    /// BPF file system in which maps and links are pinned.
    #[arg(long, env = "FAIRLEAD_BPFFS", default_value = "/sys/fs/bpf", value_name = "DIR")]
    pub(super) bpffs: PathBuf,
}

/// The log of the process.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// What is logged: a level (error, warn, info, debug, trace, off), or levels of parts of the program, as
    /// in lb_speaker=debug,info. By default, RUST_LOG or info.
    #[arg(long, value_name = "LEVEL|FILTER")]
    log_level: Option<LogFilter>,
    /// How log lines are written.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,
}

impl LogArgs {
    /// Returns the arguments of another process whose log is to be the same.
    pub(super) fn arguments(&self) -> Vec<String> {
        let level = self.log_level.iter().flat_map(|filter| ["--log-level".to_owned(), filter.to_string()]);
        let format = match self.log_format {
            LogFormat::Text => None,
            LogFormat::Json => Some(["--log-format".to_owned(), "json".to_owned()]),
        };
        level.chain(format.into_iter().flatten()).collect()
    }

    /// Sets up the log; `default` is the level that neither a flag nor the environment sets.
    pub(super) fn init(&self, default: &str) {
        logging::init(self.log_level.clone(), default, self.log_format);
    }
}
