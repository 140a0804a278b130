//! What an API server asks before it stores an object: whether it is right, and how it is written in another version.
//!
//! Every controller answers, whether or not it leads. The certificate that API servers trust is made here and kept in
//! a Secret that all controllers share; nothing else is needed in the cluster. An API server that gets no answer does
//! as `failurePolicy` of its configuration says.

mod cert_rotator;
pub mod certificate;
mod conversion;
mod review;
mod server;

use std::time::Duration;

use clap::ValueEnum;
use kube::Client;
use tokio::sync::watch;

use cert_rotator::Identity;
use lb_kube::cluster::{self, Cluster};
use lb_runtime::http::HttpLimits;
use server::Server;

/// Name of the ValidatingWebhookConfiguration, where no other is given.
pub const CONFIGURATION: &str = "fairlead-webhook-configuration";
/// Name of the Service that leads API servers to the controllers.
pub const SERVICE: &str = "fairlead-webhook-service";
/// Name of the Secret with the certificate.
pub const SECRET: &str = "fairlead-webhook-cert";

/// Whether API servers are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Beside all else that a controller does.
    #[default]
    Enabled,
    /// Not at all.
    Disabled,
    /// And nothing else is done.
    #[value(name = "onlywebhook")]
    OnlyWebhook,
}

/// What a webhook is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether there is one.
    pub mode: Mode,
    /// Port that it listens on.
    pub port: u16,
    /// Name of the ValidatingWebhookConfiguration.
    pub configuration: String,
    /// Namespace of the Secret; `None` for that of all else.
    pub secret_namespace: Option<String>,
}

/// What answers API servers.
pub struct Webhook {
    /// What the cluster is read and written by.
    pub client: Client,
    /// Namespace in which objects of `metallb.io` count.
    pub namespace: String,
    /// Name of the ValidatingWebhookConfiguration.
    pub configuration: String,
    /// Namespace of the Secret: another one is out of reach of whoever may get Secrets beside the agents.
    pub secret_namespace: String,
    /// Port that it listens on.
    pub port: u16,
    /// What its clients may use.
    pub limits: HttpLimits,
}

impl Webhook {
    /// Answers for ever. What goes wrong is logged and tried again: no Service waits for an address because of it.
    pub async fn run(self) {
        let (served, current) = watch::channel(None);
        let identity = Identity {
            client: self.client.clone(),
            namespace: self.namespace.clone(),
            configuration: self.configuration,
            secret_namespace: self.secret_namespace,
        };
        let cluster = Cluster::watch(&self.client, &cluster::CONFIGURATION, &self.namespace);
        let (port, limits, namespace) = (self.port, self.limits, self.namespace);
        let server = Server { port, limits, cluster, namespace, identity: current };
        tokio::join!(identity.keep(served), server.run());
    }
}

/// When what went wrong is tried again.
const RETRY: Duration = Duration::from_secs(5);
