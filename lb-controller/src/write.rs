//! The writer: status and annotations of Services, status of pools.
//!
//! The client sends writes only while this process leads, and every write names the version that it was
//! planned from.

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

use super::plan::{AllocationPlan, UnobservedWrite};
use super::preconditions::Preconditions;
use lb_kube::client::error_log::{ErrorLog, describe, is_not_leading};
use lb_kube::resource::resource;
use lb_kube::snapshot::Snapshot;

/// The field manager of the writes.
const FIELD_MANAGER: &str = "fairlead-controller";
/// Maximum number of concurrent requests.
const MAX_CONCURRENT: usize = 16;

/// Writes the changes of a plan.
pub(super) struct AllocationWriter {
    client: Client,
    services: Preconditions,
    pools: Preconditions,
    /// The usage last written to each pool.
    usage: BTreeMap<PoolName, Usage>,
    log: ErrorLog,
}

/// The outcome of writing a plan.
pub(super) struct WriteOutcome {
    pub(super) services: BTreeMap<ServiceName, UnobservedWrite>,
    /// Whether all changes have been written.
    pub(super) is_complete: bool,
    /// Whether a write failed for another reason than a conflict.
    pub(super) is_failed: bool,
}

impl AllocationWriter {
    pub(super) fn new(client: Client) -> Self {
        let log = ErrorLog::new("its status is unchanged");
        Self {
            client,
            services: Preconditions::default(),
            pools: Preconditions::default(),
            usage: BTreeMap::new(),
            log,
        }
    }

    /// Forgets what was written: another leader may have written since.
    pub(super) fn forget(&mut self) {
        self.usage.clear();
    }

    /// Writes a plan that was made from a snapshot.
    pub(super) async fn write(&mut self, snapshot: &Snapshot, plan: &AllocationPlan) -> WriteOutcome {
        self.services.observe(&snapshot.objects, |object| matches!(object, Object::Service(_)));
        self.pools.observe(&snapshot.objects, |object| matches!(object, Object::IpAddressPool(_)));
        let mut outcome = WriteOutcome { services: BTreeMap::new(), is_complete: true, is_failed: false };
        let (clear, give): (Vec<_>, Vec<_>) = plan.changes.iter().partition(|(_, change)| change.is_clear());
        for changes in [clear, give] {
            let (client, versions) = (&self.client, &self.services);
            let writes = changes.into_iter().map(|(name, change)| async move {
                let precondition = versions.metadata(&name.namespace, &name.name);
                (name, change, service(client, name, change, precondition).await)
            });
            let written: Vec<_> = stream::iter(writes).buffer_unordered(MAX_CONCURRENT).collect().await;
            for (name, change, written) in written {
                outcome.is_failed |= written.as_ref().is_err_and(is_failure);
                let version = self.handle_service(name, change, written);
                outcome.is_complete &= version.is_some();
                let written = version.map(|version| UnobservedWrite { change: change.clone(), version });
                outcome.services.extend(written.map(|written| (name.clone(), written)));
            }
        }
        self.write_pools(&plan.allocation.usage, &mut outcome).await;
        if outcome.is_complete {
            self.log.succeeded();
        }
        outcome
    }

    /// Handles the result of a write; returns the version that it created, `None` if it failed.
    fn handle_service(
        &mut self,
        name: &ServiceName,
        change: &ServiceChange,
        written: kube::Result<Service>,
    ) -> Option<u64> {
        match written {
            Ok(service) => {
                tracing::info!(service = %name, ?change, "updated the status of the Service");
                self.services.handle_written(&name.namespace, &service);
                service.resource_version().and_then(|version| version.parse().ok()).or(Some(0))
            }
            // Deleted in the meantime; the watch will deliver that.
            Err(kube::Error::Api(status)) if status.code == 404 => Some(0),
            // It has changed: the next reconcile plans from the new version.
            Err(error) if is_conflict(&error) => {
                tracing::debug!(service = %name, "not updated, because the Service has changed: {}", describe(&error));
                None
            }
            Err(error) => {
                self.log.failed(&format!("write the status of Service {name}"), &error);
                None
            }
        }
    }

    async fn write_pools(&mut self, usage: &BTreeMap<PoolName, Usage>, outcome: &mut WriteOutcome) {
        let resource = resource(ObjectKind::IP_ADDRESS_POOL);
        for (name, usage) in usage {
            if self.usage.get(name) == Some(usage) {
                continue;
            }
            let pools: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &name.namespace, &resource);
            let status = json!({
                "apiVersion": resource.api_version, "kind": resource.kind,
                "metadata": with_name(&name.namespace, &name.name, self.pools.metadata(&name.namespace, &name.name)),
                "status": {
                    "assignedIPv4": usage.assigned_ipv4, "assignedIPv6": usage.assigned_ipv6,
                    "availableIPv4": usage.available_ipv4, "availableIPv6": usage.available_ipv6,
                },
            });
            let params = PatchParams::apply(FIELD_MANAGER).force();
            match pools.patch_status(&name.name, &params, &Patch::Apply(&status)).await {
                Ok(pool) => {
                    self.pools.handle_written(&name.namespace, &pool);
                    self.usage.insert(name.clone(), *usage);
                }
                Err(error) => {
                    outcome.is_complete = false;
                    outcome.is_failed |= is_failure(&error);
                    if !is_conflict(&error) {
                        self.log.failed(&format!("write the status of IPAddressPool {name}"), &error);
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
    precondition: Map<String, Value>,
) -> kube::Result<Service> {
    let services = Api::<Service>::namespaced(client.clone(), &name.namespace);
    match change {
        ServiceChange::Give { addresses, pool } => give(&services, name, addresses, pool, precondition).await,
        ServiceChange::Clear { last } => clear(&services, name, last, precondition).await,
    }
}

/// Sets the address. The annotations are part of the status update, which may contain metadata: they appear
/// together with the address, and the controller needs no permission to update Services.
async fn give(
    services: &Api<Service>,
    name: &ServiceName,
    addresses: &[IpAddr],
    pool: &PoolName,
    precondition: Map<String, Value>,
) -> kube::Result<Service> {
    let ingress: Vec<_> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
    let mut metadata = with_name(&name.namespace, &name.name, precondition);
    let annotations = json!({
        (ServiceChange::ANNOTATION): pool.name,
        (ServiceChange::LAST_ADDRESSES): list(addresses),
    });
    metadata.insert("annotations".to_owned(), annotations);
    let patch = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "status": {"loadBalancer": {"ingress": ingress}},
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    services.patch_status(&name.name, &params, &Patch::Apply(&patch)).await
}

/// Removes the address, by a merge patch, which also removes what another field manager has set.
async fn clear(
    services: &Api<Service>,
    name: &ServiceName,
    last: &[IpAddr],
    mut metadata: Map<String, Value>,
) -> kube::Result<Service> {
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let annotations = json!({
        (ServiceChange::ANNOTATION): null,
        (ServiceChange::LAST_ADDRESSES): (!last.is_empty()).then(|| list(last)),
    });
    metadata.insert("annotations".to_owned(), annotations);
    let patch = json!({"metadata": metadata, "status": {"loadBalancer": {"ingress": null}}});
    services.patch_status(&name.name, &params, &Patch::Merge(&patch)).await
}

fn with_name(namespace: &str, name: &str, mut metadata: Map<String, Value>) -> Map<String, Value> {
    metadata.insert("name".to_owned(), name.into());
    metadata.insert("namespace".to_owned(), namespace.into());
    metadata
}

/// Returns whether a failed write is an error: not if the object was deleted or has changed, or this process
/// does not lead.
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
