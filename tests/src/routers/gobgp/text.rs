//! GoBGP's configuration file.

use anyhow::Result;

use crate::lab::addresses::IpVersion;
use crate::routers::config::{GracefulRestartMode, RouterConfig, RouterPeer, RouterPeerEndpoint};

/// Returns the whole file.
pub(super) fn config_file(config: &RouterConfig) -> Result<String> {
    let mut text = format!(
        "[global.config]\nas = {}\nrouter-id = \"{}\"\n[global.use-multiple-paths.config]\nenabled = true\n",
        config.asn, config.router_id
    );
    for (number, peer) in config.peers.iter().enumerate() {
        text += &peer_section(number, peer)?;
    }
    Ok(text)
}

/// Returns a peer, or the group and the range of dynamic peers.
fn peer_section(number: usize, peer: &RouterPeer) -> Result<String> {
    peer.reject_bfd("GoBGP")?;
    if let RouterPeerEndpoint::Range(range) = &peer.endpoint {
        let group = format!("peer-group-name = \"g{number}\"");
        let dynamic = format!(
            "[[dynamic-neighbors]]\n[dynamic-neighbors.config]\nprefix = \"{range}\"\npeer-group = \"g{number}\"\n"
        );
        return Ok(table("peer-groups", &group, peer) + &dynamic);
    }
    let address = format!("neighbor-address = \"{}\"", peer.address("GoBGP")?);
    Ok(table("neighbors", &address, peer))
}

fn table(kind: &str, name: &str, peer: &RouterPeer) -> String {
    let mut text = format!("[[{kind}]]\n[{kind}.config]\n{name}\npeer-as = {}\n", peer.asn);
    if let Some(password) = &peer.password {
        text += &format!("auth-password = \"{password}\"\n");
    }
    text += &format!(
        "[{kind}.timers.config]\nconnect-retry = 1\nidle-hold-time-after-reset = 1\nhold-time = {}\nkeepalive-interval = {}\n",
        peer.hold_time,
        peer.keepalive()
    );
    text += &format!("[{kind}.transport.config]\npassive-mode = {}\n", peer.passive);
    if let Some(source) = peer.source {
        text += &format!("local-address = \"{source}\"\n");
    }
    if let Some(hops) = peer.multihop {
        text += &format!("[{kind}.ebgp-multihop.config]\nenabled = true\nmultihop-ttl = {hops}\n");
    }
    if let Some(hops) = peer.ttl_security {
        let lowest = u8::MAX - hops.saturating_sub(1);
        text += &format!("[{kind}.ttl-security.config]\nenabled = true\nttl-min = {lowest}\n");
    }
    text += &graceful_restart(kind, peer.graceful_restart);
    for family in &peer.families {
        text += &afi_safi(kind, *family, peer.graceful_restart != GracefulRestartMode::Off);
    }
    text
}

fn graceful_restart(kind: &str, side: GracefulRestartMode) -> String {
    let choice = match side {
        GracefulRestartMode::Off => return String::new(),
        GracefulRestartMode::Helper => "helper-only = true".to_owned(),
        GracefulRestartMode::Full(seconds) => format!("restart-time = {seconds}"),
    };
    format!("[{kind}.graceful-restart.config]\nenabled = true\n{choice}\n")
}

fn afi_safi(kind: &str, family: IpVersion, restarts: bool) -> String {
    let word = if family == IpVersion::V4 { "ipv4" } else { "ipv6" };
    format!(
        "[[{kind}.afi-safis]]\n[{kind}.afi-safis.config]\nafi-safi-name = \"{word}-unicast\"\n\
         [{kind}.afi-safis.mp-graceful-restart.config]\nenabled = {restarts}\n"
    )
}
