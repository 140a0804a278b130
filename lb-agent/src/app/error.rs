//! Errors that end `fairlead agent`.

use std::io;
use std::net::SocketAddr;

use aya::maps::MapError;
use lb_dataplane::attach::AttachError;
use lb_dataplane::map_io::MapsError;
use lb_dataplane::preflight::PreflightError;
use lb_kube::client::KubeClientError;
use lb_kube::source::SourceError;
use lb_runtime::certificate::ServedCertificateError;

use crate::admin::AdminError;

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// This machine does not meet a requirement.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// The program is not on the uplinks.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The maps cannot be used.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The source of objects cannot be used.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Statuses cannot be reported.
    #[error(transparent)]
    Client(#[from] KubeClientError),
    /// The admin socket cannot be opened.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The counters cannot be opened.
    #[error("cannot open the counters: {0}")]
    Counters(#[source] MapError),
    /// No random bytes.
    #[error("cannot read random bytes: {0}")]
    Random(#[source] io::Error),
    /// No thread.
    #[error("cannot spawn a thread: {0}")]
    Thread(#[source] io::Error),
    /// The metrics port cannot be opened.
    #[error("cannot listen for metrics on {0}: {1}; set another --metrics-address")]
    Metrics(SocketAddr, #[source] io::Error),
    /// The metrics port has no certificate.
    #[error("cannot serve the metrics port over TLS: {0}; check --metrics-cert-dir")]
    Certificate(#[from] ServedCertificateError),
    /// There is no API server that could review tokens.
    #[error(
        "--metrics-tls on needs an API server, which reviews the tokens of clients, and --source names a directory; \
         remove one of them"
    )]
    NoTokenReview,
    /// A metric is described wrongly.
    #[error("cannot create the metrics: {0}")]
    Measurements(#[source] prometheus::Error),
    /// The interfaces cannot be listed.
    #[error("cannot list the network interfaces: {0}")]
    Interfaces(#[source] io::Error),
    /// The uplinks cannot be found.
    #[error("cannot list the default routes: {0}; name the uplinks with --interface")]
    Routes(#[source] io::Error),
    /// No netlink socket.
    #[error("cannot open a netlink socket: {0}")]
    Netlink(#[source] io::Error),
    /// The source has no answer, so there is nothing to preview.
    #[error(
        "the source did not yield its objects within {0} s; check that the API server answers, or the directory"
    )]
    NoObjects(u64),
    /// A task ended that should not.
    #[error("{0} ended unexpectedly: {1}")]
    Ended(&'static str, #[source] io::Error),
}
