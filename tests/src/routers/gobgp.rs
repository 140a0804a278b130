//! GoBGP, queried through `gobgp -j`.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ipnet::IpNet;
use serde_json::Value;

use super::config::{OriginatedRoute, RouterConfig};
use super::view::{BfdSessionView, BgpSessionView, Capability, RouteOrigin, RouteView};
use super::{RouterDaemon, wait};
use crate::lab::addresses::IpVersion;
use crate::lab::{LabHost, Process};

/// How long it may take to open its command line.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// GoBGP's number of state Established.
const ESTABLISHED: u64 = 6;
/// The capability "IPv4 unicast" in GoBGP's output: its message in base64.
const MULTIPROTOCOL_V4: &str = "CgQIARAB";
/// The capability "IPv6 unicast" likewise.
const MULTIPROTOCOL_V6: &str = "CgQIAhAB";

/// GoBGP in a host. It does not install routes into the kernel.
#[derive(Debug)]
pub struct Gobgp {
    host: LabHost,
    process: Process,
}

impl Gobgp {
    /// Starts it, waits until it answers queries, and adds its routes.
    ///
    /// # Errors
    /// When GoBGP is not installed, does not support the configuration, exits, or does not answer in time.
    pub fn start(host: &LabHost, config: &RouterConfig) -> Result<Self> {
        let file = host.directory().join("gobgpd.toml");
        let text = text::config_file(config)?;
        host.run(|| Ok(fs::write(&file, &text)?))?;
        let command = host.command("gobgpd").arg("-f").arg(&file).args(["--api-hosts", "127.0.0.1:50051"]);
        let process = command.env("TZ", "UTC").spawn(&host.directory_outside().join("gobgpd.log"))?;
        let mut gobgp = Self { host: host.clone(), process };
        gobgp.wait_ready()?;
        config.originated.iter().try_for_each(|it| gobgp.originate(it))?;
        Ok(gobgp)
    }

    /// Returns the output of a `gobgp` command.
    ///
    /// # Errors
    /// When it fails.
    pub fn gobgp(&self, arguments: &[&str]) -> Result<String> {
        self.host.command("gobgp").args(arguments).text()
    }

    fn wait_ready(&mut self) -> Result<()> {
        let asked = wait(READY_WITHIN, || self.gobgp(&["global"]));
        if let Some(end) = self.process.ended()? {
            let said = fs::read_to_string(self.host.directory_outside().join("gobgpd.log"));
            bail!("gobgpd exited: {end}\n{}", said.unwrap_or_default());
        }
        asked.map(drop).context("gobgpd does not answer")
    }

    fn originate(&self, route: &OriginatedRoute) -> Result<()> {
        let family = route.family();
        // GoBGP replaces it by its own address of the session when it advertises the route.
        let next_hop = if family == IpVersion::V4 { "0.0.0.0" } else { "::" };
        let prefix = route.prefix.to_string();
        let mut words = vec!["global", "rib", "add", "-a", word(family), &prefix, "origin", "igp"];
        words.extend(["nexthop", next_hop]);
        let communities: Vec<String> =
            route.communities.iter().map(|(high, low)| format!("{high}:{low}")).collect();
        let communities = communities.join(",");
        if !communities.is_empty() {
            words.extend(["community", &communities]);
        }
        let large: Vec<String> =
            route.large_communities.iter().map(|(a, b, c)| format!("{a}:{b}:{c}")).collect();
        let large = large.join(",");
        if !large.is_empty() {
            words.extend(["large-community", &large]);
        }
        let med = route.med.map(|med| med.to_string());
        words.extend(med.iter().flat_map(|med| ["med", med.as_str()]));
        self.gobgp(&words).map(drop)
    }

    fn json(&self, arguments: &[&str]) -> Result<Value> {
        let printed = self.gobgp(&[&["-j"], arguments].concat())?;
        serde_json::from_str(&printed).with_context(|| format!("{arguments:?}: {printed}"))
    }
}

impl RouterDaemon for Gobgp {
    fn host(&self) -> &LabHost {
        &self.host
    }

    fn sessions(&self) -> Result<BTreeMap<String, BgpSessionView>> {
        let printed = self.json(&["neighbor"])?;
        let all = printed.as_array().into_iter().flatten();
        let name = |peer: &Value| peer["state"]["neighbor_address"].as_str().map(str::to_owned);
        Ok(all.filter_map(|peer| Some((name(peer)?, session(peer)))).collect())
    }

    fn routes(&self, prefix: IpNet) -> Result<Vec<RouteView>> {
        let family = word(IpVersion::of(prefix.addr()));
        let prefix = prefix.to_string();
        let printed = self.json(&["global", "rib", "-a", family])?;
        Ok(printed[&prefix].as_array().into_iter().flatten().map(route).collect())
    }

