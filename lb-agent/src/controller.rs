//! `fairlead controller`: gives Services their addresses.
//!
//! The loop is that of the agent: observe → decide → write the difference. Decisions are [`lb_plan::ipam`]'s;
//! here is what keeps them in step with a server that tells of every write only some time after it was made.

mod decide;
pub mod hash_key;
mod inspect;
mod metrics;
mod tell;
mod write;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::descriptors;
use crate::http::Limits;
use crate::kube::client::{self, ClientError};
use crate::kube::cluster::{Cluster, Watched};
use crate::kube::events::Events;
use crate::kube::lease::{Contender, Terms};
use crate::kube::status;
use crate::watchdog::{Heart, REQUEST_LIMIT, Watchdog};
use crate::webhook::{self, Mode, Webhook};
use decide::{Decided, Decider};
use inspect::Inspector;
use metrics::Shown;
use tell::Teller;
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
pub const WATCHED: [Watched; 5] =
    [Watched::SERVICE, Watched::NAMESPACE, Watched::POOL, Watched::NODE, Watched::BGP_PEER];

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
    let client = client::connect(options.kubeconfig.as_deref()).await?;
    let listener = metrics::listen(options.metrics).await.map_err(ControllerError::Metrics)?;
    let (shown, seen) = watch::channel(Shown::default());
    let mut terminate = signal(SignalKind::terminate()).map_err(ControllerError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ControllerError::Signals)?;
    tokio::select! {
        () = answer(&client, &options, Limits::of_reviews(files)) => {}
        () = allocate(&client, &options, shown, &watchdog) => {}
        () = metrics::serve(listener, seen, watchdog.clone(), Limits::of_questions(files)) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: addresses stay as they are");
    Ok(())
}

/// Answers API servers, on every controller.
async fn answer(client: &Client, options: &Options, limits: Limits) {
    if options.webhook.mode == Mode::Disabled {
        std::future::pending::<()>().await;
    }
    let namespace = options.namespace.clone();
    let secret_namespace = options.webhook.secret_namespace.clone().unwrap_or_else(|| namespace.clone());
    let port = options.webhook.port;
    let configuration = options.webhook.configuration.clone();
    Webhook { client: client.clone(), namespace, configuration, secret_namespace, port, limits }.run().await;
}

/// Does what only the leader does.
async fn allocate(client: &Client, options: &Options, shown: watch::Sender<Shown>, watchdog: &Watchdog) {
    if options.webhook.mode == Mode::OnlyWebhook {
        shown.send_modify(|shown| shown.ready = true);
        std::future::pending::<()>().await;
    }
    let key = hash_key::provide(client.clone(), &options.namespace);
    let (leads, leading) = watch::channel(false);
    let contender = Contender {
        api: Api::<Lease>::namespaced(client.clone(), &options.namespace),
        name: LEASE.to_owned(),
        identity: options.identity.clone(),
        terms: Terms::DEFAULT,
        heart: watchdog.heart("leader election", REQUEST_LIMIT),
    };
    let (events, telling) = Events::new(client.clone(), REPORTER, options.identity.clone());
    let (wanted, states) = watch::channel(None);
    let inspector = Inspector::new(client, &options.namespace, leading.clone(), events.clone(), wanted);
    let inspecting = watchdog.heart("configuration check", REQUEST_LIMIT);
    let states = status_writer(client, options).run(states);
    let controller = Controller {
        cluster: Cluster::watch(client, &WATCHED, &options.namespace),
        leading,
        decider: Decider::new(options.class.clone()),
        writer: Writer::new(client.clone()),
        teller: Teller::new(events),
        shown,
        heart: watchdog.heart("address allocation", REQUEST_LIMIT),
    };
    tokio::select! {
        () = contender.run(leads) => {}
        () = async { tokio::join!(key, controller.run()); } => {}
        () = inspector.run(inspecting) => {}
        () = states => {}
        () = telling => {}
    }
}

fn status_writer(client: &Client, options: &Options) -> status::Writer {
    status::Writer {
        client: client.clone(),
        namespace: options.namespace.clone(),
        scope: status::Scope::Controller,
        pod: options.pod.clone(),
        terms: status::Terms::DEFAULT,
    }
}

struct Controller {
    cluster: Cluster,
    leading: watch::Receiver<bool>,
    decider: Decider,
    writer: Writer,
    teller: Teller,
    shown: watch::Sender<Shown>,
    heart: Heart,
}

impl Controller {
    async fn run(mut self) {
        let mut retry = false;
        loop {
            let event = async {
                tokio::select! {
                    () = self.cluster.changed() => {}
                    Ok(()) = self.leading.changed() => {}
                    () = tokio::time::sleep(RETRY), if retry => {}
                }
            };
            self.heart.beating(event).await;
            tokio::time::sleep(DEBOUNCE).await;
            let leads = *self.leading.borrow_and_update();
            if !leads {
                self.stand_by();
            }
            retry = leads && !self.turn().await;
        }
    }

    /// Another leads: what that one decides is shown by it.
    fn stand_by(&self) {
        let ready = self.cluster.missing().is_empty();
        self.shown.send_modify(|shown| *shown = Shown { ready, usage: BTreeMap::new(), ..shown.clone() });
    }

    /// One round; false where something could not be written, or is not known yet.
    async fn turn(&mut self) -> bool {
        let Some(snapshot) = self.cluster.read() else {
            tracing::debug!(missing = ?self.cluster.missing(), "not all kinds have been listed yet");
            return false;
        };
        let decided = self.decider.decide(&snapshot);
        let written = self.writer.write(&decided, &self.leading).await;
        let complete = written.complete;
        self.decider.handle_written(written.services);
        self.show(&decided, complete);
        self.teller.tell(&snapshot, &decided);
        complete
    }

    fn show(&self, decided: &Decided, complete: bool) {
        self.shown.send_modify(|shown| {
            shown.ready = true;
            shown.reading.succeeded(&decided.problems);
            shown.reading.errors += u64::from(!complete);
            shown.usage.clone_from(&decided.allocation.usage);
        });
    }
}
