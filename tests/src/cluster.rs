//! A cluster without machines: an API server in this process, and controllers as separate processes.

mod deployed;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api_server::{ObjectStore, TestApiServer, definitions, status_definitions};
use crate::lab::node::find_binary;

/// Namespace of what configures the load balancer.
pub const NAMESPACE: &str = "metallb-system";

/// Selects whether a controller serves the webhook.
const WEBHOOK: &str = "--webhook-mode";

/// An API server with the kinds that configure the load balancer.
pub struct TestCluster {
    /// The server's store.
    pub store: Arc<ObjectStore>,
    server: Option<TestApiServer>,
    address: SocketAddr,
    directory: TempDir,
}

/// A running `fairlead controller`, killed on drop.
pub struct Controller {
    child: Child,
    log: PathBuf,
}

impl TestCluster {
    /// Starts a server.
    ///
    /// # Errors
    /// When it cannot listen, or its files cannot be written.
    pub async fn start() -> Result<Self> {
        let store = Arc::new(ObjectStore::default());
        definitions().iter().try_for_each(|definition| store.put(definition))?;
        store.put(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}))?;
        let server = TestApiServer::start(Arc::clone(&store), "127.0.0.1:0".parse()?)?;
        let directory = TempDir::with_prefix("fairlead-cluster-")?;
        std::fs::write(directory.path().join("kubeconfig"), server.kubeconfig())?;
        Ok(Self { store, address: server.address(), server: Some(server), directory })
    }

    /// Defines the status kinds.
    ///
    /// # Errors
    /// When the store rejects them.
    pub fn define_statuses(&self) -> Result<()> {
        status_definitions().iter().try_for_each(|definition| self.store.put(definition))
    }

    /// Returns the path of the kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// Returns the server's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Writes a kubeconfig, and returns its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_kubeconfig(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.directory.path().join(format!("{name}.kubeconfig"));
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Stops the server, and breaks its connections.
    pub fn stop_server(&mut self) {
        self.server = None;
    }

    /// Stops the server, breaks its connections, and starts it again with its stored objects.
    ///
    /// # Errors
    /// When the address is not free again within a second.
    pub async fn restart_server(&mut self, away: Duration) -> Result<()> {
        self.stop_server();
        tokio::time::sleep(away).await;
        let deadline = Instant::now() + Duration::from_secs(1);
        loop {
            match TestApiServer::start(Arc::clone(&self.store), self.address) {
                Ok(server) => {
                    self.server = Some(server);
                    return Ok(());
                }
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context("the server's address is taken");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// Starts a controller.
    ///
    /// # Errors
    /// When the product's binary is missing.
    pub fn controller(&self, identity: &str) -> Result<Controller> {
        self.controller_with(identity, &[])
    }

    /// Starts a controller with more arguments.
    ///
    /// # Errors
    /// When the product's binary is missing.
    pub fn controller_with(&self, identity: &str, arguments: &[&str]) -> Result<Controller> {
        self.controller_of(identity, &self.kubeconfig(), arguments)
    }

    /// Starts a controller with a kubeconfig of its own.
    ///
    /// # Errors
    /// When the product's binary is missing.
    pub fn controller_of(&self, identity: &str, kubeconfig: &Path, arguments: &[&str]) -> Result<Controller> {
        let log = self.directory.path().join(format!("{identity}.log"));
        let output = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let child = Command::new(find_binary()?)
            .args(["controller", "--identity", identity, "--namespace", NAMESPACE, "--kubeconfig"])
            .arg(kubeconfig)
            .args(arguments)
            // Several controllers share this machine, but only one can have the webhook's port.
            .args(if arguments.contains(&WEBHOOK) { &[][..] } else { &[WEBHOOK, "disabled"] })
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start the controller")?;
        Ok(Controller { child, log })
    }

    /// Puts all objects of a YAML text.
    ///
    /// # Errors
    /// When it is not YAML, or of an unknown kind.
    pub fn apply(&self, text: &str) -> Result<()> {
        for value in serde_saphyr::from_multiple::<Value>(text)? {
            if !value.is_null() {
                self.store.put(&value)?;
            }
        }
        Ok(())
    }

    /// Returns all Services of type LoadBalancer: a server has one of another type from the start.
    #[must_use]
    pub fn load_balancers(&self) -> Vec<Value> {
        let mut services = self.store.all("", "services");
        services.retain(|service| service["spec"]["type"] == "LoadBalancer");
        services
    }

    /// Returns the addresses in a Service's status.
    #[must_use]
    pub fn addresses(&self, namespace: &str, name: &str) -> Vec<String> {
        let service = self.store.get("", "services", namespace, name).unwrap_or_default();
        let ingress = service.pointer("/status/loadBalancer/ingress").and_then(Value::as_array).cloned();
        let ips = ingress.unwrap_or_default();
        ips.iter().filter_map(|entry| Some(entry.get("ip")?.as_str()?.to_owned())).collect()
    }

    /// Returns the reasons of the Events about a Service, in order of creation.
    #[must_use]
    pub fn events(&self, name: &str) -> Vec<String> {
        let events = self.store.all("events.k8s.io", "events");
        let about = events.iter().filter(|event| event.pointer("/regarding/name") == Some(&json!(name)));
        let mut about: Vec<_> = about
            .filter_map(|event| Some((event.get("eventTime")?.as_str()?, event.get("reason")?.as_str()?)))
            .collect();
        about.sort_unstable();
        about.into_iter().map(|(_, reason)| reason.to_owned()).collect()
    }
}

impl Controller {
    /// Kills it by SIGKILL.
    ///
    /// # Errors
    /// When it had exited by itself.
    pub fn kill(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the controller had exited with {status}:\n{}", self.log());
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has exited.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?)
    }

    /// Waits until it exits.
    ///
    /// # Errors
    /// When waiting fails.
    pub fn wait(&mut self) -> Result<()> {
        self.child.wait()?;
        Ok(())
    }

    /// Returns its process ID.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns its log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // It may have exited already.
        let _: std::io::Result<()> = self.child.kill();
        let _: std::io::Result<std::process::ExitStatus> = self.child.wait();
    }
}

/// Waits until a condition holds, and returns how long that took.
///
/// # Errors
/// When it does not hold in time; `what` names it.
pub async fn eventually(what: &str, within: Duration, mut holds: impl FnMut() -> bool) -> Result<Duration> {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > within {
            bail!("not within {within:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(start.elapsed())
}

/// Returns an IPAddressPool with these addresses, in YAML.
#[must_use]
pub fn pool(name: &str, addresses: &str) -> String {
    format!(
        "---\napiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\n\
         spec: {{addresses: [{addresses}]}}\n"
    )
}
