//! The lab on an API server: a controller, agents, a router, and connections to its Services.

mod server_faults;

use std::net::{IpAddr, SocketAddr};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::frr_router::FrrRouter;
use crate::lab::addresses::IpVersion;
use crate::lab::topology::{DATAGRAM_PORT, ECHO_PORT};
use crate::lab::{ExternalPolicy, Lab, LabAgentOptions, Process, Topology, agents};
use crate::routers::{RouterDaemon, kernel_next_hops, wait};
use crate::traffic::{RunningLoad, TcpLoad, TcpReport, UdpLoad, UdpReport};

/// Its nodes.
pub const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// Time limit of all waits.
pub const WITHIN: Duration = Duration::from_secs(30);
/// Watches are reopened after pauses that grow to half a minute.
pub const WATCHED_AGAIN_WITHIN: Duration = Duration::from_secs(90);
/// BFD interval.
const INTERVAL: Duration = Duration::from_millis(100);
/// Connections to each address.
const CONNECTIONS: usize = 60;
/// Datagram flows to each address.
const FLOWS: usize = 8;
/// Some exchanges of every connection.
pub const A_WHILE: Duration = Duration::from_secs(2);
/// The pool's addresses: three times as many as the Services request.
const POOL: [&str; 2] = ["198.51.100.0/28", "2001:db8:5::/124"];

/// A Service and its address request.
struct ServiceRequest {
    name: &'static str,
    policy: ExternalPolicy,
    families: &'static [IpVersion],
    family_policy: &'static str,
}

const SERVICES: [ServiceRequest; 5] = [
    ServiceRequest {
        name: "v4",
        policy: ExternalPolicy::Local,
        families: &[IpVersion::V4],
        family_policy: "SingleStack",
    },
    ServiceRequest {
        name: "v6",
        policy: ExternalPolicy::Local,
        families: &[IpVersion::V6],
        family_policy: "SingleStack",
    },
    ServiceRequest {
        name: "both",
        policy: ExternalPolicy::Local,
        families: &IpVersion::BOTH,
        family_policy: "RequireDualStack",
    },
    ServiceRequest {
        name: "any",
        policy: ExternalPolicy::Cluster,
        families: &IpVersion::BOTH,
        family_policy: "PreferDualStack",
    },
    ServiceRequest {
        name: "removed",
        policy: ExternalPolicy::Cluster,
        families: &[IpVersion::V4],
        family_policy: "SingleStack",
    },
];

/// Returns two nodes in one rack, one in another; each but n2 has a third pod that is not ready yet.
#[must_use]
pub fn topology() -> Topology {
    let mut topology = Topology::empty().node('a', 1).node('a', 2).node('b', 3);
    for node in NODES {
        topology = topology.pods(node, "web", 2);
    }
    for request in &SERVICES {
        topology = topology.service(request.name, "web", &[], request.policy);
    }
    for pod in topology.pods.iter_mut().filter(|pod| ["n1-3", "n3-3"].contains(&&*pod.name)) {
        pod.ready = false;
    }
    topology.service("late", "web", &[], ExternalPolicy::Local)
}

/// The lab on an API server, with a controller, agents and a router.
pub struct KubernetesLab<'lab> {
    lab: &'lab Lab,
    /// Its API server.
    pub plane: ControlPlane,
    /// Its router.
    pub frr_router: FrrRouter,
    controller: Process,
    controllers: u32,
    controller_arguments: Vec<String>,
    options: LabAgentOptions,
}

impl<'lab> KubernetesLab<'lab> {
    /// Starts everything, and waits until the router has all next hops of all addresses.
    ///
    /// # Errors
    /// When it does not hold in time, or the lab fails.
    pub fn start(lab: &'lab Lab) -> Result<Self> {
        Self::start_with(lab, Vec::new(), Vec::new())
    }

