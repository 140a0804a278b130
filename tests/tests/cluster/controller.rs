//! Tests of the controller against an API server: addresses are allocated, kept, released and reported.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fairlead_tests::cluster::{NAMESPACE, TestCluster, eventually, pool};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);

/// Returns a Service with both cluster addresses.
fn service(name: &str, metadata: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop{metadata}}}\n\
         spec: {{type: LoadBalancer, clusterIPs: [10.96.0.1, 'fd00::1'], ports: [{{port: 80}}]{spec}}}\n"
    )
}

#[tokio::test]
async fn the_flow_hash_key_is_created_once() -> Result<()> {
    let cluster = TestCluster::start().await?;
    let key = || {
        let secret = cluster.store.get("", "secrets", NAMESPACE, "fairlead-hash-key")?;
        let key = STANDARD.decode(secret["data"]["key"].as_str()?).ok()?;
        String::from_utf8(key).ok()
    };
    let first = cluster.controller("one")?;
    eventually("the key is created", SOON, || key().is_some()).await?;
    let made = key().unwrap_or_default();
    assert!(made.len() == 32 && made.bytes().all(|digit| digit.is_ascii_hexdigit()), "{made}");
    first.kill()?;
    let second = cluster.controller("two")?;
    cluster.apply(&pool("a", "192.0.2.0/30"))?;
    cluster.apply(&service("single", "", ""))?;
    eventually("the second one works", Duration::from_secs(40), || {
        !cluster.addresses("shop", "single").is_empty()
    })
    .await?;
    second.kill()?;
    assert_eq!(key().as_deref(), Some(made.as_str()));
    Ok(())
}

#[tokio::test]
async fn addresses_are_allocated_reported_and_counted() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.apply(&pool("a", "192.0.2.0/30, '2001:db8::/126'"))?;
    cluster.apply(&service("single", "", ""))?;
    cluster.apply(&service("dual", "", ", ipFamilyPolicy: RequireDualStack"))?;
    cluster.apply(&service("old", ", annotations: {metallb.universe.tf/loadBalancerIPs: 192.0.2.3}", ""))?;
    cluster.apply(&service("never", ", annotations: {metallb.io/address-pool: none}", ""))?;
    cluster.apply(&service("theirs", "", ", loadBalancerClass: other"))?;
    let controller = cluster.controller("one")?;
    eventually("three Services have addresses", SOON, || {
        ["single", "dual", "old"].iter().all(|name| !cluster.addresses("shop", name).is_empty())
    })
    .await?;
    assert_eq!(cluster.addresses("shop", "dual"), ["192.0.2.0", "2001:db8::"]);
    assert_eq!(cluster.addresses("shop", "old"), ["192.0.2.3"]);
    assert_eq!(cluster.addresses("shop", "single"), ["192.0.2.1"]);
    assert!(cluster.addresses("shop", "never").is_empty() && cluster.addresses("shop", "theirs").is_empty());
    let single = cluster.store.get("", "services", "shop", "single").unwrap_or_default();
    assert_eq!(single["metadata"]["annotations"]["metallb.io/ip-allocated-from-pool"], "a");
    assert_eq!(single["status"]["loadBalancer"]["ingress"], json!([{"ip": "192.0.2.1", "ipMode": "VIP"}]));

    eventually("Events are emitted", SOON, || {
        ["single", "never", "old"].map(|name| cluster.events(name).len()) == [1, 1, 2]
    })
    .await?;
    assert_eq!(cluster.events("single"), ["IPAllocated"]);
    assert_eq!(cluster.events("never"), ["AllocationFailed"]);
    let old: BTreeSet<_> = cluster.events("old").into_iter().collect();
    assert_eq!(old, ["IPAllocated", "deprecatedAnnotation"].map(String::from).into());
    assert!(cluster.events("theirs").is_empty());
    let counts = json!({"assignedIPv4": 3, "assignedIPv6": 1, "availableIPv4": 1, "availableIPv6": 3});
    eventually("the pool's status counts", SOON, || {
        let pool = cluster.store.get("metallb.io", "ipaddresspools", NAMESPACE, "a");
        pool.is_some_and(|pool| pool["status"] == counts)
    })
    .await?;

    // Without a change nothing is written.
    let before = cluster.store.get("", "services", "shop", "single");
    cluster.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {a: b}}\n")?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(cluster.store.get("", "services", "shop", "single"), before);
    controller.kill()
}

