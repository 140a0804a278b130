//! The metrics port: `/metrics`, `/healthz` and `/readyz` over HTTP or HTTPS, and how values are registered.
//!
//! | module | holds |
//! | --- | --- |
//! | [`exposition`] | the text of a scrape, in two formats |
//! | [`access`] | who may scrape, if the port is served over HTTPS |
//!
//! Every scrape is written anew, so that an ended session or pool leaves no series.

pub mod access;
pub mod exposition;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use prometheus::core::Collector;
use prometheus::{IntCounter, IntGauge};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::access::ScrapeAuthorizer;
use self::exposition::{Exposition, ExpositionFormat};
use crate::certificate::CertificateSource;
use crate::http::{HttpLimits, HttpServer};
use crate::watchdog::Watchdog;

/// What a process serves on its metrics port.
pub trait Exporter: Clone + Send + Sync + 'static {
    /// Returns whether the process does its work: `/readyz` answers 200 or 503.
    fn is_ready(&self) -> bool;

    /// Returns what else the port serves, to whom it serves metrics.
    fn pages(&self) -> Router {
        Router::new()
    }

    /// Returns the current values.
    ///
    /// # Errors
    /// When a metric's name is invalid or registered twice, or a value cannot be read.
    fn scrape(
        &self,
        format: ExpositionFormat,
    ) -> impl Future<Output = Result<Exposition, prometheus::Error>> + Send;
}

/// The type of a metric: a counter starts at zero and only grows, a gauge goes up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    /// A counter.
    Counter,
    /// A gauge.
    Gauge,
}

impl MetricType {
    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// A metric that may have tens of thousands of series.
#[derive(Clone, Copy, Debug)]
pub struct MetricFamily<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its help text.
    pub help: &'a str,
    /// Its type.
    pub of_type: MetricType,
    /// The names of its labels.
    pub labels: &'a [&'a str],
}

/// The place where metrics are registered: the text of a scrape, or descriptions of them.
pub trait MetricSink {
    /// Registers a metric.
    ///
    /// # Errors
    /// When its name is invalid or registered twice.
    fn register(&self, metric: Box<dyn Collector>) -> Result<(), prometheus::Error>;

    /// Registers a metric with its series: labels from [`exposition::render_labels`], and values. Costs far
    /// less than [`Self::register`] for each of them.
    ///
    /// # Errors
    /// When its name is registered twice.
    fn register_series<'s>(
        &self,
        family: &MetricFamily<'_>,
        series: impl Iterator<Item = (&'s str, u64)>,
    ) -> Result<(), prometheus::Error>;
}

/// A metric for the reference page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricDescription {
    /// Name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// Names of labels.
    pub labels: Vec<String>,
    /// Help text.
    pub help: String,
}

/// Descriptions of metrics, also of those without a value.
#[derive(Debug, Default)]
pub struct MetricDescriptions(RefCell<Vec<MetricDescription>>);

impl MetricDescriptions {
    /// Returns the descriptions in the order of registration.
    pub fn into_vec(self) -> Vec<MetricDescription> {
        self.0.into_inner()
    }
}

impl MetricSink for MetricDescriptions {
    fn register(&self, metric: Box<dyn Collector>) -> Result<(), prometheus::Error> {
        for (description, family) in metric.desc().into_iter().zip(metric.collect()) {
            self.0.borrow_mut().push(MetricDescription {
                name: description.fq_name.clone(),
                kind: format!("{:?}", family.get_field_type()).to_lowercase(),
                labels: description.variable_labels.clone(),
                help: description.help.clone(),
            });
        }
        Ok(())
    }

    fn register_series<'s>(
        &self,
        family: &MetricFamily<'_>,
        _series: impl Iterator<Item = (&'s str, u64)>,
    ) -> Result<(), prometheus::Error> {
        self.0.borrow_mut().push(MetricDescription {
            name: family.name.to_owned(),
            kind: family.of_type.as_str().to_owned(),
            labels: family.labels.iter().map(|label| (*label).to_owned()).collect(),
            help: family.help.to_owned(),
        });
        Ok(())
    }
}

