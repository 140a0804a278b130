//! Writes: status and annotation of Services, status of pools.
//!
//! The client sends nothing while this process does not lead, and every write names the version that it was decided on.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures::StreamExt;
use futures::stream;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::{Client, ResourceExt};
use lb_api::kind::ObjectKind;
use lb_api::objects::Object;
use lb_ipam::{ServiceChange, Usage};
use lb_model::{PoolName, ServiceName};
use serde_json::{Map, Value, json};

use super::plan::{Decided, Written};
use super::preconditions::Versions;
use super::{AT_ONCE, MANAGER};
use lb_kube::client::error_log::{Log, is_not_leading, words};
use lb_kube::resource::resource;
use lb_kube::snapshot::Snapshot;

pub(super) struct Writer {
    client: Client,
    services: Versions,
    pools: Versions,
    /// What was last written to pools.
    usage: BTreeMap<PoolName, Usage>,
    failures: Log,
}

/// What came of a round of writes.
pub(super) struct Outcome {
    pub(super) services: BTreeMap<ServiceName, Written>,
    /// Whether everything has been written.
    pub(super) complete: bool,
    /// Whether the server took something not, though it has not changed.
    pub(super) failed: bool,
}

impl Writer {
    pub(super) fn new(client: Client) -> Self {
        let failures = Log::new("its status stays as it is");
        Self {
            client,
            services: Versions::default(),
            pools: Versions::default(),
            usage: BTreeMap::new(),
            failures,
        }
    }

    /// Forgets what it has written: another may have written since.
    pub(super) fn forget(&mut self) {
        self.usage.clear();
    }

    /// Writes what was decided on a snapshot.
    pub(super) async fn write(&mut self, snapshot: &Snapshot, decided: &Decided) -> Outcome {
        self.services.see(&snapshot.objects, |object| matches!(object, Object::Service(_)));
        self.pools.see(&snapshot.objects, |object| matches!(object, Object::IpAddressPool(_)));
        let mut outcome = Outcome { services: BTreeMap::new(), complete: true, failed: false };
        let (clear, give): (Vec<_>, Vec<_>) =
            decided.changes.iter().partition(|(_, change)| change.is_clear());
        for changes in [clear, give] {
            let (client, versions) = (&self.client, &self.services);
            let writes = changes.into_iter().map(|(name, change)| async move {
                let replaced = versions.metadata(&name.namespace, &name.name);
                (name, change, service(client, name, change, replaced).await)
            });
            let written: Vec<_> = stream::iter(writes).buffer_unordered(AT_ONCE).collect().await;
            for (name, change, written) in written {
                outcome.failed |= written.as_ref().is_err_and(is_failure);
                let version = self.handle_service(name, change, written);
                outcome.complete &= version.is_some();
                let written = version.map(|version| Written { change: change.clone(), version });
                outcome.services.extend(written.map(|written| (name.clone(), written)));
            }
        }
        self.write_pools(&decided.allocation.usage, &mut outcome).await;
        if outcome.complete {
            self.failures.succeeded();
        }
        outcome
    }

    /// The version that came of a write; `None` if it failed.
    fn handle_service(
        &mut self,
        name: &ServiceName,
        change: &ServiceChange,
        written: kube::Result<Service>,
    ) -> Option<u64> {
        match written {
            Ok(service) => {
                tracing::info!(service = %name, ?change, "written");
                self.services.handle_written(&name.namespace, &service);
                service.resource_version().and_then(|version| version.parse().ok()).or(Some(0))
            }
            // Gone meanwhile: the watch will tell.
            Err(kube::Error::Api(status)) if status.code == 404 => Some(0),
            // Another by now: it is decided again on what it is.
            Err(error) if is_conflict(&error) => {
                tracing::debug!(service = %name, "not written, as it has changed: {}", words(&error));
                None
            }
            Err(error) => {
                self.failures.failed(&format!("write the status of Service {name}"), &error);
                None
            }
        }
    }

