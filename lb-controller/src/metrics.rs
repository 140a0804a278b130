//! Metrics and health of the controller, by MetalLB's names.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use lb_ipam::Usage;
use lb_kube::client::stats;
use lb_kube::reading::Reading;
use lb_model::PoolName;
use lb_runtime::http::{self, HttpLimits};
use lb_runtime::metrics::exposition::{Exposition, ExpositionFormat};
use lb_runtime::metrics::{Exporter, MetricDescription, MetricDescriptions, MetricSink, MetricsPort};
use prometheus::{IntGaugeVec, Opts};
use tokio::sync::watch;

/// The controller's state, as its metrics show it.
#[derive(Clone, Debug, Default)]
pub(super) struct ControllerView {
    /// Whether every kind has been listed once: from then on it can lead.
    pub(super) ready: bool,
    /// The state of reading the objects.
    pub(super) reading: Reading,
    /// Usage of the pools. Only the leader exports it: sums over controllers would count it twice.
    pub(super) usage: BTreeMap<PoolName, Usage>,
}

/// A metric of each pool: its name, its help and its value.
type Metric = (&'static str, &'static str, fn(&Usage) -> i64);

const POOLS: [Metric; 6] = [
    ("metallb_allocator_addresses_total", "Addresses of the pool", |it| {
        total_v4(it).saturating_add(total_v6(it))
    }),
    ("metallb_allocator_addresses_in_use_total", "Addresses assigned to Services", |it| {
        it.assigned_ipv4.saturating_add(it.assigned_ipv6)
    }),
    ("metallb_allocator_ipv4_addresses_total", "IPv4 addresses of the pool", total_v4),
    ("metallb_allocator_ipv4_addresses_in_use_total", "IPv4 addresses assigned to Services", |it| {
        it.assigned_ipv4
    }),
    ("metallb_allocator_ipv6_addresses_total", "IPv6 addresses of the pool", total_v6),
    ("metallb_allocator_ipv6_addresses_in_use_total", "IPv6 addresses assigned to Services", |it| {
        it.assigned_ipv6
    }),
];

fn total_v4(usage: &Usage) -> i64 {
    usage.assigned_ipv4.saturating_add(usage.available_ipv4)
}

fn total_v6(usage: &Usage) -> i64 {
    usage.assigned_ipv6.saturating_add(usage.available_ipv6)
}

/// Binds the metrics port, at the start of the process, so that an address in use is an error then.
///
/// # Errors
/// When the address is not local or the port is in use.
pub(super) fn listen(address: Option<SocketAddr>, limits: HttpLimits) -> io::Result<Option<MetricsPort>> {
    let Some(address) = address else { return Ok(None) };
    Ok(Some(MetricsPort { listener: http::listen(address)?, limits }))
}

/// The controller's metrics, as of the last pass.
#[derive(Clone)]
pub(super) struct ControllerExporter(pub(super) watch::Receiver<ControllerView>);

impl Exporter for ControllerExporter {
    fn is_ready(&self) -> bool {
        self.0.borrow().ready
    }

    async fn scrape(&self, format: ExpositionFormat) -> Result<Exposition, prometheus::Error> {
        written(&self.0.borrow(), format)
    }
}

/// Describes all metrics.
///
/// # Errors
/// When a metric's name is invalid.
pub fn descriptions() -> Result<Vec<MetricDescription>, prometheus::Error> {
    let descriptions = MetricDescriptions::default();
    register_all(&descriptions, &ControllerView::default())?;
    Ok(descriptions.into_vec())
}

fn written(view: &ControllerView, format: ExpositionFormat) -> Result<Exposition, prometheus::Error> {
    let exposition = Exposition::new(format);
    register_all(&exposition, view)?;
    Ok(exposition)
}

fn register_all(registry: &impl MetricSink, view: &ControllerView) -> Result<(), prometheus::Error> {
    view.reading.register(registry)?;
    stats().register(registry)?;
    for (name, help, read) in POOLS {
        let gauges = IntGaugeVec::new(Opts::new(name, help), &["pool"])?;
        for (pool, usage) in &view.usage {
            gauges.with_label_values(&[&pool.name]).set(read(usage));
        }
        registry.register(Box::new(gauges))?;
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
        let view = ControllerView { usage: BTreeMap::from([(pool, usage)]), ..ControllerView::default() };
        let text = written(&view, ExpositionFormat::Text).unwrap().into_text();
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
