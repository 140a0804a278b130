//! Tests of an agent's statuses and Events, against an API server that fails, restarts, and has foreign
//! changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use fairlead_tests::cluster::{NAMESPACE, TestCluster, eventually};
use lb_kube::client::{self, ClientRole};
use lb_kube::event_reason::EventReason;
use lb_kube::status::{
    DesiredStatus, ServiceWarning, SessionReport, StatusComponent, StatusScope, StatusWriter, WriteLimits,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(20);
/// Limits that do not slow down a test.
const FAST: WriteLimits = WriteLimits {
    per_second: 10_000.0,
    burst: 10_000.0,
    interval: Duration::from_millis(100),
    max_interval: Duration::from_secs(1),
};

/// The problems of an invalid configuration.
static INVALID: std::sync::LazyLock<[String; 1]> = std::sync::LazyLock::new(|| ["holdTime".to_owned()]);

/// A writer that runs until it is dropped.
struct RunningWriter {
    desired_status: watch::Sender<Option<Arc<DesiredStatus>>>,
    task: JoinHandle<()>,
}

impl Drop for RunningWriter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn start(
    cluster: &TestCluster,
    node: &str,
    pod: Option<&str>,
    limits: WriteLimits,
) -> Result<RunningWriter> {
    let client = client::connect(Some(&cluster.kubeconfig()), ClientRole::Agent).await?;
    let writer = StatusWriter {
        write_client: client.clone(),
        client,
        namespace: NAMESPACE.to_owned(),
        scope: StatusScope::Node(node.to_owned()),
        pod: pod.map(str::to_owned),
        limits,
    };
    let (desired_status, written) = watch::channel(None);
    Ok(RunningWriter { desired_status, task: tokio::spawn(writer.run(written)) })
}

impl RunningWriter {
    fn set_desired(&self, desired_status: DesiredStatus) {
        self.desired_status.send_replace(Some(Arc::new(desired_status)));
    }
}

/// Returns statuses of these Services, each advertised to these peers by node n1, and one session.
fn desired_status(services: &[(&str, &[&str])], bgp: &'static str) -> DesiredStatus {
    let mut desired_status = DesiredStatus::default();
    for (name, peers) in services {
        let peers: Vec<String> = peers.iter().map(|it| (*it).to_owned()).collect();
        desired_status.set_service_bgp("n1", "shop", name, &peers);
    }
    desired_status.set_configuration(StatusComponent::Agent("n1"), &[], &[]);
    desired_status
        .set_session("n1", &SessionReport { peer: "10.1.0.1".into(), vrf: None, bgp, bfd: Some("Up") });
    desired_status
}

/// Returns the peers of each Service that node n1 reports in our objects.
fn reported(cluster: &TestCluster) -> BTreeMap<String, Vec<String>> {
    let ours = cluster.store.all("metallb.io", "servicebgpstatuses").into_iter().filter(is_ours);
    let of = |object: Value| {
        let peers = object.pointer("/status/peers")?.as_array()?.iter();
        let peers = peers.filter_map(|peer| Some(peer.as_str()?.to_owned())).collect();
        Some((object.pointer("/status/serviceName")?.as_str()?.to_owned(), peers))
    };
    ours.filter_map(of).collect()
}

fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "fairlead"
        && object["metadata"]["labels"]["metallb.io/node"] == "n1"
}

fn reports(cluster: &TestCluster, services: &[(&str, &[&str])]) -> bool {
    let of = |(name, peers): &(&str, &[&str])| {
        ((*name).to_owned(), peers.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
    };
    reported(cluster) == services.iter().map(of).collect()
}

fn session(cluster: &TestCluster) -> Value {
    let session = cluster.store.get("frrk8s.metallb.io", "bgpsessionstates", NAMESPACE, "n1-10.1.0.1");
    session.unwrap_or_default()
}

/// Returns a foreign object about a Service of node n1.
fn foreign(name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "ServiceBGPStatus",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "status": {"node": "n1", "serviceName": "a", "serviceNamespace": "shop", "peers": ["theirs"]},
    })
}

