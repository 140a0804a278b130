//! Snapshots of the BFD sessions.

use std::time::Duration;

use lb_bfd::session::SessionView;

use super::target::BfdTarget;
use crate::address::is_link_local;

/// All sessions as they are now.
#[derive(Clone, Debug, Default)]
pub struct BfdView {
    /// The sessions.
    pub sessions: Vec<BfdSnapshot>,
    /// Packets that came in and were of no session.
    pub unknown: u64,
}

/// A session as it is now.
#[derive(Clone, Debug)]
pub struct BfdSnapshot {
    /// The neighbour's object.
    pub name: String,
    /// What is wanted.
    pub target: BfdTarget,
    /// How it stands.
    pub view: SessionView,
    /// When; counted from the same start as the times in the view.
    pub at: Duration,
}

impl BfdSnapshot {
    /// The VRF: of a link-local neighbour, the device is just its interface.
    pub fn vrf(&self) -> Option<&str> {
        self.target.device.as_deref().filter(|_| !is_link_local(self.target.address))
    }
}
