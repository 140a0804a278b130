//! The desired state: all status objects of a component.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::{Value, json};

use super::kind::StatusKind;
use super::name;
use super::warning::ServiceWarning;
use crate::event_reason::{CONFIG_VALID, INVALID, POOLS_VALID, StatusCondition, VALID};

/// All desired status objects, by kind and name, and what Events warn of; any other object is deleted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DesiredStatus {
    pub(super) objects: BTreeMap<(StatusKind, String), DesiredObject>,
    pub(super) warnings: BTreeSet<ServiceWarning>,
}

/// The desired content of a status object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DesiredObject {
    pub(super) labels: BTreeMap<&'static str, String>,
    pub(super) status: Value,
}

/// The component whose status is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusComponent<'a> {
    /// The agent of a node.
    Agent(&'a str),
    /// The controller.
    Controller,
}

/// The state of a session with a BGP peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReport {
    /// The peer's address; the interface's name for an unnumbered peer.
    pub peer: String,
    /// The VRF, if one is configured.
    pub vrf: Option<String>,
    /// The BGP state, as FRR names it.
    pub bgp: &'static str,
    /// The BFD state, as FRR names it; `None` if BFD is not configured.
    pub bfd: Option<&'static str>,
}

/// The BFD state if BFD is not configured, as frr-k8s names it.
const NO_BFD: &str = "N/A";
/// Maximum length of `errorSummary` and of a condition's message, in bytes: the log has all errors.
const MAX_SUMMARY: usize = 2048;

impl DesiredStatus {
    /// Adds the BGP status of a Service: the peers to which a node advertises it.
    pub fn set_service_bgp(&mut self, node: &str, namespace: &str, service: &str, peers: &[String]) {
        let status =
            json!({"node": node, "serviceName": service, "serviceNamespace": namespace, "peers": peers});
        self.set_service(StatusKind::ServiceBgp, "bgp", [node, namespace, service], status);
    }

    /// Adds the layer 2 status of a Service: the interfaces on which a node announces it, none for all.
    pub fn set_service_l2(
        &mut self,
        node: &str,
        namespace: &str,
        service: &str,
        interfaces: &BTreeSet<String>,
    ) {
        let interfaces: Vec<_> = interfaces.iter().map(|name| json!({"name": name})).collect();
        let status = json!({
            "node": node, "serviceName": service, "serviceNamespace": namespace, "interfaces": interfaces,
        });
        self.set_service(StatusKind::ServiceL2, "l2", [node, namespace, service], status);
    }

    fn set_service(
        &mut self,
        kind: StatusKind,
        prefix: &str,
        [node, namespace, service]: [&str; 3],
        status: Value,
    ) {
        let labels = BTreeMap::from([
            (kind.node_label(), name::label(node)),
            ("metallb.io/service-name", service.to_owned()),
            ("metallb.io/service-namespace", namespace.to_owned()),
        ]);
        // Service and namespace contain no dot, so the name is unique among the node's Services.
        let name = format!("{prefix}-{service}.{namespace}.{}", name::part(node));
        self.objects.insert((kind, name), DesiredObject { labels, status });
    }

    /// Adds a warning: an Event about the Service, emitted once for as long as the warning is added.
    pub fn warn(&mut self, warning: ServiceWarning) {
        self.warnings.insert(warning);
    }

    /// Adds the status of the configuration: the errors in address pools, and in all other kinds, a sentence
    /// each.
    pub fn set_configuration(&mut self, component: StatusComponent<'_>, pools: &[String], others: &[String]) {
        let (name, component_type) = match component {
            StatusComponent::Agent(node) => (format!("speaker-{}", name::part(node)), "speaker"),
            StatusComponent::Controller => ("controller".to_owned(), "controller"),
        };
        let mut labels = BTreeMap::from([("metallb.io/component-type", component_type.to_owned())]);
        if let StatusComponent::Agent(node) = component {
            labels.insert(StatusKind::Configuration.node_label(), name::label(node));
        }
        let status = json!({
            "result": if pools.is_empty() && others.is_empty() { "Valid" } else { "Invalid" },
            "errorSummary": summary(pools.iter().chain(others)),
            "conditions": [condition(CONFIG_VALID, others), condition(POOLS_VALID, pools)],
        });
        self.objects.insert((StatusKind::Configuration, name), DesiredObject { labels, status });
    }

