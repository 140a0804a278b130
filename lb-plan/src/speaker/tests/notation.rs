//! A short notation, so that a case is a line.

use crate::speaker::{ServiceAdvertisement, SpeakerPlan, SpeakerSettings, plan};
use lb_api::objects;
use lb_model::Model;

/// A cluster as node `own` sees it, and its settings.
pub(super) struct World {
    pub(super) model: Model,
    pub(super) settings: SpeakerSettings,
}

/// Pools `net` (with label `net: yes`), `half`, `six`, and `low` and `high`, which share a prefix of length
/// 31.
const POOLS: &str = "
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: net, namespace: lb, labels: {net: 'yes'}}, spec: {addresses: [192.0.2.0/24]}}
---
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: half, namespace: lb}, spec: {addresses: [198.51.100.0/25]}}
---
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: six, namespace: lb}, spec: {addresses: ['2001:db8::/64']}}
---
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: low, namespace: lb}, spec: {addresses: [203.0.113.0-203.0.113.2]}}
---
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: high, namespace: lb}, spec: {addresses: [203.0.113.3-203.0.113.5]}}
";

impl World {
    /// `own LABELS|down|excluded`, `peer NAME ADDRESS [SPEC]`, `ad NAME [SPEC]`, `svc NAME ADDRESSES [local]
    /// [NODES] [LABEL:VALUE]`, `say WORD`: words of SPEC are YAML without blanks. A Service has an endpoint
    /// on each of NODES (`on=own,other`, `on=-` for none), on both if they are not said.
    pub(super) fn of(lines: &[&str]) -> Self {
        let mut text = POOLS.to_owned();
        let mut settings = SpeakerSettings::default();
        let mut own = node("own", "", "");
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["own", "down"] => own = node("own", "", "{type: NetworkUnavailable, status: 'True'}"),
                ["own", "unknown"] => own = node("own", "", "{type: NetworkUnavailable, status: Unknown}"),
                ["own", labels] => own = node("own", labels, ""),
                ["peer", name, address, spec @ ..] => text += &peer(name, address, spec),
                ["ad", name, spec @ ..] => text += &advertisement(name, spec),
                ["svc", name, addresses, rest @ ..] => text += &service(name, addresses, rest),
                ["say", "drain"] => settings.draining = true,
                ["say", "withdraw"] => settings.withdrawn = true,
                ["say", "strict"] => settings.local_needs_endpoint = true,
                ["say", "anyway"] => settings.ignore_exclude_label = true,
                _ => panic!("{line}"),
            }
        }
        text += &own;
        text += &node("other", "", "");
        let (objects, problems) = objects::parse("world", &text);
        assert!(problems.is_empty(), "{problems:?}");
        let (model, problems) = Model::build(&objects, None);
        let grave: Vec<_> =
            problems.iter().filter(|problem| problem.label() != "no_serving_endpoint").collect();
        assert!(grave.is_empty(), "{grave:?}");
        Self { model, settings }
    }

    pub(super) fn plan(&self) -> SpeakerPlan {
        plan(&self.model, &"own".into(), &self.settings).unwrap()
    }
}

/// Returns an object of namespace `lb`, or of the namespace before a slash in its name.
fn metallb(kind: &str, version: &str, name: &str, spec: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("lb", name));
    format!(
        "---\napiVersion: metallb.io/{version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{{spec}}}\n"
    )
}

fn peer(name: &str, address: &str, spec: &[&str]) -> String {
    let place = if address == "eth0" { "interface" } else { "peerAddress" };
    let spec = format!("myASN: 64512, peerASN: 64513, {place}: '{address}', {}", spaced(spec));
    metallb("BGPPeer", "v1beta2", name, &spec)
}

fn advertisement(name: &str, spec: &[&str]) -> String {
    metallb("BGPAdvertisement", "v1beta1", name, &spaced(spec))
}

/// `key:value` needs a blank to be YAML, except within quotes.
fn spaced(words: &[&str]) -> String {
    let spaced: Vec<_> = words.iter().map(|word| word.replace(":{", ": {").replace(":[", ": [")).collect();
    let pairs: Vec<_> = spaced
        .iter()
        .map(|word| match word.split_once(':') {
            Some((key, value)) if !value.starts_with(' ') => format!("{key}: {value}"),
            _ => word.clone(),
        })
        .collect();
    pairs.join(", ").replace("=", ": ")
}

fn service(name: &str, addresses: &str, rest: &[&str]) -> String {
    let (mut policy, mut nodes, mut labels) = ("Cluster", "own,other", String::new());
    for word in rest {
        match word.split_once('=') {
            None if *word == "local" => policy = "Local",
            Some(("on", list)) => nodes = list,
            Some((key, value)) => labels = format!("{key}: {value}"),
            None => panic!("{word}"),
        }
    }
    let mut text = format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: '{name}', namespace: d, labels: {{{labels}}}, \
         annotations: {{metallb.io/loadBalancerIPs: '{addresses}'}}}}\n\
         spec: {{type: LoadBalancer, externalTrafficPolicy: {policy}, ports: [{{port: 80}}]}}\n"
    );
    for (family, address) in [("IPv4", "10.9.0.1"), ("IPv6", "fd09::1")] {
        let on = nodes.split(',').filter(|node| *node != "-").enumerate();
        let endpoints: Vec<_> =
            on.map(|(i, node)| format!("{{addresses: ['{address}{i}'], nodeName: {node}}}")).collect();
        text += &format!(
            "---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: {name}-{}, namespace: d, \
             labels: {{kubernetes.io/service-name: '{name}'}}}}, addressType: {family}, ports: [{{port: 80}}], endpoints: [{}]}}\n",
            family.to_lowercase(),
            endpoints.join(", ")
        );
    }
    text
}

fn node(name: &str, labels: &str, conditions: &str) -> String {
    let address = if name == "own" { 1 } else { 2 };
    let labels = match labels {
        "excluded" => "node.kubernetes.io/exclude-from-external-load-balancers: ''".to_owned(),
        labels => labels.replace('=', ": "),
    };
    format!(
        "---\n{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {{{labels}}}}}, status: {{addresses: \
         [{{type: InternalIP, address: 10.8.0.{address}}}], conditions: [{conditions}]}}}}\n"
    )
}

/// Returns a line for each route of a peer (`PEER PREFIX [pref=N] [COMMUNITIES]`), then for each Service that
/// is not advertised, then for each problem.
pub(super) fn advertised(world: &World) -> Vec<String> {
    let plan = world.plan();
    let mut lines = Vec::new();
    for (name, peer) in &plan.peers {
        for (prefix, attributes) in peer.routes.iter() {
            let mut words = vec![name.clone(), prefix.to_string()];
            words.extend(attributes.local_pref.map(|preference| format!("pref={preference}")));
            words.extend(attributes.communities.iter().map(ToString::to_string));
            words.extend(attributes.large_communities.iter().map(|it| format!("large:{it}")));
            lines.push(words.join(" "));
        }
    }
    for (name, announcement) in &plan.services {
        if let ServiceAdvertisement::Withheld(withheld) = announcement {
            lines.push(format!("{} {}", name.name, withheld.label()));
        }
    }
    for problem in &plan.problems {
        let name = problem.object.as_ref().map_or("", |object| &object.name);
        lines.push(format!("{name} {}", problem.label()));
    }
    lines
}
