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
    /// Uplinks that have a carrier, by interface index.
    pub carriers: BTreeSet<u32>,
    /// Interface and address of each neighbour on an uplink whose MAC is known.
    pub neighbours: BTreeSet<(u32, IpAddr)>,
}

impl Observation {
    /// What `before` knew of the neighbours on the uplinks that had no carrier since, and have one now.
    pub fn revived<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a (u32, IpAddr)> {
        let returned = |ifindex: &u32| self.carriers.contains(ifindex) && !before.carriers.contains(ifindex);
        before.neighbours.iter().filter(move |known| returned(&known.0) && !self.neighbours.contains(known))
    }

    /// Takes over the neighbours on the uplinks that have no carrier: with the carrier the kernel has forgotten
    /// them, and they will be there again.
    pub fn remember(&mut self, before: &Self) {
        let lost = before.neighbours.iter().filter(|(ifindex, _)| !self.carriers.contains(ifindex));
        self.neighbours.extend(lost.copied());
    }
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
        let (uplinks, carriers) = self.uplinks().await?;
        let mut facts = Facts { uplinks, ..Facts::default() };
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
        let on_uplink = |neighbour: &&way::Neighbour| facts.uplinks.contains_key(&neighbour.ifindex);
        let known = neighbours.iter().filter(on_uplink).map(|known| (known.ifindex, known.address)).collect();
        Ok(Observation { facts, unresolved, carriers, neighbours: known })
    }

    /// The uplinks, and which of them have a carrier.
    async fn uplinks(&self) -> Result<(BTreeMap<u32, Uplink>, BTreeSet<u32>), rtnetlink::Error> {
        let mut uplinks = BTreeMap::new();
        let mut carriers = BTreeSet::new();
        for name in &self.interfaces {
            if let Some((ifindex, uplink, has_carrier)) = link::uplink(&self.handle, name).await? {
                uplinks.insert(ifindex, uplink);
                carriers.extend(has_carrier.then_some(ifindex));
            }
        }
        Ok((uplinks, carriers))
    }

    /// Has the kernel ask at once for neighbours that it asked for in vain while there was no carrier: left to
    /// itself it asks again up to a second after the carrier is back, and holds packets for them back till then.
    pub async fn revive(&self, neighbours: impl IntoIterator<Item = &(u32, IpAddr)>) {
        for (ifindex, address) in neighbours {
            way::forget(&self.handle, *ifindex, *address).await;
            way::solicit(&self.handle, *ifindex, *address).await;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn observation(carriers: &[u32], neighbours: &[(u32, u8)]) -> Observation {
        let neighbour = |(ifindex, last): &(u32, u8)| (*ifindex, IpAddr::from([10, 0, 0, *last]));
        Observation {
            carriers: carriers.iter().copied().collect(),
            neighbours: neighbours.iter().map(neighbour).collect(),
            ..Observation::default()
        }
    }

    #[test]
    fn neighbours_are_remembered_while_there_is_no_carrier_and_asked_for_when_it_is_back() {
        let before = observation(&[3, 4], &[(3, 1), (3, 2), (4, 1)]);
        let mut down = observation(&[4], &[]);
        assert_eq!(down.revived(&before).count(), 0);
        down.remember(&before);
        // On the uplink that has its carrier, who is gone is gone.
        assert_eq!(down.neighbours, observation(&[], &[(3, 1), (3, 2)]).neighbours);
        let back = observation(&[3, 4], &[(3, 2)]);
        assert_eq!(back.revived(&down).collect::<Vec<_>>(), [&(3, IpAddr::from([10, 0, 0, 1]))]);
        assert_eq!(back.revived(&back).count(), 0);
    }
}
