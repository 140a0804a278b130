//! The controller (`fairlead controller`): assigns addresses to Services.
//!
//! Its loop is like the agent's: observe → plan → diff → apply. [`lb_ipam`] plans; this crate handles that a
//! watch delivers a write only some time after it was made.

mod changes;
mod config_check;
pub mod hash_key;
pub mod metrics;
mod plan;
mod preconditions;
mod service_events;
pub mod webhook;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use config_check::ConfigCheck;
use lb_kube::client::{ApiServer, ClientRole, KubeClientError};
use lb_kube::cluster::Cluster;
use lb_kube::events::{EventLimits, EventQueue};
use lb_kube::kinds::ALLOCATION_KINDS;
use lb_kube::leadership::{Leadership, LeadershipSender};
use lb_kube::lease::{LeaderElector, LeaseTimings};
use lb_kube::status::{StatusScope, StatusWriter, WriteLimits};
use lb_kube::token_review::TokenReviewer;
use lb_runtime::certificate::{CertificateSource, ServedCertificateError};
use lb_runtime::descriptors;
use lb_runtime::http::HttpLimits;
use lb_runtime::metrics::{MetricsOptions, MetricsSecurity};
use lb_runtime::watchdog::{Heart, REQUEST_LIMIT, Watchdog};
use metrics::{ControllerExporter, ControllerView};
use plan::{AllocationPlan, AllocationPlanner};
use service_events::ServiceEvents;
use webhook::{Webhook, WebhookMode, WebhookOptions};
use write::AllocationWriter;

/// Name of the leader election Lease.
const LEASE: &str = "fairlead-controller";
/// The source of Events, by the name that users of MetalLB know.
const EVENT_COMPONENT: &str = "metallb-controller";
/// Time over which changes are collected.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// Delay after a failed write.
const RETRY: Duration = Duration::from_secs(2);

/// The options of the controller.
#[derive(Clone, Debug)]
pub struct ControllerOptions {
    /// The kubeconfig; `None` for `KUBECONFIG`, or the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The namespace of the configuration and the Lease.
    pub namespace: String,
    /// Handles only Services of this load-balancer class; `None`: only those without a class.
    pub class: Option<String>,
    /// The identity of this controller in the leader election.
    pub identity: String,
    /// The name of this pod, which owns the controller's ConfigurationState.
    pub pod: Option<String>,
    /// The port of metrics and health.
    pub metrics: MetricsOptions,
    /// The webhook.
    pub webhook: WebhookOptions,
}

