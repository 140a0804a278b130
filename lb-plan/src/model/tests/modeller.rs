//! A model that is made with what is recalled of the one before equals one that is made afresh.

use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::model::Modeller;

/// An object, by a number that tells it from others, in one of few versions; `None`: it is not there.
type Step = BTreeMap<u8, Option<u8>>;

/// Services that get into each other's way, their slices, nodes and pools.
fn object(number: u8, version: u8) -> String {
    let (place, pick) = (number % 6, |words: &[&str]| words[usize::from(version) % words.len()].to_owned());
    match number {
        0..6 => format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: s{place}, creationTimestamp: '20{:02}-01-01T00:00:00Z'}}, \
             spec: {{type: LoadBalancer, externalTrafficPolicy: {}, ports: [{{port: {}}}]}}, \
             status: {{loadBalancer: {{ingress: [{{ip: 10.0.0.{}}}]}}}}}}",
            20 + version % 3,
            pick(&["Local", "Cluster", "Wrong"]),
            pick(&["80", "81"]),
            (place + version) % 4,
        ),
        6..18 => format!(
            "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: e{number}, labels: \
             {{kubernetes.io/service-name: s{place}}}}}, addressType: IPv4, ports: [{{port: 80}}], endpoints: \
             [{{addresses: [10.1.0.{version}], nodeName: n{}}}, {{addresses: [10.1.0.9], nodeName: n{}}}]}}",
            version % 3,
            version % 2,
        ),
        18..21 => format!(
            "{{apiVersion: v1, kind: Node, metadata: {{name: n{}}}, status: {{addresses: [{{type: InternalIP, address: \
             10.2.0.{}}}]}}}}",
            number - 18,
            version % 3,
        ),
        _ => format!(
            "{{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {{name: p}}, spec: {{addresses: \
             [{}]}}}}",
            pick(&["10.0.0.0/24", "10.0.0.0/31", "none"]),
        ),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let first = vec(proptest::option::weighted(0.9, 0u8..6), 22);
    let first = first.prop_map(|versions| (0..).zip(versions).collect::<Step>());
    let later = vec(btree_map(0u8..22, proptest::option::weighted(0.8, 0u8..6), 0..4), 1..8);
    (first, later).prop_map(|(first, later)| std::iter::once(first).chain(later).collect())
}

proptest! {
    #[test]
    fn what_is_recalled_is_what_would_be_judged(steps in steps()) {
        let mut there: BTreeMap<u8, Arc<Sourced<Object>>> = BTreeMap::new();
        let mut modeller = Modeller::default();
        let mut model = Model::default();
        for step in steps {
            for (number, version) in step {
                let read = version.map(|version| parse("", &object(number, version)).0);
                match read.and_then(|mut read| read.pop()) {
                    Some(read) => there.insert(number, Arc::new(read)),
                    None => there.remove(&number),
                };
            }
            let objects: Vec<_> = there.values().cloned().collect();
            let afresh = Model::after(&model, &objects, None);
            let problems = modeller.update(&objects, None);
            prop_assert_eq!((modeller.model(), &problems), (&afresh.0, &afresh.1));
            model = afresh.0;
        }
    }
}

#[test]
fn a_service_of_which_nothing_has_changed_is_the_same_value() {
    let read = |numbers: &[(u8, u8)]| -> Vec<_> {
        numbers
            .iter()
            .flat_map(|(number, version)| parse("", &object(*number, *version)).0)
            .map(Arc::new)
            .collect()
    };
    let mut objects = read(&[(0, 0), (1, 0), (6, 0), (7, 0), (18, 0), (21, 0)]);
    let mut modeller = Modeller::default();
    modeller.update(&objects, None);
    let first = modeller.model().clone();
    objects[2] = read(&[(6, 3)]).remove(0);
    modeller.update(&objects, None);
    let second = modeller.model();
    let same = |service: &str| Arc::ptr_eq(&first.services[&name(service)], &second.services[&name(service)]);
    assert_eq!((same("s0"), same("s1")), (false, true));
}
