//! The IPv4 networks that are on-link on each interface.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use futures::TryStreamExt;
use ipnet::Ipv4Net;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::Handle;

/// Returns the on-link networks by interface index.
///
/// # Errors
/// When the netlink request fails.
pub(super) async fn networks(handle: &Handle) -> Result<BTreeMap<u32, BTreeSet<Ipv4Net>>, rtnetlink::Error> {
    let mut networks: BTreeMap<u32, BTreeSet<Ipv4Net>> = BTreeMap::new();
    let mut addresses = handle.address().get().execute();
    while let Some(address) = addresses.try_next().await? {
        if let Some(network) = network(&address) {
            networks.entry(address.header.index).or_default().insert(network);
        }
    }
    Ok(networks)
}

fn network(message: &AddressMessage) -> Option<Ipv4Net> {
    message.attributes.iter().find_map(|attribute| match attribute {
        // On a point-to-point link this is the peer's address, which is the one that is on-link.
        AddressAttribute::Address(IpAddr::V4(address)) => {
            Ipv4Net::new(*address, message.header.prefix_len).ok()
        }
        _ => None,
    })
}
