//! Programs that the lab and the tests run.

use crate::machine;

/// Programs that are needed together, each with its Debian package.
pub(super) type Programs = [(&'static str, &'static str)];

/// Programs on the lab's hosts.
pub(super) const HOSTS: &Programs = &[
    ("nginx", "nginx-light"),
    ("curl", "curl"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("bpftool", "bpftool"),
    ("sysctl", "procps"),
    ("ping", "iputils-ping"),
    ("ethtool", "ethtool"),
    ("scapy", "python3-scapy"),
    ("tshark", "tshark"),
];

/// Routers to interoperate with, and their command-line clients.
pub(super) const ROUTERS: &Programs = &[
    ("vtysh", "frr"),
    ("bird", "bird2"),
    ("birdc", "bird2"),
    ("gobgpd", "gobgpd"),
    ("gobgp", "gobgpd"),
    ("exabgp", "exabgp"),
];

/// Programs that boot guests, run in them, and unpack their kernels.
pub(super) const GUESTS: &Programs = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("dpkg-deb", "dpkg"),
    ("strip", "binutils"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
];

/// The monitoring system, and the program that runs its rules on sample series.
pub(super) const ALERTS: &Programs = &[("promtool", "prometheus"), ("prometheus", "prometheus")];

/// Programs that load a Service of the lab.
pub(super) const LOAD: &Programs = &[("wrk", "wrk"), ("iperf3", "iperf3"), ("ss", "iproute2")];

/// The browser that opens the status page.
pub(super) const BROWSER: &Programs = &[("chromium", "chromium")];

/// What is missing.
pub(super) fn missing(programs: &'static Programs) -> Option<String> {
    let missing: Vec<&str> = absent(programs).map(|(program, _)| program).collect();
    if missing.is_empty() { None } else { Some(format!("no {}", missing.join(", "))) }
}

/// The packages to install, each once.
pub(super) fn packages(programs: &'static Programs) -> Vec<String> {
    let mut packages: Vec<String> = absent(programs).map(|(_, package)| package.to_owned()).collect();
    packages.dedup();
    packages
}

fn absent(programs: &'static Programs) -> impl Iterator<Item = (&'static str, &'static str)> {
    programs.iter().copied().filter(|(program, _)| machine::program(program).is_none())
}
