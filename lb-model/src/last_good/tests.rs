use lb_api::objects::{from_json, parse};

use super::*;

/// An agent's use of it, across restarts.
#[derive(Default)]
struct Agent {
    accepted: LastGood,
    model: Option<Model>,
    problems: Vec<String>,
    differs: bool,
}

impl Agent {
    /// Everything but the stored objects is lost.
    fn restart(&mut self) {
        let written = self.accepted.objects().map(|object| {
            let (mut read, problems) = from_json(object.value.to_json().unwrap());
            assert_eq!(problems, []);
            Sourced { source: object.source.clone(), line: object.line, value: read.remove(0).value }
        });
        *self = Self { accepted: written.collect(), ..Self::default() };
    }

    /// Reconciles a snapshot of files: name and text of each.
    fn reconcile(&mut self, files: &[(&str, String)]) {
        let (mut objects, mut problems) = (Vec::new(), Vec::new());
        for (name, text) in files {
            let (read, wrong) = parse(name, text);
            objects.extend(read.into_iter().map(Arc::new));
            problems.extend(wrong);
        }
        objects.extend(self.accepted.fallbacks(&objects, &problems));
        let before = self.model.take().unwrap_or_else(|| self.accepted.model(&objects));
        let (model, wrong) = Model::after(&before, &objects, None);
        problems.extend(wrong);
        self.differs = self.accepted.record(&objects, &problems, &model);
        self.problems = problems.iter().map(label).collect();
        self.model = Some(model);
    }

    fn model(&self) -> &Model {
        self.model.as_ref().unwrap()
    }

    /// Returns the pools with their first ranges, the peers and the advertisements.
    fn summary(&self) -> Vec<String> {
        let model = self.model();
        let pools = model.pools.iter().map(|(name, pool)| {
            let range = pool.ranges[0];
            format!("{} {}-{}", name.name, range.start(), range.end())
        });
        let peers =
            model.bgp.peers.iter().map(|(name, peer)| format!("{name} {:?} {:?}", peer.hold_time, peer.bfd));
        let advertised =
            model.bgp.advertisements.iter().map(|it| format!("{} {:?}", it.name, it.communities));
        let pools: Vec<_> = pools.collect();
        pools.into_iter().chain(peers).chain(advertised).collect()
    }
}

fn label(problem: &Problem) -> String {
    let name = problem.object.as_ref().map_or("", |object| &object.name);
    format!("{name} {}", problem.label())
}

fn metallb(kind: &str, name: &str, spec: &str) -> String {
    let version = if kind == "BGPPeer" { "v1beta2" } else { "v1beta1" };
    format!(
        "{{apiVersion: metallb.io/{version}, kind: {kind}, metadata: {{name: {name}, namespace: lb}}, spec: {{{spec}}}}}"
    )
}

const SECRET: &str = "{apiVersion: v1, kind: Secret, metadata: {name: key, namespace: lb}, type: kubernetes.io/basic-auth, stringData: {password: x}}";

/// Returns one file of everything, with some lines replaced; files that become empty are absent.
fn file(replaced: &[(&str, &str)]) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        SECRET.to_owned(),
        metallb("IPAddressPool", "a", "addresses: [10.0.0.0-10.0.0.9]"),
        metallb("IPAddressPool", "b", "addresses: [10.0.1.0-10.0.1.9]"),
        metallb("BFDProfile", "fast", "receiveInterval: 50"),
        metallb(
            "BGPPeer",
            "p",
            "myASN: 1, peerASN: 2, peerAddress: 10.8.0.1, holdTime: 9s, passwordSecret: {name: key}, bfdProfile: fast",
        ),
        metallb("BGPPeer", "q", "myASN: 1, peerASN: 2, peerAddress: 10.8.0.2, password: inline"),
        metallb("Community", "names", "communities: [{name: vpn, value: '1:2'}]"),
        metallb("BGPAdvertisement", "t", "communities: [vpn]"),
    ];
    for (from, to) in replaced {
        let line = lines.iter_mut().find(|line| line.contains(from)).unwrap();
        *line = if to.is_empty() { String::new() } else { line.replace(from, to) };
    }
    lines.retain(|line| !line.is_empty());
    vec![("all.yaml", lines.join("\n---\n"))]
}

