//! ExaBGP's configuration file.

use anyhow::{Result, bail};

use crate::lab::addresses::IpVersion;
use crate::routers::config::{GracefulRestartMode, OriginatedRoute, RouterConfig, RouterPeer};

/// Returns the whole file; `helper` is the command that gets the events.
pub(super) fn config_file(config: &RouterConfig, helper: &str) -> Result<String> {
    let mut text = format!("process events {{\n  run {helper};\n  encoder json;\n}}\n");
    for peer in &config.peers {
        text += &peer_section(config, peer)?;
    }
    Ok(text)
}

fn peer_section(config: &RouterConfig, peer: &RouterPeer) -> Result<String> {
    peer.reject_bfd("ExaBGP")?;
    let Some(source) = peer.source else { bail!("ExaBGP needs the router's own address") };
    let mut lines = vec![
        format!("router-id {}", config.router_id),
        format!("local-address {source}"),
        format!("local-as {}", config.asn),
        format!("peer-as {}", peer.asn),
        format!("hold-time {}", peer.hold_time),
    ];
    lines.extend(peer.password.as_ref().map(|password| format!("md5-password \"{password}\"")));
    lines.extend(peer.multihop.map(|hops| format!("outgoing-ttl {hops}")));
    if let Some(hops) = peer.ttl_security {
        lines.push("outgoing-ttl 255".into());
        lines.push(format!("incoming-ttl {}", u8::MAX - hops.saturating_sub(1)));
    }
    if peer.passive {
        lines.push("passive true".into());
    }
    let lines: String = lines.iter().map(|line| format!("  {line};\n")).collect();
    let families: String = peer.families.iter().map(|it| format!("{} unicast; ", word(*it))).collect();
    let mine = config.originated.iter().filter(|it| peer.families.contains(&it.family()));
    let routes: String = mine.map(|it| format!("    {};\n", route(it))).collect();
    Ok(format!(
        "neighbor {} {{\n{lines}  capability {{ {}}}\n  family {{ {families}}}\n\
         \x20 api {{ processes [ events ]; neighbor-changes; negotiated; receive {{ parsed; open; update; }} }}\n\
         \x20 static {{\n{routes}  }}\n}}\n",
        peer.address("ExaBGP")?,
        capabilities(peer.graceful_restart),
    ))
}

fn word(family: IpVersion) -> &'static str {
    match family {
        IpVersion::V4 => "ipv4",
        IpVersion::V6 => "ipv6",
    }
}

fn capabilities(side: GracefulRestartMode) -> String {
    let restart = match side {
        GracefulRestartMode::Off => String::new(),
        // As a helper it keeps no routes of its own, which a restart time of zero announces.
        GracefulRestartMode::Helper => "graceful-restart 0; ".into(),
        GracefulRestartMode::Full(seconds) => format!("graceful-restart {seconds}; "),
    };
    format!("asn4 enable; route-refresh enable; {restart}")
}

fn route(route: &OriginatedRoute) -> String {
    let mut text = format!("route {} next-hop self", route.prefix);
    let communities: Vec<String> =
        route.communities.iter().map(|(high, low)| format!("{high}:{low}")).collect();
    if !communities.is_empty() {
        text += &format!(" community [{}]", communities.join(" "));
    }
    let large: Vec<String> = route.large_communities.iter().map(|(a, b, c)| format!("{a}:{b}:{c}")).collect();
    if !large.is_empty() {
        text += &format!(" large-community [{}]", large.join(" "));
    }
    if let Some(med) = route.med {
        text += &format!(" med {med}");
    }
    text
}
