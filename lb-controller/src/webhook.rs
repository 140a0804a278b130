//! The webhook: validates changes of objects, and converts them between versions, for API servers.
//!
//! Every controller serves it, whether or not it leads. The controllers issue its serving certificate
//! themselves and share it in a Secret, so the cluster needs nothing else. If an API server gets no response,
//! the `failurePolicy` of its webhook configuration applies.

mod cert_rotator;
pub mod certificate;
mod conversion;
pub mod names;
mod review;
mod server;

use clap::ValueEnum;
use kube::Client;
use tokio::sync::watch;

use cert_rotator::CertRotator;
use lb_kube::cluster::Cluster;
use lb_kube::kinds::CONFIGURATION_KINDS;
use lb_runtime::http::HttpLimits;
use server::WebhookServer;

/// Whether a controller serves the webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum WebhookMode {
    /// It serves the webhook and runs the controller.
    #[default]
    Enabled,
    /// It only runs the controller.
    Disabled,
    /// It only serves the webhook.
    #[value(name = "onlywebhook")]
    OnlyWebhook,
}

/// The options of the webhook.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// Whether it is served.
    pub mode: WebhookMode,
    /// The port to listen on.
    pub port: u16,
    /// Name of the ValidatingWebhookConfiguration.
    pub configuration: String,
    /// Namespace of the Secret; `None` for the controller's namespace.
    pub secret_namespace: Option<String>,
}

/// The webhook.
pub(crate) struct Webhook {
    /// The client for the cluster.
    pub(crate) client: Client,
    /// The namespace in which objects of `metallb.io` count.
    pub(crate) namespace: String,
    /// Name of the ValidatingWebhookConfiguration.
    pub(crate) configuration: String,
    /// Namespace of the Secret: a separate one is out of reach of roles that may read the agents' Secrets.
    pub(crate) secret_namespace: String,
    /// The port to listen on.
    pub(crate) port: u16,
    /// Limits of the HTTP server.
    pub(crate) limits: HttpLimits,
}

impl Webhook {
    /// Serves until the task is aborted. Errors are logged and retried: no Service waits for its address
    /// because of them.
    pub(crate) async fn run(self) {
        let (sender, tls_config) = watch::channel(None);
        let rotator = CertRotator {
            client: self.client.clone(),
            namespace: self.namespace.clone(),
            configuration: self.configuration,
            secret_namespace: self.secret_namespace,
        };
        let cluster = Cluster::watch(&self.client, &CONFIGURATION_KINDS, &self.namespace);
        let (port, limits, namespace) = (self.port, self.limits, self.namespace);
        let server = WebhookServer { port, limits, cluster, namespace, tls_config };
        tokio::join!(rotator.run(sender), server.run());
    }
}
