//! `fairlead controller`: gives Services their addresses.
//!
//! The loop is that of the agent: observe → decide → write the difference. Decisions are [`lb_ipam`]'s;
//! here is what keeps them in step with a server that tells of every write only some time after it was made.

mod config_check;
pub mod hash_key;
mod metrics;
mod plan;
mod preconditions;
mod service_events;
pub mod webhook;
mod write;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::webhook::{Mode, Webhook};
use config_check::Inspector;
use lb_api::kind::ObjectKind;
use lb_kube::client::{ClientError, Role, Server};
use lb_kube::cluster::Cluster;
use lb_kube::events::Events;
use lb_kube::leadership::{Grant, Leadership};
use lb_kube::lease::{Candidate, Terms};
use lb_kube::status;
use lb_runtime::descriptors;
use lb_runtime::http::HttpLimits;
use lb_runtime::watchdog::{Heart, REQUEST_LIMIT, Watchdog};
use metrics::{ControllerExporter, ControllerView};
use plan::{Decided, Decider};
use service_events::Teller;
use write::Writer;

/// Name of the Lease that the leader holds.
pub const LEASE: &str = "fairlead-controller";
/// Who writes, in the objects' managed fields.
const MANAGER: &str = "fairlead-controller";
/// Who tells Events, by the name that users of MetalLB know.
const REPORTER: &str = "metallb-controller";
/// Changes that come together are taken together.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// Requests that are under way at once.
const AT_ONCE: usize = 16;
/// When a write that has failed is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// What allocation depends on. Addresses of Nodes and BGP peers are never given.
pub const WATCHED: [ObjectKind; 5] = [
    ObjectKind::SERVICE,
    ObjectKind::NAMESPACE,
    ObjectKind::IP_ADDRESS_POOL,
    ObjectKind::NODE,
    ObjectKind::BGP_PEER,
];

/// What the controller is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Cluster to work in; `None` for that of `KUBECONFIG` or of this pod.
    pub kubeconfig: Option<PathBuf>,
    /// Namespace of the pools, and of the Lease.
    pub namespace: String,
    /// Services of this load-balancer class only; `None` for those that name none.
    pub class: Option<String>,
    /// What this one is called among several.
    pub identity: String,
    /// This pod, which owns the object that says whether the configuration is right.
    pub pod: Option<String>,
    /// Where metrics and health are served; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Whether API servers are answered, and whether anything else is done.
    pub webhook: webhook::Options,
}

/// Why the controller does not run.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// No client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Signals cannot be waited for.
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] std::io::Error),
    /// Metrics and health cannot be served.
    #[error("cannot serve metrics: {0}; give another --metrics-address")]
    Metrics(#[source] std::io::Error),
}

/// Runs until SIGTERM or SIGINT. What has been written stays; so does every address.
///
/// # Errors
/// See [`ControllerError`]. A server that does not answer is waited for.
pub async fn run(options: Options) -> Result<(), ControllerError> {
    let files = descriptors::raise();
    let watchdog = Watchdog::default();
    let server = Server::find(options.kubeconfig.as_deref(), Role::Controller).await?;
    let (grant, leadership) = Leadership::new_pair();
    let clients = Clients {
        all: server.client()?,
        lease: server.client_of_lease()?,
        leader: server.client_of_leader(&leadership)?,
    };
    let listener = metrics::listen(options.metrics).map_err(ControllerError::Metrics)?;
    let (shown, seen) = watch::channel(ControllerView::default());
    let mut terminate = signal(SignalKind::terminate()).map_err(ControllerError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ControllerError::Signals)?;
    let (stop, stopping) = watch::channel(false);
    let end = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: addresses stay as they are");
        stop.send_replace(true);
        // What is under way comes to its end.
        std::future::pending::<()>().await;
    };
    let lead = Lead { clients: &clients, options: &options, watchdog: &watchdog, leadership, stopping };
    tokio::select! {
        () = answer(&clients.all, &options, HttpLimits::for_webhooks(files)) => {}
        () = lead.run(grant, shown) => {}
        () = lb_runtime::metrics::serve(listener, ControllerExporter(seen), watchdog.clone(), HttpLimits::for_monitoring(files)) => {}
        () = end => {}
    }
    Ok(())
}

/// Connections to the API server.
struct Clients {
    /// What any controller may ask for.
    all: Client,
    lease: Client,
    /// Sends writes only while this process leads.
    leader: Client,
}

/// Answers API servers, on every controller.
async fn answer(client: &Client, options: &Options, limits: HttpLimits) {
    if options.webhook.mode == Mode::Disabled {
        std::future::pending::<()>().await;
    }
    let namespace = options.namespace.clone();
    let secret_namespace = options.webhook.secret_namespace.clone().unwrap_or_else(|| namespace.clone());
    let port = options.webhook.port;
    let configuration = options.webhook.configuration.clone();
    Webhook { client: client.clone(), namespace, configuration, secret_namespace, port, limits }.run().await;
}

