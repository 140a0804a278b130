//! Membership in the solicited-node multicast groups of IPv6 VIPs, to which Neighbor Solicitations are sent
//! (RFC 4861 section 7.2.2). Without it, the NIC's filter drops them, and a switch with MLD snooping does not
//! forward them.
//!
//! The kernel joins the group of a proxy neighbor entry, reports it by MLD and programs the NIC. Such an
//! entry needs no process, so the program goes on answering while no agent runs. The kernel itself answers
//! for it only with `proxy_ndp`, and never sees a solicitation for a VIP: the program answers or drops it.
//! The entries have a protocol number, by which the next agent finds them.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::Duration;

use futures::TryStreamExt;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage,
};
use netlink_packet_route::route::RouteProtocol;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::Handle;
use tokio::sync::watch;

use super::upkeep::{self, Desired, PROTOCOL};

/// The interval at which the entries are checked: they go with the interface.
const CHECK_EVERY: Duration = Duration::from_secs(10);
const FAILED: &str = "cannot join the multicast groups of IPv6 VIPs; retrying. Until then, hosts may not be able to resolve them";

/// Interface index and address of each VIP whose group is joined.
pub type SolicitedTargets = BTreeSet<(u32, Ipv6Addr)>;

/// The groups to join, by a task.
#[derive(Debug)]
pub struct SolicitedGroups {
    /// `None` until the first [`Self::set`].
    desired: watch::Sender<Desired<(u32, Ipv6Addr)>>,
}

impl SolicitedGroups {
    /// Starts the task, which ends when this is dropped; must be called inside a runtime. Changes nothing
    /// before the first [`Self::set`]. The groups stay joined afterwards.
    ///
    /// # Errors
    /// When the netlink socket cannot be opened.
    pub fn start() -> std::io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        let (desired, requests) = watch::channel(None);
        let reconcile = async move |targets| reconcile(&handle, &targets).await;
        tokio::spawn(upkeep::keep(requests, CHECK_EVERY, FAILED, reconcile));
        Ok(Self { desired })
    }

    /// Sets the groups to join, and leaves all others.
    pub fn set(&self, targets: SolicitedTargets) {
        upkeep::set(&self.desired, targets);
    }
}

/// Leaves all groups, of any agent, and returns a description of each entry removed.
///
/// # Errors
/// When a netlink request fails.
pub async fn leave_all() -> std::io::Result<Vec<String>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    reconcile(&handle, &SolicitedTargets::new()).await.map_err(std::io::Error::other)
}

/// Returns a description of each proxy neighbor entry, of any agent.
///
/// # Errors
/// When the netlink socket cannot be opened.
pub async fn describe_all() -> std::io::Result<Vec<String>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    // Without IPv6 in the kernel there are none.
    let installed = installed(&handle).await.unwrap_or_default();
    Ok(installed.iter().map(|(_, address)| describe(address)).collect())
}

fn describe(address: &Ipv6Addr) -> String {
    format!("proxy neighbor entry {address}")
}

/// Adds missing entries, removes superfluous ones of ours, and returns a description of each removed one.
async fn reconcile(handle: &Handle, desired: &SolicitedTargets) -> Result<Vec<String>, rtnetlink::Error> {
    let installed = match installed(handle).await {
        Ok(installed) => installed,
        // Without IPv6 in the kernel there is nothing to leave.
        Err(error) if desired.is_empty() => {
            tracing::debug!(%error, "cannot list proxy neighbor entries");
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    for (index, address) in desired.difference(&installed) {
        add(handle, *index, *address).await?;
    }
    let mut removed = Vec::new();
    for (index, address) in installed.difference(desired) {
        let gone = handle.neighbours().del(entry(*index, *address)).execute().await;
        ignore_missing(gone)?;
        removed.push(describe(address));
    }
    Ok(removed)
}

/// Returns the entries that an agent has added.
async fn installed(handle: &Handle) -> Result<SolicitedTargets, rtnetlink::Error> {
    let mut entries = handle.neighbours().get().set_address_family(AddressFamily::Inet6).proxies().execute();
    let mut installed = SolicitedTargets::new();
    while let Some(entry) = entries.try_next().await? {
        installed.extend(own(&entry));
    }
    Ok(installed)
}

/// Returns interface and address of an entry of ours; `None` for other entries.
fn own(entry: &NeighbourMessage) -> Option<(u32, Ipv6Addr)> {
    let (mut is_own, mut address) = (false, None);
    for attribute in &entry.attributes {
        match attribute {
            NeighbourAttribute::Protocol(protocol) => is_own = u8::from(*protocol) == PROTOCOL,
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(destination)) => {
                address = Some(*destination);
            }
            _ => {}
        }
    }
    is_own.then_some((entry.header.ifindex, address?))
}

fn entry(index: u32, address: Ipv6Addr) -> NeighbourMessage {
    let mut entry = NeighbourMessage::default();
    entry.header.family = AddressFamily::Inet6;
    entry.header.ifindex = index;
    entry.header.flags = NeighbourFlags::Proxy;
    entry.attributes = vec![
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)),
        NeighbourAttribute::Protocol(RouteProtocol::from(PROTOCOL)),
    ];
    entry
}

/// Adds an entry. An interface that has just gone, or has no IPv6, gets none.
async fn add(handle: &Handle, index: u32, address: Ipv6Addr) -> Result<(), rtnetlink::Error> {
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewNeighbour(entry(index, address)));
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    let mut handle = handle.clone();
    let mut responses = handle.request(request)?;
    while let Some(response) = futures::StreamExt::next(&mut responses).await {
        if let NetlinkPayload::Error(error) = response.payload {
            return ignore_missing(Err(rtnetlink::Error::NetlinkError(error)));
        }
    }
    Ok(())
}

fn ignore_missing(result: Result<(), rtnetlink::Error>) -> Result<(), rtnetlink::Error> {
    match result {
        Err(rtnetlink::Error::NetlinkError(message))
            if message.code.is_none()
                || matches!(-message.raw_code(), libc::ENOENT | libc::ESRCH | libc::ENODEV | libc::ENXIO) =>
        {
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_ours_is_found_by_its_protocol() {
        let address: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let ours = entry(3, address);
        assert_eq!(own(&ours), Some((3, address)));
        let mut others = ours;
        others.attributes.pop();
        assert_eq!(own(&others), None);
    }
}