#[tokio::test]
async fn desired_statuses_are_written_and_obsolete_ones_deleted() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.define_statuses()?;
    let theirs = foreign("bgp-x7k2p", &json!({"metallb.io/node": "n1"}));
    let elsewhere = foreign(
        "bgp-a.shop.n2",
        &json!({"metallb.io/node": "n2", "app.kubernetes.io/managed-by": "fairlead"}),
    );
    let left =
        foreign("bgp-left", &json!({"metallb.io/node": "n1", "app.kubernetes.io/managed-by": "fairlead"}));
    for object in [&theirs, &elsewhere, &left] {
        cluster.store.put(object)?;
    }
    let writer = start(&cluster, "n1", None, FAST).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(cluster.store.writes(), 0, "nothing may be written before the desired statuses are known");

    let first: &[(&str, &[&str])] = &[("a", &["p", "q"]), ("b", &["p"])];
    writer.set_desired(desired_status(first, "Established"));
    eventually("two Services are reported", SOON, || reports(&cluster, first)).await?;
    let expected = json!({
        "bgpStatus": "Established", "bfdStatus": "Up", "node": "n1", "peer": "10.1.0.1", "vrf": "",
    });
    eventually("the session is reported", SOON, || session(&cluster)["status"] == expected).await?;
    let state = || {
        let state = cluster.store.get("metallb.io", "configurationstates", NAMESPACE, "speaker-n1");
        state.unwrap_or_default()
    };
    eventually("the state is reported", SOON, || state()["status"]["result"] == "Valid").await?;
    let state = state();
    assert_eq!(state["metadata"]["labels"]["metallb.io/component-type"], "speaker");
    assert_eq!(state["status"]["conditions"][0]["reason"], "Reconciled");
    assert!(state["status"]["conditions"][0]["lastTransitionTime"].is_string());

    let second: &[(&str, &[&str])] = &[("b", &["q"]), ("c", &["p"])];
    writer.set_desired(desired_status(second, "Established"));
    eventually("one is deleted, one changed, one new", SOON, || reports(&cluster, second)).await?;
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let names: Vec<_> = cluster.store.all("metallb.io", "servicebgpstatuses").iter().map(name).collect();
    let expected = ["bgp-a.shop.n2", "bgp-b.shop.n1", "bgp-c.shop.n1", "bgp-x7k2p"];
    assert_eq!(names, expected, "objects of other nodes and foreign ones stay");
    assert!(!writer.task.is_finished());
    Ok(())
}

#[tokio::test]
async fn statuses_converge_despite_server_faults_and_foreign_changes() -> Result<()> {
    let mut cluster = TestCluster::start().await?;
    cluster.define_statuses()?;
    cluster.store.fail_every(2);
    let writer = start(&cluster, "n1", None, FAST).await?;
    let names: Vec<String> = (0..50).map(|i| format!("s{i}")).collect();
    let all: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), ["p"].as_slice())).collect();
    writer.set_desired(desired_status(&all, "Established"));
    eventually("all is reported although half of the writes fail", SOON, || reports(&cluster, &all)).await?;

    // The server is stopped, and the desired statuses change meanwhile.
    let some: Vec<(&str, &[&str])> =
        names[10..].iter().map(|name| (name.as_str(), ["q"].as_slice())).collect();
    writer.set_desired(desired_status(&some, "Active"));
    cluster.restart_server(Duration::from_millis(300)).await?;
    eventually("it is back, and all is reported", Duration::from_secs(60), || reports(&cluster, &some))
        .await?;
    eventually("the session is reported, too", SOON, || session(&cluster)["status"]["bgpStatus"] == "Active")
        .await?;

    // Another client deletes one, changes one, and removes our label from one.
    cluster.store.remove("metallb.io", "servicebgpstatuses", NAMESPACE, "bgp-s10.shop.n1");
    let mut changed = session(&cluster);
    changed["status"]["bgpStatus"] = json!("Nonsense");
    cluster.store.put(&changed)?;
    let mut unlabelled = cluster
        .store
        .get("metallb.io", "servicebgpstatuses", NAMESPACE, "bgp-s11.shop.n1")
        .unwrap_or_default();
    unlabelled["metadata"]["labels"] = json!({});
    cluster.store.put(&unlabelled)?;
    eventually("all is restored", SOON, || {
        reports(&cluster, &some) && session(&cluster)["status"]["bgpStatus"] == "Active"
    })
    .await?;

    // Without a difference nothing is written.
    cluster.store.fail_every(0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = cluster.store.writes();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(cluster.store.writes(), before);
    Ok(())
}

#[tokio::test]
async fn a_fixed_configuration_is_valid_within_seconds_despite_rate_limits() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.define_statuses()?;
    let writer = start(&cluster, "n1", None, WriteLimits::DEFAULT).await?;
    let set_desired = |faults: &[String]| {
        let mut desired_status = DesiredStatus::default();
        desired_status.set_configuration(StatusComponent::Agent("n1"), &[], faults);
        writer.set_desired(desired_status);
    };
    let result = || {
        let state = cluster.store.get("metallb.io", "configurationstates", NAMESPACE, "speaker-n1");
        state.unwrap_or_default()["status"]["result"].clone()
    };
    // A user tries one value after the other; and at first the server rejects all writes.
    cluster.store.fail_every(1);
    for turn in 0..16 {
        if turn == 6 {
            cluster.store.fail_every(0);
        }
        set_desired(if turn % 2 == 0 { &[] } else { &*INVALID });
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    set_desired(&*INVALID);
    eventually("it is Invalid", Duration::from_secs(10), || result() == "Invalid").await?;
    set_desired(&[]);
    eventually("it is Valid", Duration::from_secs(10), || result() == "Valid").await.map(drop)
}

