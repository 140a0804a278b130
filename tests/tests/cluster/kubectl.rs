//! Tests of the shipped manifests and chart with kubectl and Helm: apply, diff, explain, columns, conflicts;
//! install, upgrade, uninstall.

use anyhow::{Result, ensure};
use fairlead_tests::cluster::TestCluster;
use fairlead_tests::kube_clients::KubeClients;
use fairlead_tests::metallb;
use fairlead_tests::page::Shell;

const CRDS: &str = "kubectl apply --server-side --kustomize deploy/crds";

/// An object of each kind whose columns are checked.
const OBJECTS: &str = "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: pool, namespace: default}
spec: {addresses: [192.0.2.0/28], avoidBuggyIPs: true}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: tor, namespace: default}
spec: {myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.254, ebgpMultiHop: true, bfdProfile: fast}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: lan, namespace: default}
spec: {ipAddressPools: [pool], interfaces: [eth0]}
---
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata: {name: fast, namespace: default}
spec: {transmitInterval: 100, receiveInterval: 150, detectMultiplier: 5, passiveMode: true}
---
apiVersion: metallb.io/v1beta1
kind: Community
metadata: {name: names, namespace: default}
spec: {communities: [{name: no-export, value: '65535:65281'}]}
";

fn shell(clients: &KubeClients, cluster: &TestCluster) -> Result<Shell> {
    Shell::open(clients, &cluster.kubeconfig(), &[])
}

fn refused(shell: &Shell, commands: &str, why: &str) -> Result<()> {
    let (succeeded, printed) = shell.attempt(commands)?;
    ensure!(!succeeded && printed.contains(why), "{commands}: {why}: {printed}");
    Ok(())
}

