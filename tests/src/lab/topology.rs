//! The topology of a lab as a value: hosts, pods, Services and their addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::addresses::{HostAddresses, Segment};
use super::{Lab, addresses};

/// A lab: clients, a router, racks of nodes, pods and Services.
///
/// ```text
/// client-1 ─┐            ┌─ rack a (bridge) ─ n1 n2 n3 ─ pods
///           ├─ router ───┤
/// client-2 ─┘            └─ rack b (bridge) ─ n4 n5    ─ pods
/// ```
///
/// Additional routers `r1`, `r2`, … may be in a rack beside the nodes.
#[derive(Clone, Debug)]
pub struct Topology {
    /// Number of clients: `client-1`, `client-2`, …
    pub clients: u8,
    /// Additional routers, each in a rack.
    pub routers: Vec<RouterSpec>,
    /// The nodes, each in a rack.
    pub nodes: Vec<LabNodeSpec>,
    /// The pods, each on a node.
    pub pods: Vec<PodSpec>,
    /// The Services of type `LoadBalancer`.
    pub services: Vec<LabServiceSpec>,
    /// The `spec` of the L2Advertisement: by default, all nodes announce all VIPs.
    pub layer2: Value,
}

/// An additional router: a member of a rack that forwards, but is not on any path.
#[derive(Clone, Debug)]
pub struct RouterSpec {
    /// Its host name.
    pub name: String,
    /// Its number, from 1, which determines its addresses.
    pub number: u8,
    /// The letter of its rack, from `a`.
    pub rack: char,
}

/// One node of the cluster.
#[derive(Clone, Debug)]
pub struct LabNodeSpec {
    /// Its name in the cluster and as a host.
    pub name: String,
    /// Its number in the cluster, from 1, which determines its addresses.
    pub number: u8,
    /// The letter of its rack, from `a`.
    pub rack: char,
    /// Labels on the Node object, in addition to its name and zone.
    pub labels: BTreeMap<String, String>,
    /// Annotations on the Node object.
    pub annotations: BTreeMap<String, String>,
    /// Keys of `NoSchedule` taints on the Node object.
    pub taints: Vec<String>,
    /// Whether the Node's condition `Ready` is true.
    pub ready: bool,
    /// Whether there is a Node object for it: a machine need not have joined the cluster.
    pub member: bool,
}

/// One pod.
#[derive(Clone, Debug)]
pub struct PodSpec {
    /// Its name: the node's and its own number, `n1-2`.
    pub name: String,
    /// Name of the node that it runs on.
    pub node: String,
    /// Its number on the node, from 2 (1 is the node's own end).
    pub number: u8,
    /// The label that Services select it by.
    pub app: String,
    /// Whether its endpoint is ready.
    pub ready: bool,
    /// Whether it is terminating, and serves until it ends.
    pub terminating: bool,
}

/// One Service of type `LoadBalancer`.
#[derive(Clone, Debug)]
pub struct LabServiceSpec {
    /// Its name in the namespace `default`.
    pub name: String,
    /// The app label that it selects.
    pub app: String,
    /// Its load-balancer addresses.
    pub vips: Vec<IpAddr>,
    /// `externalTrafficPolicy`.
    pub policy: ExternalPolicy,
    /// `loadBalancerSourceRanges`.
    pub source_ranges: Vec<String>,
    /// Its ports.
    pub ports: Vec<PortSpec>,
}

/// `externalTrafficPolicy` of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternalPolicy {
    /// Any pod of the cluster; the client's address is lost.
    Cluster,
    /// Pods of the receiving node; the client's address is kept.
    Local,
}

/// One port of a Service.
#[derive(Clone, Debug)]
pub struct PortSpec {
    /// Its name.
    pub name: &'static str,
    /// Its protocol.
    pub protocol: PortProtocol,
    /// Its number at the VIP.
    pub port: u16,
    /// Its number at the pod.
    pub target: u16,
}

