//! The arguments of the metrics port, which agent and controller share.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use lb_runtime::certificate::CertificateSource;
use lb_runtime::metrics::MetricsOptions;

/// The arguments of the metrics port.
#[derive(Debug, Args)]
pub(super) struct MetricsArgs {
    /// Address and port on which metrics and health checks are served.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_address: Option<SocketAddr>,
    /// Serve metrics and health checks over HTTPS. Then /metrics needs the bearer token of a user who may get
    /// it, which the API server reviews; health checks need none.
    #[arg(long, value_enum, default_value = "off", value_name = "WHETHER")]
    metrics_tls: MetricsTls,
    /// Directory with the certificate of the metrics port, tls.crt, and its key, tls.key. They are read again
    /// when they change. By default, a certificate is made at the start. No effect without --metrics-tls on.
    #[arg(long, value_name = "DIRECTORY")]
    metrics_cert_dir: Option<PathBuf>,
}

/// Whether the metrics port is served over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MetricsTls {
    /// Over HTTP, to everyone.
    Off,
    /// Over HTTPS, to clients whose tokens are reviewed.
    On,
}

impl MetricsArgs {
    /// Returns the options; a certificate that is made is for this name.
    pub(super) fn options(self, name: &str) -> MetricsOptions {
        let certificate = (self.metrics_tls == MetricsTls::On).then(|| match self.metrics_cert_dir {
            Some(directory) => CertificateSource::Directory(directory),
            None => CertificateSource::SelfSigned(vec![name.to_owned()]),
        });
        MetricsOptions { address: self.metrics_address, certificate }
    }
}
