use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts};

use super::super::MetricType;
use super::*;

fn text(format: ExpositionFormat) -> String {
    let exposition = Exposition::new(format);
    let counter = IntCounter::new("a_total", "Counted \\ by \"us\"").unwrap();
    counter.inc_by(3);
    exposition.register(Box::new(counter)).unwrap();
    let odd = IntCounterVec::new(Opts::new("metallb_opens_sent", "Sent"), &["peer"]).unwrap();
    odd.with_label_values(&["a\\b\"c\nd"]).inc();
    exposition.register(Box::new(odd)).unwrap();
    let seconds = HistogramOpts::new("b_seconds", "Times").buckets(vec![0.5, 1.0]);
    let seconds = Histogram::with_opts(seconds).unwrap();
    [0.25, 0.75, 8.0].iter().for_each(|value| seconds.observe(*value));
    exposition.register(Box::new(seconds)).unwrap();
    let family =
        MetricFamily { name: "c_total", help: "Many", of_type: MetricType::Counter, labels: &["ip"] };
    let labels = render_labels([("ip", "192.0.2.1")]);
    exposition.register_series(&family, [(labels.as_str(), u64::MAX)].into_iter()).unwrap();
    exposition.into_text()
}

#[test]
fn the_text_format_is_prometheus_0_0_4() {
    let expected = "\
# HELP a_total Counted \\\\ by \"us\"
# TYPE a_total counter
a_total 3
# HELP metallb_opens_sent Sent
# TYPE metallb_opens_sent counter
metallb_opens_sent{peer=\"a\\\\b\\\"c\\nd\"} 1
# HELP b_seconds Times
# TYPE b_seconds histogram
b_seconds_bucket{le=\"0.5\"} 1
b_seconds_bucket{le=\"1.0\"} 2
b_seconds_bucket{le=\"+Inf\"} 3
b_seconds_sum 9
b_seconds_count 3
# HELP c_total Many
# TYPE c_total counter
c_total{ip=\"192.0.2.1\"} 18446744073709551615
";
    assert_eq!(text(ExpositionFormat::Text), expected);
}

#[test]
fn openmetrics_names_counters_without_total_and_ends_with_eof() {
    let text = text(ExpositionFormat::OpenMetrics);
    for lines in [
        "# HELP a Counted \\\\ by \\\"us\\\"\n# TYPE a counter\na_total 3\n",
        "# TYPE metallb_opens_sent unknown\nmetallb_opens_sent{",
        "# TYPE c counter\nc_total{",
    ] {
        assert!(text.contains(lines), "{lines}\n{text}");
    }
    assert!(text.ends_with("\n# EOF\n"), "{text}");
}

#[test]
fn a_name_is_registered_once() {
    let exposition = Exposition::default();
    let counter = IntCounter::new("a_total", "a").unwrap();
    assert!(exposition.register(Box::new(counter.clone())).is_ok());
    assert!(exposition.register(Box::new(counter)).is_err());
}

#[test]
fn the_format_is_the_one_that_the_client_prefers() {
    use ExpositionFormat::{OpenMetrics, Text};
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                      text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    for (accepted, expected) in [
        (&[][..], Text),
        (&["*/*"], Text),
        (&[prometheus], OpenMetrics),
        (&["application/openmetrics-text"], OpenMetrics),
        (&["application/openmetrics-text; version=\"1.0.0\"; charset=utf-8"], OpenMetrics),
        (&["application/openmetrics-text;version=2.0.0"], Text),
        (&["application/openmetrics-text;q=0.2", "text/plain;q=0.9"], Text),
        (&["application/openmetrics-text;q=0"], Text),
    ] {
        assert_eq!(ExpositionFormat::negotiated(accepted.iter().copied()), expected, "{accepted:?}");
    }
}
