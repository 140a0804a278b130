//! Tests of an API server as a source of objects: what is read, what is shared, and what wakes an agent.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::cluster::{NAMESPACE, TestCluster};
use lb_kube::last_good::LastGoodFile;
use lb_kube::snapshot::Snapshot;
use lb_kube::source::{ObjectSource, SourceOptions};
use lb_model::Model;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);
/// Longer than a change takes to arrive.
const QUIET: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_change_replaces_one_object_and_shares_all_others() -> Result<()> {
    const SERVICES: usize = 500;
    let cluster = cluster().await?;
    for i in 0..SERVICES {
        cluster.store.put(&service(i, 80))?;
        cluster.store.put(&slice(i, true))?;
    }
    let mut source = open(&cluster).await?;
    let first = read(&mut source).await?;
    ensure!(first.objects.len() == 2 * SERVICES && first.problems.is_empty(), "{:?}", first.problems);
    cluster.store.put(&slice(7, false))?;
    let second = changed(&mut source).await?;
    ensure!(different(&first, &second) == 1);
    // A new list, as after a long absence of the server, changes nothing.
    cluster.store.compact();
    cluster.store.put(&service(SERVICES, 80))?;
    let third = changed(&mut source).await?;
    ensure!(different(&second, &third) == 1);
    Ok(())
}

#[tokio::test]
async fn changes_of_unused_fields_wake_no_reader() -> Result<()> {
    let cluster = cluster().await?;
    cluster.store.put(&node("2026-11-21T08:00:00Z", "True"))?;
    cluster.store.put(&service(1, 80))?;
    let mut source = open(&cluster).await?;
    let first = read(&mut source).await?;
    while tokio::time::timeout(QUIET, source.changed()).await.is_ok() {}
    cluster.store.put(&node("2026-11-21T08:05:00Z", "True"))?;
    ensure!(tokio::time::timeout(QUIET, source.changed()).await.is_err(), "a heartbeat is no change");
    cluster.store.put(&node("2026-11-21T08:10:00Z", "False"))?;
    let second = changed(&mut source).await?;
    ensure!(different(&first, &second) == 1);
    Ok(())
}

#[tokio::test]
async fn a_server_without_streaming_lists_is_listed_normally() -> Result<()> {
    let cluster = cluster().await?;
    cluster.store.refuse_streams();
    cluster.store.put(&service(1, 80))?;
    let mut source = open(&cluster).await?;
    ensure!(read(&mut source).await?.objects.len() == 1);
    cluster.store.put(&service(2, 80))?;
    ensure!(changed(&mut source).await?.objects.len() == 2);
    Ok(())
}

#[tokio::test]
async fn an_invalid_object_keeps_its_previous_value() -> Result<()> {
    let cluster = cluster().await?;
    cluster.store.put(&service(1, 80))?;
    let mut source = open(&cluster).await?;
    let first = read(&mut source).await?;
    cluster.store.put(&service(1, 70_000))?;
    let second = changed(&mut source).await?;
    ensure!(different(&first, &second) == 0 && second.problems.len() == 1, "{:?}", second.problems);
    ensure!(second.problems[0].to_string().contains("Service shop/s1: spec.ports[0].port"));
    Ok(())
}

#[tokio::test]
async fn unreadable_configuration_is_reported_as_kept() -> Result<()> {
    let cluster = cluster().await?;
    cluster.store.put(&pool(&json!(["192.0.2.0/24"])))?;
    let mut source = open(&cluster).await?;
    let first = read(&mut source).await?;
    for wrong in [7, 8] {
        cluster.store.put(&pool(&json!(wrong)))?;
        let second = changed(&mut source).await?;
        let labels: Vec<_> = second.problems.iter().map(|problem| problem.label()).collect();
        ensure!(labels == ["bad_field", "stays_as_before"], "{:?}", second.problems);
        ensure!(different(&first, &second) == 0 && second.objects.len() == 1, "{:?}", second.problems);
    }
    Ok(())
}

