use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lb_common::hash::HashKey;
use lb_common::tag::{TagKey, TagKeys};
use lb_model::{Model, NodeName};
use lb_pipeline::owner::LivenessState;
use lb_plan::contents::Contents;
use lb_plan::plan::{
    Facts as PlanFacts, Forwarding, LivenessSettings, Planner, ResolvedNextHop, Settings, UndeclaredPorts,
    Uplink,
};
use lb_plan::speaker::SpeakerSettings;

use super::{chain, missing};
use crate::facts::*;
use crate::link::{Cause, Explanation, LinkName};
use crate::target::WhyTarget;

/// Two nodes, a Service of policy Local with a pod on each, a pool, a peer and an advertisement.
const OBJECTS: &str = r#"
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {rack: a}}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2, labels: {rack: a}}, status: {addresses: [{type: InternalIP, address: 10.0.0.2}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {type: LoadBalancer, externalTrafficPolicy: Local,
 clusterIPs: [10.96.0.1], ports: [{name: http, port: 80}]}, status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web, namespace: shop, labels: {kubernetes.io/service-name: web}},
 addressType: IPv4, ports: [{name: http, port: 8080}], endpoints: [{addresses: [10.1.0.1], nodeName: n1}, {addresses: [10.1.0.2], nodeName: n2}]}
---
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: lan, namespace: metallb-system}, spec: {addresses: [192.0.2.1/32]}}
---
{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: tor, namespace: metallb-system}, spec: {myASN: 64500, peerASN: 64501, peerAddress: 10.0.0.254}}
---
{apiVersion: metallb.io/v1beta1, kind: BGPAdvertisement, metadata: {name: all, namespace: metallb-system}, spec: {ipAddressPools: [lan]}}
"#;

/// Everything that facts refer to.
struct World {
    node: NodeName,
    agent: AgentFacts,
    cluster: ClusterFacts,
    actual: Option<Contents>,
    sessions: Vec<SessionFacts>,
    announcer: Option<AnnouncerFacts>,
    host: HostFacts,
    client: Option<IpAddr>,
    target: &'static str,
}

fn settings() -> Settings {
    let key = HashKey { k0: 1, k1: 2 };
    Settings {
        node: "n1".into(),
        hash_key: key,
        tag_keys: TagKeys { current: TagKey { id: 0, key }, other: None },
        accept_ipip: false,
        echo_rate: 0,
        icmp_error_rate: 0,
        undeclared: UndeclaredPorts::Pass,
        forwarding: Forwarding::Auto,
        slots_per_node: 16,
        ring_capacity: 1 << 16,
        flow_sets: 1 << 9,
        liveness: LivenessSettings { limit: 3, hold: 0, nonce: 1 },
        draining: false,
        unhealthy: false,
        ignore_exclude_label: false,
        local_needs_endpoint: false,
        agent_limit: Duration::ZERO,
        former_grace: Settings::FORMER_GRACE,
        udp_grace: Settings::UDP_GRACE,
        weight_settle: Settings::WEIGHT_SETTLE,
    }
}

fn plan_facts() -> PlanFacts {
    let uplink = Uplink { name: "eth0".into(), mac: [2, 0, 0, 0, 0, 1], mtu: 1500, ..Uplink::default() };
    let hop = ResolvedNextHop {
        ifindex: 2,
        next_hop_mac: [2, 0, 0, 0, 0, 2],
        on_link: true,
        mtu: 1500,
        source: [10, 0, 0, 1].into(),
    };
    PlanFacts {
        uplinks: BTreeMap::from([(2, uplink)]),
        next_hops: BTreeMap::from([([10, 0, 0, 2].into(), hop)]),
        ..PlanFacts::default()
    }
}

fn session() -> SessionFacts {
    SessionFacts {
        peer: "tor".into(),
        address: [10, 0, 0, 254].into(),
        is_up: true,
        state: "established".into(),
        fault: None,
        error: None,
        advice: None,
        bfd: None,
        advertised: 1,
        pending: 0,
    }
}

