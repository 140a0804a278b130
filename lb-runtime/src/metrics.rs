//! The metrics port: `/metrics`, `/healthz` and `/readyz` over HTTP, and how a single value is registered.
//!
//! A process makes its registry anew for every scrape, so that a session or a pool that is gone leaves no series.

use std::cell::RefCell;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntGauge, Registry, TEXT_FORMAT, TextEncoder};
use tokio::net::TcpListener;

use crate::http::{HttpLimits, HttpServer};
use crate::watchdog::Watchdog;

/// What a process serves on its metrics port.
pub trait Exporter: Clone + Send + Sync + 'static {
    /// Returns whether the process does its work: `/readyz` answers 200 or 503.
    fn is_ready(&self) -> bool;

    /// Returns the current values in a registry of their own.
    ///
    /// # Errors
    /// When a metric's name is invalid or registered twice.
    fn gather(&self) -> impl Future<Output = Result<Registry, prometheus::Error>> + Send;
}

/// The type of a metric: a counter starts at zero and only grows, a gauge goes up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    /// A counter.
    Counter,
    /// A gauge.
    Gauge,
}

/// The place where metrics are registered: a registry, or descriptions of them.
pub trait MetricSink {
    /// Registers a metric.
    ///
    /// # Errors
    /// When its name is invalid or registered twice.
    fn register(&self, metric: Box<dyn Collector>) -> Result<(), prometheus::Error>;
}

impl MetricSink for Registry {
    fn register(&self, metric: Box<dyn Collector>) -> Result<(), prometheus::Error> {
        Self::register(self, metric)
    }
}

/// A metric for the reference page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricDescription {
    /// Name.
    pub name: String,
    /// `counter` or `gauge`.
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
}

/// Serves the metrics port until the task is cancelled; without a listener it only waits.
pub async fn serve<E: Exporter>(
    listener: Option<TcpListener>,
    exporter: E,
    watchdog: Watchdog,
    limits: HttpLimits,
) {
    let Some(listener) = listener else { return std::future::pending().await };
    let router = Router::new()
        .route("/metrics", get(metrics::<E>))
        .route("/healthz", get(move || async move { health(&watchdog) }))
        .route("/readyz", get(ready::<E>))
        .with_state(exporter);
    HttpServer::new("the metrics port", limits).serve(listener, router).await;
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

async fn metrics<E: Exporter>(State(exporter): State<E>) -> Response {
    let gathered = exporter.gather().await;
    let text = gathered.and_then(|registry| TextEncoder::new().encode_to_string(&registry.gather()));
    match text {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
