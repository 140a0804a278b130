use proptest::prelude::*;

use super::*;
use crate::problem::Severity;

/// Reads a text that has no problems.
fn read(text: &str) -> Vec<Sourced<Object>> {
    let (objects, problems) = parse("test.yaml", text);
    assert_eq!(problems, []);
    objects
}

/// Reads a text that has one problem, as a line.
fn problem(text: &str) -> String {
    let (_, problems) = parse("test.yaml", text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

fn names_and_lines(text: &str) -> Vec<(String, usize)> {
    let (objects, _) = parse("test.yaml", text);
    objects.iter().map(|object| (object.value.metadata().name.clone(), object.line)).collect()
}

const NODE_A: &str = "{apiVersion: v1, kind: Node, metadata: {name: a}}";

#[test]
fn a_service_is_read_with_the_relevant_fields() {
    let objects = read(
        "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {app: web}, annotations: {x: z}, uid: not-looked-at}
spec:
  type: LoadBalancer
  ports: [{name: http, protocol: TCP, port: 80, targetPort: 8080, nodePort: 30080}]
  externalTrafficPolicy: Local
  sessionAffinity: ClientIP
  loadBalancerIP: 192.0.2.1
  loadBalancerClass: example.com/lb
status: {loadBalancer: {ingress: [{ip: 192.0.2.2, ipMode: VIP}, {hostname: example.com}]}}
",
    );
    let [Sourced { line: 2, value: Object::Service(service), .. }] = &objects[..] else {
        panic!("{objects:?}")
    };
    assert_eq!(service.metadata.namespace.as_deref(), Some("shop"));
    assert_eq!(service.spec.r#type.as_deref(), Some("LoadBalancer"));
    assert_eq!(service.spec.ports[0].port.get(), 80);
    assert_eq!(service.spec.load_balancer_ip.as_deref(), Some("192.0.2.1"));
    assert_eq!(service.spec.load_balancer_class.as_deref(), Some("example.com/lb"));
    assert_eq!(service.spec.external_traffic_policy.as_deref(), Some("Local"));
    assert_eq!(service.spec.session_affinity.as_deref(), Some("ClientIP"));
    let ips: Vec<_> =
        service.status.load_balancer.ingress.iter().map(|ingress| ingress.ip.as_deref()).collect();
    assert_eq!(ips, [Some("192.0.2.2"), None]);
}

#[test]
fn the_other_kinds_are_read() {
    let objects = read(
        "
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s}, addressType: IPv4,
 endpoints: [{addresses: [10.0.0.1], nodeName: a, conditions: {ready: false, serving: true}}, {addresses: null}],
 ports: [{name: http, port: 8080}]}
---
{apiVersion: v1, kind: Node, metadata: {name: m}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}
---
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: p},
 spec: {addresses: [192.0.2.0/24], autoAssign: false, avoidBuggyIPs: true}}
---
{apiVersion: metallb.io/v1beta1, kind: L2Advertisement, metadata: {name: l},
 spec: {ipAddressPools: [p], ipAddressPoolSelectors: [{matchLabels: {a: b}}], nodeSelectors: [{}], interfaces: [eth0]}}
---
{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: b}, spec: {myASN: 64512}}
",
    );
    let kinds: Vec<_> = objects.iter().map(|object| object.value.kind().name).collect();
    assert_eq!(kinds, ["EndpointSlice", "Node", "IPAddressPool", "L2Advertisement", "BGPPeer"]);
    let Object::EndpointSlice(slice) = &objects[0].value else { panic!() };
    let conditions = Conditions { ready: Some(false), serving: Some(true), terminating: None };
    assert_eq!(slice.endpoints[0].conditions, conditions);
    let Object::IpAddressPool(pool) = &objects[2].value else { panic!() };
    assert_eq!((pool.spec.auto_assign, pool.spec.avoid_buggy_ips), (Some(false), Some(true)));
    let Object::L2Advertisement(advertisement) = &objects[3].value else { panic!() };
    assert_eq!(advertisement.spec.interfaces, ["eth0"]);
    assert_eq!(advertisement.spec.ip_address_pool_selectors.len(), 1);
}

#[test]
fn ignored_kinds_are_no_problem() {
    let kinds = ["ConfigMap"];
    for kind in kinds {
        assert_eq!(read(&format!("{{apiVersion: v1, kind: {kind}, data: {{a: b}}}}")), []);
    }
}

