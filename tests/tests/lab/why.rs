//! `fairlead why` names the true cause first in broken set-ups of a cluster that advertises by BGP, and none
//! when all is well. One lab serves them all.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use aya::programs::{Xdp, XdpMode};
use fairlead_tests::explain::{SetUps, WhyCommand, fact};
use fairlead_tests::frr_router::FrrRouter;
use fairlead_tests::lab::topology::HTTP_PORT;
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4, agents};
use fairlead_tests::objects::{metallb, yaml};
use fairlead_tests::stopped_thread::StoppedThread;
use lb_dataplane::object::{EMPTY_PROGRAM, OBJECT};
use lb_dataplane::pins::Pins;
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(30);
/// BFD interval.
const INTERVAL: Duration = Duration::from_millis(100);
const CLIENT: &str = "192.0.2.11";
/// The label that excludes a node from load balancing.
const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Returns two nodes with a pod each, whose VIP is advertised by BGP alone.
fn topology() -> Topology {
    let mut topology = Topology::empty().node('a', 1).node('a', 2).pods("n1", "web", 1).pods("n2", "web", 1);
    topology.layer2 = json!({ "ipAddressPools": ["none"] });
    topology.service("web", "web", &[WEB_V4], ExternalPolicy::Local)
}

/// The lab with what all set-ups use.
struct Stage<'lab> {
    lab: &'lab Lab,
    node: LabNode<'lab>,
    other: LabNode<'lab>,
    router: &'lab FrrRouter,
    set_ups: SetUps,
}

impl Stage<'_> {
    /// Asks n1 about the Service, on behalf of the client.
    fn question(&self) -> WhyCommand<'_> {
        WhyCommand { node: &self.node, target: "web", client: Some(CLIENT) }
    }

    /// Breaks something about the Service, and repairs it.
    fn breaks(
        &self,
        name: &str,
        cause: &str,
        make: impl FnOnce() -> Result<()>,
        undo: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        self.set_ups.broken(name, cause, [&self.question(); 2], make, undo)
    }

    /// Changes the cluster, and changes it back.
    fn changes(&self, name: &str, cause: &str, make: impl FnOnce(&mut Topology) -> Result<()>) -> Result<()> {
        let before = self.lab.topology().clone();
        let undo = || {
            self.lab.update(|topology| {
                *topology = before;
                Ok(())
            })
        };
        self.breaks(name, cause, || self.lab.update(make), undo)
    }

    /// Replaces the BGP objects, and puts them back.
    fn replaces(&self, name: &str, cause: &str, spec: &Value) -> Result<()> {
        let file = self.lab.outside(&self.lab.manifests_directory().join("bgp.yaml"));
        let written = fs::read_to_string(&file)?;
        let mut objects = self.router.objects();
        let is_advertisement = |object: &&mut Value| object["kind"] == "BGPAdvertisement";
        let advertisement = objects.iter_mut().find(is_advertisement).context("no advertisement")?;
        *advertisement = metallb("v1beta1", "BGPAdvertisement", "all", spec);
        self.breaks(name, cause, || Ok(fs::write(&file, yaml(&objects))?), || Ok(fs::write(&file, written)?))
    }

    /// Adds an object beside the others, asks about another target, and removes the object.
    fn adds(&self, name: &str, cause: &str, target: &str, object: &Value) -> Result<()> {
        let file = self.lab.outside(&self.lab.manifests_directory().join("extra.yaml"));
        let question = WhyCommand { target, client: None, ..self.question() };
        let make = || Ok(fs::write(&file, yaml(std::slice::from_ref(object)))?);
        let questions = [&question, &self.question()];
        self.set_ups.broken(name, cause, questions, make, || Ok(fs::remove_file(&file)?))
    }

    /// Changes the router's settings of its sessions with n1, and changes them back.
    fn routes(&self, name: &str, cause: &str, line: &str, back: &str) -> Result<()> {
        let addresses = self.node.spec().addresses();
        let configure = |line: &str| {
            let lines: Vec<String> = [addresses.v4.to_string(), addresses.v6.to_string()]
                .iter()
                .map(|address| line.replace("PEER", address))
                .collect();
            self.router.frr().configure(&["router bgp 4200000000", &lines[0], &lines[1]])
        };
        self.breaks(name, cause, || configure(line), || configure(back))
    }

    /// Configures the network of a host, and configures it back.
    fn wires(&self, name: &str, cause: &str, host: &str, lines: &[&str], back: &[&str]) -> Result<()> {
        let ip = |lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            self.lab.host(host)?.ip(&lines)
        };
        self.breaks(name, cause, || ip(lines), || ip(back))
    }
}

