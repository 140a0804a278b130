//! The answer to `GET /overview`: everything that the agent knows about its node, with a summary.

use lb_speaker::BgpStatus;
use lb_speaker::bfd::BfdStatus;
use serde::{Deserialize, Serialize};

use super::summary::Summary;
use crate::layer2::Layer2Status;
use crate::status::Status;

/// The complete status of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overview {
    /// What is wrong, and a line for each area.
    pub summary: Summary,
    /// Nodes, Services and packets.
    #[serde(flatten)]
    pub status: Status,
    /// BGP sessions, and the Services that are advertised.
    pub bgp: BgpStatus,
    /// BFD sessions.
    pub bfd: BfdStatus,
    /// Addresses that nodes announce on the local network.
    pub l2: Layer2Status,
}

impl Overview {
    /// Puts the parts together, with their summary.
    pub fn new(status: Status, bgp: BgpStatus, bfd: BfdStatus, l2: Layer2Status) -> Self {
        let summary = Summary::new(&status, &bgp, &bfd, &l2);
        Self { summary, status, bgp, bfd, l2 }
    }
}
