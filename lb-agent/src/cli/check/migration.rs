//! What changes for a cluster that MetalLB serves: what of it has no place here, what would be different, and what is
//! not needed any more.

use lb_api::objects::Object;
use lb_model::Model;
use serde::Serialize;
use serde_json::Value;

use super::cluster::Read;

/// Something that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) what: What,
    /// The object.
    pub(super) about: String,
    /// What changes, and what to do.
    pub(super) words: String,
}

/// How it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum What {
    /// It would not be done.
    Unsupported,
    /// It would be done in another way.
    Different,
    /// It may go.
    Unused,
}

/// Begins the names of what MetalLB itself makes for each node.
const MADE_BY_METALLB: &str = "metallb-";

/// All that changes.
pub(super) fn findings(read: &Read) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    read.config_maps.iter().for_each(|it| findings.config_map(it));
    read.frr.iter().for_each(|it| findings.frr(it));
    read.peers.iter().for_each(|it| findings.peer(it));
    read.l2_advertisements.iter().for_each(|it| findings.l2_advertisement(it));
    read.services.iter().for_each(|it| findings.service(it));
    findings.ipv6_on_the_local_network(read);
    let has_memberlist = read
        .objects
        .iter()
        .any(|it| matches!(&it.value, Object::Secret(secret) if secret.metadata.name == "memberlist"));
    if has_memberlist {
        let words = "nodes watch each other by S-BFD, not by memberlist: no port 7946 is needed";
        findings.add(What::Unused, "Secret memberlist", words);
    }
    findings.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, what: What, about: impl Into<String>, words: impl Into<String>) {
        self.0.push(Finding { what, about: about.into(), words: words.into() });
    }

    fn config_map(&mut self, map: &Value) {
        let about = called(map);
        match text(map, "/metadata/name") {
            "bgpextras" if !text(map, "/data/extras").trim().is_empty() => self.add(
                What::Unsupported,
                about,
                "FRR's own words (data.extras) are not read, as no FRR runs: look whether a field of BGPPeer or \
                 BGPAdvertisement says the same, and keep MetalLB on these nodes if none does",
            ),
            "metallb-memberlist-config" => self.add(
                What::Unused,
                about,
                "nodes watch each other by S-BFD, not by memberlist: the agent's --liveness-interval and --liveness-multiplier",
            ),
            "metallb-excludel2" => self.add(
                What::Different,
                about,
                "interfaces are not excluded by pattern: the agent announces on the uplinks that it is given, and on no others",
            ),
            // Before there were kinds for it.
            "config" if map.pointer("/data/config").is_some() => self.add(
                What::Unsupported,
                about,
                "configuration by ConfigMap (MetalLB before 0.13) is not read; write IPAddressPool, BGPPeer and advertisements",
            ),
            _ => {}
        }
    }

    fn frr(&mut self, configuration: &Value) {
        if text(configuration, "/metadata/name").starts_with(MADE_BY_METALLB) {
            return;
        }
        let about = called(configuration);
        if !text(configuration, "/spec/raw/rawConfig").trim().is_empty() {
            let words = "FRR's own words (spec.raw) are not read, as no FRR runs";
            self.add(What::Unsupported, about.clone(), words);
        }
        let routers = items(configuration, "/spec/bgp/routers");
        let neighbors: Vec<&Value> = routers.iter().flat_map(|router| items(router, "/neighbors")).collect();
        if neighbors.iter().any(|neighbor| receives(neighbor)) {
            self.add(
                What::Unsupported,
                about.clone(),
                "routes that routers tell (toReceive) are not taken into the node: Fairlead only announces; keep \
                 frr-k8s, or another router daemon on another port, for that",
            );
        }
        let announces = routers.iter().any(|router| !items(router, "/prefixes").is_empty());
        if announces {
            let words =
                "prefixes that are no Service's are not announced; let a router, or another daemon, do that";
            self.add(What::Unsupported, about.clone(), words);
        }
        if !neighbors.is_empty() {
            let words =
                "its neighbors are not spoken to; write a BGPPeer for each that Services are to be told to";
            self.add(What::Different, about, words);
        }
    }

    /// Fields that MetalLB's default mode does not heed, and Fairlead does.
    fn peer(&mut self, peer: &Value) {
        for field in ["sourceAddress", "localASN"] {
            let written = peer.pointer(&format!("/spec/{field}"));
            if written.is_some_and(|it| !it.is_null() && *it != "" && *it != 0) {
                let words = format!(
                    "spec.{field} is heeded here; MetalLB with frr-k8s passes over it. Look whether it is what you want \
                     before the first session"
                );
                self.add(What::Different, called(peer), words);
            }
        }
        if peer.pointer("/spec/disableMP") == Some(&Value::Bool(true)) {
            self.add(What::Unused, called(peer), "spec.disableMP has no effect; remove it");
        }
    }

    fn l2_advertisement(&mut self, advertisement: &Value) {
        if !items(advertisement, "/spec/serviceSelectors").is_empty() {
            self.add(
                What::Different,
                called(advertisement),
                "spec.serviceSelectors: an address that Services share is announced where the selectors select all of them; \
                 MetalLB does not announce it",
            );
        }
    }

    fn ipv6_on_the_local_network(&mut self, read: &Read) {
        let (model, _) = Model::build(&read.objects, None);
        for (name, pool) in model.pools.iter() {
            let has_ipv6 = pool.ranges.iter().any(|range| range.start().is_ipv6());
            if has_ipv6 && model.l2_advertisements.iter().any(|it| it.selects_pool(name, pool)) {
                self.add(
                    What::Unsupported,
                    format!("IPAddressPool {name}"),
                    "its IPv6 addresses are not announced on the local network, as neighbor solicitations for them are \
                     not answered; announce them by BGP",
                );
            }
        }
    }

    fn service(&mut self, service: &Value) {
        if text(service, "/spec/type") != "LoadBalancer" {
            return;
        }
        let annotations = service.pointer("/metadata/annotations").and_then(Value::as_object);
        let is_old = |key: &&String| key.starts_with("metallb.universe.tf/");
        for key in annotations.into_iter().flat_map(|annotations| annotations.keys()).filter(is_old) {
            let name = key.rsplit('/').next().unwrap_or_default();
            let words = format!("annotation {key} is heeded, and an old name; write metallb.io/{name}");
            self.add(What::Different, called(service), words);
        }
        if text(service, "/spec/externalTrafficPolicy") == "Local" {
            self.add(
                What::Different,
                called(service),
                "externalTrafficPolicy Local: routers hear of it from nodes without an endpoint, too, and clients are still \
                 seen by their own addresses, as packets are carried to a node that has one; --local-needs-endpoint of the \
                 agent makes it MetalLB's rule",
            );
        }
    }
}

