//! What an agent leaves to its successor, as options of its command line.

use std::time::Duration;

use crate::lab::LabAgentOptions;

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

    /// Returns the options of an agent.
    #[must_use]
    pub fn options(self) -> LabAgentOptions {
        let flags: &[&str] = match self {
            // The kernel closes the connections of a process that has died.
            Self::Off => &["--keeper", "off"],
            Self::On => &[],
            Self::For(seconds) => &["--dead-man", &seconds.to_string()],
        };
        // The time in which routers move their traffic away before an agent that stops closes its sessions.
        let all = flags.iter().chain(&["--shutdown-grace", "500"]);
        let arguments = all.map(|word| (*word).to_owned()).collect();
        LabAgentOptions { arguments, ready_within: READY_WITHIN, ..LabAgentOptions::default() }
    }
}
