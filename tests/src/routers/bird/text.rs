//! BIRD's configuration file.

use crate::lab::addresses::IpVersion;
use crate::routers::config::{
    BfdTimers, GracefulRestartMode, OriginatedRoute, RouterConfig, RouterPeer, RouterPeerEndpoint,
};

/// Returns the whole file.
pub(super) fn config_file(config: &RouterConfig, log: &str) -> String {
    let mut text =
        format!("log \"{log}\" all;\ntimeformat log iso long us;\nrouter id {};\n", config.router_id);
    text += "debug protocols { states, events };\nprotocol device {}\nprotocol bfd {}\n";
    for family in IpVersion::BOTH {
        text += &announced(config, family);
        text += &kernel(config, family);
    }
    let interfaces = config.peers.iter().filter_map(|peer| match &peer.endpoint {
        RouterPeerEndpoint::Interface(interface) => Some(interface),
        RouterPeerEndpoint::Address(_) | RouterPeerEndpoint::Range(_) => None,
    });
    text.extend(interfaces.map(|interface| advertised(interface)));
    for (number, peer) in config.peers.iter().enumerate() {
        text += &bgp(number, peer, config);
    }
    text
}

/// Returns router advertisements, by which FRR discovers an unnumbered peer; with lifetime 0 they add no
/// route.
fn advertised(interface: &str) -> String {
    format!(
        "protocol radv {{\n  interface \"{interface}\" {{ max ra interval 5; default lifetime 0; }};\n}}\n"
    )
}

fn word(family: IpVersion) -> &'static str {
    match family {
        IpVersion::V4 => "ipv4",
        IpVersion::V6 => "ipv6",
    }
}

/// Returns the originated routes, and the export filter that sets their attributes: BIRD removes an earlier
/// MED when it advertises to an external peer.
fn announced(config: &RouterConfig, family: IpVersion) -> String {
    let word = word(family);
    let mine: Vec<&OriginatedRoute> = config.originated.iter().filter(|it| it.family() == family).collect();
    let routes: String = mine.iter().map(|it| format!("  route {} blackhole;\n", it.prefix)).collect();
    let cases: String =
        mine.iter().map(|it| format!("  if net = {} then {{ {}}}\n", it.prefix, actions(it))).collect();
    format!("protocol static {{\n  {word};\n{routes}}}\nfilter announced_{word} {{\n{cases}  reject;\n}}\n")
}

fn actions(route: &OriginatedRoute) -> String {
    let mut text = String::new();
    for (high, low) in &route.communities {
        text += &format!("bgp_community.add(({high},{low})); ");
    }
    for (a, b, c) in &route.large_communities {
        text += &format!("bgp_large_community.add(({a},{b},{c})); ");
    }
    if let Some(med) = route.med {
        text += &format!("bgp_med = {med}; ");
    }
    text + "accept; "
}

fn kernel(config: &RouterConfig, family: IpVersion) -> String {
    format!(
        "protocol kernel {{\n  {} {{ import none; export where source = RTS_BGP; }};\n  merge paths on limit {};\n}}\n",
        word(family),
        config.maximum_paths
    )
}

fn bgp(number: usize, peer: &RouterPeer, config: &RouterConfig) -> String {
    let source = peer.source.map(|source| format!("{source} ")).unwrap_or_default();
    let mut lines = vec![format!("local {source}as {}", config.asn)];
    match &peer.endpoint {
        RouterPeerEndpoint::Address(address) => lines.push(format!("neighbor {address} as {}", peer.asn)),
        RouterPeerEndpoint::Range(range) => {
            lines.push(format!("neighbor range {range} as {}", peer.asn));
            lines.push(format!("dynamic name \"d{number}_\""));
        }
        // BIRD does not connect to an unnumbered peer, but accepts its connection.
        RouterPeerEndpoint::Interface(interface) => {
            lines.push(format!("neighbor range fe80::/10 as {}", peer.asn));
            lines.push(format!("interface \"{interface}\""));
            lines.push(format!("dynamic name \"d{number}_\""));
        }
    }
    lines.extend(peer.password.as_ref().map(|password| format!("password \"{password}\"")));
    lines.extend(peer.multihop.map(|hops| format!("multihop {hops}")));
    if let Some(hops) = peer.ttl_security {
        lines.push("ttl security on".into());
        // For BIRD one hop is a directly connected peer, and more is a multihop session.
        if hops > 1 {
            lines.push(format!("multihop {hops}"));
        }
    }
    lines.extend(peer.bfd.map(bfd));
    if peer.passive {
        lines.push("passive on".into());
    }
    lines.push(match peer.graceful_restart {
        GracefulRestartMode::Off => "graceful restart off; long lived graceful restart off".into(),
        GracefulRestartMode::Helper => "graceful restart aware".into(),
        GracefulRestartMode::Full(seconds) => format!("graceful restart on; graceful restart time {seconds}"),
    });
    lines.push(format!("hold time {}; keepalive time {}", peer.hold_time, peer.keepalive()));
    let wait = peer.error_wait;
    lines.push(format!("connect retry time 1; connect delay time 1; error wait time {wait}, {}", 2 * wait));
    lines.extend(peer.families.iter().map(|family| channel(*family)));
    let lines: String = lines.iter().map(|line| format!("  {line};\n")).collect();
    format!("protocol bgp b{number} {{\n{lines}}}\n")
}

fn bfd(bfd: BfdTimers) -> String {
    format!(
        "bfd {{ min tx interval {} ms; min rx interval {} ms; idle tx interval 200 ms; multiplier {}; }}",
        bfd.transmit.as_millis(),
        bfd.receive.as_millis(),
        bfd.multiplier
    )
}

fn channel(family: IpVersion) -> String {
    let word = word(family);
    format!("{word} {{ import all; export filter announced_{word}; next hop self; }}")
}
