//! The findings on a cluster that MetalLB serves: what Fairlead does not support, what it does differently,
//! and what is no longer needed.

use lb_api::objects::Object;
use serde::Serialize;
use serde_json::Value;

use super::cluster::ClusterObjects;

/// A difference between MetalLB and Fairlead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The category.
    #[serde(rename = "what")]
    pub(crate) category: Category,
    /// The object that it is about.
    #[serde(rename = "about")]
    pub(crate) object: String,
    /// The difference, and what to do.
    #[serde(rename = "words")]
    pub(crate) message: String,
}

/// The category of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Category {
    /// Fairlead does not support it.
    Unsupported,
    /// Fairlead does it differently.
    Different,
    /// It can be removed.
    Unused,
}

/// The prefix of the FRRConfigurations that MetalLB creates for each node.
const METALLB_PREFIX: &str = "metallb-";

/// Returns all findings.
pub(crate) fn findings(cluster: &ClusterObjects) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    cluster.config_maps.iter().for_each(|it| findings.config_map(it));
    cluster.frr.iter().for_each(|it| findings.frr(it));
    cluster.peers.iter().for_each(|it| findings.peer(it));
    cluster.l2_advertisements.iter().for_each(|it| findings.l2_advertisement(it));
    cluster.services.iter().for_each(|it| findings.service(it));
    let has_memberlist = cluster
        .objects
        .iter()
        .any(|it| matches!(&it.value, Object::Secret(secret) if secret.metadata.name == "memberlist"));
    if has_memberlist {
        let message = "nodes monitor each other by S-BFD instead of memberlist: port 7946 is not needed";
        findings.add(Category::Unused, "Secret memberlist", message);
    }
    findings.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, category: Category, object: impl Into<String>, message: impl Into<String>) {
        self.0.push(Finding { category, object: object.into(), message: message.into() });
    }

    fn config_map(&mut self, map: &Value) {
        let object = reference(map);
        match text(map, "/metadata/name") {
            "bgpextras" if !text(map, "/data/extras").trim().is_empty() => self.add(
                Category::Unsupported,
                object,
                "FRR configuration (data.extras) is not supported, since Fairlead does not run FRR: check whether a \
                 field of BGPPeer or BGPAdvertisement has the same effect; if not, keep MetalLB on these nodes",
            ),
            "metallb-memberlist-config" => self.add(
                Category::Unused,
                object,
                "nodes monitor each other by S-BFD instead of memberlist: see --liveness-interval and \
                 --liveness-multiplier of the agent",
            ),
            "metallb-excludel2" => self.add(
                Category::Different,
                object,
                "interfaces are not excluded by pattern: the agent announces only on its uplinks (--interface)",
            ),
            // From before MetalLB had custom resources.
            "config" if map.pointer("/data/config").is_some() => self.add(
                Category::Unsupported,
                object,
                "configuration by ConfigMap (MetalLB before 0.13) is not supported: write IPAddressPools, BGPPeers and \
                 advertisements",
            ),
            _ => {}
        }
    }

    fn frr(&mut self, configuration: &Value) {
        if text(configuration, "/metadata/name").starts_with(METALLB_PREFIX) {
            return;
        }
        let object = reference(configuration);
        if !text(configuration, "/spec/raw/rawConfig").trim().is_empty() {
            let message = "FRR configuration (spec.raw) is not supported, since Fairlead does not run FRR";
            self.add(Category::Unsupported, object.clone(), message);
        }
        let routers = items(configuration, "/spec/bgp/routers");
        let neighbors: Vec<&Value> = routers.iter().flat_map(|router| items(router, "/neighbors")).collect();
        if neighbors.iter().any(|neighbor| receives(neighbor)) {
            self.add(
                Category::Unsupported,
                object.clone(),
                "received routes (toReceive) are not installed: Fairlead only advertises; keep frr-k8s or another routing \
                 daemon on another port for that",
            );
        }
        let advertises = routers.iter().any(|router| !items(router, "/prefixes").is_empty());
        if advertises {
            let message = "prefixes that belong to no Service are not advertised: use a router or another daemon for that";
            self.add(Category::Unsupported, object.clone(), message);
        }
        if !neighbors.is_empty() {
            let message = "its neighbors are ignored: write a BGPPeer for each neighbor that Services are advertised to";
            self.add(Category::Different, object, message);
        }
    }

    /// Adds findings for fields that Fairlead uses and MetalLB's default mode ignores.
    fn peer(&mut self, peer: &Value) {
        for field in ["sourceAddress", "localASN"] {
            let written = peer.pointer(&format!("/spec/{field}"));
            if written.is_some_and(|it| !it.is_null() && *it != "" && *it != 0) {
                let message = format!(
                    "spec.{field} takes effect; MetalLB with frr-k8s ignores it. Check its value before the first session"
                );
                self.add(Category::Different, reference(peer), message);
            }
        }
        if peer.pointer("/spec/disableMP") == Some(&Value::Bool(true)) {
            self.add(Category::Unused, reference(peer), "spec.disableMP has no effect; remove it");
        }
    }

    fn l2_advertisement(&mut self, advertisement: &Value) {
        if !items(advertisement, "/spec/serviceSelectors").is_empty() {
            self.add(
                Category::Different,
                reference(advertisement),
                "spec.serviceSelectors: an address shared by Services is announced if the selectors select all of \
                 them; MetalLB does not announce it",
            );
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
            let message =
                format!("annotation {key} is deprecated, but takes effect: write metallb.io/{name}");
            self.add(Category::Different, reference(service), message);
        }
        if text(service, "/spec/externalTrafficPolicy") == "Local" {
            self.add(
                Category::Different,
                reference(service),
                "externalTrafficPolicy Local: nodes without an endpoint advertise it, too, and forward packets to \
                 a node that has one; client addresses are preserved. Use --local-needs-endpoint of the agent for \
                 MetalLB's rule",
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

fn reference(object: &Value) -> String {
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

    /// Returns category and text of each finding.
    fn found(cluster: &ClusterObjects) -> Vec<(Category, String)> {
        findings(cluster)
            .into_iter()
            .map(|it| (it.category, format!("{} {}", it.object, it.message)))
            .collect()
    }

    fn assert_found(cluster: &ClusterObjects, expected: &[(Category, &str)]) {
        let found = found(cluster);
        let fits = |((category, message), (expected, word)): (&(Category, String), &(Category, &str))| {
            category == expected && message.contains(word)
        };
        assert!(found.len() == expected.len() && found.iter().zip(expected).all(fits), "{found:#?}");
    }

    #[test]
    fn config_maps_of_metallb_are_found_by_name() {
        let config_maps = vec![
            object("ConfigMap", "bgpextras", &json!({"data": {"extras": "router bgp 1"}})),
            object("ConfigMap", "config", &json!({"data": {"config": "address-pools: []"}})),
            object("ConfigMap", "metallb-excludel2", &json!({"data": {}})),
            object("ConfigMap", "metallb-memberlist-config", &json!({})),
            object("ConfigMap", "kube-root-ca.crt", &json!({})),
        ];
        let read = ClusterObjects { config_maps, ..ClusterObjects::default() };
        assert_found(
            &read,
            &[
                (Category::Unsupported, "data.extras"),
                (Category::Unsupported, "before 0.13"),
                (Category::Different, "uplinks"),
                (Category::Unused, "S-BFD"),
            ],
        );
        let empty = object("ConfigMap", "bgpextras", &json!({"data": {"extras": " \n"}}));
        assert_found(&ClusterObjects { config_maps: vec![empty], ..ClusterObjects::default() }, &[]);
    }

    #[test]
    fn frr_configurations_of_users_are_found_and_those_of_metallb_are_not() {
        let neighbors = json!([{"toReceive": {"allowed": {"mode": "all"}}}]);
        let rest = json!({"spec": {"raw": {"rawConfig": "x"},
                                   "bgp": {"routers": [{"prefixes": ["10.0.0.0/8"], "neighbors": neighbors}]}}});
        let ours = object("FRRConfiguration", "extra", &rest);
        let theirs = object("FRRConfiguration", "metallb-node1", &rest);
        assert_found(
            &ClusterObjects { frr: vec![theirs, ours], ..ClusterObjects::default() },
            &[
                (Category::Unsupported, "spec.raw"),
                (Category::Unsupported, "toReceive"),
                (Category::Unsupported, "belong to no Service"),
                (Category::Different, "write a BGPPeer"),
            ],
        );
    }

    #[test]
    fn fields_that_metallb_ignores_are_found() {
        let spec = json!({"spec": {"sourceAddress": "10.0.0.1", "localASN": 7, "disableMP": true}});
        let peers =
            vec![object("BGPPeer", "p", &spec), object("BGPPeer", "q", &json!({"spec": {"localASN": 0}}))];
        assert_found(
            &ClusterObjects { peers, ..ClusterObjects::default() },
            &[
                (Category::Different, "sourceAddress"),
                (Category::Different, "localASN"),
                (Category::Unused, "disableMP"),
            ],
        );
    }

    #[test]
    fn service_selectors_of_l2_advertisements_are_found() {
        let spec = json!({"spec": {"interfaces": ["eth0"], "serviceSelectors": [{}], "preferredNodeSelectors": [{}]}});
        let plain = object("L2Advertisement", "plain", &json!({"spec": {"interfaces": ["eth0"]}}));
        let l2_advertisements = vec![plain, object("L2Advertisement", "x", &spec)];
        assert_found(
            &ClusterObjects { l2_advertisements, ..ClusterObjects::default() },
            &[(Category::Different, "spec.serviceSelectors")],
        );
    }

    #[test]
    fn only_services_of_type_load_balancer_are_examined() {
        let local = json!({"metadata": {"annotations": {"metallb.universe.tf/address-pool": "a"}},
                           "spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}});
        let inner = json!({"spec": {"type": "ClusterIP", "externalTrafficPolicy": "Local"}});
        let services = vec![object("Service", "s", &local), object("Service", "t", &inner)];
        assert_found(
            &ClusterObjects { services, ..ClusterObjects::default() },
            &[(Category::Different, "write metallb.io/address-pool"), (Category::Different, "Local")],
        );
    }
}
