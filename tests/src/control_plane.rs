//! The API server of a lab: in the router's host, where every node reaches it.
//!
//! It runs in this process, unless `KUBEBUILDER_ASSETS` names a directory with `etcd` and `kube-apiserver`.

mod binaries;

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fmt};

use anyhow::{Context, Result, bail, ensure};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use self::binaries::Binaries;
use crate::api_server::{
    ApiFaults, ObjectStore, PodCommand, PodCommandOutput, TestApiServer, definitions, kubeconfig,
    status_definitions,
};
use crate::cluster::NAMESPACE;
use crate::lab::addresses::Segment;
use crate::lab::node::find_binary;
use crate::lab::{Lab, LabHost, LabNode, Process};
use crate::routers::wait;

/// Where the server listens.
const PORT: u16 = 6443;
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Field manager of the tests' own client.
const MANAGER: &str = "lab";

/// An API server in a lab, and a client of it.
#[derive(Debug)]
pub struct ControlPlane {
    host: LabHost,
    server: Server,
    kubeconfig: String,
}

#[derive(Debug)]
enum Server {
    InProcess { store: Arc<ObjectStore>, running: Option<TestApiServer> },
    Binaries(Box<Binaries>),
}

impl ControlPlane {
    /// Starts a server with the definitions of the load balancer's kinds and its namespace.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(lab: &Lab) -> Result<Self> {
        let host = LabHost::clone(&*lab.router()?);
        let address = SocketAddr::new(Segment::rack('a').gateway().v4.into(), PORT);
        let (server, kubeconfig) = match env::var_os("KUBEBUILDER_ASSETS") {
            Some(assets) => {
                let binaries = Binaries::start(&host, Path::new(&assets), address)?;
                let kubeconfig = binaries.kubeconfig(address);
                (Server::Binaries(Box::new(binaries)), kubeconfig)
            }
            None => {
                let store = Arc::new(ObjectStore::default());
                let running = Some(serve(&host, &store)?);
                (Server::InProcess { store, running }, kubeconfig(&format!("http://{address}")))
            }
        };
        fs::write(host.directory_outside().join("kubeconfig"), &kubeconfig)?;
        let plane = Self { host, server, kubeconfig };
        wait(READY_WITHIN, || plane.ready())?;
        plane.put(&definitions())?;
        plane.put(&status_definitions())?;
        wait(READY_WITHIN, || plane.established())?;
        plane.put(&[json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})])?;
        Ok(plane)
    }

    /// Returns the path of the kubeconfig as the lab's programs see it.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.host.directory().join("kubeconfig")
    }

    /// Starts a `fairlead controller` beside the server; it is killed on drop.
    ///
    /// # Errors
    /// When the product's binary is missing.
    pub fn controller(&self, identity: &str) -> Result<Process> {
        self.controller_with(identity, &[])
    }

    /// Starts one with more arguments.
    ///
    /// # Errors
    /// When the product's binary is missing.
    pub fn controller_with(&self, identity: &str, arguments: &[String]) -> Result<Process> {
        let command = self.host.command(&find_binary()?.to_string_lossy());
        let command = command.args(["controller", "--identity", identity, "--namespace", NAMESPACE]);
        let log = self.host.directory_outside().join(format!("{identity}.log"));
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(arguments).spawn(&log)
    }

    /// Stops the server, which breaks all its connections, and starts it again with its stored objects.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self, away: Duration) -> Result<()> {
        match &mut self.server {
            Server::InProcess { store, running } => {
                *running = None;
                sleep(away);
                *running = Some(serve(&self.host, store)?);
            }
            Server::Binaries(binaries) => binaries.restart(away)?,
        }
        wait(READY_WITHIN, || self.ready())
    }

    /// Returns the server's fault injection; `None` for a real server.
    #[must_use]
    pub fn faults(&self) -> Option<&ApiFaults> {
        match &self.server {
            Server::InProcess { store, .. } => Some(store.faults()),
            Server::Binaries(_) => None,
        }
    }

    /// Puts a pod of the agent of each of these nodes, in which `/fairlead` is the product's command on the
    /// node. Returns whether the server can run commands in pods: a real one needs kubelets.
    ///
    /// # Errors
    /// When the server refuses a pod.
    pub fn put_agents(&self, nodes: &[LabNode<'_>]) -> Result<bool> {
        let Server::InProcess { store, .. } = &self.server else { return Ok(false) };
        let mut sockets = BTreeMap::new();
        for node in nodes {
            let name = format!("fairlead-agent-{}", node.spec().name);
            self.put(&[json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/component": "agent"}},
                "spec": {"nodeName": node.spec().name, "containers": [{"name": "agent", "image": "fairlead"}]},
                "status": {"phase": "Running"},
            })])?;
            sockets.insert(name, (LabHost::clone(node), node.socket()));
        }
        store.run_in_pods(Arc::new(move |command: &PodCommand| {
            let (host, socket) = sockets.get(&command.pod).ok_or("the pod has no kubelet")?;
            run_in_pod(host, socket, command).map_err(|error| format!("{error:#}"))
        }));
        Ok(true)
    }

    /// Starts or stops dropping all packets to and from the server.
    ///
    /// # Errors
    /// When the kernel rejects the rules.
    pub fn cut(&self, is_cut: bool) -> Result<()> {
        let table = "table inet cut\ndelete table inet cut\n";
        let chain = |hook: &str, port: &str| {
            format!("chain {hook} {{ type filter hook {hook} priority 0; tcp {port} {PORT} drop; }}\n")
        };
        let both = chain("input", "dport") + &chain("output", "sport");
        let rules = if is_cut { format!("{table}table inet cut {{\n{both}}}\n") } else { table.to_owned() };
        self.host.command("nft").args(["-f", "-"]).feed(rules).text().map(drop)
    }

    /// Puts objects with their statuses, as `kubectl apply` would.
    ///
    /// # Errors
    /// The server's first rejection.
    pub fn put(&self, objects: &[Value]) -> Result<()> {
        self.with_client(|client| async move {
            for object in objects {
                apply(&client, object).await.with_context(|| object.to_string())?;
            }
            Ok(())
        })
    }

    /// Deletes a Service.
    ///
    /// # Errors
    /// When there is none.
    pub fn delete_service(&self, name: &str) -> Result<()> {
        self.with_client(|client| async move {
            let services =
                Api::<DynamicObject>::namespaced_with(client, "default", &resource("v1", "Service"));
            services.delete(name, &DeleteParams::default()).await?;
            Ok(())
        })
    }

    /// Deletes an object of the load balancer's namespace.
    ///
    /// # Errors
    /// When there is none.
    pub fn delete(&self, api_version: &str, kind: &str, name: &str) -> Result<()> {
        self.with_client(|client| async move {
            let objects =
                Api::<DynamicObject>::namespaced_with(client, NAMESPACE, &resource(api_version, kind));
            objects.delete(name, &DeleteParams::default()).await?;
            Ok(())
        })
    }

    /// Returns a Service.
    ///
    /// # Errors
    /// When there is none.
    pub fn service(&self, name: &str) -> Result<Value> {
        self.with_client(|client| async move {
            let services =
                Api::<DynamicObject>::namespaced_with(client, "default", &resource("v1", "Service"));
            Ok(serde_json::to_value(services.get(name).await?)?)
        })
    }

    /// Returns the addresses in a Service's status.
    ///
    /// # Errors
    /// When there is no such Service, or its status holds something that is not an address.
    pub fn addresses(&self, name: &str) -> Result<Vec<IpAddr>> {
        let service = self.service(name)?;
        let ingress = service.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
        let ips = ingress.into_iter().flatten().filter_map(|entry| entry["ip"].as_str());
        Ok(ips.map(str::parse).collect::<Result<_, _>>()?)
    }

    /// Lists all objects of a kind in the load balancer's namespace.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn list(&self, api_version: &str, kind: &str) -> Result<Vec<Value>> {
        self.with_client(|client| async move {
            let objects =
                Api::<DynamicObject>::namespaced_with(client, NAMESPACE, &resource(api_version, kind));
            let all = objects.list(&ListParams::default()).await?.items;
            Ok(all.into_iter().map(serde_json::to_value).collect::<Result<_, _>>()?)
        })
    }

    /// Returns the reasons of the Events about a Service.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn events(&self, service: &str) -> Result<Vec<String>> {
        self.with_client(|client| async move {
            let events = resource("events.k8s.io/v1", "Event");
            let events = Api::<DynamicObject>::namespaced_with(client, "default", &events);
            let all = events.list(&ListParams::default()).await?.items.into_iter().map(|event| event.data);
            let about = all.filter(|event| event["regarding"]["name"] == service);
            Ok(about.filter_map(|event| Some(event["reason"].as_str()?.to_owned())).collect())
        })
    }

    fn ready(&self) -> Result<()> {
        self.with_client(|client| async move {
            client.apiserver_version().await?;
            Ok(())
        })
    }

    /// Checks that all defined kinds are served.
    fn established(&self) -> Result<()> {
        self.with_client(|client| async move {
            let kind = resource("apiextensions.k8s.io/v1", "CustomResourceDefinition");
            for definition in
                Api::<DynamicObject>::all_with(client, &kind).list(&ListParams::default()).await?
            {
                let conditions = definition.data.pointer("/status/conditions").and_then(Value::as_array);
                let mut conditions = conditions.into_iter().flatten();
                let is_served = conditions.any(|c| c["type"] == "Established" && c["status"] == "True");
                ensure!(is_served, "{:?} is not served yet", definition.metadata.name);
            }
            Ok(())
        })
    }

    /// Runs a request in the lab's network.
    fn with_client<T, F>(&self, request: impl FnOnce(Client) -> F + Send) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>>,
    {
        self.host.run_async(|| async {
            let file = Kubeconfig::from_yaml(&self.kubeconfig)?;
            let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
            request(Client::try_from(config)?).await
        })
    }
}