/// Protocol of a Service port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// The VIP of the standard lab's Service `web` (policy Local, pods on n1 to n3).
pub const WEB_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10));
/// The same Service's IPv6 VIP.
pub const WEB_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 0x10));
/// The VIP of `far` (policy Local, pods on n4 and n5).
pub const FAR_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 20));
/// The VIP of `shared` (policy Cluster, the pods of `web`).
pub const SHARED_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 30));
/// The same Service's IPv6 VIP.
pub const SHARED_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 0x30));

/// The port at which every pod's nginx listens.
pub const HTTP_PORT: u16 = 80;
/// The port of every pod's byte-checked echo server.
pub const ECHO_PORT: u16 = 7000;
/// The port of every pod's datagram echo server.
pub const DATAGRAM_PORT: u16 = 7001;
/// The port for SCTP, which pods serve where a test starts a server for it.
pub const SCTP_PORT: u16 = 3868;

impl Topology {
    /// Returns a client, the router, n1 to n3 in rack a, n4 and n5 in rack b, two pods per node, and the
    /// Services `web`, `far` and `shared`.
    #[must_use]
    pub fn standard() -> Self {
        let mut topology = Self::empty();
        for (rack, number) in [('a', 1), ('a', 2), ('a', 3), ('b', 4), ('b', 5)] {
            topology = topology.node(rack, number);
        }
        for node in ["n1", "n2", "n3"] {
            topology = topology.pods(node, "web", 2);
        }
        for node in ["n4", "n5"] {
            topology = topology.pods(node, "far", 2);
        }
        topology
            .service("web", "web", &[WEB_V4, WEB_V6], ExternalPolicy::Local)
            .service("far", "far", &[FAR_V4], ExternalPolicy::Local)
            .service("shared", "web", &[SHARED_V4, SHARED_V6], ExternalPolicy::Cluster)
    }

    /// Returns one client and the router, without a cluster.
    #[must_use]
    pub fn empty() -> Self {
        let layer2 = json!({ "ipAddressPools": ["lab"] });
        let (routers, nodes, pods, services) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { clients: 1, routers, nodes, pods, services, layer2 }
    }

    /// Adds node `n<number>` to a rack.
    #[must_use]
    pub fn node(mut self, rack: char, number: u8) -> Self {
        let name = format!("n{number}");
        self.nodes.push(LabNodeSpec {
            name,
            number,
            rack,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            taints: Vec::new(),
            ready: true,
            member: true,
        });
        self
    }

    /// Adds router `r<number>` to a rack.
    #[must_use]
    pub fn router(mut self, rack: char, number: u8) -> Self {
        self.routers.push(RouterSpec { name: format!("r{number}"), number, rack });
        self
    }

    /// Adds `count` ready pods of `app` to a node.
    #[must_use]
    pub fn pods(mut self, node: &str, app: &str, count: u8) -> Self {
        for _ in 0..count {
            let before = self.pods.iter().filter(|pod| pod.node == node).count();
            let number = u8::try_from(before).unwrap_or(u8::MAX).saturating_add(2);
            self.pods.push(PodSpec {
                name: format!("{node}-{number}"),
                node: node.into(),
                number,
                app: app.into(),
                ready: true,
                terminating: false,
            });
        }
        self
    }

    /// Adds a Service with the ports that every pod serves: HTTP, echo and datagrams.
    #[must_use]
    pub fn service(mut self, name: &str, app: &str, vips: &[IpAddr], policy: ExternalPolicy) -> Self {
        let port = |name, protocol, port| PortSpec { name, protocol, port, target: port };
        self.services.push(LabServiceSpec {
            name: name.into(),
            app: app.into(),
            vips: vips.into(),
            policy,
            source_ranges: Vec::new(),
            ports: vec![
                port("http", PortProtocol::Tcp, HTTP_PORT),
                port("echo", PortProtocol::Tcp, ECHO_PORT),
                port("datagram", PortProtocol::Udp, DATAGRAM_PORT),
            ],
        });
        self
    }

    /// Adds an SCTP port to every Service.
    #[must_use]
    pub fn with_sctp(mut self) -> Self {
        for service in &mut self.services {
            let port =
                PortSpec { name: "sctp", protocol: PortProtocol::Sctp, port: SCTP_PORT, target: SCTP_PORT };
            service.ports.push(port);
        }
        self
    }

