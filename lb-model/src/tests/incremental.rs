//! An incrementally updated model equals a rebuilt one.

use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::IncrementalModel;

/// Maximum number of objects.
const NUMBERS: u8 = 25;

/// The changes since the step before, and the order of the list.
#[derive(Clone, Debug)]
struct Step {
    /// Object numbers with one of few versions; `None`: absent.
    versions: BTreeMap<u8, Option<u8>>,
    /// Rotation of the list.
    turned: usize,
    /// Whether the first object is in the list twice.
    twice: bool,
    class: Option<&'static str>,
}

/// Services that conflict, with their slices, nodes and pools. The last few have names of others.
fn object(number: u8, version: u8) -> String {
    let (place, pick) = (number % 6, |words: &[&str]| words[usize::from(version) % words.len()].to_owned());
    match number {
        0..6 => format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: s{place}, creationTimestamp: '20{:02}-01-01T00:00:00Z'}}, \
             spec: {{type: {}, externalTrafficPolicy: {}, ports: [{}], loadBalancerClass: {}}}, \
             status: {{loadBalancer: {{ingress: [{{ip: 10.0.0.{}}}]}}}}}}",
            20 + version % 3,
            pick(&["LoadBalancer", "LoadBalancer", "LoadBalancer", "LoadBalancer", "ClusterIP"]),
            pick(&["Local", "Cluster", "Wrong"]),
            pick(&["{port: 80}", "{port: 81}", "{port: 80}, {port: 81}", "{port: 81}, {port: 81}"]),
            pick(&["null", "null", "null", "null", "null", "other"]),
            (place + version) % 4,
        ),
        6..18 => format!(
            "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: e{number}, creationTimestamp: \
             '20{:02}-01-01T00:00:00Z', labels: {}}}, addressType: IPv4, ports: [{{port: 80}}], endpoints: \
             [{{addresses: [10.1.0.{version}], nodeName: n{}}}, {{addresses: [10.1.0.9], nodeName: n{}}}]}}",
            20 + version % 2,
            match version {
                5 => "{}".to_owned(),
                _ => format!("{{kubernetes.io/service-name: s{}}}", (place + version / 3) % 6),
            },
            version % 3,
            version % 2,
        ),
        18..21 => format!(
            "{{apiVersion: v1, kind: Node, metadata: {{name: n{}}}, status: {{addresses: [{{type: InternalIP, address: \
             10.2.0.{}}}]}}}}",
            number - 18,
            version % 3,
        ),
        21 => format!(
            "{{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {{name: p}}, spec: {{addresses: \
             [{}]}}}}",
            pick(&["10.0.0.0/24", "10.0.0.0/31", "none"]),
        ),
        _ => object([0, 6, 18][usize::from(number) % 3], version),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let first = vec(proptest::option::weighted(0.9, 0u8..6), usize::from(NUMBERS - 3));
    let first = first.prop_map(|versions| (0..).zip(versions).collect());
    let later = btree_map(0..NUMBERS, proptest::option::weighted(0.7, 0u8..6), 0..4);
    let handed = (prop_oneof![4 => Just(0), 1 => 0usize..20], proptest::bool::weighted(0.05));
    let class = prop_oneof![9 => Just(None), 1 => Just(Some("other"))];
    let step = |(versions, (turned, twice), class)| Step { versions, turned, twice, class };
    let first = (first, handed.clone(), class.clone()).prop_map(step);
    let later = vec((later, handed, class).prop_map(step), 1..10);
    (first, later).prop_map(|(first, later)| std::iter::once(first).chain(later).collect())
}

/// Applies a step to the objects.
fn replace(there: &mut BTreeMap<u8, Arc<Sourced<Object>>>, versions: BTreeMap<u8, Option<u8>>) {
    for (number, version) in versions {
        let read = version.map(|version| parse("", &object(number, version)).0);
        match read.and_then(|mut read| read.pop()) {
            Some(read) => there.insert(number, Arc::new(read)),
            None => there.remove(&number),
        };
    }
}

