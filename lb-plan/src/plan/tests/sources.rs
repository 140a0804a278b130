//! The clients that VIPs admit.

use std::net::IpAddr;

use lb_common::maps::{VIP_SOURCES, Vip};

use super::scenario::{Web, address};
use super::*;

/// Ranges that contain each other, adjacent ranges and disjoint ranges.
pub(super) const RANGES: [&str; 8] = [
    "10.0.0.0/8",
    "10.0.0.0/9",
    "10.128.0.0/9",
    "10.1.0.0/16",
    "192.168.0.1/32",
    "192.168.0.0/32",
    "0.0.0.0/0",
    "2001:db8::/32",
];
/// A client in each, and one in none but the last two.
const CLIENTS: [&str; 8] = [
    "10.0.0.1",
    "10.1.0.1",
    "10.128.0.1",
    "192.168.0.0",
    "192.168.0.1",
    "198.51.100.1",
    "2001:db8::1",
    "fd00::1",
];

/// Whether the program admits a client to an entry, by its own lookup.
fn admits(contents: &Contents, vip: &Vip, client: IpAddr) -> bool {
    let sources = contents.sources.get(&vip.number);
    vip.flags & VIP_SOURCES == 0
        || sources.is_some_and(|sources| sources.iter().any(|range| range.contains(client)))
}

/// A client that is admitted before and after is admitted meanwhile, and one that is neither is not.
pub(super) fn assert_admitted(now: &Contents, installed: &Contents, desired: &Contents) {
    for (key, vip) in &now.vips {
        for client in CLIENTS.map(|client| client.parse::<IpAddr>().unwrap()) {
            if client.is_ipv4() != key.address.is_ipv4() {
                continue;
            }
            let of = |contents: &Contents| Some(admits(contents, contents.vips.get(key)?, client));
            let allowed = [of(installed), of(desired)];
            let is = admits(now, vip, client);
            let is_right = |was: bool| allowed.into_iter().flatten().any(|allowed| allowed == was);
            assert!(is_right(is), "{key:?} admits {client}: {is}, before and after: {allowed:?}");
        }
    }
}

fn v4(number: u8) -> IpAddr {
    [192, 0, 2, number].into()
}

fn restricted(sources: &[&'static str]) -> Web {
    Web { sources: sources.to_vec(), ..Web::cluster() }
}

/// The clients that a port, or with port 0 the address, admits.
fn admitted(plan: &Plan, address: IpAddr, port: u16) -> Vec<&'static str> {
    let key = VipKey { address, port, protocol: if port == 0 { 0 } else { 6 } };
    let vip = &plan.contents.vips[&key];
    let is_admitted = |client: &&str| {
        let client: IpAddr = client.parse().unwrap();
        client.is_ipv4() == address.is_ipv4() && admits(&plan.contents, vip, client)
    };
    CLIENTS.into_iter().filter(is_admitted).collect()
}

const ALL_V4: &[&str] = &["10.0.0.1", "10.1.0.1", "10.128.0.1", "192.168.0.0", "192.168.0.1", "198.51.100.1"];

#[test]
fn without_ranges_there_is_no_flag_and_nothing_to_look_up() {
    for sources in [&[][..], &["0.0.0.0/0"], &["10.0.0.0/8", "0.0.0.0/0"], &["2001:db8::/32"]] {
        let plan = Scenario::of(2).with(1, restricted(sources)).plan();
        assert!(plan.contents.vips.values().all(|vip| vip.flags & VIP_SOURCES == 0), "{sources:?}");
        assert!(plan.contents.sources.is_empty(), "{sources:?}");
        assert_eq!(admitted(&plan, v4(1), 80), ALL_V4);
    }
}

#[test]
fn a_port_and_its_address_admit_the_clients_in_the_ranges() {
    let plan = Scenario::of(2).with(1, restricted(&["10.1.0.0/16", "192.168.0.1/32"])).plan();
    for port in [0, 80] {
        assert_eq!(admitted(&plan, v4(1), port), ["10.1.0.1", "192.168.0.1"]);
    }
    let sources: Vec<_> = plan.contents.sources.values().collect();
    assert!(sources.len() == 2 && sources[0].is_same(sources[1]), "one list for both");
    assert_eq!(plan.problems, []);
}

#[test]
fn ipv6_is_restricted_by_ipv6_ranges() {
    let vip = "2001:db8::1".parse().unwrap();
    let web = |sources| Web { address: Some(vip), ..restricted(sources) };
    let plan = Scenario::of(2).with(1, web(&["2001:db8::/32", "10.0.0.0/8"])).plan();
    assert_eq!(admitted(&plan, vip, 80), ["2001:db8::1"]);
    let plan = Scenario::of(2).with(1, web(&["10.0.0.0/8"])).plan();
    assert_eq!(admitted(&plan, vip, 80), ["2001:db8::1", "fd00::1"], "as kube-proxy does");
}

#[test]
fn services_on_one_address_have_their_own_ranges_and_the_address_has_all() {
    let on = |port, sources| Web { address: Some(v4(9)), ports: vec![port], ..restricted(sources) };
    let mut scenario = Scenario::of(2).with(1, on(80, &["10.0.0.0/9"])).with(2, on(81, &["192.168.0.1/32"]));
    let plan = scenario.plan();
    assert_eq!(admitted(&plan, v4(9), 80), ["10.0.0.1", "10.1.0.1"]);
    assert_eq!(admitted(&plan, v4(9), 81), ["192.168.0.1"]);
    assert_eq!(admitted(&plan, v4(9), 0), ["10.0.0.1", "10.1.0.1", "192.168.0.1"]);
    scenario.services.insert(3, on(82, &[]));
    let plan = scenario.plan();
    assert_eq!(admitted(&plan, v4(9), 81), ["192.168.0.1"]);
    assert_eq!(admitted(&plan, v4(9), 82), ALL_V4);
    assert_eq!(admitted(&plan, v4(9), 0), ALL_V4, "one of its Services would admit them");
}

/// Otherwise the node itself would be unreachable from outside the ranges.
#[test]
fn an_address_of_this_machine_admits_all_clients() {
    let mut scenario = Scenario::of(2).with(1, restricted(&["10.1.0.0/16"]));
    scenario.facts.next_hops.get_mut(&address(2).into()).unwrap().source = v4(1);
    let plan = scenario.plan();
    assert_eq!(admitted(&plan, v4(1), 80), ["10.1.0.1"]);
    assert_eq!(admitted(&plan, v4(1), 0), ALL_V4);
}

/// They would apply to the next VIP with the number.
#[test]
fn a_number_with_leftover_ranges_is_not_reused() {
    let scenario = Scenario::of(2).with(1, restricted(&["10.1.0.0/16"]));
    let plan = scenario.plan_over(&Contents::default());
    let left = plan.contents.sources.values().next().unwrap().clone();
    let installed =
        Contents { sources: BTreeMap::from([(0, left.clone()), (1, left)]), ..Contents::default() };
    let plan = scenario.plan_over(&installed);
    let numbers: Vec<u32> = plan.contents.vips.values().map(|vip| vip.number).collect();
    assert_eq!(numbers, [3, 2]);
    assert!(!plan.contents.sources.contains_key(&0) && !plan.contents.sources.contains_key(&1));
}
