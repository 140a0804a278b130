//! What happens to a set-up.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use fairlead_tests::contenders::RunningContender;

/// The time from the drain of a node to the stop of its agent, which an operator or a script waits at least:
/// routers and nodes have learned of the drain, and requests have been answered.
const DRAINED_FOR: Duration = Duration::from_secs(2);
/// How long an agent may take to end in order.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// An event that clients may notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailoverEvent {
    /// The node loses its power: its links go down, and nothing says goodbye.
    NodeFailure,
    /// The node lives, and the network between it and the rest is gone; its links keep their carriers.
    Partition,
    /// The node is drained, what directs packets to it is stopped, and its links go down.
    Shutdown,
    /// What directs packets to the node is killed by SIGKILL; the node and its pods live.
    AgentFailure,
    /// Another node joins.
    Join,
}

impl FailoverEvent {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::NodeFailure, Self::Partition, Self::Shutdown, Self::AgentFailure, Self::Join];

    /// Returns its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NodeFailure => "node failure",
            Self::Partition => "network partition",
            Self::Shutdown => "graceful shutdown",
            Self::AgentFailure => "agent failure",
            Self::Join => "node joins",
        }
    }

    /// Whether the connections of the node end with it.
    #[must_use]
    pub const fn takes_node(self) -> bool {
        match self {
            Self::NodeFailure | Self::Partition | Self::Shutdown => true,
            Self::AgentFailure | Self::Join => false,
        }
    }

    /// Lets it happen to this node, or this machine join.
    ///
    /// # Errors
    /// When a program fails.
    pub fn trigger(self, setup: &mut RunningContender, node: &str, machine: &str) -> Result<()> {
        match self {
            Self::NodeFailure => setup.cut_link(node, true),
            Self::Partition => setup.isolate(node, true),
            Self::Shutdown => {
                setup.drain(node, true)?;
                sleep(DRAINED_FOR);
                if setup.contender().is_fairlead() {
                    setup.lab().node(node)?.stop_agent(ENDS_WITHIN)?;
                } else {
                    // Its route has been withdrawn, or another node elected.
                    setup.kill_agent(node)?;
                }
                setup.cut_link(node, true)
            }
            Self::AgentFailure => setup.kill_agent(node),
            Self::Join => setup.set_member(machine, true),
        }
    }
}
