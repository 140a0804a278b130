//! The subcommand `fairlead man`.

use std::io;
use std::path::PathBuf;

use clap::{Args, CommandFactory};

use super::Cli;

/// The arguments of `fairlead man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Directory for the pages, such as /usr/local/share/man/man1. It is created if it does not exist.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// The reason why the pages cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write manual pages to {}: {source}", .directory.display())]
pub struct ManError {
    directory: PathBuf,
    source: io::Error,
}

/// Writes the manual pages of the program and of each subcommand.
///
/// # Errors
/// When a file cannot be written.
pub fn run(args: &ManArgs) -> Result<(), ManError> {
    let write = || {
        std::fs::create_dir_all(&args.directory)?;
        clap_mangen::generate_to(Cli::command(), &args.directory)
    };
    write().map_err(|source| ManError { directory: args.directory.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_and_each_subcommand_have_a_page() {
        let directory = tempfile::tempdir().unwrap();
        let args = ManArgs { directory: directory.path().join("man1") };
        run(&args).unwrap();
        let page = |name: &str| std::fs::read_to_string(args.directory.join(name)).unwrap();
        assert!(page("fairlead.1").contains("fairlead\\-status(1)"), "{}", page("fairlead.1"));
        let status = page("fairlead-status.1");
        assert!(status.contains("\\-\\-check") && status.contains("agent.sock"), "{status}");
    }
}
