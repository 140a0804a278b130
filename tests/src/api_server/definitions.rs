//! Definitions of the kinds that configure the load balancer, and of those that tell of it, as they are installed.

use serde_json::Value;

/// The file of a definition.
macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("../../../deploy/crds/", $name, ".yaml"))
    };
}

/// Kinds that configure.
const CONFIGURATION: [&str; 6] = [
    file!("metallb.io_ipaddresspools"),
    file!("metallb.io_l2advertisements"),
    file!("metallb.io_bgpadvertisements"),
    file!("metallb.io_bgppeers"),
    file!("metallb.io_bfdprofiles"),
    file!("metallb.io_communities"),
];

/// Kinds that tell.
const STATUSES: [&str; 4] = [
    file!("metallb.io_configurationstates"),
    file!("metallb.io_servicebgpstatuses"),
    file!("metallb.io_servicel2statuses"),
    file!("frrk8s.metallb.io_bgpsessionstates"),
];

/// CustomResourceDefinitions of the kinds that configure.
#[must_use]
pub fn definitions() -> Vec<Value> {
    read(&CONFIGURATION)
}

/// CustomResourceDefinitions of the kinds that a cluster is told by.
#[must_use]
pub fn status_definitions() -> Vec<Value> {
    read(&STATUSES)
}

/// They are files of this tree, which are read by its own tests: one that is no YAML is left out, and missed at once.
fn read(files: &[&str]) -> Vec<Value> {
    files.iter().filter_map(|file| serde_saphyr::from_str(file).ok()).collect()
}
