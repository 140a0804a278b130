//! Where objects come from: an API server, or a directory of the same objects as files.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lb_api::kind::ObjectKind;
use lb_common::hash::HashKey;
use lb_model::AddressRule;

use crate::client::{self, ClientError, Role};
use crate::cluster::{CONFIGURATION, Cluster};
use crate::directory::{Directory, DirectoryError};
use crate::snapshot::Snapshot;

/// Where objects are to come from.
#[derive(Clone, Debug)]
pub enum SourceOptions {
    /// A directory of YAML files.
    Directory(PathBuf),
    /// An API server.
    Kubernetes {
        /// Which; `None` for that of `KUBECONFIG` or of this pod.
        kubeconfig: Option<PathBuf>,
        /// Namespace in which objects of `metallb.io` count.
        namespace: String,
    },
}

/// Why a source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The API server.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Where objects come from.
pub enum Source {
    /// A directory of YAML files.
    Directory(Directory),
    /// An API server.
    Kubernetes(Cluster),
}

/// What an agent depends on.
pub fn watched() -> Vec<ObjectKind> {
    let served = [ObjectKind::SERVICE, ObjectKind::ENDPOINT_SLICE, ObjectKind::SECRET];
    served.into_iter().chain(CONFIGURATION).collect()
}

/// For how long changes are gathered.
const DEBOUNCE: Duration = Duration::from_millis(10);
/// For how long a directory is waited for at the start; what is on a disk is there by then.
const FIRST: Duration = Duration::from_secs(1);

impl SourceOptions {
    /// What tells this source from others: the directory, or the cluster by its secret, of which nothing can be told
    /// from this.
    pub fn identity(&self, key: &HashKey) -> String {
        match self {
            Self::Directory(path) => format!("directory {}", path.display()),
            Self::Kubernetes { .. } => format!("cluster {:016x}", key.fingerprint()),
        }
    }
}

impl SourceOptions {
    /// Which addresses count as a Service's: on a cluster, those that its controller has decided about.
    pub fn address_rule(&self) -> AddressRule {
        match self {
            Self::Directory(_) => AddressRule::HeldOrAsked,
            Self::Kubernetes { .. } => AddressRule::Held,
        }
    }
}

impl Source {
    /// Starts to watch.
    ///
    /// # Errors
    /// When the directory is not there, or no cluster is known. A server that does not answer is waited for.
    pub async fn open(options: &SourceOptions) -> Result<Self, SourceError> {
        Ok(match options {
            SourceOptions::Directory(path) => {
                let mut directory = Directory::watch(path)?;
                // One that takes longer is waited for as an API server is.
                let _ = tokio::time::timeout(FIRST, directory.changed()).await;
                Self::Directory(directory)
            }
            SourceOptions::Kubernetes { kubeconfig, namespace } => {
                let client = client::connect(kubeconfig.as_deref(), Role::Agent).await?;
                Self::Kubernetes(Cluster::watch(&client, &watched(), namespace))
            }
        })
    }

    /// Waits for a change of any object.
    pub async fn changed(&mut self) {
        match self {
            Self::Directory(directory) => directory.changed().await,
            Self::Kubernetes(cluster) => cluster.changed().await,
        }
    }

    /// Waits after a change until it may be read, where the last one was dealt with at `dealt`: after a pause the first
    /// is taken at once, and those that come meanwhile are taken together.
    pub async fn settle(&self, dealt: Instant) {
        tokio::time::sleep_until((dealt + DEBOUNCE).into()).await;
    }

    /// All objects; `None` while they cannot be told, and then what was told before stays in force.
    pub fn read(&mut self) -> Option<Snapshot> {
        match self {
            Self::Directory(directory) => {
                let snapshot = directory.read();
                if snapshot.is_none() {
                    tracing::info!("waiting for the directory to be read");
                }
                snapshot
            }
            Self::Kubernetes(cluster) => {
                let snapshot = cluster.read();
                if snapshot.is_none() {
                    tracing::info!(missing = ?cluster.missing(), "waiting for the API server to list these");
                }
                snapshot
            }
        }
    }
}
