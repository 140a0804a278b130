//! The page about metrics.

use lb_runtime::metrics::MetricDescription;

use crate::{code, head, table};

pub(crate) fn page() -> Result<String, prometheus::Error> {
    let mut text = head(
        "Metrics",
        "Served at `/metrics` on the metrics port, in the text format of Prometheus. Names with the prefix `metallb_`, and\n\
         their labels, are those of MetalLB.",
    );
    text += "\n## Agent\n\n";
    text += &section(&lb_agent::admin::metrics::descriptions()?);
    text += "\n## Controller\n\n";
    text += &section(&lb_controller::metrics::descriptions()?);
    Ok(text)
}

fn section(metrics: &[MetricDescription]) -> String {
    let row = |metric: &MetricDescription| {
        let labels: Vec<String> = metric.labels.iter().map(|label| code(label)).collect();
        vec![code(&metric.name), metric.kind.clone(), labels.join(", "), format!("{}.", metric.help)]
    };
    table(&["name", "type", "labels", "meaning"], &metrics.iter().map(row).collect::<Vec<_>>())
}
