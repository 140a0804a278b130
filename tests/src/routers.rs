//! Real routers in a lab's hosts: FRR, BIRD, GoBGP and ExaBGP, and their view of their peers.
//!
//! Each is started from a [`RouterConfig`] and queried through its own command line, so that a test compares
//! what an operator would read.
//!
//! | | BGP | BFD | dynamic and unnumbered peers | routes into the kernel |
//! | --- | --- | --- | --- | --- |
//! | [`Frr`] | yes | yes | both | yes |
//! | [`Bird`] | yes | yes | both | yes |
//! | [`Gobgp`] | yes | no | dynamic | no |
//! | [`Exabgp`] | yes | no | no | no |
//!
//! A router's `start` fails if the configuration has something that it does not support.

pub mod bird;
pub mod config;
pub mod exabgp;
pub mod fake;
pub mod frr;
pub mod gobgp;
pub mod view;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use ipnet::IpNet;
use serde_json::Value;

pub use self::bird::Bird;
pub use self::config::{
    BfdTimers, GracefulRestartMode, OriginatedRoute, RouterConfig, RouterPeer, RouterPeerEndpoint,
};
pub use self::exabgp::Exabgp;
pub use self::frr::Frr;
pub use self::gobgp::Gobgp;
pub use self::view::{BfdSessionView, BgpSessionView, Capability, RouteOrigin, RouteView};
use crate::lab::LabHost;
use crate::lab::addresses::IpVersion;

/// How often a router is polled while a test waits.
const ASKED_EVERY: Duration = Duration::from_millis(50);

/// A router that runs in a host of the lab, stopped on drop.
pub trait RouterDaemon {
    /// Returns the host that it runs in.
    fn host(&self) -> &LabHost;

    /// Returns its BGP sessions, by the peer's address or, if unnumbered, by the interface.
    ///
    /// # Errors
    /// When the router does not answer.
    fn sessions(&self) -> Result<BTreeMap<String, BgpSessionView>>;

    /// Returns its paths to a prefix.
    ///
    /// # Errors
    /// When the router does not answer.
    fn routes(&self, prefix: IpNet) -> Result<Vec<RouteView>>;

    /// Returns its BFD sessions, by the peer's address.
    ///
    /// # Errors
    /// When the router does not answer.
    fn bfd_sessions(&self) -> Result<BTreeMap<IpAddr, BfdSessionView>>;

    /// Returns the BGP session with a peer.
    ///
    /// # Errors
    /// When the router does not answer, or has no such peer.
    fn session(&self, peer: &str) -> Result<BgpSessionView> {
        let mut sessions = self.sessions()?;
        match sessions.remove(peer) {
            Some(session) => Ok(session),
            None => bail!("{} has no peer {peer}, but {:?}", self.host().name(), sessions.keys()),
        }
    }

    /// Waits until the session with a peer is established.
    ///
    /// # Errors
    /// When it is not by then; the error has its state.
    fn wait_established(&self, peer: &str, within: Duration) -> Result<BgpSessionView> {
        wait(within, || match self.session(peer) {
            Ok(session) if session.established => Ok(session),
            other => bail!("{}: {peer} is not established: {other:?}", self.host().name()),
        })
    }

    /// Waits until the paths to a prefix satisfy `expected`.
    ///
    /// # Errors
    /// When they do not by then; the error has the paths.
    fn wait_routes(
        &self,
        prefix: IpNet,
        within: Duration,
        expected: &dyn Fn(&[RouteView]) -> bool,
    ) -> Result<Vec<RouteView>> {
        wait(within, || match self.routes(prefix) {
            Ok(routes) if expected(&routes) => Ok(routes),
            other => bail!("{}: {prefix}: {other:#?}", self.host().name()),
        })
    }

    /// Waits until the BFD session with a peer is up.
    ///
    /// # Errors
    /// When it is not by then; the error has its state.
    fn wait_bfd_up(&self, peer: IpAddr, within: Duration) -> Result<BfdSessionView> {
        wait(within, || {
            let sessions = self.bfd_sessions()?;
            match sessions.get(&peer) {
                Some(session) if session.up => Ok(session.clone()),
                other => bail!("{}: BFD with {peer} is not up: {other:?}", self.host().name()),
            }
        })
    }
}

/// Returns the next hops of a prefix in a host's kernel, sorted; none without a route.
///
/// # Errors
/// When `ip` fails.
pub fn kernel_next_hops(host: &LabHost, prefix: IpNet) -> Result<Vec<IpAddr>> {
    let family = if IpVersion::of(prefix.addr()) == IpVersion::V4 { "-4" } else { "-6" };
    let target = prefix.to_string();
    let printed = host.command("ip").args(["-j", family, "route", "show", "exact", &target]).text()?;
    // Without a route, `ip` prints nothing or an empty list.
    let routes: Vec<Value> =
        if printed.trim().is_empty() { Vec::new() } else { serde_json::from_str(&printed)? };
    let mut hops: Vec<IpAddr> = routes.iter().flat_map(gateways).collect();
    hops.sort_unstable();
    hops.dedup();
    Ok(hops)
}

/// Waits until the kernel of a host has exactly these next hops for a prefix, in any order.
///
/// # Errors
/// When it does not by then; the error has the next hops.
pub fn wait_kernel_next_hops(host: &LabHost, prefix: IpNet, hops: &[IpAddr], within: Duration) -> Result<()> {
    let mut expected = hops.to_vec();
    expected.sort_unstable();
    wait(within, || {
        let found = kernel_next_hops(host, prefix)?;
        if found == expected {
            return Ok(());
        }
        bail!("{}: next hops of {prefix} are {found:?} instead of {expected:?}", host.name())
    })
}

/// Retries until the closure succeeds.
///
/// # Errors
/// The last error of `ask`, when the time is over.
pub fn wait<T>(within: Duration, ask: impl Fn() -> Result<T>) -> Result<T> {
    let until = Instant::now() + within;
    loop {
        match ask() {
            Err(error) if Instant::now() > until => return Err(error.context(format!("after {within:?}"))),
            Err(_) => thread::sleep(ASKED_EVERY),
            answer => return answer,
        }
    }
}

/// Returns the next hops of one route as `ip -j` prints it: a list, or a single one. Next hops of the other
/// family are under `via`.
fn gateways(route: &Value) -> Vec<IpAddr> {
    let hops = route["nexthops"].as_array().cloned().unwrap_or_else(|| vec![route.clone()]);
    let gateway = |hop: &Value| hop["gateway"].as_str().or(hop["via"]["host"].as_str())?.parse().ok();
    hops.iter().filter_map(gateway).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::gateways;

    #[test]
    fn next_hops_of_single_and_multipath_routes_are_parsed() {
        let single = json!({ "dst": "203.0.113.10", "gateway": "10.1.0.11" });
        let many = json!({ "nexthops": [{ "gateway": "10.1.0.11" }, { "via": { "host": "fe80::1" } }] });
        assert_eq!(gateways(&single), ["10.1.0.11".parse::<std::net::IpAddr>().unwrap()]);
        assert_eq!(gateways(&many).len(), 2);
        assert!(gateways(&json!({ "dst": "203.0.113.10", "type": "blackhole" })).is_empty());
    }
}