#[test]
fn empty_text_has_no_objects() {
    for text in ["", "\n\n", "---\n---\n", "# only a comment\n---\n   # another\n", "%YAML 1.1\n---\n"] {
        assert_eq!(read(text), [], "{text:?}");
    }
}

#[test]
fn documents_are_separated_and_know_their_lines() {
    let text =
        format!("# head\n\n---\n\n{NODE_A}\n--- # two\n{}\n...\n---\n", NODE_A.replace("name: a", "name: b"));
    assert_eq!(names_and_lines(&text), [("a".into(), 5), ("b".into(), 6)]);
    let ended = format!("{NODE_A}\n...\n{}", NODE_A.replace("name: a", "name: b"));
    assert_eq!(names_and_lines(&ended), [("a".into(), 1), ("b".into(), 3)]);
    let dos = format!("---\r\n{NODE_A}\r\n---\r\n{}", NODE_A.replace("name: a", "name: b"));
    assert_eq!(names_and_lines(&dos), [("a".into(), 2), ("b".into(), 4)]);
}

#[test]
fn similar_lines_are_no_separators() {
    let text = format!(
        "----: x\n{}",
        "apiVersion: v1\nkind: Node\nmetadata:\n  name: a\n  labels:\n    x: |\n      ---\n"
    );
    assert_eq!(names_and_lines(&text), [("a".into(), 1)]);
}

#[test]
fn a_broken_document_is_reported_with_its_line_and_affects_no_other() {
    let text = format!("{NODE_A}\n---\napiVersion: v1\n}}{{\n---\n{}", NODE_A.replace("name: a", "name: b"));
    assert_eq!(names_and_lines(&text).len(), 2);
    let words = problem(&text);
    let line: usize = words.strip_prefix("test.yaml:").unwrap().split(':').next().unwrap().parse().unwrap();
    assert!((4..=5).contains(&line), "{words}");
    assert!(words.contains("cannot parse this document"), "{words}");
}

#[test]
fn an_invalid_field_is_reported_with_path_and_line() {
    let text = "---\n\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec:\n  ports:\n  - port: 80\n  - port: http\n";
    let words = problem(text);
    assert!(
        words.starts_with("test.yaml:9: Service shop/web: spec.ports[1].port: invalid type: string"),
        "{words}"
    );
    assert!(!words.contains("at line"), "{words}");
    for port in ["0", "65536", "-1"] {
        assert!(problem(&text.replace("http", port)).contains("spec.ports[1].port: "), "{port}");
    }
}

#[test]
fn a_missing_name_is_an_invalid_field() {
    let words = problem("{apiVersion: v1, kind: Service, metadata: {namespace: shop}}");
    assert!(words.starts_with("test.yaml:1: Service shop/: metadata: missing field `name`"), "{words}");
}

#[test]
fn items_of_a_list_are_read_independently() {
    let text = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {NODE_A}\n- {{apiVersion: v1, kind: Node, metadata: {{name: [1]}}}}\n- \
         {{apiVersion: v1, kind: List, items: [{}]}}\n",
        NODE_A.replace("name: a", "name: b")
    );
    assert_eq!(names_and_lines(&text), [("a".into(), 1), ("b".into(), 1)]);
    assert!(problem(&text).contains(": items[1].metadata.name: "), "{}", problem(&text));
}

#[test]
fn an_unknown_kind_is_reported_with_the_supported_ones() {
    for (api_version, kind, hint) in [
        ("apps/v1", "Deployment", "EndpointSlice"),
        ("metallb.io/v1alpha1", "IPAddressPool", "; did you mean metallb.io/v1beta1 IPAddressPool?"),
        ("metallb.io/v1beta1", "AddressPool", "; did you mean metallb.io/v1beta1 IPAddressPool?"),
        ("metallb.io/v1beta1", "BgpPeers", "; did you mean metallb.io/v1beta2 BGPPeer?"),
        ("v2", "Node", "; did you mean v1 Node?"),
    ] {
        let words = problem(&format!("{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: x}}}}"));
        assert!(words.contains(&format!("unknown kind {api_version} {kind}")), "{words}");
        assert!(words.contains(hint), "{words}");
    }
    assert!(problem("{kind: Node}").contains("apiVersion or kind is missing"));
    assert!(problem("just words").contains("cannot parse"));
}