/// Splits each line into columns.
fn table(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split("   ").map(str::trim).filter(|it| !it.is_empty()).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn applied_manifests_leave_no_kubectl_diff() -> Result<()> {
    let name = "applied_manifests_leave_no_kubectl_diff";
    let Some(clients) = KubeClients::or_skip(name) else { return Ok(()) };
    let cluster = TestCluster::empty()?;
    let shell = shell(&clients, &cluster)?;
    refused(&shell, "kubectl diff --server-side --kustomize deploy/crds", "communities.metallb.io")?;
    for way in ["--server-side", "--server-side --field-manager=helm"] {
        let printed = shell.run(&format!("kubectl apply {way} --kustomize deploy/manifests"))?;
        ensure!(printed.lines().count() > 25 && !printed.contains("Warning"), "{printed}");
    }
    // A moment later the server sets the definitions' status to established, which would be a difference,
    // too.
    shell.until_served()?;
    assert_eq!(shell.run("kubectl diff --server-side --kustomize deploy/manifests")?, "");
    // A client-side apply takes over the existing objects.
    shell.run("kubectl apply --kustomize deploy/manifests 2>/dev/null")?;
    assert_eq!(shell.run("kubectl diff --kustomize deploy/manifests")?, "");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_have_descriptions_and_metallbs_printer_columns() -> Result<()> {
    let name = "kinds_have_descriptions_and_metallbs_printer_columns";
    let Some(clients) = KubeClients::or_skip(name) else { return Ok(()) };
    let cluster = TestCluster::empty()?;
    let shell = shell(&clients, &cluster)?;
    shell.run(CRDS)?;
    shell.until_served()?;
    for field in
        ["ipaddresspools.spec.serviceAllocation.priority", "bgppeers.spec.passwordSecret", "bfdprofiles.spec"]
    {
        let printed = shell.run(&format!("kubectl explain {field}"))?;
        ensure!(printed.contains("DESCRIPTION:") && !printed.contains("<empty>"), "{printed}");
    }
    shell.run(&format!("kubectl apply --server-side --filename - <<'END'\n{OBJECTS}\nEND"))?;
    for (plural, wide, expected) in [
        (
            "ipaddresspools",
            "",
            [
                vec!["NAME", "AUTO ASSIGN", "AVOID BUGGY IPS", "ADDRESSES"],
                vec!["pool", "true", "true", "[\"192.0.2.0/28\"]"],
            ],
        ),
        (
            "bgppeers",
            "",
            [
                vec!["NAME", "ADDRESS", "ASN", "BFD PROFILE", "MULTI HOPS"],
                vec!["tor", "192.0.2.254", "64513", "fast", "true"],
            ],
        ),
        (
            "l2advertisements",
            "",
            [
                vec!["NAME", "IPADDRESSPOOLS", "IPADDRESSPOOL SELECTORS", "INTERFACES"],
                vec!["lan", "[\"pool\"]", "[\"eth0\"]"],
            ],
        ),
        (
            "bfdprofiles",
            "",
            [
                vec!["NAME", "PASSIVE MODE", "TRANSMIT INTERVAL", "RECEIVE INTERVAL", "MULTIPLIER"],
                vec!["fast", "true", "100", "150", "5"],
            ],
        ),
        ("communities", "--no-headers=false", [vec!["NAME", "AGE"], vec!["names"]]),
    ] {
        let printed = shell.run(&format!("kubectl get {plural} {wide}"))?;
        let mut shown = table(&printed);
        // The age depends on timing.
        shown
            .iter_mut()
            .skip(1)
            .filter(|row| row.len() == 2 && row[0] == "names")
            .for_each(|row| row.truncate(1));
        assert_eq!(shown, expected, "{printed}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_field_is_rejected_and_another_managers_field_conflicts() -> Result<()> {
    let name = "a_misspelt_field_is_rejected_and_another_managers_field_conflicts";
    let Some(clients) = KubeClients::or_skip(name) else { return Ok(()) };
    let cluster = TestCluster::empty()?;
    let shell = shell(&clients, &cluster)?;
    shell.run(CRDS)?;
    shell.until_served()?;
    let pool = |spec: &str| {
        format!(
            "'{{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {{name: p, namespace: default}}, spec: {{{spec}}}}}'"
        )
    };
    let apply = "kubectl apply --server-side --filename - <<<";
    refused(&shell, &format!("{apply}{}", pool("addreses: [192.0.2.0/28]")), "addreses")?;
    refused(&shell, &format!("{apply}{}", pool("addresses: []")), "spec.addresses")?;
    shell.run(&format!("{apply}{}", pool("addresses: [192.0.2.0/28]")))?;
    let other = format!(
        "kubectl apply --server-side --field-manager=gitops --filename - <<<{}",
        pool("addresses: [198.51.100.0/28]")
    );
    refused(&shell, &other, "conflict with \"kubectl\": .spec.addresses")?;
    shell.run(&other.replace("--field-manager", "--force-conflicts --field-manager"))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_installs_upgrades_and_uninstalls_but_keeps_definitions() -> Result<()> {
    let name = "helm_installs_upgrades_and_uninstalls_but_keeps_definitions";
    let Some(clients) = KubeClients::or_skip(name) else { return Ok(()) };
    let cluster = TestCluster::empty()?;
    let shell = shell(&clients, &cluster)?;
    // The same definitions by another manager are no conflict.
    shell.run(CRDS)?;
    shell.until_served()?;
    for (release, namespace) in [("fairlead", "metallb-system"), ("fairlead", "second")] {
        shell.run(&format!(
            "helm install {release} deploy/chart/fairlead --namespace {namespace} --create-namespace --set loadBalancerClass=a.example/{namespace}"
        ))?;
    }
    let shown = "kubectl get daemonset fairlead-agent --namespace second --output jsonpath='{.spec.template.spec.containers[0].args}'";
    ensure!(!shell.run(shown)?.contains("--ignore-exclude-lb"));
    shell.run("helm upgrade fairlead deploy/chart/fairlead --namespace second --reuse-values --set speaker.ignoreExcludeLB=true")?;
    let arguments = shell.run(shown)?;
    ensure!(
        arguments.contains("--ignore-exclude-lb") && arguments.contains("a.example/second"),
        "{arguments}"
    );
    shell.run("helm rollback fairlead 1 --namespace second")?;
    ensure!(!shell.run(shown)?.contains("--ignore-exclude-lb"));
    shell.run("helm uninstall fairlead --namespace second --wait")?;
    let kinds = "clusterroles,clusterrolebindings,validatingwebhookconfigurations,namespaces";
    let left = shell.run(&format!("kubectl get {kinds} --output name"))?;
    ensure!(!left.contains("second-webhook") && !left.contains(".second"), "{left}");
    ensure!(
        left.contains(
            "validatingwebhookconfiguration.admissionregistration.k8s.io/fairlead-webhook-configuration"
        ),
        "{left}"
    );
    shell.run("helm uninstall fairlead --namespace metallb-system --wait")?;
    let left = shell.run(
        "kubectl get validatingwebhookconfigurations,deployments,daemonsets --all-namespaces --output name",
    )?;
    assert_eq!(left, "");
    assert_eq!(shell.run("kubectl get crd --output name")?.lines().count(), 10);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_conflicts_with_metallbs_definitions_but_the_documented_steps_do_not() -> Result<()> {
    let name = "helm_conflicts_with_metallbs_definitions_but_the_documented_steps_do_not";
    let Some(clients) = KubeClients::or_skip(name) else { return Ok(()) };
    let cluster = TestCluster::empty()?;
    let mut shell = Shell::open(&clients, &cluster.kubeconfig(), &["docs/install.md"])?;
    std::fs::write(shell.checkout().join("metallb.yaml"), metallb::manifest()?)?;
    for way in ["", "--server-side --field-manager=helm --force-conflicts"] {
        shell.run(&format!("kubectl apply {way} --filename metallb.yaml"))?;
        refused(
            &shell,
            &format!("{CRDS} --force-conflicts"),
            "should not be set when strategy is not set to Webhook",
        )?;
        shell.step("replace-definitions")?;
        assert_eq!(shell.run("kubectl diff --server-side --kustomize deploy/crds")?, "");
    }
    shell
        .run("kubectl apply --server-side --field-manager=other --force-conflicts --filename metallb.yaml")?;
    let install = "helm install fairlead deploy/chart/fairlead --namespace metallb-system";
    refused(&shell, install, "conflict")?;
    shell.step("replace-definitions")?;
    shell.step("upgrade-helm")?;
    Ok(())
}
