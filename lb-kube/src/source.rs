//! The source of objects: an API server, or a directory of the same objects as files.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lb_common::hash::HashKey;
use lb_model::AddressRule;

use crate::client::{self, ClientError, ClientRole};
use crate::cluster::Cluster;
use crate::directory::{Directory, DirectoryError};
use crate::kinds::agent_kinds;
use crate::snapshot::Snapshot;

/// The source to read objects from.
#[derive(Clone, Debug)]
pub enum SourceOptions {
    /// A directory of YAML files.
    Directory(PathBuf),
    /// An API server.
    Kubernetes {
        /// The kubeconfig; `None` for `KUBECONFIG`, or the pod's service account.
        kubeconfig: Option<PathBuf>,
        /// The namespace in which objects of `metallb.io` count.
        namespace: String,
    },
}

/// A source cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The directory cannot be watched.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// There is no client for the API server.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// An open source.
pub enum Source {
    /// A directory of YAML files.
    Directory(Directory),
    /// An API server.
    Kubernetes(Cluster),
}

/// Time over which changes are collected.
const DEBOUNCE: Duration = Duration::from_millis(10);
/// Timeout for the first read of a directory at startup; a local disk is read by then.
const FIRST_READ: Duration = Duration::from_secs(1);

impl SourceOptions {
    /// Returns a string that identifies the source: the directory, or a fingerprint of the cluster's hash
    /// key, which does not reveal the key.
    pub fn identity(&self, key: &HashKey) -> String {
        match self {
            Self::Directory(path) => format!("directory {}", path.display()),
            Self::Kubernetes { .. } => format!("cluster {:016x}", key.fingerprint()),
        }
    }

    /// Returns which addresses count as a Service's: in a cluster, only those that the controller has
    /// assigned.
    pub fn address_rule(&self) -> AddressRule {
        match self {
            Self::Directory(_) => AddressRule::HeldOrAsked,
            Self::Kubernetes { .. } => AddressRule::Held,
        }
    }
}

impl Source {
    /// Starts to watch the source.
    ///
    /// # Errors
    /// If the directory cannot be watched, or no cluster is configured. A server that does not answer is no
    /// error.
    pub async fn open(options: &SourceOptions) -> Result<Self, SourceError> {
        Ok(match options {
            SourceOptions::Directory(path) => {
                let mut directory = Directory::watch(path)?;
                // A slower one is waited for in the background, like an API server.
                let _ = tokio::time::timeout(FIRST_READ, directory.changed()).await;
                Self::Directory(directory)
            }
            SourceOptions::Kubernetes { kubeconfig, namespace } => {
                let client = client::connect(kubeconfig.as_deref(), ClientRole::Agent).await?;
                Self::Kubernetes(Cluster::watch(&client, &agent_kinds(), namespace))
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

    /// Waits until a change may be read, given when the last one was handled: the first change after a pause
    /// is handled at once, those that follow shortly after are handled together.
    pub async fn debounce(&self, last_handled: Instant) {
        tokio::time::sleep_until((last_handled + DEBOUNCE).into()).await;
    }

    /// Returns all objects; `None` until they have been read once.
    pub fn read(&mut self) -> Option<Snapshot> {
        match self {
            Self::Directory(directory) => {
                let snapshot = directory.read();
                if snapshot.is_none() {
                    tracing::info!("waiting for the first read of the directory");
                }
                snapshot
            }
            Self::Kubernetes(cluster) => {
                let snapshot = cluster.read();
                if snapshot.is_none() {
                    tracing::info!(missing = ?cluster.missing(), "waiting for the API server to list all kinds");
                }
                snapshot
            }
        }
    }
}
