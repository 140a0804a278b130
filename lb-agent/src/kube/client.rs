//! A client for the API server.

use std::path::{Path, PathBuf};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file cannot be read.
    #[error("cannot use the kubeconfig {}: {source}", .path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: kube::config::KubeconfigError,
    },
    /// Neither within a cluster nor told of one.
    #[error("no cluster: {0}; run within one, with a service account, or name a file with --kubeconfig")]
    NoCluster(#[source] kube::config::InferConfigError),
    /// The configuration cannot be used.
    #[error("cannot talk to the API server: {0}")]
    Client(#[source] kube::Error),
}

/// A client for the cluster of a kubeconfig; without one, for that of `KUBECONFIG` or of this pod.
///
/// # Errors
/// See [`ClientError`]. Nothing is sent yet, so a server that does not answer is no error.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, ClientError> {
    let config = match kubeconfig {
        Some(path) => {
            let error = |source| ClientError::Kubeconfig { path: path.to_path_buf(), source };
            let file = Kubeconfig::read_from(path).map_err(error)?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(error)?
        }
        None => Config::infer().await.map_err(ClientError::NoCluster)?,
    };
    Client::try_from(config).map_err(ClientError::Client)
}