#[test]
fn the_message_about_an_unknown_kind_lists_all_kinds() {
    let words = problem("{apiVersion: v1, kind: Pod, metadata: {name: x}}");
    for kind in ["Service", "Node", "List", "EndpointSlice", "IPAddressPool", "L2Advertisement"] {
        assert!(words.contains(kind), "{kind}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_reported(text in "[-a-zé:{}\\[\\] .#%|&*!\"'\n\r\t0-9]{0,80}") {
        let (objects, _) = parse("test.yaml", &text);
        prop_assert!(objects.is_empty());
    }

    #[test]
    fn a_broken_document_does_not_affect_others(junk in "[-a-z:{}\\[\\] #&*!\"'\n]{0,60}") {
        let text = format!("{NODE_A}\n---\n{junk}\n---\n{}", NODE_A.replace("name: a", "name: b"));
        let names: Vec<_> = names_and_lines(&text).into_iter().map(|(name, _)| name).collect();
        prop_assert_eq!(names, ["a", "b"]);
    }
}

#[test]
fn an_object_of_an_api_server_has_no_file() {
    let (objects, problems) = from_json(serde_json::json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "a", "resourceVersion": "7"},
    }));
    assert!(problems.is_empty() && objects[0].source.is_empty());
    let (objects, problems) = from_json(serde_json::json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": "80"}]},
    }));
    assert!(objects.is_empty());
    let words = problems[0].to_string();
    assert!(words.starts_with("Service a: spec.ports[0].port: "), "{words}");
}

#[test]
fn unrelated_files_are_reported_with_a_limit() {
    let (objects, problems) = parse("test.yaml", &("---\n{\n".repeat(5000) + "---\n" + NODE_A));
    assert_eq!((objects.len(), problems.len()), (1, 101));
    let more = problems[100].to_string();
    assert!(more.starts_with("test.yaml: 4900 more documents of this file"), "{more}");
}

/// A byte order mark and merge keys, as kubectl reads them.
#[test]
fn yaml_is_read_as_kubectl_reads_it() {
    let marked = format!("\u{feff}{NODE_A}");
    assert_eq!(names_and_lines(&marked), [("a".into(), 1)]);
    let merged = "\
apiVersion: v1
kind: Service
metadata:
  name: a
  labels: &labels {app: web}
  annotations: {<<: *labels, x: z}
";
    let objects = read(merged);
    let annotations = &objects[0].value.metadata().annotations;
    assert_eq!(annotations.len(), 2, "{annotations:?}");
}

#[test]
fn a_byte_order_mark_is_not_content() {
    let text = format!("\u{feff}---\n{NODE_A}\n---\n{}", NODE_A.replace("name: a", "name: b"));
    assert_eq!(names_and_lines(&text), [("a".into(), 2), ("b".into(), 4)]);
    assert_eq!(read("\u{feff}"), []);
}

#[test]
fn merge_keys_are_read_in_a_list_of_a_whole_cluster() {
    let text = "
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: a}
  spec: &spec {type: LoadBalancer, ports: [{port: 80}]}
- apiVersion: v1
  kind: Service
  metadata: {name: b}
  spec: {<<: *spec, externalTrafficPolicy: Local}
";
    let objects = read(text);
    let Object::Service(b) = &objects[1].value else { panic!() };
    assert_eq!((b.spec.r#type.as_deref(), b.spec.ports.len()), (Some("LoadBalancer"), 1));
    assert_eq!(b.spec.external_traffic_policy.as_deref(), Some("Local"));
}

#[test]
fn the_list_of_a_kind_is_read_as_a_list() {
    let text = "
{apiVersion: metallb.io/v1beta1, kind: IPAddressPoolList, metadata: {resourceVersion: '7'}, items: [
 {apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: p}, spec: {addresses: [198.51.100.0/24]}}]}
---
{apiVersion: v1, kind: ServiceList, items: [{metadata: {name: a}, spec: {type: LoadBalancer, ports: [{port: 80}]}}]}
---
{apiVersion: v1, kind: ConfigMapList, items: [{metadata: {name: a}}]}
";
    let kinds: Vec<_> = read(text).iter().map(|object| object.value.kind().name).collect();
    assert_eq!(kinds, ["IPAddressPool", "Service"]);
    let words = problem("{apiVersion: apps/v1, kind: DeploymentList, items: []}");
    assert!(words.contains("unknown kind apps/v1 DeploymentList"), "{words}");
}