    /// Sets the number of clients.
    #[must_use]
    pub fn clients(mut self, clients: u8) -> Self {
        self.clients = clients;
        self
    }

    /// Builds the lab.
    ///
    /// # Errors
    /// When the kernel or a program fails; the error names the step.
    pub fn start(self) -> Result<Lab> {
        Lab::start(self)
    }

    /// Returns the node of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn find_node(&self, name: &str) -> Result<&LabNodeSpec> {
        self.nodes.iter().find(|node| node.name == name).ok_or_else(|| anyhow!("no node {name}"))
    }

    /// Returns the additional router of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn find_router(&self, name: &str) -> Result<&RouterSpec> {
        self.routers.iter().find(|it| it.name == name).ok_or_else(|| anyhow!("no router {name}"))
    }

    /// Returns the node of that name, to be changed by [`Lab::update`].
    ///
    /// # Errors
    /// When there is none.
    pub fn node_mut(&mut self, name: &str) -> Result<&mut LabNodeSpec> {
        self.nodes.iter_mut().find(|node| node.name == name).ok_or_else(|| anyhow!("no node {name}"))
    }

    /// Returns the pod of that name, to be changed by [`Lab::update`].
    ///
    /// # Errors
    /// When there is none.
    pub fn pod_mut(&mut self, name: &str) -> Result<&mut PodSpec> {
        self.pods.iter_mut().find(|pod| pod.name == name).ok_or_else(|| anyhow!("no pod {name}"))
    }

    /// Returns the Service of that name, to be changed by [`Lab::update`].
    ///
    /// # Errors
    /// When there is none.
    pub fn service_mut(&mut self, name: &str) -> Result<&mut LabServiceSpec> {
        self.services.iter_mut().find(|it| it.name == name).ok_or_else(|| anyhow!("no Service {name}"))
    }

    /// Returns the pods that a Service selects, ready or not.
    pub fn selected<'a>(&'a self, service: &'a LabServiceSpec) -> impl Iterator<Item = &'a PodSpec> {
        self.pods.iter().filter(|pod| pod.app == service.app)
    }

    /// Returns the addresses of a pod.
    ///
    /// # Errors
    /// When its node does not exist.
    pub fn pod_addresses(&self, pod: &PodSpec) -> Result<HostAddresses> {
        Ok(addresses::pod(self.find_node(&pod.node)?.number, pod.number))
    }

    /// Returns the letters of the racks, in order.
    #[must_use]
    pub fn racks(&self) -> Vec<char> {
        let routers = self.routers.iter().map(|router| router.rack);
        let mut racks: Vec<char> = self.nodes.iter().map(|node| node.rack).chain(routers).collect();
        racks.sort_unstable();
        racks.dedup();
        racks
    }

    /// Returns the clients' network and the racks' networks.
    #[must_use]
    pub fn segments(&self) -> Vec<Segment> {
        let racks = self.racks().into_iter().map(Segment::rack);
        std::iter::once(Segment::clients()).chain(racks).collect()
    }
}

impl RouterSpec {
    /// Returns the network that it is in.
    #[must_use]
    pub fn segment(&self) -> Segment {
        Segment::rack(self.rack)
    }

    /// Returns its addresses.
    #[must_use]
    pub fn addresses(&self) -> HostAddresses {
        self.segment().router(self.number)
    }
}

impl LabNodeSpec {
    /// Returns the network that its uplink is in.
    #[must_use]
    pub fn segment(&self) -> Segment {
        Segment::rack(self.rack)
    }

    /// Returns its `InternalIP` addresses.
    #[must_use]
    pub fn addresses(&self) -> HostAddresses {
        self.segment().member(self.number.saturating_add(addresses::FIRST_MEMBER))
    }
    /// Returns whether `address` is this node's: one of its own, or its address in its pods' network, which
    /// kube-proxy masquerades connections to this node's pods with.
    #[must_use]
    pub fn owns(&self, address: IpAddr) -> bool {
        self.addresses().contains(address) || addresses::pod_gateway(self.number).contains(address)
    }
}
