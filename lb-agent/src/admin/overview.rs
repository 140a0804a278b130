//! The answer to `GET /overview`: everything that the agent knows about its node, with a summary.

use aya::maps::MapError;
use lb_speaker::BgpStatus;
use lb_speaker::bfd::BfdStatus;
use serde::{Deserialize, Serialize};

use super::AdminState;
use super::layer2::Layer2Status;
use super::status::Status;
use super::summary::Summary;

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
    /// Reads everything.
    ///
    /// # Errors
    /// When the kernel refuses to read a counter.
    pub(super) async fn read(admin: &AdminState) -> Result<Self, MapError> {
        let view = admin.speaker.view().await;
        let bgp = BgpStatus::of(&view, &admin.agent.borrow().announced);
        let bfd = BfdStatus::from(&view.bfd);
        let l2 = Layer2Status::read(admin)?;
        let status = Status::read(admin)?;
        let summary = Summary::new(&status, &bgp, &bfd, &l2);
        Ok(Self { summary, status, bgp, bfd, l2 })
    }
}
