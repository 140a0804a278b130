//! Blackholes for aggregates that are announced: a packet for an address of one that is no VIP ends here, and does not
//! go back to the router, which would send it here again until its TTL ends.
//!
//! A route in the main table would be asked for the node's own connections to VIPs too, before kube-proxy has rewritten
//! them, and a longer prefix of it would hide part of a network that the node is connected to. So the blackholes have
//! a table of their own, and only packets that come in by an uplink get there, after all routes of the main table but
//! the default:
//!
//! ```text
//! 32764: from all iif eth0 lookup main suppress_prefixlength 0
//! 32765: from all iif eth0 lookup 6080
//! ```
//!
//! Routes and rules carry a protocol number of their own. Whoever starts finds them, and they stay while no agent runs.

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

/// The table of the blackholes.
pub const TABLE: u32 = 6080;
/// Who has written a route or a rule; no number that `rtnetlink.h` or a routing daemon uses.
pub const PROTOCOL: u8 = 171;
/// Behind what others have written, in front of the main table's rule (32766).
const FIRST_PRIORITY: u32 = 32_764;
const SECOND_PRIORITY: u32 = 32_765;
/// The main table.
const MAIN: u32 = 254;
/// How often it is looked whether all is as it was written.
const CHECK_EVERY: Duration = Duration::from_secs(60);

/// The aggregates that shall have a blackhole; a task writes them.
#[derive(Debug)]
pub struct Blackholes {
    /// `None` before it is known.
    wanted: watch::Sender<Option<BTreeSet<IpNet>>>,
}

impl Blackholes {
    /// Starts the task, which ends with this; must be called inside a runtime. Nothing is changed before the first
    /// [`Self::set`].
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn start(uplinks: Vec<String>) -> std::io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        let (wanted, mut asked) = watch::channel(None);
        tokio::spawn(async move {
            let mut said = None;
            while asked.changed().await.is_ok() {
                loop {
                    let wanted = asked.borrow_and_update().clone().unwrap_or_default();
                    let failed =
                        reconcile(&handle, &wanted, &uplinks).await.err().map(|error| error.to_string());
                    if let Some(error) = failed.as_ref().filter(|_| failed != said) {
                        tracing::warn!(
                            error,
                            "cannot write blackhole routes for announced aggregates: packets for addresses of theirs \
                             that are no VIP go to and fro between router and node"
                        );
                    }
                    said = failed;
                    let is_checked = !wanted.is_empty() || said.is_some();
                    let changed = tokio::time::timeout(CHECK_EVERY, asked.changed());
                    match changed.await {
                        Err(_) if is_checked => {}
                        Err(_) => break,
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return,
                    }
                }
            }
        });
        Ok(Self { wanted })
    }

    /// These, and no others, shall have a blackhole. Prefixes of one address are left out: a VIP is none of it.
    pub fn set(&self, aggregates: impl IntoIterator<Item = IpNet>) {
        let wanted: BTreeSet<IpNet> =
            aggregates.into_iter().filter(|net| net.prefix_len() < net.max_prefix_len()).collect();
        self.wanted.send_if_modified(|before| {
            let differs = before.as_ref() != Some(&wanted);
            *before = Some(wanted);
            differs
        });
    }
}

/// Removes all blackholes and their rules, whoever's agent wrote them; returns them in words.
///
/// # Errors
/// When the kernel refuses.
pub async fn remove_all() -> std::io::Result<Vec<String>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    reconcile(&handle, &BTreeSet::new(), &[]).await.map_err(std::io::Error::other)
}

/// Writes what is missing and removes what is too much; returns what was removed.
async fn reconcile(
    handle: &Handle,
    wanted: &BTreeSet<IpNet>,
    uplinks: &[String],
) -> Result<Vec<String>, rtnetlink::Error> {
    let mut removed = Vec::new();
    for family in [IpVersion::V4, IpVersion::V6] {
        let of_family = |net: &&IpNet| net.addr().is_ipv4() == matches!(family, IpVersion::V4);
        let wanted: BTreeSet<IpNet> = wanted.iter().filter(of_family).copied().collect();
        let installed = match installed_routes(handle, &family).await {
            Ok(installed) => installed,
            // A kernel without this family has no packets of it.
            Err(error) if wanted.is_empty() => {
                tracing::debug!(%error, "cannot list routes");
                continue;
            }
            Err(error) => return Err(error),
        };
        for net in wanted.difference(&installed) {
            done(handle.route().add(route(*net)).replace().execute().await)?;
        }
        // The rules lead to the routes: they come after them, and go before them.
        let interfaces = if wanted.is_empty() { &[] } else { uplinks };
        removed.extend(reconcile_rules(handle, &family, interfaces).await?);
        for net in installed.difference(&wanted) {
            done(handle.route().del(route(*net)).execute().await)?;
            removed.push(format!("blackhole route {net}"));
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
    let wanted: BTreeSet<(String, u32)> = uplinks.iter().flat_map(of).collect();
    let mut missing = wanted.clone();
    let mut removed = Vec::new();
    let rules: Vec<RuleMessage> = handle.rule().get(family.clone()).execute().try_collect().await?;
    for rule in rules {
        let Some(key) = own_rule(&rule) else { continue };
        if !wanted.contains(&key) {
            done(handle.rule().del(rule).execute().await)?;
            removed.push(format!("rule {} for packets from {}", key.1, key.0));
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

/// Interface and priority of a rule that an agent has written.
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

/// The prefix of a route that an agent has written.
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

/// What is there already, or gone already, is as it shall be.
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
