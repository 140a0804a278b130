//! The networks that are on-link on each interface.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use futures::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::Handle;

/// Returns the on-link networks by interface index.
///
/// # Errors
/// When the netlink request fails.
pub(super) async fn networks(handle: &Handle) -> Result<BTreeMap<u32, BTreeSet<IpNet>>, rtnetlink::Error> {
    let mut networks: BTreeMap<u32, BTreeSet<IpNet>> = BTreeMap::new();
    let mut addresses = handle.address().get().execute();
    while let Some(address) = addresses.try_next().await? {
        if let Some(network) = network(&address) {
            networks.entry(address.header.index).or_default().insert(network);
        }
    }
    Ok(networks)
}

fn network(message: &AddressMessage) -> Option<IpNet> {
    message.attributes.iter().find_map(|attribute| match attribute {
        // On a point-to-point link this is the peer's address, which is the one that is on-link.
        AddressAttribute::Address(address) if !is_link_local(*address) => {
            IpNet::new(*address, message.header.prefix_len).ok()
        }
        _ => None,
    })
}

/// Every link has the same link-local network, so it does not distinguish links.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
