mod cases;
mod notation;
mod planner;

use std::sync::Arc;

use notation::{World, advertised};

#[test]
fn the_table_of_cases_holds() {
    let mut wrong = Vec::new();
    for case in cases::CASES {
        let found = advertised(&World::of(case.world));
        if found != case.expected {
            wrong.push(format!("{}:\n  expected {:?}\n  found    {found:?}", case.says, case.expected));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases::CASES.len() >= 40, "{}", cases::CASES.len());
}

#[test]
fn peers_with_equal_routes_share_a_table() {
    let world =
        World::of(&["peer p 10.0.0.1", "peer q 10.0.0.2", "peer r fd00::1", "ad a", "svc web 192.0.2.1"]);
    let plan = world.plan();
    let routes = |name: &str| &plan.peers[name].routes;
    assert!(Arc::ptr_eq(routes("p"), routes("q")));
    assert!(!Arc::ptr_eq(routes("p"), routes("r")) && routes("r").is_empty());
}

#[test]
fn only_addresses_of_families_that_the_peer_takes_are_advertised() {
    let world = World::of(&[
        "peer p 10.0.0.1",
        "ad a ipAddressPools:[net,six]",
        "svc both 192.0.2.1,2001:db8::1",
        "svc six 2001:db8::2",
        "svc elsewhere 198.51.100.1",
    ]);
    let plan = world.plan();
    let announced: Vec<_> =
        plan.addresses.iter().map(|(name, advertised)| (name.name.as_str(), &advertised[..])).collect();
    assert_eq!(announced, [("both", &[std::net::IpAddr::from([192, 0, 2, 1])][..])]);
}

#[test]
fn an_unknown_node_advertises_nothing() {
    let world = World::of(&["peer p 10.0.0.1", "ad a", "svc web 192.0.2.1"]);
    assert_eq!(super::plan(&world.model, &"third".into(), &world.settings), None);
}
