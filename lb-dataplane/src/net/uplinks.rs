//! Detection of uplinks: the interfaces of the default routes.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::TryStreamExt;
use netlink_packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteType};
use nix::net::if_::if_indextoname;
use rtnetlink::{Handle, RouteMessageBuilder};

use super::next_hop;

/// Returns the sorted names of the outgoing interfaces of the main table's default routes; all interfaces of
/// a multipath route.
///
/// # Errors
/// When the netlink request fails.
pub async fn of_default_routes() -> io::Result<Vec<String>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let connection = tokio::spawn(connection);
    let indices = indices(&handle).await.map_err(io::Error::other);
    connection.abort();
    let mut names = Vec::new();
    for index in indices? {
        // An interface that has just been deleted is no uplink.
        names.extend(if_indextoname(index).ok().and_then(|name| name.into_string().ok()));
    }
    names.sort();
    Ok(names)
}

/// Returns interface and address of each gateway of the default routes.
pub(super) async fn gateways(handle: &Handle) -> Result<BTreeSet<(u32, IpAddr)>, rtnetlink::Error> {
    Ok(default_routes(handle)
        .await?
        .iter()
        .flat_map(hops)
        .filter_map(|(index, via)| Some((index, via?)))
        .collect())
}

async fn indices(handle: &Handle) -> Result<BTreeSet<u32>, rtnetlink::Error> {
    Ok(default_routes(handle).await?.iter().flat_map(hops).map(|(index, _)| index).collect())
}

async fn default_routes(handle: &Handle) -> Result<Vec<RouteMessage>, rtnetlink::Error> {
    let mut found = Vec::new();
    let requests =
        [RouteMessageBuilder::<Ipv4Addr>::new().build(), RouteMessageBuilder::<Ipv6Addr>::new().build()];
    for request in requests {
        let mut routes = handle.route().get(request).execute();
        while let Some(route) = routes.try_next().await? {
            found.extend(is_default(&route).then_some(route));
        }
    }
    Ok(found)
}

fn is_default(route: &RouteMessage) -> bool {
    let header = &route.header;
    header.destination_prefix_length == 0
        && header.table == RouteHeader::RT_TABLE_MAIN
        && header.kind == RouteType::Unicast
}

/// Returns the interface of each next hop of a route, and its gateway if it has one.
fn hops(route: &RouteMessage) -> Vec<(u32, Option<IpAddr>)> {
    let (mut hops, mut interface) = (Vec::new(), None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => interface = Some(*index),
            RouteAttribute::MultiPath(several) => {
                hops.extend(several.iter().map(|hop| (hop.interface_index, gateway(&hop.attributes))));
            }
            _ => {}
        }
    }
    hops.extend(interface.map(|index| (index, gateway(&route.attributes))));
    hops
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => next_hop::ip(address),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::route::{RouteAddress, RouteNextHop};

    use super::*;

    fn route(change: impl FnOnce(&mut RouteMessage)) -> RouteMessage {
        let mut route = RouteMessage::default();
        route.header.table = RouteHeader::RT_TABLE_MAIN;
        route.header.kind = RouteType::Unicast;
        route.attributes = vec![RouteAttribute::Oif(7)];
        change(&mut route);
        route
    }

    #[test]
    fn uplinks_are_the_interfaces_of_the_main_tables_default_routes() {
        assert!(is_default(&route(|_| ())));
        assert!(!is_default(&route(|it| it.header.destination_prefix_length = 24)));
        assert!(!is_default(&route(|it| it.header.table = 100)));
        assert!(!is_default(&route(|it| it.header.kind = RouteType::Unreachable)));
        assert_eq!(hops(&route(|_| ())), [(7, None)]);
    }

    #[test]
    fn all_next_hops_of_a_multipath_route_count() {
        let via = |last| RouteAttribute::Gateway(RouteAddress::Inet(Ipv4Addr::new(10, 0, 0, last)));
        let hop = |index, last| {
            let mut hop = RouteNextHop::default();
            hop.interface_index = index;
            hop.attributes = vec![via(last)];
            hop
        };
        let route = route(|it| it.attributes = vec![RouteAttribute::MultiPath(vec![hop(3, 1), hop(5, 2)])]);
        let gateway = |last| Some(IpAddr::from([10, 0, 0, last]));
        assert_eq!(hops(&route), [(3, gateway(1)), (5, gateway(2))]);
    }
}
