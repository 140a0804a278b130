//! `fairlead controller`: gives Services their addresses.
//!
//! The loop is that of the agent: observe → decide → write the difference. Decisions are [`lb_plan::ipam`]'s;
//! here is what keeps them in step with a server that tells of every write only some time after it was made.

mod decide;
mod tell;
mod write;

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::kube::client::{self, ClientError};
use crate::kube::cluster::{Cluster, Watched};
use crate::kube::lease::{Contender, Terms};
use decide::Decider;
use tell::Teller;
use write::Writer;

/// Name of the Lease that the leader holds.
pub const LEASE: &str = "fairlead-controller";
/// Who writes, in the objects' managed fields.
const MANAGER: &str = "fairlead-controller";
/// Changes that come together are taken together.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// Requests that are under way at once.
const AT_ONCE: usize = 16;
/// When a write that has failed is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// What allocation depends on.
const WATCHED: [Watched; 3] = [Watched::SERVICE, Watched::NAMESPACE, Watched::POOL];

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
}

/// Runs until SIGTERM or SIGINT. What has been written stays; so does every address.
///
/// # Errors
/// See [`ControllerError`]. A server that does not answer is waited for.
pub async fn run(options: Options) -> Result<(), ControllerError> {
    let client = client::connect(options.kubeconfig.as_deref()).await?;
    let (leads, leading) = watch::channel(false);
    let contender = Contender {
        api: Api::<Lease>::namespaced(client.clone(), &options.namespace),
        name: LEASE.to_owned(),
        identity: options.identity.clone(),
        terms: Terms::DEFAULT,
    };
    let controller = Controller {
        cluster: Cluster::watch(&client, &WATCHED, &options.namespace),
        leading,
        decider: Decider::new(options.class.clone()),
        writer: Writer::new(client.clone()),
        teller: Teller::new(client, options.identity),
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(ControllerError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ControllerError::Signals)?;
    tokio::select! {
        () = contender.run(leads) => {}
        () = controller.run() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: addresses stay as they are");
    Ok(())
}

struct Controller {
    cluster: Cluster,
    leading: watch::Receiver<bool>,
    decider: Decider,
    writer: Writer,
    teller: Teller,
}

impl Controller {
    async fn run(mut self) {
        let mut retry = false;
        loop {
            tokio::select! {
                () = self.cluster.changed() => {}
                Ok(()) = self.leading.changed() => {}
                () = tokio::time::sleep(RETRY), if retry => {}
            }
            tokio::time::sleep(DEBOUNCE).await;
            retry = *self.leading.borrow_and_update() && !self.turn().await;
        }
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
        self.teller.tell(&snapshot, &decided).await;
        complete
    }
}
