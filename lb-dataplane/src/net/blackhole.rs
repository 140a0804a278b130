//! Blackhole routes for advertised aggregates: a packet to an address of an aggregate that is no VIP is
//! dropped here. Without them it would loop between this node and the router until its TTL expires.
//!
//! A route in the main table would also apply to the node's own connections to VIPs, before kube-proxy
//! rewrites them, and would hide a less specific connected network. So the blackholes have a table of their
//! own. Only packets received on an uplink reach it, after all routes of the main table except the default
//! route:
//!
//! ```text
//! 32764: from all iif eth0 lookup main suppress_prefixlength 0
//! 32765: from all iif eth0 lookup 6080
//! ```
//!
//! Routes and rules have a protocol number of their own, by which the next agent finds them. They stay while
//! no agent runs.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use futures::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::{Handle, IpVersion, RouteMessageBuilder};
use tokio::sync::watch;

use super::upkeep::{self, Desired, PROTOCOL};

/// The routing table of the blackholes.
const TABLE: u32 = 6080;
/// The priorities of the rules: after those of other software, before the main table's rule (32766).
const FIRST_PRIORITY: u32 = 32_764;
const SECOND_PRIORITY: u32 = 32_765;
/// The main routing table.
const MAIN: u32 = 254;
/// The interval at which the routes and rules are checked.
const CHECK_EVERY: Duration = Duration::from_secs(60);
const FAILED: &str = "cannot install blackhole routes for advertised aggregates; retrying. Until then, packets to unused \
                      addresses of an aggregate loop between router and node";

/// The aggregates that need a blackhole route, written by a task.
#[derive(Debug)]
pub struct Blackholes {
    /// `None` until the first [`Self::set`].
    desired: watch::Sender<Desired<IpNet>>,
}

impl Blackholes {
    /// Starts the task, which ends when this is dropped; must be called inside a runtime. Changes nothing
    /// before the first [`Self::set`].
    ///
    /// # Errors
    /// When the netlink socket cannot be opened.
    pub fn start(uplinks: Vec<String>) -> std::io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        let (desired, requests) = watch::channel(None);
        let reconcile = async move |nets| reconcile(&handle, &nets, &uplinks).await;
        tokio::spawn(upkeep::keep(requests, CHECK_EVERY, FAILED, reconcile));
        Ok(Self { desired })
    }

    /// Sets the aggregates that have a blackhole, and removes all others. Ignores host routes: their address
    /// is a VIP.
    pub fn set(&self, aggregates: impl IntoIterator<Item = IpNet>) {
        let desired: BTreeSet<IpNet> =
            aggregates.into_iter().filter(|net| net.prefix_len() < net.max_prefix_len()).collect();
        upkeep::set(&self.desired, desired);
    }
}

/// Removes all blackhole routes and their rules, of any agent, and returns a description of each.
///
/// # Errors
/// When a netlink request fails.
pub async fn remove_all() -> std::io::Result<Vec<String>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    reconcile(&handle, &BTreeSet::new(), &[]).await.map_err(std::io::Error::other)
}

/// Returns a description of each installed blackhole route and rule, of any agent.
///
/// # Errors
/// When a netlink request fails.
pub async fn describe_all() -> std::io::Result<Vec<String>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    let mut found = Vec::new();
    for family in [IpVersion::V4, IpVersion::V6] {
        // Without a family in the kernel there is nothing of it.
        let Ok(routes) = installed_routes(&handle, &family).await else { continue };
        let rules = handle.rule().get(family).execute().try_collect::<Vec<RuleMessage>>().await;
        let rules = rules.map_err(std::io::Error::other)?;
        found.extend(rules.iter().filter_map(own_rule).map(|key| describe_rule(&key)));
        found.extend(routes.iter().map(describe_route));
    }
    Ok(found)
}

fn describe_route(net: &IpNet) -> String {
    format!("blackhole route {net}")
}

fn describe_rule((interface, priority): &(String, u32)) -> String {
    format!("rule {priority} for packets from {interface}")
}

/// Installs missing routes and rules, removes superfluous ones, and returns a description of each removed
/// one.
async fn reconcile(
    handle: &Handle,
    desired: &BTreeSet<IpNet>,
    uplinks: &[String],
) -> Result<Vec<String>, rtnetlink::Error> {
    let mut removed = Vec::new();
    for family in [IpVersion::V4, IpVersion::V6] {
        let of_family = |net: &&IpNet| net.addr().is_ipv4() == matches!(family, IpVersion::V4);
        let desired: BTreeSet<IpNet> = desired.iter().filter(of_family).copied().collect();
        let installed = match installed_routes(handle, &family).await {
            Ok(installed) => installed,
            // The kernel does not support this family, so there are no packets of it.
            Err(error) if desired.is_empty() => {
                tracing::debug!(%error, "cannot list routes");
                continue;
            }
            Err(error) => return Err(error),
        };
        for net in desired.difference(&installed) {
            done(handle.route().add(route(*net)).replace().execute().await)?;
        }
        // The rules refer to the routes: they are added after them and removed before them.
        let interfaces = if desired.is_empty() { &[] } else { uplinks };
        removed.extend(reconcile_rules(handle, &family, interfaces).await?);
        for net in installed.difference(&desired) {
            done(handle.route().del(route(*net)).execute().await)?;
            removed.push(describe_route(net));
        }
    }
    Ok(removed)
}

