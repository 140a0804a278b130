//! The subcommand `fairlead controller`.

use std::path::PathBuf;

use clap::Args;

use super::common::LogArgs;
use super::metrics::MetricsArgs;
use lb_controller::webhook::{WebhookMode, WebhookOptions, names};
use lb_controller::{ControllerError, ControllerOptions};

/// The arguments of `fairlead controller`.
#[derive(Debug, Args)]
pub struct ControllerArgs {
    /// Kubeconfig file of the cluster. By default, KUBECONFIG or the in-cluster configuration is used.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Namespace of the IPAddressPools and of the Lease for leader election.
    #[arg(long, env = "FAIRLEAD_NAMESPACE", default_value = "metallb-system", value_name = "NAME")]
    namespace: String,
    /// Serve only Services with this loadBalancerClass. By default, only Services without a class are served.
    #[arg(long, value_name = "CLASS")]
    lb_class: Option<String>,
    /// Identity of this controller in leader election. By default, the name of its pod.
    #[arg(long, required_unless_present = "pod_name", value_name = "NAME")]
    identity: Option<String>,
    /// Name of the controller's pod. The pod owns the objects that the controller writes about itself, so
    /// they are deleted with it.
    #[arg(long, env = "FAIRLEAD_POD_NAME", value_name = "NAME")]
    pod_name: Option<String>,
    #[command(flatten)]
    metrics: MetricsArgs,
    /// Whether the controller serves the validating webhook for API servers.
    #[arg(long, value_enum, default_value = "enabled")]
    webhook_mode: WebhookMode,
    /// Port of the webhook.
    #[arg(long, default_value_t = 9443, value_name = "PORT")]
    webhook_port: u16,
    /// Name of the ValidatingWebhookConfiguration in which the CA bundle of the webhook is set.
    #[arg(long, default_value = names::CONFIGURATION, value_name = "NAME")]
    webhook_configuration: String,
    /// Namespace of the Secret with the webhook's certificate. By default, the namespace of the
    /// IPAddressPools.
    #[arg(long, value_name = "NAME")]
    webhook_secret_namespace: Option<String>,
    #[command(flatten)]
    log: LogArgs,
}

impl ControllerArgs {
    /// Sets up the log.
    pub fn init_log(&self) {
        self.log.init("info");
    }
}

/// An error that ends `fairlead controller`.
#[derive(Debug, thiserror::Error)]
pub enum ControllerCommandError {
    /// The runtime cannot be created.
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] std::io::Error),
    /// The controller failed.
    #[error(transparent)]
    Controller(#[from] ControllerError),
}

/// Runs the controller until it receives a signal to stop.
///
/// # Errors
/// See [`ControllerCommandError`].
pub fn run(args: ControllerArgs) -> Result<(), ControllerCommandError> {
    let identity = args.identity.or_else(|| args.pod_name.clone()).unwrap_or_default();
    let metrics = args.metrics.options(&identity);
    let options = ControllerOptions {
        kubeconfig: args.kubeconfig,
        namespace: args.namespace,
        class: args.lb_class,
        identity,
        pod: args.pod_name,
        metrics,
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
        .map_err(ControllerCommandError::Runtime)?;
    Ok(runtime.block_on(lb_controller::run(options))?)
}
