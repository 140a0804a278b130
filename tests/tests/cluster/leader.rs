//! Tests of controllers' leadership and requests, against an unreachable API server.

use std::time::{Duration, Instant};

use anyhow::Result;
use fairlead_tests::cluster::{Controller, NAMESPACE, TestCluster, eventually};
use fairlead_tests::fault_proxy::{FaultProxy, ProxyFault, WriteLog};
use nix::sys::signal::Signal;

const SOON: Duration = Duration::from_secs(20);
const LEASE: &str = "fairlead-controller";
const POOL: &str = "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\n\
                    metadata: {name: a, namespace: metallb-system}\nspec: {addresses: [192.0.2.0/24]}\n";

fn service(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{type: LoadBalancer, clusterIPs: [10.96.0.1], ports: [{{port: 80}}]}}\n"
    )
}

/// A controller behind a fault proxy of its own.
struct ProxiedController {
    proxy: FaultProxy,
    controller: Controller,
}

fn start(cluster: &TestCluster, log: &WriteLog, name: &str, arguments: &[&str]) -> Result<ProxiedController> {
    let proxy = FaultProxy::start(name, cluster.address(), log, true)?;
    let kubeconfig = cluster.write_kubeconfig(name, &proxy.kubeconfig("127.0.0.1"))?;
    let controller = cluster.controller_of(name, &kubeconfig, arguments)?;
    Ok(ProxiedController { proxy, controller })
}

fn holder(cluster: &TestCluster) -> Option<String> {
    let lease = cluster.store.get("coordination.k8s.io", "leases", NAMESPACE, LEASE)?;
    Some(lease["spec"]["holderIdentity"].as_str()?.to_owned())
}

fn leads(cluster: &TestCluster, name: &str) -> bool {
    holder(cluster).as_deref() == Some(name)
}

async fn has_address(cluster: &TestCluster, name: &str) -> Result<Duration> {
    cluster.apply(&service(name))?;
    eventually(&format!("{name} has an address"), SOON, || cluster.addresses("shop", name).len() == 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_or_suspended_steps_down_before_another_leads() -> Result<()> {
    let cluster = TestCluster::start().await?;
    let log = WriteLog::default();
    cluster.define_statuses()?;
    cluster.apply(POOL)?;
    let first = start(&cluster, &log, "first", &[])?;
    eventually("the first leads", SOON, || leads(&cluster, "first")).await?;
    let second = start(&cluster, &log, "second", &[])?;
    has_address(&cluster, "a").await?;

    // Packets are dropped silently.
    first.proxy.set(ProxyFault::Cut);
    let cut = Instant::now();
    let ended = || first.controller.log().contains("lost leadership");
    eventually("the first steps down", SOON, ended).await?;
    assert!(cut.elapsed() < Duration::from_secs(11), "it kept leading for {:?}", cut.elapsed());
    assert!(leads(&cluster, "first"), "no other controller leads yet");
    eventually("the second leads", SOON, || leads(&cluster, "second")).await?;
    has_address(&cluster, "b").await?;
    first.proxy.set(ProxyFault::None);

    // A suspended process does not notice the passing time.
    second.controller.signal(Signal::SIGSTOP)?;
    eventually("the first leads again", SOON * 2, || leads(&cluster, "first")).await?;
    cluster.apply(&service("c"))?;
    second.controller.signal(Signal::SIGCONT)?;
    has_address(&cluster, "d").await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (writes, changes) = log.check_leaders(LEASE)?;
    assert!(writes >= 4 && changes == 3, "{writes} writes, {changes} changes");
    for log in [first.controller.log(), second.controller.log()] {
        // The client library warns with each connection that this kubeconfig requires no certificate.
        let is_warning = |line: &&str| line.contains(" WARN ") && !line.contains("cert bypassed");
        let warnings = log.lines().filter(|line| is_warning(line) || line.contains(" ERROR ")).count();
        assert!(warnings <= 4, "one line for all requests to a server:\n{log}");
    }
    let log = first.controller.log();
    assert!(
        log.contains("no response from https://127.0.0.1") && log.contains("reachable again after"),
        "{log}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_controller_releases_its_lease() -> Result<()> {
    let cluster = TestCluster::start().await?;
    let log = WriteLog::default();
    cluster.apply(POOL)?;
    let mut first = start(&cluster, &log, "first", &[])?;
    eventually("the first leads", SOON, || leads(&cluster, "first")).await?;
    let second = start(&cluster, &log, "second", &[])?;
    has_address(&cluster, "a").await?;
    // Writes are in progress when it is terminated.
    for i in 0..200 {
        cluster.apply(&service(&format!("s{i}")))?;
    }
    eventually("some have addresses", SOON, || !cluster.addresses("shop", "s0").is_empty()).await?;
    first.controller.signal(Signal::SIGTERM)?;
    let terminated = Instant::now();
    eventually("the second leads", SOON, || leads(&cluster, "second")).await?;
    assert!(
        terminated.elapsed() < Duration::from_secs(5),
        "a rolling update takes {:?}",
        terminated.elapsed()
    );
    first.controller.wait()?;
    has_address(&cluster, "b").await?;
    let lasts = || (0..200).all(|i| cluster.addresses("shop", &format!("s{i}")).len() == 1);
    eventually("all have addresses", SOON, lasts).await?;
    let (writes, changes) = log.check_leaders(LEASE)?;
    assert!(writes > 200 && changes == 2, "{writes} writes, {changes} changes");
    second.controller.kill()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_has_few_connections_and_sends_its_user_agent() -> Result<()> {
    let cluster = TestCluster::start().await?;
    let log = WriteLog::default();
    cluster.define_statuses()?;
    cluster.apply(POOL)?;
    let one = start(&cluster, &log, "one", &[])?;
    has_address(&cluster, "a").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Reads and watches, the Lease, and the leader's occasional writes.
    let connections = one.proxy.connections();
    assert!(connections <= 5, "{connections} connections");
    let agents: Vec<_> = log.agents("one").into_iter().collect();
    assert_eq!(agents, [format!("fairlead/{} (controller)", env!("CARGO_PKG_VERSION"))]);
    one.controller.kill()
}