#[tokio::test]
async fn undefined_status_kinds_block_no_other_status() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.define_statuses()?;
    let definition = "servicebgpstatuses.metallb.io";
    cluster.store.remove("apiextensions.k8s.io", "customresourcedefinitions", "", definition);
    cluster.apply(SERVICE)?;
    let writer = start(&cluster, "n1", None, FAST).await?;
    writer.set_desired(desired_status(&[("a", &["p"])], "Established"));
    eventually("the session is reported", SOON, || session(&cluster)["status"]["peer"] == "10.1.0.1").await?;
    eventually("the Event is emitted", SOON, || cluster.events("a") == ["nodeAssigned"]).await?;
    assert!(reported(&cluster).is_empty());
    Ok(())
}

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: shop}\n\
                       spec: {type: LoadBalancer, ports: [{port: 80}]}\n";

#[tokio::test]
async fn a_node_assignment_is_one_event_even_after_a_restart() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.define_statuses()?;
    cluster.apply(SERVICE)?;
    let a: &[(&str, &[&str])] = &[("a", &["p"])];
    let writer = start(&cluster, "n1", None, FAST).await?;
    writer.set_desired(desired_status(a, "Connect"));
    eventually("the Event is emitted", SOON, || cluster.events("a") == ["nodeAssigned"]).await?;
    let event = cluster.store.all("events.k8s.io", "events").pop().unwrap_or_default();
    assert_eq!(event["note"], "announcing from node \"n1\" with protocol \"bgp\"");
    assert_eq!(event["type"], "Normal");
    assert_eq!(event["reportingController"], "metallb-speaker");
    let service = cluster.store.get("", "services", "shop", "a").unwrap_or_default();
    assert_eq!(event["regarding"]["uid"], service["metadata"]["uid"], "kubectl describe finds it by the UID");

    drop(writer);
    let writer = start(&cluster, "n1", None, FAST).await?;
    // A change of peers is no new assignment.
    writer.set_desired(desired_status(&[("a", &["p", "q"])], "Established"));
    eventually("the next agent has taken over", SOON, || reports(&cluster, &[("a", &["p", "q"])])).await?;
    let events = cluster.store.all("events.k8s.io", "events");
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0]["series"].is_null(), "{events:?}");
    Ok(())
}

#[tokio::test]
async fn an_announced_service_has_a_status_and_an_event_while_this_node_announces_it() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.define_statuses()?;
    cluster.apply(SERVICE)?;
    let announced = |interfaces: &[&str]| {
        let mut desired_status = DesiredStatus::default();
        let interfaces: BTreeSet<_> = interfaces.iter().map(|it| (*it).to_owned()).collect();
        desired_status.set_service_l2("n1", "shop", "a", &interfaces);
        desired_status
    };
    let object = || {
        let object = cluster.store.get("metallb.io", "servicel2statuses", NAMESPACE, "l2-a.shop.n1");
        object.unwrap_or_default()
    };
    let notes = || {
        let mut events = cluster.store.all("events.k8s.io", "events");
        let notes = events.iter_mut().map(|event| event["note"].take());
        let mut notes: Vec<_> = notes.filter_map(|note| Some(note.as_str()?.to_owned())).collect();
        notes.sort();
        notes
    };
    let writer = start(&cluster, "n1", None, FAST).await?;
    writer.set_desired(announced(&["eth0"]));
    let interfaces = || object()["status"]["interfaces"].clone();
    eventually("it is reported", SOON, || interfaces() == json!([{"name": "eth0"}])).await?;
    assert!(is_ours(&object()), "{}", object());
    assert_eq!(object()["metadata"]["labels"]["metallb.io/service-name"], "a");
    assert_eq!(object()["metadata"]["labels"]["metallb.io/service-namespace"], "shop");
    assert_eq!(object()["status"]["node"], "n1");
    let layer2 = "announcing from node \"n1\" with protocol \"layer2\"";
    eventually("the Event is emitted", SOON, || notes() == [layer2]).await?;

    // The next agent; then BGP, too.
    drop(writer);
    let writer = start(&cluster, "n1", None, FAST).await?;
    writer.set_desired(announced(&[]));
    eventually("it is on all interfaces", SOON, || interfaces().as_array().is_none_or(Vec::is_empty)).await?;
    let mut both = announced(&[]);
    both.set_service_bgp("n1", "shop", "a", &["p".to_owned()]);
    writer.set_desired(both);
    let bgp = "announcing from node \"n1\" with protocol \"bgp\"";
    eventually("BGP has an Event of its own", SOON, || notes() == [bgp, layer2]).await?;

    writer.set_desired(DesiredStatus::default());
    eventually("another node announces", SOON, || object().is_null()).await?;
    Ok(())
}

