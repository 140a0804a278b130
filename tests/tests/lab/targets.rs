//! Tests of the selection of nodes for new flows, with real connections; and of machines with addresses in a
//! pool.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fairlead_tests::frr_router::FrrRouter;
use fairlead_tests::lab::topology::ECHO_PORT;
use fairlead_tests::lab::{
    ExternalPolicy, FAR_V4, Lab, LabAgentOptions, SHARED_V4, Topology, WEB_V4, agents,
};
use fairlead_tests::objects::{metallb, yaml};
use fairlead_tests::routers::{RouterDaemon, kernel_next_hops};
use fairlead_tests::traffic::TcpLoad;
use serde_json::{Value, json};

const OPEN_WITHIN: Duration = Duration::from_secs(20);
const SETTLED_WITHIN: Duration = Duration::from_secs(20);
const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// n3 is excluded, the pods of n2 terminate, and a virtual machine of `far` has moved from n4 to n5.
#[test]
fn new_flows_go_only_to_targets_and_other_nodes_keep_their_flows() -> Result<()> {
    Topology::standard().run(|lab| {
        for vip in [WEB_V4, FAR_V4, SHARED_V4] {
            lab.router()?.set_next_hops(vip, &["n1", "n2", "n3"])?;
        }
        agents::start(&lab.nodes()?, &LabAgentOptions::default())?;
        let to = |vip| TcpLoad::to(SocketAddr::new(vip, ECHO_PORT)).connections(150).start(lab.client()?);
        let (web, far) = (to(WEB_V4)?, to(FAR_V4)?);
        web.wait_open(150, OPEN_WITHIN)?;
        far.wait_open(150, OPEN_WITHIN)?;
        lab.update(|topology| {
            topology.node_mut("n3")?.labels.insert(EXCLUDE.to_owned(), String::new());
            for pod in ["n2-2", "n2-3"] {
                topology.pod_mut(pod)?.terminating = true;
            }
            // They keep their connections, but no slice has them as endpoints any more.
            for pod in ["n4-2", "n4-3"] {
                topology.pod_mut(pod)?.ready = false;
            }
            Ok(())
        })?;
        let moved = moved(lab, "n5-2", "n4")?;
        fs::write(lab.outside(&lab.manifests_directory().join("moved.yaml")), yaml(&[moved]))?;
        for (service, members, keeping) in [
            ("web", &["n1"][..], &["n2", "n3"][..]),
            ("far", &["n5"], &["n4"]),
            ("shared", &["n1", "n2", "n4", "n5"], &["n3"]),
        ] {
            for node in lab.nodes()? {
                node.wait_status(
                    &format!("leads the ring of {service} by {members:?}"),
                    SETTLED_WITHIN,
                    |status| Ok(ring(status, service)? == (json!(members), json!(keeping))),
                )?;
            }
        }
        for (vip, nodes) in [(WEB_V4, &["n1"][..]), (FAR_V4, &["n5"])] {
            let load = to(vip)?;
            load.wait_open(150, OPEN_WITHIN)?;
            let report = load.finish()?;
            println!("new: {report}; {:?}", report.by_node(lab));
            ensure!(report.failed() == 0, "{report}: {:?}", report.causes());
            ensure!(report.by_node(lab).keys().eq(nodes), "{:?}", report.by_node(lab));
        }
        // Existing connections have kept their nodes.
        for (load, nodes) in [(web, &["n1", "n2", "n3"][..]), (far, &["n4", "n5"])] {
            let report = load.finish()?;
            println!("kept: {report}; {:?}", report.by_node(lab));
            ensure!(report.failed() == 0, "{report}: {:?}", report.causes());
            ensure!(report.by_node(lab).keys().eq(nodes), "{:?}", report.by_node(lab));
        }
        Ok(())
    })
}

/// Returns an EndpointSlice of `far` in which a pod's address is terminating on another node.
fn moved(lab: &Lab, pod: &str, node: &str) -> Result<Value> {
    let topology = lab.topology();
    let pod = topology.pods.iter().find(|it| it.name == pod).context("no such pod")?;
    let address = topology.pod_addresses(pod)?.v4;
    Ok(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "far-moved",
            "namespace": "default",
            "labels": { "kubernetes.io/service-name": "far" },
        },
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": [address],
            "conditions": { "ready": false, "serving": true, "terminating": true },
            "nodeName": node,
        }],
        "ports": [{ "name": "echo", "protocol": "TCP", "port": ECHO_PORT }],
    }))
}

