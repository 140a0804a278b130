//! The kernel's route to a client.

use std::io;
use std::net::IpAddr;

use super::next_hop;

/// Returns the index of the interface by which the kernel sends to an address; `None` without a route.
///
/// # Errors
/// When the netlink request fails.
pub async fn interface_to(address: IpAddr) -> io::Result<Option<u32>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let connection = tokio::spawn(connection);
    let route = next_hop::route(&handle, address).await.map_err(io::Error::other);
    connection.abort();
    Ok(route?.map(|route| route.ifindex))
}
