//! Hosts that are no nodes and claim addresses of the cluster (RFC 5227 section 2.4).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::view::StrangerView;

/// An address is defended once in this time (RFC 5227 section 1.1, `DEFEND_INTERVAL`). Two hosts that answer
/// each claim with another one would fill the network.
pub const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// A stranger that claims nothing for this time is forgotten.
pub const FORGET_AFTER: Duration = Duration::from_mins(10);
/// Strangers that are remembered for an address.
pub const MAX_STRANGERS: usize = 8;
/// Addresses with strangers that are remembered.
pub const MAX_ADDRESSES: usize = 1024;

/// The strangers of all addresses.
#[derive(Clone, Debug, Default)]
pub struct Strangers {
    addresses: BTreeMap<IpAddr, Claimed>,
}

/// The strangers of an address.
#[derive(Clone, Debug, Default)]
struct Claimed {
    strangers: Vec<Stranger>,
    defended: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Stranger {
    mac: [u8; 6],
    link: u32,
    first_seen: Duration,
    last_seen: Duration,
    claims: u64,
}

impl Strangers {
    /// Notes a claim. Returns whether the stranger is to be reported: it is new, and does not only take the
    /// place of another one, as those of a flood with changing addresses would.
    pub fn handle_claim(&mut self, address: IpAddr, mac: [u8; 6], link: u32, now: Duration) -> bool {
        if self.addresses.len() >= MAX_ADDRESSES && !self.addresses.contains_key(&address) {
            return false;
        }
        let strangers = &mut self.addresses.entry(address).or_default().strangers;
        if let Some(known) = strangers.iter_mut().find(|known| known.mac == mac) {
            *known = Stranger { link, last_seen: now, claims: known.claims.saturating_add(1), ..*known };
            return false;
        }
        let stranger = Stranger { mac, link, first_seen: now, last_seen: now, claims: 1 };
        if strangers.len() < MAX_STRANGERS {
            strangers.push(stranger);
            return true;
        }
        if let Some(oldest) = strangers.iter_mut().min_by_key(|known| known.last_seen) {
            *oldest = stranger;
        }
        false
    }

    /// Returns whether the address may be defended now against a claim that was just noted, and assumes that
    /// it is.
    pub fn take_defence(&mut self, address: IpAddr, now: Duration) -> bool {
        let Some(claimed) = self.addresses.get_mut(&address) else { return false };
        let may = claimed.defended.is_none_or(|last| now >= last + DEFEND_INTERVAL);
        if may {
            claimed.defended = Some(now);
        }
        may
    }

    /// Forgets strangers that have been silent, and addresses for which `is_known` is false.
    pub fn forget(&mut self, is_known: impl Fn(&IpAddr) -> bool, now: Duration) {
        self.addresses.retain(|address, claimed| {
            claimed.strangers.retain(|stranger| now < stranger.last_seen + FORGET_AFTER);
            is_known(address) && !claimed.strangers.is_empty()
        });
    }

    /// Returns the strangers of an address.
    pub fn view(&self, address: &IpAddr, now: Duration) -> Vec<StrangerView> {
        let strangers = self.addresses.get(address).map_or(&[][..], |claimed| &claimed.strangers);
        let recent = strangers.iter().filter(|stranger| now < stranger.last_seen + FORGET_AFTER);
        recent.map(|stranger| stranger.view(now)).collect()
    }
}

impl Stranger {
    const fn view(&self, now: Duration) -> StrangerView {
        StrangerView {
            mac: self.mac,
            link: self.link,
            first_seen: now.saturating_sub(self.first_seen),
            last_seen: now.saturating_sub(self.last_seen),
            claims: self.claims,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn address(last: u32) -> IpAddr {
        IpAddr::V4((0xc000_0200 + last).into())
    }

    #[test]
    fn a_stranger_is_reported_once_and_forgotten_after_silence() {
        let mut strangers = Strangers::default();
        assert!(strangers.handle_claim(address(1), MAC, 3, at(0)));
        assert!(!strangers.handle_claim(address(1), MAC, 4, at(500)));
        let expected = StrangerView { mac: MAC, link: 4, first_seen: at(501), last_seen: at(1), claims: 2 };
        assert_eq!(strangers.view(&address(1), at(501)), [expected]);
        strangers.forget(|_| true, at(1099));
        assert_eq!(strangers.view(&address(1), at(1099)).len(), 1);
        assert!(strangers.view(&address(1), at(1100)).is_empty());
        strangers.forget(|_| true, at(1100));
        assert!(strangers.addresses.is_empty());
        assert!(strangers.handle_claim(address(1), MAC, 3, at(1200)));
        strangers.forget(|_| false, at(1200));
        assert!(strangers.addresses.is_empty());
    }

    #[test]
    fn memory_is_bounded_and_a_flood_is_not_reported() {
        let mut strangers = Strangers::default();
        let mac = |k: u32| [2, 1, k as u8, (k >> 8) as u8, 0, 0];
        let mut reported = 0;
        for k in 0..1000 {
            reported += u32::from(strangers.handle_claim(address(1), mac(k), 1, at(k.into())));
        }
        assert_eq!(reported, MAX_STRANGERS as u32);
        assert_eq!(strangers.view(&address(1), at(1000)).len(), MAX_STRANGERS);
        for k in 0..5000 {
            strangers.handle_claim(address(k), MAC, 1, at(1000));
        }
        assert_eq!(strangers.addresses.len(), MAX_ADDRESSES);
    }

    proptest! {
        #[test]
        fn an_address_is_defended_once_in_an_interval(
            claims in proptest::collection::vec((0u64..8, 0u32..3), 1..200),
        ) {
            let mut strangers = Strangers::default();
            let (mut now, mut last) = (0, BTreeMap::new());
            for (step, which) in claims {
                now += step;
                strangers.handle_claim(address(which), MAC, 1, at(now));
                if strangers.take_defence(address(which), at(now))
                    && let Some(before) = last.insert(which, at(now))
                {
                    prop_assert!(at(now) - before >= DEFEND_INTERVAL);
                }
                strangers.forget(|_| true, at(now));
            }
        }
    }
}
