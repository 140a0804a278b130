//! The facts that a plan needs, kept fresh.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc::UnboundedReceiver;
use lb_plan::plan::{Facts, Uplink};
use netlink_packet_core::NetlinkMessage;
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::sys::SocketAddr;
use rtnetlink::{Handle, MulticastGroup};

use super::link::{self, Device, DeviceKind};
use super::{address, next_hop, uplinks};

/// How often neighbors that are known are confirmed: a host that came back with another MAC and said
/// nothing is found out after this long.
pub const CONFIRM_EVERY: Duration = Duration::from_secs(10);
/// How often uplinks are looked at: a program that is detached or replaced is not notified, and meanwhile the node's own
/// stack refuses the packets of others' connections.
pub const WATCH_EVERY: Duration = Duration::from_millis(100);
/// How often neighbors that are not known are asked for.
pub const ASK_EVERY: Duration = Duration::from_secs(1);

/// A connection to the kernel's view of the network.
pub struct NetworkMonitor {
    handle: Handle,
    notifications: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct NetworkState {
    /// What is known.
    pub facts: Facts,
    /// Addresses that no way is known to, and why they are not: no route, or no MAC yet.
    pub unresolved: BTreeSet<IpAddr>,
    /// Uplinks that have a carrier, by interface index.
    pub carriers: BTreeSet<u32>,
    /// Interface and address of each neighbor on an uplink whose MAC is known.
    pub neighbors: BTreeSet<(u32, IpAddr)>,
}

impl NetworkState {
    /// What `before` knew of the neighbors on the uplinks that had no carrier since, and have one now.
    pub fn revived<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a (u32, IpAddr)> {
        let returned = |ifindex: &u32| self.carriers.contains(ifindex) && !before.carriers.contains(ifindex);
        before.neighbors.iter().filter(move |known| returned(&known.0) && !self.neighbors.contains(known))
    }

    /// Takes over the neighbors on the uplinks that have no carrier: with the carrier the kernel has forgotten
    /// them, and they will be there again.
    pub fn remember(&mut self, before: &Self) {
        let lost = before.neighbors.iter().filter(|(ifindex, _)| !self.carriers.contains(ifindex));
        self.neighbors.extend(lost.copied());
    }
}

impl NetworkMonitor {
    /// Opens the connection; must be called inside a runtime, which then drives it.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn open() -> std::io::Result<Self> {
        let (connection, handle, notifications) = rtnetlink::new_multicast_connection(&[
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ])?;
        tokio::spawn(connection);
        Ok(Self { handle, notifications })
    }

    /// Waits until something in the network has changed; false when the kernel has hung up.
    pub async fn changed(&mut self) -> bool {
        self.notifications.next().await.is_some()
    }

    /// Throws away the notifications that have come so far: the next observation sees what they are about.
    pub fn discard_changes(&mut self) {
        while self.notifications.try_recv().is_ok() {}
    }

