//! What only the host knows: sysctls, routes, connections, and answers of routers.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use lb_api::objects::{EndpointPort, EndpointSlice, Object, Service};
use lb_dataplane::net::route_back;
use lb_explain::facts::{ClusterFacts, Connection, HostFacts, ProxyFacts, RouteBack};
use lb_explain::target::{TargetVip, WhySubject};
use lb_model::{NodeName, Protocol, SERVICE_LABEL};
use nix::net::if_::if_indextoname;

use super::{client_probe, echo_probe, proxy};

/// How long a connection to an endpoint or to the VIP may take to open.
const CONNECT: Duration = Duration::from_millis(500);
/// Endpoints that are connected to.
const MOST_ENDPOINTS: usize = 3;
/// The effective value of `rp_filter` in its strict mode.
const STRICT: u8 = 1;

/// Gathers what the host knows whatever the VIP is. Sends a few packets, and waits for two seconds at most.
pub(super) async fn common(cluster: &ClusterFacts, vips: &[TargetVip], client: Option<IpAddr>) -> HostFacts {
    let uplinks = uplinks(cluster);
    let targets = echo_probe::targets(cluster, vips);
    let probing = tokio::task::spawn_blocking(move || {
        let unreachable = client.and_then(client_probe::unreachable);
        (unreachable, echo_probe::probe(&targets))
    });
    let (route_back, probed) = tokio::join!(route(client, &uplinks), probing);
    let (unreachable, echo_probe::Paths { probed, blackholes }) = probed.unwrap_or_default();
    let (strict_uplinks, md5_drops) = (strict(&uplinks), md5_drops());
    HostFacts {
        strict_uplinks,
        route_back,
        unreachable,
        nodes_probed: probed,
        blackholes,
        md5_drops,
        ..HostFacts::default()
    }
}

/// Adds what the host knows of a VIP. Waits for a second at most, or two for other programs.
pub(super) async fn of_vip(
    common: &HostFacts,
    cluster: &ClusterFacts,
    node: &NodeName,
    subject: &WhySubject,
    vip: TargetVip,
) -> HostFacts {
    let local = endpoints(cluster, node, subject, vip);
    let probing = tokio::task::spawn_blocking(move || {
        let proxy = proxy::proxy(vip);
        let may_connect = proxy == ProxyFacts::Unknown && vip.protocol == Protocol::Tcp;
        let connection = may_connect.then(|| connect(SocketAddr::new(vip.address, vip.port)));
        let endpoints = local.into_iter().map(|address| (address, connect(address))).collect();
        (proxy, connection, endpoints)
    });
    let (proxy, connection, endpoints) = probing.await.unwrap_or_default();
    HostFacts { proxy, vip: connection, endpoints, ..common.clone() }
}

fn connect(address: SocketAddr) -> Connection {
    match TcpStream::connect_timeout(&address, CONNECT) {
        Ok(_) => Connection::Open,
        Err(error) => Connection::Failed(error.to_string()),
    }
}

/// Returns index and name of the uplinks.
fn uplinks(cluster: &ClusterFacts) -> Vec<(u32, String)> {
    let name = |index: &u32| Some((*index, if_indextoname(*index).ok()?.into_string().ok()?));
    cluster.installed.links.keys().filter_map(name).collect()
}

/// Returns the uplinks on which reverse-path filtering is strict. IPv6 has no such setting.
fn strict(uplinks: &[(u32, String)]) -> Vec<String> {
    let read = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"));
        text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0_u8)
    };
    // The greater of both is in force.
    let all = read("all");
    let names = uplinks.iter().map(|(_, name)| name);
    names.filter(|name| read(name).max(all) == STRICT).cloned().collect()
}

async fn route(client: Option<IpAddr>, uplinks: &[(u32, String)]) -> Option<RouteBack> {
    let Some(index) = route_back::interface_to(client?).await.ok()? else { return Some(RouteBack::None) };
    let name = if_indextoname(index).ok().and_then(|name| name.into_string().ok());
    let is_uplink = uplinks.iter().any(|(uplink, _)| *uplink == index);
    Some(RouteBack::By { interface: name.unwrap_or_else(|| index.to_string()), is_uplink })
}

/// Returns the ready endpoints of a TCP port on this node.
fn endpoints(
    cluster: &ClusterFacts,
    node: &NodeName,
    subject: &WhySubject,
    vip: TargetVip,
) -> Vec<SocketAddr> {
    let Object::Service(service) = &subject.object.value else { return Vec::new() };
    if vip.protocol != Protocol::Tcp {
        return Vec::new();
    }
    let slices = cluster.objects.iter().filter_map(|object| match &object.value {
        Object::EndpointSlice(slice) => Some(slice),
        _ => None,
    });
    let mut found: Vec<SocketAddr> = slices
        .filter(|slice| is_of(slice, subject))
        .flat_map(|slice| addresses(slice, service, node, vip))
        .collect();
    found.sort();
    found.dedup();
    found.truncate(MOST_ENDPOINTS);
    found
}

fn is_of(slice: &EndpointSlice, subject: &WhySubject) -> bool {
    slice.metadata.labels.get(SERVICE_LABEL) == Some(&subject.service.name)
        && slice.metadata.namespace.as_deref().unwrap_or("default") == subject.service.namespace
}

fn addresses(slice: &EndpointSlice, service: &Service, node: &NodeName, vip: TargetVip) -> Vec<SocketAddr> {
    let is_port = |port: &&lb_api::objects::ServicePort| {
        port.port.get() == vip.port && Protocol::parse(port.protocol.as_deref()) == Some(vip.protocol)
    };
    let Some(port) = service.spec.ports.iter().find(is_port) else { return Vec::new() };
    let is_it = |it: &&EndpointPort| {
        it.name.as_deref().unwrap_or_default() == port.name.as_deref().unwrap_or_default()
            && Protocol::parse(it.protocol.as_deref()) == Some(vip.protocol)
    };
    let Some(target) = slice.ports.iter().find(is_it).and_then(|port| port.port) else { return Vec::new() };
    let is_here = |it: &&lb_api::objects::Endpoint| {
        it.node_name.as_deref() == Some(node.as_str()) && it.conditions.ready != Some(false)
    };
    let address = |it: &lb_api::objects::Endpoint| it.addresses.first()?.parse::<IpAddr>().ok();
    let of_family = |address: &IpAddr| address.is_ipv4() == vip.address.is_ipv4();
    let here = slice.endpoints.iter().filter(is_here).filter_map(address).filter(of_family);
    here.map(|address| SocketAddr::new(address, target)).collect()
}

/// Returns the TCP segments that the kernel has dropped because of their TCP-MD5 signature.
fn md5_drops() -> u64 {
    fs::read_to_string("/proc/net/netstat").map_or(0, |text| count_md5(&text))
}

fn count_md5(text: &str) -> u64 {
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let pairs = names.split_whitespace().zip(values.split_whitespace());
    let md5 = pairs.filter(|(name, _)| name.starts_with("TCPMD5"));
    md5.filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::count_md5;

    #[test]
    fn segments_dropped_for_their_signature_are_counted() {
        let text = "TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure TCPSackShifted\n\
                    TcpExt: 9 1 2 3 8\nIpExt: InNoRoutes\nIpExt: 7\n";
        assert_eq!(count_md5(text), 6);
        assert_eq!(count_md5(""), 0);
    }
}
