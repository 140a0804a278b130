//! Last-known-good values take precedence over new and changed objects.

use super::*;

/// A pool, as `NAME ADDRESSES [@YEAR]`, with the year of its creation.
fn pool(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let (name, addresses) = (words[0], words[1]);
    let made = words.get(2).and_then(|word| word.strip_prefix('@')).map(made).unwrap_or_default();
    format!(
        "{{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {{name: {name}{made}}}, spec: {{addresses: \
         [{addresses}]}}}}"
    )
}

fn made(year: &str) -> String {
    format!(", creationTimestamp: '{year}-01-01T00:00:00Z'")
}

/// Returns the model after the snapshots, and the problems of the last.
fn after(snapshots: &[String]) -> (Model, Vec<Problem>) {
    let mut last = (Model::default(), Vec::new());
    for text in snapshots {
        let (objects, problems) = parse("t", text);
        assert_eq!(problems, []);
        last = Model::after(&last.0, &objects, None);
    }
    last
}

fn labels(problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .map(|problem| {
            let name = problem.object.as_ref().map_or("", |object| &object.name);
            format!("{name} {}", problem.label())
        })
        .collect()
}

/// Successive pools, the final pools, and their problems.
struct Case {
    says: &'static str,
    snapshots: &'static [&'static [&'static str]],
    pools: &'static [&'static str],
    problems: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        says: "a new pool takes nothing from one that was there, though its name is first",
        snapshots: &[&["b 10.0.0.0-10.0.0.9"], &["b 10.0.0.0-10.0.0.9", "a 10.0.0.5-10.0.0.20"]],
        pools: &["b 10.0.0.0-10.0.0.9"],
        problems: &["a pool_overlap"],
    },
    Case {
        says: "of two that come at once the older counts",
        snapshots: &[&["a 10.0.0.0/24 @2026", "b 10.0.0.0/25 @2025"]],
        pools: &["b 10.0.0.0-10.0.0.127"],
        problems: &["a pool_overlap"],
    },
    Case {
        says: "of two that come at once and are as old, the first by name",
        snapshots: &[&["b 10.0.0.0/25 @2025", "a 10.0.0.0/24 @2025"]],
        pools: &["a 10.0.0.0-10.0.0.255"],
        problems: &["b pool_overlap"],
    },
    Case {
        says: "a pool that grows over another stays as it was",
        snapshots: &[
            &["a 10.0.0.0-10.0.0.9 @2024", "b 10.0.0.10-10.0.0.19 @2025"],
            &["a 10.0.0.0-10.0.0.15 @2024", "b 10.0.0.10-10.0.0.19 @2025"],
        ],
        pools: &["a 10.0.0.0-10.0.0.9", "b 10.0.0.10-10.0.0.19"],
        problems: &["a pool_overlap", "a stays_as_before"],
    },
    Case {
        says: "and goes on staying",
        snapshots: &[
            &["a 10.0.0.0-10.0.0.9", "b 10.0.0.10-10.0.0.19"],
            &["a 10.0.0.0-10.0.0.15", "b 10.0.0.10-10.0.0.19"],
            &["a 10.0.0.0-10.0.0.15", "b 10.0.0.10-10.0.0.19"],
        ],
        pools: &["a 10.0.0.0-10.0.0.9", "b 10.0.0.10-10.0.0.19"],
        problems: &["a pool_overlap", "a stays_as_before"],
    },
    Case {
        says: "until the other makes room",
        snapshots: &[
            &["a 10.0.0.0-10.0.0.9", "b 10.0.0.10-10.0.0.19"],
            &["a 10.0.0.0-10.0.0.15", "b 10.0.0.10-10.0.0.19"],
            &["a 10.0.0.0-10.0.0.15", "b 10.0.0.16-10.0.0.19"],
        ],
        pools: &["a 10.0.0.0-10.0.0.15", "b 10.0.0.16-10.0.0.19"],
        problems: &[],
    },
    Case {
        says: "two may change places at once",
        snapshots: &[&["a 10.0.0.0/25", "b 10.0.0.128/25"], &["a 10.0.0.128/25", "b 10.0.0.0/25"]],
        pools: &["a 10.0.0.128-10.0.0.255", "b 10.0.0.0-10.0.0.127"],
        problems: &[],
    },
    Case {
        says: "a pool that has become unreadable stays as it was",
        snapshots: &[&["a 10.0.0.0/24"], &["a 10.0.0.0/33"]],
        pools: &["a 10.0.0.0-10.0.0.255"],
        problems: &["a not_a_range", "a stays_as_before"],
    },
    Case {
        says: "so does one that has become empty",
        snapshots: &[&["a 10.0.0.0/24"], &["a "]],
        pools: &["a 10.0.0.0-10.0.0.255"],
        problems: &["a empty_pool", "a stays_as_before"],
    },
    Case {
        says: "what it has before a new one comes for it",
        snapshots: &[&["a 10.0.0.0/24"], &["a x", "b 10.0.0.0/25"]],
        pools: &["a 10.0.0.0-10.0.0.255"],
        problems: &["a not_a_range", "a stays_as_before", "b pool_overlap"],
    },
    Case {
        says: "nor does one that changes come for it",
        snapshots: &[
            &["a 10.0.0.0-10.0.0.9", "b 10.0.0.10-10.0.0.19", "c 10.0.0.20-10.0.0.29"],
            &["a 10.0.0.0-10.0.0.12", "b 10.0.0.15-10.0.0.22", "c 10.0.0.20-10.0.0.29"],
        ],
        pools: &["a 10.0.0.0-10.0.0.9", "b 10.0.0.10-10.0.0.19", "c 10.0.0.20-10.0.0.29"],
        problems: &["b pool_overlap", "b stays_as_before", "a pool_overlap", "a stays_as_before"],
    },
    Case {
        says: "a pool that is gone is gone",
        snapshots: &[&["a 10.0.0.0/24"], &[]],
        pools: &[],
        problems: &[],
    },
    Case {
        says: "and leaves its place to others",
        snapshots: &[&["b 10.0.0.0/24"], &["b 10.0.0.0/24", "a 10.0.0.0/25"], &["a 10.0.0.0/25"]],
        pools: &["a 10.0.0.0-10.0.0.127"],
        problems: &[],
    },
    Case {
        says: "a pool that never was right is none",
        snapshots: &[&["a x"], &["a x"]],
        pools: &[],
        problems: &["a not_a_range"],
    },
];

