//! The links, addresses and routes of a topology.

use anyhow::Result;

use super::addresses::{self, HostAddresses, IpVersion, Segment};
use super::topology::{LabNodeSpec, PodSpec, RouterSpec, Topology};

/// The router's name as a host.
pub(crate) const ROUTER: &str = "router";
/// The uplink of a node, a client or a pod.
pub(crate) const UPLINK: &str = "eth0";

/// The configuration of a host.
#[derive(Debug)]
pub(crate) struct WiredHost {
    pub(crate) name: String,
    pub(crate) sysctls: &'static [(&'static str, &'static str)],
    /// Its links, whose checksum offload is disabled.
    pub(crate) links: Vec<String>,
    /// Lines of an `ip` batch that configure it.
    pub(crate) setup: Vec<String>,
    /// The gateway it must reach before the lab is usable.
    pub(crate) gateway: Option<HostAddresses>,
}

/// No duplicate-address detection: a lab's addresses are usable at once. No redirects: a load balancer sends
/// packets back out of its uplink.
const HOST: &[(&str, &str)] = &[
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/accept_redirects", "0"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
];
const FORWARDER: &[(&str, &str)] = &[
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv6/conf/default/forwarding", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/fib_multipath_hash_policy", "1"),
    ("net/ipv6/fib_multipath_hash_policy", "1"),
    ("net/ipv6/conf/default/accept_dad", "0"),
];
/// A switch has no addresses, and does not pass bridged packets to netfilter.
const SWITCH: &[(&str, &str)] = &[
    ("net/ipv6/conf/default/disable_ipv6", "1"),
    ("net/bridge/bridge-nf-call-iptables", "0"),
    ("net/bridge/bridge-nf-call-ip6tables", "0"),
    ("net/bridge/bridge-nf-call-arptables", "0"),
];

/// Returns the configuration of all hosts of a topology.
pub(crate) fn hosts(topology: &Topology) -> Result<Vec<WiredHost>> {
    let mut hosts = vec![router(topology)];
    hosts.extend(topology.segments().iter().map(|segment| switch(topology, segment)));
    hosts.extend((1..=topology.clients).map(client));
    hosts.extend(topology.routers.iter().map(side_router));
    hosts.extend(topology.nodes.iter().map(|it| node(topology, it)));
    for it in &topology.pods {
        hosts.push(pod(topology.find_node(&it.node)?, it));
    }
    Ok(hosts)
}

/// Returns lines of an `ip` batch that create the links between them.
pub(crate) fn links(topology: &Topology) -> Vec<String> {
    let mut lines = Vec::new();
    for segment in topology.segments() {
        let switch = segment.switch();
        lines.push(veth(ROUTER, &segment.name, &switch, ROUTER));
        lines.extend(members(topology, &segment).iter().map(|name| veth(name, UPLINK, &switch, name)));
    }
    lines.extend(topology.pods.iter().map(|pod| veth(&pod.node, &pod_link(pod), &pod.name, UPLINK)));
    lines
}

/// Returns the hosts on a segment, without the router.
fn members(topology: &Topology, segment: &Segment) -> Vec<String> {
    if segment.name == Segment::clients().name {
        return (1..=topology.clients).map(client_name).collect();
    }
    let nodes = topology.nodes.iter().filter(|node| node.segment().name == segment.name);
    let routers = topology.routers.iter().filter(|router| router.segment().name == segment.name);
    nodes.map(|node| node.name.clone()).chain(routers.map(|router| router.name.clone())).collect()
}

/// Returns the host name of a client.
pub(crate) fn client_name(number: u8) -> String {
    format!("client-{number}")
}

fn pod_link(pod: &PodSpec) -> String {
    format!("pod-{}", pod.number)
}

pub(crate) fn veth(host: &str, link: &str, peer_host: &str, peer_link: &str) -> String {
    format!("link add {link} netns {host} type veth peer name {peer_link} netns {peer_host}")
}

fn router(topology: &Topology) -> WiredHost {
    let segments = topology.segments();
    let mut setup = vec!["link set lo up".into()];
    for segment in &segments {
        setup.extend(up(&segment.name, segment.gateway(), Width::Segment));
    }
    for node in &topology.nodes {
        setup.extend(pods_route(node, node.addresses()));
    }
    let links = segments.into_iter().map(|segment| segment.name).collect();
    WiredHost { name: ROUTER.into(), sysctls: FORWARDER, links, setup, gateway: None }
}

