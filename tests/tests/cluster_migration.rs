//! The pages about moving from MetalLB and about installation, followed word for word: their commands are read out of them.

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

/// A Service that asks for any address.
const NEW: &str = "
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: default}
spec: {type: LoadBalancer, selector: {app: x}, ports: [{port: 80}]}
";

/// A cluster in which MetalLB serves, and a reader of the pages.
struct RoutedScenario {
    cluster: TestCluster,
    shell: Shell,
    webhook: MetallbWebhook,
}

/// Service → address.
const HELD: [(&str, &str); 3] = [("one", "192.0.2.9"), ("two", "192.0.2.1"), ("three", "192.0.2.14")];

impl RoutedScenario {
    async fn with_metallb(clients: &KubeClients) -> Result<Self> {
        let cluster = TestCluster::empty()?;
        let shell = Shell::open(clients, &cluster.kubeconfig(), &["docs/migrating-from-metallb.md"])?;
        let webhook = MetallbWebhook::start().await?;
        fs::write(shell.checkout().join("metallb.yaml"), metallb::manifest()?)?;
        shell.run("kubectl apply --filename metallb.yaml")?;
        shell.until_served()?;
        let scene = Self { cluster, shell, webhook };
        scene.metallb_runs()?;
        scene.write(CONFIGURED)?;
        for (name, address) in HELD {
            scene.cluster.store.put(&metallb::service(name, address)?)?;
        }
        Ok(scene)
    }

    /// What MetalLB's controller does when it starts: its webhook answers, and is trusted.
    fn metallb_runs(&self) -> Result<()> {
        self.cluster.store.lead(NAMESPACE, SERVICE, Some(self.webhook.address));
        for index in 0..6 {
            self.shell.run(&format!(
                "kubectl patch validatingwebhookconfiguration {CONFIGURATION} --type=json --patch '[{{\"op\": \"add\", \
                 \"path\": \"/webhooks/{index}/clientConfig/caBundle\", \"value\": \"{}\"}}]'",
                self.webhook.bundle
            ))?;
        }
        Ok(())
    }

    fn metallb_stops(&self) {
        self.cluster.store.lead(NAMESPACE, SERVICE, None);
    }

    fn write(&self, text: &str) -> Result<String> {
        self.shell.run(&format!("kubectl apply --filename - <<'END'\n{text}\nEND"))
    }

    /// Starts the controller that has been installed, and waits until API servers trust its webhook.
    async fn fairlead_runs(&self, namespace: &str, configuration: &str) -> Result<Controller> {
        let controller = self.cluster.run_deployment(namespace, "fairlead-controller")?;
        let bundle = || {
            let group = "admissionregistration.k8s.io";
            let there = self.cluster.store.get(group, "validatingwebhookconfigurations", "", configuration);
            there.is_some_and(|it| it["webhooks"][0]["clientConfig"]["caBundle"].is_string())
        };
        eventually("the webhook is trusted", SOON, bundle)
            .await
            .map_err(|error| anyhow::anyhow!("{error}\n{}", controller.log()))?;
        Ok(controller)
    }