#[test]
fn yaml_1_1_words_are_booleans_as_for_kubectl() {
    let objects = read(
        "{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: p}, \
         spec: {addresses: [198.51.100.0/24], autoAssign: no, avoidBuggyIPs: yes}}",
    );
    let Object::IpAddressPool(pool) = &objects[0].value else { panic!() };
    assert_eq!((pool.spec.auto_assign, pool.spec.avoid_buggy_ips), (Some(false), Some(true)));
    let words = problem("{apiVersion: v1, kind: Node, metadata: {name: yes}}");
    assert!(words.contains("metadata.name: ") && words.contains("write the text in quotes"), "{words}");
}

#[test]
fn an_unknown_field_is_reported_with_its_line_and_ignored() {
    let text = "
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: tor, namespace: lb}
spec:
  myASN: 64512
  ebgpMultihop: true
  nodeSelectors:
  - matchLabels: {a: b}
  - matchLabel: {a: b}
";
    let (objects, problems) = parse("test.yaml", text);
    let words: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        "test.yaml:7: BGPPeer lb/tor: spec.ebgpMultihop: unknown field, which has no effect; did you mean ebgpMultiHop?",
        "test.yaml:10: BGPPeer lb/tor: spec.nodeSelectors[1].matchLabel: unknown field, which has no effect; did you \
         mean matchLabels?",
    ];
    assert_eq!(words, expected);
    let Object::BgpPeer(peer) = &objects[0].value else { panic!() };
    assert_eq!((peer.spec.my_asn, peer.spec.node_selectors.len()), (64512, 2));
    assert!(problems.iter().all(|problem| problem.severity() == Severity::Warning));
}

#[test]
fn unknown_annotations_and_types_of_services_are_reported() {
    let annotations = [
        ("metallb.universe.tf/pool-name", "address-pool"),
        ("metallb.io/loadBalancerIP", "loadBalancerIPs"),
        ("metallb.io/loadbalancerIPs", "loadBalancerIPs"),
        ("metallb.io/allow-shared-IP", "allow-shared-ip"),
        ("metallb.io/address-pools", "address-pool"),
    ];
    for (written, meant) in annotations {
        let words = problem(&format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: a, annotations: {{{written}: v}}}}}}"
        ));
        assert!(words.contains(&format!("annotations[{written}]: unknown annotation")), "{words}");
        assert!(words.ends_with(&format!("did you mean metallb.io/{meant}?")), "{words}");
    }
    read(
        "{apiVersion: v1, kind: Service, metadata: {name: a, annotations: {metallb.io/address-pool: p, \
         metallb.universe.tf/allow-shared-ip: k, metallb.io/ip-allocated-from-pool: p, example.org/metallb: x}}}",
    );
    let words = problem("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: Loadbalancer}}");
    assert!(
        words.contains("Service default/a: spec.type: \"Loadbalancer\" is not one of ClusterIP"),
        "{words}"
    );
}

#[test]
fn a_problem_is_short_and_shows_no_password() {
    let long = "x".repeat(1 << 20);
    for text in [
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: a}}, spec: {{ports: [{{port: {long}}}]}}}}"
        ),
        format!("{{apiVersion: v1, kind: Service, metadata: {{name: a}}, spec: {{type: {long}}}}}"),
        format!("{{apiVersion: v1, kind: {long}, metadata: {{name: a}}}}"),
        format!("{{apiVersion: {long}, kind: Service, metadata: {{name: a}}}}"),
        format!("{{apiVersion: v1, kind: Service, metadata: {{name: {long}}}, spec: 7}}"),
        format!("{{apiVersion: v1, kind: Service, metadata: {{name: a, {long}: b}}}}"),
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: a, annotations: {{metallb.io/{long}: b}}}}}}"
        ),
        format!("{{apiVersion: v1, kind: {long}"),
        format!("{{? [{long}] : 1}}"),
    ] {
        let words = problem(&text);
        assert!(words.len() < 1000, "{} bytes: {}", words.len(), words.chars().take(300).collect::<String>());
    }
    for spec in
        ["password: [hush]", "password: {hush: 1}", "passwordSecret: hush", "passwordSecret: {name: [hush]}"]
    {
        let words = problem(&format!(
            "{{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {{name: a}}, spec: {{myASN: 1, {spec}}}}}"
        ));
        assert!(words.contains("spec.password") && !words.contains("hush"), "{words}");
    }
}
