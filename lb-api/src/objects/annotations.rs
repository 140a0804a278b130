//! MetalLB's annotations of Services.

use std::collections::BTreeMap;

use super::nearest::nearest;

/// Prefixes of annotations: the current one, and an older one that is still supported.
const PREFIXES: [&str; 2] = ["metallb.io/", "metallb.universe.tf/"];

/// Names after the prefix. The last is written by controllers and never read.
const NAMES: [&str; 4] = ["loadBalancerIPs", "address-pool", "allow-shared-ip", "ip-allocated-from-pool"];

/// Returns the unknown annotations with MetalLB's prefix, each with the closest known one.
pub(super) fn unknown(
    annotations: &BTreeMap<String, String>,
) -> impl Iterator<Item = (&str, Option<String>)> {
    annotations.keys().filter_map(|key| {
        let name = PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix))?;
        let is_known = NAMES.contains(&name);
        (!is_known).then(|| (key.as_str(), meant(name).map(|name| format!("{}{name}", PREFIXES[0]))))
    })
}

fn meant(name: &str) -> Option<&'static str> {
    let is_of_pools = || name.to_lowercase().contains("pool");
    nearest(name, NAMES.into_iter()).or_else(|| is_of_pools().then_some(NAMES[1]))
}