#[test]
fn the_first_broken_link_is_the_true_cause() -> Result<()> {
    topology().run(|lab| {
        let router = FrrRouter::start(lab, &['a'], INTERVAL)?;
        agents::start(&lab.nodes()?, &LabAgentOptions::default())?;
        router.wait_next_hops(&[WEB_V4], &["n1", "n2"], WITHIN)?;
        let [node, other] = [lab.node("n1")?, lab.node("n2")?];
        let stage = Stage { lab, node, other, router: &router, set_ups: SetUps::default() };
        stage.question().wait_well()?;
        objects(&stage)?;
        sessions(&stage)?;
        cluster(&stage)?;
        host(&stage)?;
        agent(&stage)?;
        flow(&stage)?;
        // The pod does not come back.
        lab.kill_pod("n1-2")?;
        stage.question().wait_cause("endpoint_unreachable")?;
        let count = stage.set_ups.finish()?;
        ensure!(count >= 20, "{count}");
        Ok(())
    })
}

fn objects(stage: &Stage<'_>) -> Result<()> {
    let metallb_file = stage.lab.outside(&stage.lab.manifests_directory().join("metallb.yaml"));
    let written = fs::read_to_string(&metallb_file)?;
    let (make, undo) = (|| Ok(fs::remove_file(&metallb_file)?), || Ok(fs::write(&metallb_file, written)?));
    stage.breaks("no pool", "no_pool", make, undo)?;
    let service = |name: &str, of_type: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "type": of_type, "clusterIP": "10.96.0.77", "clusterIPs": ["10.96.0.77"],
                "ipFamilies": ["IPv4"], "ports": [{"name": "http", "port": 80}], "selector": {"app": "web"},
            },
        })
    };
    stage.adds("pool exhausted", "pool_exhausted", "default/extra", &service("extra", "LoadBalancer"))?;
    stage.adds("type ClusterIP", "not_load_balancer", "extra", &service("extra", "ClusterIP"))?;
    stage.adds("an unused address", "not_found", "203.0.113.99:80", &service("extra", "ClusterIP"))?;
    let selector = json!([{ "matchLabels": { "no": "such" } }]);
    let wrong = json!({ "ipAddressPools": ["lab"], "serviceSelectors": selector });
    stage.replaces("wrong Service selector", "wrong_selector", &wrong)?;
    let wrong = json!({ "ipAddressPools": ["lab"], "nodeSelectors": selector });
    stage.replaces("wrong Node selector", "wrong_selector", &wrong)?;
    stage.replaces("no advertisement", "no_advertisement", &json!({ "ipAddressPools": ["other"] }))?;
    stage.replaces("no peer", "no_peer", &json!({ "ipAddressPools": ["lab"], "peers": ["other"] }))?;
    let invalid = json!({ "ipAddressPools": ["lab"], "aggregationLength": 99 });
    stage.replaces("agent stale", "stale_configuration", &invalid)
}

fn sessions(stage: &Stage<'_>) -> Result<()> {
    stage.routes("shut down", "bgp_down", "neighbor PEER shutdown", "no neighbor PEER shutdown")?;
    stage.routes(
        "wrong AS",
        "bgp_wrong_as",
        "neighbor PEER remote-as 65099",
        "neighbor PEER remote-as 4200000001",
    )?;
    stage.routes(
        "MD5 mismatch",
        "bgp_password",
        "neighbor PEER password secret",
        "no neighbor PEER password secret",
    )?;
    let nft = |rules: &str| {
        stage.lab.host("router")?.command("nft").args(["-f", "-"]).feed(rules.to_owned()).text().map(drop)
    };
    let drop_bfd = "table inet bfd {\n chain out {\n type filter hook output priority 0\n \
        udp dport { 3784, 4784 } drop\n }\n}\n";
    stage.breaks("BFD down", "bfd_down", || nft(drop_bfd), || nft("delete table inet bfd"))
}

fn cluster(stage: &Stage<'_>) -> Result<()> {
    stage.changes("no ready endpoint", "no_ready_endpoint", |topology| {
        topology.pods.iter_mut().for_each(|pod| pod.ready = false);
        Ok(())
    })?;
    stage.changes("nodes excluded", "nodes_excluded", |topology| {
        let labels = topology.nodes.iter_mut().map(|node| &mut node.labels);
        labels.for_each(|labels| drop(labels.insert(EXCLUDE.to_owned(), String::new())));
        Ok(())
    })?;
    stage.changes("all nodes draining", "all_draining", |topology| {
        for node in &mut topology.nodes {
            node.annotations.insert("fairlead.io/drain".to_owned(), "true".to_owned());
        }
        Ok(())
    })?;
    stage.changes("source range", "source_range", |topology| {
        topology.service_mut("web")?.source_ranges = vec!["198.51.100.0/24".to_owned()];
        Ok(())
    })?;
    let before = stage.lab.topology().clone();
    stage.breaks(
        "owner dead",
        "no_live_node",
        || {
            // Only the other node has an endpoint, and its link is cut.
            stage.lab.update(|topology| {
                topology.pod_mut("n1-2")?.ready = false;
                Ok(())
            })?;
            stage.other.cut_link()
        },
        || {
            stage.other.restore_link()?;
            stage.lab.update(|topology| {
                *topology = before;
                Ok(())
            })
        },
    )
}

