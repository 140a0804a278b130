//! What the cluster shall be told, whole.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::kind::Kind;
use super::name;

/// Objects that shall be there, by kind and name; no others shall.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    pub(super) objects: BTreeMap<(Kind, String), Statement>,
}

/// What an object says.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub(super) labels: BTreeMap<&'static str, String>,
    pub(super) status: Value,
}

/// Whether what configures the load balancer is right, as one component sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Configuration<'a> {
    /// The agent of a node.
    Agent(&'a str),
    /// The controller.
    Controller,
}

/// How a session with a router stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The router's address; an interface's name for one without.
    pub peer: String,
    /// The VRF, if one is said.
    pub vrf: Option<String>,
    /// BGP's state, by FRR's word.
    pub bgp: &'static str,
    /// BFD's state, by FRR's word; `None` where it is not asked.
    pub bfd: Option<&'static str>,
}

/// What BFD is where it is not asked, by frr-k8s's word.
const NO_BFD: &str = "N/A";
/// An `errorSummary` and a condition's message are no longer, in octets: whoever wants all reads the log.
const LONGEST_SUMMARY: usize = 2048;

impl Wanted {
    /// A node tells these peers of a Service.
    pub fn service(&mut self, node: &str, namespace: &str, service: &str, peers: &[String]) {
        let labels = BTreeMap::from([
            (Kind::ServiceBgp.node_label(), name::label(node)),
            ("metallb.io/service-name", service.to_owned()),
            ("metallb.io/service-namespace", namespace.to_owned()),
        ]);
        let status =
            json!({"node": node, "serviceName": service, "serviceNamespace": namespace, "peers": peers});
        // Neither of the first two holds a dot, so no two Services of a node are called the same.
        let name = format!("bgp-{service}.{namespace}.{}", name::part(node));
        self.objects.insert((Kind::ServiceBgp, name), Statement { labels, status });
    }

    /// These faults are in pools, and in all else that configures the load balancer, a sentence each.
    pub fn configuration(&mut self, of: Configuration<'_>, pools: &[String], others: &[String]) {
        let (name, component) = match of {
            Configuration::Agent(node) => (format!("speaker-{}", name::part(node)), "speaker"),
            Configuration::Controller => ("controller".to_owned(), "controller"),
        };
        let mut labels = BTreeMap::from([("metallb.io/component-type", component.to_owned())]);
        if let Configuration::Agent(node) = of {
            labels.insert(Kind::Configuration.node_label(), name::label(node));
        }
        let status = json!({
            "result": if pools.is_empty() && others.is_empty() { "Valid" } else { "Invalid" },
            "errorSummary": summary(pools.iter().chain(others)),
            "conditions": [condition("configReconcilerValid", others), condition("poolReconcilerValid", pools)],
        });
        self.objects.insert((Kind::Configuration, name), Statement { labels, status });
    }

    /// A node's session stands like this.
    pub fn session(&mut self, node: &str, session: &Session) {
        let peer = session.peer.parse().map_or_else(|_| session.peer.clone(), dashed);
        let vrf = session.vrf.as_deref().unwrap_or_default();
        let labels = BTreeMap::from([
            (Kind::Session.node_label(), name::label(node)),
            ("frrk8s.metallb.io/peer", name::label(&peer)),
            ("frrk8s.metallb.io/vrf", name::label(vrf)),
        ]);
        let status = json!({
            "bgpStatus": session.bgp, "bfdStatus": session.bfd.unwrap_or(NO_BFD),
            "node": node, "peer": peer, "vrf": vrf,
        });
        let which = if vrf.is_empty() { peer } else { format!("{peer}@{vrf}") };
        let name = format!("{}-{}", name::part(node), name::part(&which));
        self.objects.insert((Kind::Session, name), Statement { labels, status });
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &Statement> {
        let of_kind = self.objects.iter().filter(|((kind, _), _)| *kind == Kind::ServiceBgp);
        of_kind.map(|(_, statement)| statement)
    }
}

/// As frr-k8s writes an address: an IPv6 address whole, with dashes, for a label may hold no colon.
fn dashed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address.segments().map(|segment| format!("{segment:04x}")).join("-"),
    }
}