/// An object becomes invalid, with the same result for an agent that has seen it and for one that starts
/// afterwards.
struct Case {
    says: &'static str,
    change: &'static [(&'static str, &'static str)],
    /// The problems afterwards.
    problems: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        says: "a pool with a range that is none",
        change: &[("10.0.0.0-10.0.0.9", "10.0.0.0/33")],
        problems: &["a not_a_range", "a stays_as_before"],
    },
    Case {
        says: "a pool that cannot be read",
        change: &[("addresses: [10.0.0.0-10.0.0.9]", "addresses: 7")],
        problems: &["a bad_field"],
    },
    Case {
        says: "a pool that cannot be read and names no namespace",
        change: &[("{name: a, namespace: lb}, spec: {addresses: [10.0.0.0-10.0.0.9]}", "{name: a}, spec: 7")],
        problems: &["a bad_field"],
    },
    Case {
        says: "a pool of another version",
        change: &[(
            "{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: a,",
            "{apiVersion: metallb.io/v9, kind: IPAddressPool, metadata: {name: a,",
        )],
        problems: &["a unknown_kind"],
    },
    Case {
        says: "a pool that grows over another",
        change: &[("10.0.0.0-10.0.0.9", "10.0.0.0-10.0.1.0")],
        problems: &["a pool_overlap", "a stays_as_before"],
    },
    Case {
        says: "a peer with a time that cannot be",
        change: &[("holdTime: 9s", "holdTime: 1s")],
        problems: &["p out_of_range", "p stays_as_before"],
    },
    Case {
        says: "a peer with a password of its own",
        change: &[("password: inline", "password: inline, holdTime: x")],
        problems: &["q not_a_duration", "q stays_as_before"],
    },
    Case {
        says: "a peer that cannot be read",
        change: &[("peerASN: 2, peerAddress: 10.8.0.1", "peerASN: two, peerAddress: 10.8.0.1")],
        problems: &["p bad_field"],
    },
    Case {
        says: "a profile, and by it the peer that names it",
        change: &[("receiveInterval: 50", "receiveInterval: 5")],
        problems: &["fast out_of_range", "p unknown_reference", "p stays_as_before"],
    },
    Case {
        says: "a peer whose profile is gone",
        change: &[("kind: BFDProfile", "")],
        problems: &["p unknown_reference", "p stays_as_before"],
    },
    Case {
        says: "an advertisement with a length that cannot be",
        change: &[("communities: [vpn]", "communities: [vpn], aggregationLength: 33")],
        problems: &["t out_of_range", "t stays_as_before"],
    },
    Case {
        says: "an advertisement whose community is gone",
        change: &[("kind: Community", "")],
        problems: &["t unknown_community", "t stays_as_before"],
    },
    Case {
        says: "a community",
        change: &[("value: '1:2'", "value: x")],
        problems: &["names not_a_community", "t unknown_community", "t stays_as_before"],
    },
];

#[test]
fn last_known_good_values_outlive_restarts() {
    for Case { says, change, problems } in CASES {
        let mut agent = Agent::default();
        agent.reconcile(&file(&[]));
        assert_eq!(agent.problems, [] as [&str; 0]);
        let right = agent.model().clone();
        // One agent sees it become invalid; then one starts; then another, from what that one has stored.
        for restarts in [false, true, true] {
            if restarts {
                agent.restart();
            }
            agent.reconcile(&file(change));
            assert_eq!(agent.problems, *problems, "{says}");
            assert_eq!((&agent.model().pools, &agent.model().bgp), (&right.pools, &right.bgp), "{says}");
            assert!(!agent.differs || !restarts, "{says}");
        }
        // No agent was running when it became invalid.
        let mut late = Agent::default();
        late.reconcile(&file(&[]));
        late.restart();
        late.reconcile(&file(change));
        assert_eq!((&late.model().pools, &late.model().bgp), (&right.pools, &right.bgp), "{says}");
        // Once corrected, nothing of it is left.
        late.reconcile(&file(&[]));
        assert_eq!((late.model(), late.problems.len()), (&right, 0), "{says}");
        // For an agent without stored objects it does not exist.
        let mut without = Agent::default();
        without.reconcile(&file(change));
        assert_ne!((&without.model().pools, &without.model().bgp), (&right.pools, &right.bgp), "{says}");
    }
}

