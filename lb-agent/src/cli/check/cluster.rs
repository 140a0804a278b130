//! What is in a cluster now: read once, and nothing written.

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

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// What a load balancer looks at.
    pub(super) objects: Vec<Sourced<Object>>,
    /// What of it cannot be read.
    pub(super) problems: Vec<Problem>,
    /// ConfigMaps of MetalLB's namespace.
    pub(super) config_maps: Vec<Value>,
    /// FRRConfigurations, wherever they are.
    pub(super) frr: Vec<Value>,
    /// Services as they are written, with the fields that are not looked at.
    pub(super) services: Vec<Value>,
    /// BGPPeers as they are written.
    pub(super) peers: Vec<Value>,
    /// L2Advertisements as they are written.
    pub(super) l2_advertisements: Vec<Value>,
    /// Plurals of the kinds that this user may not list.
    pub(super) denied: Vec<String>,
}

/// Why a cluster cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No client.
    #[error(transparent)]
    Client(#[from] KubeClientError),
    /// No runtime.
    #[error("cannot start: {0}")]
    Runtime(#[source] std::io::Error),
    /// A list does not come.
    #[error("cannot list {plural}: {source}")]
    List {
        /// Of what.
        plural: String,
        /// What the server says.
        source: Box<kube::Error>,
    },
}

/// What is read by what it means.
fn kinds() -> impl Iterator<Item = ObjectKind> {
    std::iter::once(ObjectKind::NAMESPACE).chain(agent_kinds())
}

const FRR_CONFIGURATION: ObjectKind = ObjectKind {
    name: "FRRConfiguration",
    plural: "frrconfigurations",
    group: "frrk8s.metallb.io",
    versions: &["v1beta1"],
};

/// Objects a page.
const PAGE: u32 = 500;

/// Reads a cluster; `namespace` is that of MetalLB's objects.
///
/// # Errors
/// See [`ClusterError`]. A kind that the cluster does not have has no objects, and one that this user may not list is
/// told.
pub(super) fn read(kubeconfig: Option<&Path>, namespace: &str) -> Result<Read, ClusterError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ClusterError::Runtime)?;
    runtime.block_on(async {
        let client = client::connect(kubeconfig, ClientRole::Command).await?;
        let mut reader = Reader { client, namespace, denied: Vec::new() };
        let mut read = Read::default();
        for kind in kinds() {
            let values = reader.list(kind).await?;
            for value in &values {
                let (objects, problems) = objects::from_json(value.clone());
                read.objects.extend(objects);
                read.problems.extend(problems);
            }
            match kind {
                ObjectKind::SERVICE => read.services = values,
                ObjectKind::BGP_PEER => read.peers = values,
                ObjectKind::L2_ADVERTISEMENT => read.l2_advertisements = values,
                _ => {}
            }
        }
        read.config_maps = reader.list(ObjectKind::CONFIG_MAP).await?;
        read.frr = reader.list(FRR_CONFIGURATION).await?;
        read.denied = reader.denied;
        Ok(read)
    })
}

struct Reader<'a> {
    client: Client,
    namespace: &'a str,
    denied: Vec<String>,
}

impl Reader<'_> {
    /// All objects of a kind, as they are written.
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
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = api.list(&page).await?;
        for object in list.items {
            let mut value = serde_json::to_value(&object).map_err(kube::Error::SerdeError)?;
            // Items of a list do not name their kind.
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