    /// Adds the status of a node's session.
    pub fn set_session(&mut self, node: &str, session: &SessionReport) {
        let peer = session.peer.parse().map_or_else(|_| session.peer.clone(), format_address);
        let vrf = session.vrf.as_deref().unwrap_or_default();
        let labels = BTreeMap::from([
            (StatusKind::Session.node_label(), name::label(node)),
            ("frrk8s.metallb.io/peer", name::label(&peer)),
            ("frrk8s.metallb.io/vrf", name::label(vrf)),
        ]);
        let status = json!({
            "bgpStatus": session.bgp, "bfdStatus": session.bfd.unwrap_or(NO_BFD),
            "node": node, "peer": peer, "vrf": vrf,
        });
        let suffix = if vrf.is_empty() { peer } else { format!("{peer}@{vrf}") };
        let name = format!("{}-{}", name::part(node), name::part(&suffix));
        self.objects.insert((StatusKind::Session, name), DesiredObject { labels, status });
    }

    /// Returns the objects of a kind.
    pub(super) fn of_kind(&self, kind: StatusKind) -> impl Iterator<Item = &DesiredObject> {
        let objects = self.objects.iter().filter(move |((of, _), _)| *of == kind);
        objects.map(|(_, object)| object)
    }
}

/// Formats an address as frr-k8s does: an IPv6 address in full, with dashes, because a label may not contain
/// colons.
fn format_address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address.segments().map(|segment| format!("{segment:04x}")).join("-"),
    }
}

fn condition(StatusCondition { name, .. }: StatusCondition, errors: &[String]) -> Value {
    let (status, reason) = if errors.is_empty() { ("True", VALID) } else { ("False", INVALID) };
    json!({"type": name, "status": status, "reason": reason, "message": summary(errors.iter())})
}