async fn reconcile_rules(
    handle: &Handle,
    family: &IpVersion,
    uplinks: &[String],
) -> Result<Vec<String>, rtnetlink::Error> {
    let steps = [(FIRST_PRIORITY, MAIN), (SECOND_PRIORITY, TABLE)];
    let of = |name: &String| steps.map(|(priority, _)| (name.clone(), priority));
    let desired: BTreeSet<(String, u32)> = uplinks.iter().flat_map(of).collect();
    let mut missing = desired.clone();
    let mut removed = Vec::new();
    let rules: Vec<RuleMessage> = handle.rule().get(family.clone()).execute().try_collect().await?;
    for rule in rules {
        let Some(key) = own_rule(&rule) else { continue };
        if !desired.contains(&key) {
            done(handle.rule().del(rule).execute().await)?;
            removed.push(describe_rule(&key));
        }
        missing.remove(&key);
    }
    for (name, priority) in missing {
        let (_, table) = steps.into_iter().find(|step| step.0 == priority).unwrap_or(steps[1]);
        let mut request = handle.rule().add();
        let attributes = &mut request.message_mut().attributes;
        attributes.push(RuleAttribute::Protocol(RouteProtocol::from(PROTOCOL)));
        if table == MAIN {
            attributes.push(RuleAttribute::SuppressPrefixLen(0));
        }
        let request =
            request.table_id(table).priority(priority).action(RuleAction::ToTable).input_interface(name);
        done(match family {
            IpVersion::V4 => request.v4().execute().await,
            IpVersion::V6 => request.v6().execute().await,
        })?;
    }
    Ok(removed)
}

/// Returns interface and priority of a rule that Fairlead has installed; `None` for other rules.
fn own_rule(rule: &RuleMessage) -> Option<(String, u32)> {
    let (mut own, mut name, mut priority) = (false, None, None);
    for attribute in &rule.attributes {
        match attribute {
            RuleAttribute::Protocol(protocol) => own = u8::from(*protocol) == PROTOCOL,
            RuleAttribute::Iifname(iifname) => name = Some(iifname.clone()),
            RuleAttribute::Priority(value) => priority = Some(*value),
            _ => {}
        }
    }
    own.then_some((name?, priority?))
}

async fn installed_routes(handle: &Handle, family: &IpVersion) -> Result<BTreeSet<IpNet>, rtnetlink::Error> {
    let request = match family {
        IpVersion::V4 => RouteMessageBuilder::<std::net::Ipv4Addr>::new().build(),
        IpVersion::V6 => RouteMessageBuilder::<std::net::Ipv6Addr>::new().build(),
    };
    let mut routes = handle.route().get(request).execute();
    let mut installed = BTreeSet::new();
    while let Some(route) = routes.try_next().await? {
        installed.extend(own_route(&route));
    }
    Ok(installed)
}

/// Returns the prefix of a route that Fairlead has installed; `None` for other routes.
fn own_route(route: &RouteMessage) -> Option<IpNet> {
    let (mut table, mut destination) = (u32::from(route.header.table), None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Destination(RouteAddress::Inet(address)) => destination = Some((*address).into()),
            RouteAttribute::Destination(RouteAddress::Inet6(address)) => {
                destination = Some((*address).into())
            }
            _ => {}
        }
    }
    let any: IpAddr = match route.header.address_family {
        AddressFamily::Inet => [0; 4].into(),
        _ => [0; 16].into(),
    };
    let own = table == TABLE && u8::from(route.header.protocol) == PROTOCOL;
    let net = IpNet::new(destination.unwrap_or(any), route.header.destination_prefix_length).ok()?;
    own.then_some(net)
}

fn route(net: IpNet) -> RouteMessage {
    match net {
        IpNet::V4(net) => blackhole(
            RouteMessageBuilder::<std::net::Ipv4Addr>::new()
                .destination_prefix(net.network(), net.prefix_len()),
        ),
        IpNet::V6(net) => blackhole(
            RouteMessageBuilder::<std::net::Ipv6Addr>::new()
                .destination_prefix(net.network(), net.prefix_len()),
        ),
    }
}

fn blackhole<T>(builder: RouteMessageBuilder<T>) -> RouteMessage {
    let builder = builder.table_id(TABLE).protocol(RouteProtocol::from(PROTOCOL));
    builder.scope(RouteScope::Universe).kind(RouteType::BlackHole).build()
}

/// Ignores the errors for a route or rule that already exists or is already gone.
fn done(result: Result<(), rtnetlink::Error>) -> Result<(), rtnetlink::Error> {
    match result {
        Err(rtnetlink::Error::NetlinkError(message))
            if matches!(-message.raw_code(), libc::EEXIST | libc::ENOENT | libc::ESRCH) =>
        {
            Ok(())
        }
        other => other,
    }
}
