//! The lab's cluster on an API server, with a controller, agents, a router, and connections to its Services.

mod server_faults;

use std::net::{IpAddr, SocketAddr};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::frr_router::FrrRouter;
use crate::lab::addresses::IpFamily;
use crate::lab::topology::{DATAGRAM_PORT, ECHO_PORT};
use crate::lab::{AgentOptions, Lab, Process, Topology, TrafficPolicy, agents};
use crate::routers::{RouterDaemon, kernel_next_hops, wait};
use crate::traffic::{RunningLoad, TcpLoad, TcpReport, UdpLoad, UdpReport};

/// Its nodes.
pub const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// What comes, comes by then.
pub const WITHIN: Duration = Duration::from_secs(30);
/// Watches are opened again after pauses that grow to half a minute.
pub const WATCHED_AGAIN_WITHIN: Duration = Duration::from_secs(90);
/// Between packets of BFD.
const INTERVAL: Duration = Duration::from_millis(100);
/// Connections to each address.
const CONNECTIONS: usize = 60;
/// Datagram flows to each address.
const FLOWS: usize = 8;
/// Some exchanges of every connection.
pub const A_WHILE: Duration = Duration::from_secs(2);
/// The pool holds three times what the Services ask for.
const POOL: [&str; 2] = ["198.51.100.0/28", "2001:db8:5::/124"];

/// A Service, what it asks for, and how many addresses that makes.
struct ServiceRequest {
    name: &'static str,
    policy: TrafficPolicy,
    families: &'static [IpFamily],
    family_policy: &'static str,
}

const SERVICES: [ServiceRequest; 5] = [
    ServiceRequest {
        name: "v4",
        policy: TrafficPolicy::Local,
        families: &[IpFamily::V4],
        family_policy: "SingleStack",
    },
    ServiceRequest {
        name: "v6",
        policy: TrafficPolicy::Local,
        families: &[IpFamily::V6],
        family_policy: "SingleStack",
    },
    ServiceRequest {
        name: "both",
        policy: TrafficPolicy::Local,
        families: &IpFamily::BOTH,
        family_policy: "RequireDualStack",
    },
    ServiceRequest {
        name: "any",
        policy: TrafficPolicy::Cluster,
        families: &IpFamily::BOTH,
        family_policy: "PreferDualStack",
    },
    ServiceRequest {
        name: "goes",
        policy: TrafficPolicy::Cluster,
        families: &[IpFamily::V4],
        family_policy: "SingleStack",
    },
];

/// Two nodes in one rack, one in another; a third pod each that is not ready yet, but for n2's.
#[must_use]
pub fn topology() -> Topology {
    let mut topology = Topology::empty().node('a', 1).node('a', 2).node('b', 3);
    for node in NODES {
        topology = topology.pods(node, "web", 2);
    }
    for wish in &SERVICES {
        topology = topology.service(wish.name, "web", &[], wish.policy);
    }
    for pod in topology.pods.iter_mut().filter(|pod| ["n1-3", "n3-3"].contains(&&*pod.name)) {
        pod.ready = false;
    }
    topology.service("late", "web", &[], TrafficPolicy::Local)
}

/// The lab's cluster on an API server, with a controller, agents and a router.
pub struct KubernetesLab<'lab> {
    lab: &'lab Lab,
    /// Its API server.
    pub plane: ControlPlane,
    /// Its router.
    pub upstream: FrrRouter,
    controller: Process,
    controllers: u32,
    options: AgentOptions,
}

impl<'lab> KubernetesLab<'lab> {
    /// Starts everything, and waits until the router knows all ways to all addresses.
    ///
    /// # Errors
    /// When it is not so, or the lab fails.
    pub fn start(lab: &'lab Lab) -> Result<Self> {
        let plane = ControlPlane::start(lab)?;
        println!("on {plane}");
        let upstream = FrrRouter::start_router(lab, &['a', 'b'], INTERVAL)?;
        plane.put(&upstream.objects())?;
        plane.put(&[pool("lab", &POOL)])?;
        plane.put(&lab.topology().observed()?)?;
        let controller = plane.controller("controller-1")?;
        let options = AgentOptions {
            kubeconfig: Some(plane.kubeconfig()),
            ready_within: WITHIN,
            ..AgentOptions::default()
        };
        let cluster = Self { lab, plane, upstream, controller, controllers: 1, options };
        for wish in &SERVICES {
            let object = lab.topology().wish(wish.name, wish.families, wish.family_policy)?;
            cluster.plane.put(&[object])?;
        }
        for wish in &SERVICES {
            cluster.wait_address(wish.name, wish.families.len())?;
        }
        let nodes = NODES.iter().map(|name| lab.node(name)).collect::<Result<Vec<_>>>()?;
        agents::start(&nodes, &cluster.options)?;
        for wish in &SERVICES {
            cluster.upstream.wait_next_hops(&cluster.addresses_of(wish.name)?, &NODES, WITHIN)?;
        }
        Ok(cluster)
    }

