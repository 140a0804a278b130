//! A cluster that is installed by kubectl and Helm: it starts empty, and runs the controller of a Deployment.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use super::{Controller, TestCluster};
use crate::api_server::{ObjectStore, TestApiServer};
use crate::lab::node::find_binary;

/// The webhook's Service in each release's namespace.
const WEBHOOK_SERVICE: &str = "fairlead-webhook-service";

impl TestCluster {
    /// Starts a server with Kubernetes' built-in kinds only.
    ///
    /// # Errors
    /// When it cannot listen, or its files cannot be written.
    pub fn empty() -> Result<Self> {
        let store = Arc::new(ObjectStore::default());
        let server = TestApiServer::start(Arc::clone(&store), "127.0.0.1:0".parse()?)?;
        let directory = TempDir::with_prefix("fairlead-cluster-")?;
        std::fs::write(directory.path().join("kubeconfig"), server.kubeconfig())?;
        Ok(Self { store, address: server.address(), server: Some(server), directory })
    }

    /// Runs one replica of the controller of a Deployment as a kubelet would, with its container's arguments,
    /// except for ports; connections to the webhook's Service end there.
    ///
    /// # Errors
    /// When there is no such Deployment, or the product's binary is missing.
    pub fn run_deployment(&self, namespace: &str, name: &str) -> Result<Controller> {
        let deployment = self.store.get("apps", "deployments", namespace, name);
        let deployment = deployment.with_context(|| format!("no Deployment {namespace}/{name}"))?;
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let given = container["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = self.directory.path().join(format!("{namespace}-{name}.log"));
        let output = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let environment: HashMap<_, _> = [
            ("FAIRLEAD_NAMESPACE", namespace.to_owned()),
            ("FAIRLEAD_POD_NAME", format!("{name}-0")),
            ("RUST_LOG", "info".to_owned()),
        ]
        .into();
        let child = Command::new(find_binary()?)
            .args(given.filter(|argument| !argument.starts_with("--metrics-address=")))
            .arg(format!("--webhook-port={port}"))
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start the controller")?;
        self.store.set_route(namespace, WEBHOOK_SERVICE, Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
        Ok(Controller { child, log })
    }
}