    fn bfd_sessions(&self) -> Result<BTreeMap<IpAddr, BfdSessionView>> {
        Ok(BTreeMap::new())
    }
}

fn word(family: IpVersion) -> &'static str {
    match family {
        IpVersion::V4 => "ipv4",
        IpVersion::V6 => "ipv6",
    }
}

/// The message types of capabilities, without the package.
const CAPABILITIES: [(&str, Capability); 8] = [
    ("RouteRefreshCapability", Capability::RouteRefresh),
    ("EnhancedRouteRefreshCapability", Capability::EnhancedRouteRefresh),
    ("FourOctetASNCapability", Capability::FourOctetAsn),
    ("GracefulRestartCapability", Capability::GracefulRestart),
    ("LongLivedGracefulRestartCapability", Capability::LongLivedGracefulRestart),
    ("ExtendedNexthopCapability", Capability::ExtendedNextHop),
    ("AddPathCapability", Capability::AddPath),
    ("FqdnCapability", Capability::HostName),
];

fn session(peer: &Value) -> BgpSessionView {
    let state = &peer["state"];
    let offered = |side: &str| -> Vec<(String, String)> {
        let all = state[side].as_array().into_iter().flatten();
        let text = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
        all.map(|it| (text(it, "type_url").replace("type.googleapis.com/apipb.", ""), text(it, "value")))
            .collect()
    };
    let families = |side: &str| -> BTreeSet<IpVersion> {
        let values = offered(side).into_iter().filter(|(kind, _)| kind == "MultiProtocolCapability");
        values.filter_map(|(_, value)| family(&value)).collect()
    };
    let remote = offered("remote_cap");
    let has = |name: &str| remote.iter().any(|(kind, _)| kind == name);
    let established = state["session_state"] == ESTABLISHED;
    let hold_time = peer["timers"]["state"]["negotiated_hold_time"].as_u64().unwrap_or_default();
    BgpSessionView {
        established,
        asn: state["peer_asn"].as_u64().and_then(|asn| asn.try_into().ok()).unwrap_or_default(),
        hold_time: Duration::from_secs(hold_time),
        router_id: state["router_id"].as_str().and_then(|id| id.parse().ok()),
        families: families("remote_cap").intersection(&families("local_cap")).copied().collect(),
        capabilities: CAPABILITIES.into_iter().filter(|(name, _)| has(name)).map(|(_, it)| it).collect(),
        restart_time: None,
    }
}

fn family(value: &str) -> Option<IpVersion> {
    match value {
        MULTIPROTOCOL_V4 => Some(IpVersion::V4),
        MULTIPROTOCOL_V6 => Some(IpVersion::V6),
        _ => None,
    }
}

fn route(path: &Value) -> RouteView {
    let attributes = path["attrs"].as_array().into_iter().flatten();
    let from = path["neighbor-ip"].as_str().and_then(|from| from.parse().ok());
    attributes.fold(RouteView { from, ..RouteView::default() }, with)
}

/// Adds a path attribute, identified by its number (RFC 4271 4.3, RFC 1997, RFC 4760, RFC 8092).
fn with(mut route: RouteView, attribute: &Value) -> RouteView {
    let number = |value: &Value| value.as_u64().and_then(|it| it.try_into().ok());
    match attribute["type"].as_u64() {
        Some(1) => route.origin = RouteOrigin::parse(&attribute["value"].to_string()),
        Some(2) => {
            let segments = attribute["as_paths"].as_array().into_iter().flatten();
            let numbers = segments.flat_map(|it| it["asns"].as_array().into_iter().flatten());
            route.as_path = numbers.filter_map(number).collect();
        }
        Some(3 | 14) => {
            route.next_hops.extend(attribute["nexthop"].as_str().and_then(|it| it.parse::<IpAddr>().ok()));
        }
        Some(4) => route.med = number(&attribute["metric"]),
        Some(5) => route.local_pref = number(&attribute["value"]),
        Some(8) => {
            let all = attribute["communities"].as_array().into_iter().flatten().filter_map(number);
            route.communities = all.map(halves).collect();
        }
        Some(32) => {
            let all = attribute["value"].as_array().into_iter().flatten();
            let three = |it: &Value| {
                Some((number(&it["ASN"])?, number(&it["LocalData1"])?, number(&it["LocalData2"])?))
            };
            route.large_communities = all.filter_map(three).collect();
        }
        _ => {}
    }
    route
}

fn halves(community: u32) -> (u16, u16) {
    let [a, b, c, d] = community.to_be_bytes();
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}