impl World {
    /// A cluster with these objects, in which all else is well.
    fn of(text: &str) -> Self {
        Self::with(text, settings())
    }

    fn with(text: &str, settings: Settings) -> Self {
        let (objects, mut problems) = lb_api::objects::parse("", text);
        let objects: Vec<_> = objects.into_iter().map(Arc::new).collect();
        let (model, of_objects) = Model::build(&objects, None);
        problems.extend(of_objects);
        let plan =
            Planner::new().plan(&model, &plan_facts(), &settings, &Contents::default(), Duration::ZERO);
        problems.extend(plan.problems);
        let alive = LivenessFacts { state: LivenessState::Accepting, silence: Duration::ZERO };
        let others = plan.nodes.iter().filter(|node| !node.is_self);
        let cluster = ClusterFacts {
            objects,
            model,
            problems,
            speaker: SpeakerSettings::default(),
            services: plan.services,
            liveness: others.map(|node| (node.index, alive)).collect(),
            nodes: plan.nodes,
            installed: plan.contents.clone(),
            ..ClusterFacts::default()
        };
        let agent = AgentFacts { is_ready: true, clock_runs: Some(true), ..AgentFacts::default() };
        let back = RouteBack::By { interface: "eth0".into(), is_uplink: true };
        Self {
            node: "n1".into(),
            agent,
            cluster,
            actual: Some(plan.contents),
            sessions: vec![session()],
            announcer: None,
            host: HostFacts {
                route_back: Some(back),
                proxy: ProxyFacts::Rule { mode: "nftables" },
                ..HostFacts::default()
            },
            client: Some([198, 51, 100, 1].into()),
            target: "shop/web",
        }
    }

    /// The same with a replacement in the objects.
    fn replaced(from: &str, to: &str) -> Self {
        assert!(OBJECTS.contains(from), "{from}");
        Self::of(&OBJECTS.replace(from, to))
    }

    fn explain(&self) -> Explanation {
        let facts = WhyFacts {
            node: &self.node,
            agent: &self.agent,
            cluster: &self.cluster,
            actual: self.actual.as_ref(),
            sessions: &self.sessions,
            announcer: self.announcer.as_ref(),
            host: &self.host,
            traffic: TrafficFacts::default(),
        };
        let target = WhyTarget::parse(self.target);
        let chains = match target.find(&self.cluster.objects, &self.cluster.model) {
            None => vec![missing(&facts, &target)],
            Some(subject) => {
                let vips = subject.vips.iter().copied().map(Some);
                let none = subject.vips.is_empty().then_some(None);
                let ask = |vip| chain(&facts, &WhyQuestion { subject: &subject, vip, client: self.client });
                vips.chain(none).map(ask).collect()
            }
        };
        Explanation::of("n1".into(), self.target.into(), self.client, chains)
    }

    fn cause(&self) -> Option<(LinkName, Cause)> {
        let first = self.explain().first?;
        Some((first.name, first.cause?))
    }
}

#[test]
fn no_cause_is_named_when_all_is_well() {
    let explanation = World::of(OBJECTS).explain();
    assert!(explanation.is_well(), "{explanation:#?}");
    let names: Vec<_> = explanation.chains[0].links.iter().map(|link| link.name).collect();
    assert!(names.is_sorted(), "the chain is in the order of links: {names:?}");
}

