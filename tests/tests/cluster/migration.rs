//! A test of the migration and installation pages: their commands are extracted and run.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use fairlead_tests::cluster::{Controller, TestCluster, eventually};
use fairlead_tests::kube_clients::KubeClients;
use fairlead_tests::metallb::{self, CONFIGURATION, MetallbWebhook, NAMESPACE, SERVICE};
use fairlead_tests::page::Shell;

const SOON: Duration = Duration::from_secs(30);

/// Configuration of a MetalLB in use.
const CONFIGURED: &str = "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: pool, namespace: metallb-system}
spec: {addresses: [192.0.2.0/28]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: all, namespace: metallb-system}
";

/// A Service that requests any address.
const NEW: &str = "
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: default}
spec: {type: LoadBalancer, selector: {app: x}, ports: [{port: 80}]}
";

/// A cluster with MetalLB, and a shell that follows the pages.
struct MigrationScenario {
    cluster: TestCluster,
    shell: Shell,
    webhook: MetallbWebhook,
}

/// Service → address.
const HELD: [(&str, &str); 3] = [("one", "192.0.2.9"), ("two", "192.0.2.1"), ("three", "192.0.2.14")];

impl MigrationScenario {
    async fn with_metallb(clients: &KubeClients) -> Result<Self> {
        let cluster = TestCluster::empty()?;
        let shell = Shell::open(clients, &cluster.kubeconfig(), &["docs/migrating-from-metallb.md"])?;
        let webhook = MetallbWebhook::start().await?;
        fs::write(shell.checkout().join("metallb.yaml"), metallb::manifest()?)?;
        shell.run("kubectl apply --filename metallb.yaml")?;
        shell.until_served()?;
        let scenario = Self { cluster, shell, webhook };
        scenario.start_metallb()?;
        scenario.write(CONFIGURED)?;
        for (name, address) in HELD {
            scenario.cluster.store.put(&metallb::service(name, address)?)?;
        }
        Ok(scenario)
    }

    /// Does what MetalLB's controller does at its start: its webhook answers and is trusted.
    fn start_metallb(&self) -> Result<()> {
        self.cluster.store.set_route(NAMESPACE, SERVICE, Some(self.webhook.address));
        for index in 0..6 {
            self.shell.run(&format!(
                "kubectl patch validatingwebhookconfiguration {CONFIGURATION} --type=json --patch '[{{\"op\": \"add\", \
                 \"path\": \"/webhooks/{index}/clientConfig/caBundle\", \"value\": \"{}\"}}]'",
                self.webhook.bundle
            ))?;
        }
        Ok(())
    }

    fn stop_metallb(&self) {
        self.cluster.store.set_route(NAMESPACE, SERVICE, None);
    }

    fn write(&self, text: &str) -> Result<String> {
        self.shell.run(&format!("kubectl apply --filename - <<'END'\n{text}\nEND"))
    }

    /// Starts the installed controller, and waits until API servers trust its webhook.
    async fn start_fairlead(&self, namespace: &str, configuration: &str) -> Result<Controller> {
        let controller = self.cluster.run_deployment(namespace, "fairlead-controller")?;
        let bundle = || {
            let group = "admissionregistration.k8s.io";
            let found = self.cluster.store.get(group, "validatingwebhookconfigurations", "", configuration);
            found.is_some_and(|it| it["webhooks"][0]["clientConfig"]["caBundle"].is_string())
        };
        eventually("the webhook is trusted", SOON, bundle)
            .await
            .map_err(|error| anyhow::anyhow!("{error}\n{}", controller.log()))?;
        Ok(controller)
    }

