//! Next hops: the route to an address, and the MAC address of its gateway, from the kernel's tables.

use std::net::IpAddr;

use futures::TryStreamExt;
use lb_plan::plan::ResolvedNextHop;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric};
use rtnetlink::{Handle, RouteMessageBuilder};

/// The route that the kernel would use for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KernelRoute {
    /// The outgoing interface.
    pub(crate) ifindex: u32,
    /// The address to resolve: the gateway's, or the destination itself.
    pub(crate) next_hop: IpAddr,
    /// Whether the destination is on-link, without a gateway.
    pub(crate) on_link: bool,
    /// The source address that the kernel would select.
    pub(crate) source: IpAddr,
    /// The route's MTU, if it has one.
    pub(crate) mtu: Option<u16>,
}

/// Looks up the route to an address; `None` if there is none.
///
/// # Errors
/// When the netlink request fails.
pub(crate) async fn route(handle: &Handle, address: IpAddr) -> Result<Option<KernelRoute>, rtnetlink::Error> {
    let request = match address {
        IpAddr::V4(a) => RouteMessageBuilder::<std::net::Ipv4Addr>::new().destination_prefix(a, 32).build(),
        IpAddr::V6(a) => RouteMessageBuilder::<std::net::Ipv6Addr>::new().destination_prefix(a, 128).build(),
    };
    match handle.route().get(request).execute().try_next().await {
        Ok(message) => Ok(message.and_then(|message| describe(address, &message))),
        // No route, or an unreachable or prohibited one.
        Err(rtnetlink::Error::NetlinkError(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn describe(address: IpAddr, message: &RouteMessage) -> Option<KernelRoute> {
    let (mut ifindex, mut gateway, mut source, mut mtu) = (None, None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::Gateway(address) => gateway = ip(address),
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Metrics(metrics) => mtu = metrics.iter().find_map(route_mtu),
            _ => {}
        }
    }
    Some(KernelRoute {
        ifindex: ifindex?,
        next_hop: gateway.unwrap_or(address),
        on_link: gateway.is_none(),
        source: source?,
        mtu,
    })
}

fn route_mtu(metric: &RouteMetric) -> Option<u16> {
    if let RouteMetric::Mtu(mtu) = metric { u16::try_from(*mtu).ok().filter(|mtu| *mtu > 0) } else { None }
}

pub(super) fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(a) => Some(IpAddr::V4(*a)),
        RouteAddress::Inet6(a) => Some(IpAddr::V6(*a)),
        _ => None,
    }
}

/// A resolved entry of the neighbor table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NeighborEntry {
    /// The interface.
    pub(crate) ifindex: u32,
    /// Its IP address.
    pub(crate) address: IpAddr,
    /// Its MAC address.
    pub(crate) mac: [u8; 6],
}

/// Lists the resolved entries of the neighbor table, of both families.
///
/// # Errors
/// When the netlink request fails.
pub(crate) async fn neighbors(handle: &Handle) -> Result<Vec<NeighborEntry>, rtnetlink::Error> {
    let mut found = Vec::new();
    let mut entries = handle.neighbours().get().execute();
    while let Some(entry) = entries.try_next().await? {
        found.extend(resolved(&entry));
    }
    Ok(found)
}

fn resolved(entry: &NeighbourMessage) -> Option<NeighborEntry> {
    use NeighbourState::{Delay, Noarp, Permanent, Probe, Reachable, Stale};
    // Stale, delay and probe: the last known address is valid until the next answer; the kernel uses it, too.
    if !matches!(entry.header.state, Reachable | Stale | Delay | Probe | Permanent | Noarp) {
        return None;
    }
    let (mut address, mut mac) = (None, None);
    for attribute in &entry.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(a)) => address = Some(IpAddr::V4(*a)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(a)) => address = Some(IpAddr::V6(*a)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = <[u8; 6]>::try_from(bytes.as_slice()).ok(),
            _ => {}
        }
    }
    Some(NeighborEntry { ifindex: entry.header.ifindex, address: address?, mac: mac? })
}

/// Makes the kernel resolve or confirm a neighbor, as if it had a packet to send there.
pub(crate) async fn solicit(handle: &Handle, ifindex: u32, address: IpAddr) {
    let request = handle
        .neighbours()
        .add(ifindex, address)
        .state(NeighbourState::None)
        .flags(NeighbourFlags::Use)
        .replace();
    if let Err(error) = request.execute().await {
        tracing::debug!(%address, ifindex, %error, "cannot make the kernel resolve a neighbor");
    }
}

/// Makes the kernel probe a neighbor that it would consider reachable for up to a minute: it has failed after
/// three seconds without an answer.
pub(crate) async fn probe(handle: &Handle, ifindex: u32, address: IpAddr) {
    let request = handle.neighbours().add(ifindex, address).state(NeighbourState::Probe).replace();
    if let Err(error) = request.execute().await {
        tracing::debug!(%address, ifindex, %error, "cannot make the kernel probe a neighbor");
    }
}

/// Deletes a neighbor entry, including a resolution in progress.
pub(crate) async fn forget(handle: &Handle, ifindex: u32, address: IpAddr) {
    let mut neighbor = NeighbourMessage::default();
    neighbor.header.family = match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    neighbor.header.ifindex = ifindex;
    let destination = match address {
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
    };
    neighbor.attributes.push(NeighbourAttribute::Destination(destination));
    if let Err(error) = handle.neighbours().del(neighbor).execute().await {
        tracing::debug!(%address, ifindex, %error, "cannot delete a neighbor entry");
    }
}

/// Resolves the next hop of a route; `None` until its MAC address is known.
pub(crate) fn resolve(
    route: &KernelRoute,
    neighbors: &[NeighborEntry],
    link_mtu: u16,
) -> Option<ResolvedNextHop> {
    let neighbor = neighbors.iter().find(|n| n.ifindex == route.ifindex && n.address == route.next_hop)?;
    Some(ResolvedNextHop {
        ifindex: route.ifindex,
        next_hop_mac: neighbor.mac,
        on_link: route.on_link,
        mtu: route.mtu.unwrap_or(link_mtu).min(link_mtu),
        source: route.source,
    })
}
