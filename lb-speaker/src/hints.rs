//! Problems of sessions that depend on their configuration.

use std::time::Duration;

use lb_bgp::session::{AdviceContext, BgpState};

use super::desired::DesiredPeer;
use super::view::PeerSnapshot;

/// Time for BFD to come up: a second per step at the slow rate (RFC 5880, section 6.8.3).
const BFD_WITHIN: Duration = Duration::from_secs(10);

/// Returns what advice on a peer depends on.
pub(super) fn advice_context(peer: &DesiredPeer) -> AdviceContext {
    AdviceContext {
        asn: peer.config.presented_asn(),
        password: peer.transport.key.is_some(),
        multihop: peer.multihop,
    }
}

/// Returns what is configured but not in effect, a sentence each.
pub(super) fn limits(snapshot: &PeerSnapshot) -> Vec<String> {
    let PeerSnapshot { name, desired, view } = snapshot;
    let is_bfd_missing = desired.bfd.is_some()
        && view.bfd != Some(true)
        && view.state == BgpState::Established
        && view.state_age >= BFD_WITHIN;
    let bfd = is_bfd_missing.then(|| {
        "BFD is not up although the BGP session is: configure BFD for this node on the router, both single-hop or both \
         multihop (FRR: ttl-security makes it multihop), and permit UDP ports 3784 and 4784"
            .to_owned()
    });
    let limits = view.limits(desired.config.presented_asn()).into_iter().chain(bfd);
    limits.map(|limit| format!("BGPPeer {name}: {limit}")).collect()
}