    /// Waits until a Service has so many addresses; what the rest of a cluster does then is done: kube-proxy's rules,
    /// and EndpointSlices of the addresses' families.
    fn wait_address(&self, name: &str, number: usize) -> Result<Vec<IpAddr>> {
        let addresses = wait(WITHIN, || {
            let addresses = self.plane.addresses(name)?;
            ensure!(addresses.len() == number, "{name} has {addresses:?}");
            Ok(addresses)
        })?;
        self.lab.update(|topology| {
            topology.service_mut(name)?.vips.clone_from(&addresses);
            Ok(())
        })?;
        self.observe()?;
        Ok(addresses)
    }

    fn observe(&self) -> Result<()> {
        let observed = self.lab.topology().observed()?;
        self.plane.put(&observed)
    }

    /// The addresses of a Service.
    ///
    /// # Errors
    /// When it is not so, or the lab fails.
    pub fn addresses_of(&self, name: &str) -> Result<Vec<IpAddr>> {
        Ok(self.lab.topology().service_mut(name)?.vips.clone())
    }

    /// Makes pods ready or not.
    ///
    /// # Errors
    /// When it is not so, or the lab fails.
    pub fn scale(&self, pods: &[&str], ready: bool) -> Result<()> {
        self.lab.update(|topology| {
            pods.iter().try_for_each(|pod| {
                topology.pod_mut(pod)?.ready = ready;
                Ok(())
            })
        })?;
        self.observe()
    }

    /// Waits until new connections get to exactly these pods, none refused.
    ///
    /// # Errors
    /// When it is not so, or the lab fails.
    pub fn wait_served_by(&self, pods: &[&str]) -> Result<()> {
        let address = *self.addresses_of("v4")?.first().context("no address")?;
        let load = TcpLoad::to(SocketAddr::new(address, ECHO_PORT)).connections(CONNECTIONS);
        wait(WITHIN, || {
            let running = load.clone().start(self.lab.client()?)?;
            let opened = running.wait_open(CONNECTIONS as u64, A_WHILE);
            let report = running.finish()?;
            let served: Vec<String> = report.by_pod().into_keys().collect();
            opened.with_context(|| report.to_string())?;
            ensure!(served == pods, "{served:?} serve, not {pods:?}");
            Ok(())
        })
    }

