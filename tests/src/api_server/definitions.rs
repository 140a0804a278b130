//! The installed CustomResourceDefinitions: configuration kinds and status kinds of the load balancer.

use serde_json::Value;

/// Includes the file of a definition.
macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("../../../deploy/crds/", $name, ".yaml"))
    };
}

/// Configuration kinds.
const CONFIGURATION: [&str; 6] = [
    file!("metallb.io_ipaddresspools"),
    file!("metallb.io_l2advertisements"),
    file!("metallb.io_bgpadvertisements"),
    file!("metallb.io_bgppeers"),
    file!("metallb.io_bfdprofiles"),
    file!("metallb.io_communities"),
];

/// Status kinds.
const STATUSES: [&str; 4] = [
    file!("metallb.io_configurationstates"),
    file!("metallb.io_servicebgpstatuses"),
    file!("metallb.io_servicel2statuses"),
    file!("frrk8s.metallb.io_bgpsessionstates"),
];

/// Returns the CustomResourceDefinitions of the configuration kinds.
#[must_use]
pub fn definitions() -> Vec<Value> {
    read(&CONFIGURATION)
}

/// Returns the CustomResourceDefinitions of the status kinds.
#[must_use]
pub fn status_definitions() -> Vec<Value> {
    read(&STATUSES)
}

/// Parses files of this tree; one that is not YAML is left out, which tests notice at once.
fn read(files: &[&str]) -> Vec<Value> {
    files.iter().filter_map(|file| serde_saphyr::from_str(file).ok()).collect()
}
