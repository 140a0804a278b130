//! The text of a scrape: Prometheus's text format, or OpenMetrics 1.0.
//!
//! The encoder of the `prometheus` crate writes one of them only, and a metric with tens of thousands of
//! series costs it an allocation for each label of each series. So values are written here, at once.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use prometheus::core::Collector;
use prometheus::proto;

use super::{MetricFamily, MetricSink};

/// The format of a scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpositionFormat {
    /// Prometheus's text format 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl ExpositionFormat {
    /// Returns the format that `Accept` headers prefer.
    pub fn negotiated<'a>(accepted: impl Iterator<Item = &'a str>) -> Self {
        let [mut text, mut open] = [0.0f32; 2];
        for range in accepted.flat_map(|header| header.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut is_known) = (1.0f32, true);
            for parameter in parts {
                match parameter.split_once('=') {
                    Some(("q", value)) => quality = value.parse().unwrap_or(0.0),
                    Some(("version", version)) if media == "application/openmetrics-text" => {
                        is_known = version.trim_matches('"') == "1.0.0";
                    }
                    _ => {}
                }
            }
            match media.as_str() {
                "application/openmetrics-text" if is_known => open = quality.max(open),
                "text/plain" | "text/*" => text = quality.max(text),
                _ => {}
            }
        }
        if open > text { Self::OpenMetrics } else { Self::Text }
    }

    /// Returns the value of `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus::TEXT_FORMAT,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The text of a scrape, as metrics are registered.
#[derive(Debug, Default)]
pub struct Exposition {
    format: ExpositionFormat,
    text: RefCell<String>,
    names: RefCell<BTreeSet<String>>,
}

impl Exposition {
    /// Returns an empty text.
    pub fn new(format: ExpositionFormat) -> Self {
        Self { format, ..Self::default() }
    }

    /// Returns the whole text.
    pub fn into_text(self) -> String {
        let mut text = self.text.into_inner();
        if self.format == ExpositionFormat::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }

    /// Writes the lines that describe a metric.
    fn describe(&self, name: &str, help: &str, of_type: &str) -> Result<(), prometheus::Error> {
        if !self.names.borrow_mut().insert(name.to_owned()) {
            return Err(prometheus::Error::AlreadyReg);
        }
        let (mut family, mut of_type) = (name, of_type);
        if self.format == ExpositionFormat::OpenMetrics && of_type == "counter" {
            // There the samples of a counter end in `_total`, which its name does not. Names of MetalLB that
            // do not end so stay as they are, and their type is not stated.
            match name.strip_suffix("_total") {
                Some(stripped) => family = stripped,
                None => of_type = "unknown",
            }
        }
        let mut text = self.text.borrow_mut();
        text.extend(["# HELP ", family, " "]);
        // OpenMetrics escapes quotes, too; no help text has any.
        escape(&mut text, help, self.format == ExpositionFormat::OpenMetrics);
        text.extend(["\n# TYPE ", family, " ", of_type, "\n"]);
        Ok(())
    }

    fn write_family(&self, family: &proto::MetricFamily) -> Result<(), prometheus::Error> {
        use proto::MetricType;
        let (of_type, name) = (family.get_field_type(), family.name());
        self.describe(name, family.help(), &format!("{of_type:?}").to_lowercase())?;
        let text = &mut *self.text.borrow_mut();
        let mut metrics: Vec<_> = family.get_metric().iter().collect();
        metrics.sort_by(|a, b| {
            a.get_label()
                .iter()
                .map(proto::LabelPair::value)
                .cmp(b.get_label().iter().map(proto::LabelPair::value))
        });
        for metric in metrics {
            let labels = metric.get_label();
            match of_type {
                MetricType::COUNTER => {
                    sample(text, [name, ""], labels, None, metric.get_counter().get_value())
                }
                MetricType::GAUGE => sample(text, [name, ""], labels, None, metric.get_gauge().get_value()),
                MetricType::HISTOGRAM => histogram(text, name, labels, metric.get_histogram()),
                MetricType::SUMMARY | MetricType::UNTYPED => {
                    return Err(prometheus::Error::Msg(format!("{name} is of a type that is not exported")));
                }
            }
        }
        Ok(())
    }
}

impl MetricSink for Exposition {
    fn register(&self, metric: Box<dyn Collector>) -> Result<(), prometheus::Error> {
        metric.collect().iter().try_for_each(|family| self.write_family(family))
    }

    fn register_series<'s>(
        &self,
        family: &MetricFamily<'_>,
        series: impl Iterator<Item = (&'s str, u64)>,
    ) -> Result<(), prometheus::Error> {
        self.describe(family.name, family.help, family.of_type.as_str())?;
        let text = &mut *self.text.borrow_mut();
        for (labels, value) in series {
            text.extend([family.name, labels, " "]);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{value}");
        }
        Ok(())
    }
}

fn histogram(text: &mut String, name: &str, labels: &[proto::LabelPair], histogram: &proto::Histogram) {
    for bucket in histogram.get_bucket() {
        let bound = bound(bucket.upper_bound());
        sample(text, [name, "_bucket"], labels, Some(&bound), bucket.cumulative_count() as f64);
    }
    let count = histogram.get_sample_count() as f64;
    if histogram.get_bucket().last().is_none_or(|bucket| bucket.upper_bound().is_finite()) {
        sample(text, [name, "_bucket"], labels, Some("+Inf"), count);
    }
    sample(text, [name, "_sum"], labels, None, histogram.get_sample_sum());
    sample(text, [name, "_count"], labels, None, count);
}

/// Returns the bound of a bucket as OpenMetrics writes it, so that its label is the same in both formats.
fn bound(value: f64) -> String {
    if value.is_infinite() { "+Inf".to_owned() } else { format!("{value:?}") }
}

fn sample(text: &mut String, name: [&str; 2], labels: &[proto::LabelPair], bound: Option<&str>, value: f64) {
    text.extend(name);
    let pairs = labels.iter().map(|label| (label.name(), label.value()));
    write_labels(text, pairs.chain(bound.map(|bound| ("le", bound))));
    text.push(' ');
    // Writing to a string cannot fail.
    let _ = match value {
        value if value == f64::INFINITY => writeln!(text, "+Inf"),
        value if value == f64::NEG_INFINITY => writeln!(text, "-Inf"),
        value => writeln!(text, "{value}"),
    };
}

/// Returns labels as [`MetricSink::register_series`] takes them.
pub fn render_labels<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    write_labels(&mut text, pairs.into_iter());
    text
}

fn write_labels<'a>(text: &mut String, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut before = "{";
    for (name, value) in pairs {
        text.extend([before, name, "=\""]);
        escape(text, value, true);
        text.push('"');
        before = ",";
    }
    if before == "," {
        text.push('}');
    }
}

fn escape(text: &mut String, value: &str, with_quotes: bool) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if with_quotes => text.push_str("\\\""),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests;