fn condition(name: &str, faults: &[String]) -> Value {
    let (status, reason) =
        if faults.is_empty() { ("True", "Reconciled") } else { ("False", "ConfigurationError") };
    json!({"type": name, "status": status, "reason": reason, "message": summary(faults.iter())})
}

fn summary<'a>(faults: impl Iterator<Item = &'a String> + Clone) -> String {
    let mut summary = String::new();
    for (told, fault) in faults.clone().enumerate() {
        if summary.len() + fault.len() > LONGEST_SUMMARY {
            let left = faults.count() - told;
            return match told {
                0 => format!("{} …", &fault[..fault.floor_char_boundary(LONGEST_SUMMARY)]),
                _ => format!("{summary}\nand {left} more"),
            };
        }
        if told > 0 {
            summary.push('\n');
        }
        summary.push_str(fault);
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(wanted: &Wanted) -> (&str, &Statement) {
        let ((_, name), statement) = wanted.objects.iter().next().unwrap();
        (name, statement)
    }

    #[test]
    fn a_service_is_told_of_as_metallb_does() {
        let mut wanted = Wanted::default();
        wanted.service("n1.example", "shop", "web", &["tor-a".into(), "tor-b".into()]);
        let (name, statement) = only(&wanted);
        assert_eq!(name, "bgp-web.shop.n1.example");
        assert_eq!(statement.labels["metallb.io/node"], "n1.example");
        assert_eq!(statement.labels["metallb.io/service-name"], "web");
        assert_eq!(statement.labels["metallb.io/service-namespace"], "shop");
        let expected = json!({
            "node": "n1.example", "serviceName": "web", "serviceNamespace": "shop", "peers": ["tor-a", "tor-b"],
        });
        assert_eq!(statement.status, expected);
    }

    #[test]
    fn a_session_is_told_of_as_frr_k8s_does() {
        let mut wanted = Wanted::default();
        let session = |peer: &str, vrf: Option<&str>, bfd| Session {
            peer: peer.into(),
            vrf: vrf.map(str::to_owned),
            bgp: "Established",
            bfd,
        };
        wanted.session("n1", &session("2001:db8::1", None, None));
        let (name, statement) = only(&wanted);
        assert_eq!(name, "n1-2001-0db8-0000-0000-0000-0000-0000-0001");
        assert_eq!(statement.labels["frrk8s.metallb.io/peer"], "2001-0db8-0000-0000-0000-0000-0000-0001");
        let expected = json!({
            "bgpStatus": "Established", "bfdStatus": "N/A", "node": "n1",
            "peer": "2001-0db8-0000-0000-0000-0000-0000-0001", "vrf": "",
        });
        assert_eq!(statement.status, expected);
        for (peer, vrf) in
            [("10.0.0.1", None), ("10.0.0.1", Some("red")), ("10.0.0.1", Some("Red")), ("eth1", None)]
        {
            wanted.session("n1", &session(peer, vrf, Some("Up")));
        }
        assert_eq!(wanted.objects.len(), 5, "each is an object of its own: {:?}", wanted.objects.keys());
    }

    #[test]
    fn faults_are_told_in_words_and_not_without_end() {
        let state = |faults: &[String]| {
            let mut wanted = Wanted::default();
            wanted.configuration(Configuration::Agent("n1"), &[], faults);
            only(&wanted).1.status.clone()
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
        assert!(summary.len() < LONGEST_SUMMARY + 32 && summary.ends_with("and 990 more"), "{summary}");
        let long = state(&["é".repeat(2000)])["errorSummary"].as_str().unwrap().to_owned();
        assert!(long.len() < LONGEST_SUMMARY + 32 && long.ends_with("é …"), "{long}");
    }

    #[test]
    fn the_controller_speaks_for_no_node() {
        let mut wanted = Wanted::default();
        wanted.configuration(Configuration::Controller, &["bad pool".into()], &[]);
        let (name, statement) = only(&wanted);
        assert_eq!((name, statement.labels.len()), ("controller", 1));
        assert_eq!(statement.status["conditions"][1]["message"], "bad pool");
        assert_eq!(statement.status["errorSummary"], "bad pool");
    }
}
