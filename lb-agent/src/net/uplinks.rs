//! Uplinks that nobody has named: those of the default routes.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use futures::TryStreamExt;
use netlink_packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteType};
use nix::net::if_::if_indextoname;
use rtnetlink::{Handle, RouteMessageBuilder};

/// Names of the interfaces that default routes of the main table lead out by, in the order of the alphabet; of a
/// route with several next hops all of them.
///
/// # Errors
/// When the kernel does not answer.
pub async fn of_default_routes() -> io::Result<Vec<String>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let connection = tokio::spawn(connection);
    let indices = indices(&handle).await.map_err(io::Error::other);
    connection.abort();
    let mut names = Vec::new();
    for index in indices? {
        // Gone in this moment: then it is none any more.
        names.extend(if_indextoname(index).ok().and_then(|name| name.into_string().ok()));
    }
    names.sort();
    Ok(names)
}

async fn indices(handle: &Handle) -> Result<BTreeSet<u32>, rtnetlink::Error> {
    let mut indices = BTreeSet::new();
    let requests =
        [RouteMessageBuilder::<Ipv4Addr>::new().build(), RouteMessageBuilder::<Ipv6Addr>::new().build()];
    for request in requests {
        let mut routes = handle.route().get(request).execute();
        while let Some(route) = routes.try_next().await? {
            indices.extend(interfaces(&route));
        }
    }
    Ok(indices)
}

/// Interfaces of a default route; none of any other.
fn interfaces(route: &RouteMessage) -> Vec<u32> {
    let header = &route.header;
    let is_default = header.destination_prefix_length == 0
        && header.table == RouteHeader::RT_TABLE_MAIN
        && header.kind == RouteType::Unicast;
    if !is_default {
        return Vec::new();
    }
    let of_attribute = |attribute: &RouteAttribute| match attribute {
        RouteAttribute::Oif(index) => vec![*index],
        RouteAttribute::MultiPath(hops) => hops.iter().map(|hop| hop.interface_index).collect(),
        _ => Vec::new(),
    };
    route.attributes.iter().flat_map(of_attribute).collect()
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::route::RouteNextHop;

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
    fn only_default_routes_of_the_main_table_name_uplinks() {
        assert_eq!(interfaces(&route(|_| ())), [7]);
        let none: [u32; 0] = [];
        assert_eq!(interfaces(&route(|it| it.header.destination_prefix_length = 24)), none);
        assert_eq!(interfaces(&route(|it| it.header.table = 100)), none);
        assert_eq!(interfaces(&route(|it| it.header.kind = RouteType::Unreachable)), none);
    }

    #[test]
    fn a_route_with_several_next_hops_names_all_of_them() {
        let hop = |index| {
            let mut hop = RouteNextHop::default();
            hop.interface_index = index;
            hop
        };
        let route = route(|it| it.attributes = vec![RouteAttribute::MultiPath(vec![hop(3), hop(5)])]);
        assert_eq!(interfaces(&route), [3, 5]);
    }
}
