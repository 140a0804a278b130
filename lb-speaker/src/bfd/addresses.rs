//! The addresses whose BFD packets the XDP program passes to the agent; it drops all others before they cost
//! this thread anything.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_bfd::session::Hops;
use lb_common::maps::{BFD_LISTENS, BFD_LISTENS_MULTIHOP, BFD_PEER, BFD_PEER_MULTIHOP, BfdAddress};

/// The addresses of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionAddresses {
    /// Local discriminator.
    pub(super) discriminator: u32,
    /// The peer's address.
    pub(super) remote: IpAddr,
    /// The local address, once the peer is reachable.
    pub(super) local: Option<IpAddr>,
    pub(super) hops: Hops,
    pub(super) up: bool,
    /// Only this agent receives the packets: its socket owns the port on all addresses. In a VRF the same
    /// address may belong to others.
    pub(super) is_sole_receiver: bool,
}

/// Returns the program's table of addresses.
pub(super) fn address_table(
    sessions: impl IntoIterator<Item = SessionAddresses>,
) -> BTreeMap<IpAddr, BfdAddress> {
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
        // Echoes belong to single-hop sessions.
        if session.up && (peer.discriminator == 0 || session.hops == Hops::Single) {
            peer.discriminator = session.discriminator;
        }
        if let Some(local) = session.local.filter(|_| session.is_sole_receiver) {
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
            is_sole_receiver: true,
        }
    }

    fn flags(sessions: &[SessionAddresses]) -> [u8; 2] {
        let addresses = address_table(sessions.iter().copied());
        [1, 2].map(|host| addresses.get(&IpAddr::from([10, 0, 0, host])).map_or(0, |entry| entry.flags))
    }

    #[test]
    fn peers_are_listed_before_they_are_up_and_ports_by_their_sessions() {
        let down = SessionAddresses { up: false, ..addresses(1, Hops::Single) };
        assert_eq!(flags(&[down]), [BFD_PEER, BFD_LISTENS]);
        assert_eq!(address_table([down])[&down.remote].discriminator, 0);
        assert_eq!(flags(&[addresses(1, FAR)]), [BFD_PEER_MULTIHOP, BFD_LISTENS_MULTIHOP]);
        let both = [BFD_PEER | BFD_PEER_MULTIHOP, BFD_LISTENS | BFD_LISTENS_MULTIHOP];
        assert_eq!(flags(&[addresses(1, FAR), addresses(2, Hops::Single)]), both);
    }

    #[test]
    fn nothing_is_dropped_where_others_may_receive_it() {
        assert_eq!(
            flags(&[SessionAddresses { is_sole_receiver: false, ..addresses(1, Hops::Single) }]),
            [BFD_PEER, 0]
        );
        assert_eq!(flags(&[SessionAddresses { local: None, ..addresses(1, Hops::Single) }]), [BFD_PEER, 0]);
        assert_eq!(address_table([]), BTreeMap::new());
    }

    #[test]
    fn several_sessions_with_a_peer_give_the_single_hop_discriminator_and_the_minimum_ttl() {
        let (near, far) = (addresses(7, Hops::Single), addresses(8, FAR));
        for sessions in [[near, far], [far, near]] {
            assert_eq!(address_table(sessions)[&near.remote].discriminator, 7);
        }
        let farther = addresses(9, Hops::Multi { minimum_ttl: 200 });
        for sessions in [[far, farther], [farther, far]] {
            assert_eq!(address_table(sessions)[&far.remote].minimum_ttl, 200);
        }
    }
}