#[tokio::test]
async fn a_warning_about_a_service_is_one_event_per_occurrence() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.define_statuses()?;
    cluster.apply(SERVICE)?;
    let warning = |reason, occurrence| ServiceWarning {
        namespace: "shop".into(),
        service: "a".into(),
        reason,
        note: "look at it".into(),
        occurrence,
    };
    let desired = |warnings: &[ServiceWarning], session| {
        let mut desired_status = desired_status(&[], session);
        warnings.iter().cloned().for_each(|it| desired_status.warn(it));
        desired_status
    };
    // An Event that repeats another is counted in its series.
    let emitted = || {
        let events = cluster.store.all("events.k8s.io", "events");
        let of = |event: &Value| {
            assert_eq!(event["type"], "Warning");
            (event["reason"].as_str().unwrap_or_default().to_owned(), event["series"]["count"].as_u64())
        };
        events.iter().map(of).collect::<BTreeMap<_, _>>()
    };
    let writer = start(&cluster, "n1", None, FAST).await?;
    let failed = warning(EventReason::AnnounceFailed, 0);
    let conflict = |occurrence| warning(EventReason::AddressConflict, occurrence);
    writer.set_desired(desired(&[failed.clone(), conflict(0)], "Active"));
    let once = BTreeMap::from([("announceFailed".to_owned(), None), ("addressConflict".to_owned(), None)]);
    eventually("both are emitted", SOON, || emitted() == once).await?;
    writer.set_desired(desired(&[failed.clone(), conflict(0)], "Established"));
    let is_written = || session(&cluster)["status"]["bgpStatus"] == "Established";
    eventually("another status changes", SOON, is_written).await?;
    assert_eq!(emitted(), once);
    writer.set_desired(desired(&[failed, conflict(1)], "Established"));
    let is_repeated = || emitted()["addressConflict"].is_some() && emitted()["announceFailed"].is_none();
    eventually("the second occurrence is emitted", SOON, is_repeated).await?;
    Ok(())
}

#[tokio::test]
async fn status_objects_are_owned_by_the_agents_pod() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.define_statuses()?;
    let pod = |name: &str| {
        cluster.apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\n"
        ))?;
        let pod = cluster.store.get("", "pods", NAMESPACE, name).unwrap_or_default();
        Ok::<_, anyhow::Error>(pod["metadata"]["uid"].clone())
    };
    let owner = || session(&cluster)["metadata"]["ownerReferences"].clone();
    for name in ["speaker-1", "speaker-2"] {
        let uid = pod(name)?;
        let writer = start(&cluster, "n1", Some(name), FAST).await?;
        writer.set_desired(desired_status(&[], "Established"));
        let expected = json!([{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}]);
        eventually("the pod owns it", SOON, || owner() == expected).await?;
    }
    // A missing pod owns nothing, and blocks no status.
    let writer = start(&cluster, "n1", Some("speaker-3"), FAST).await?;
    writer.set_desired(desired_status(&[("a", &["p"])], "Established"));
    eventually("a Service is reported", SOON, || reports(&cluster, &[("a", &["p"])])).await.map(drop)
}

#[tokio::test]
async fn status_writes_of_flapping_sessions_and_many_services_are_rate_limited() -> Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.define_statuses()?;
    let names: Vec<String> = (0..2000).map(|i| format!("s{i}")).collect();
    let all: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), ["p"].as_slice())).collect();
    let limits = WriteLimits { per_second: 20.0, burst: 10.0, ..WriteLimits::DEFAULT };
    let writer = start(&cluster, "n1", None, limits).await?;
    let begun = Instant::now();
    for turn in 0..40 {
        writer.set_desired(desired_status(&all, if turn % 2 == 0 { "Established" } else { "Active" }));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let objects = reported(&cluster).len();
    let bound = limits.burst + limits.per_second * begun.elapsed().as_secs_f64();
    assert!(objects > 0 && (objects as f64) < bound, "{objects} of at most {bound}");
    // A new object takes two writes: itself and its status. Events take none, since their Services do not
    // exist.
    assert!((cluster.store.writes() as f64) < 2.0 * bound, "{} writes", cluster.store.writes());
    let session = session(&cluster);
    assert!(!session["status"].is_null(), "few statuses of one kind must not wait for many of another");
    Ok(())
}
