//! `fairlead controller`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use lb_controller::webhook::{WebhookMode, WebhookOptions, names};
use lb_controller::{ControllerError, ControllerOptions};

/// Arguments of `fairlead controller`.
#[derive(Debug, Args)]
pub struct ControllerArgs {
    /// Cluster to work in; without it, that of KUBECONFIG or of this pod.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Namespace of the IPAddressPools, and of the Lease of the one that leads.
    #[arg(long, env = "FAIRLEAD_NAMESPACE", default_value = "metallb-system", value_name = "NAME")]
    namespace: String,
    /// Serve Services of this load-balancer class only; without it, those that name none.
    #[arg(long, value_name = "CLASS")]
    lb_class: Option<String>,
    /// What this controller is called among several; without it, its pod's name.
    #[arg(long, required_unless_present = "pod_name", value_name = "NAME")]
    identity: Option<String>,
    /// Pod that this controller runs in: it owns what the controller writes about itself, which goes with it.
    #[arg(long, env = "FAIRLEAD_POD_NAME", value_name = "NAME")]
    pod_name: Option<String>,
    /// Where metrics and health are served over HTTP.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_address: Option<SocketAddr>,
    /// Whether API servers are answered that ask whether an object is right.
    #[arg(long, value_enum, default_value = "enabled")]
    webhook_mode: WebhookMode,
    /// Port on which they are answered.
    #[arg(long, default_value_t = 9443, value_name = "PORT")]
    webhook_port: u16,
    /// Name of the ValidatingWebhookConfiguration that gets the webhook's certificate.
    #[arg(long, default_value = names::CONFIGURATION, value_name = "NAME")]
    webhook_configuration: String,
    /// Namespace of the Secret with the webhook's certificate; without it, that of the IPAddressPools.
    #[arg(long, value_name = "NAME")]
    webhook_secret_namespace: Option<String>,
}

/// Why `fairlead controller` ends with an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The runtime cannot be built.
    #[error("cannot start: {0}")]
    Runtime(#[source] std::io::Error),
    /// The controller does not run.
    #[error(transparent)]
    Controller(#[from] ControllerError),
}

/// Runs the controller until it is told to stop.
///
/// # Errors
/// See [`enum@Error`].
pub fn run(args: ControllerArgs) -> Result<(), Error> {
    let options = ControllerOptions {
        kubeconfig: args.kubeconfig,
        namespace: args.namespace,
        class: args.lb_class,
        identity: args.identity.or_else(|| args.pod_name.clone()).unwrap_or_default(),
        pod: args.pod_name,
        metrics: args.metrics_address,
        webhook: WebhookOptions {
            mode: args.webhook_mode,
            port: args.webhook_port,
            configuration: args.webhook_configuration,
            secret_namespace: args.webhook_secret_namespace,
        },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    Ok(runtime.block_on(lb_controller::run(options))?)
}
