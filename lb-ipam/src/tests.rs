mod cases;
mod change;
mod kept;
mod notation;
mod property;
mod requests;

use std::collections::BTreeMap;

use super::*;
use notation::{outcome, pools, request};

#[test]
fn the_table_of_cases_holds() {
    let mut wrong = Vec::new();
    for case in cases::CASES.iter().chain(kept::CASES) {
        let requests: BTreeMap<_, _> = case.services.iter().map(|line| request(line)).collect();
        let allocation = Allocator::new().allocate(&pools(case.pools), &notation::namespaces(), &requests);
        let found: Vec<_> = allocation.decisions.iter().map(|(name, it)| outcome(name, it)).collect();
        if found != case.expected {
            wrong.push(format!("{}:\n  expected {:?}\n  found    {found:?}", case.says, case.expected));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases::CASES.len() >= 60, "{}", cases::CASES.len());
}

#[test]
fn a_changed_request_yields_to_an_unchanged_one() {
    let pools = pools(&["a 10.0.0.0/24"]);
    let mut allocator = Allocator::new();
    let mut decide = |services: &[&str]| {
        let requests = services.iter().map(|line| request(line)).collect();
        let allocation = allocator.allocate(&pools, &notation::namespaces(), &requests);
        allocation.decisions.iter().map(|(name, it)| outcome(name, it)).collect::<Vec<_>>()
    };
    let shared = ["old v4 age=1 key=k ports=80 hold=10.0.0.0", "young v4 age=2 key=k ports=81 hold=10.0.0.0"];
    assert_eq!(decide(&shared), ["old 10.0.0.0 of a", "young 10.0.0.0 of a"]);
    // The older Service changes its key: it is the one that has to move.
    let parted = ["old v4 age=1 key=j ports=80 hold=10.0.0.0", "young v4 age=2 key=k ports=81 hold=10.0.0.0"];
    assert_eq!(decide(&parted), ["old 10.0.0.1 of a news cleared:Taken", "young 10.0.0.0 of a"]);
}

#[test]
fn usage_counts_assigned_and_free_addresses() {
    let pools = pools(&["a 10.0.0.0/24,2001:db8::/120", "b 10.1.0.0/23 buggy", "huge fd00::/64"]);
    let requests =
        ["one v4 key=k ports=80", "two v4 key=k ports=81", "six v6"].iter().map(|l| request(l)).collect();
    let usage = Allocator::new().allocate(&pools, &notation::namespaces(), &requests).usage;
    let numbers: Vec<_> = usage
        .values()
        .map(|u| [u.assigned_ipv4, u.available_ipv4, u.assigned_ipv6, u.available_ipv6])
        .collect();
    // .0 and .255 of both halves of b are left out.
    assert_eq!(numbers, [[1, 255, 1, 255], [0, 508, 0, 0], [0, 0, 0, i64::MAX]]);
}

#[test]
fn excluded_addresses_are_not_free() {
    let pools = pools(&["a 10.0.0.0/29 buggy", "node m 10.0.0.0", "node n1 10.0.0.1", "peer tor 10.0.0.7"]);
    let usage = Allocator::new().allocate(&pools, &notation::namespaces(), &BTreeMap::new()).usage;
    assert_eq!(usage.values().map(|usage| usage.available_ipv4).collect::<Vec<_>>(), [5]);
}

#[test]
fn ten_thousand_services_get_addresses_from_two_pools() {
    let pools = pools(&["a 10.0.0.0/16", "b 10.1.0.0/16 prio=1 svc=app:web"]);
    let requests: BTreeMap<_, _> = (0..10_000)
        .map(|i| request(&format!("s{i} v4 {}", if i % 2 == 0 { "label=app:web" } else { "key=k ports=80" })))
        .collect();
    let allocation = Allocator::new().allocate(&pools, &notation::namespaces(), &requests);
    assert!(allocation.decisions.values().all(|decision| decision.is_new));
    assert_eq!(allocation.usage.values().map(|usage| usage.assigned_ipv4).sum::<i64>(), 10_000);
}