#[test]
fn each_object_that_is_wrong_is_the_first_cause() {
    let ad = "spec: {ipAddressPools: [lan]}}";
    for (from, to, expected) in [
        ("type: LoadBalancer", "type: ClusterIP", (LinkName::Object, Cause::NotLoadBalancer)),
        (
            "spec: {type: LoadBalancer",
            "spec: {loadBalancerClass: x/y, type: LoadBalancer",
            (LinkName::Object, Cause::OtherClass),
        ),
        (
            "externalTrafficPolicy: Local",
            "externalTrafficPolicy: Nearby",
            (LinkName::Object, Cause::InvalidObject),
        ),
        (
            "addresses: [192.0.2.1/32]",
            "addresses: [192.0.2.9/32]",
            (LinkName::Allocation, Cause::AddressRefused),
        ),
        (
            "name: web, namespace: shop, labels",
            "name: web, namespace: other, labels",
            (LinkName::Endpoints, Cause::NoReadyEndpoint),
        ),
        (
            "nodeName: n1}, {addresses: [10.1.0.2], nodeName: n2}",
            "nodeName: n1, conditions: {ready: false}}",
            (LinkName::Endpoints, Cause::NoReadyEndpoint),
        ),
        (ad, "spec: {ipAddressPools: [other]}}", (LinkName::Advertisement, Cause::NoAdvertisement)),
        (ad, "spec: {ipAddressPools: [lan], peers: [other]}}", (LinkName::Advertisement, Cause::NoPeer)),
        (
            ad,
            "spec: {ipAddressPools: [lan], nodeSelectors: [{matchLabels: {rack: b}}]}}",
            (LinkName::Advertisement, Cause::WrongSelector),
        ),
        (
            ad,
            "spec: {ipAddressPools: [lan], serviceSelectors: [{matchLabels: {a: b}}]}}",
            (LinkName::Advertisement, Cause::WrongSelector),
        ),
        (
            "rack: a",
            "node.kubernetes.io/exclude-from-external-load-balancers: ''",
            (LinkName::Advertisement, Cause::NodesExcluded),
        ),
    ] {
        let world = World::replaced(from, to);
        assert_eq!(world.cause(), Some(expected), "{to}: {:#?}", world.explain());
    }
}

#[test]
fn a_service_without_an_address_has_the_reason_of_the_allocation() {
    let without = "status: {loadBalancer: {}}}";
    let held = "status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}}";
    let asks = OBJECTS.replace(held, without);
    assert_eq!(World::of(&asks).cause(), Some((LinkName::Allocation, Cause::AddressRefused)), "one is free");
    let pool = "kind: IPAddressPool";
    let no_pool =
        asks.replace(pool, "kind: Community").replace("addresses: [192.0.2.1/32]", "communities: []");
    assert_eq!(World::of(&no_pool).cause(), Some((LinkName::Allocation, Cause::NoPool)));
    let other = "{apiVersion: v1, kind: Service, metadata: {name: other, namespace: shop}, spec: {type: LoadBalancer, \
                 clusterIPs: [10.96.0.2], ports: [{port: 80}]}, status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}}";
    let taken = World::of(&format!("{asks}---\n{other}\n"));
    assert_eq!(taken.cause(), Some((LinkName::Allocation, Cause::PoolExhausted)), "{:#?}", taken.explain());
}

#[test]
fn a_target_that_does_not_exist_is_the_cause() {
    for target in ["shop/none", "192.0.2.7", "192.0.2.1:81"] {
        let world = World { target, ..World::of(OBJECTS) };
        assert_eq!(world.cause(), Some((LinkName::Object, Cause::NotFound)), "{target}");
    }
}

/// A change of a world in which all was well.
type Change = fn(&mut World);

