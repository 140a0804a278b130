//! Filters in the configuration that save the program lookups in other maps: the addresses of VIPs, and the
//! MAC addresses of nodes.

use std::net::IpAddr;

use crate::contents::Contents;

/// Fills the configuration's filters from the VIPs and the nodes' MAC addresses.
pub(super) fn fill(contents: &mut Contents) {
    let Some(config) = contents.config.as_mut() else { return };
    for key in contents.vips.keys() {
        match key.address {
            IpAddr::V4(v4) => config.vips.add4(v4.octets()),
            IpAddr::V6(v6) => config.vips.add6(v6.octets()),
        }
    }
    for mac in contents.node_macs.keys() {
        config.node_macs.add(u64::from_le_bytes(*mac));
    }
}