    fn held(&self) -> BTreeMap<&'static str, Vec<String>> {
        HELD.iter().map(|(name, _)| (*name, self.cluster.addresses("default", name))).collect()
    }

    fn keeps_addresses(&self) -> Result<()> {
        let wanted: BTreeMap<_, _> = HELD.iter().map(|(name, ip)| (*name, vec![(*ip).to_owned()])).collect();
        assert_eq!(self.held(), wanted);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_about_metallb_leads_there_and_back_and_services_keep_their_addresses() -> Result<()> {
    let name = "the_page_about_metallb_leads_there_and_back_and_services_keep_their_addresses";
    let Some(clients) = KubeClients::or_skip(name) else { return Ok(()) };
    let mut scene = RoutedScenario::with_metallb(&clients).await?;
    scene.shell.step("look")?;

    beside(&mut scene).await?;
    let controller = there(&mut scene).await?;
    back(&mut scene, controller).await?;

    // There once more, to stay.
    for step in ["stop-controller", "replace-definitions", "stop-speakers", "install"] {
        scene.metallb_stops();
        scene.shell.step(step)?;
    }
    let _controller = scene.fairlead_runs(NAMESPACE, "fairlead-webhook-configuration").await?;
    scene.shell.step("clean-up")?;
    scene.write(&NEW.replace("NAME", "last"))?;
    let gets_one = || scene.cluster.addresses("default", "last").len() == 1;
    eventually("a Service gets an address", SOON, gets_one).await?;
    scene.keeps_addresses()?;
    assert_eq!(scene.shell.left(), [""; 0]);
    Ok(())
}

/// By class: both serve, each its own Services.
async fn beside(scene: &mut RoutedScenario) -> Result<()> {
    let elsewhere = CONFIGURED.replace("metallb-system", "default").replace("192.0.2.0", "198.51.100.0");
    let refused = scene.write(&elsewhere).err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(refused.contains("must be created in metallb-system"), "MetalLB's webhook: {refused}");

    for step in ["narrow-webhook", "missing-definitions", "install-beside"] {
        scene.shell.step(step)?;
    }
    // MetalLB's webhook still judges its own namespace.
    let before = scene.webhook.judged();
    scene.write(&CONFIGURED.replace("name: pool", "name: rest").replace("192.0.2.0", "203.0.113.16"))?;
    ensure!(scene.webhook.judged() > before, "MetalLB's webhook was not asked");
    let controller = scene.fairlead_runs("fairlead", "fairlead-webhook-configuration.fairlead").await?;
    scene.shell.step("try")?;
    let gets_one = || scene.cluster.addresses("default", "try") == ["198.51.100.0"];
    eventually("the Service of the class gets an address", SOON, gets_one).await?;
    // One without a class is MetalLB's.
    scene.write(&NEW.replace("NAME", "other"))?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(scene.cluster.addresses("default", "other"), [""; 0]);
    scene.shell.run("kubectl delete service other")?;
    // Each webhook judges its own namespace.
    let wrong = "kubectl create --filename - <<<'{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, \
                 metadata: {name: wrong, namespace: fairlead}, spec: {addresses: [198.51.100.0/28]}}'";
    let (taken, said) = scene.shell.attempt(wrong)?;
    ensure!(!taken && said.contains("validate.fairlead.io"), "{said}");

    scene.shell.step("end-try")?;
    drop(controller);
    scene.keeps_addresses()
}

/// All at once.
async fn there(scene: &mut RoutedScenario) -> Result<Controller> {
    scene.shell.step("note")?;
    scene.shell.step("stop-controller")?;
    scene.metallb_stops();
    for step in ["replace-definitions", "stop-speakers", "install"] {
        scene.shell.step(step)?;
    }
    let controller = scene.fairlead_runs(NAMESPACE, "fairlead-webhook-configuration").await?;
    scene.write(&NEW.replace("NAME", "four"))?;
    let gets_one = || scene.cluster.addresses("default", "four") == ["192.0.2.0"];
    eventually("a new Service gets an address", SOON, gets_one).await?;
    scene.keeps_addresses()?;
    Ok(controller)
}

async fn back(scene: &mut RoutedScenario, controller: Controller) -> Result<()> {
    scene.shell.step("back")?;
    drop(controller);
    scene.metallb_runs()?;
    let conversion = scene
        .shell
        .run("kubectl get crd bgppeers.metallb.io --output jsonpath='{.spec.conversion.strategy}'")?;
    assert_eq!(conversion, "Webhook");
    let kinds = "validatingwebhookconfigurations,deployments,daemonsets";
    let names = scene.shell.run(&format!("kubectl get {kinds} --all-namespaces --output name"))?;
    ensure!(!names.contains("fairlead"), "{names}");
    ensure!(names.contains("daemonset.apps/speaker") && names.contains(CONFIGURATION), "{names}");
    // Objects of its namespace can be written, and its webhook judges them.
    scene.write(&CONFIGURED.replace("name: pool", "name: more").replace("192.0.2.0", "203.0.113.0"))?;
    scene.keeps_addresses()
}
