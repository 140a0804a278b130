use lb_api::objects::{from_json, parse};

use super::*;

/// An agent's part in it, from one life to the next.
#[derive(Default)]
struct Agent {
    accepted: LastGood,
    model: Option<Model>,
    problems: Vec<String>,
    differs: bool,
}

impl Agent {
    /// Everything is forgotten but what was written down.
    fn restart(&mut self) {
        let written = self.accepted.objects().map(|object| {
            let (mut read, problems) = from_json(object.value.to_json().unwrap());
            assert_eq!(problems, []);
            Sourced { source: object.source.clone(), line: object.line, value: read.remove(0).value }
        });
        *self = Self { accepted: written.collect(), ..Self::default() };
    }

    /// A snapshot of files: name and text of each.
    fn turn(&mut self, files: &[(&str, String)]) {
        let (mut objects, mut problems) = (Vec::new(), Vec::new());
        for (name, text) in files {
            let (read, wrong) = parse(name, text);
            objects.extend(read.into_iter().map(Arc::new));
            problems.extend(wrong);
        }
        objects.extend(self.accepted.stand_ins(&objects, &problems));
        let before = self.model.take().unwrap_or_else(|| self.accepted.model(&objects));
        let (model, wrong) = Model::after(&before, &objects, None);
        problems.extend(wrong);
        self.differs = self.accepted.note(&objects, &problems, &model);
        self.problems = problems.iter().map(label).collect();
        self.model = Some(model);
    }

    fn model(&self) -> &Model {
        self.model.as_ref().unwrap()
    }

