//! Who is the router on an interface that is named instead of an address ("unnumbered"): the link-local address
//! that Router Advertisements come from (RFC 4861 section 6), and our own advertisements, by which the router finds
//! us.
//!
//! A router that is spoken to stays the one: another is chosen only if it says that it routes where this one does
//! not, or once the kernel has asked for this one in vain. So two routers on a link do not take turns.

mod packet;

pub use packet::InvalidAdvertisement;

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use packet::RouterAdvertisement;

/// What goes to all nodes of a link (RFC 4291 section 2.7.1).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// What goes to all routers of a link.
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Hop limit of all that is received: nothing comes through a router (RFC 4861 section 6.1).
const HOP_LIMIT: u8 = 255;
/// Time between two solicitations, and how many are sent (RFC 4861 section 10).
const SOLICIT_EVERY: Duration = Duration::from_secs(4);
const SOLICITATIONS: u8 = 3;
/// Longest time between two advertisements: as often as RFC 4861 section 6.2.1 allows.
const ADVERTISE_EVERY: Duration = Duration::from_secs(4);
/// Routers that are remembered: a link has one, as a rule, and no flood of them may cost memory.
const MAX_ROUTERS: usize = 16;

/// The router on one interface.
#[derive(Clone, Debug)]
pub struct RouterDiscovery {
    known: BTreeMap<Ipv6Addr, KnownRouter>,
    router: Option<Ipv6Addr>,
    solicitations: u8,
    solicit_at: Duration,
    advertise_at: Duration,
    random: u64,
}

/// What is known of a router.
#[derive(Clone, Copy, Debug)]
struct KnownRouter {
    role: RouterRole,
    /// The kernel has asked for it in vain, and it was not heard since.
    has_failed: bool,
}

/// What a router has said of itself, the strongest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RouterRole {
    /// Nothing; the kernel knows that it is one.
    Unspecified,
    /// That it is none to send packets to: as we say of ourselves.
    NotDefault,
    /// That packets may be sent to it.
    Default,
}

/// What the kernel's table of neighbours says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighborState {
    /// It is a router, and answers as far as is known.
    Router,
    /// It does not answer, or not yet.
    Failed,
}

/// A packet to be sent on the interface, with hop limit 255 and from its link-local address; the kernel fills in
/// the check sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingPacket {
    /// To whom: a multicast group.
    pub destination: Ipv6Addr,
    /// From the ICMPv6 header on.
    pub bytes: &'static [u8],
}

impl RouterDiscovery {
    /// Nobody is known. `seed` spreads advertisements; `now` and all times after it are counted from one start of
    /// the caller's choice.
    pub fn new(seed: u64, now: Duration) -> Self {
        Self {
            known: BTreeMap::new(),
            router: None,
            solicitations: 0,
            solicit_at: now,
            advertise_at: now,
            random: seed,
        }
    }

    /// The router's link-local address, once it is known.
    pub fn router(&self) -> Option<Ipv6Addr> {
        self.router
    }

    /// How many others could be the router.
    pub fn others(&self) -> usize {
        self.known.values().filter(|known| !known.has_failed).count().saturating_sub(1)
    }

    /// An ICMPv6 packet that was received on the interface.
    ///
    /// # Errors
    /// When it is no Router Advertisement that counts (RFC 4861 section 6.1.2).
    pub fn handle_packet(
        &mut self,
        source: Ipv6Addr,
        hop_limit: u8,
        bytes: &[u8],
    ) -> Result<(), InvalidAdvertisement> {
        let RouterAdvertisement { lifetime } = packet::parse(bytes)?;
        if hop_limit != HOP_LIMIT {
            return Err(InvalidAdvertisement::Forwarded { hop_limit });
        }
        if !source.is_unicast_link_local() {
            return Err(InvalidAdvertisement::NotLinkLocal(source));
        }
        let role = if lifetime == 0 { RouterRole::NotDefault } else { RouterRole::Default };
        self.note(source, KnownRouter { role, has_failed: false });
        Ok(())
    }

    /// What the kernel says of an address on the interface.
    pub fn handle_neighbor(&mut self, address: Ipv6Addr, neighbor: NeighborState) {
        if !address.is_unicast_link_local() {
            return;
        }
        match (neighbor, self.known.get_mut(&address)) {
            (NeighborState::Router, None) => {
                self.note(address, KnownRouter { role: RouterRole::Unspecified, has_failed: false })
            }
            (NeighborState::Router, Some(known)) => known.has_failed = false,
            (NeighborState::Failed, Some(known)) => known.has_failed = true,
            (NeighborState::Failed, None) => {}
        }
        self.select_router();
    }

    /// A packet to be sent now; to be asked until there is none.
    pub fn poll_packet(&mut self, now: Duration) -> Option<OutgoingPacket> {
        if self.solicit_at().is_some_and(|due| now >= due) {
            self.solicitations += 1;
            self.solicit_at = now.saturating_add(SOLICIT_EVERY);
            return Some(OutgoingPacket { destination: ALL_ROUTERS, bytes: &packet::SOLICITATION });
        }
        if now >= self.advertise_at {
            self.advertise_at = now.saturating_add(self.advertise_interval());
            return Some(OutgoingPacket { destination: ALL_NODES, bytes: &packet::ADVERTISEMENT });
        }
        None
    }

    /// When to ask again at the latest.
    pub fn next_deadline(&self) -> Duration {
        self.solicit_at().map_or(self.advertise_at, |due| due.min(self.advertise_at))
    }

    fn solicit_at(&self) -> Option<Duration> {
        (self.router.is_none() && self.solicitations < SOLICITATIONS).then_some(self.solicit_at)
    }

    fn note(&mut self, address: Ipv6Addr, known: KnownRouter) {
        if self.known.len() >= MAX_ROUTERS && !self.known.contains_key(&address) {
            let failed = self.known.iter().find(|(_, known)| known.has_failed).map(|(address, _)| *address);
            let Some(failed) = failed else { return };
            self.known.remove(&failed);
        }
        self.known.insert(address, known);
        self.select_router();
    }

    fn select_router(&mut self) {
        let worth = |(address, known): &(&Ipv6Addr, &KnownRouter)| {
            (!known.has_failed, known.role, self.router == Some(**address))
        };
        self.router = self.known.iter().max_by_key(worth).map(|(address, _)| *address);
    }

    /// Three quarters of the longest pause to all of it, so that routers and nodes do not speak in chorus.
    fn advertise_interval(&mut self) -> Duration {
        // xorshift: a step of it never ends in zero where it did not begin there.
        self.random |= 1;
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ADVERTISE_EVERY - ADVERTISE_EVERY / 4 * (self.random % 1024) as u32 / 1024
    }
}

#[cfg(test)]
mod tests;