/// What only the leader does.
struct Lead<'a> {
    clients: &'a Clients,
    options: &'a Options,
    watchdog: &'a Watchdog,
    leadership: Leadership,
    stopping: watch::Receiver<bool>,
}

impl Lead<'_> {
    /// Runs until the process is to stop, and the Lease has been released.
    async fn run(mut self, grant: Grant, shown: watch::Sender<ControllerView>) {
        if self.options.webhook.mode == Mode::OnlyWebhook {
            shown.send_modify(|shown| shown.ready = true);
            // Its sender lives as long as this.
            let _ = self.stopping.wait_for(|stopping| *stopping).await;
            return;
        }
        let Clients { all, leader, .. } = self.clients;
        let namespace = &self.options.namespace;
        let key = hash_key::provide(all.clone(), namespace);
        // A task of its own: a long decision keeps nobody from renewing.
        let candidate = tokio::spawn(self.candidate().run(grant, self.stopping.clone()));
        let (events, telling) = Events::new(leader.clone(), REPORTER, self.options.identity.clone());
        let (wanted, states) = watch::channel(None);
        let inspector = Inspector::new(all, namespace, self.leadership.clone(), events.clone(), wanted);
        let inspecting = self.watchdog.heart("configuration check", REQUEST_LIMIT);
        let states = self.status_writer().run(states);
        let controller = Controller {
            cluster: Cluster::watch(all, &WATCHED, namespace),
            leadership: self.leadership.clone(),
            decider: Decider::new(self.options.class.clone()),
            writer: Writer::new(leader.clone()),
            teller: Teller::new(events),
            shown,
            heart: self.watchdog.heart("address allocation", REQUEST_LIMIT),
        };
        tokio::select! {
            _ = candidate => {}
            () = async { tokio::join!(key, controller.run()); } => {}
            () = inspector.run(inspecting) => {}
            () = states => {}
            () = telling => {}
        }
    }

    fn candidate(&self) -> Candidate {
        Candidate {
            api: Api::<Lease>::namespaced(self.clients.lease.clone(), &self.options.namespace),
            name: LEASE.to_owned(),
            identity: self.options.identity.clone(),
            terms: Terms::DEFAULT,
            heart: self.watchdog.heart("leader election", REQUEST_LIMIT),
        }
    }

    fn status_writer(&self) -> status::Writer {
        status::Writer {
            client: self.clients.all.clone(),
            writes: self.clients.leader.clone(),
            namespace: self.options.namespace.clone(),
            scope: status::Scope::Controller,
            pod: self.options.pod.clone(),
            terms: status::Terms::DEFAULT,
        }
    }
}

struct Controller {
    cluster: Cluster,
    leadership: Leadership,
    decider: Decider,
    writer: Writer,
    teller: Teller,
    shown: watch::Sender<ControllerView>,
    heart: Heart,
}

impl Controller {
    async fn run(mut self) {
        let mut retry = false;
        loop {
            let event = async {
                tokio::select! {
                    () = self.cluster.changed() => {}
                    () = self.leadership.changed() => {}
                    () = tokio::time::sleep(RETRY), if retry => {}
                }
            };
            self.heart.beating(event).await;
            tokio::time::sleep(DEBOUNCE).await;
            let leads = self.leadership.may_act();
            if !leads {
                self.stand_by();
            }
            retry = leads && !self.turn().await;
        }
    }

    /// Another leads: what that one decides is shown by it.
    fn stand_by(&mut self) {
        // Meanwhile another writes pools.
        self.writer.forget();
        let ready = self.cluster.missing().is_empty();
        self.shown
            .send_modify(|shown| *shown = ControllerView { ready, usage: BTreeMap::new(), ..shown.clone() });
    }

    /// One round; false where something could not be written, or is not known yet.
    async fn turn(&mut self) -> bool {
        let Some(snapshot) = self.cluster.read() else {
            tracing::debug!(missing = ?self.cluster.missing(), "not all kinds have been listed yet");
            return false;
        };
        let decided = self.decider.decide(&snapshot);
        let written = self.writer.write(&snapshot, &decided).await;
        let (complete, failed) = (written.complete, written.failed);
        self.decider.handle_written(written.services);
        self.show(&decided, failed);
        self.teller.tell(&snapshot, &decided);
        complete
    }

    fn show(&self, decided: &Decided, failed: bool) {
        self.shown.send_modify(|shown| {
            shown.ready = true;
            shown.reading.succeeded(&decided.problems);
            shown.reading.errors += u64::from(failed);
            shown.usage.clone_from(&decided.allocation.usage);
        });
    }
}