#[test]
fn removed_objects_do_not_return_with_a_restart() {
    for line in
        ["kind: IPAddressPool, metadata: {name: a,", "{name: p,", "{name: q,", "kind: BGPAdvertisement"]
    {
        let mut agent = Agent::default();
        agent.reconcile(&file(&[]));
        agent.restart();
        agent.reconcile(&file(&[(line, "")]));
        let mut without = Agent::default();
        without.reconcile(&file(&[(line, "")]));
        assert_eq!((agent.summary(), agent.problems), (without.summary(), without.problems), "{line}");
        assert_eq!(agent.accepted, without.accepted, "{line}");
    }
}

#[test]
fn a_removed_object_loses_its_last_known_good_value() {
    let mut agent = Agent::default();
    let wrong = [("10.0.0.0-10.0.0.9", "x")];
    for snapshot in [&[][..], &wrong[..], &[("{name: a,", "")], &wrong[..]] {
        agent.reconcile(&file(snapshot));
        agent.restart();
    }
    agent.reconcile(&file(&wrong));
    assert_eq!(agent.problems, ["a not_a_range"]);
    assert!(!agent.summary().iter().any(|line| line.starts_with("a ")));
}

#[test]
fn an_object_recreated_while_no_agent_ran_is_another_one() {
    let wrong = |uid| file(&[("{name: a,", uid), ("10.0.0.0-10.0.0.9", "x")]);
    for (uid, stays) in [("{uid: u, name: a,", true), ("{uid: v, name: a,", false), ("{name: a,", true)] {
        let mut agent = Agent::default();
        agent.reconcile(&file(&[("{name: a,", "{uid: u, name: a,")]));
        agent.restart();
        for _ in 0..2 {
            agent.reconcile(&wrong(uid));
            assert_eq!(agent.summary().iter().any(|line| line.starts_with("a ")), stays, "{uid}");
            agent.restart();
        }
    }
}

#[test]
fn a_valid_object_counts_in_its_current_version() {
    let mut agent = Agent::default();
    agent.reconcile(&file(&[]));
    agent.restart();
    agent.reconcile(&file(&[("10.0.0.0-10.0.0.9", "10.0.0.0-10.0.0.19"), ("holdTime: 9s", "holdTime: 30s")]));
    assert!(agent.problems.is_empty() && agent.differs);
    let summary = agent.summary();
    assert_eq!(summary[0], "a 10.0.0.0-10.0.0.19");
    assert!(summary.iter().any(|line| line.starts_with("p ") && line.contains("30")), "{summary:?}");
}

#[test]
fn an_existing_pool_wins_over_one_added_while_no_agent_ran() {
    let mut agent = Agent::default();
    agent.reconcile(&[("b.yaml", metallb("IPAddressPool", "b", "addresses: [10.0.0.0/24]"))]);
    agent.restart();
    let both =
        ["a", "b"].map(|name| metallb("IPAddressPool", name, "addresses: [10.0.0.0/24]")).join("\n---\n");
    agent.reconcile(&[("b.yaml", both)]);
    assert_eq!(
        (agent.summary(), agent.problems),
        (vec!["b 10.0.0.0-10.0.0.255".into()], vec!["a pool_overlap".into()])
    );
}

