//! A snapshot of a cluster's objects, read once and without writing.

use std::path::Path;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use lb_api::kind::ObjectKind;
use lb_api::objects::{self, Object, Sourced};
use lb_api::problem::Problem;
use serde_json::Value;

use lb_kube::client::{self, ClientRole, KubeClientError};
use lb_kube::kinds::agent_kinds;
use lb_kube::resource::{api, resource};

/// The objects of a cluster.
#[derive(Debug, Default)]
pub(crate) struct ClusterObjects {
    /// The objects that concern a load balancer.
    pub(crate) objects: Vec<Sourced<Object>>,
    /// Objects that could not be parsed.
    pub(crate) problems: Vec<Problem>,
    /// The ConfigMaps of MetalLB's namespace.
    pub(crate) config_maps: Vec<Value>,
    /// The FRRConfigurations of all namespaces.
    pub(crate) frr: Vec<Value>,
    /// The Services with all fields.
    pub(crate) services: Vec<Value>,
    /// The BGPPeers with all fields.
    pub(crate) peers: Vec<Value>,
    /// The L2Advertisements with all fields.
    pub(crate) l2_advertisements: Vec<Value>,
    /// Plural names of the kinds that this user is not allowed to list.
    pub(crate) denied: Vec<String>,
}

/// The reason why a cluster cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The client cannot be created.
    #[error(transparent)]
    Client(#[from] KubeClientError),
    /// The runtime cannot be created.
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] std::io::Error),
    /// A list request failed.
    #[error("cannot list {plural}: {source}")]
    List {
        /// The plural name of the kind.
        plural: String,
        /// The server's error.
        source: Box<kube::Error>,
    },
}

/// Returns the kinds that concern a load balancer.
fn kinds() -> impl Iterator<Item = ObjectKind> {
    std::iter::once(ObjectKind::NAMESPACE).chain(agent_kinds())
}

const FRR_CONFIGURATION: ObjectKind = ObjectKind {
    name: "FRRConfiguration",
    plural: "frrconfigurations",
    group: "frrk8s.metallb.io",
    versions: &["v1beta1"],
};

/// The page size of list requests.
const PAGE_SIZE: u32 = 500;

/// Reads a cluster; `namespace` is the one of MetalLB's objects.
///
/// # Errors
/// See [`ClusterError`]. A kind that the cluster does not have yields no objects; a kind that this user is
/// not allowed to list is returned in `denied`.
pub(crate) fn read(kubeconfig: Option<&Path>, namespace: &str) -> Result<ClusterObjects, ClusterError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ClusterError::Runtime)?;
    runtime.block_on(async {
        let client = client::connect(kubeconfig, ClientRole::Command).await?;
        let mut lister = ObjectLister { client, namespace, denied: Vec::new() };
        let mut cluster = ClusterObjects::default();
        for kind in kinds() {
            let values = lister.list(kind).await?;
            for value in &values {
                let (objects, problems) = objects::from_json(value.clone());
                cluster.objects.extend(objects);
                cluster.problems.extend(problems);
            }
            match kind {
                ObjectKind::SERVICE => cluster.services = values,
                ObjectKind::BGP_PEER => cluster.peers = values,
                ObjectKind::L2_ADVERTISEMENT => cluster.l2_advertisements = values,
                _ => {}
            }
        }
        cluster.config_maps = lister.list(ObjectKind::CONFIG_MAP).await?;
        cluster.frr = lister.list(FRR_CONFIGURATION).await?;
        cluster.denied = lister.denied;
        Ok(cluster)
    })
}

struct ObjectLister<'a> {
    client: Client,
    namespace: &'a str,
    denied: Vec<String>,
}

impl ObjectLister<'_> {
    /// Lists all objects of a kind, with all fields.
    async fn list(&mut self, kind: ObjectKind) -> Result<Vec<Value>, ClusterError> {
        let resource = resource(kind);
        let api: Api<DynamicObject> = api(kind, self.client.clone(), self.namespace);
        match pages(&api, &resource).await {
            Ok(values) => Ok(values),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                self.denied.push(resource.plural);
                Ok(Vec::new())
            }
            Err(source) => Err(ClusterError::List { plural: resource.plural, source: Box::new(source) }),
        }
    }
}

async fn pages(api: &Api<DynamicObject>, resource: &ApiResource) -> Result<Vec<Value>, kube::Error> {
    let mut values = Vec::new();
    let mut page = ListParams::default().limit(PAGE_SIZE);
    loop {
        let list = api.list(&page).await?;
        for object in list.items {
            let mut value = serde_json::to_value(&object).map_err(kube::Error::SerdeError)?;
            // List items do not contain their kind.
            value["apiVersion"] = resource.api_version.clone().into();
            value["kind"] = resource.kind.clone().into();
            values.push(value);
        }
        match list.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(values),
        }
    }
}
