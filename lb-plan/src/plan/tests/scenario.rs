//! A small cluster, described by values and turned into objects, so that the tests use the real input path.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lb_common::hash::HashKey;

use crate::contents::{Contents, diff};
use crate::plan::{
    Facts, Forwarding, LivenessSettings, Plan, Planner, ResolvedNextHop, Settings, UndeclaredPorts, Uplink,
};
use lb_api::objects::parse;
use lb_model::Model;

/// Interface of every next hop.
pub(super) const IFINDEX: u32 = 7;

/// A cluster whose node `n1` is this machine.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    /// Number → labels, as YAML. Node 3 is `n3` at 10.0.0.3.
    pub(super) nodes: BTreeMap<u8, &'static str>,
    pub(super) draining: BTreeSet<u8>,
    /// Those with condition NetworkUnavailable.
    pub(super) without_network: BTreeSet<u8>,
    pub(super) services: BTreeMap<u8, Web>,
    /// Specs of L2Advertisements, as YAML.
    pub(super) advertisements: Vec<&'static str>,
    /// Specs of BGPAdvertisements, as YAML.
    pub(super) bgp: Vec<&'static str>,
    pub(super) facts: Facts,
    pub(super) settings: Settings,
}

/// A Service. Service 3 is `s3` at 192.0.2.3, unless it is put elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Web {
    pub(super) address: Option<IpAddr>,
    pub(super) ports: Vec<u16>,
    pub(super) local: bool,
    pub(super) affinity: bool,
    pub(super) udp: bool,
    /// Node → number of endpoints.
    pub(super) endpoints: BTreeMap<u8, u8>,
    /// Those of its nodes whose endpoints are terminating.
    pub(super) terminating: BTreeSet<u8>,
    /// Labels, as YAML.
    pub(super) labels: &'static str,
    /// CIDRs that clients must be in.
    pub(super) sources: Vec<&'static str>,
}

impl Web {
    pub(super) fn cluster() -> Self {
        Self { ports: vec![80], endpoints: BTreeMap::from([(1, 1)]), ..Self::default() }
    }

    pub(super) fn local(endpoints: &[(u8, u8)]) -> Self {
        Self { local: true, endpoints: endpoints.iter().copied().collect(), ..Self::cluster() }
    }
}

impl Scenario {
    /// Nodes `n1` to `n{count}`, all on-link, without Services.
    pub(super) fn of(count: u8) -> Self {
        let uplink = Uplink { name: "eth0".into(), mac: [2, 0, 0, 0, 0, 1], mtu: 1500, ..Uplink::default() };
        let settings = Settings {
            liveness: LivenessSettings::default(),
            node: "n1".into(),
            hash_key: HashKey { k0: 1, k1: 2 },
            tag_keys: lb_common::tag::TagKeys::derived(&HashKey::default()),
            accept_ipip: false,
            echo_rate: 100,
            icmp_error_rate: 200,
            undeclared: UndeclaredPorts::Unreachable,
            forwarding: Forwarding::Auto,
            slots_per_node: 64,
            ring_capacity: 8 * 256,
            flow_sets: 1 << 17,
            draining: false,
            unhealthy: false,
            ignore_exclude_label: false,
            local_needs_endpoint: false,
            agent_limit: Duration::ZERO,
            former_grace: Duration::from_secs(100),
            udp_grace: Duration::from_secs(20),
            weight_settle: Duration::ZERO,
        };
        let facts = Facts { uplinks: BTreeMap::from([(IFINDEX, uplink)]), ..Facts::default() };
        let mut scenario = Self {
            nodes: BTreeMap::new(),
            draining: BTreeSet::new(),
            without_network: BTreeSet::new(),
            services: BTreeMap::new(),
            advertisements: Vec::new(),
            bgp: Vec::new(),
            facts,
            settings,
        };
        (1..=count).for_each(|node| scenario.add(node));
        scenario
    }

    /// Adds a node with its next hop.
    pub(super) fn add(&mut self, node: u8) {
        self.nodes.insert(node, "");
        self.facts.next_hops.insert(address(node).into(), next_hop(node));
    }

    pub(super) fn with(mut self, number: u8, service: Web) -> Self {
        self.services.insert(number, service);
        self
    }

    pub(super) fn model(&self) -> Model {
        let (objects, problems) = parse("scenario", &self.text());
        assert_eq!(problems, []);
        Model::build(&objects, None).0
    }

    /// Plans with a planner without memory.
    pub(super) fn plan_over(&self, installed: &Contents) -> Plan {
        self.plan_by(&mut Planner::new(), installed, 0)
    }