#[test]
fn existing_pools_take_precedence() {
    for case in CASES {
        let snapshots: Vec<String> = case
            .snapshots
            .iter()
            .map(|lines| lines.iter().map(|line| pool(line)).collect::<Vec<_>>().join("\n---\n"))
            .collect();
        let (model, problems) = after(&snapshots);
        let shown = |(name, pool): (&PoolName, &Pool)| {
            let ranges: Vec<_> =
                pool.ranges.iter().map(|range| format!("{}-{}", range.start(), range.end())).collect();
            format!("{} {}", name.name, ranges.join(","))
        };
        assert_eq!(model.pools.iter().map(shown).collect::<Vec<_>>(), case.pools, "{}", case.says);
        assert_eq!(labels(&problems), case.problems, "{}", case.says);
    }
}

#[test]
fn of_two_services_on_one_port_the_older_has_it_regardless_of_history() {
    let [old, new] = [("z", "2024"), ("a", "2025")].map(|(name, year)| {
        service(name, "").replace(&format!("{{name: {name}}}"), &format!("{{name: {name}{}}}", made(year)))
    });
    for snapshots in [
        vec![[BASE, &old, &new].join("\n---\n")],
        vec![[BASE, &new].join("\n---\n"), [BASE, &old, &new].join("\n---\n")],
    ] {
        let (model, _) = after(&snapshots);
        assert_eq!(model.services[&name("z")].vips.len(), 1);
        assert_eq!(model.services[&name("a")].vips.len(), 0);
    }
}