#[tokio::test]
async fn a_freed_address_goes_to_a_waiting_service_and_a_service_without_a_pool_moves() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.apply(&pool("a", "192.0.2.1/32"))?;
    let controller = cluster.controller("one")?;
    cluster.apply(&service("first", "", ""))?;
    eventually("the first has it", SOON, || cluster.addresses("shop", "first") == ["192.0.2.1"]).await?;
    cluster.apply(&service("second", "", ""))?;
    eventually("the second has an Event", SOON, || cluster.events("second") == ["AllocationFailed"]).await?;
    cluster.store.remove("", "services", "shop", "first");
    eventually("the second has it", SOON, || cluster.addresses("shop", "second") == ["192.0.2.1"]).await?;
    cluster.apply(&pool("b", "198.51.100.1/32"))?;
    cluster.store.remove("metallb.io", "ipaddresspools", NAMESPACE, "a");
    eventually("it has moved", SOON, || cluster.addresses("shop", "second") == ["198.51.100.1"]).await?;
    let has_event = || cluster.events("second").contains(&"ClearAssignment".to_owned());
    eventually("and has an Event", SOON, has_event).await?;
    controller.kill()
}

#[tokio::test]
async fn a_restart_of_the_controller_or_the_api_server_moves_no_address() -> Result<()> {
    let mut cluster = TestCluster::start().await?;
    cluster.apply(&pool("a", "192.0.2.0/24"))?;
    for i in 0..50 {
        cluster.apply(&service(&format!("s{i:02}"), "", ""))?;
    }
    let all = |cluster: &TestCluster| {
        (0..50).map(|i| cluster.addresses("shop", &format!("s{i:02}"))).collect::<Vec<_>>()
    };
    let mut controller = cluster.controller("one")?;
    eventually("all have addresses", SOON, || all(&cluster).iter().all(|a| a.len() == 1)).await?;
    let before = all(&cluster);
    assert_eq!(before.iter().collect::<BTreeSet<_>>().len(), 50, "addresses must be unique");
    for _ in 0..3 {
        controller.kill()?;
        controller = cluster.controller("one")?;
        cluster.restart_server(Duration::from_millis(200)).await?;
    }
    // A further Service gets an address, so the controller works again.
    cluster.apply(&service("later", "", ""))?;
    let later = || cluster.addresses("shop", "later").len() == 1;
    eventually("a later one gets an address", Duration::from_secs(40), later).await?;
    assert_eq!(all(&cluster), before);
    controller.kill()
}

#[tokio::test]
async fn one_of_two_controllers_leads_and_the_other_takes_over() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.apply(&pool("a", "192.0.2.0/24"))?;
    let holder = || {
        let lease = cluster.store.get("coordination.k8s.io", "leases", NAMESPACE, "fairlead-controller")?;
        Some(lease["spec"]["holderIdentity"].as_str()?.to_owned())
    };
    let first = cluster.controller("first")?;
    eventually("the first leads", SOON, || holder().as_deref() == Some("first")).await?;
    let second = cluster.controller("second")?;
    cluster.apply(&service("x", "", ""))?;
    eventually("an address is allocated", SOON, || cluster.addresses("shop", "x").len() == 1).await?;
    assert_eq!(holder().as_deref(), Some("first"));
    first.kill()?;
    let leads = || holder().as_deref() == Some("second");
    eventually("the second leads", Duration::from_secs(30), leads).await?;
    cluster.apply(&service("yonder", "", ""))?;
    eventually("it allocates an address", SOON, || cluster.addresses("shop", "yonder").len() == 1).await?;
    assert_eq!(cluster.addresses("shop", "x"), ["192.0.2.0"]);
    second.kill()
}

#[tokio::test]
async fn ten_thousand_services_get_an_address_each() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.apply(&pool("a", "10.0.0.0/16"))?;
    for i in 0..10_000 {
        cluster.store.put(&json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("s{i}"), "namespace": "shop"},
            "spec": {"type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "ports": [{"port": 80}]},
        }))?;
    }
    let controller = cluster.controller("one")?;
    let took = eventually("all have addresses", Duration::from_secs(120), || {
        let services = cluster.load_balancers();
        services.iter().all(|service| service.pointer("/status/loadBalancer/ingress/0/ip").is_some())
    })
    .await?;
    println!("10,000 Services had addresses {took:.1?} after the controller's start");
    let services = cluster.load_balancers();
    let distinct: BTreeSet<_> =
        services.iter().map(|it| it["status"]["loadBalancer"]["ingress"][0]["ip"].to_string()).collect();
    assert_eq!(distinct.len(), 10_000);
    controller.kill()
}
