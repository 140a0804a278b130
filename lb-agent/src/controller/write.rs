//! Writes: status and annotation of Services, status of pools.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures::StreamExt;
use futures::stream;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::{Client, ResourceExt};
use lb_plan::ipam::{Change, Usage};
use lb_plan::model::{PoolName, ServiceName};
use serde_json::json;
use tokio::sync::watch;

use super::decide::{Decided, Written};
use super::{AT_ONCE, MANAGER};
use crate::kube::cluster::Watched;

pub(super) struct Writer {
    client: Client,
    /// What was last written to pools.
    usage: BTreeMap<PoolName, Usage>,
}

/// What came of a round of writes.
pub(super) struct Outcome {
    pub(super) services: BTreeMap<ServiceName, Written>,
    /// Whether everything has been written.
    pub(super) complete: bool,
}

impl Writer {
    pub(super) fn new(client: Client) -> Self {
        Self { client, usage: BTreeMap::new() }
    }

    /// Writes what was decided, for as long as this one leads.
    pub(super) async fn write(&mut self, decided: &Decided, leading: &watch::Receiver<bool>) -> Outcome {
        let mut outcome = Outcome { services: BTreeMap::new(), complete: true };
        let is_clear = |change: &Change| *change == Change::Clear;
        let (clear, give): (Vec<_>, Vec<_>) =
            decided.changes.iter().partition(|(_, change)| is_clear(change));
        let client = &self.client;
        for changes in [clear, give] {
            let writes = changes.into_iter().map(|(name, change)| async move {
                let version = if *leading.borrow() { service(client, name, change).await } else { None };
                (name, version.map(|version| Written { change: change.clone(), version }))
            });
            let mut writes = stream::iter(writes).buffer_unordered(AT_ONCE);
            while let Some((name, written)) = writes.next().await {
                outcome.complete &= written.is_some();
                outcome.services.extend(written.map(|written| (name.clone(), written)));
            }
        }
        outcome.complete &= self.pools(&decided.allocation.usage).await;
        outcome
    }

    async fn pools(&mut self, usage: &BTreeMap<PoolName, Usage>) -> bool {
        let resource = Watched::POOL.resource();
        let mut complete = true;
        for (name, usage) in usage {
            if self.usage.get(name) == Some(usage) {
                continue;
            }
            let pools: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &name.namespace, &resource);
            let status = json!({
                "apiVersion": resource.api_version, "kind": resource.kind,
                "metadata": {"name": name.name, "namespace": name.namespace},
                "status": {
                    "assignedIPv4": usage.assigned_ipv4, "assignedIPv6": usage.assigned_ipv6,
                    "availableIPv4": usage.available_ipv4, "availableIPv6": usage.available_ipv6,
                },
            });
            let params = PatchParams::apply(MANAGER).force();
            match pools.patch_status(&name.name, &params, &Patch::Apply(&status)).await {
                Ok(_) => {
                    self.usage.insert(name.clone(), *usage);
                }
                Err(error) => {
                    tracing::warn!(pool = %name, %error, "the pool's status cannot be written; it is tried again");
                    complete = false;
                }
            }
        }
        self.usage.retain(|name, _| usage.contains_key(name));
        complete
    }
}

/// The version that came of a write; `None` if it failed.
async fn service(client: &Client, name: &ServiceName, change: &Change) -> Option<u64> {
    let services = Api::<Service>::namespaced(client.clone(), &name.namespace);
    let written = match change {
        Change::Give { addresses, pool } => give(&services, name, addresses, pool).await,
        Change::Clear => clear(&services, &name.name).await,
    };
    match written {
        Ok(service) => {
            tracing::info!(service = %name, ?change, "written");
            service.resource_version().and_then(|version| version.parse().ok()).or(Some(0))
        }
        // Gone meanwhile: the watch will tell.
        Err(kube::Error::Api(status)) if status.code == 404 => Some(0),
        Err(error) => {
            tracing::warn!(service = %name, %error, "the Service cannot be written; it is tried again");
            None
        }
    }
}

/// The annotation goes with the status, as API servers take metadata with it: whoever waits for the address finds the
/// annotation, and the controller needs no right to change Services otherwise.
async fn give(
    services: &Api<Service>,
    name: &ServiceName,
    addresses: &[IpAddr],
    pool: &PoolName,
) -> kube::Result<Service> {
    let ingress: Vec<_> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
    let both = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name.name, "namespace": name.namespace, "annotations": {(Change::ANNOTATION): pool.name}},
        "status": {"loadBalancer": {"ingress": ingress}},
    });
    let params = PatchParams::apply(MANAGER).force();
    services.patch_status(&name.name, &params, &Patch::Apply(&both)).await
}

/// By a merge, which takes away what another manager has written as well.
async fn clear(services: &Api<Service>, name: &str) -> kube::Result<Service> {
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let both = json!({
        "metadata": {"annotations": {(Change::ANNOTATION): null}},
        "status": {"loadBalancer": {"ingress": null}},
    });
    services.patch_status(name, &params, &Patch::Merge(&both)).await
}