    /// Which pools there are, with their first ranges, and the routers and advertisements.
    fn shown(&self) -> Vec<String> {
        let model = self.model();
        let pools = model.pools.iter().map(|(name, pool)| {
            let range = pool.ranges[0];
            format!("{} {}-{}", name.name, range.start(), range.end())
        });
        let peers =
            model.bgp.peers.iter().map(|(name, peer)| format!("{name} {:?} {:?}", peer.hold_time, peer.bfd));
        let told = model.bgp.advertisements.iter().map(|it| format!("{} {:?}", it.name, it.communities));
        let pools: Vec<_> = pools.collect();
        pools.into_iter().chain(peers).chain(told).collect()
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

/// One file of everything, with some of its lines replaced: one that becomes empty is not there.
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

/// Something becomes wrong, and is the same to an agent that has seen it become so and to one that starts then.
struct Case {
    says: &'static str,
    change: &'static [(&'static str, &'static str)],
    /// What is wrong afterwards.
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
fn what_has_become_wrong_stays_as_it_was_over_restarts() {
    for Case { says, change, problems } in CASES {
        let mut agent = Agent::default();
        agent.turn(&file(&[]));
        assert_eq!(agent.problems, [] as [&str; 0]);
        let right = agent.model().clone();
        // It sees it become wrong; then one starts; then another, from what that one has written.
        for restarts in [false, true, true] {
            if restarts {
                agent.restart();
            }
            agent.turn(&file(change));
            assert_eq!(agent.problems, *problems, "{says}");
            assert_eq!((&agent.model().pools, &agent.model().bgp), (&right.pools, &right.bgp), "{says}");
            assert!(!agent.differs || !restarts, "{says}");
        }
        // Nobody was there to see it become wrong.
        let mut late = Agent::default();
        late.turn(&file(&[]));
        late.restart();
        late.turn(&file(change));
        assert_eq!((&late.model().pools, &late.model().bgp), (&right.pools, &right.bgp), "{says}");
        // Mended, it is as if nothing had been.
        late.turn(&file(&[]));
        assert_eq!((late.model(), late.problems.len()), (&right, 0), "{says}");
        // To an agent without a memory it is not there.
        let mut without = Agent::default();
        without.turn(&file(change));
        assert_ne!((&without.model().pools, &without.model().bgp), (&right.pools, &right.bgp), "{says}");
    }
}

#[test]
fn what_is_gone_comes_back_by_no_restart() {
    for line in
        ["kind: IPAddressPool, metadata: {name: a,", "{name: p,", "{name: q,", "kind: BGPAdvertisement"]
    {
        let mut agent = Agent::default();
        agent.turn(&file(&[]));
        agent.restart();
        agent.turn(&file(&[(line, "")]));
        let mut without = Agent::default();
        without.turn(&file(&[(line, "")]));
        assert_eq!((agent.shown(), agent.problems), (without.shown(), without.problems), "{line}");
        assert_eq!(agent.accepted, without.accepted, "{line}");
    }
}

#[test]
fn what_was_wrong_and_is_gone_and_comes_again_wrong_is_nothing() {
    let mut agent = Agent::default();
    let wrong = [("10.0.0.0-10.0.0.9", "x")];
    for snapshot in [&[][..], &wrong[..], &[("{name: a,", "")], &wrong[..]] {
        agent.turn(&file(snapshot));
        agent.restart();
    }
    agent.turn(&file(&wrong));
    assert_eq!(agent.problems, ["a not_a_range"]);
    assert!(!agent.shown().iter().any(|line| line.starts_with("a ")));
}

#[test]
fn an_object_that_was_made_again_while_no_agent_ran_is_another() {
    let wrong = |uid| file(&[("{name: a,", uid), ("10.0.0.0-10.0.0.9", "x")]);
    for (uid, stays) in [("{uid: u, name: a,", true), ("{uid: v, name: a,", false), ("{name: a,", true)] {
        let mut agent = Agent::default();
        agent.turn(&file(&[("{name: a,", "{uid: u, name: a,")]));
        agent.restart();
        for _ in 0..2 {
            agent.turn(&wrong(uid));
            assert_eq!(agent.shown().iter().any(|line| line.starts_with("a ")), stays, "{uid}");
            agent.restart();
        }
    }
}

#[test]
fn an_object_that_is_right_counts_as_it_is_now() {
    let mut agent = Agent::default();
    agent.turn(&file(&[]));
    agent.restart();
    agent.turn(&file(&[("10.0.0.0-10.0.0.9", "10.0.0.0-10.0.0.19"), ("holdTime: 9s", "holdTime: 30s")]));
    assert!(agent.problems.is_empty() && agent.differs);
    let shown = agent.shown();
    assert_eq!(shown[0], "a 10.0.0.0-10.0.0.19");
    assert!(shown.iter().any(|line| line.starts_with("p ") && line.contains("30")), "{shown:?}");
}

#[test]
fn who_has_an_address_keeps_it_from_a_pool_that_came_while_no_agent_ran() {
    let mut agent = Agent::default();
    agent.turn(&[("b.yaml", metallb("IPAddressPool", "b", "addresses: [10.0.0.0/24]"))]);
    agent.restart();
    let both =
        ["a", "b"].map(|name| metallb("IPAddressPool", name, "addresses: [10.0.0.0/24]")).join("\n---\n");
    agent.turn(&[("b.yaml", both)]);
    assert_eq!(
        (agent.shown(), agent.problems),
        (vec!["b 10.0.0.0-10.0.0.255".into()], vec!["a pool_overlap".into()])
    );
}

#[test]
fn a_file_that_cannot_be_read_keeps_its_own_objects_only() {
    let pool = |name, net| metallb("IPAddressPool", name, &format!("addresses: [{net}]"));
    let mut agent = Agent::default();
    agent.turn(&[("1.yaml", pool("a", "10.0.0.0/24")), ("2.yaml", pool("b", "10.0.1.0/24"))]);
    agent.restart();
    // The other file is gone with what was in it, and stays gone.
    agent.turn(&[("1.yaml", "{".to_owned())]);
    assert_eq!(
        (agent.shown(), &*agent.problems),
        (vec!["a 10.0.0.0-10.0.0.255".into()], &[" bad_document".into()][..])
    );
    agent.restart();
    agent.turn(&[("1.yaml", "{".to_owned()), ("2.yaml", "{".to_owned())]);
    assert_eq!(agent.shown(), ["a 10.0.0.0-10.0.0.255"]);
    // What has gone over to another file is there once.
    agent.turn(&[("1.yaml", "{".to_owned()), ("3.yaml", pool("a", "10.0.0.0/25"))]);
    assert_eq!(
        (agent.shown(), agent.problems),
        (vec!["a 10.0.0.0-10.0.0.127".into()], vec![" bad_document".into()])
    );
}

#[test]
fn what_only_a_secret_knew_is_not_known_without_it() {
    let mut agent = Agent::default();
    agent.turn(&file(&[]));
    agent.turn(&file(&[(SECRET, "")]));
    assert!(agent.model().bgp.peers.contains_key("p"));
    agent.restart();
    agent.turn(&file(&[(SECRET, "")]));
    assert_eq!(
        (agent.model().bgp.peers.contains_key("p"), &*agent.problems),
        (false, &["p unknown_reference".into()][..])
    );
}

#[test]
fn an_advertisement_that_others_have_left_no_place_takes_none_by_a_restart() {
    let told = |of: [(&str, u8, &str); 3]| {
        let written = of.map(|(name, preference, peers)| {
            metallb("BGPAdvertisement", name, &format!("localPref: {preference}, peers: [{peers}]"))
        });
        let pool = metallb("IPAddressPool", "a", "addresses: [10.0.0.0/24]");
        let node = "{apiVersion: v1, kind: Node, metadata: {name: node}, status: {addresses: [{type: InternalIP, address: 10.1.0.1}]}}";
        vec![("all.yaml", [node, &pool, &written.join("\n---\n")].join("\n---\n"))]
    };
    let mut agent = Agent::default();
    agent.turn(&told([("a", 7, "p"), ("b", 8, "q"), ("c", 9, "r")]));
    let wrong = told([("a", 7, "'p', q"), ("b", 8, "r"), ("c", 9, "r")]);
    agent.turn(&wrong);
    let before = (agent.shown(), agent.problems.clone());
    assert_eq!(before.1, ["b local_pref_conflict"]);
    agent.restart();
    agent.turn(&wrong);
    assert_eq!((agent.shown(), agent.problems.clone()), before);
    // Nor does it come back when there is a place again, as it does not without a restart.
    let alone = told([("d", 7, "s"), ("b", 8, "r"), ("c", 9, "r")]);
    for _ in 0..2 {
        agent.turn(&alone);
        assert_eq!(agent.problems, ["b local_pref_conflict"]);
        let advertisements = &agent.model().bgp.advertisements;
        assert_eq!(advertisements.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["c", "d"]);
        agent.restart();
    }
}

#[test]
fn what_changes_nothing_is_no_change() {
    let mut agent = Agent::default();
    agent.turn(&file(&[]));
    assert!(agent.differs);
    agent.turn(&file(&[]));
    assert!(!agent.differs);
    agent.turn(&file(&[("{name: a,", "{annotations: {x: z}, resourceVersion: '9', name: a,")]));
    assert!(!agent.differs);
    agent.turn(&file(&[("{name: a,", "{labels: {x: z}, name: a,")]));
    assert!(agent.differs);
}

#[test]
fn nothing_but_configuration_is_taken_from_what_was_written() {
    let service = "{apiVersion: v1, kind: Service, metadata: {name: s}}";
    let (objects, _) = parse("", &[service, SECRET].join("\n---\n"));
    assert_eq!(objects.len(), 2);
    assert_eq!(objects.into_iter().collect::<LastGood>(), LastGood::default());
}
