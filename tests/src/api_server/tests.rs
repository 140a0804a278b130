//! Tests of the server with the agent's client library.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Node, Service};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchParams};
use kube::runtime::watcher::{self, Event, InitialListStrategy, watcher};
use kube::{Client, Config};
use serde_json::json;

use super::*;

async fn start() -> (Arc<ObjectStore>, TestApiServer, Client) {
    let store = Arc::new(ObjectStore::default());
    let server = TestApiServer::start(store.clone(), "127.0.0.1:0".parse().unwrap()).unwrap();
    let config = Config::new(format!("http://{}", server.address()).parse().unwrap());
    let client = Client::try_from(config).unwrap();
    (store, server, client)
}

fn service(name: &str) -> Service {
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    }))
    .unwrap()
}

#[tokio::test]
async fn objects_are_created_read_updated_and_deleted() {
    let (_store, _server, client) = start().await;
    let services: Api<Service> = Api::namespaced(client.clone(), "default");
    let made = services.create(&PostParams::default(), &service("web")).await.unwrap();
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    let again = services.create(&PostParams::default(), &service("web")).await.unwrap_err();
    assert!(matches!(again, kube::Error::Api(status) if status.reason == "AlreadyExists"));

    let merge = Patch::Merge(json!({"metadata": {"annotations": {"a": "b"}}}));
    let patched = services.patch("web", &PatchParams::default(), &merge).await.unwrap();
    assert_eq!(patched.metadata.annotations, Some(BTreeMap::from([("a".into(), "b".into())])));
    assert_ne!(patched.metadata.resource_version, made.metadata.resource_version);

    // A write based on an old version must not overwrite a new one.
    let stale = services.replace("web", &PostParams::default(), &made).await.unwrap_err();
    assert!(matches!(stale, kube::Error::Api(status) if status.reason == "Conflict"));

    let all: Api<Service> = Api::all(client);
    assert_eq!(all.list(&ListParams::default().labels("app=web")).await.unwrap().items.len(), 1);
    assert_eq!(all.list(&ListParams::default().labels("app=other")).await.unwrap().items.len(), 0);
    services.delete("web", &DeleteParams::default()).await.unwrap();
    assert!(services.get_opt("web").await.unwrap().is_none());
}

#[tokio::test]
async fn status_is_written_separately_and_a_repeated_apply_changes_nothing() {
    let (_store, _server, client) = start().await;
    let services: Api<Service> = Api::namespaced(client, "default");
    services.create(&PostParams::default(), &service("web")).await.unwrap();
    let status = json!({
        "apiVersion": "v1", "kind": "Service",
        "spec": {"sessionAffinity": "ClientIP"},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
    });
    let params = PatchParams::apply("controller").force();
    let first = services.patch_status("web", &params, &Patch::Apply(&status)).await.unwrap();
    assert_eq!(first.spec.unwrap().session_affinity.as_deref(), Some("None"));
    let ingress = |service: &Service| {
        service.status.clone().unwrap().load_balancer.unwrap().ingress.unwrap_or_default()
    };
    assert_eq!(ingress(&services.get("web").await.unwrap()).len(), 1);
    let second = services.patch_status("web", &params, &Patch::Apply(&status)).await.unwrap();
    assert_eq!(first.metadata.resource_version, second.metadata.resource_version);
}

#[tokio::test]
async fn a_watcher_sees_existing_and_new_objects_with_either_list_strategy() {
    for strategy in [InitialListStrategy::ListWatch, InitialListStrategy::StreamingList] {
        let (store, _server, client) = start().await;
        let node = |name: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        store.put(&node("a")).unwrap();
        let config = watcher::Config { initial_list_strategy: strategy, ..watcher::Config::default() };
        let mut events = watcher(Api::<Node>::all(client), config).boxed();
        let mut seen = Vec::new();
        while seen.len() < 6 {
            let event =
                tokio::time::timeout(Duration::from_secs(10), events.try_next()).await.unwrap().unwrap();
            let words = match event.unwrap() {
                Event::Init => "init".to_owned(),
                Event::InitApply(node) => format!("had {}", node.metadata.name.unwrap()),
                Event::InitDone => {
                    store.put(&node("b")).unwrap();
                    store.put(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "b", "labels": {"x": "y"}}})).unwrap();
                    store.remove("", "nodes", "", "a");
                    "done".to_owned()
                }
                Event::Apply(node) => format!("has {}", node.metadata.name.unwrap()),
                Event::Delete(node) => format!("lost {}", node.metadata.name.unwrap()),
            };
            seen.push(words);
        }
        assert_eq!(seen, ["init", "had a", "done", "has b", "has b", "lost a"]);
    }
}

