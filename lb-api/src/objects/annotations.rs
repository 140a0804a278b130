//! Annotations of MetalLB's that Services may have.

use std::collections::BTreeMap;

use super::spelling::nearest;

/// Prefixes of annotations: that which is written today, and an older one that is still read.
const PREFIXES: [&str; 2] = ["metallb.io/", "metallb.universe.tf/"];

/// What may stand behind a prefix. The last is written by controllers and read by nobody.
const NAMES: [&str; 4] = ["loadBalancerIPs", "address-pool", "allow-shared-ip", "ip-allocated-from-pool"];

/// The annotations of a Service that nobody reads though they are of MetalLB's, each with what was probably meant.
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