#[test]
fn an_unreadable_file_keeps_its_own_objects_only() {
    let pool = |name, net| metallb("IPAddressPool", name, &format!("addresses: [{net}]"));
    let mut agent = Agent::default();
    agent.reconcile(&[("1.yaml", pool("a", "10.0.0.0/24")), ("2.yaml", pool("b", "10.0.1.0/24"))]);
    agent.restart();
    // The other file was removed with its objects, and they stay removed.
    agent.reconcile(&[("1.yaml", "{".to_owned())]);
    assert_eq!(
        (agent.summary(), &*agent.problems),
        (vec!["a 10.0.0.0-10.0.0.255".into()], &[" bad_document".into()][..])
    );
    agent.restart();
    agent.reconcile(&[("1.yaml", "{".to_owned()), ("2.yaml", "{".to_owned())]);
    assert_eq!(agent.summary(), ["a 10.0.0.0-10.0.0.255"]);
    // An object that has moved to another file exists once.
    agent.reconcile(&[("1.yaml", "{".to_owned()), ("3.yaml", pool("a", "10.0.0.0/25"))]);
    assert_eq!(
        (agent.summary(), agent.problems),
        (vec!["a 10.0.0.0-10.0.0.127".into()], vec![" bad_document".into()])
    );
}

#[test]
fn a_password_is_unknown_without_its_secret() {
    let mut agent = Agent::default();
    agent.reconcile(&file(&[]));
    agent.reconcile(&file(&[(SECRET, "")]));
    assert!(agent.model().bgp.peers.contains_key("p"));
    agent.restart();
    agent.reconcile(&file(&[(SECRET, "")]));
    assert_eq!(
        (agent.model().bgp.peers.contains_key("p"), &*agent.problems),
        (false, &["p unknown_reference".into()][..])
    );
}

#[test]
fn a_displaced_advertisement_does_not_return_with_a_restart() {
    let advertised = |of: [(&str, u8, &str); 3]| {
        let written = of.map(|(name, preference, peers)| {
            metallb("BGPAdvertisement", name, &format!("localPref: {preference}, peers: [{peers}]"))
        });
        let pool = metallb("IPAddressPool", "a", "addresses: [10.0.0.0/24]");
        let node = "{apiVersion: v1, kind: Node, metadata: {name: node}, status: {addresses: [{type: InternalIP, address: 10.1.0.1}]}}";
        vec![("all.yaml", [node, &pool, &written.join("\n---\n")].join("\n---\n"))]
    };
    let mut agent = Agent::default();
    agent.reconcile(&advertised([("a", 7, "p"), ("b", 8, "q"), ("c", 9, "r")]));
    let wrong = advertised([("a", 7, "'p', q"), ("b", 8, "r"), ("c", 9, "r")]);
    agent.reconcile(&wrong);
    let before = (agent.summary(), agent.problems.clone());
    assert_eq!(before.1, ["b local_pref_conflict"]);
    agent.restart();
    agent.reconcile(&wrong);
    assert_eq!((agent.summary(), agent.problems.clone()), before);
    // Nor does it return when there is room again, just as without a restart.
    let alone = advertised([("d", 7, "s"), ("b", 8, "r"), ("c", 9, "r")]);
    for _ in 0..2 {
        agent.reconcile(&alone);
        assert_eq!(agent.problems, ["b local_pref_conflict"]);
        let advertisements = &agent.model().bgp.advertisements;
        assert_eq!(advertisements.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["c", "d"]);
        agent.restart();
    }
}

#[test]
fn an_equal_update_is_no_change() {
    let mut agent = Agent::default();
    agent.reconcile(&file(&[]));
    assert!(agent.differs);
    agent.reconcile(&file(&[]));
    assert!(!agent.differs);
    agent.reconcile(&file(&[("{name: a,", "{annotations: {x: z}, resourceVersion: '9', name: a,")]));
    assert!(!agent.differs);
    agent.reconcile(&file(&[("{name: a,", "{labels: {x: z}, name: a,")]));
    assert!(agent.differs);
}

#[test]
fn only_configuration_is_taken_from_stored_objects() {
    let service = "{apiVersion: v1, kind: Service, metadata: {name: s}}";
    let (objects, _) = parse("", &[service, SECRET].join("\n---\n"));
    assert_eq!(objects.len(), 2);
    assert_eq!(objects.into_iter().collect::<LastGood>(), LastGood::default());
}