    /// Starts everything likewise, with more arguments of agents and controllers.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(
        lab: &'lab Lab,
        agent_arguments: Vec<String>,
        controller_arguments: Vec<String>,
    ) -> Result<Self> {
        let plane = ControlPlane::start(lab)?;
        println!("on {plane}");
        let frr_router = FrrRouter::start_router(lab, &['a', 'b'], INTERVAL)?;
        plane.put(&frr_router.objects())?;
        plane.put(&[pool("lab", &POOL)])?;
        plane.put(&lab.topology().observed()?)?;
        let controller = plane.controller_with("controller-1", &controller_arguments)?;
        let options = LabAgentOptions {
            arguments: agent_arguments,
            kubeconfig: Some(plane.kubeconfig()),
            ready_within: WITHIN,
            ..LabAgentOptions::default()
        };
        let cluster =
            Self { lab, plane, frr_router, controller, controllers: 1, controller_arguments, options };
        for request in &SERVICES {
            let object =
                lab.topology().service_request(request.name, request.families, request.family_policy)?;
            cluster.plane.put(&[object])?;
        }
        for request in &SERVICES {
            cluster.wait_address(request.name, request.families.len())?;
        }
        let nodes = NODES.iter().map(|name| lab.node(name)).collect::<Result<Vec<_>>>()?;
        agents::start(&nodes, &cluster.options)?;
        for request in &SERVICES {
            cluster.frr_router.wait_next_hops(&cluster.addresses_of(request.name)?, &NODES, WITHIN)?;
        }
        Ok(cluster)
    }

    /// Waits until a Service has this many addresses; then does what the rest of a cluster does: kube-proxy's
    /// rules, and EndpointSlices of the addresses' families.
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

    /// Returns the addresses of a Service.
    ///
    /// # Errors
    /// When it does not hold in time, or the lab fails.
    pub fn addresses_of(&self, name: &str) -> Result<Vec<IpAddr>> {
        Ok(self.lab.topology().service_mut(name)?.vips.clone())
    }

    /// Sets whether pods are ready.
    ///
    /// # Errors
    /// When it does not hold in time, or the lab fails.
    pub fn scale(&self, pods: &[&str], ready: bool) -> Result<()> {
        self.lab.update(|topology| {
            pods.iter().try_for_each(|pod| {
                topology.pod_mut(pod)?.ready = ready;
                Ok(())
            })
        })?;
        self.observe()
    }

    /// Waits until new connections reach exactly these pods, and none is refused.
    ///
    /// # Errors
    /// When it does not hold in time, or the lab fails.
    pub fn wait_served_by(&self, pods: &[&str]) -> Result<()> {
        let address = *self.addresses_of("v4")?.first().context("no address")?;
        let load = TcpLoad::to(SocketAddr::new(address, ECHO_PORT)).connections(CONNECTIONS);
        wait(WITHIN, || {
            let running = load.clone().start(self.lab.client()?)?;
            let opened = running.wait_open(CONNECTIONS as u64, A_WHILE);
            let report = running.finish()?;
            let served: Vec<String> = report.by_pod().into_keys().collect();
            opened.with_context(|| report.to_string())?;
            ensure!(served == pods, "{served:?} serve instead of {pods:?}");
            Ok(())
        })
    }

    /// Checks that every Service has the addresses it requested, with the pool annotation and the Events.
    ///
    /// # Errors
    /// When it does not hold in time, or the lab fails.
    pub fn check_assignments(&self) -> Result<()> {
        for request in &SERVICES {
            let addresses = self.plane.addresses(request.name)?;
            let families: Vec<IpVersion> = addresses.iter().map(|address| IpVersion::of(*address)).collect();
            ensure!(families == request.families, "{}: {addresses:?}", request.name);
            let service = self.plane.service(request.name)?;
            let pool = &service["metadata"]["annotations"]["metallb.io/ip-allocated-from-pool"];
            ensure!(pool == "lab", "{}: of pool {pool}", request.name);
            wait(WITHIN, || {
                let events = self.plane.events(request.name)?;
                let of = |reason: &str| events.iter().filter(|event| *event == reason).count();
                let counts = [of("IPAllocated"), of("nodeAssigned"), events.len()];
                ensure!(counts == [1, NODES.len(), NODES.len() + 1], "{}: {events:?}", request.name);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Kills the controller, and waits until another assigns an address to a new Service.
    ///
    /// # Errors
    /// When it does not hold in time, or the lab fails.
    pub fn restart_controller(&mut self) -> Result<()> {
        self.kill_controller()?;
        self.start_controller()?;
        let late = self.create_service("late")?;
        self.frr_router.wait_next_hops(&[late], &NODES, WITHIN)
    }

    /// Kills the controller.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_controller(&mut self) -> Result<()> {
        self.controller.signal(Signal::SIGKILL)?;
        self.controller.wait(WITHIN).map(drop)
    }

    /// Starts another controller.
    ///
    /// # Errors
    /// When the product's binary is missing.
    pub fn start_controller(&mut self) -> Result<()> {
        self.controllers += 1;
        let name = format!("controller-{}", self.controllers);
        self.controller = self.plane.controller_with(&name, &self.controller_arguments)?;
        Ok(())
    }

    /// Creates a further Service, and returns the one address that it gets.
    ///
    /// # Errors
    /// When it does not hold in time, or the lab fails.
    pub fn create_service(&self, name: &str) -> Result<IpAddr> {
        let object = self.lab.topology().service_request(name, &[IpVersion::V4], "SingleStack")?;
        self.plane.put(&[object])?;
        // A new leader waits until its predecessor's Lease expires.
        let addresses = wait(WATCHED_AGAIN_WITHIN, || self.wait_address(name, 1))?;
        addresses.first().copied().context("no address")
    }

    /// Restarts an agent: the first by SIGTERM, the others by SIGKILL.
    ///
    /// # Errors
    /// When it does not hold in time, or the lab fails.
    pub fn restart_agent(&self, name: &str) -> Result<()> {
        let node = self.lab.node(name)?;
        if name == NODES[0] {
            node.stop_agent(WITHIN)?
        } else {
            node.kill_agent()?
        }
        sleep(A_WHILE);
        node.start_agent(&self.options)?;
        for request in &SERVICES {
            self.frr_router.wait_next_hops(&self.addresses_of(request.name)?, &NODES, WITHIN)?;
        }
        Ok(())
    }

    /// Returns the next hops of each address in the router's kernel.
    ///
    /// # Errors
    /// When it does not hold in time, or the lab fails.
    pub fn routes(&self, of: impl Fn(&str) -> bool) -> Result<Vec<(IpAddr, Vec<IpAddr>)>> {
        let mut routes = Vec::new();
        for request in SERVICES.iter().filter(|request| of(request.name)) {
            for address in self.addresses_of(request.name)? {
                routes.push((address, kernel_next_hops(self.frr_router.frr().host(), address.into())?));
            }
        }
        Ok(routes)
    }

    /// Returns the versions of the router's BGP tables, and how many UPDATEs each node has sent.
    ///
    /// # Errors
    /// When it does not hold in time, or the lab fails.
    pub fn bgp_counters(&self) -> Result<Vec<u64>> {
        let mut counts = Vec::new();
        let ask = |command: &str| -> Result<Value> {
            Ok(serde_json::from_str(&self.frr_router.frr().vtysh(command)?)?)
        };
        for family in ["ipv4", "ipv6"] {
            let table = ask(&format!("show bgp {family} unicast json"))?;
            counts.push(table["tableVersion"].as_u64().context("no version of a table")?);
        }
        let peers = ask("show bgp neighbors json")?;
        let peers = peers.as_object().context("no peers")?;
        for peer in peers.values().filter(|it| it.get("messageStats").is_some()) {
            for counter in [&peer["messageStats"]["updatesRecv"], &peer["connectionsDropped"]] {
                counts.push(counter.as_u64().context("no counter")?);
            }
        }
        Ok(counts)
    }

    /// Returns how often agents have written to maps.
    #[must_use]
    pub fn writes(&self) -> usize {
        let logs = NODES.iter().filter_map(|name| Some(self.lab.node(name).ok()?.agent_log()));
        logs.map(|log| log.matches("wrote the maps").count()).sum()
    }
}

/// Connections and datagram flows to all addresses of some Services.
pub struct ServiceLoad {
    tcp: Vec<RunningLoad<TcpReport>>,
    udp: Vec<RunningLoad<UdpReport>>,
}

impl ServiceLoad {
    /// Opens the connections and flows.
    ///
    /// # Errors
    /// When it does not hold in time, or the lab fails.
    pub fn start(cluster: &KubernetesLab<'_>, to: impl Fn(&str) -> bool) -> Result<Self> {
        let client = cluster.lab.client()?;
        let mut load = Self { tcp: Vec::new(), udp: Vec::new() };
        for request in SERVICES.iter().filter(|request| to(request.name)) {
            for address in cluster.addresses_of(request.name)? {
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

    /// Checks that nothing has broken, and bytes flow.
    ///
    /// # Errors
    /// When it does not hold in time, or the lab fails.
    pub fn check_alive(&self, after: &str) -> Result<()> {
        for running in &self.tcp {
            let moved = running.wait_bytes(CONNECTIONS as u64 * 512, WITHIN);
            moved.with_context(|| format!("after {after}"))?;
            ensure!(running.failed() == 0, "after {after}: {} connections broke", running.failed());
        }
        Ok(())
    }

    /// Ends the load.
    ///
    /// # Errors
    /// When it does not hold in time, or the lab fails.
    pub fn end(self) -> Result<(Vec<TcpReport>, Vec<UdpReport>)> {
        let tcp = self.tcp.into_iter().map(RunningLoad::finish).collect::<Result<_>>()?;
        let udp = self.udp.into_iter().map(RunningLoad::finish).collect::<Result<_>>()?;
        Ok((tcp, udp))
    }

    /// Ends the load; only connections of pods that `may_break` may have broken. Returns how many there were.
    ///
    /// # Errors
    /// When it does not hold in time, or the lab fails.
    pub fn finish(self, may_break: impl Fn(&str) -> bool) -> Result<usize> {
        let (tcp, _) = self.end()?;
        let all = || tcp.iter().flat_map(|report| &report.connections);
        let broken = all().filter(|it| it.failure.is_some() && !it.pod.as_deref().is_some_and(&may_break));
        ensure!(broken.count() == 0, "{}", words(&tcp));
        let doomed = all().filter(|it| it.pod.as_deref().is_some_and(&may_break)).count();
        println!("{}; {doomed} of deleted pods", words(&tcp));
        Ok(all().count())
    }
}

/// Summarizes connections in one line.
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