#[tokio::test]
async fn a_watch_from_a_compacted_version_expires() {
    let (store, server, client) = start().await;
    store.put(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}})).unwrap();
    store.put(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "b"}})).unwrap();
    store.compact();
    let nodes: Api<Node> = Api::all(client);
    let mut events = nodes.watch(&Default::default(), "1").await.unwrap().boxed();
    let first = events.try_next().await.unwrap().unwrap();
    assert!(matches!(first, kube::api::WatchEvent::Error(status) if status.code == 410));
    drop(server);
}

#[tokio::test]
async fn kinds_are_served_once_their_definitions_exist() {
    let (store, _server, client) = start().await;
    let resource = kube::core::ApiResource {
        group: "metallb.io".into(),
        version: "v1beta1".into(),
        api_version: "metallb.io/v1beta1".into(),
        kind: "IPAddressPool".into(),
        plural: "ipaddresspools".into(),
    };
    let pools: Api<kube::core::DynamicObject> = Api::namespaced_with(client, "lb", &resource);
    assert!(pools.list(&ListParams::default()).await.is_err());
    store.put(&json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "ipaddresspools.metallb.io"},
        "spec": {
            "group": "metallb.io", "scope": "Namespaced",
            "names": {"plural": "ipaddresspools", "kind": "IPAddressPool"},
            "versions": [{"name": "v1beta1", "served": true, "storage": true, "subresources": {"status": {}}}],
        },
    })).unwrap();
    assert_eq!(pools.list(&ListParams::default()).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn a_watch_ends_with_the_server() {
    let (store, server, client) = start().await;
    store.put(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}})).unwrap();
    let nodes: Api<Node> = Api::all(client);
    let mut events = nodes.watch(&Default::default(), "0").await.unwrap().boxed();
    assert!(events.try_next().await.unwrap().is_some());
    drop(server);
    let end = tokio::time::timeout(Duration::from_secs(10), async {
        while let Ok(Some(_)) = events.try_next().await {}
    });
    end.await.unwrap();
}

#[tokio::test]
async fn injected_faults_take_effect() {
    let (store, server, client) = start().await;
    let nodes: Api<Node> = Api::all(client.clone());
    let plain = WatchParams::default().disable_bookmarks();
    let short = |wait| tokio::time::timeout(Duration::from_millis(200), wait);

    store.faults().refuse(1, &[500], 1);
    let refused = nodes.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 500));

    store.faults().clear();
    store.faults().pause();
    let params = ListParams::default();
    assert!(short(nodes.list(&params)).await.is_err());
    store.faults().resume();
    nodes.list(&params).await.unwrap();

    // The watch gets no events, and its connection stays open; new ones work.
    let mut events = nodes.watch(&plain, "0").await.unwrap().boxed();
    store.faults().half_open();
    store.put(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}})).unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(200), events.try_next()).await;
    assert!(silence.is_err(), "{silence:?}");
    let config = Config::new(format!("http://{}", server.address()).parse().unwrap());
    let another: Api<Node> = Api::all(Client::try_from(config).unwrap());
    assert_eq!(another.list(&params).await.unwrap().items.len(), 1);

    let mut events = another.watch(&plain, "0").await.unwrap().boxed();
    assert!(events.try_next().await.unwrap().is_some());
    store.faults().drop_connections();
    let end = tokio::time::timeout(Duration::from_secs(5), events.try_next()).await.unwrap();
    assert!(!matches!(end, Ok(Some(_))));
}
