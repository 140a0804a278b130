//! The VIPs whose undeclared ports the program rejects.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lb_common::maps::{CONFIG_UNREACHABLE, VIP_CLOSED};

use super::settings::{Facts, Settings, UndeclaredPorts};
use super::vips::DesiredVips;
use crate::contents::{Contents, VipKey};

/// Closes every VIP, except those that are addresses of this machine, and those with a port that did not fit
/// into the maps: the node's network stack still handles these. Addresses of Nodes are never VIPs.
pub(super) fn close(contents: &mut Contents, desired: &DesiredVips<'_>, facts: &Facts, settings: &Settings) {
    let Some(config) = contents.config.as_mut().filter(|_| settings.undeclared != UndeclaredPorts::Pass)
    else {
        return;
    };
    if settings.undeclared == UndeclaredPorts::Unreachable {
        config.flags |= CONFIG_UNREACHABLE;
    }
    let own = facts.next_hops.values().map(|way| way.source);
    let lacking = desired.vips.iter().filter(|vip| !contents.vips.contains_key(&vip.key));
    let open: BTreeSet<IpAddr> = lacking.map(|vip| vip.key.address).chain(own).collect();
    for vip in desired.vips.iter().filter(|vip| vip.key.is_address() && !open.contains(&vip.key.address)) {
        let address = vip.key.address;
        if let Some(entry) = contents.vips.get_mut(&VipKey::of_address(address)) {
            entry.flags |= VIP_CLOSED;
        }
    }
}
