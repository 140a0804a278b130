//! Plans that follow each other.

use std::sync::Arc;

use super::super::{SpeakerPlanner, plan};
use super::notation::World;

const STEPS: &[(&str, bool, &[&str])] = &[
    ("the first", false, &["peer p 10.0.0.1", "ad a", "svc web 192.0.2.1 on=own,other"]),
    ("the same again", true, &["peer p 10.0.0.1", "ad a", "svc web 192.0.2.1 on=own,other"]),
    ("an endpoint elsewhere goes", true, &["peer p 10.0.0.1", "ad a", "svc web 192.0.2.1 on=own"]),
    ("the own endpoint goes", false, &["peer p 10.0.0.1", "ad a", "svc web 192.0.2.1 on=other"]),
    ("all endpoints go", false, &["peer p 10.0.0.1", "ad a", "svc web 192.0.2.1 on=-"]),
    ("they come back", false, &["peer p 10.0.0.1", "ad a", "svc web 192.0.2.1 on=other"]),
    ("a Service is renamed", false, &["peer p 10.0.0.1", "ad a", "svc web2 192.0.2.1 on=other"]),
    ("its address changes", false, &["peer p 10.0.0.1", "ad a", "svc web2 192.0.2.2 on=other"]),
    ("its policy changes", false, &["peer p 10.0.0.1", "ad a", "svc web2 192.0.2.2 local on=other"]),
    ("its labels change", false, &["peer p 10.0.0.1", "ad a", "svc web2 192.0.2.2 local on=other a=b"]),
    ("the peer changes", false, &["peer p 10.0.0.2", "ad a", "svc web2 192.0.2.2 local on=other a=b"]),
    ("the advertisement goes", false, &["peer p 10.0.0.2", "svc web2 192.0.2.2 local on=other a=b"]),
    ("the node changes", false, &["own a=b", "peer p 10.0.0.2", "svc web2 192.0.2.2 local on=other a=b"]),
    (
        "a setting changes",
        false,
        &["say drain", "own a=b", "peer p 10.0.0.2", "svc web2 192.0.2.2 local on=other a=b"],
    ),
];

#[test]
fn each_plan_is_a_fresh_one_and_only_what_it_reads_makes_another() {
    let mut planner = SpeakerPlanner::default();
    let mut last = None;
    for (says, is_kept, lines) in STEPS {
        let World { model, settings } = World::of(lines);
        let own = "own".into();
        let made = planner.plan(&model, &own, &settings).unwrap();
        assert_eq!(Some(&*made), plan(&model, &own, &settings).as_ref(), "{says}");
        let was_kept = last.replace(Arc::clone(&made)).is_some_and(|last| Arc::ptr_eq(&last, &made));
        assert_eq!(was_kept, *is_kept, "{says}");
    }
}

#[test]
fn an_unknown_node_has_no_plan_and_costs_no_other_one() {
    let World { mut model, settings } = World::of(STEPS[0].2);
    let own = "own".into();
    let mut planner = SpeakerPlanner::default();
    let made = planner.plan(&model, &own, &settings).unwrap();
    let node = model.nodes.remove(&own).unwrap();
    assert_eq!(planner.plan(&model, &own, &settings), None);
    model.nodes.insert(own.clone(), node);
    assert!(Arc::ptr_eq(&made, &planner.plan(&model, &own, &settings).unwrap()));
}
