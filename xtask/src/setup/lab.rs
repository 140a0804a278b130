//! Programs that the lab and the tests call.

use crate::machine;

/// Each with the Debian package that it is in.
const PROGRAMS: [(&str, &str); 8] = [
    ("nginx", "nginx-light"),
    ("curl", "curl"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("bpftool", "bpftool"),
    ("sysctl", "procps"),
    ("ping", "iputils-ping"),
    ("ethtool", "ethtool"),
];

/// What is missing.
pub(super) fn missing() -> Option<String> {
    let missing: Vec<&str> = absent().map(|(program, _)| program).collect();
    if missing.is_empty() { None } else { Some(format!("no {}", missing.join(", "))) }
}

/// The packages to install.
pub(super) fn packages() -> Vec<String> {
    absent().map(|(_, package)| package.to_owned()).collect()
}

fn absent() -> impl Iterator<Item = (&'static str, &'static str)> {
    PROGRAMS.into_iter().filter(|(program, _)| machine::program(program).is_none())
}
