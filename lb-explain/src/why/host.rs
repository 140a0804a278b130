//! What only the host knows: the way to other nodes, the way back to the client, kube-proxy and endpoints;
//! and the counters.

use lb_model::Service;

use crate::facts::{Connection, ProxyFacts, RouteBack, WhyFacts, WhyQuestion};
use crate::link::{Cause, ChainLink, LinkName};
use crate::target::TargetVip;

/// Returns the links of the host.
pub(super) fn links(
    facts: &WhyFacts<'_>,
    question: &WhyQuestion<'_>,
    service: &Service,
    vip: TargetVip,
) -> Vec<ChainLink> {
    let mut links = vec![path(facts), client(facts, question, service, vip), proxy(facts, vip)];
    links.extend(endpoint(facts));
    links.push(counters(facts));
    links
}

fn path(facts: &WhyFacts<'_>) -> ChainLink {
    match facts.host.blackholes.first() {
        Some(hole) => ChainLink::broken(
            LinkName::Path,
            Cause::Mtu,
            format!("packets of {} bytes to {} are lost, smaller ones are not", hole.mtu, hole.node),
            "set the same MTU on all links between the nodes (switch ports, VLANs), or a smaller one on the uplinks",
        ),
        None if facts.host.nodes_probed == 0 => {
            ChainLink::unknown(LinkName::Path, "no other node of the ring answers a ping")
        }
        None => {
            let fact = format!(
                "large packets reach the other nodes of the ring ({} probed)",
                facts.host.nodes_probed
            );
            ChainLink::ok(LinkName::Path, fact)
        }
    }
}

fn client(facts: &WhyFacts<'_>, question: &WhyQuestion<'_>, service: &Service, vip: TargetVip) -> ChainLink {
    let host = facts.host;
    let Some(client) = question.client else {
        let ranges = service.sources.of(vip.address).map(|ranges| ranges.len());
        let ranges = ranges.map_or_else(
            || "all clients are admitted".to_owned(),
            |count| format!("{count} source ranges admit clients"),
        );
        return ChainLink::unknown(
            LinkName::Client,
            format!("{ranges}; name a client with --from to check its way back"),
        );
    };
    if client.is_ipv4() != vip.address.is_ipv4() {
        return ChainLink::unknown(LinkName::Client, format!("{client} is of the other IP version"));
    }
    let broken = |cause, fact: String, advice: &str| ChainLink::broken(LinkName::Client, cause, fact, advice);
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
    ChainLink::ok(LinkName::Client, format!("{client} is admitted{by}"))
}

/// Returns the source ranges of a VIP that are in force; `None`: all clients are admitted.
fn admitted(facts: &WhyFacts<'_>, vip: TargetVip) -> Option<lb_model::SourceSet> {
    let key = vip.key();
    let entry = facts.cluster.installed.vips.get(&key)?;
    if entry.flags & lb_common::maps::VIP_SOURCES == 0 {
        return None;
    }
    Some(facts.cluster.installed.sources.get(&entry.number).cloned().unwrap_or_default())
}

fn proxy(facts: &WhyFacts<'_>, vip: TargetVip) -> ChainLink {
    match (&facts.host.proxy, &facts.host.vip) {
        (ProxyFacts::Missing { mode }, _) => ChainLink::broken(
            LinkName::Proxy,
            Cause::ProxyRuleMissing,
            format!(
                "kube-proxy's rules ({mode}) have none for {vip}: this node's stack does not deliver its packets"
            ),
            "check that kube-proxy runs on this node, and its log: `kubectl -n kube-system logs DAEMONSET/kube-proxy`",
        ),
        (ProxyFacts::Rule { mode }, _) => ChainLink::ok(LinkName::Proxy, format!("has a rule ({mode})")),
        (ProxyFacts::Unknown, Some(Connection::Open)) => {
            ChainLink::ok(LinkName::Proxy, "a connection from this node to the VIP opens")
        }
        (ProxyFacts::Unknown, Some(Connection::Failed(error))) if has_open_endpoint(facts) => {
            ChainLink::broken(
                LinkName::Proxy,
                Cause::ProxyRuleMissing,
                format!("endpoints accept connections, but one to the VIP from this node fails: {error}"),
                "check that kube-proxy, or what replaces it, runs on this node",
            )
        }
        (ProxyFacts::Unknown, _) => ChainLink::unknown(
            LinkName::Proxy,
            "its rules cannot be read here: nft and iptables are missing or show none",
        ),
    }
}

fn has_open_endpoint(facts: &WhyFacts<'_>) -> bool {
    facts.host.endpoints.iter().any(|(_, connection)| *connection == Connection::Open)
}

/// Returns the link of the endpoints on this node, if any could be connected to.
fn endpoint(facts: &WhyFacts<'_>) -> Option<ChainLink> {
    let endpoints = &facts.host.endpoints;
    let failed = endpoints.iter().find_map(|(address, connection)| match connection {
        Connection::Failed(error) => Some((address, error)),
        Connection::Open => None,
    });
    let Some((address, error)) = failed else {
        let fact = format!("those on this node accept connections ({} tried)", endpoints.len());
        return (!endpoints.is_empty()).then(|| ChainLink::ok(LinkName::Endpoint, fact));
    };
    let fact = format!("{address} does not accept connections: {error}");
    let advice = "the pod is Ready but does not serve: check its log, targetPort, and NetworkPolicies";
    let link = ChainLink::broken(LinkName::Endpoint, Cause::EndpointUnreachable, fact, advice);
    Some(if has_open_endpoint(facts) { link.degraded() } else { link })
}

fn counters(facts: &WhyFacts<'_>) -> ChainLink {
    let traffic = facts.traffic;
    let fact = format!(
        "{} packets, {} bytes; {} dropped for their source",
        traffic.packets, traffic.bytes, traffic.source_refused
    );
    if traffic.packets + traffic.source_refused == 0 {
        return ChainLink::unknown(LinkName::Counters, "no packet for the VIP has reached this node yet");
    }
    ChainLink::ok(LinkName::Counters, fact)
}