fn summary<'a>(errors: impl Iterator<Item = &'a String> + Clone) -> String {
    let mut summary = String::new();
    for (listed, error) in errors.clone().enumerate() {
        if summary.len() + error.len() > MAX_SUMMARY {
            let left = errors.count() - listed;
            return match listed {
                0 => format!("{} …", &error[..error.floor_char_boundary(MAX_SUMMARY)]),
                _ => format!("{summary}\nand {left} more"),
            };
        }
        if listed > 0 {
            summary.push('\n');
        }
        summary.push_str(error);
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(desired: &DesiredStatus) -> (&str, &DesiredObject) {
        let ((_, name), object) = desired.objects.iter().next().unwrap();
        (name, object)
    }

    #[test]
    fn a_service_is_reported_as_metallb_does() {
        let mut desired = DesiredStatus::default();
        desired.set_service_bgp("n1.example", "shop", "web", &["tor-a".into(), "tor-b".into()]);
        let (name, object) = only(&desired);
        assert_eq!(name, "bgp-web.shop.n1.example");
        assert_eq!(object.labels["metallb.io/node"], "n1.example");
        assert_eq!(object.labels["metallb.io/service-name"], "web");
        assert_eq!(object.labels["metallb.io/service-namespace"], "shop");
        let expected = json!({
            "node": "n1.example", "serviceName": "web", "serviceNamespace": "shop", "peers": ["tor-a", "tor-b"],
        });
        assert_eq!(object.status, expected);
    }

    #[test]
    fn an_announced_service_is_reported_as_metallb_does() {
        let status = |interfaces: &[&str]| {
            let mut desired = DesiredStatus::default();
            let interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
            desired.set_service_l2("n1.example", "shop", "web", &interfaces);
            let (name, object) = only(&desired);
            assert_eq!(name, "l2-web.shop.n1.example");
            assert_eq!(object.labels["metallb.io/node"], "n1.example");
            assert_eq!(object.labels["metallb.io/service-name"], "web");
            assert_eq!(object.labels["metallb.io/service-namespace"], "shop");
            object.status.clone()
        };
        let expected = json!({
            "node": "n1.example", "serviceName": "web", "serviceNamespace": "shop",
            "interfaces": [{"name": "eth0"}, {"name": "eth1"}],
        });
        assert_eq!(status(&["eth1", "eth0"]), expected);
        assert_eq!(status(&[])["interfaces"], json!([]), "none for all");
    }

    #[test]
    fn a_session_is_reported_as_frr_k8s_does() {
        let mut desired = DesiredStatus::default();
        let session = |peer: &str, vrf: Option<&str>, bfd| SessionReport {
            peer: peer.into(),
            vrf: vrf.map(str::to_owned),
            bgp: "Established",
            bfd,
        };
        desired.set_session("n1", &session("2001:db8::1", None, None));
        let (name, object) = only(&desired);
        assert_eq!(name, "n1-2001-0db8-0000-0000-0000-0000-0000-0001");
        assert_eq!(object.labels["frrk8s.metallb.io/peer"], "2001-0db8-0000-0000-0000-0000-0000-0001");
        let expected = json!({
            "bgpStatus": "Established", "bfdStatus": "N/A", "node": "n1",
            "peer": "2001-0db8-0000-0000-0000-0000-0000-0001", "vrf": "",
        });
        assert_eq!(object.status, expected);
        for (peer, vrf) in
            [("10.0.0.1", None), ("10.0.0.1", Some("red")), ("10.0.0.1", Some("Red")), ("eth1", None)]
        {
            desired.set_session("n1", &session(peer, vrf, Some("Up")));
        }
        assert_eq!(desired.objects.len(), 5, "each session has its own object: {:?}", desired.objects.keys());
    }

    #[test]
    fn errors_are_listed_up_to_a_maximum_length() {
        let state = |errors: &[String]| {
            let mut desired = DesiredStatus::default();
            desired.set_configuration(StatusComponent::Agent("n1"), &[], errors);
            only(&desired).1.status.clone()
        };
        let valid = json!({
            "result": "Valid", "errorSummary": "",
            "conditions": [
                {"type": "configReconcilerValid", "status": "True", "reason": "Reconciled", "message": ""},
                {"type": "poolReconcilerValid", "status": "True", "reason": "Reconciled", "message": ""},
            ],
        });
        assert_eq!(state(&[]), valid);
        let invalid = state(&["one".into(), "two".into()]);
        assert_eq!((&invalid["result"], &invalid["errorSummary"]), (&json!("Invalid"), &json!("one\ntwo")));
        let reasons = ["ConfigurationError", "Reconciled"];
        assert_eq!([&invalid["conditions"][0]["reason"], &invalid["conditions"][1]["reason"]], reasons);
        let many = vec!["é".repeat(100); 1000];
        let summary = state(&many)["errorSummary"].as_str().unwrap().to_owned();
        assert!(summary.len() < MAX_SUMMARY + 32 && summary.ends_with("and 990 more"), "{summary}");
        let long = state(&["é".repeat(2000)])["errorSummary"].as_str().unwrap().to_owned();
        assert!(long.len() < MAX_SUMMARY + 32 && long.ends_with("é …"), "{long}");
    }

    #[test]
    fn the_controller_reports_for_no_node() {
        let mut desired = DesiredStatus::default();
        desired.set_configuration(StatusComponent::Controller, &["bad pool".into()], &[]);
        let (name, object) = only(&desired);
        assert_eq!((name, object.labels.len()), ("controller", 1));
        assert_eq!(object.status["conditions"][1]["message"], "bad pool");
        assert_eq!(object.status["errorSummary"], "bad pool");
    }
}
