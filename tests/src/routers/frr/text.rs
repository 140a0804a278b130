//! FRR's configuration files.

use std::fmt::Write as _;

use crate::lab::addresses::IpVersion;
use crate::routers::config::{
    GracefulRestartMode, OriginatedRoute, RouterConfig, RouterPeer, RouterPeerEndpoint,
};

/// Returns the name of the n-th peer's BFD profile or peer group.
fn own_name(number: usize) -> String {
    format!("p{number}")
}

/// Returns a peer's name in bgpd's configuration.
fn name(number: usize, peer: &RouterPeer) -> String {
    match &peer.endpoint {
        RouterPeerEndpoint::Address(address) => address.to_string(),
        RouterPeerEndpoint::Interface(interface) => interface.clone(),
        RouterPeerEndpoint::Range(_) => own_name(number),
    }
}

/// Returns zebra's configuration: its defaults already install bgpd's routes into the kernel.
pub(super) fn zebra(config: &RouterConfig) -> String {
    format!("hostname as{}\n", config.asn)
}

/// Returns bfdd's configuration: a BFD profile for each peer with BFD.
pub(super) fn bfdd(config: &RouterConfig) -> String {
    let mut text = String::from("debug bfd peer\nbfd\n");
    for (number, peer) in config.peers.iter().enumerate() {
        let Some(bfd) = peer.bfd else { continue };
        let lines = [
            format!(" profile {}", own_name(number)),
            format!("  transmit-interval {}", bfd.transmit.as_millis()),
            format!("  receive-interval {}", bfd.receive.as_millis()),
            format!("  detect-multiplier {}", bfd.multiplier),
        ];
        text += &(lines.join("\n") + "\n");
        if let Some(ttl) = bfd.minimum_ttl {
            text += &format!("  minimum-ttl {ttl}\n");
        }
        if bfd.echo {
            text += "  echo-mode\n";
        }
        text += " exit\n";
    }
    text + "exit\n"
}

/// Returns bgpd's configuration: sessions and originated routes.
pub(super) fn bgpd(config: &RouterConfig) -> String {
    // Prefer global next hops, which are easier to recognize in tests.
    // Without this, FRR requests every table again some seconds after reading its own route maps.
    let mut text =
        String::from("bgp route-map delay-timer 0\ndebug bgp neighbor-events\nroute-map GLOBAL permit 10\n");
    text += " set ipv6 next-hop prefer-global\nexit\n";
    // First: a reference to a map that does not exist yet is evaluated again only seconds later.
    for (number, route) in config.originated.iter().enumerate() {
        text += &attributes(number, route);
    }
    text += &format!("router bgp {}\n bgp router-id {}\n", config.asn, config.router_id);
    text += " no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n no bgp network import-check\n";
    text += " bgp bestpath as-path multipath-relax\n bgp log-neighbor-changes\n";
    if let Some(seconds) = config.peers.iter().find_map(restart_time) {
        text += &format!(" bgp graceful-restart restart-time {seconds}\n");
    }
    for (number, peer) in config.peers.iter().enumerate() {
        text += &peer_section(number, peer);
    }
    for family in IpVersion::BOTH {
        text += &address_family(config, family);
    }
    text + "exit\n"
}

fn restart_time(peer: &RouterPeer) -> Option<u16> {
    match peer.graceful_restart {
        GracefulRestartMode::Full(seconds) => Some(seconds),
        GracefulRestartMode::Off | GracefulRestartMode::Helper => None,
    }
}

fn peer_section(number: usize, peer: &RouterPeer) -> String {
    let name = name(number, peer);
    let mut lines = match &peer.endpoint {
        RouterPeerEndpoint::Address(_) => vec![format!("remote-as {}", peer.asn)],
        RouterPeerEndpoint::Interface(_) => vec![format!("interface remote-as {}", peer.asn)],
        RouterPeerEndpoint::Range(_) => vec!["peer-group".into(), format!("remote-as {}", peer.asn)],
    };
    lines.push(format!("timers {} {}", peer.keepalive(), peer.hold_time));
    lines.push("timers connect 1".into());
    lines.push("advertisement-interval 0".into());
    lines.extend(peer.source.map(|source| format!("update-source {source}")));
    lines.extend(peer.password.as_ref().map(|password| format!("password {password}")));
    lines.extend(peer.ttl_security.map(|hops| format!("ttl-security hops {hops}")));
    lines.extend(peer.multihop.map(|hops| format!("ebgp-multihop {hops}")));
    if peer.bfd.is_some() {
        lines.extend(["bfd".into(), format!("bfd profile {}", own_name(number))]);
    }
    if peer.passive {
        lines.push("passive".into());
    }
    lines.push(match peer.graceful_restart {
        GracefulRestartMode::Off => "graceful-restart-disable".into(),
        GracefulRestartMode::Helper => "graceful-restart-helper".into(),
        GracefulRestartMode::Full(_) => "graceful-restart".into(),
    });
    let mut text: String = lines.iter().map(|line| format!(" neighbor {name} {line}\n")).collect();
    if let RouterPeerEndpoint::Range(range) = &peer.endpoint {
        // Writing to a String cannot fail.
        let _ = writeln!(text, " bgp listen range {range} peer-group {name}");
    }
    text
}

fn address_family(config: &RouterConfig, family: IpVersion) -> String {
    let word = if family == IpVersion::V4 { "ipv4" } else { "ipv6" };
    let mut lines = vec![
        format!("maximum-paths {}", config.maximum_paths),
        format!("maximum-paths ibgp {}", config.maximum_paths),
    ];
    for (number, route) in config.originated.iter().enumerate() {
        if route.family() == family {
            lines.push(format!("network {} route-map A{number}", route.prefix));
        }
    }
    let peers = config.peers.iter().enumerate().filter(|(_, peer)| peer.families.contains(&family));
    for (number, peer) in peers {
        let name = name(number, peer);
        lines.push(format!("neighbor {name} activate"));
        let is_unnumbered = matches!(peer.endpoint, RouterPeerEndpoint::Interface(_));
        if family == IpVersion::V6 && !is_unnumbered && !peer.link_local_next_hop {
            lines.push(format!("neighbor {name} route-map GLOBAL in"));
        }
    }
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!(" address-family {word} unicast\n{lines} exit-address-family\n")
}

fn attributes(number: usize, route: &OriginatedRoute) -> String {
    let mut text = format!("route-map A{number} permit 10\n");
    let communities: Vec<String> =
        route.communities.iter().map(|(high, low)| format!("{high}:{low}")).collect();
    if !communities.is_empty() {
        text += &format!(" set community {}\n", communities.join(" "));
    }
    let large: Vec<String> = route.large_communities.iter().map(|(a, b, c)| format!("{a}:{b}:{c}")).collect();
    if !large.is_empty() {
        text += &format!(" set large-community {}\n", large.join(" "));
    }
    if let Some(med) = route.med {
        text += &format!(" set metric {med}\n");
    }
    text + "exit\n"
}
