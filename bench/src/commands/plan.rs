//! The cost of planning: `cargo xtask bench plan`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_common::hash::HashKey;
use lb_model::{
    Endpoints, Model, Node, NodeName, Protocol, Service, ServiceName, ServiceVip, SourceRanges, TrafficPolicy,
};
use lb_plan::contents::{Contents, Op, diff};
use lb_plan::plan::{Facts, Forwarding, LivenessSettings, Planner, Settings, UndeclaredPorts, Uplink};
use lb_plan::ring::{Preferences, RingMember, mix};

/// Runs the measurement.
pub(crate) fn run() {
    println!("Plans, from the model to the operations; then one node joins all Services\n");
    println!(
        "Services  nodes  kind           rings     first      same     join     then   slots written   memory MB"
    );
    plans(1_000, 100, Kind::Cluster);
    plans(1_000, 100, Kind::Local);
    plans(10_000, 100, Kind::Cluster);
    plans(10_000, 100, Kind::Both);
    speaker(10_000);
    println!("\nPlans without and with announcers on the local network; then one more Service\n");
    println!("Services  nodes  announced     first      same    one more");
    for (services, nodes) in [(10_000, 100), (10_000, 1_000)] {
        announcers(services, nodes, false);
        announcers(services, nodes, true);
    }
    println!(
        "\nOne ring: load of the fullest node, slots that go from one node that stays to another, and time\n"
    );
    println!("nodes    slots  weights  fullest   +1 moves   -1 moves       build     lead       +1       -1");
    for (nodes, slots) in [(10, 4_096), (100, 32_768), (400, 131_072)] {
        for weighted in [false, true] {
            ring(nodes, slots, weighted);
        }
    }
}

/// Measures the plan of 10,000 Services for four BGP peers: any change plans all of it anew.
fn speaker(services: u32) {
    let mut text = "{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: p}, spec: {addresses: \
                    [10.64.0.0/10]}}\n---\n{apiVersion: metallb.io/v1beta1, kind: BGPAdvertisement, metadata: {name: a}}\n"
        .to_owned();
    for router in 1..=4 {
        text += &format!(
            "---\n{{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {{name: r{router}}}, spec: {{myASN: 1, \
             peerASN: 2, peerAddress: 10.0.0.{router}}}}}\n"
        );
    }
    let (objects, _) = lb_api::objects::parse("example", &text);
    let (with_bgp, problems) = Model::build(&objects, None);
    assert!(problems.is_empty(), "{problems:?}");
    let model = Model { pools: with_bgp.pools, bgp: with_bgp.bgp, ..model(services, 100, Kind::Both, false) };
    let settings = lb_plan::speaker::SpeakerSettings::default();
    let (plan, time) = timed(|| lb_plan::speaker::plan(&model, &name(0), &settings));
    let routes = plan.map_or(0, |plan| plan.peers.values().map(|peer| peer.routes.len()).sum::<usize>());
    println!(
        "\n{services} Services advertised to four peers: {routes} routes in {:.1} ms",
        milliseconds(time)
    );
}