/// The options of the metrics port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsOptions {
    /// The address and port; `None`: it is not served.
    pub address: Option<SocketAddr>,
    /// The certificate; `None`: it is served over HTTP, to everyone.
    pub certificate: Option<CertificateSource>,
}

/// The metrics port.
pub struct MetricsPort {
    /// The listener.
    pub listener: TcpListener,
    /// Limits of the HTTP server.
    pub limits: HttpLimits,
}

/// How the metrics port is secured.
pub struct MetricsSecurity<A> {
    /// The TLS configuration, replaced when the certificate is.
    pub tls: watch::Receiver<Option<Arc<ServerConfig>>>,
    /// Who may scrape.
    pub authorizer: A,
}

/// Serves the metrics port until the task is cancelled; without a port it only waits. With `security`, over
/// HTTPS, to clients that the authorizer allows. Health needs no token: it reveals whether a loop is stuck,
/// and the kubelet has none.
pub async fn serve<E: Exporter, A: ScrapeAuthorizer>(
    port: Option<MetricsPort>,
    security: Option<MetricsSecurity<A>>,
    exporter: E,
    watchdog: Watchdog,
) {
    let Some(MetricsPort { listener, limits }) = port else { return std::future::pending().await };
    let pages = exporter.pages();
    let open = Router::new()
        .route("/healthz", get(move || async move { health(&watchdog) }))
        .route("/readyz", get(ready::<E>))
        .with_state(exporter.clone());
    let scraped = Router::new().route("/metrics", get(metrics::<E>)).with_state(exporter).merge(pages);
    let server = HttpServer::new("the metrics port", limits);
    match security {
        None => server.serve(listener, open.merge(scraped)).await,
        Some(MetricsSecurity { tls, authorizer }) => {
            let check = middleware::from_fn_with_state(Arc::new(authorizer), access::check::<A>);
            server.serve_tls(listener, tls, open.merge(scraped.route_layer(check))).await;
        }
    }
}

/// Registers a metric of one value and no labels.
///
/// # Errors
/// When the name is invalid or registered twice.
pub fn register(
    registry: &impl MetricSink,
    name: &str,
    help: &str,
    metric_type: MetricType,
    value: u64,
) -> Result<(), prometheus::Error> {
    match metric_type {
        MetricType::Counter => {
            let counter = IntCounter::new(name, help)?;
            counter.inc_by(value);
            registry.register(Box::new(counter))
        }
        MetricType::Gauge => {
            let gauge = IntGauge::new(name, help)?;
            gauge.set(saturating(value));
            registry.register(Box::new(gauge))
        }
    }
}

/// Returns the value of a gauge, `i64::MAX` where it does not fit.
pub fn saturating(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Fails while a loop is stuck, and names it.
fn health(watchdog: &Watchdog) -> Response {
    let stuck: Vec<String> = watchdog.stuck().iter().map(ToString::to_string).collect();
    if stuck.is_empty() {
        return StatusCode::OK.into_response();
    }
    let stuck = stuck.join("\n");
    tracing::error!("unhealthy: {stuck}");
    (StatusCode::SERVICE_UNAVAILABLE, stuck + "\n").into_response()
}

async fn ready<E: Exporter>(State(exporter): State<E>) -> StatusCode {
    if exporter.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn metrics<E: Exporter>(State(exporter): State<E>, headers: HeaderMap) -> Response {
    let format =
        ExpositionFormat::negotiated(headers.get_all(ACCEPT).iter().filter_map(|it| it.to_str().ok()));
    match exporter.scrape(format).await {
        Ok(exposition) => ([(CONTENT_TYPE, format.content_type())], exposition.into_text()).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
