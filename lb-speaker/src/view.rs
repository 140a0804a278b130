//! Snapshots of the speaker.

use std::net::IpAddr;
use std::time::Duration;

use lb_bgp::session::{BgpState, PeerView};
use lb_bgp::value::AddressFamily;
use lb_keeper::KeeperStatus;
use serde::{Deserialize, Serialize};

use super::bfd::BfdView;
use super::desired::DesiredPeer;

/// A snapshot of the speaker.
#[derive(Clone, Debug, Default)]
pub struct SpeakerView {
    /// Time of the snapshot; all times count from the speaker's start.
    pub at: Duration,
    /// The peers, ordered by name.
    pub peers: Vec<PeerSnapshot>,
    /// The BFD sessions.
    pub bfd: BfdView,
    /// Connections from unknown peers that were closed.
    pub unknown: u64,
    /// Listeners that could not be opened, a sentence each.
    pub failures: Vec<String>,
    /// The keeper, if sessions are to survive the process.
    pub keeper: Option<KeeperView>,
}

/// The connection to the keeper.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperView {
    /// A keeper is connected.
    pub connected: bool,
    /// Sessions that it holds for this agent.
    pub held: usize,
    /// Its process ID, in its PID namespace.
    pub pid: Option<u32>,
    /// Its release.
    pub version: Option<String>,
    /// The last error.
    pub last_error: Option<String>,
}

impl From<KeeperStatus> for KeeperView {
    fn from(status: KeeperStatus) -> Self {
        let KeeperStatus { connected, held, pid, version, last_error, .. } = status;
        Self { connected, held, pid, version, last_error }
    }
}

/// A snapshot of a peer.
#[derive(Clone, Debug)]
pub struct PeerSnapshot {
    /// Name of the BGPPeer object.
    pub name: String,
    /// Desired state.
    pub desired: DesiredPeer,
    /// Actual state.
    pub view: PeerView,
}

impl SpeakerView {
    /// Returns whether an address is advertised to a peer, or may be once its session is up.
    pub fn may_advertise(&self, peer: &str, address: IpAddr) -> bool {
        let family = if address.is_ipv4() { AddressFamily::Ipv4 } else { AddressFamily::Ipv6 };
        // A peer that is not listed has no address yet.
        self.peers.iter().find(|snapshot| snapshot.name == peer).is_none_or(|snapshot| {
            snapshot.desired.config.families.contains(&family)
                && (snapshot.view.state != BgpState::Established
                    || snapshot.view.families.contains_key(&family))
        })
    }
}