fn metallb(kind: &str, version: &str, name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: metallb.io/{version}, kind: {kind}, metadata: {{name: {name}, namespace: lb}}, spec: {{{spec}}}}}"
    )
}

const PEER: &str =
    "myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, passwordSecret: {name: key}, bfdProfile: fast";
const KEY: &str = "{apiVersion: v1, kind: Secret, metadata: {name: key, namespace: lb}, type: kubernetes.io/basic-auth, stringData: {password: x}}";

/// A cluster with BGP objects, with some lines replaced; objects that become empty are absent.
fn speaking(replaced: &[(&str, &str)]) -> String {
    let mut lines = vec![
        BASE.to_owned(),
        KEY.to_owned(),
        metallb("BFDProfile", "v1beta1", "fast", "receiveInterval: 50"),
        metallb("BGPPeer", "v1beta2", "p", PEER),
        metallb("Community", "v1beta1", "names", "communities: [{name: vpn, value: '1:2'}]"),
        metallb("BGPAdvertisement", "v1beta1", "a", "communities: [vpn], localPref: 7"),
    ];
    for (from, to) in replaced {
        let line = lines.iter_mut().find(|line| line.contains(from)).unwrap();
        *line = if to.is_empty() { String::new() } else { line.replace(from, to) };
    }
    lines.retain(|line| !line.is_empty());
    lines.join("\n---\n")
}

#[test]
fn invalid_bgp_objects_keep_their_last_known_good_value() {
    let (right, problems) = after(&[speaking(&[])]);
    assert_eq!(labels(&problems), [] as [&str; 0]);
    for (change, expected) in [
        (("peerASN: 2", "peerASN: 2, holdTime: 1s"), &["p out_of_range", "p stays_as_before"][..]),
        ((KEY, ""), &["p unknown_reference", "p stays_as_before"]),
        (("kind: BFDProfile", ""), &["p unknown_reference", "p stays_as_before"]),
        (
            ("receiveInterval: 50", "receiveInterval: 5"),
            &["fast out_of_range", "p unknown_reference", "p stays_as_before"],
        ),
        (("kind: Community", ""), &["a unknown_community", "a stays_as_before"]),
        (("communities: [vpn]", "communities: ['1']"), &["a unknown_community", "a stays_as_before"]),
        (("localPref: 7", "aggregationLength: 33"), &["a out_of_range", "a stays_as_before"]),
    ] {
        let (model, problems) = after(&[speaking(&[]), speaking(&[change]), speaking(&[change])]);
        assert_eq!(labels(&problems), expected, "{change:?}");
        assert_eq!(model.bgp, right.bgp, "{change:?}");
        // Once corrected, nothing of it is left.
        let (model, problems) = after(&[speaking(&[]), speaking(&[change]), speaking(&[])]);
        assert_eq!((model.bgp, labels(&problems)), (right.bgp.clone(), vec![]), "{change:?}");
        // Without a last-known-good value, it is left out.
        let (model, problems) = after(&[speaking(&[change])]);
        assert_ne!(model.bgp, right.bgp);
        assert!(!labels(&problems).iter().any(|label| label.ends_with("stays_as_before")), "{change:?}");
    }
}

#[test]
fn an_invalid_l2_advertisement_keeps_its_last_known_good_value() {
    let of = |spec: &str| [BASE.to_owned(), metallb("L2Advertisement", "v1beta1", "l", spec)].join("\n---\n");
    let (right, invalid) = (of("ipAddressPools: [p]"), of("ipAddressPools: [p, p]"));
    let (before, problems) = after(std::slice::from_ref(&right));
    assert_eq!(problems, []);
    let (model, problems) = after(&[right, invalid.clone(), invalid.clone()]);
    assert_eq!(labels(&problems), ["l duplicate_entry", "l stays_as_before"]);
    assert_eq!(model.l2_advertisements, before.l2_advertisements);
    let (model, problems) = after(&[invalid]);
    assert_eq!((model.l2_advertisements, labels(&problems)), (vec![], vec!["l duplicate_entry".to_owned()]));
}