#[tokio::test]
async fn last_good_objects_replace_unreadable_ones_at_an_agents_start() -> Result<()> {
    let cluster = cluster().await?;
    let place = tempfile::TempDir::new()?;
    let path = place.path().join("accepted.json");
    let pools = |snapshot: &Snapshot| Model::build(&snapshot.objects, None).0.pools.iter().count();
    cluster.store.put(&pool(&json!(["192.0.2.0/24"])))?;
    let first = read(&mut open(&cluster).await?).await?;
    let (model, problems) = Model::build(&first.objects, None);
    LastGoodFile::at(path.clone(), "here".into()).note(&first.objects, &problems, &model);

    cluster.store.put(&pool(&json!(7)))?;
    let mut source = open(&cluster).await?;
    let mut accepted = LastGoodFile::at(path, "here".into());
    accepted.read(true);
    let mut second = read(&mut source).await?;
    ensure!(pools(&second) == 0);
    accepted.complete(&mut second);
    ensure!(pools(&second) == 1);
    let printed: Vec<String> = second.problems.iter().map(ToString::to_string).collect();
    ensure!(printed[0].starts_with("IPAddressPool metallb-system/a: spec.addresses: "), "{printed:?}");
    ensure!(printed[1].contains("its last-known-good configuration stays in force"), "{printed:?}");

    ensure!(cluster.store.remove("metallb.io", "ipaddresspools", NAMESPACE, "a"));
    let mut third = changed(&mut source).await?;
    accepted.complete(&mut third);
    ensure!(pools(&third) == 0 && third.problems.is_empty(), "{:?}", third.problems);
    Ok(())
}

/// Returns a cluster without the Service that every cluster has.
async fn cluster() -> Result<TestCluster> {
    let cluster = TestCluster::start().await?;
    cluster.store.remove("", "services", "default", "kubernetes");
    Ok(cluster)
}

async fn open(cluster: &TestCluster) -> Result<ObjectSource> {
    let kubeconfig: PathBuf = cluster.kubeconfig();
    let options = SourceOptions::Kubernetes { kubeconfig: Some(kubeconfig), namespace: NAMESPACE.to_owned() };
    Ok(ObjectSource::open(&options).await?)
}

/// Waits until every kind has been listed.
async fn read(source: &mut ObjectSource) -> Result<Snapshot> {
    let all = async {
        loop {
            if let Some(snapshot) = source.read() {
                return snapshot;
            }
            source.changed().await;
        }
    };
    tokio::time::timeout(SOON, all).await.context("not all has been listed")
}

/// Waits for a change, and for what comes with it.
async fn changed(source: &mut ObjectSource) -> Result<Snapshot> {
    tokio::time::timeout(SOON, source.changed()).await.context("no change")?;
    while tokio::time::timeout(QUIET, source.changed()).await.is_ok() {}
    source.read().context("the objects cannot be read")
}

/// Returns how many objects of the second snapshot are not shared with the first.
fn different(first: &Snapshot, second: &Snapshot) -> usize {
    let known: BTreeSet<usize> = first.objects.iter().map(|object| Arc::as_ptr(object).addr()).collect();
    second.objects.iter().filter(|object| !known.contains(&Arc::as_ptr(object).addr())).count()
}

fn pool(addresses: &Value) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
        "metadata": {"name": "a", "namespace": NAMESPACE}, "spec": {"addresses": addresses},
    })
}

fn service(number: usize, port: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": format!("s{number}"), "namespace": "shop", "managedFields": [{"manager": "x"}]},
        "spec": {"type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "ports": [{"port": port}]},
    })
}

fn slice(number: usize, ready: bool) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": format!("s{number}"), "namespace": "shop",
            "labels": {"kubernetes.io/service-name": format!("s{number}")},
        },
        "endpoints": [{"addresses": ["10.244.1.2"], "nodeName": "n1", "conditions": {"ready": ready}}],
    })
}

fn node(heartbeat: &str, network_unavailable: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "conditions": [{"type": "NetworkUnavailable", "status": network_unavailable, "lastHeartbeatTime": heartbeat}],
        },
    })
}
