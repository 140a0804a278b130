//! Closed VIPs.

use std::net::IpAddr;

use lb_common::maps::{CONFIG_UNREACHABLE, VIP_CLOSED};

use super::scenario::{Web, address};
use super::*;

/// Whether a VIP is closed, according to its entry and the filter.
fn is_closed(plan: &Plan, vip: IpAddr) -> bool {
    let flags = plan.contents.vips[&VipKey::of_address(vip)].flags;
    flags & VIP_CLOSED != 0
}

fn at(vip: IpAddr) -> Scenario {
    Scenario::of(2).with(1, Web { address: Some(vip), ..Web::cluster() })
}

#[test]
fn a_vip_is_closed_and_its_senders_are_answered() {
    for vip in ["192.0.2.1", "2001:db8::1"] {
        let vip = vip.parse().unwrap();
        let plan = at(vip).plan();
        assert!(is_closed(&plan, vip), "{vip}");
        assert_eq!(plan.contents.config.unwrap().flags, CONFIG_UNREACHABLE);
        assert_eq!(plan.contents.config.unwrap().icmp_error_rate, 200);
    }
}

#[test]
fn the_fate_of_undeclared_ports_can_be_chosen() {
    let vip = [192, 0, 2, 1].into();
    let mut scenario = at(vip);
    scenario.settings.undeclared = UndeclaredPorts::Drop;
    let plan = scenario.plan();
    assert!(is_closed(&plan, vip));
    assert_eq!(plan.contents.config.unwrap().flags, 0);
    scenario.settings.undeclared = UndeclaredPorts::Pass;
    let plan = scenario.plan();
    assert!(!is_closed(&plan, vip));
    assert_eq!(plan.contents.config.unwrap().flags, 0);
}

/// Otherwise login to the node would be impossible.
#[test]
fn an_address_of_this_machine_stays_open() {
    let mut scenario = at([192, 0, 2, 1].into());
    scenario.facts.next_hops.get_mut(&address(2).into()).unwrap().source = [192, 0, 2, 1].into();
    assert!(!is_closed(&scenario.plan(), [192, 0, 2, 1].into()), "this machine speaks from it");
    for node in [1, 2] {
        let vip: IpAddr = address(node).into();
        let plan = at(vip).plan_over(&Contents::default());
        assert!(plan.contents.vips.is_empty(), "an address of a Node is no VIP at all");
    }
}

/// Its port may still be served by the node's network stack.
#[test]
fn a_vip_with_a_port_without_room_is_open() {
    let mut scenario = at([192, 0, 2, 1].into());
    let another = Web { address: Some([192, 0, 2, 1].into()), ports: vec![90], ..Web::local(&[(1, 1)]) };
    scenario.services.insert(2, another);
    let plan = scenario.plan();
    assert!(is_closed(&plan, [192, 0, 2, 1].into()));
    let largest = plan.contents.regions().into_iter().map(|region| region.slots).max();
    scenario.settings.ring_capacity = largest.unwrap();
    let plan = scenario.plan_over(&Contents::default());
    assert_eq!(plan.contents.vips.len(), 2, "an address and a port: {:?}", plan.problems);
    assert!(!is_closed(&plan, [192, 0, 2, 1].into()));
}
