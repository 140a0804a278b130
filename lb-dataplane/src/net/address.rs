//! IPv4 addresses of interfaces, with the prefixes that are on-link with them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use futures::TryStreamExt;
use ipnet::Ipv4Net;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::Handle;

/// By interface index.
///
/// # Errors
/// When the kernel does not answer.
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
        // Of a link from point to point the other end's, which is what is on-link.
        AddressAttribute::Address(IpAddr::V4(address)) => {
            Ipv4Net::new(*address, message.header.prefix_len).ok()
        }
        _ => None,
    })
}
