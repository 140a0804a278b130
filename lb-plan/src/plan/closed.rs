//! The VIPs whose undeclared ports the program refuses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lb_common::maps::{CONFIG_UNREACHABLE, VIP_CLOSED};

use super::settings::{Facts, Settings, UndeclaredPorts};
use super::vips::WantedSet;
use crate::contents::{Contents, VipKey};

/// Closes every VIP but those that this machine speaks from, too, and those with a port that found no room in the maps:
/// the node's network stack still knows what to do with it. Addresses of Nodes are no VIPs.
pub(super) fn close(contents: &mut Contents, wanted: &WantedSet<'_>, facts: &Facts, settings: &Settings) {
    let Some(config) = contents.config.as_mut().filter(|_| settings.undeclared != UndeclaredPorts::Pass)
    else {
        return;
    };
    if settings.undeclared == UndeclaredPorts::Unreachable {
        config.flags |= CONFIG_UNREACHABLE;
    }
    let own = facts.ways.values().map(|way| way.source);
    let lacking = wanted.vips.iter().filter(|vip| !contents.vips.contains_key(&vip.key));
    let open: BTreeSet<IpAddr> = lacking.map(|vip| vip.key.address).chain(own).collect();
    for vip in wanted.vips.iter().filter(|vip| vip.key.is_address() && !open.contains(&vip.key.address)) {
        let address = vip.key.address;
        if let Some(entry) = contents.vips.get_mut(&VipKey::of_address(address)) {
            entry.flags |= VIP_CLOSED;
        }
    }
}
