//! What only the host knows: the way to other nodes, the way back to the client, kube-proxy and endpoints;
//! and the counters.

use lb_model::Service;
use lb_plan::contents::VipKey;

use crate::facts::{Connection, Facts, ProxyFacts, Question, RouteBack};
use crate::link::{Cause, Link, LinkName};
use crate::target::Vip;

/// Returns the links of the host.
pub(super) fn links(facts: &Facts<'_>, question: &Question<'_>, service: &Service, vip: Vip) -> Vec<Link> {
    let mut links = vec![path(facts), client(facts, question, service, vip), proxy(facts, vip)];
    links.extend(endpoint(facts));
    links.push(counters(facts));
    links
}

fn path(facts: &Facts<'_>) -> Link {
    match facts.host.blackholes.first() {
        Some(hole) => Link::broken(
            LinkName::Path,
            Cause::Mtu,
            format!("packets of {} bytes to {} are lost, smaller ones are not", hole.mtu, hole.node),
            "set the same MTU on all links between the nodes (switch ports, VLANs), or a smaller one on the uplinks",
        ),
        None if facts.host.nodes_probed == 0 => {
            Link::unknown(LinkName::Path, "no other node of the ring answers a ping")
        }
        None => {
            let fact = format!("large packets reach {} other nodes of the ring", facts.host.nodes_probed);
            Link::ok(LinkName::Path, fact)
        }
    }
}

fn client(facts: &Facts<'_>, question: &Question<'_>, service: &Service, vip: Vip) -> Link {
    let host = facts.host;
    let Some(client) = question.client else {
        let ranges = service.sources.of(vip.address).map(|ranges| ranges.len());
        let ranges = ranges.map_or_else(
            || "all clients are admitted".to_owned(),
            |count| format!("{count} source ranges admit clients"),
        );
        return Link::unknown(
            LinkName::Client,
            format!("{ranges}; name a client with --from to check its way back"),
        );
    };
    if client.is_ipv4() != vip.address.is_ipv4() {
        return Link::unknown(LinkName::Client, format!("{client} is of the other IP version"));
    }
    let broken = |cause, fact: String, advice: &str| Link::broken(LinkName::Client, cause, fact, advice);
    if let Some(ranges) = admitted(facts, vip)
        && !ranges.iter().any(|range| range.contains(client))
    {
        let fact = format!("{client} is in none of the {} source ranges of the Service", ranges.len());
        return broken(Cause::SourceRange, fact, "add the client to spec.loadBalancerSourceRanges");
    }
    match &host.route_back {
        Some(RouteBack::None) => {
            let advice = "add a route to the client, or a default route: `ip route get CLIENT`";
            return broken(Cause::NoRouteBack, format!("this node has no route to {client}"), advice);
        }
        Some(RouteBack::By { interface, is_uplink: false }) if !host.strict_uplinks.is_empty() => {
            let fact = format!(
                "the route to {client} is by {interface}, and rp_filter is strict on {}: the kernel drops the client's packets",
                host.strict_uplinks.join(", ")
            );
            let advice =
                "set net.ipv4.conf.all.rp_filter and that of the uplink to 0 or 2, or correct the route";
            return broken(Cause::ReversePathFilter, fact, advice);
        }
        _ => {}
    }
    if let Some(unreachable) = &host.unreachable {
        let fact = format!("router {} says: {client}: {}", unreachable.router, unreachable.says);
        let advice = "add a route to the client on that router";
        return broken(Cause::NoRouteBack, fact, advice);
    }
    let by = match &host.route_back {
        Some(RouteBack::By { interface, .. }) => format!("; the route back is by {interface}"),
        _ => String::new(),
    };
    Link::ok(LinkName::Client, format!("{client} is admitted{by}"))
}

/// Returns the source ranges of a VIP that are in force; `None`: all clients are admitted.
fn admitted(facts: &Facts<'_>, vip: Vip) -> Option<lb_model::SourceSet> {
    let key = VipKey { address: vip.address, port: vip.port, protocol: vip.protocol.number() };
    let entry = facts.cluster.installed.vips.get(&key)?;
    if entry.flags & lb_common::maps::VIP_SOURCES == 0 {
        return None;
    }
    Some(facts.cluster.installed.sources.get(&entry.number).cloned().unwrap_or_default())
}

fn proxy(facts: &Facts<'_>, vip: Vip) -> Link {
    match (&facts.host.proxy, &facts.host.vip) {
        (ProxyFacts::Missing { mode }, _) => Link::broken(
            LinkName::Proxy,
            Cause::ProxyRuleMissing,
            format!(
                "kube-proxy's rules ({mode}) have none for {vip}: this node's stack does not deliver its packets"
            ),
            "check that kube-proxy runs on this node, and its log: `kubectl -n kube-system logs DAEMONSET/kube-proxy`",
        ),
        (ProxyFacts::Rule { mode }, _) => Link::ok(LinkName::Proxy, format!("has a rule ({mode})")),
        (ProxyFacts::Unknown, Some(Connection::Open)) => {
            Link::ok(LinkName::Proxy, "a connection from this node to the VIP opens")
        }
        (ProxyFacts::Unknown, Some(Connection::Failed(error))) if has_open_endpoint(facts) => Link::broken(
            LinkName::Proxy,
            Cause::ProxyRuleMissing,
            format!("endpoints accept connections, but one to the VIP from this node fails: {error}"),
            "check that kube-proxy, or what replaces it, runs on this node",
        ),
        (ProxyFacts::Unknown, _) => Link::unknown(
            LinkName::Proxy,
            "its rules cannot be read here: nft and iptables are missing or show none",
        ),
    }
}

fn has_open_endpoint(facts: &Facts<'_>) -> bool {
    facts.host.endpoints.iter().any(|(_, connection)| *connection == Connection::Open)
}

/// Returns the link of the endpoints on this node, if any could be connected to.
fn endpoint(facts: &Facts<'_>) -> Option<Link> {
    let endpoints = &facts.host.endpoints;
    let failed = endpoints.iter().find_map(|(address, connection)| match connection {
        Connection::Failed(error) => Some((address, error)),
        Connection::Open => None,
    });
    let Some((address, error)) = failed else {
        let fact = format!("{} endpoints on this node accept connections", endpoints.len());
        return (!endpoints.is_empty()).then(|| Link::ok(LinkName::Endpoint, fact));
    };
    let fact = format!("{address} does not accept connections: {error}");
    let advice = "the pod is Ready but does not serve: check its log, targetPort, and NetworkPolicies";
    let link = Link::broken(LinkName::Endpoint, Cause::EndpointUnreachable, fact, advice);
    Some(if has_open_endpoint(facts) { link.degraded() } else { link })
}

fn counters(facts: &Facts<'_>) -> Link {
    let traffic = facts.traffic;
    let fact = format!(
        "{} packets, {} bytes; {} dropped for their source",
        traffic.packets, traffic.bytes, traffic.source_refused
    );
    if traffic.packets + traffic.source_refused == 0 {
        return Link::unknown(LinkName::Counters, "no packet for the VIP has reached this node yet");
    }
    Link::ok(LinkName::Counters, fact)
}