/// Runs a command of a node's pod on the node.
fn run_in_pod(host: &LabHost, socket: &Path, command: &PodCommand) -> Result<PodCommandOutput> {
    let [program, subcommand, rest @ ..] = &command.words[..] else { bail!("no command") };
    ensure!(program == "/fairlead", "{program}: no such file or directory");
    ensure!(command.container.as_deref() == Some("agent"), "no such container: {:?}", command.container);
    let output = host.command(&find_binary()?.to_string_lossy()).arg(subcommand).arg("--socket").arg(socket);
    let output = output.args(rest).output()?;
    let code = output.status.code().unwrap_or(-1);
    Ok(PodCommandOutput { code, stdout: output.stdout, stderr: output.stderr })
}

/// Names the server.
impl fmt::Display for ControlPlane {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.server {
            Server::InProcess { .. } => formatter.write_str("the in-process API server"),
            Server::Binaries(binaries) => {
                write!(formatter, "kube-apiserver of {}", binaries.assets().display())
            }
        }
    }
}

/// Opens a socket in the host's network namespace, and serves on it in this process.
fn serve(host: &LabHost, store: &Arc<ObjectStore>) -> Result<TestApiServer> {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let opened = host.run(|| Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?));
        match opened {
            Ok(listener) => return Ok(TestApiServer::serve(Arc::clone(store), listener)?),
            // The previous server is still shutting down.
            Err(_) if Instant::now() < until => sleep(Duration::from_millis(5)),
            Err(error) => return Err(error),
        }
    }
}

fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

async fn apply(client: &Client, object: &Value) -> Result<()> {
    let word = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (name, namespace) = (word("/metadata/name"), word("/metadata/namespace"));
    let resource = resource(word("/apiVersion"), word("/kind"));
    let api = match namespace {
        "" => Api::<DynamicObject>::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let params = PatchParams::apply(MANAGER).force();
    let mut body = object.clone();
    let status = body.as_object_mut().and_then(|fields| fields.remove("status"));
    api.patch(name, &params, &Patch::Apply(&body)).await?;
    if let Some(status) = status {
        // A Node may have two addresses of one type, which an apply rejects as a duplicate.
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        api.patch_status(name, &params, &Patch::Merge(json!({"status": status}))).await?;
    }
    Ok(())
}
