//! Snapshots of the BFD sessions.

use std::time::Duration;

use lb_bfd::session::SessionView;

use super::target::BfdTarget;
use crate::address::is_link_local;

/// A snapshot of all sessions.
#[derive(Clone, Debug, Default)]
pub struct BfdView {
    /// The sessions.
    pub sessions: Vec<BfdSnapshot>,
    /// Received packets that matched no session.
    pub unknown: u64,
}

/// A snapshot of a session.
#[derive(Clone, Debug)]
pub struct BfdSnapshot {
    /// Name of the BGPPeer object.
    pub name: String,
    /// Desired state.
    pub target: BfdTarget,
    /// Actual state.
    pub view: SessionView,
    /// The XDP program answers the router while this process sends nothing.
    pub is_kept: bool,
    /// Time of the snapshot, from the same origin as the times in the view.
    pub at: Duration,
}

impl BfdSnapshot {
    /// Returns the VRF; the device of a link-local peer is its interface instead.
    pub fn vrf(&self) -> Option<&str> {
        self.target.device.as_deref().filter(|_| !is_link_local(self.target.address))
    }
}
