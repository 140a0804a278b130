//! A test of the installation page: its commands are extracted and run.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use fairlead_tests::cluster::{TestCluster, eventually};
use fairlead_tests::kube_clients::KubeClients;
use fairlead_tests::page::Shell;
use serde_json::json;

const SOON: Duration = Duration::from_secs(30);
const NAMESPACE: &str = "metallb-system";
const CONFIGURATION: &str = "fairlead-webhook-configuration";

/// Writes a pool, and checks that the installed controller allocates an address from it.
async fn works(cluster: &TestCluster, shell: &Shell, name: &str, pool: &str) -> Result<()> {
    shell.until_served()?;
    let controller = cluster.run_deployment(NAMESPACE, "fairlead-controller")?;
    let bundle = || {
        let group = "admissionregistration.k8s.io";
        let there = cluster.store.get(group, "validatingwebhookconfigurations", "", CONFIGURATION);
        there.is_some_and(|it| it["webhooks"][0]["clientConfig"]["caBundle"].is_string())
    };
    eventually("the webhook is trusted", SOON, bundle).await?;
    shell.run(&format!(
        "{}{pool}, namespace: {NAMESPACE}}}, spec: {{addresses: [{}]}}}}'",
        POOL,
        address(pool)
    ))?;
    shell.run(&format!(
        "kubectl apply --filename - <<<'{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: default}}, \
         spec: {{type: LoadBalancer, selector: {{app: x}}, ports: [{{port: 80}}]}}}}'"
    ))?;
    let gets_one = || cluster.addresses("default", name).len() == 1;
    let waited = eventually("the Service gets an address", SOON, gets_one).await;
    ensure!(waited.is_ok(), "{waited:?}\n{}", controller.log());
    // The webhook has no backend any more, as when the pods are deleted.
    drop(controller);
    cluster.store.set_route(NAMESPACE, "fairlead-webhook-service", None);
    Ok(())
}

const POOL: &str =
    "kubectl apply --filename - <<<'{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: ";

fn address(pool: &str) -> &'static str {
    if pool == "first" { "192.0.2.1/32" } else { "192.0.2.2/32" }
}

/// Runs `fairlead uninstall` on the nodes, of which there are none here: plays the controller of DaemonSets.
fn cleans_nodes(cluster: &TestCluster, shell: &mut Shell) -> Result<()> {
    thread::scope(|scope| {
        let controller = scope.spawn(|| {
            let until = Instant::now() + SOON;
            while Instant::now() < until {
                let applied = cluster.store.get("apps", "daemonsets", NAMESPACE, "fairlead-uninstall");
                if let Some(mut applied) = applied {
                    let generation = applied["metadata"]["generation"].clone();
                    let counts = json!({ "currentNumberScheduled": 0, "desiredNumberScheduled": 0,
                        "numberMisscheduled": 0, "numberReady": 0, "observedGeneration": generation });
                    applied["status"] = counts;
                    return cluster.store.put(&applied);
                }
                thread::sleep(Duration::from_millis(20));
            }
            bail!("no DaemonSet fairlead-uninstall")
        });
        shell.step("remove-nodes")?;
        controller.join().map_err(|_| anyhow!("the controller panicked"))?
    })
}

/// Checks that the product is removed, pools can be written, and Services keep their addresses.
fn is_gone(cluster: &TestCluster, shell: &Shell, name: &str, pool: &str) -> Result<()> {
    let kinds = "validatingwebhookconfigurations,deployments,daemonsets,clusterroles,clusterrolebindings";
    let left = shell.run(&format!("kubectl get {kinds} --all-namespaces --output name"))?;
    ensure!(!left.contains("fairlead"), "{left}");
    let namespaced = "roles,rolebindings,serviceaccounts,services,networkpolicies,poddisruptionbudgets,secrets,leases,configurationstates";
    let left = shell.run(&format!("kubectl get {namespaced} --namespace {NAMESPACE} --output name"))?;
    ensure!(!left.contains("fairlead") && !left.contains("controller"), "{left}");
    shell.run(&format!("kubectl label --overwrite ipaddresspool {pool} --namespace {NAMESPACE} kept=yes"))?;
    assert_eq!(cluster.addresses("default", name).len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_installation_page_installs_and_removes_the_product() -> Result<()> {
    let name = "the_installation_page_installs_and_removes_the_product";
    let Some(clients) = KubeClients::or_skip(name) else { return Ok(()) };
    let cluster = TestCluster::empty()?;
    let mut shell = Shell::open(&clients, &cluster.kubeconfig(), &["docs/install.md"])?;

    shell.step("install-kubectl")?;
    works(&cluster, &shell, "one", "first").await?;
    // Without controllers but with the webhook configuration, pools cannot be written.
    let (taken, printed) =
        shell.attempt(&format!("kubectl label ipaddresspool first --namespace {NAMESPACE} written=yes"))?;
    ensure!(!taken && printed.contains("failed calling webhook"), "{printed}");
    shell.step("remove-kubectl")?;
    cleans_nodes(&cluster, &mut shell)?;
    shell.step("remove-rest")?;
    is_gone(&cluster, &shell, "one", "first")?;

    shell.step("upgrade-helm")?;
    works(&cluster, &shell, "two", "second").await?;
    shell.step("remove-helm")?;
    cleans_nodes(&cluster, &mut shell)?;
    shell.step("remove-rest")?;
    is_gone(&cluster, &shell, "two", "second")?;

    shell.step("install-helm")?;
    // With MetalLB's definitions it is tested in `cluster/kubectl.rs`.
    shell.step("replace-definitions")?;
    assert_eq!(shell.left(), [""; 0]);
    Ok(())
}