/// The controller cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// There is no client for the API server.
    #[error(transparent)]
    Client(#[from] KubeClientError),
    /// Signal handlers cannot be installed.
    #[error("cannot install signal handlers: {0}")]
    Signals(#[source] std::io::Error),
    /// Metrics and health cannot be served.
    #[error("cannot serve metrics: {0}; set another --metrics-address")]
    Metrics(#[source] std::io::Error),
    /// The metrics port has no certificate.
    #[error("cannot serve the metrics port over TLS: {0}; check --metrics-cert-dir")]
    Certificate(#[from] ServedCertificateError),
}

/// Runs until SIGTERM or SIGINT. Services keep their addresses.
///
/// # Errors
/// See [`ControllerError`]. A server that does not answer is no error.
pub async fn run(options: ControllerOptions) -> Result<(), ControllerError> {
    let files = descriptors::raise();
    let watchdog = Watchdog::default();
    let server = ApiServer::find(options.kubeconfig.as_deref(), ClientRole::Controller).await?;
    let (leadership_sender, leadership) = Leadership::channel();
    let clients = Clients {
        shared: server.client()?,
        lease: server.lease_client()?,
        leader: server.leader_client(&leadership)?,
    };
    let limits = HttpLimits::for_monitoring(files);
    let port = metrics::listen(options.metrics.address, limits).map_err(ControllerError::Metrics)?;
    let certificate = options.metrics.certificate.clone().map(CertificateSource::serve).transpose()?;
    let security = certificate
        .map(|tls| MetricsSecurity { tls, authorizer: TokenReviewer::new(clients.shared.clone()) });
    let (view_sender, view) = watch::channel(ControllerView::default());
    let mut terminate = signal(SignalKind::terminate()).map_err(ControllerError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ControllerError::Signals)?;
    let (stop_sender, stop) = watch::channel(false);
    let end = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("shutting down; Services keep their addresses");
        stop_sender.send_replace(true);
        // The leader's task ends the process, after its last write.
        std::future::pending::<()>().await;
    };
    let leader = Leader { clients: &clients, options: &options, watchdog: &watchdog, leadership, stop };
    tokio::select! {
        () = run_webhook(&clients.shared, &options, HttpLimits::for_webhooks(files)) => {}
        () = leader.run(leadership_sender, view_sender) => {}
        () = lb_runtime::metrics::serve(port, security, ControllerExporter(view), watchdog.clone()) => {}
        () = end => {}
    }
    Ok(())
}

/// The clients of the API server.
struct Clients {
    /// For requests that need no leadership.
    shared: Client,
    lease: Client,
    /// Sends writes only while this process leads.
    leader: Client,
}

/// Serves the webhook, whether or not this controller leads.
async fn run_webhook(client: &Client, options: &ControllerOptions, limits: HttpLimits) {
    if options.webhook.mode == WebhookMode::Disabled {
        std::future::pending::<()>().await;
    }
    let namespace = options.namespace.clone();
    let secret_namespace = options.webhook.secret_namespace.clone().unwrap_or_else(|| namespace.clone());
    let port = options.webhook.port;
    let configuration = options.webhook.configuration.clone();
    Webhook { client: client.clone(), namespace, configuration, secret_namespace, port, limits }.run().await;
}

/// The tasks of which only the leader's take effect.
struct Leader<'a> {
    clients: &'a Clients,
    options: &'a ControllerOptions,
    watchdog: &'a Watchdog,
    leadership: Leadership,
    stop: watch::Receiver<bool>,
}

impl Leader<'_> {
    /// Runs until the process is to stop and the Lease has been released.
    async fn run(mut self, leadership: LeadershipSender, view: watch::Sender<ControllerView>) {
        if self.options.webhook.mode == WebhookMode::OnlyWebhook {
            view.send_modify(|view| {
                view.ready = true;
                // The webhook reads the configuration by itself.
                view.reading.loaded = true;
            });
            // The sender outlives this, so this cannot fail.
            let _ = self.stop.wait_for(|stop| *stop).await;
            return;
        }
        let Clients { shared, leader, .. } = self.clients;
        let namespace = &self.options.namespace;
        let key = hash_key::ensure(shared.clone(), namespace);
        // In a task of its own, so that a long plan does not delay a renewal.
        let election = tokio::spawn(self.elector().run(leadership, self.stop.clone()));
        let identity = self.options.identity.clone();
        let (events, emit) =
            EventQueue::new(leader.clone(), EVENT_COMPONENT, identity, EventLimits::CONTROLLER);
        let (status_sender, status) = watch::channel(None);
        let config_check =
            ConfigCheck::new(shared, namespace, self.leadership.clone(), events.clone(), status_sender);
        let check_heart = self.watchdog.heart("configuration check", REQUEST_LIMIT);
        let status_writer = self.status_writer().run(status);
        let controller = Controller {
            cluster: Cluster::watch(shared, &ALLOCATION_KINDS, namespace),
            leadership: self.leadership.clone(),
            planner: AllocationPlanner::new(self.options.class.clone()),
            writer: AllocationWriter::new(leader.clone()),
            events: ServiceEvents::new(events),
            view,
            heart: self.watchdog.heart("address allocation", REQUEST_LIMIT),
        };
        tokio::select! {
            _ = election => {}
            () = async { tokio::join!(key, controller.run()); } => {}
            () = config_check.run(check_heart) => {}
            () = status_writer => {}
            () = emit => {}
        }
    }

    fn elector(&self) -> LeaderElector {
        LeaderElector {
            api: Api::<Lease>::namespaced(self.clients.lease.clone(), &self.options.namespace),
            name: LEASE.to_owned(),
            identity: self.options.identity.clone(),
            timings: LeaseTimings::DEFAULT,
            heart: self.watchdog.heart("leader election", REQUEST_LIMIT),
        }
    }

    fn status_writer(&self) -> StatusWriter {
        StatusWriter {
            client: self.clients.shared.clone(),
            write_client: self.clients.leader.clone(),
            namespace: self.options.namespace.clone(),
            scope: StatusScope::Controller,
            pod: self.options.pod.clone(),
            limits: WriteLimits::DEFAULT,
        }
    }
}

/// The control loop of address allocation.
struct Controller {
    cluster: Cluster,
    leadership: Leadership,
    planner: AllocationPlanner,
    writer: AllocationWriter,
    events: ServiceEvents,
    view: watch::Sender<ControllerView>,
    heart: Heart,
}

impl Controller {
    async fn run(mut self) {
        let mut retry = false;
        loop {
            let retry_after = retry.then_some(RETRY);
            changes::wait(&mut self.cluster, &mut self.leadership, &self.heart, retry_after, DEBOUNCE).await;
            let is_leader = self.leadership.is_leader();
            if !is_leader {
                self.stand_by();
            }
            retry = is_leader && !self.reconcile().await;
        }
    }

    /// Another controller leads: it writes pools and exports their usage. This one has loaded the
    /// configuration, too, once every kind has been listed.
    fn stand_by(&mut self) {
        self.writer.forget();
        let ready = self.cluster.missing().is_empty();
        self.view.send_modify(|view| {
            view.ready = ready;
            view.reading.loaded |= ready;
            view.usage = BTreeMap::new();
        });
    }

    /// Runs one pass; returns false if a write failed, or not all kinds have been listed.
    async fn reconcile(&mut self) -> bool {
        let Some(snapshot) = self.cluster.read() else {
            tracing::debug!(missing = ?self.cluster.missing(), "waiting for the API server to list all kinds");
            return false;
        };
        let plan = self.planner.plan(&snapshot);
        let outcome = self.writer.write(&snapshot, &plan).await;
        self.planner.handle_written(outcome.services);
        self.publish(&plan, outcome.is_failed);
        self.events.emit(&snapshot, &plan);
        outcome.is_complete
    }

    fn publish(&self, plan: &AllocationPlan, is_failed: bool) {
        self.view.send_modify(|view| {
            view.ready = true;
            view.reading.succeeded(&plan.problems);
            view.reading.errors += u64::from(is_failed);
            view.usage.clone_from(&plan.allocation.usage);
        });
    }
}