    pub(super) fn plan_by(&self, planner: &mut Planner, installed: &Contents, second: u64) -> Plan {
        planner.plan(&self.model(), &self.facts, &self.settings, installed, Duration::from_secs(second))
    }

    /// The same cluster, seen from another node.
    pub(super) fn seen_from(&self, node: u8) -> Self {
        let mut there = self.clone();
        there.settings.node = format!("n{node}").as_str().into();
        there
    }

    /// Plans from empty maps; there must be no problem.
    pub(super) fn plan(&self) -> Plan {
        let plan = self.plan_over(&Contents::default());
        assert_eq!(plan.problems, []);
        plan
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: p, labels: {tier: x}}, spec: \
             {addresses: [192.0.2.0/24, 10.0.0.0/30, '2001:db8::/64', 'fd00::/120']}}\n---\n",
        );
        for (node, labels) in &self.nodes {
            let address = address(*node);
            let annotations = if self.draining.contains(node) { "fairlead.io/drain: 'true'" } else { "" };
            let conditions = if self.without_network.contains(node) {
                "{type: NetworkUnavailable, status: 'True'}"
            } else {
                ""
            };
            let _ = writeln!(
                text,
                "{{apiVersion: v1, kind: Node, metadata: {{name: n{node}, labels: {{{labels}}}, annotations: {{{annotations}}}}}, status: \
                 {{addresses: [{{type: InternalIP, address: {address}}}, {{type: InternalIP, address: 'fd00::{node}'}}], conditions: [{conditions}]}}}}\n---"
            );
        }
        let of_kind = |kind| move |spec| (kind, spec);
        let l2 = self.advertisements.iter().map(of_kind("L2Advertisement"));
        let specs = l2.chain(self.bgp.iter().map(of_kind("BGPAdvertisement")));
        for (place, (kind, spec)) in specs.enumerate() {
            let _ = writeln!(
                text,
                "{{apiVersion: metallb.io/v1beta1, kind: {kind}, metadata: {{name: a{place}}}, spec: {{{spec}}}}}\n---"
            );
        }
        for (number, service) in &self.services {
            service.write(*number, &mut text);
        }
        text
    }
}

impl Web {
    fn write(&self, number: u8, text: &mut String) {
        let address = self.address.unwrap_or([192, 0, 2, number].into());
        let protocol = if self.udp { "UDP" } else { "TCP" };
        let port = |port: &u16| format!("{{name: p{port}, port: {port}, protocol: {protocol}}}");
        let ports: Vec<_> = self.ports.iter().map(port).collect();
        let ports = ports.join(", ");
        let policy = if self.local { "Local" } else { "Cluster" };
        let labels = self.labels;
        let sources = self.sources.iter().map(|range| format!("'{range}'")).collect::<Vec<_>>().join(", ");
        let affinity = if self.affinity { "ClientIP" } else { "None" };
        let _ = writeln!(
            text,
            "{{apiVersion: v1, kind: Service, metadata: {{name: s{number}, labels: {{{labels}}}}}, spec: {{type: LoadBalancer, loadBalancerIP: \
             '{address}', externalTrafficPolicy: {policy}, sessionAffinity: {affinity}, loadBalancerSourceRanges: [{sources}], ports: [{ports}]}}}}\n---"
        );
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let mut endpoints = String::new();
        for (node, count) in &self.endpoints {
            let conditions = if self.terminating.contains(node) {
                "ready: false, serving: true, terminating: true"
            } else {
                ""
            };
            for pod in 0..*count {
                let _ = write!(
                    endpoints,
                    "{{addresses: ['10.1.{node}.{pod}'], nodeName: n{node}, conditions: {{{conditions}}}}}, "
                );
            }
        }
        let _ = writeln!(
            text,
            "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: s{number}, labels: \
             {{kubernetes.io/service-name: s{number}}}}}, addressType: {family}, ports: [{ports}], endpoints: [{endpoints}]}}\n---"
        );
    }
}

pub(super) fn address(node: u8) -> Ipv4Addr {
    [10, 0, 0, node].into()
}

pub(super) fn mac(node: u8) -> [u8; 6] {
    [2, 0, 0, 0, 1, node]
}

/// Returns an on-link next hop.
pub(super) fn next_hop(node: u8) -> ResolvedNextHop {
    ResolvedNextHop {
        ifindex: IFINDEX,
        next_hop_mac: mac(node),
        on_link: true,
        mtu: 1500,
        source: address(1).into(),
    }
}

/// Returns the contents of the maps after a plan has been applied.
pub(super) fn applied(installed: &Contents, plan: &Plan) -> Contents {
    let mut contents = installed.clone();
    for op in diff(installed, &plan.contents) {
        contents.apply(&op);
    }
    contents
}
