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

use super::{link, way};

/// How often neighbours that are known are confirmed: a host that came back with another MAC and said
/// nothing is found out after this long.
pub const CONFIRM_EVERY: Duration = Duration::from_secs(10);
/// How often neighbours that are not known are asked for.
pub const ASK_EVERY: Duration = Duration::from_secs(1);

/// A connection to the kernel's view of the network.
pub struct Network {
    handle: Handle,
    notifications: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    interfaces: Vec<String>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// What is known.
    pub facts: Facts,
    /// Addresses that no way is known to, and why they are not: no route, or no MAC yet.
    pub unresolved: BTreeSet<IpAddr>,
}

impl Network {
    /// Opens the connection; must be called inside a runtime, which then drives it.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn open(interfaces: &[String]) -> std::io::Result<Self> {
        let (connection, handle, notifications) = rtnetlink::new_multicast_connection(&[
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ])?;
        tokio::spawn(connection);
        Ok(Self { handle, notifications, interfaces: interfaces.to_vec() })
    }

    /// Waits until something in the network has changed; false when the kernel has hung up.
    pub async fn changed(&mut self) -> bool {
        self.notifications.next().await.is_some()
    }

    /// Throws away the notifications that have come so far: the next observation sees what they are about.
    pub fn forget_changes(&mut self) {
        while self.notifications.try_recv().is_ok() {}
    }

    /// Looks at everything: uplinks, routes to `addresses`, neighbours.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn observe(&self, addresses: &BTreeSet<IpAddr>) -> Result<Observation, rtnetlink::Error> {
        let mut facts = Facts { uplinks: self.uplinks().await?, ways: BTreeMap::new() };
        let neighbours = way::neighbours(&self.handle).await?;
        let mut unresolved = BTreeSet::new();
        for address in addresses {
            let route = way::route(&self.handle, *address).await?;
            let found = route.and_then(|route| {
                let mtu = facts.uplinks.get(&route.ifindex).map_or(u16::MAX, |uplink| uplink.mtu);
                way::along(&route, &neighbours, mtu)
            });
            match found {
                Some(way) => drop(facts.ways.insert(*address, way)),
                None => drop(unresolved.insert(*address)),
            }
        }
        Ok(Observation { facts, unresolved })
    }

    async fn uplinks(&self) -> Result<BTreeMap<u32, Uplink>, rtnetlink::Error> {
        let mut uplinks = BTreeMap::new();
        for name in &self.interfaces {
            uplinks.extend(link::uplink(&self.handle, name).await?);
        }
        Ok(uplinks)
    }

    /// Has the kernel ask for the next hops to these addresses.
    pub async fn solicit(&self, addresses: impl IntoIterator<Item = &IpAddr>) {
        for address in addresses {
            if let Ok(Some(route)) = way::route(&self.handle, *address).await {
                way::solicit(&self.handle, route.ifindex, route.next_hop).await;
            }
        }
    }
}