    fn held(&self) -> BTreeMap<&'static str, Vec<String>> {
        HELD.iter().map(|(name, _)| (*name, self.cluster.addresses("default", name))).collect()
    }

    fn check_addresses(&self) -> Result<()> {
        let expected: BTreeMap<_, _> =
            HELD.iter().map(|(name, ip)| (*name, vec![(*ip).to_owned()])).collect();
        assert_eq!(self.held(), expected);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metallb_page_migrates_there_and_back_and_services_keep_their_addresses() -> Result<()> {
    let name = "the_metallb_page_migrates_there_and_back_and_services_keep_their_addresses";
    let Some(clients) = KubeClients::or_skip(name) else { return Ok(()) };
    let mut scenario = MigrationScenario::with_metallb(&clients).await?;
    scenario.shell.step("look")?;

    run_side_by_side(&mut scenario).await?;
    let controller = migrate(&mut scenario).await?;
    migrate_back(&mut scenario, controller).await?;

    // Migrate again, to stay.
    for step in ["stop-controller", "replace-definitions", "stop-speakers", "install"] {
        scenario.stop_metallb();
        scenario.shell.step(step)?;
    }
    let _controller = scenario.start_fairlead(NAMESPACE, "fairlead-webhook-configuration").await?;
    scenario.shell.step("clean-up")?;
    scenario.write(&NEW.replace("NAME", "last"))?;
    let gets_one = || scenario.cluster.addresses("default", "last").len() == 1;
    eventually("a Service gets an address", SOON, gets_one).await?;
    scenario.check_addresses()?;
    assert_eq!(scenario.shell.left(), [""; 0]);
    Ok(())
}

/// Runs both side by side, each with the Services of its class.
async fn run_side_by_side(scenario: &mut MigrationScenario) -> Result<()> {
    let elsewhere = CONFIGURED.replace("metallb-system", "default").replace("192.0.2.0", "198.51.100.0");
    let refused = scenario.write(&elsewhere).err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(refused.contains("must be created in metallb-system"), "MetalLB's webhook: {refused}");

    for step in ["narrow-webhook", "missing-definitions", "install-beside"] {
        scenario.shell.step(step)?;
    }
    // MetalLB's webhook still validates its own namespace.
    let before = scenario.webhook.judged();
    scenario.write(&CONFIGURED.replace("name: pool", "name: rest").replace("192.0.2.0", "203.0.113.16"))?;
    ensure!(scenario.webhook.judged() > before, "MetalLB's webhook was not called");
    let controller = scenario.start_fairlead("fairlead", "fairlead-webhook-configuration.fairlead").await?;
    scenario.shell.step("try")?;
    let gets_one = || scenario.cluster.addresses("default", "try") == ["198.51.100.0"];
    eventually("the Service of the class gets an address", SOON, gets_one).await?;
    // A Service without a class is MetalLB's.
    scenario.write(&NEW.replace("NAME", "other"))?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(scenario.cluster.addresses("default", "other"), [""; 0]);
    scenario.shell.run("kubectl delete service other")?;
    // Each webhook validates its own namespace.
    let wrong = "kubectl create --filename - <<<'{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, \
                 metadata: {name: wrong, namespace: fairlead}, spec: {addresses: [198.51.100.0/28]}}'";
    let (taken, printed) = scenario.shell.attempt(wrong)?;
    ensure!(!taken && printed.contains("validate.fairlead.io"), "{printed}");

    scenario.shell.step("end-try")?;
    drop(controller);
    scenario.check_addresses()
}

/// Migrates everything at once.
async fn migrate(scenario: &mut MigrationScenario) -> Result<Controller> {
    scenario.shell.step("note")?;
    scenario.shell.step("stop-controller")?;
    scenario.stop_metallb();
    for step in ["replace-definitions", "stop-speakers", "install"] {
        scenario.shell.step(step)?;
    }
    let controller = scenario.start_fairlead(NAMESPACE, "fairlead-webhook-configuration").await?;
    scenario.write(&NEW.replace("NAME", "four"))?;
    let gets_one = || scenario.cluster.addresses("default", "four") == ["192.0.2.0"];
    eventually("a new Service gets an address", SOON, gets_one).await?;
    scenario.check_addresses()?;
    Ok(controller)
}

async fn migrate_back(scenario: &mut MigrationScenario, controller: Controller) -> Result<()> {
    scenario.shell.step("back")?;
    drop(controller);
    scenario.start_metallb()?;
    let conversion = scenario
        .shell
        .run("kubectl get crd bgppeers.metallb.io --output jsonpath='{.spec.conversion.strategy}'")?;
    assert_eq!(conversion, "Webhook");
    let kinds = "validatingwebhookconfigurations,deployments,daemonsets";
    let names = scenario.shell.run(&format!("kubectl get {kinds} --all-namespaces --output name"))?;
    ensure!(!names.contains("fairlead"), "{names}");
    ensure!(names.contains("daemonset.apps/speaker") && names.contains(CONFIGURATION), "{names}");
    // Objects of its namespace can be written, and its webhook validates them.
    scenario.write(&CONFIGURED.replace("name: pool", "name: more").replace("192.0.2.0", "203.0.113.0"))?;
    scenario.check_addresses()
}
