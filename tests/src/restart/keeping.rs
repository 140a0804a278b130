//! What an agent leaves to its successor, as options of its command line.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::lab::LabAgentOptions;
use crate::lab::node::find_binary;

/// How long an agent may take until it is ready: all of a lab's agents share two processors with its clients.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Whether sessions outlive the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// They end with it: the reference that shows what the observers see.
    Off,
    /// They are kept for as long as the agent's default.
    On,
    /// They are kept for these seconds.
    For(u32),
}

impl Keeping {
    /// Returns its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "nothing kept",
            Self::On | Self::For(_) => "kept",
        }
    }

    /// Returns whether the program of the binary under test answers BFD for an agent that is away.
    ///
    /// # Errors
    /// When the binary cannot be run.
    pub fn of_bfd() -> Result<bool> {
        Ok(help()?.contains("--dead-man "))
    }

    /// Returns whether BGP sessions survive their agent, too.
    ///
    /// # Errors
    /// When the binary cannot be run.
    pub fn is_supported() -> Result<bool> {
        Ok(Self::of_bfd()? && help()?.contains("--keeper "))
    }

    /// Returns the options of an agent. A binary that cannot keep anything has no flags for it.
    ///
    /// # Errors
    /// When the binary cannot be run.
    pub fn options(self) -> Result<LabAgentOptions> {
        let flags: Vec<[String; 2]> = match self {
            // The kernel closes the connections of a process that has died.
            Self::Off => vec![["--keeper".into(), "off".into()]],
            Self::On => Vec::new(),
            Self::For(seconds) => vec![["--dead-man".into(), seconds.to_string()]],
        };
        let help = help()?;
        let known = flags.into_iter().filter(|[flag, _]| help.contains(&format!("{flag} ")));
        let mut arguments: Vec<String> = known.flatten().collect();
        // The time in which routers move their traffic away before an agent that stops closes its sessions.
        arguments.extend(["--shutdown-grace", "500"].map(str::to_owned));
        Ok(LabAgentOptions { arguments, ready_within: READY_WITHIN, ..LabAgentOptions::default() })
    }
}

fn help() -> Result<String> {
    let output = Command::new(find_binary()?).args(["agent", "--help"]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
