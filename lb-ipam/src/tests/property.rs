//! Properties that hold for all requests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::notation::{namespaces, pools, request};
use crate::Allocator;
use lb_model::Pools;

static POOLS: LazyLock<Pools> = LazyLock::new(|| {
    pools(&[
        "a 10.0.0.0/29,2001:db8::/125",
        "b 10.0.1.0/29 ns=shop prio=1",
        "c 10.0.2.0/30 manual",
        "node n1 10.0.0.0",
        "peer tor 10.0.1.1",
    ])
});

/// A Service of a small world, with a request and held addresses.
fn line() -> impl Strategy<Value = String> {
    let families = prop::sample::select(vec!["none", "v4", "v6", "v4v6", "v6v4"]);
    let policy = prop::sample::select(vec!["", " prefer", " require"]);
    let wish =
        prop::sample::select(vec!["", " ask=10.0.0.2", " ask=10.0.1.1", " pool=a", " pool=b", " pool=none"]);
    let held = prop::sample::select(vec![
        "",
        " hold=10.0.0.1",
        " hold=10.0.1.2",
        " hold=2001:db8::1",
        " hold=10.9.9.9",
        " hold=10.0.0.0",
        " hold=10.0.0.3,2001:db8::3",
    ]);
    let last =
        prop::sample::select(vec!["", " last=10.0.0.4", " last=10.0.0.4,2001:db8::4", " last=10.0.1.2"]);
    let sharing = prop::sample::select(vec!["", " key=k ports=80", " key=k ports=81", " key=j ports=80"]);
    let space = prop::sample::select(vec!["", " ns=shop"]);
    (families, policy, wish, held, (sharing, last), space, 0u8..3)
        .prop_map(|(f, p, w, h, (s, l), n, age)| format!("{f}{p}{w}{h}{s}{l}{n} age={age}"))
}

proptest! {
    #[test]
    fn addresses_are_exclusive_unless_shared(lines in prop::collection::vec(line(), 1..20)) {
        let pools = &*POOLS;
        let requests: BTreeMap<_, _> =
            (0..).zip(&lines).map(|(i, line): (u32, _)| request(&format!("s{i} {line}"))).collect();
        let mut allocator = Allocator::new();
        let first = allocator.allocate(pools, &namespaces(), &requests);

        let mut ports: BTreeMap<IpAddr, BTreeSet<_>> = BTreeMap::new();
        let mut keys = BTreeMap::new();
        for (name, decision) in &first.decisions {
            let wanted = &requests[name];
            let Some(given) = &decision.assignment else {
                prop_assert!(decision.refused.is_some(), "{name} has nothing and no reason");
                continue;
            };
            prop_assert!(given.addresses.len() <= wanted.families.len());
            for address in &given.addresses {
                prop_assert_eq!(pools.of(*address).map(|(pool, _)| pool), Some(&given.pool));
                prop_assert!(pools.reserved().owner(*address).is_none(), "{address} is a machine's");
                let key = keys.entry(*address).or_insert((wanted.sharing.key.clone(), 0));
                key.1 += 1;
                prop_assert!(key.1 == 1 || (key.0.is_some() && key.0 == wanted.sharing.key));
                for port in &wanted.sharing.ports {
                    prop_assert!(ports.entry(*address).or_default().insert(port.clone()), "{address} {port:?} twice");
                }
            }
        }

        // Allocating again with the same held addresses changes nothing: even for an allocator without
        // memory.
        let mut again = requests.clone();
        for (name, request) in &mut again {
            request.held = first.decisions[name].assignment.iter().flat_map(|given| given.addresses.clone()).collect();
        }
        for mut allocator in [allocator, Allocator::new()] {
            let second = allocator.allocate(pools, &namespaces(), &again);
            for (name, decision) in &second.decisions {
                prop_assert_eq!(&decision.assignment, &first.decisions[name].assignment, "{}", name);
                prop_assert!(!decision.is_new && decision.cleared.is_none());
            }
        }
    }
}