    /// All interfaces.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn all_devices(&self) -> Result<Vec<Device>, rtnetlink::Error> {
        link::all(&self.handle).await
    }

    /// The interfaces of these names and these indices, as far as they are there; each once.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn devices(
        &self,
        names: impl IntoIterator<Item = &str>,
        indices: impl IntoIterator<Item = u32>,
    ) -> Result<Vec<Device>, rtnetlink::Error> {
        let mut devices: Vec<Device> = Vec::new();
        for name in names {
            devices.extend(link::by_name(&self.handle, name).await?);
        }
        for index in indices {
            if devices.iter().all(|device| device.index != index) {
                devices.extend(link::by_index(&self.handle, index).await?);
            }
        }
        Ok(devices)
    }

    /// Looks at everything: the uplinks, which are these devices, routes to `addresses`, neighbors.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn observe(
        &self,
        addresses: &BTreeSet<IpAddr>,
        devices: &[&Device],
    ) -> Result<NetworkState, rtnetlink::Error> {
        let uplinks = self.uplinks(devices).await?;
        let carriers =
            devices.iter().filter(|device| device.has_carrier).map(|device| device.index).collect();
        let gateways = uplinks::gateways(&self.handle).await?;
        let gateways = gateways.into_iter().map(|(_, address)| address).collect();
        let mut facts = Facts { uplinks, gateways, ..Facts::default() };
        let neighbors = next_hop::neighbors(&self.handle).await?;
        let mut unresolved = BTreeSet::new();
        for address in addresses {
            let route = next_hop::route(&self.handle, *address).await?;
            let found = route.and_then(|route| {
                let mtu = facts.uplinks.get(&route.ifindex).map_or(u16::MAX, |uplink| uplink.mtu);
                next_hop::resolve(&route, &neighbors, mtu)
            });
            match found {
                Some(way) => drop(facts.next_hops.insert(*address, way)),
                None => drop(unresolved.insert(*address)),
            }
        }
        let on_uplink = |neighbor: &&next_hop::NeighborEntry| facts.uplinks.contains_key(&neighbor.ifindex);
        let known = neighbors.iter().filter(on_uplink).map(|known| (known.ifindex, known.address)).collect();
        Ok(NetworkState { facts, unresolved, carriers, neighbors: known })
    }

    /// The devices as uplinks; without an Ethernet address, one is none.
    async fn uplinks(&self, devices: &[&Device]) -> Result<BTreeMap<u32, Uplink>, rtnetlink::Error> {
        let mut networks = address::networks(&self.handle).await?;
        let mut uplinks = BTreeMap::new();
        for device in devices {
            let Some(mac) = device.mac else { continue };
            let members = match device.kind {
                DeviceKind::Bond => link::members(&self.handle, device.index).await?,
                DeviceKind::Veth | DeviceKind::Other => Vec::new(),
            };
            let members = members.into_iter().collect();
            let Device { name, mtu, has_carrier, .. } = (*device).clone();
            let networks = networks.remove(&device.index).unwrap_or_default();
            uplinks.insert(device.index, Uplink { name, mac, mtu, members, networks, has_carrier });
        }
        Ok(uplinks)
    }

    /// Has the kernel ask at once for neighbors that it asked for in vain while there was no carrier: left to
    /// itself it asks again up to a second after the carrier is back, and holds packets for them back till then.
    pub async fn revive(&self, neighbors: impl IntoIterator<Item = &(u32, IpAddr)>) {
        for (ifindex, address) in neighbors {
            next_hop::forget(&self.handle, *ifindex, *address).await;
            next_hop::solicit(&self.handle, *ifindex, *address).await;
        }
    }

    /// Has the kernel ask for the next hops to these addresses.
    pub async fn solicit(&self, addresses: impl IntoIterator<Item = &IpAddr>) {
        for address in addresses {
            if let Ok(Some(route)) = next_hop::route(&self.handle, *address).await {
                next_hop::solicit(&self.handle, route.ifindex, route.next_hop).await;
            }
        }
    }

    /// Has the kernel ask for these and for the gateways of the default routes at once. Who is asked learns this
    /// machine's MAC: after an uplink was made again or got another MAC, others still have the old one, while the
    /// kernel has forgotten theirs.
    pub async fn greet(&self, addresses: impl IntoIterator<Item = &IpAddr>) {
        for (ifindex, gateway) in uplinks::gateways(&self.handle).await.unwrap_or_default() {
            next_hop::solicit(&self.handle, ifindex, gateway).await;
        }
        self.solicit(addresses).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observation(carriers: &[u32], neighbors: &[(u32, u8)]) -> NetworkState {
        let neighbor = |(ifindex, last): &(u32, u8)| (*ifindex, IpAddr::from([10, 0, 0, *last]));
        NetworkState {
            carriers: carriers.iter().copied().collect(),
            neighbors: neighbors.iter().map(neighbor).collect(),
            ..NetworkState::default()
        }
    }

    #[test]
    fn neighbours_are_remembered_while_there_is_no_carrier_and_asked_for_when_it_is_back() {
        let before = observation(&[3, 4], &[(3, 1), (3, 2), (4, 1)]);
        let mut down = observation(&[4], &[]);
        assert_eq!(down.revived(&before).count(), 0);
        down.remember(&before);
        // On the uplink that has its carrier, who is gone is gone.
        assert_eq!(down.neighbors, observation(&[], &[(3, 1), (3, 2)]).neighbors);
        let back = observation(&[3, 4], &[(3, 2)]);
        assert_eq!(back.revived(&down).collect::<Vec<_>>(), [&(3, IpAddr::from([10, 0, 0, 1]))]);
        assert_eq!(back.revived(&back).count(), 0);
    }
}
