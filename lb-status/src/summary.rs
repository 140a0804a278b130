//! The summary of a node's status: what is wrong first, then one line for each area.

mod areas;
mod findings;
#[cfg(test)]
pub(crate) mod tests;

use lb_speaker::BgpStatus;
use lb_speaker::bfd::BfdStatus;
use serde::{Deserialize, Serialize};

use crate::layer2::Layer2Status;
use crate::status::Status;

/// What an operator should know first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Whether no finding is a problem.
    pub well: bool,
    /// What is wrong or unusual, problems first.
    pub findings: Vec<Finding>,
    /// A line for each area.
    pub areas: Vec<AreaSummary>,
}

/// Something that is wrong or unusual.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How severe it is.
    pub severity: FindingSeverity,
    /// What it is about.
    pub area: Area,
    /// What it is, as a sentence.
    pub text: String,
}

/// How severe a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingSeverity {
    /// Something does not work, or redundancy is lost.
    Problem,
    /// An unusual state that may be intended: a drain, a Service without endpoints.
    Notice,
}

/// A part of the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// The agent: its configuration, its maps, its uplinks.
    Agent,
    /// The nodes of the cluster.
    Nodes,
    /// Services and their VIPs.
    Services,
    /// BGP sessions.
    Bgp,
    /// BFD sessions.
    Bfd,
    /// Announcement on the local network.
    L2,
    /// Packets and flows.
    Packets,
}

/// A line about an area.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AreaSummary {
    /// The area.
    pub area: Area,
    /// The line.
    pub text: String,
}

impl Area {
    /// Returns the area's name at the beginning of a line.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Nodes => "nodes",
            Self::Services => "Services",
            Self::Bgp => "BGP",
            Self::Bfd => "BFD",
            Self::L2 => "layer 2",
            Self::Packets => "packets",
        }
    }
}

impl Summary {
    /// Summarizes a status.
    pub fn new(status: &Status, bgp: &BgpStatus, bfd: &BfdStatus, l2: &Layer2Status) -> Self {
        let findings = findings::all(status, bgp, bfd);
        Self {
            well: findings.iter().all(|finding| finding.severity != FindingSeverity::Problem),
            findings,
            areas: areas::all(status, bgp, bfd, l2),
        }
    }
}