#[test]
fn each_state_that_is_wrong_is_the_first_cause() {
    let cases: [(Change, LinkName, Cause); 18] = [
        (|it| it.agent.clock_runs = Some(false), LinkName::Agent, Cause::ClockFrozen),
        (|it| it.agent.is_stale = true, LinkName::Agent, Cause::StaleConfiguration),
        (|it| it.agent.other_programs = vec!["eth0".into()], LinkName::Program, Cause::OtherProgram),
        (|it| it.agent.is_ready = false, LinkName::Program, Cause::NotReady),
        (|it| it.sessions.clear(), LinkName::Session, Cause::BgpDown),
        (|it| down(it, SessionFault::WrongAs), LinkName::Session, Cause::BgpWrongAs),
        (|it| down(it, SessionFault::Bfd), LinkName::Session, Cause::BfdDown),
        (|it| down(it, SessionFault::NoAnswer), LinkName::Session, Cause::BgpDown),
        (
            |it| {
                it.host.md5_drops = 3;
                down(it, SessionFault::NoAnswer);
            },
            LinkName::Session,
            Cause::BgpPassword,
        ),
        (|it| it.sessions[0].bfd = Some(false), LinkName::Session, Cause::BfdDown),
        (|it| drains(it, &["n1", "n2"]), LinkName::Owner, Cause::AllDraining),
        (|it| it.actual.as_mut().unwrap().vips.clear(), LinkName::Maps, Cause::MapsDiffer),
        (
            |it| it.host.blackholes.push(Blackhole { node: "n2".into(), mtu: 1500 }),
            LinkName::Path,
            Cause::Mtu,
        ),
        (|it| it.host.route_back = Some(RouteBack::None), LinkName::Client, Cause::NoRouteBack),
        (
            |it| {
                let (router, says) = ([10, 0, 0, 254].into(), "host unreachable".to_owned());
                it.host.unreachable = Some(Unreachable { router, says });
            },
            LinkName::Client,
            Cause::NoRouteBack,
        ),
        (
            |it| {
                it.host.strict_uplinks = vec!["eth0".into()];
                it.host.route_back = Some(RouteBack::By { interface: "eth1".into(), is_uplink: false });
            },
            LinkName::Client,
            Cause::ReversePathFilter,
        ),
        (
            |it| it.host.proxy = ProxyFacts::Missing { mode: "iptables" },
            LinkName::Proxy,
            Cause::ProxyRuleMissing,
        ),
        (
            |it| {
                let failed = Connection::Failed("refused".into());
                it.host.endpoints.push(("10.1.0.1:8080".parse().unwrap(), failed));
            },
            LinkName::Endpoint,
            Cause::EndpointUnreachable,
        ),
    ];
    for (change, name, cause) in cases {
        let mut world = World::of(OBJECTS);
        change(&mut world);
        assert_eq!(world.cause(), Some((name, cause)), "{:#?}", world.explain());
    }
}

fn down(world: &mut World, fault: SessionFault) {
    world.sessions[0].is_up = false;
    world.sessions[0].fault = Some(fault);
}

fn drains(world: &mut World, names: &[&str]) {
    for node in world.cluster.nodes.iter_mut().filter(|node| names.contains(&node.name.as_str())) {
        node.draining = true;
    }
}

#[test]
fn one_node_that_drains_or_is_dead_is_no_cause_while_another_serves() {
    let mut world = World::of(OBJECTS);
    drains(&mut world, &["n2"]);
    assert_eq!(world.cause(), None);
    let mut world = World::of(OBJECTS);
    world.cluster.liveness.values_mut().for_each(|it| it.state = LivenessState::Dead);
    assert_eq!(world.cause(), None);
}

#[test]
fn a_dead_node_that_alone_has_endpoints_is_the_cause() {
    let mut world = World::replaced("{addresses: [10.1.0.1], nodeName: n1}, ", "");
    world.cluster.liveness.values_mut().for_each(|it| it.state = LivenessState::Dead);
    assert_eq!(world.cause(), Some((LinkName::Owner, Cause::NoLiveNode)));
}

#[test]
fn a_ring_without_room_is_the_cause() {
    let world = World::with(OBJECTS, Settings { ring_capacity: 16, ..settings() });
    assert_eq!(world.cause(), Some((LinkName::Ring, Cause::RingFull)), "{:#?}", world.explain());
}

#[test]
fn a_client_outside_the_source_ranges_is_the_cause() {
    let world = World::replaced(
        "clusterIPs: [10.96.0.1]",
        "clusterIPs: [10.96.0.1], loadBalancerSourceRanges: [203.0.113.0/24]",
    );
    assert_eq!(world.cause(), Some((LinkName::Client, Cause::SourceRange)));
    let world = World { client: Some([203, 0, 113, 9].into()), ..world };
    assert_eq!(world.cause(), None);
    let world = World { client: None, ..world };
    assert_eq!(world.cause(), None, "no client is named");
}