fn switch(topology: &Topology, segment: &Segment) -> WiredHost {
    let mut links = members(topology, segment);
    links.push(ROUTER.into());
    let mut setup = vec!["link add br0 type bridge mcast_snooping 0".into(), "link set br0 up".into()];
    setup.extend(links.iter().map(|link| format!("link set {link} master br0 up")));
    WiredHost { name: segment.switch(), sysctls: SWITCH, links, setup, gateway: None }
}

fn client(number: u8) -> WiredHost {
    let mut setup = vec!["link set lo up".into()];
    setup.extend(up(UPLINK, addresses::client(number), Width::Segment));
    let gateway = Segment::clients().gateway();
    setup.extend(default_routes(gateway));
    let links = vec![UPLINK.into()];
    WiredHost { name: client_name(number), sysctls: HOST, links, setup, gateway: Some(gateway) }
}

/// Returns an additional router.
fn side_router(router: &RouterSpec) -> WiredHost {
    let mut setup = vec!["link set lo up".into()];
    setup.extend(up(UPLINK, router.addresses(), Width::Segment));
    let gateway = Some(router.segment().gateway());
    WiredHost { name: router.name.clone(), sysctls: FORWARDER, links: vec![UPLINK.into()], setup, gateway }
}

/// Returns lines that give an uplink of a node its addresses and routes.
pub(crate) fn node_uplink(topology: &Topology, node: &LabNodeSpec, link: &str) -> Vec<String> {
    let mut setup = up(link, node.addresses(), Width::Segment);
    setup.extend(default_routes(node.segment().gateway()));
    // The other racks' pods are behind the router, which has routes to them.
    let rack_nodes = topology.nodes.iter().filter(|it| it.rack == node.rack && it.name != node.name);
    for other in rack_nodes {
        setup.extend(pods_route(other, other.addresses()));
    }
    setup
}

fn node(topology: &Topology, node: &LabNodeSpec) -> WiredHost {
    let mut setup = vec!["link set lo up".into()];
    setup.extend(node_uplink(topology, node, UPLINK));
    let gateway = node.segment().gateway();
    let mut links = vec![UPLINK.to_string()];
    for pod in topology.pods.iter().filter(|pod| pod.node == node.name) {
        let link = pod_link(pod);
        let pod = addresses::pod(node.number, pod.number);
        setup.extend(up(&link, addresses::pod_gateway(node.number), Width::Host));
        setup.extend(
            IpVersion::BOTH.map(|it| format!("route add {}/{} dev {link}", pod.of(it), it.host_length())),
        );
        links.push(link);
    }
    WiredHost { name: node.name.clone(), sysctls: FORWARDER, links, setup, gateway: Some(gateway) }
}

/// Returns a pod as the `ptp` CNI plugin wires it: only the node's address is on-link.
fn pod(node: &LabNodeSpec, pod: &PodSpec) -> WiredHost {
    let gateway = addresses::pod_gateway(node.number);
    let mut setup = vec!["link set lo up".into()];
    setup.extend(up(UPLINK, addresses::pod(node.number, pod.number), Width::Host));
    setup.extend(
        IpVersion::BOTH.map(|it| format!("route add {}/{} dev {UPLINK}", gateway.of(it), it.host_length())),
    );
    setup.extend(default_routes(gateway));
    let links = vec![UPLINK.into()];
    WiredHost { name: pod.name.clone(), sysctls: HOST, links, setup, gateway: Some(gateway) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    Segment,
    Host,
}

fn up(link: &str, addresses: HostAddresses, width: Width) -> Vec<String> {
    let (v4, v6) = if width == Width::Host { (32, 128) } else { (24, 64) };
    vec![
        format!("link set {link} up"),
        format!("addr add {}/{v4} dev {link}", addresses.v4),
        format!("addr add {}/{v6} dev {link} nodad", addresses.v6),
    ]
}

fn default_routes(gateway: HostAddresses) -> [String; 2] {
    IpVersion::BOTH.map(|family| {
        let any = if family == IpVersion::V4 { "0.0.0.0/0" } else { "::/0" };
        format!("route add {any} via {}", gateway.of(family))
    })
}

fn pods_route(node: &LabNodeSpec, via: HostAddresses) -> [String; 2] {
    let network = addresses::pod(node.number, 0);
    [
        format!("route add {}/24 via {}", network.v4, via.v4),
        format!("route add {}/64 via {}", network.v6, via.v6),
    ]
}
