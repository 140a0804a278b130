//! The observation of the network: uplinks, next hops and neighbors, as facts for the plan.

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

/// The interval at which known neighbors are confirmed: the time until a host is noticed that came back with
/// another MAC address and did not announce it.
pub const CONFIRM_EVERY: Duration = Duration::from_secs(10);
/// The interval of uplink checks. The kernel does not notify when a program is detached or replaced; until
/// the agent notices, the node's own stack resets connections that other nodes own.
pub const WATCH_EVERY: Duration = Duration::from_millis(100);
/// The interval at which unknown neighbors are solicited.
pub const ASK_EVERY: Duration = Duration::from_secs(1);

/// An rtnetlink connection with notifications.
pub struct NetworkMonitor {
    handle: Handle,
    notifications: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
}

/// The observed state of the network.
#[derive(Clone, Debug, Default)]
pub struct NetworkState {
    /// The facts for the plan.
    pub facts: Facts,
    /// Addresses without a next hop: they have no route, or its MAC address is not known yet.
    pub unresolved: BTreeSet<IpAddr>,
    /// Interface indices of the uplinks that have a carrier.
    pub carriers: BTreeSet<u32>,
    /// Interface and address of each resolved neighbor on an uplink.
    pub neighbors: BTreeSet<(u32, IpAddr)>,
}

impl NetworkState {
    /// Returns whether a gateway of the default routes is a resolved neighbor.
    pub fn knows_gateway(&self) -> bool {
        self.neighbors.iter().any(|(_, address)| self.facts.gateways.contains(address))
    }

    /// Returns the neighbors known in `before` that are missing now, on uplinks that have regained their
    /// carrier.
    pub fn revived<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a (u32, IpAddr)> {
        let returned = |ifindex: &u32| self.carriers.contains(ifindex) && !before.carriers.contains(ifindex);
        before.neighbors.iter().filter(move |known| returned(&known.0) && !self.neighbors.contains(known))
    }

    /// Keeps the neighbors of `before` on uplinks without a carrier: the kernel flushes them with the
    /// carrier, and they will be back with it.
    pub fn remember(&mut self, before: &Self) {
        let lost = before.neighbors.iter().filter(|(ifindex, _)| !self.carriers.contains(ifindex));
        self.neighbors.extend(lost.copied());
    }
}

impl NetworkMonitor {
    /// Opens the connection; must be called inside a runtime, which then drives it.
    ///
    /// # Errors
    /// When the netlink socket cannot be opened.
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

    /// Waits until something in the network has changed; returns false when the connection has ended.
    pub async fn changed(&mut self) -> bool {
        self.notifications.next().await.is_some()
    }

    /// Discards pending notifications; the next observation covers them.
    pub fn discard_changes(&mut self) {
        while self.notifications.try_recv().is_ok() {}
    }

    /// Lists all interfaces.
    ///
    /// # Errors
    /// When the netlink request fails.
    pub async fn all_devices(&self) -> Result<Vec<Device>, rtnetlink::Error> {
        link::all(&self.handle).await
    }

    /// Lists the interfaces with these names or indices, each once. Skips those that do not exist.
    ///
    /// # Errors
    /// When the netlink request fails.
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

    /// Observes the uplinks, which are these devices, the next hops to `addresses`, and the neighbors.
    ///
    /// # Errors
    /// When the netlink request fails.
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

    /// Returns the devices as uplinks. Skips devices without an Ethernet address.
    async fn uplinks(&self, devices: &[&Device]) -> Result<BTreeMap<u32, Uplink>, rtnetlink::Error> {
        let mut networks = address::networks(&self.handle).await?;
        let mut uplinks = BTreeMap::new();
        for device in devices {
            let Some(mac) = device.mac else { continue };
            let members = match device.kind {
                DeviceKind::Bond(_) => link::members(&self.handle, device.index).await?,
                _ => Vec::new(),
            };
            let members = members.into_iter().collect();
            let Device { name, mtu, has_carrier, .. } = (*device).clone();
            let networks = networks.remove(&device.index).unwrap_or_default();
            uplinks.insert(device.index, Uplink { name, mac, mtu, members, networks, has_carrier });
        }
        Ok(uplinks)
    }

    /// Makes the kernel resolve neighbors at once whose resolution failed while there was no carrier. By
    /// itself it retries up to a second after the carrier is back, and queues packets for them until then.
    pub async fn revive(&self, neighbors: impl IntoIterator<Item = &(u32, IpAddr)>) {
        for (ifindex, address) in neighbors {
            next_hop::forget(&self.handle, *ifindex, *address).await;
            next_hop::solicit(&self.handle, *ifindex, *address).await;
        }
    }

    /// Makes the kernel resolve the next hops to these addresses.
    pub async fn solicit(&self, addresses: impl IntoIterator<Item = &IpAddr>) {
        for address in addresses {
            if let Ok(Some(route)) = next_hop::route(&self.handle, *address).await {
                next_hop::solicit(&self.handle, route.ifindex, route.next_hop).await;
            }
        }
    }

    /// Makes the kernel probe the known gateways of the default routes, which may be gone.
    pub async fn probe_gateways(&self, state: &NetworkState) {
        for (ifindex, gateway) in uplinks::gateways(&self.handle).await.unwrap_or_default() {
            if state.neighbors.contains(&(ifindex, gateway)) {
                next_hop::probe(&self.handle, ifindex, gateway).await;
            }
        }
    }

    /// Makes the kernel resolve these addresses and the gateways of the default routes at once. The queried
    /// hosts learn this node's MAC address: after an uplink was recreated or got another MAC address, they
    /// still have the old one, while the kernel has lost theirs.
    pub async fn solicit_all(&self, addresses: impl IntoIterator<Item = &IpAddr>) {
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
    fn neighbors_are_kept_while_there_is_no_carrier_and_resolved_when_it_is_back() {
        let before = observation(&[3, 4], &[(3, 1), (3, 2), (4, 1)]);
        let mut down = observation(&[4], &[]);
        assert_eq!(down.revived(&before).count(), 0);
        down.remember(&before);
        // A neighbor missing on an uplink with a carrier is gone.
        assert_eq!(down.neighbors, observation(&[], &[(3, 1), (3, 2)]).neighbors);
        let back = observation(&[3, 4], &[(3, 2)]);
        assert_eq!(back.revived(&down).collect::<Vec<_>>(), [&(3, IpAddr::from([10, 0, 0, 1]))]);
        assert_eq!(back.revived(&back).count(), 0);
    }
}
