//! Snapshots of the speaker.

use std::net::IpAddr;
use std::time::Duration;

use lb_bgp::session::{BgpState, PeerView};
use lb_bgp::value::Family;

use super::bfd::BfdView;
use super::desired::DesiredPeer;

/// The speaker as it is now.
#[derive(Clone, Debug, Default)]
pub struct SpeakerView {
    /// When; counted from the speaker's start, as all times in it.
    pub at: Duration,
    /// The neighbours, by name.
    pub peers: Vec<PeerSnapshot>,
    /// The BFD sessions.
    pub bfd: BfdView,
    /// Connections of strangers that were closed.
    pub unknown: u64,
    /// What cannot be listened at, a sentence each.
    pub failures: Vec<String>,
}

/// A neighbour as it is now.
#[derive(Clone, Debug)]
pub struct PeerSnapshot {
    /// Its object's name.
    pub name: String,
    /// What is wanted of it.
    pub desired: DesiredPeer,
    /// How it stands.
    pub view: PeerView,
}

impl SpeakerView {
    /// Whether an address is advertised to a peer, or may be as soon as its session is up.
    pub fn may_advertise(&self, peer: &str, address: IpAddr) -> bool {
        let family = if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        // One that is not here has no address as yet.
        self.peers.iter().find(|snapshot| snapshot.name == peer).is_none_or(|snapshot| {
            snapshot.desired.config.families.contains(&family)
                && (snapshot.view.state != BgpState::Established
                    || snapshot.view.families.contains_key(&family))
        })
    }
}