#[test]
fn removed_objects_are_not_advertised_any_more() {
    let gone = speaking(&[("kind: BGPPeer", ""), ("kind: BGPAdvertisement", "")]);
    let (model, problems) = after(&[speaking(&[]), gone]);
    assert_eq!((model.bgp, problems), (Bgp::default(), vec![]));
}

#[test]
fn a_new_advertisement_does_not_displace_an_existing_one() {
    let rival =
        |preference: u8| metallb("BGPAdvertisement", "v1beta1", "Z", &format!("localPref: {preference}"));
    let both = |preference| [speaking(&[]), rival(preference)].join("\n---\n");
    let (model, problems) = after(&[speaking(&[]), both(8)]);
    assert_eq!(labels(&problems), ["Z local_pref_conflict"]);
    assert_eq!(model.bgp.advertisements.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["a"]);
    // One that does not conflict is used.
    let (model, problems) = after(&[speaking(&[]), both(7)]);
    assert_eq!(problems, []);
    assert_eq!(model.bgp.advertisements.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["Z", "a"]);
    // One that comes to conflict with another keeps its last-known-good value.
    let (model, problems) = after(&[both(7), both(8)]);
    assert_eq!(labels(&problems), ["Z local_pref_conflict", "Z stays_as_before"]);
    assert_eq!(
        model.bgp.advertisements.iter().map(|it| it.local_pref).collect::<Vec<_>>(),
        [Some(7), Some(7)]
    );
}

#[test]
fn an_existing_peer_takes_precedence_over_a_new_one() {
    let two =
        [speaking(&[]), metallb("BGPPeer", "v1beta2", "a", "myASN: 1, peerASN: 2, peerAddress: 10.0.0.1")]
            .join("\n---\n");
    assert_eq!(after(std::slice::from_ref(&two)).0.bgp.precedence, ["a", "p"]);
    assert_eq!(after(&[speaking(&[]), two.clone()]).0.bgp.precedence, ["p", "a"]);
    // A peer that moves to another peer's address counts as new there.
    let elsewhere = two
        .replace("name: p,", "name: p, labels: {},")
        .replace("peerAddress: 10.0.0.1, passwordSecret", "peerAddress: 10.0.0.2, passwordSecret");
    assert_eq!(after(&[speaking(&[]), elsewhere, two]).0.bgp.precedence, ["a", "p"]);
}

#[test]
fn a_last_known_good_advertisement_yields_to_a_valid_one() {
    let advertisements = |of: [(&str, u8, &str); 3]| {
        let written = of.map(|(name, preference, peers)| {
            metallb(
                "BGPAdvertisement",
                "v1beta1",
                name,
                &format!("localPref: {preference}, peers: [{peers}]"),
            )
        });
        [BASE.to_owned(), written.join("\n---\n")].join("\n---\n")
    };
    let right = advertisements([("a", 7, "p"), ("b", 8, "q"), ("c", 9, "r")]);
    let wrong = advertisements([("a", 7, "'p', q"), ("b", 8, "r"), ("c", 9, "r")]);
    let (model, problems) = after(&[right, wrong]);
    assert_eq!(labels(&problems), ["b local_pref_conflict"]);
    assert_eq!(model.bgp.advertisements.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
}

#[test]
fn last_known_good_values_are_per_namespace() {
    let peer = metallb("BGPPeer", "v1beta2", "p", PEER);
    let elsewhere = speaking(&[(&peer, "")]) + "\n---\n" + &peer.replace("namespace: lb", "namespace: other");
    let (model, problems) = after(&[speaking(&[]), elsewhere]);
    assert_eq!(labels(&problems), ["p unknown_reference"]);
    assert!(model.bgp.peers.is_empty());
}
