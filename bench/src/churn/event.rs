//! The changes of a cluster, and how each is made.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use fairlead_tests::contenders::RunningContender;

/// A short loss of the link, longer than BFD takes to detect it.
const FLAP: Duration = Duration::from_millis(300);
/// How long nothing directs packets to a node whose agent restarts.
const RESTARTS_AFTER: Duration = Duration::from_millis(500);
/// How long a changed weight lasts.
const A_WHILE: Duration = Duration::from_millis(1500);

/// A change of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ChurnEvent {
    /// A node joins.
    Join,
    /// A node is drained.
    Drain,
    /// A drained node is taken back into service.
    Undrain,
    /// One of two pods of a node becomes unready, and ready again.
    Weight,
    /// The agent of a node is killed, and starts again.
    AgentRestart,
    /// The link of a node is down for 300 ms.
    Flap,
    /// A node dies.
    Death,
}

impl ChurnEvent {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Join, Self::Drain, Self::Undrain, Self::Weight, Self::AgentRestart, Self::Flap, Self::Death];

    /// Returns its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Join => "node joins",
            Self::Drain => "node is drained",
            Self::Undrain => "node is undrained",
            Self::Weight => "pods change weights",
            Self::AgentRestart => "agent restarts",
            Self::Flap => "link down for 300 ms",
            Self::Death => "node dies",
        }
    }

    /// Whether the connections of the node end with it.
    #[must_use]
    pub const fn takes_node(self) -> bool {
        matches!(self, Self::Death)
    }

    /// Whether routers send nothing to the node afterwards.
    #[must_use]
    pub const fn removes_node(self) -> bool {
        matches!(self, Self::Death | Self::Drain)
    }

    /// Prepares a set-up before connections are opened.
    ///
    /// # Errors
    /// When a program fails.
    pub fn prepare(self, setup: &mut RunningContender, node: &str) -> Result<()> {
        if self == Self::Undrain { setup.drain(node, true) } else { Ok(()) }
    }

    /// Makes the change to this node, or lets this machine join.
    ///
    /// # Errors
    /// When a program fails.
    pub fn trigger(self, setup: &mut RunningContender, node: &str, machine: &str) -> Result<()> {
        match self {
            Self::Join => setup.set_member(machine, true),
            Self::Drain => setup.drain(node, true),
            Self::Undrain => setup.drain(node, false),
            Self::Weight => {
                set_ready(setup, node, false)?;
                sleep(A_WHILE);
                set_ready(setup, node, true)
            }
            Self::AgentRestart => {
                setup.kill_agent(node)?;
                sleep(RESTARTS_AFTER);
                setup.start_agent(node)
            }
            Self::Flap => {
                setup.cut_link(node, true)?;
                sleep(FLAP);
                setup.cut_link(node, false)
            }
            Self::Death => setup.cut_link(node, true),
        }
    }
}

/// Sets whether the first pod of a node is ready.
fn set_ready(setup: &RunningContender, node: &str, ready: bool) -> Result<()> {
    setup.lab().update(|cluster| {
        let pod = cluster.pods.iter_mut().find(|pod| pod.node == node);
        if let Some(pod) = pod {
            pod.ready = ready;
        }
        Ok(())
    })
}
