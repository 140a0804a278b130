//! Tests of the RBAC roles in the manifests against the requests of agent and controller.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use fairlead_tests::api_server::Access;
use fairlead_tests::cluster::{NAMESPACE, TestCluster, eventually};
use lb_kube::client::{self, ClientRole};
use lb_kube::cluster::Cluster as Watching;
use lb_kube::kinds::agent_kinds;
use lb_kube::status::{
    DesiredStatus, SessionReport, StatusComponent, StatusScope, StatusWriter, WriteLimits,
};
use serde_json::Value;
use tokio::sync::watch;

/// The namespace of the webhook's certificate in the chart.
const WEBHOOK_NAMESPACE: &str = "metallb-system-webhook";
const SOON: Duration = Duration::from_secs(20);

/// A permission that a role grants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    /// The namespace; `None` for all.
    namespace: Option<String>,
    group: String,
    resource: String,
    verb: String,
    /// The name of the object; `None` for any.
    name: Option<String>,
}

impl Grant {
    fn covers(&self, access: &Access) -> bool {
        self.verb == access.verb
            && self.group == access.group
            && self.resource == access.resource
            && (self.namespace.is_none() || self.namespace == access.namespace)
            && (self.name.is_none() || self.name == access.name)
    }
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// Defines the kinds in `deploy/crds`.
fn define(cluster: &TestCluster) -> Result<()> {
    for entry in fs::read_dir(deploy().join("crds"))? {
        let path = entry?.path();
        if !path.ends_with("kustomization.yaml") {
            cluster.apply(&fs::read_to_string(path)?)?;
        }
    }
    Ok(())
}

/// Returns the permissions that the roles in a manifest grant.
fn grants(manifest: &str) -> Result<Vec<Grant>> {
    let path = deploy().join("manifests").join(manifest);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut grants = Vec::new();
    for role in serde_saphyr::from_multiple::<Value>(&text)? {
        for rule in role["rules"].as_array().into_iter().flatten() {
            let list = |key: &str| -> Vec<String> {
                rule[key]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect()
            };
            let names = list("resourceNames");
            let names: Vec<_> =
                if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
            for (group, resource, verb, name) in
                product(&list("apiGroups"), &list("resources"), &list("verbs"), &names)
            {
                let namespace = role["metadata"]["namespace"].as_str().map(str::to_owned);
                grants.push(Grant { namespace, group, resource, verb, name });
            }
        }
    }
    Ok(grants)
}

fn product(
    groups: &[String],
    resources: &[String],
    verbs: &[String],
    names: &[Option<String>],
) -> Vec<(String, String, String, Option<String>)> {
    let mut all = Vec::new();
    for group in groups {
        for resource in resources {
            for verb in verbs {
                let each =
                    names.iter().map(|name| (group.clone(), resource.clone(), verb.clone(), name.clone()));
                all.extend(each);
            }
        }
    }
    all
}

/// Checks that all needed permissions are granted, and all granted ones are needed except `unused`.
fn fits(asked: &BTreeSet<Access>, manifest: &str, unused: &[&str]) -> Result<()> {
    let grants = grants(manifest)?;
    let refused: Vec<_> = asked.iter().filter(|access| !grants.iter().any(|it| it.covers(access))).collect();
    assert!(refused.is_empty(), "{manifest} does not grant {refused:#?}");
    // A server without streaming lists gets a list request before a watch.
    let as_list = |access: &Access| Access {
        verb: if access.verb == "watch" { "list" } else { access.verb },
        ..access.clone()
    };
    let is_used = |grant: &&Grant| asked.iter().any(|it| grant.covers(it) || grant.covers(&as_list(it)));
    let idle = grants.iter().filter(|grant| !is_used(grant));
    let idle: BTreeSet<String> = idle.map(|it| format!("{} {}", it.verb, it.resource)).collect();
    let unused: BTreeSet<String> = unused.iter().map(|it| (*it).to_owned()).collect();
    assert_eq!(idle, unused, "{manifest} grants unused permissions");
    Ok(())
}

const SERVICE: &str = "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: shop}, spec: {type: LoadBalancer, \
                       clusterIPs: [10.96.0.1], ports: [{port: 80}]}}";

#[tokio::test]
async fn a_controllers_role_grants_exactly_what_it_uses() -> Result<()> {
    let cluster = TestCluster::start().await?;
    define(&cluster)?;
    cluster.apply(SERVICE)?;
    cluster.apply(&format!(
        "{{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {{name: p, namespace: {NAMESPACE}}}, \
         spec: {{addresses: [192.0.2.0/30]}}}}"
    ))?;
    cluster.apply(&fs::read_to_string(deploy().join("manifests/webhook.yaml"))?)?;
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port().to_string();
    let controller = cluster.controller_with(
        "one",
        &[
            "--webhook-mode",
            "enabled",
            "--webhook-port",
            &port,
            "--webhook-secret-namespace",
            WEBHOOK_NAMESPACE,
        ],
    )?;
    eventually("the Service has an address", SOON, || !cluster.addresses("shop", "a").is_empty()).await?;
    eventually("it has an Event", SOON, || !cluster.events("a").is_empty()).await?;
    eventually("the Lease is held", SOON, || {
        cluster.store.accesses().iter().any(|it| it.resource == "leases" && it.verb == "update")
    })
    .await?;
    eventually("the webhook configuration has a CA bundle", SOON, || {
        let group = "admissionregistration.k8s.io";
        let all = cluster.store.all(group, "validatingwebhookconfigurations");
        all.iter().any(|it| it["webhooks"][0]["clientConfig"]["caBundle"].is_string())
    })
    .await?;
    eventually("its status is written", SOON, || {
        !cluster.store.all("metallb.io", "configurationstates").is_empty()
    })
    .await?;
    eventually("the key is created", SOON, || !cluster.store.all("", "secrets").is_empty()).await?;
    controller.kill()?;
    fits(
        &cluster.store.accesses(),
        "controller-rbac.yaml",
        // A series of Events; an obsolete status; its own pod, since the test has none; an expiring
        // certificate, or one of another type.
        &["delete configurationstates", "delete secrets", "get pods", "patch events", "update secrets"],
    )
}

fn peer(name: &str, secret: &str) -> String {
    format!(
        "{{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {{name: {name}, namespace: {NAMESPACE}}}, spec: {{myASN: 1, \
         peerASN: 2, peerAddress: 192.0.2.1, passwordSecret: {{name: {secret}}}}}}}"
    )
}

fn secret(name: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: {name}, namespace: {NAMESPACE}}}, type: \
         kubernetes.io/basic-auth, data: {{password: eA==}}}}"
    )
}