proptest! {
    #[test]
    fn an_updated_model_equals_a_rebuilt_one(steps in steps(), cordon: bool) {
        let mut there = BTreeMap::new();
        let drain = DrainRules { cordon, ..DrainRules::default() };
        let mut model = Model { drain, ..Model::default() };
        let mut incremental = IncrementalModel::new(&model);
        for Step { versions, turned, twice, class } in steps {
            replace(&mut there, versions);
            let mut objects: Vec<_> = there.values().cloned().collect();
            objects.extend(there.values().next().cloned().filter(|_| twice));
            let middle = turned % objects.len().max(1);
            objects.rotate_left(middle);
            let (afresh, wrong) = Model::after(&model, &objects, class);
            prop_assert_eq!(incremental.update(&objects, class), wrong);
            prop_assert_eq!(incremental.model(), &afresh);
            model = afresh;
        }
    }
}

fn read(numbers: &[(u8, u8)]) -> Vec<Arc<Sourced<Object>>> {
    numbers
        .iter()
        .flat_map(|(number, version)| parse("", &object(*number, *version)).0)
        .map(Arc::new)
        .collect()
}

/// Returns the Services that share memory, rather than being merely equal.
fn same<'a>(first: &Model, second: &'a Model) -> Vec<&'a str> {
    let is_same = |(name, service): &(&ServiceName, &Arc<Service>)| {
        first.services.get(*name).is_some_and(|before| Arc::ptr_eq(before, service))
    };
    second.services.iter().filter(is_same).map(|(name, _)| name.name.as_str()).collect()
}

#[test]
fn an_unchanged_service_is_the_same_value() {
    let mut objects = read(&[(0, 0), (1, 0), (6, 0), (7, 0), (18, 0), (21, 0)]);
    let mut incremental = IncrementalModel::default();
    incremental.update(&objects, None);
    let first = incremental.model().clone();
    objects[2] = read(&[(6, 2)]).remove(0);
    incremental.update(&objects, None);
    assert_eq!(same(&first, incremental.model()), ["s1"], "of the other an EndpointSlice has changed");
    let second = incremental.model().clone();
    objects.extend(read(&[(19, 1)]));
    incremental.update(&objects, None);
    assert_eq!(incremental.model().nodes.len(), 2);
    assert_eq!(same(&second, incremental.model()), ["s0", "s1"], "the node has no endpoint of theirs");
}

#[test]
fn a_port_moves_to_the_next_claimant_and_back() {
    // Both claim port 80 of 10.0.0.1, and s1 precedes s5.
    let objects = read(&[(5, 0), (21, 0), (1, 0)]);
    let mut incremental = IncrementalModel::default();
    let mut vips = |objects: &[Arc<Sourced<Object>>]| {
        incremental.update(objects, None);
        let services = incremental.model().services.iter();
        services.map(|(name, service)| (name.name.clone(), service.vips.len())).collect::<Vec<_>>()
    };
    let [s1, s5] = ["s1", "s5"].map(str::to_owned);
    assert_eq!(vips(&objects), [(s1.clone(), 1), (s5.clone(), 0)]);
    assert_eq!(vips(&objects[..2]), [(s5.clone(), 1)]);
    assert_eq!(vips(&objects), [(s1, 1), (s5, 0)]);
}

#[test]
fn problems_concern_the_selected_nodes() {
    let text = "{apiVersion: v1, kind: Node, metadata: {name: a, labels: {rack: a}}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}\n---\n\
        {apiVersion: v1, kind: Node, metadata: {name: b, labels: {rack: b}}, status: {addresses: [{type: InternalIP, address: 10.0.0.2}]}}\n---\n\
        {apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: of-b}, spec: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.9, \
         bfdProfile: none, nodeSelectors: [{matchLabels: {rack: b}}]}}\n---\n\
        {apiVersion: metallb.io/v1beta1, kind: BGPAdvertisement, metadata: {name: ad-of-b}, spec: {peers: [x, x], nodeSelectors: [{matchLabels: {rack: b}}]}}\n---\n\
        {apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: p}, spec: {addresses: [x]}}";
    let objects: Vec<_> = parse("t", text).0.into_iter().map(Arc::new).collect();
    let mut incremental = IncrementalModel::default();
    let problems = incremental.update(&objects, None);
    let of = |node: &str| {
        let concerning = problems.iter().filter(|it| incremental.concerns(it, &node.into()));
        concerning.map(|it| it.object.as_ref().unwrap().name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of("b").len(), problems.len());
    assert_eq!((of("a"), problems.len()), (vec!["p"], 3));
    assert_eq!(of("stranger").len(), 3, "a machine that is not known yet hides nothing");
}