fn receives(neighbor: &Value) -> bool {
    let allowed = neighbor.pointer("/toReceive/allowed");
    let all = allowed.and_then(|it| it.get("mode")).and_then(Value::as_str) == Some("all");
    all || allowed.is_some_and(|it| !items(it, "/prefixes").is_empty())
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn called(object: &Value) -> String {
    let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
    match text(object, "/metadata/namespace") {
        "" => format!("{kind} {name}"),
        namespace => format!("{kind} {namespace}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, name: &str, rest: &Value) -> Value {
        let mut object = rest.clone();
        object["kind"] = kind.into();
        object["metadata"]["name"] = name.into();
        object
    }

    /// What is found, and a word of each.
    fn found(read: &Read) -> Vec<(What, String)> {
        findings(read).into_iter().map(|it| (it.what, format!("{} {}", it.about, it.words))).collect()
    }

    fn assert_found(read: &Read, expected: &[(What, &str)]) {
        let found = found(read);
        let fits = |((what, words), (wanted, word)): (&(What, String), &(What, &str))| {
            what == wanted && words.contains(word)
        };
        assert!(found.len() == expected.len() && found.iter().zip(expected).all(fits), "{found:#?}");
    }

    #[test]
    fn config_maps_are_told_by_their_names() {
        let config_maps = vec![
            object("ConfigMap", "bgpextras", &json!({"data": {"extras": "router bgp 1"}})),
            object("ConfigMap", "config", &json!({"data": {"config": "address-pools: []"}})),
            object("ConfigMap", "metallb-excludel2", &json!({"data": {}})),
            object("ConfigMap", "metallb-memberlist-config", &json!({})),
            object("ConfigMap", "kube-root-ca.crt", &json!({})),
        ];
        let read = Read { config_maps, ..Read::default() };
        assert_found(
            &read,
            &[
                (What::Unsupported, "data.extras"),
                (What::Unsupported, "before 0.13"),
                (What::Different, "uplinks"),
                (What::Unused, "S-BFD"),
            ],
        );
        let empty = object("ConfigMap", "bgpextras", &json!({"data": {"extras": " \n"}}));
        assert_found(&Read { config_maps: vec![empty], ..Read::default() }, &[]);
    }

    #[test]
    fn frr_configurations_of_users_are_told_and_not_those_of_metallb() {
        let neighbors = json!([{"toReceive": {"allowed": {"mode": "all"}}}]);
        let rest = json!({"spec": {"raw": {"rawConfig": "x"},
                                   "bgp": {"routers": [{"prefixes": ["10.0.0.0/8"], "neighbors": neighbors}]}}});
        let ours = object("FRRConfiguration", "extra", &rest);
        let theirs = object("FRRConfiguration", "metallb-node1", &rest);
        assert_found(
            &Read { frr: vec![theirs, ours], ..Read::default() },
            &[
                (What::Unsupported, "spec.raw"),
                (What::Unsupported, "toReceive"),
                (What::Unsupported, "no Service's"),
                (What::Different, "write a BGPPeer"),
            ],
        );
    }

    #[test]
    fn fields_that_metallb_passes_over_are_told() {
        let spec = json!({"spec": {"sourceAddress": "10.0.0.1", "localASN": 7, "disableMP": true}});
        let peers =
            vec![object("BGPPeer", "p", &spec), object("BGPPeer", "q", &json!({"spec": {"localASN": 0}}))];
        assert_found(
            &Read { peers, ..Read::default() },
            &[(What::Different, "sourceAddress"), (What::Different, "localASN"), (What::Unused, "disableMP")],
        );
    }

    #[test]
    fn what_service_selectors_of_l2_advertisements_do_otherwise_is_told() {
        let spec = json!({"spec": {"interfaces": ["eth0"], "serviceSelectors": [{}], "preferredNodeSelectors": [{}]}});
        let plain = object("L2Advertisement", "plain", &json!({"spec": {"interfaces": ["eth0"]}}));
        let l2_advertisements = vec![plain, object("L2Advertisement", "x", &spec)];
        assert_found(
            &Read { l2_advertisements, ..Read::default() },
            &[(What::Different, "spec.serviceSelectors")],
        );
    }

    #[test]
    fn ipv6_is_told_where_it_is_for_the_local_network() {
        let read = |addresses: &str, pools: &str| {
            let text = format!(
                "{{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {{name: a}}, spec: {{addresses: ['{addresses}']}}}}\n\
                 ---\n{{apiVersion: metallb.io/v1beta1, kind: L2Advertisement, metadata: {{name: a}}, spec: {{ipAddressPools: [{pools}]}}}}\n"
            );
            Read { objects: lb_api::objects::parse("", &text).0, ..Read::default() }
        };
        assert_found(&read("2001:db8::/64", "a"), &[(What::Unsupported, "announce them by BGP")]);
        assert_found(&read("2001:db8::/64", "b"), &[]);
        assert_found(&read("10.0.0.0/24", "a"), &[]);
    }

    #[test]
    fn services_are_told_where_they_are_of_the_load_balancer() {
        let local = json!({"metadata": {"annotations": {"metallb.universe.tf/address-pool": "a"}},
                           "spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}});
        let inner = json!({"spec": {"type": "ClusterIP", "externalTrafficPolicy": "Local"}});
        let services = vec![object("Service", "s", &local), object("Service", "t", &inner)];
        assert_found(
            &Read { services, ..Read::default() },
            &[(What::Different, "write metallb.io/address-pool"), (What::Different, "Local")],
        );
    }
}