/// Returns the names of the Secrets that have been read.
fn secrets(watching: &Watching) -> Vec<String> {
    let objects = watching.read().map(|snapshot| snapshot.objects).unwrap_or_default();
    let references = objects.iter().map(|it| it.value.reference());
    references.filter(|it| it.kind == "Secret").map(|it| it.name).collect()
}

#[tokio::test]
async fn an_agents_role_grants_exactly_what_it_uses() -> Result<()> {
    let cluster = TestCluster::start().await?;
    define(&cluster)?;
    cluster.apply(SERVICE)?;
    cluster.apply(&peer("tor", "password-of-tor"))?;
    cluster.apply(&secret("password-of-tor"))?;
    cluster.apply(&secret("fairlead-webhook-cert"))?;
    let kubeconfig = cluster.kubeconfig();
    let client = client::connect(Some(&kubeconfig), ClientRole::Agent).await?;
    let watching = Watching::watch(&client, &agent_kinds(), NAMESPACE);
    let writer = StatusWriter {
        write_client: client.clone(),
        client,
        namespace: NAMESPACE.to_owned(),
        scope: StatusScope::Node("n1".to_owned()),
        pod: Some("fairlead-agent-x".to_owned()),
        limits: WriteLimits {
            per_second: 1000.0,
            burst: 1000.0,
            interval: Duration::ZERO,
            max_interval: Duration::from_secs(1),
        },
    };
    let (desired, written) = watch::channel(None);
    let task = tokio::spawn(writer.run(written));
    let statuses = || ["servicebgpstatuses", "servicel2statuses", "configurationstates", "bgpsessionstates"];
    let count = |plural: &str| {
        let group = if plural == "bgpsessionstates" { "frrk8s.metallb.io" } else { "metallb.io" };
        cluster.store.all(group, plural).len()
    };
    let mut all = DesiredStatus::default();
    all.set_service_bgp("n1", "shop", "a", &["p".to_owned()]);
    all.set_service_l2("n1", "shop", "a", &BTreeSet::new());
    all.set_configuration(StatusComponent::Agent("n1"), &[], &[]);
    all.set_session(
        "n1",
        &SessionReport { peer: "10.1.0.1".into(), vrf: None, bgp: "Established", bfd: None },
    );
    desired.send_replace(Some(Arc::new(all)));
    eventually("all statuses are written", SOON, || statuses().iter().all(|plural| count(plural) == 1))
        .await?;
    eventually("with an Event", SOON, || !cluster.events("a").is_empty()).await?;
    desired.send_replace(Some(Arc::new(DesiredStatus::default())));
    eventually("all statuses are deleted", SOON, || statuses().iter().all(|plural| count(plural) == 0))
        .await?;
    let watched = || {
        let accesses = cluster.store.accesses();
        agent_kinds()
            .iter()
            .filter(|kind| accesses.iter().any(|it| it.resource == kind.plural && it.verb == "watch"))
            .count()
    };
    eventually("all kinds but Secrets are watched", SOON, || watched() == agent_kinds().len() - 1).await?;
    eventually("the peer's Secret is read", SOON, || secrets(&watching) == ["password-of-tor"]).await?;
    cluster.apply(&secret("another"))?;
    cluster.apply(&peer("tor", "another"))?;
    eventually("another is read in its place", SOON, || secrets(&watching) == ["another"]).await?;
    cluster.apply(&peer("tor", "none"))?;
    eventually("a missing Secret is dropped", SOON, || secrets(&watching).is_empty()).await?;
    let asked: BTreeSet<_> =
        cluster.store.accesses().into_iter().filter(|it| it.resource == "secrets").collect();
    let by_name = ["another", "none", "password-of-tor"];
    assert!(asked.iter().all(|it| it.verb == "get"), "{asked:?}");
    assert_eq!(asked.iter().filter_map(|it| it.name.as_deref()).collect::<BTreeSet<_>>(), by_name.into());
    task.abort();
    fits(
        &cluster.store.accesses(),
        "agent-rbac.yaml",
        // A series of Events.
        &["patch events"],
    )
}