fn host(stage: &Stage<'_>) -> Result<()> {
    stage.wires(
        "no route on the router",
        "no_route_back",
        "router",
        &["route add unreachable 192.0.2.11/32"],
        &["route del unreachable 192.0.2.11/32"],
    )?;
    stage.wires(
        "no route on the node",
        "no_route_back",
        "n1",
        &["route add unreachable 192.0.2.11/32"],
        &["route del unreachable 192.0.2.11/32"],
    )?;
    stage.wires("MTU", "mtu", "switch-a", &["link set n2 mtu 1300"], &["link set n2 mtu 1500"])?;
    let strict = |value: &str| stage.node.sysctl(&[("net/ipv4/conf/eth0/rp_filter", value)]);
    let ip = |line: &str| stage.node.ip(&[line.to_owned()]);
    stage.breaks(
        "rp_filter",
        "reverse_path_filter",
        || {
            strict("1")?;
            ip("link add d0 type veth peer name d1")?;
            ip("link set d1 up")?;
            ip("link set d0 up")?;
            ip("route add 192.0.2.0/24 dev d0")
        },
        || {
            strict("0")?;
            ip("link del d0")
        },
    )?;
    let element = format!("{{ {WEB_V4} . tcp . {HTTP_PORT} }}");
    let nft = |verb: &str, element: &str| {
        let arguments = [verb, "element", "ip", "kube-proxy", "service-ips", element];
        stage.node.command("nft").args(arguments).text().map(drop)
    };
    stage.breaks(
        "kube-proxy rule missing",
        "proxy_rule_missing",
        || nft("delete", &element),
        || stage.lab.update(|_| Ok(())),
    )?;
    other_program(stage)
}

/// Another program takes the place of the agent's.
fn other_program(stage: &Stage<'_>) -> Result<()> {
    let mut object = Ebpf::load(OBJECT)?;
    let program: &mut Xdp = object.program_mut(EMPTY_PROGRAM).context("no such program")?.try_into()?;
    program.load()?;
    let pin = Pins::below(&stage.node.bpffs()).link("eth0");
    let link = std::cell::Cell::new(None);
    let program = std::cell::RefCell::new(program);
    stage.breaks(
        "another XDP program",
        "other_program",
        || {
            for _ in 0..20 {
                stage.node.command("bpftool").args(["link", "detach", "pinned"]).arg(&pin).text()?;
                let mut program = program.borrow_mut();
                let program: &mut Xdp = &mut program;
                if let Ok(attached) = stage.node.run(|| Ok(program.attach("eth0", XdpMode::Driver)?)) {
                    link.set(Some(attached));
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(200));
            }
            anyhow::bail!("the agent was always faster")
        },
        || Ok(program.borrow_mut().detach(link.take().context("not attached")?)?),
    )
}

fn agent(stage: &Stage<'_>) -> Result<()> {
    let stopped = std::cell::Cell::new(None);
    stage.breaks(
        "clock frozen",
        "clock_frozen",
        || {
            stopped.set(Some(StoppedThread::of_agent(&stage.node, "liveness")?));
            Ok(())
        },
        || {
            drop(stopped.take());
            Ok(())
        },
    )?;
    let options = LabAgentOptions::default();
    stage.breaks(
        "agent not running",
        "agent_not_answering",
        || stage.node.stop_agent(WITHIN),
        || stage.node.start_agent(&options),
    )?;
    // A ring of two nodes has no room in a map of this size.
    let arguments = ["--ring-slots", "1024", "--slots-per-node", "1000"].map(str::to_owned).into();
    let greedy = LabAgentOptions { arguments, ..LabAgentOptions::default() };
    let restart = |options: &LabAgentOptions| {
        stage.node.stop_agent(WITHIN)?;
        // Pinned maps keep their size.
        stage.node.detach()?;
        stage.node.start_agent(options)
    };
    stage.breaks("ring full", "ring_full", || restart(&greedy), || restart(&options))
}

/// `flow` names the node that answers, for every port of the client.
fn flow(stage: &Stage<'_>) -> Result<()> {
    let vip = format!("{WEB_V4}:{HTTP_PORT}");
    let all: Value = serde_json::from_str(&stage.node.fairlead(&["flow", CLIENT, &vip, "-o", "json"])?)?;
    let shares = all["distribution"].as_object().context("no distribution")?;
    ensure!(shares.len() == 2 && shares.values().all(|slots| slots.as_u64() > Some(50)), "{all}");
    for port in 40_000..40_012 {
        let client = format!("{CLIENT}:{port}");
        let view: Value =
            serde_json::from_str(&stage.node.fairlead(&["flow", &client, &vip, "tcp", "-o", "json"])?)?;
        let expected = view["slot"]["candidate"]["name"].as_str().context("no candidate")?.to_owned();
        ensure!(view["verdicts"][0]["node"] == expected, "{view}");
        let url = format!("http://{vip}/");
        let local = port.to_string();
        let page = stage.lab.client()?.command("curl");
        let page = page.args(["-s", "--max-time", "3", "--local-port", &local, &url]).text()?;
        ensure!(
            page.contains(&format!("{expected}-2")),
            "{client}: {expected} does not answer: {page}\n{view}"
        );
    }
    let (_, answer) = stage.question().ask()?;
    ensure!(fact(&answer, "ring")?.contains("n1 (1), n2 (1)"), "{answer}");
    Ok(())
}
