//! The subcommand `fairlead completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::output::{self, OutputError};

/// The arguments of `fairlead completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completion script of a shell.
///
/// # Errors
/// When standard output cannot be written to.
pub fn run(args: &CompletionsArgs) -> Result<(), OutputError> {
    output::print(&script(args.shell))
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fairlead", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_completes_subcommands_and_their_flags() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for word in ["completions", "status", "metrics-address"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