    async fn write_pools(&mut self, usage: &BTreeMap<PoolName, Usage>, outcome: &mut Outcome) {
        let resource = resource(ObjectKind::IP_ADDRESS_POOL);
        for (name, usage) in usage {
            if self.usage.get(name) == Some(usage) {
                continue;
            }
            let pools: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &name.namespace, &resource);
            let status = json!({
                "apiVersion": resource.api_version, "kind": resource.kind,
                "metadata": named(&name.namespace, &name.name, self.pools.metadata(&name.namespace, &name.name)),
                "status": {
                    "assignedIPv4": usage.assigned_ipv4, "assignedIPv6": usage.assigned_ipv6,
                    "availableIPv4": usage.available_ipv4, "availableIPv6": usage.available_ipv6,
                },
            });
            let params = PatchParams::apply(MANAGER).force();
            match pools.patch_status(&name.name, &params, &Patch::Apply(&status)).await {
                Ok(pool) => {
                    self.pools.handle_written(&name.namespace, &pool);
                    self.usage.insert(name.clone(), *usage);
                }
                Err(error) => {
                    outcome.complete = false;
                    outcome.failed |= is_failure(&error);
                    if !is_conflict(&error) {
                        self.failures.failed(&format!("write the status of IPAddressPool {name}"), &error);
                    }
                }
            }
        }
        self.usage.retain(|name, _| usage.contains_key(name));
    }
}

async fn service(
    client: &Client,
    name: &ServiceName,
    change: &ServiceChange,
    replaced: Map<String, Value>,
) -> kube::Result<Service> {
    let services = Api::<Service>::namespaced(client.clone(), &name.namespace);
    match change {
        ServiceChange::Give { addresses, pool } => give(&services, name, addresses, pool, replaced).await,
        ServiceChange::Clear { last } => clear(&services, name, last, replaced).await,
    }
}

/// The annotations go with the status, as API servers take metadata with it: whoever waits for the address finds the
/// annotation, and the controller needs no right to change Services otherwise.
async fn give(
    services: &Api<Service>,
    name: &ServiceName,
    addresses: &[IpAddr],
    pool: &PoolName,
    replaced: Map<String, Value>,
) -> kube::Result<Service> {
    let ingress: Vec<_> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
    let mut metadata = named(&name.namespace, &name.name, replaced);
    let annotations = json!({
        (ServiceChange::ANNOTATION): pool.name,
        (ServiceChange::LAST_ADDRESSES): list(addresses),
    });
    metadata.insert("annotations".to_owned(), annotations);
    let both = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "status": {"loadBalancer": {"ingress": ingress}},
    });
    let params = PatchParams::apply(MANAGER).force();
    services.patch_status(&name.name, &params, &Patch::Apply(&both)).await
}

/// By a merge, which takes away what another manager has written as well.
async fn clear(
    services: &Api<Service>,
    name: &ServiceName,
    last: &[IpAddr],
    mut metadata: Map<String, Value>,
) -> kube::Result<Service> {
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let annotations = json!({
        (ServiceChange::ANNOTATION): null,
        (ServiceChange::LAST_ADDRESSES): (!last.is_empty()).then(|| list(last)),
    });
    metadata.insert("annotations".to_owned(), annotations);
    let both = json!({"metadata": metadata, "status": {"loadBalancer": {"ingress": null}}});
    services.patch_status(&name.name, &params, &Patch::Merge(&both)).await
}

fn named(namespace: &str, name: &str, mut metadata: Map<String, Value>) -> Map<String, Value> {
    metadata.insert("name".to_owned(), name.into());
    metadata.insert("namespace".to_owned(), namespace.into());
    metadata
}

/// Whether it is an error that a write failed: not where the object is gone or another, or this process does not lead.
fn is_failure(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => !matches!(status.code, 404 | 409),
        error => !is_not_leading(error),
    }
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
