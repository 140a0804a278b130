//! Tests of address allocation against an API server: addresses that stay, come back, or are never allocated.

use std::time::Duration;

use anyhow::{Context, Result};
use fairlead_tests::cluster::{NAMESPACE, TestCluster, eventually, pool};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);
const LAST: &str = "fairlead.io/last-addresses";
const POOL: &str = "metallb.io/ip-allocated-from-pool";

fn service(name: &str, metadata: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop{metadata}}}\n\
         spec: {{type: LoadBalancer, clusterIPs: [10.96.0.1], ports: [{{port: 80}}]{spec}}}\n"
    )
}

fn stored(cluster: &TestCluster, name: &str) -> Result<Value> {
    cluster.store.get("", "services", "shop", name).with_context(|| format!("no Service {name}"))
}

#[tokio::test]
async fn a_recreated_pool_restores_every_services_address() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.apply(&pool("b", "192.0.2.0/28"))?;
    let names: Vec<String> = (0..8).map(|i| format!("s{i}")).collect();
    names.iter().try_for_each(|name| cluster.apply(&service(name, "", "")))?;
    let controller = cluster.controller("one")?;
    let addresses = || names.iter().map(|name| cluster.addresses("shop", name)).collect::<Vec<_>>();
    eventually("all have addresses", SOON, || addresses().iter().all(|it| it.len() == 1)).await?;
    // Gaps, which a first fit would fill.
    for gone in ["s0", "s3"] {
        cluster.store.remove("", "services", "shop", gone);
    }
    let before = addresses();
    cluster.store.remove("metallb.io", "ipaddresspools", NAMESPACE, "b");
    eventually("all are released", SOON, || addresses().iter().all(Vec::is_empty)).await?;
    controller.kill()?;
    let controller = cluster.controller("two")?;
    cluster.apply(&service("a-new-one", ", creationTimestamp: '2000-01-01T00:00:00Z'", ""))?;
    cluster.apply(&pool("c", "192.0.2.0/28"))?;
    let has_any = || !cluster.addresses("shop", "a-new-one").is_empty();
    eventually("the new Service has an address", Duration::from_secs(60), has_any).await?;
    eventually("all have their old addresses", SOON, || addresses() == before).await?;
    assert_eq!(stored(&cluster, "s1")?["metadata"]["annotations"][POOL], "c");
    controller.kill()
}

#[tokio::test]
async fn a_service_of_another_type_loses_its_annotations_whatever_its_class() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.apply(&pool("a", "192.0.2.0/28"))?;
    cluster.apply(&service("web", "", ", loadBalancerClass: fairlead.io/lb"))?;
    let controller = cluster.controller_with("one", &["--lb-class", "fairlead.io/lb"])?;
    eventually("it has an address", SOON, || cluster.addresses("shop", "web") == ["192.0.2.0"]).await?;
    let mut web = stored(&cluster, "web")?;
    let annotations = &web["metadata"]["annotations"];
    assert_eq!((&annotations[POOL], &annotations[LAST]), (&json!("a"), &json!("192.0.2.0")));
    // As an API server does when the type changes.
    web["spec"]["type"] = json!("ClusterIP");
    let spec = web["spec"].as_object_mut().context("no spec")?;
    spec.remove("loadBalancerClass");
    web["status"] = json!({ "loadBalancer": {} });
    cluster.store.put(&web)?;
    let is_clean = || {
        let annotations = stored(&cluster, "web").map(|it| it["metadata"]["annotations"].clone());
        annotations.is_ok_and(|it| it.get(POOL).is_none() && it.get(LAST).is_none())
    };
    eventually("its annotations are gone", SOON, is_clean).await?;
    controller.kill()
}

#[tokio::test]
async fn addresses_of_nodes_and_peers_are_reported_and_never_allocated() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.apply(
        "---\napiVersion: v1\nkind: Node\nmetadata: {name: n1}\n\
         status: {addresses: [{type: InternalIP, address: 192.0.2.0}]}\n",
    )?;
    cluster.apply(&format!(
        "---\napiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {{name: tor, namespace: {NAMESPACE}}}\n\
         spec: {{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.2}}\n"
    ))?;
    cluster.apply(&pool("a", "192.0.2.0/29"))?;
    let controller = cluster.controller("one")?;
    cluster.apply(&service("first", "", ""))?;
    eventually("the first has an address", SOON, || cluster.addresses("shop", "first") == ["192.0.2.1"])
        .await?;
    cluster.apply(&service("second", "", ""))?;
    eventually("the second has an address", SOON, || cluster.addresses("shop", "second") == ["192.0.2.3"])
        .await?;
    cluster.apply(&service("asks", ", annotations: {metallb.io/loadBalancerIPs: 192.0.2.0}", ""))?;
    eventually("the failure has an Event", SOON, || cluster.events("asks") == ["AllocationFailed"]).await?;
    assert!(cluster.addresses("shop", "asks").is_empty());
    eventually("the pool has an Event", SOON, || cluster.events("a") == ["ConfigurationError"]).await?;
    let left = || {
        let pool = cluster.store.get("metallb.io", "ipaddresspools", NAMESPACE, "a");
        pool.is_some_and(|pool| pool["status"]["availableIPv4"] == 4)
    };
    eventually("reserved addresses do not count as available", SOON, left).await?;
    controller.kill()
}

#[tokio::test]
async fn addresses_are_kept_when_families_are_added_and_removed() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.apply(&pool("a", "192.0.2.0/29, '2001:db8::/125'"))?;
    let dual = |policy: &str, ips: &str, ingress: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: shop}}\nspec: {{type: LoadBalancer, \
             ipFamilyPolicy: {policy}, clusterIPs: [{ips}], ports: [{{port: 80}}]}}\nstatus: {{loadBalancer: {{ingress: [{ingress}]}}}}\n"
        )
    };
    cluster.apply(&dual("SingleStack", "10.96.0.1", "{ip: 192.0.2.5}"))?;
    let controller = cluster.controller("one")?;
    let pool_is_named = || stored(&cluster, "web").is_ok_and(|it| it["metadata"]["annotations"][POOL] == "a");
    eventually("the controller has processed it", SOON, pool_is_named).await?;
    let change = |policy: &str, ips: Value| -> Result<()> {
        let mut web = stored(&cluster, "web")?;
        web["spec"]["ipFamilyPolicy"] = json!(policy);
        web["spec"]["clusterIPs"] = ips;
        cluster.store.put(&web)
    };
    let held = || cluster.addresses("shop", "web");
    change("RequireDualStack", json!(["10.96.0.1", "fd00::1"]))?;
    eventually("the second address is added", SOON, || held() == ["192.0.2.5", "2001:db8::"]).await?;
    change("SingleStack", json!(["10.96.0.1"]))?;
    eventually("and removed again", SOON, || held() == ["192.0.2.5"]).await?;
    controller.kill()
}