/// The same VIP, announced on the local network alone.
fn on_the_local_network() -> World {
    let text = OBJECTS.replace("kind: BGPAdvertisement", "kind: L2Advertisement");
    let ranks = vec![("n1".to_owned(), "alive".to_owned()), ("n2".to_owned(), "alive".to_owned())];
    let announcer = AnnouncerFacts {
        node: Some("n2".into()),
        phase: "standby".into(),
        ranks,
        ..AnnouncerFacts::default()
    };
    World { announcer: Some(announcer), ..World::of(&text) }
}

#[test]
fn an_address_that_no_node_announces_or_a_stranger_claims_is_the_cause() {
    let world = on_the_local_network();
    assert_eq!(world.cause(), None, "{:#?}", world.explain());
    let mut world = on_the_local_network();
    world.announcer.as_mut().unwrap().node = None;
    assert_eq!(world.cause(), Some((LinkName::Announcer, Cause::NoAnnouncer)));
    let mut world = on_the_local_network();
    let stranger = |seconds| ("02:00:00:00:00:99".to_owned(), Duration::from_secs(seconds));
    world.announcer.as_mut().unwrap().strangers.push(stranger(1));
    assert_eq!(world.cause(), Some((LinkName::Announcer, Cause::AddressConflict)));
    world.announcer.as_mut().unwrap().strangers = vec![stranger(3600)];
    assert_eq!(world.cause(), None, "it has gone");
}

#[test]
fn a_broken_session_is_a_degraded_link_while_the_local_network_works() {
    let both = "{apiVersion: metallb.io/v1beta1, kind: L2Advertisement, metadata: {name: l2, namespace: metallb-system}, spec: {ipAddressPools: [lan]}}";
    let mut world = World::of(&format!("{OBJECTS}---\n{both}\n"));
    world.announcer = on_the_local_network().announcer;
    assert_eq!(world.cause(), None);
    down(&mut world, SessionFault::Other);
    let first = world.explain().first.unwrap();
    assert_eq!((first.name, first.state), (LinkName::Session, crate::link::LinkState::Degraded));
}

#[test]
fn a_reboot_costs_what_only_that_node_has() {
    use crate::reboot::{RebootFacts, report};
    let losses = |world: &World, node: &str, flows| {
        let node = NodeName::from(node);
        let facts = RebootFacts { node: &node, cluster: &world.cluster, announcers: &[], flows };
        let report = report(&facts).unwrap();
        assert_eq!(report.safe, report.losses.is_empty());
        report.losses.into_iter().map(|loss| format!("{:?} {}", loss.of, loss.what)).collect::<Vec<_>>()
    };
    let world = World::of(OBJECTS);
    assert_eq!(losses(&world, "n2", None), [""; 0]);
    let only = World::replaced("{addresses: [10.1.0.1], nodeName: n1}, ", "");
    assert_eq!(losses(&only, "n2", None), ["Some(\"shop/web\") its last ready endpoints"]);
    assert_eq!(losses(&only, "n1", Some(3)), [""; 0]);
    let mut alone = World::of(OBJECTS);
    drains(&mut alone, &["n2"]);
    assert_eq!(losses(&alone, "n1", Some(0)).len(), 1, "no other takes flows");
    let mut dead = World::of(OBJECTS);
    dead.cluster.liveness.values_mut().for_each(|it| it.state = LivenessState::Dead);
    assert_eq!(losses(&dead, "n1", Some(0)).len(), 2, "and the last route");
    let nowhere = NodeName::from("n9");
    let facts = RebootFacts { node: &nowhere, cluster: &dead.cluster, announcers: &[], flows: None };
    assert_eq!(report(&facts), None);
}
