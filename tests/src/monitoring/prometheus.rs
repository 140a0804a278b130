//! Debian's Prometheus in a host of the lab, and its HTTP API.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::lab::{LabHost, Process};
use crate::routers::wait;

const LISTEN: &str = "127.0.0.1:9090";
const READY_WITHIN: Duration = Duration::from_secs(20);

/// A target, with the labels that the chart's monitors set.
#[derive(Clone, Debug)]
pub struct ScrapeTarget {
    /// Where it serves metrics.
    pub address: SocketAddr,
    /// The label `component`.
    pub component: &'static str,
    /// The label `node`.
    pub node: String,
    /// The label `pod`.
    pub pod: String,
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// Its other labels.
    pub labels: BTreeMap<String, String>,
}

impl Alert {
    fn new(mut labels: BTreeMap<String, String>) -> Option<Self> {
        Some(Self { name: labels.remove("alertname")?, labels })
    }

    /// Returns whether one of its labels has this value.
    #[must_use]
    pub fn is_about(&self, object: &str) -> bool {
        self.labels.values().any(|value| value == object)
    }
}

/// A line of a result: its labels, and its values by time in seconds since 1970.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its points, in the order of time.
    pub points: Vec<(f64, f64)>,
}

/// Prometheus, which scrapes and evaluates once a second; killed on drop.
#[derive(Debug)]
pub struct PrometheusServer {
    host: LabHost,
    _process: Process,
}

impl PrometheusServer {
    /// Starts it in a host that reaches all targets, and waits until it has scraped each.
    ///
    /// # Errors
    /// When it is not installed, or a target does not answer in time.
    pub fn start(host: &LabHost, targets: &[ScrapeTarget], rules: &Value) -> Result<Self> {
        let directory = host.directory();
        fs::write(host.directory_outside().join("rules.json"), rules.to_string())?;
        fs::write(host.directory_outside().join("prometheus.json"), config(targets).to_string())?;
        let command = host.command("prometheus").arg("--config.file").arg(directory.join("prometheus.json"));
        let command = command.arg("--storage.tsdb.path").arg(directory.join("prometheus"));
        let command = command.args(["--web.listen-address", LISTEN, "--log.level", "warn"]);
        let process = command.spawn(&host.directory_outside().join("prometheus.log"))?;
        let server = Self { host: host.clone(), _process: process };
        wait(READY_WITHIN, || {
            let up = server.query("sum(up)")?;
            let up = up.first().and_then(|series| series.points.first()).map(|(_, value)| *value);
            ensure!(up == Some(targets.len() as f64), "{up:?} of {} targets are up", targets.len());
            Ok(())
        })?;
        Ok(server)
    }

    /// Returns the present result of an expression.
    ///
    /// # Errors
    /// When it is invalid, or the server does not answer.
    pub fn query(&self, expression: &str) -> Result<Vec<Series>> {
        series(&self.get("query", &[("query", expression)])?)
    }

    /// Returns the results of an expression from `start` to `end`, in seconds since 1970, a second apart.
    ///
    /// # Errors
    /// When it is invalid, or the server does not answer.
    pub fn query_range(&self, expression: &str, start: f64, end: f64) -> Result<Vec<Series>> {
        let (start, end) = (start.to_string(), end.to_string());
        let parameters = [("query", expression), ("start", &*start), ("end", &*end), ("step", "1")];
        series(&self.get("query_range", &parameters)?)
    }

    /// Returns the alerts that fire.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn firing(&self) -> Result<Vec<Alert>> {
        let answer = self.get("alerts", &[])?;
        let alerts = answer["alerts"].as_array().context("no alerts")?;
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        Ok(firing.filter_map(|alert| Alert::new(labels(&alert["labels"]))).collect())
    }

    /// Returns the alerts that have fired within the last `within`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn fired(&self, within: Duration) -> Result<BTreeSet<Alert>> {
        let range = within.as_secs().max(1);
        let found = self.query(&format!(r#"max_over_time(ALERTS{{alertstate="firing"}}[{range}s])"#))?;
        Ok(found.into_iter().filter_map(|series| Alert::new(series.labels)).collect())
    }

    /// Returns the names of all metrics that were scraped.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn metric_names(&self) -> Result<BTreeSet<String>> {
        let answer = self.get("label/__name__/values", &[])?;
        let names = answer.as_array().context("no names")?;
        Ok(names.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect())
    }

    fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let mut command = self.host.command("curl").args(["--silent", "--show-error", "--get"]);
        for (name, value) in parameters {
            command = command.args(["--data-urlencode", &format!("{name}={value}")]);
        }
        let text = command.arg(format!("http://{LISTEN}/api/v1/{path}")).text()?;
        let mut answer: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        if answer["status"] != "success" {
            bail!("{path} {parameters:?}: {text}");
        }
        Ok(answer["data"].take())
    }
}

/// Returns the configuration, as JSON, which is YAML.
fn config(targets: &[ScrapeTarget]) -> Value {
    let targets: Vec<Value> = targets
        .iter()
        .map(|target| {
            let labels = json!({"component": target.component, "node": target.node, "pod": target.pod});
            json!({"targets": [target.address.to_string()], "labels": labels})
        })
        .collect();
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.json"],
        "scrape_configs": [{"job_name": "fairlead", "honor_labels": true, "static_configs": targets}],
    })
}

fn series(answer: &Value) -> Result<Vec<Series>> {
    let results = answer["result"].as_array().context("no result")?;
    results
        .iter()
        .map(|result| {
            let points = match result["values"].as_array() {
                Some(points) => points.iter().map(point).collect::<Result<_>>()?,
                None => vec![point(&result["value"])?],
            };
            Ok(Series { labels: labels(&result["metric"]), points })
        })
        .collect()
}

/// Parses a time and a value, which is a text because of NaN.
fn point(point: &Value) -> Result<(f64, f64)> {
    let at = point[0].as_f64().context("no time")?;
    Ok((at, point[1].as_str().context("no value")?.parse()?))
}

fn labels(labels: &Value) -> BTreeMap<String, String> {
    let labels = labels.as_object().into_iter().flatten();
    labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}