    /// Every Service has what it asked for, of the right family, and its user can read where from.
    ///
    /// # Errors
    /// When it is not so, or the lab fails.
    pub fn is_told_what_it_got(&self) -> Result<()> {
        for wish in &SERVICES {
            let addresses = self.plane.addresses(wish.name)?;
            let families: Vec<IpFamily> = addresses.iter().map(|address| IpFamily::of(*address)).collect();
            ensure!(families == wish.families, "{}: {addresses:?}", wish.name);
            let service = self.plane.service(wish.name)?;
            let pool = &service["metadata"]["annotations"]["metallb.io/ip-allocated-from-pool"];
            ensure!(pool == "lab", "{}: of pool {pool}", wish.name);
            wait(WITHIN, || {
                let events = self.plane.events(wish.name)?;
                let of = |reason: &str| events.iter().filter(|event| *event == reason).count();
                let told = [of("IPAllocated"), of("nodeAssigned"), events.len()];
                ensure!(told == [1, NODES.len(), NODES.len() + 1], "{}: {events:?}", wish.name);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Kills the controller, and another gives an address to a Service that comes then.
    ///
    /// # Errors
    /// When it is not so, or the lab fails.
    pub fn restart_controller(&mut self) -> Result<()> {
        self.controller.signal(Signal::SIGKILL)?;
        self.controller.wait(WITHIN)?;
        self.controllers += 1;
        self.controller = self.plane.controller(&format!("controller-{}", self.controllers))?;
        let late = self.late_service("late")?;
        self.upstream.wait_next_hops(&[late], &NODES, WITHIN)
    }

    /// A Service that comes late, with the one address that it gets.
    ///
    /// # Errors
    /// When it is not so, or the lab fails.
    pub fn late_service(&self, name: &str) -> Result<IpAddr> {
        let object = self.lab.topology().wish(name, &[IpFamily::V4], "SingleStack")?;
        self.plane.put(&[object])?;
        // A controller that takes over waits until its predecessor's Lease is over.
        let addresses = wait(WATCHED_AGAIN_WITHIN, || self.wait_address(name, 1))?;
        addresses.first().copied().context("no address")
    }

    /// The first is told to end and the others are killed.
    ///
    /// # Errors
    /// When it is not so, or the lab fails.
    pub fn restart_agent(&self, name: &str) -> Result<()> {
        let node = self.lab.node(name)?;
        if name == NODES[0] {
            node.stop_agent(WITHIN)?
        } else {
            node.kill_agent()?
        }
        sleep(A_WHILE);
        node.start_agent(&self.options)?;
        for wish in &SERVICES {
            self.upstream.wait_next_hops(&self.addresses_of(wish.name)?, &NODES, WITHIN)?;
        }
        Ok(())
    }

    /// Where the router's kernel sends packets for each address.
    ///
    /// # Errors
    /// When it is not so, or the lab fails.
    pub fn routes(&self, of: impl Fn(&str) -> bool) -> Result<Vec<(IpAddr, Vec<IpAddr>)>> {
        let mut routes = Vec::new();
        for wish in SERVICES.iter().filter(|wish| of(wish.name)) {
            for address in self.addresses_of(wish.name)? {
                routes.push((address, kernel_next_hops(self.upstream.frr().host(), address.into())?));
            }
        }
        Ok(routes)
    }

    /// What the router has been told: the version of each of its tables, and how many UPDATEs each node has sent.
    ///
    /// # Errors
    /// When it is not so, or the lab fails.
    pub fn told(&self) -> Result<Vec<u64>> {
        let mut told = Vec::new();
        let ask = |command: &str| -> Result<Value> {
            Ok(serde_json::from_str(&self.upstream.frr().vtysh(command)?)?)
        };
        for family in ["ipv4", "ipv6"] {
            let table = ask(&format!("show bgp {family} unicast json"))?;
            told.push(table["tableVersion"].as_u64().context("no version of a table")?);
        }
        let neighbours = ask("show bgp neighbors json")?;
        let neighbours = neighbours.as_object().context("no neighbours")?;
        for neighbour in neighbours.values().filter(|it| it.get("messageStats").is_some()) {
            for counter in [&neighbour["messageStats"]["updatesRecv"], &neighbour["connectionsDropped"]] {
                told.push(counter.as_u64().context("no counter")?);
            }
        }
        Ok(told)
    }

    /// How often agents have written to maps.
    #[must_use]
    pub fn writes(&self) -> usize {
        let logs = NODES.iter().filter_map(|name| Some(self.lab.node(name).ok()?.agent_log()));
        logs.map(|log| log.matches("wrote the maps").count()).sum()
    }
}

/// Connections and datagrams to all addresses of some Services.
pub struct ServiceLoad {
    tcp: Vec<RunningLoad<TcpReport>>,
    udp: Vec<RunningLoad<UdpReport>>,
}

impl ServiceLoad {
    /// Opens them.
    ///
    /// # Errors
    /// When it is not so, or the lab fails.
    pub fn start(cluster: &KubernetesLab<'_>, to: impl Fn(&str) -> bool) -> Result<Self> {
        let client = cluster.lab.client()?;
        let mut load = Self { tcp: Vec::new(), udp: Vec::new() };
        for wish in SERVICES.iter().filter(|wish| to(wish.name)) {
            for address in cluster.addresses_of(wish.name)? {
                let tcp = TcpLoad::to(SocketAddr::new(address, ECHO_PORT)).connections(CONNECTIONS);
                load.tcp.push(tcp.start(client)?);
                let udp = UdpLoad::to(SocketAddr::new(address, DATAGRAM_PORT)).flows(FLOWS);
                load.udp.push(udp.start(client)?);
            }
        }
        load.tcp.iter().try_for_each(|running| running.wait_open(CONNECTIONS as u64, WITHIN))?;
        load.udp.iter().try_for_each(|running| running.wait_open(FLOWS as u64, WITHIN))?;
        Ok(load)
    }

    /// Nothing has broken, and bytes flow.
    ///
    /// # Errors
    /// When it is not so, or the lab fails.
    pub fn stands(&self, after: &str) -> Result<()> {
        for running in &self.tcp {
            let moved = running.wait_bytes(CONNECTIONS as u64 * 512, WITHIN);
            moved.with_context(|| format!("after {after}"))?;
            ensure!(running.failed() == 0, "after {after}: {} connections broke", running.failed());
        }
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it is not so, or the lab fails.
    pub fn end(self) -> Result<(Vec<TcpReport>, Vec<UdpReport>)> {
        let tcp = self.tcp.into_iter().map(RunningLoad::finish).collect::<Result<_>>()?;
        let udp = self.udp.into_iter().map(RunningLoad::finish).collect::<Result<_>>()?;
        Ok((tcp, udp))
    }

    /// Ends it; all connections but those of pods that `may_break` must have lived. Returns how many there were.
    ///
    /// # Errors
    /// When it is not so, or the lab fails.
    pub fn finish(self, may_break: impl Fn(&str) -> bool) -> Result<usize> {
        let (tcp, _) = self.end()?;
        let all = || tcp.iter().flat_map(|report| &report.connections);
        let broken = all().filter(|it| it.failure.is_some() && !it.pod.as_deref().is_some_and(&may_break));
        ensure!(broken.count() == 0, "{}", words(&tcp));
        let doomed = all().filter(|it| it.pod.as_deref().is_some_and(&may_break)).count();
        println!("{}; {doomed} of pods that were ended", words(&tcp));
        Ok(all().count())
    }
}

/// What became of connections, in a line.
#[must_use]
pub fn words(reports: &[TcpReport]) -> String {
    let (all, failed) = reports
        .iter()
        .fold((0, 0), |(all, failed), report| (all + report.connections.len(), failed + report.failed()));
    let first = reports.iter().flat_map(TcpReport::failures).next();
    first.map_or(format!("{all} connections, none broken"), |first| {
        format!("{all} connections, {failed} broken, the first: {first}")
    })
}

fn pool(name: &str, addresses: &[&str]) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": name, "namespace": "metallb-system"},
        "spec": {"addresses": addresses},
    })
}
