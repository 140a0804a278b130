//! Tests of `fairlead check --from-cluster` against a typical MetalLB cluster.

use std::process::{Command, Output};

use anyhow::{Context, Result};
use fairlead_tests::cluster::{NAMESPACE, TestCluster};
use fairlead_tests::lab::node::find_binary;
use serde_json::{Value, json};

/// Further kinds: group, name and plural.
const KINDS: [[&str; 3]; 1] = [["frrk8s.metallb.io", "FRRConfiguration", "frrconfigurations"]];

/// A pool advertised to a router, a Service with one of its addresses, and one without an address.
const OBJECTS: &str = "
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: fabric, namespace: metallb-system}
spec: {addresses: [192.0.2.0/29]}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: leaf, namespace: metallb-system}
spec: {myASN: 64512, peerASN: 64513, peerAddress: 10.0.0.254, sourceAddress: 10.0.0.1}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: fabric, namespace: metallb-system}
---
apiVersion: v1
kind: Service
metadata: {name: old, namespace: shop, annotations: {metallb.universe.tf/address-pool: fabric}}
spec: {type: LoadBalancer, clusterIPs: [10.96.0.1], ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.5}]}}
---
apiVersion: v1
kind: Service
metadata: {name: young, namespace: shop}
spec: {type: LoadBalancer, clusterIPs: [10.96.0.2], ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-root-ca.crt, namespace: metallb-system}
";

const EXTRAS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: bgpextras, namespace: metallb-system}
data: {extras: 'router bgp 64512'}
---
apiVersion: frrk8s.metallb.io/v1beta1
kind: FRRConfiguration
metadata: {name: extra, namespace: frr-k8s-system}
spec: {bgp: {routers: [{asn: 64512, neighbors: [{address: 10.0.0.254, toReceive: {allowed: {mode: all}}}]}]}}
---
apiVersion: frrk8s.metallb.io/v1beta1
kind: FRRConfiguration
metadata: {name: metallb-n1, namespace: metallb-system}
spec: {bgp: {routers: [{asn: 64512, neighbors: [{address: 10.0.0.254}]}]}}
";

async fn cluster() -> Result<TestCluster> {
    let cluster = TestCluster::start().await?;
    for [group, kind, plural] in KINDS {
        cluster.store.put(&json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{group}")},
            "spec": {"group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
                     "versions": [{"name": "v1beta1", "served": true}]},
        }))?;
    }
    cluster.apply(OBJECTS)?;
    Ok(cluster)
}

async fn check(cluster: &TestCluster, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(find_binary()?);
    command.args(["check", "--from-cluster", "--namespace", NAMESPACE, "--kubeconfig"]);
    command.arg(cluster.kubeconfig()).args(arguments);
    // The API server runs in this process.
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_from_cluster_reports_objects_and_writes_nothing() -> Result<()> {
    let cluster = cluster().await?;
    let before = cluster.store.all("", "services");
    let output = check(&cluster, &[]).await?;
    let text = String::from_utf8(output.stdout)?;
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for words in [
        "192.0.2.5",
        "192.0.2.0 (new)",
        "leaf",
        "BGPPeer metallb-system/leaf",
        "spec.sourceAddress takes effect",
        "write metallb.io/address-pool",
    ] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    assert!(!text.contains("\nnot supported:"), "{text}");
    assert_eq!(cluster.store.all("", "services"), before);
    assert_eq!(cluster.store.all("coordination.k8s.io", "leases"), [] as [Value; 0]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_from_cluster_fails_and_names_unsupported_objects() -> Result<()> {
    let cluster = cluster().await?;
    cluster.apply(EXTRAS)?;
    let output = check(&cluster, &["-o", "json"]).await?;
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout)?;
    let findings = json["migration"]["findings"].as_array().context("findings")?;
    let unsupported: Vec<&str> = findings
        .iter()
        .filter(|finding| finding["what"] == "unsupported")
        .filter_map(|finding| finding["about"].as_str())
        .collect();
    assert_eq!(unsupported, ["ConfigMap metallb-system/bgpextras", "FRRConfiguration frr-k8s-system/extra"]);
    let held: Vec<_> =
        json["services"].as_array().context("Services")?.iter().map(|it| &it["held"]).collect();
    assert_eq!(held, [&json!(true), &json!(false)]);
    Ok(())
}
