//! Peer discovery for unnumbered BGP: the peer is the link-local address on the interface that sends Router
//! Advertisements (RFC 4861, section 6); our own advertisements let the peer find us.
//!
//! The selected router stays selected until another claims to be a default router and it does not, or until
//! the kernel fails to resolve it. So two routers on a link do not alternate.

mod packet;

pub use packet::InvalidAdvertisement;

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use packet::RouterAdvertisement;

/// The all-nodes multicast group (RFC 4291, section 2.7.1).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The all-routers multicast group.
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Required hop limit: a received packet must not have been forwarded (RFC 4861, section 6.1).
const HOP_LIMIT: u8 = 255;
/// Interval between solicitations, and their number (RFC 4861, section 10).
const SOLICIT_EVERY: Duration = Duration::from_secs(4);
const SOLICITATIONS: u8 = 3;
/// Maximum interval between advertisements: the shortest that RFC 4861, section 6.2.1, allows.
const ADVERTISE_EVERY: Duration = Duration::from_secs(4);
/// Maximum number of known routers. A link has one as a rule; a flood must not exhaust memory.
const MAX_ROUTERS: usize = 16;

/// Discovers the router on one interface.
#[derive(Clone, Debug)]
pub struct RouterDiscovery {
    known: BTreeMap<Ipv6Addr, KnownRouter>,
    router: Option<Ipv6Addr>,
    solicitations: u8,
    solicit_at: Duration,
    advertise_at: Duration,
    random: u64,
}

/// A known router.
#[derive(Clone, Copy, Debug)]
struct KnownRouter {
    role: RouterRole,
    /// The kernel failed to resolve it, and no advertisement has arrived since.
    has_failed: bool,
}

/// The role a router advertises, in ascending order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RouterRole {
    /// No advertisement received; the kernel knows it as a router.
    Unspecified,
    /// Not a default router (lifetime 0), as we advertise ourselves.
    NotDefault,
    /// A default router.
    Default,
}

/// The state of an entry in the kernel's neighbor table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighborState {
    /// A router, reachable as far as known.
    Router,
    /// Unresolved, or resolution failed.
    Failed,
}

/// A packet to send on the interface, with hop limit 255 and from its link-local address; the kernel fills in
/// the checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingPacket {
    /// Destination: a multicast group.
    pub destination: Ipv6Addr,
    /// Contents from the ICMPv6 header on.
    pub bytes: &'static [u8],
}

impl RouterDiscovery {
    /// Returns a discovery without known routers. `seed` spreads advertisements; all times count from one
    /// origin that the caller chooses.
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

    /// Returns the router's link-local address, if known.
    pub fn router(&self) -> Option<Ipv6Addr> {
        self.router
    }

    /// Returns the number of other candidates.
    pub fn others(&self) -> usize {
        self.known.values().filter(|known| !known.has_failed).count().saturating_sub(1)
    }

    /// Handles an ICMPv6 packet received on the interface.
    ///
    /// # Errors
    /// If it is not a valid Router Advertisement (RFC 4861, section 6.1.2).
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

    /// Handles the state of an entry in the interface's neighbor table.
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

    /// Returns a packet to send now; call it until it returns `None`.
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

    /// Returns the time at which [`poll_packet`](Self::poll_packet) is due.
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

    /// Returns three quarters to all of the maximum interval, so that routers and nodes do not synchronize.
    fn advertise_interval(&mut self) -> Duration {
        // xorshift: a nonzero state never becomes zero.
        self.random |= 1;
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ADVERTISE_EVERY - ADVERTISE_EVERY / 4 * (self.random % 1024) as u32 / 1024
    }
}

#[cfg(test)]
mod tests;