/// Returns the names of the nodes that get new flows of a Service's echo port, and of those that keep old
/// ones.
fn ring(status: &Value, service: &str) -> Result<(Value, Value)> {
    let services = status["services"].as_array().context("no services")?;
    let found = services.iter().find(|it| it["service"]["name"] == service).context("no such Service")?;
    let mut vips = found["vips"].as_array().context("no vips")?.iter();
    let vip = vips.find(|vip| vip["port"] == ECHO_PORT).context("no such port")?;
    let members = vip["ring"]["members"].as_array().into_iter().flatten().map(|share| share["node"].clone());
    Ok((members.collect(), vip["ring"]["keeping"].clone()))
}

/// The port that nodes listen on, as sshd would.
const LOGIN: u16 = 2222;

/// A pool has all addresses of the rack, and two Services claim those of n1 and of the router.
#[test]
fn a_machine_with_an_address_in_a_pool_stays_reachable() -> Result<()> {
    let topology = (1..=3).fold(Topology::empty(), |topology, number| topology.node('a', number));
    let topology = topology.pods("n2", "web", 1).pods("n3", "web", 1);
    topology.service("web", "web", &[WEB_V4], ExternalPolicy::Local).run(|lab| {
        let [n1, n2] = [lab.node("n1")?, lab.node("n2")?];
        let own = n1.spec().addresses().v4;
        let router = n1.spec().segment().gateway().v4;
        let frr_router = FrrRouter::start(lab, &['a'], Duration::from_millis(100))?;
        let conflicting_objects = conflicting_objects(own, router);
        fs::write(lab.outside(&lab.manifests_directory().join("thieves.yaml")), yaml(&conflicting_objects))?;
        agents::start(&lab.nodes()?, &LabAgentOptions::default())?;
        frr_router.wait_next_hops(&[WEB_V4], &["n1", "n2", "n3"], SETTLED_WITHIN)?;
        for node in lab.nodes()? {
            node.wait_status("reports reserved addresses", SETTLED_WITHIN, |status| {
                let problems = status["problems"].to_string();
                Ok([
                    "IPAddressPool metallb-system/rack: spec.addresses",
                    &format!("{own} of pool metallb-system/rack is the address of Node n1"),
                    &format!("{router} of pool metallb-system/rack is the address of BGPPeer"),
                ]
                .iter()
                .all(|words| problems.contains(words)))
            })?;
        }
        // For longer than a session's hold time.
        let listener = n1.run(|| Ok(TcpListener::bind((own, LOGIN))?))?;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(12) {
            n2.ip(&["neigh flush dev eth0".to_owned()])?;
            for host in [&*n2, lab.client()?] {
                host.run(|| Ok(TcpStream::connect_timeout(&(own, LOGIN).into(), Duration::from_secs(3))?))
                    .with_context(|| format!("{} does not reach n1", host.name()))?;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        drop(listener);
        let link = n1.command("ip").args(["-br", "link", "show", "eth0"]).text()?;
        let seen = n2.command("ip").args(["neigh", "show", &own.to_string()]).text()?;
        let mac = seen.split_whitespace().nth(4).context("n2 knows no MAC of n1")?;
        ensure!(link.contains(mac), "n1 must answer for itself: {link} instead of {seen}");
        for address in [own, router] {
            let hops = kernel_next_hops(frr_router.frr().host(), IpAddr::from(address).into())?;
            ensure!(hops.is_empty(), "a route to a machine's own address: {hops:?}");
        }
        for (address, session) in frr_router.frr().sessions()? {
            ensure!(session.established, "the session with {address} is down");
        }
        Ok(())
    })
}

/// Returns a pool of the whole rack with both kinds of advertisements, and Services on the addresses of n1
/// and of the router.
fn conflicting_objects(own: Ipv4Addr, router: Ipv4Addr) -> Vec<Value> {
    let [a, b, c, _] = own.octets();
    let mut objects = vec![
        metallb("v1beta1", "IPAddressPool", "rack", &json!({ "addresses": [format!("{a}.{b}.{c}.0/24")] })),
        metallb("v1beta1", "L2Advertisement", "rack", &json!({ "ipAddressPools": ["rack"] })),
        metallb("v1beta1", "BGPAdvertisement", "rack", &json!({ "ipAddressPools": ["rack"] })),
    ];
    for (name, address) in [("on-node", own), ("on-router", router)] {
        let ports = |port: u16| json!([{ "name": "login", "protocol": "TCP", "port": port }]);
        objects.push(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": name, "namespace": "default" },
            "spec": { "type": "LoadBalancer", "ports": ports(LOGIN) },
            "status": { "loadBalancer": { "ingress": [{ "ip": address }] } },
        }));
        objects.push(json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "namespace": "default",
                "labels": { "kubernetes.io/service-name": name },
            },
            "addressType": "IPv4",
            "endpoints": [{ "addresses": ["10.244.2.2"], "nodeName": "n2" }],
            "ports": ports(LOGIN),
        }));
    }
    objects
}
