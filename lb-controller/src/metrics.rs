//! Metrics and health of the controller, by MetalLB's names.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use lb_ipam::Usage;
use lb_model::PoolName;
use prometheus::{IntCounter, IntGauge, IntGaugeVec, Opts, Registry, TEXT_FORMAT, TextEncoder};
use tokio::net::TcpListener;
use tokio::sync::watch;

use lb_kube::client::stats;
use lb_kube::reading::Reading;
use lb_runtime::http::health;
use lb_runtime::http::{self, HttpServer, Limits};
use lb_runtime::watchdog::Watchdog;

/// What is shown of the controller.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    /// Whether every kind has been listed once: from then on it can lead.
    pub(super) ready: bool,
    /// What became of reading the objects.
    pub(super) reading: Reading,
    /// How full the pools are. Only the one that leads says so: two that do would be added up.
    pub(super) usage: BTreeMap<PoolName, Usage>,
}

/// A metric of each pool: its name, what it says, and how it is read.
type Metric = (&'static str, &'static str, fn(&Usage) -> i64);

const POOLS: [Metric; 6] = [
    ("metallb_allocator_addresses_total", "Addresses of the pool", |it| {
        total_v4(it).saturating_add(total_v6(it))
    }),
    ("metallb_allocator_addresses_in_use_total", "Addresses that Services have", |it| {
        it.assigned_ipv4.saturating_add(it.assigned_ipv6)
    }),
    ("metallb_allocator_ipv4_addresses_total", "IPv4 addresses of the pool", total_v4),
    ("metallb_allocator_ipv4_addresses_in_use_total", "IPv4 addresses that Services have", |it| {
        it.assigned_ipv4
    }),
    ("metallb_allocator_ipv6_addresses_total", "IPv6 addresses of the pool", total_v6),
    ("metallb_allocator_ipv6_addresses_in_use_total", "IPv6 addresses that Services have", |it| {
        it.assigned_ipv6
    }),
];

fn total_v4(usage: &Usage) -> i64 {
    usage.assigned_ipv4.saturating_add(usage.available_ipv4)
}

fn total_v6(usage: &Usage) -> i64 {
    usage.assigned_ipv6.saturating_add(usage.available_ipv6)
}

/// Answers until the task is ended; without a listener it only waits.
pub(super) async fn serve(
    listener: Option<TcpListener>,
    shown: watch::Receiver<Shown>,
    watchdog: Watchdog,
    limits: Limits,
) {
    let Some(listener) = listener else { return std::future::pending().await };
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(move || async move { health(&watchdog) }))
        .route("/readyz", get(ready))
        .with_state(shown);
    HttpServer::new("the metrics port", limits).serve(listener, router).await;
}

/// Listens at once, so that an address that is taken is said at the start.
///
/// # Errors
/// When the address or the port is not to be had.
pub(super) fn listen(address: Option<SocketAddr>) -> io::Result<Option<TcpListener>> {
    address.map(http::listen).transpose()
}

async fn ready(State(shown): State<watch::Receiver<Shown>>) -> StatusCode {
    if shown.borrow().ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn metrics(State(shown): State<watch::Receiver<Shown>>) -> Response {
    match render(&shown.borrow()) {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// All metrics as text. They are made anew each time: so a pool that is gone leaves nothing behind.
fn render(shown: &Shown) -> Result<String, prometheus::Error> {
    let registry = Registry::new();
    reading(&registry, &shown.reading)?;
    stats().register(&registry)?;
    for (name, help, read) in POOLS {
        let gauges = IntGaugeVec::new(Opts::new(name, help), &["pool"])?;
        for (pool, usage) in &shown.usage {
            gauges.with_label_values(&[&pool.name]).set(read(usage));
        }
        registry.register(Box::new(gauges))?;
    }
    TextEncoder::new().encode_to_string(&registry.gather())
}

fn reading(registry: &Registry, reading: &Reading) -> Result<(), prometheus::Error> {
    let counters = [
        ("metallb_k8s_client_updates_total", "Times that the objects were read", reading.updates),
        (
            "metallb_k8s_client_update_errors_total",
            "Times that something in the objects could not be done",
            reading.errors,
        ),
    ];
    for (name, help, value) in counters {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value);
        registry.register(Box::new(counter))?;
    }
    let gauges = [
        ("metallb_k8s_client_config_loaded_bool", "Whether the objects have been read", reading.loaded),
        (
            "metallb_k8s_client_config_stale_bool",
            "Whether what is in force is older than what is written, because that is wrong",
            reading.stale,
        ),
    ];
    for (name, help, value) in gauges {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(value.into());
        registry.register(Box::new(gauge))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_have_the_names_and_labels_of_metallb() {
        let pool = PoolName { namespace: "metallb-system".into(), name: "a".into() };
        let usage = Usage { assigned_ipv4: 3, assigned_ipv6: 1, available_ipv4: 5, available_ipv6: i64::MAX };
        let text = render(&Shown { usage: BTreeMap::from([(pool, usage)]), ..Shown::default() }).unwrap();
        for line in [
            "metallb_allocator_addresses_total{pool=\"a\"} 9223372036854776000",
            "metallb_allocator_addresses_in_use_total{pool=\"a\"} 4",
            "metallb_allocator_ipv4_addresses_total{pool=\"a\"} 8",
            "metallb_allocator_ipv4_addresses_in_use_total{pool=\"a\"} 3",
            "metallb_allocator_ipv6_addresses_in_use_total{pool=\"a\"} 1",
            "metallb_k8s_client_config_loaded_bool 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
        }
    }
}
