//! Metrics of the announcement on the local network.

use lb_runtime::metrics::exposition::render_labels;
use lb_runtime::metrics::{MetricFamily, MetricSink, MetricType};
use prometheus::{IntGaugeVec, Opts};

use super::announced_labels;
use MetricType::{Counter, Gauge};
use lb_status::layer2::{AddressStatus, Layer2Status};

/// A metric of each address: its name, its help, its type and its value.
type Metric = (&'static str, &'static str, MetricType, fn(&AddressStatus) -> u64);

const ADDRESS: [Metric; 5] = [
    // Like MetalLB, of those that this node has to answer.
    (
        "metallb_layer2_requests_received",
        "ARP requests and Neighbor Solicitations received for the address, which this node announces",
        Counter,
        |it| it.answered,
    ),
    (
        "metallb_layer2_responses_sent",
        "ARP replies and Neighbor Advertisements sent for the address in response to a request",
        Counter,
        |it| it.answered,
    ),
    (
        "metallb_layer2_gratuitous_sent",
        "Gratuitous ARP packets and unsolicited Neighbor Advertisements sent for the address",
        Counter,
        |it| it.view.announcements,
    ),
    ("fairlead_layer2_takeovers_total", "Times that this node took the address over", Counter, |it| {
        it.view.takeovers
    }),
    ("fairlead_layer2_conflicts", "Hosts outside the cluster that claim the address", Gauge, |it| {
        it.view.strangers.len() as u64
    }),
];

/// What a node can say of itself.
const STANDINGS: [&str; 4] = ["stable", "returned", "ready", "absent"];

/// Registers the metrics of the addresses, and the standing of this node.
pub(super) fn register(registry: &impl MetricSink, status: &Layer2Status) -> Result<(), prometheus::Error> {
    let rendered = |it: &AddressStatus| render_labels([("ip", it.view.address.to_string().as_str())]);
    let labels: Vec<String> = status.addresses.iter().map(rendered).collect();
    for (name, help, of_type, read) in ADDRESS {
        let family = MetricFamily { name, help, of_type, labels: &["ip"] };
        let series = labels.iter().zip(&status.addresses);
        registry.register_series(&family, series.map(|(labels, it)| (labels.as_str(), read(it))))?;
    }
    // One series for each, so that an alert has one before the standing is taken.
    let options = Opts::new("fairlead_layer2_standing", "1 for this node's standing as an announcer");
    let gauges = IntGaugeVec::new(options, &["standing"])?;
    for standing in STANDINGS {
        gauges.with_label_values(&[standing]).set((status.standing == standing).into());
    }
    registry.register(Box::new(gauges))
}

/// Adds the labels of each address of a Service that this node announces.
pub(super) fn announced(series: &mut Vec<String>, status: &Layer2Status) {
    for AddressStatus { view, .. } in status.addresses.iter().filter(|it| it.view.phase == "announcing") {
        let labels = |service: &String| announced_labels(view.address, &status.node, "layer2", service);
        series.extend(view.services.iter().map(labels));
    }
}

#[cfg(test)]
mod tests {
    use lb_speaker::SpeakerView;

    use lb_runtime::metrics::exposition::Exposition;

    use super::super::register_shown;
    use crate::state::AgentState;
    use lb_status::layer2::Layer2Status;
    use lb_status::samples::{address, layer2_status, stranger};

    fn lines(status: &Layer2Status, name: &str) -> Vec<String> {
        let exposition = Exposition::default();
        register_shown(&exposition, &SpeakerView::default(), &AgentState::default(), status).unwrap();
        let text = exposition.into_text();
        let lines = text.lines().filter(|line| line.starts_with(name) && line[name.len()..].starts_with('{'));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn an_address_is_announced_on_layer_2_by_the_node_that_answers() {
        let mut both = address(1, Some("n1"), "announcing");
        both.services.push("shop/dns".into());
        let addresses = vec![
            both,
            address(2, Some("n2"), "standby"),
            address(3, Some("n1"), "off"),
            address(4, None, "off"),
        ];
        let line = |service: &str| {
            format!(
                "metallb_speaker_announced{{ip=\"192.0.2.1\",node=\"n1\",protocol=\"layer2\",service=\"shop/{service}\"}} 1"
            )
        };
        assert_eq!(lines(&layer2_status(addresses), "metallb_speaker_announced"), [line("web"), line("dns")]);
    }

    #[test]
    fn addresses_have_the_names_and_labels_of_metallb() {
        let mut claimed = address(1, Some("n1"), "announcing");
        claimed.strangers.push(stranger(1, 0));
        let status = layer2_status(vec![claimed]);
        for (name, value) in [
            ("metallb_layer2_requests_received", 100),
            ("metallb_layer2_responses_sent", 100),
            ("metallb_layer2_gratuitous_sent", 8),
            ("fairlead_layer2_takeovers_total", 3),
            ("fairlead_layer2_conflicts", 1),
        ] {
            assert_eq!(lines(&status, name), [format!("{name}{{ip=\"192.0.2.1\"}} {value}")]);
        }
    }

    #[test]
    fn the_standing_is_one_of_four_series() {
        let name = "fairlead_layer2_standing";
        let expected = [("absent", 0), ("ready", 0), ("returned", 0), ("stable", 1)];
        let expected = expected.map(|(standing, value)| format!("{name}{{standing=\"{standing}\"}} {value}"));
        assert_eq!(lines(&layer2_status(Vec::new()), name), expected);
        let unknown = lines(&Layer2Status::default(), name);
        assert!(unknown.len() == 4 && unknown.iter().all(|line| line.ends_with(" 0")), "{unknown:?}");
    }
}