/// Measures what the ranks of announcers add to a plan.
fn announcers(services: u32, nodes: u16, announced: bool) {
    let text = "{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: p}, spec: {addresses: \
                [10.64.0.0/10]}}\n---\n{apiVersion: metallb.io/v1beta1, kind: L2Advertisement, metadata: {name: a}}\n";
    let (objects, _) = lb_api::objects::parse("example", text);
    let (with_l2, problems) = Model::build(&objects, None);
    assert!(problems.is_empty(), "{problems:?}");
    let of = |services| {
        let mut model =
            Model { pools: with_l2.pools.clone(), ..model(services, nodes, Kind::Cluster, false) };
        if announced {
            model.l2_advertisements = with_l2.l2_advertisements.clone();
        }
        model
    };
    let (mut planner, mut installed) = (Planner::new(), Contents::default());
    let (before, after) = (of(services), of(services + 1));
    let times = [&before, &before, &after].map(|model| {
        let (_, time) = reconcile(&mut planner, &mut installed, model, 0);
        milliseconds(time)
    });
    let [first, same, more] = times;
    let announcers = installed.announcers.len();
    println!("{services:8}  {nodes:5}  {announcers:9}  {first:5.0} ms  {same:5.0} ms  {more:7.0} ms");
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    (work(), begun.elapsed())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn ring(nodes: usize, slots: usize, weighted: bool) {
    let weight = |i| if weighted { 1 + i as u32 % 5 } else { 1 };
    let names: Vec<_> = (0..=nodes).map(|i| format!("node-{i:04}")).collect();
    let members: Vec<_> =
        names.iter().enumerate().map(|(i, name)| RingMember { name, weight: weight(i) }).collect();
    let (preferences, build) = timed(|| Preferences::new(&members[..nodes], slots));
    let (leaders, lead) = timed(|| preferences.leaders(|_| true));
    let (more, join) = timed(|| preferences.adapted(&members).leaders(|_| true));
    let (less, leave) = timed(|| preferences.adapted(&members[..nodes - 1]).leaders(|_| true));
    let moved = |after: &[u16], stay: usize| {
        let stays = |node: &u16| usize::from(*node) < stay;
        let moved = leaders.iter().zip(after).filter(|(old, new)| old != new && stays(old) && stays(new));
        100.0 * moved.count() as f64 / slots as f64
    };
    println!(
        "{nodes:5}  {slots:7}  {:>7}  {:7.4}  {:8.3} %  {:8.3} %  {:7.1} ms  {:4.1} ms  {:4.1} ms  {:4.1} ms",
        if weighted { "1 to 5" } else { "equal" },
        fullest(&leaders, &members[..nodes]),
        moved(&more, nodes),
        moved(&less, nodes - 1),
        milliseconds(build),
        milliseconds(lead),
        milliseconds(join),
        milliseconds(leave),
    );
}

/// Returns the slots of the member that leads most, relative to its share.
fn fullest(leaders: &[u16], members: &[RingMember<'_>]) -> f64 {
    let mut led = vec![0.0; members.len()];
    leaders.iter().for_each(|leader| led[usize::from(*leader)] += 1.0);
    let total: u32 = members.iter().map(|member| member.weight).sum();
    let share = |member: &RingMember<'_>| leaders.len() as f64 * f64::from(member.weight) / f64::from(total);
    led.iter().zip(members).map(|(led, member)| led / share(member)).fold(0.0, f64::max)
}

/// The nodes that serve the Services of a plan.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// All nodes: the Services share a ring.
    Cluster,
    /// Three nodes, different ones for each Service.
    Local,
    /// Half of the Services each.
    Both,
}

fn plans(services: u32, nodes: u16, kind: Kind) {
    let memory = resident();
    let mut planner = Planner::new();
    let mut installed = Contents::default();
    let before = model(services, nodes, kind, false);
    let (_, first) = reconcile(&mut planner, &mut installed, &before, 0);
    let (_, same) = reconcile(&mut planner, &mut installed, &before, 1);
    let after = model(services, nodes + 1, kind, true);
    let (written, join) = reconcile(&mut planner, &mut installed, &after, 2);
    let (_, settled) =
        (0..3).map(|i| reconcile(&mut planner, &mut installed, &after, 3 + i)).last().unwrap_or_default();
    println!(
        "{services:8}  {nodes:5}  {kind:<12?}  {:6}  {:5.0} ms  {:5.0} ms  {:4.0} ms  {:4.0} ms  {written:14}  {:10.0}",
        installed.rings.len(),
        milliseconds(first),
        milliseconds(same),
        milliseconds(join),
        milliseconds(settled),
        resident() - memory,
    );
}

/// Plans and applies; returns the number of written slots, and the time for the plan and its operations.
fn reconcile(
    planner: &mut Planner,
    installed: &mut Contents,
    model: &Model,
    second: u64,
) -> (usize, Duration) {
    let now = Duration::from_secs(second);
    let facts = Facts { uplinks: [(1, Uplink::default())].into(), ..Facts::default() };
    let (ops, time) = timed(|| {
        let plan = planner.plan(model, &facts, &settings(), installed, now);
        let ops = diff(installed, &plan.contents);
        ops.iter().for_each(|op| installed.apply(op));
        installed.share_rings(&plan.contents);
        ops
    });
    let slots = |op: &Op| if let Op::WriteSlots { slots, .. } = op { slots.len() } else { 0 };
    (ops.iter().map(slots).sum(), time)
}

fn settings() -> Settings {
    Settings {
        liveness: LivenessSettings::default(),
        node: name(0),
        hash_key: HashKey::default(),
        tag_keys: lb_common::tag::TagKeys::derived(&HashKey::default()),
        accept_ipip: false,
        echo_rate: 0,
        icmp_error_rate: 0,
        undeclared: UndeclaredPorts::Pass,
        forwarding: Forwarding::Auto,
        slots_per_node: 256,
        ring_capacity: 1 << 24,
        flow_sets: 1 << 17,
        draining: false,
        ignore_exclude_label: false,
        local_needs_endpoint: false,
        agent_limit: Duration::ZERO,
        former_grace: Settings::FORMER_GRACE,
        udp_grace: Settings::UDP_GRACE,
        weight_settle: Settings::WEIGHT_SETTLE,
    }
}

fn name(node: u16) -> NodeName {
    format!("node-{node:04}").as_str().into()
}

/// With `joined`, every Service with few nodes has an endpoint on the last node too.
fn model(services: u32, nodes: u16, kind: Kind, joined: bool) -> Model {
    let node = |number: u16| {
        let [high, low] = number.to_be_bytes();
        Some((name(number), Node::new(vec![[10, 0, high, low].into()], BTreeMap::new())?))
    };
    let service = |number: u32| {
        let is_local = match kind {
            Kind::Cluster => false,
            Kind::Local => true,
            Kind::Both => number.is_multiple_of(2),
        };
        let old = u64::from(if joined { nodes - 1 } else { nodes });
        let on = (0..3).map(|pod| (mix(u64::from(number) * 3 + pod) % old) as u16);
        let by_node = on.chain(joined.then_some(nodes - 1)).map(|node| (name(node), 1)).collect();
        let [_, a, b, c] = number.to_be_bytes();
        let vip = ServiceVip {
            address: [10, 64 + a, b, c].into(),
            port: 443,
            protocol: Protocol::Tcp,
            endpoints: Endpoints { by_node, ..Endpoints::default() },
        };
        let policy = if is_local { TrafficPolicy::Local } else { TrafficPolicy::Cluster };
        let name = ServiceName { namespace: "shop".into(), name: format!("web-{number}") };
        (
            name,
            Arc::new(Service {
                policy,
                affinity: false,
                sources: SourceRanges::default(),
                labels: BTreeMap::new(),
                vips: vec![vip],
            }),
        )
    };
    Model {
        nodes: (0..nodes).filter_map(node).collect(),
        services: (0..services).map(service).collect(),
        ..Model::default()
    }
}

/// Memory of this process, in MB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}
