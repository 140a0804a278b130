//! Whose BFD packets the agent has to see: the program drops the others before they cost this thread anything.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_bfd::session::Hops;
use lb_common::maps::{BFD_LISTENS, BFD_LISTENS_MULTIHOP, BFD_PEER, BFD_PEER_MULTIHOP, BfdAddress};

/// A session, as far as its addresses go.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionAddresses {
    /// This machine's discriminator.
    pub(super) discriminator: u32,
    /// The peer.
    pub(super) remote: IpAddr,
    /// This machine, once there is a way to the peer.
    pub(super) local: Option<IpAddr>,
    pub(super) hops: Hops,
    pub(super) up: bool,
    /// Its packets are received here, and by nobody else: the socket is bound to the port on every address, and shares
    /// it with no other. In a VRF the same address may be somebody else's.
    pub(super) received: bool,
}

/// What the program is told.
pub(super) fn of(sessions: impl IntoIterator<Item = SessionAddresses>) -> BTreeMap<IpAddr, BfdAddress> {
    let mut addresses: BTreeMap<IpAddr, BfdAddress> = BTreeMap::new();
    for session in sessions {
        let peer = addresses.entry(session.remote).or_default();
        let listens = match session.hops {
            Hops::Single => {
                peer.flags |= BFD_PEER;
                BFD_LISTENS
            }
            Hops::Multi { minimum_ttl } => {
                let known = peer.flags & BFD_PEER_MULTIHOP != 0;
                peer.minimum_ttl = if known { peer.minimum_ttl.min(minimum_ttl) } else { minimum_ttl };
                peer.flags |= BFD_PEER_MULTIHOP;
                BFD_LISTENS_MULTIHOP
            }
        };
        // Echoes are of sessions over one hop.
        if session.up && (peer.discriminator == 0 || session.hops == Hops::Single) {
            peer.discriminator = session.discriminator;
        }
        if let Some(local) = session.local.filter(|_| session.received) {
            addresses.entry(local).or_default().flags |= listens;
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Hops = Hops::Multi { minimum_ttl: 250 };

    fn addresses(discriminator: u32, hops: Hops) -> SessionAddresses {
        SessionAddresses {
            discriminator,
            remote: IpAddr::from([10, 0, 0, 1]),
            local: Some([10, 0, 0, 2].into()),
            hops,
            up: true,
            received: true,
        }
    }

    fn flags(sessions: &[SessionAddresses]) -> [u8; 2] {
        let addresses = of(sessions.iter().copied());
        [1, 2].map(|host| addresses.get(&IpAddr::from([10, 0, 0, host])).map_or(0, |entry| entry.flags))
    }

    #[test]
    fn peers_are_known_before_they_are_up_and_ports_by_their_sessions() {
        let down = SessionAddresses { up: false, ..addresses(1, Hops::Single) };
        assert_eq!(flags(&[down]), [BFD_PEER, BFD_LISTENS]);
        assert_eq!(of([down])[&down.remote].discriminator, 0);
        assert_eq!(flags(&[addresses(1, FAR)]), [BFD_PEER_MULTIHOP, BFD_LISTENS_MULTIHOP]);
        let both = [BFD_PEER | BFD_PEER_MULTIHOP, BFD_LISTENS | BFD_LISTENS_MULTIHOP];
        assert_eq!(flags(&[addresses(1, FAR), addresses(2, Hops::Single)]), both);
    }

    #[test]
    fn nothing_is_refused_where_others_may_receive_it() {
        assert_eq!(
            flags(&[SessionAddresses { received: false, ..addresses(1, Hops::Single) }]),
            [BFD_PEER, 0]
        );
        assert_eq!(flags(&[SessionAddresses { local: None, ..addresses(1, Hops::Single) }]), [BFD_PEER, 0]);
        assert_eq!(of([]), BTreeMap::new());
    }

    #[test]
    fn of_several_sessions_with_a_peer_the_nearest_is_named_and_the_least_ttl_counts() {
        let (near, far) = (addresses(7, Hops::Single), addresses(8, FAR));
        for sessions in [[near, far], [far, near]] {
            assert_eq!(of(sessions)[&near.remote].discriminator, 7);
        }
        let farther = addresses(9, Hops::Multi { minimum_ttl: 200 });
        for sessions in [[far, farther], [farther, far]] {
            assert_eq!(of(sessions)[&far.remote].minimum_ttl, 200);
        }
    }
}
