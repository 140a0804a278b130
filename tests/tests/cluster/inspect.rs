//! Tests of the controller's reports, health and metrics, against an API server.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fairlead_tests::cluster::{NAMESPACE, TestCluster, eventually};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_secs(20);

fn pool(addresses: &str) -> String {
    format!(
        "---\napiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: a, namespace: {NAMESPACE}}}\n\
         spec: {{addresses: [{addresses}]}}\n"
    )
}

fn peer(address: &str) -> String {
    format!(
        "---\napiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {{name: tor, namespace: {NAMESPACE}}}\n\
         spec: {{myASN: 64512, peerASN: 64513, peerAddress: {address}, passwordSecret: {{name: secret}}}}\n"
    )
}

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "ports": [{"port": 80}]},
    })
}

fn state(cluster: &TestCluster) -> Value {
    let state = cluster.store.get("metallb.io", "configurationstates", NAMESPACE, "controller");
    state.unwrap_or_default()["status"].clone()
}

#[tokio::test]
async fn an_invalid_object_gets_an_event_and_an_invalid_state_until_it_is_fixed() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.define_statuses()?;
    cluster.apply(&pool("192.0.2.0/33"))?;
    cluster.apply(&peer("not-an-address"))?;
    let controller = cluster.controller("one")?;
    eventually("both have Events", SOON, || {
        cluster.events("a") == ["ConfigurationError"] && cluster.events("tor") == ["ConfigurationError"]
    })
    .await?;
    let events = cluster.store.all("events.k8s.io", "events");
    let of_peer = events.iter().find(|event| event["regarding"]["name"] == "tor").context("its Event")?;
    let note = of_peer["note"].as_str().unwrap_or_default();
    assert!(note.starts_with("spec.peerAddress: ") && note.contains("not-an-address"), "{note}");
    let written = cluster.store.get("metallb.io", "bgppeers", NAMESPACE, "tor").unwrap_or_default();
    assert_eq!(of_peer["regarding"]["uid"], written["metadata"]["uid"]);
    assert_eq!(of_peer["regarding"]["apiVersion"], "metallb.io/v1beta2");
    assert_eq!(of_peer["type"], "Warning");

    eventually("the state is Invalid", SOON, || state(&cluster)["result"] == "Invalid").await?;
    let invalid = state(&cluster);
    let summary = invalid["errorSummary"].as_str().unwrap_or_default();
    assert!(summary.contains("IPAddressPool") && summary.contains("BGPPeer"), "{summary}");
    let conditions = invalid["conditions"].as_array().cloned().unwrap_or_default();
    assert!(conditions.iter().all(|it| it["reason"] == "ConfigurationError"), "{conditions:?}");

    cluster.apply(&pool("192.0.2.0/30"))?;
    cluster.apply(&peer("192.0.2.1"))?;
    eventually("the state is Valid", SOON, || state(&cluster)["result"] == "Valid").await?;
    assert_eq!(cluster.events("tor").len(), 1, "one Event: only agents read the Secret");
    controller.kill()
}

#[tokio::test]
async fn allocation_failure_events_are_rate_limited_and_delay_no_allocation() -> Result<()> {
    let cluster = TestCluster::start().await?;
    for i in 0..3000 {
        cluster.store.put(&service(&format!("s{i:04}")))?;
    }
    let begun = Instant::now();
    let controller = cluster.controller("one")?;
    eventually("some have Events", SOON, || cluster.store.all("events.k8s.io", "events").len() > 50).await?;
    cluster.apply(&pool("10.0.0.0/16"))?;
    eventually("all have addresses", Duration::from_secs(60), || {
        let services = cluster.load_balancers();
        services.iter().all(|service| service.pointer("/status/loadBalancer/ingress/0/ip").is_some())
    })
    .await?;
    let events = cluster.store.all("events.k8s.io", "events").len();
    let bound = 100.0 + 20.0 * begun.elapsed().as_secs_f64();
    assert!((events as f64) <= bound, "{events} Events, at most {bound}");
    controller.kill()
}

#[tokio::test]
async fn health_and_metrics_are_served() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.apply(&pool("192.0.2.0/30"))?;
    cluster.store.put(&service("web"))?;
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string();
    let controller = cluster.controller_with("one", &["--metrics-address", &address])?;
    let begun = Instant::now();
    let in_use = "metallb_allocator_addresses_in_use_total{pool=\"a\"} 1";
    loop {
        let metrics = get(&address, "/metrics").await.unwrap_or_default();
        if metrics.contains(in_use) {
            assert!(metrics.contains("metallb_allocator_addresses_total{pool=\"a\"} 4"), "{metrics}");
            assert!(metrics.contains("metallb_k8s_client_config_loaded_bool 1"), "{metrics}");
            assert!(metrics.contains("metallb_k8s_client_config_stale_bool 0"), "{metrics}");
            break;
        }
        assert!(begun.elapsed() < SOON, "{metrics}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for path in ["/healthz", "/readyz"] {
        assert!(get(&address, path).await?.starts_with("HTTP/1.1 200"), "{path}");
    }
    controller.kill()
}

#[tokio::test]
async fn a_controller_without_its_api_server_is_healthy_but_not_ready() -> Result<()> {
    let mut cluster = TestCluster::start().await?;
    let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string();
    cluster.stop_server();
    let controller = cluster.controller_with("one", &["--metrics-address", &address])?;
    let begun = Instant::now();
    while get(&address, "/healthz").await.is_err() {
        assert!(begun.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(get(&address, "/readyz").await?.starts_with("HTTP/1.1 503"));
    cluster.restart_server(Duration::ZERO).await?;
    while !get(&address, "/readyz").await?.starts_with("HTTP/1.1 200") {
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    controller.kill()
}

/// Returns the response to a GET, including its head.
async fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
