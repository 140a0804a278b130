//! The panels of the dashboard.

use super::PanelKind::{Lines, Stat, Text};
use super::Unit::{BitsPerSecond, Count, PacketsPerSecond, PerSecond, Percent, Seconds, UpDown};
use super::{Panel, PanelKind, PanelRow, Query, Unit};

/// Selects the series of the chosen clusters, jobs and nodes.
const NODES: &str = r#"cluster=~"$cluster",job=~"$job",node=~"$node""#;
/// Selects those of the chosen Services as well.
const SERVICES: &str = r#"cluster=~"$cluster",job=~"$job",node=~"$node",service=~"$service""#;
/// Selects the series of controllers, which may run on other nodes.
const CLUSTER: &str = r#"cluster=~"$cluster",job=~"$job""#;

const REQUESTS: &str = "Fairlead forwards packets and ends no connection, so it cannot know how long a request takes, \
    or how many a connection carries: its throughput is in the panels beside this one, in packets, bits and new \
    flows. Measure the latency of requests where they end: at the ingress controller, the service mesh or the \
    application.";

/// Returns all panels.
#[must_use]
pub fn rows() -> Vec<PanelRow> {
    vec![
        PanelRow { title: "State", panels: state() },
        PanelRow { title: "BGP and BFD", panels: sessions() },
        PanelRow { title: "Failover", panels: failover() },
        PanelRow { title: "Traffic", panels: traffic() },
        PanelRow { title: "Tables", panels: tables() },
        PanelRow { title: "Agents and controllers", panels: agents() },
        PanelRow { title: "Layer 2", panels: layer2() },
    ]
}

fn state() -> Vec<Panel> {
    vec![
        panel(Stat, "Agents that answer", "Agents that Prometheus can scrape.", Count)
            .query(r#"sum(up{component="fairlead-agent",NODES})"#, "answer"),
        panel(Stat, "Nodes that forward", "Nodes that are ready.", Count)
            .query("sum(fairlead_ready{NODES})", "ready"),
        panel(Stat, "BGP sessions down", "Sessions that are not established.", Count)
            .query("count(metallb_bgp_session_up{NODES} == 0) or vector(0)", "down"),
        panel(Stat, "BFD sessions down", "Sessions that are not up.", Count)
            .query("count(metallb_bfd_session_up{NODES} == 0) or vector(0)", "down"),
        panel(Stat, "Failovers", "Nodes that died in the time shown, as most nodes counted.", Count).query(
            "sum(max by (destination) (round(increase(fairlead_failovers_total{NODES}[$__range]))))",
            "nodes",
        ),
        panel(Stat, "Problems", "Problems that `fairlead status` lists.", Count)
            .query("sum(fairlead_problems{NODES})", "problems"),
    ]
}

fn sessions() -> Vec<Panel> {
    vec![
        panel(Lines, "BGP sessions", "1 if established.", UpDown)
            .query("metallb_bgp_session_up{NODES}", "{{node}} {{peer}}"),
        panel(Lines, "BFD sessions", "1 if up.", UpDown)
            .query("metallb_bfd_session_up{NODES}", "{{node}} {{peer}}"),
        panel(Lines, "Advertised prefixes", "Prefixes advertised to each peer.", Count)
            .query("metallb_bgp_announced_prefixes_total{NODES}", "{{node}} {{peer}}"),
        panel(Lines, "UPDATE messages", "Sent: a steady rate means that routes flap.", PerSecond)
            .query("sum by (node) (rate(metallb_bgp_updates_total{NODES}[$__rate_interval]))", "{{node}}"),
        panel(Lines, "Peers that read nothing", "For how long.", Seconds)
            .query("fairlead_bgp_unread_seconds{NODES}", "{{node}} {{peer}}"),
        panel(
            Lines,
            "BFD answered by the program",
            "Packets that the XDP program answered because the agent was silent.",
            PacketsPerSecond,
        )
        .query("sum by (node) (rate(fairlead_bfd_answers_total{NODES}[$__rate_interval]))", "{{node}}"),
    ]
}

fn failover() -> Vec<Panel> {
    vec![
        panel(Lines, "Liveness", "Nodes in each state, as any other node sees them.", Count).query(
            "count by (state) (max by (destination, state) (fairlead_node_liveness{NODES} == 1))",
            "{{state}}",
        ),
        panel(Lines, "Failovers", "Nodes that died, in one interval.", Count).query(
            "max by (destination) (increase(fairlead_failovers_total{NODES}[$__rate_interval]))",
            "{{destination}}",
        ),
        panel(
            Lines,
            "Duration of failovers",
            "From a node's last answer to the moment from which new flows go elsewhere.",
            Seconds,
        )
        .quantiles("fairlead_failover_seconds", &QUANTILES),
        panel(Lines, "Probe round trip", "From a probe to its answer.", Seconds)
            .quantiles("fairlead_liveness_round_trip_seconds", &QUANTILES),
        panel(
            Lines,
            "Announcement latency",
            "From the change of a Service to its routes advertised, or its address announced.",
            Seconds,
        )
        .quantiles("fairlead_announcement_latency_seconds", &QUANTILES),
        panel(Lines, "Forwarded to other nodes", "By destination and forwarding mode.", PacketsPerSecond)
            .query(
                "sum by (destination, mode) (rate(fairlead_forwarded_packets_total{NODES}[$__rate_interval]))",
                "{{destination}} {{mode}}",
            ),
    ]
}

fn traffic() -> Vec<Panel> {
    vec![
        panel(Lines, "Packets", "Packets for each Service. A packet that a node forwards to another counts at both.", PacketsPerSecond)
            .query(
                "sum by (service) (rate(fairlead_vip_packets_total{SERVICES}[$__rate_interval]))",
                "{{service}}",
            ),
        panel(Lines, "Throughput", "Bits of each Service, from clients.", BitsPerSecond).query(
            "8 * sum by (service) (rate(fairlead_vip_bytes_total{SERVICES}[$__rate_interval]))",
            "{{service}}",
        ),
        panel(Lines, "New flows", "Of each Service.", PerSecond).query(
            "sum by (service) (rate(fairlead_vip_new_flows_total{SERVICES}[$__rate_interval]))",
            "{{service}}",
        ),
        panel(Lines, "New flows of each node", "The share that each node gets.", Percent).query(
            "100 * sum by (node) (rate(fairlead_vip_new_flows_total{SERVICES}[$__rate_interval])) / on () \
             group_left () sum(rate(fairlead_vip_new_flows_total{SERVICES}[$__rate_interval]))",
            "{{node}}",
        ),
        panel(Lines, "Dropped packets", "By verdict.", PacketsPerSecond).query(
            r#"sum by (verdict) (rate(fairlead_packets_total{dropped="true",NODES}[$__rate_interval])) > 0"#,
            "{{verdict}}",
        ),
        panel(Lines, "Refused clients", "Packets from outside the source ranges.", PacketsPerSecond).query(
            "sum by (service) (rate(fairlead_vip_source_refused_packets_total{SERVICES}[$__rate_interval]))",
            "{{service}}",
        ),
        panel(Text, "Latency of requests", REQUESTS, Count),
        panel(Lines, "Other verdicts", "Packets that are not dropped, by verdict.", PacketsPerSecond).query(
            r#"sum by (verdict) (rate(fairlead_packets_total{dropped="false",verdict!="not_ours",NODES}[$__rate_interval])) > 0"#,
            "{{verdict}}",
        ),
    ]
}

fn tables() -> Vec<Panel> {
    vec![
        panel(Lines, "Flow table", "Entries by state.", Count)
            .query("sum by (state) (fairlead_flow_table_entries{NODES})", "{{state}}"),
        panel(Lines, "Flow table fill", "Of its capacity.", Percent).query(
            "100 * sum by (node) (fairlead_flow_table_entries{NODES}) / \
             sum by (node) (fairlead_flow_table_capacity{NODES})",
            "{{node}}",
        ),
        panel(Lines, "Evictions", "By the state of the evicted entry; `moved` costs a detour.", PerSecond)
            .query(
                "sum by (state) (rate(fairlead_flow_table_evictions_total{NODES}[$__rate_interval]))",
                "{{state}}",
            ),
        panel(Lines, "Delegated flows", "Flows recorded as another node's.", PerSecond).query(
            "sum by (node) (rate(fairlead_flow_delegations_total{NODES}[$__rate_interval]))",
            "{{node}}",
        ),
        panel(Lines, "Ring balance", "Slots of the fullest node, divided by its share.", Count)
            .query("max by (node) (fairlead_ring_imbalance_ratio{NODES})", "{{node}}"),
        panel(Lines, "Map fill", "Of each map's capacity, on the fullest node.", Percent).query(
            "100 * max by (map) (fairlead_map_entries{NODES} / fairlead_map_capacity{NODES})",
            "{{map}}",
        ),
    ]
}

fn agents() -> Vec<Panel> {
    let slowest = |metric: &str| {
        format!("histogram_quantile(0.99, sum by (le) (rate({metric}_bucket{{NODES}}[$__rate_interval])))")
    };
    vec![
        panel(Lines, "Reconciliation", "99th percentile of a pass, and of its parts.", Seconds)
            .query(&slowest("fairlead_reconcile_seconds"), "pass")
            .query(&slowest("fairlead_ring_update_seconds"), "rings")
            .query(&slowest("fairlead_map_write_seconds"), "map writes"),
        panel(Lines, "API server", "Failed requests, and watches that failed.", PerSecond)
            .query(
                "sum by (component) (rate(fairlead_k8s_request_errors_total{CLUSTER}[$__rate_interval]))",
                "{{component}}: requests",
            )
            .query(
                "sum by (component) (rate(fairlead_k8s_watch_errors_total{CLUSTER}[$__rate_interval]))",
                "{{component}}: watches",
            ),
        panel(Lines, "Addresses in use", "Of each pool.", Percent).query(
            "100 * sum by (pool) (metallb_allocator_addresses_in_use_total{CLUSTER}) / \
             sum by (pool) (metallb_allocator_addresses_total{CLUSTER})",
            "{{pool}}",
        ),
    ]
}

fn layer2() -> Vec<Panel> {
    vec![
        panel(Lines, "Announced addresses", "That each node announces by ARP or NDP.", Count)
            .query(r#"count by (node) (metallb_speaker_announced{protocol="layer2",SERVICES})"#, "{{node}}"),
        panel(Lines, "Takeovers", "Addresses that a node took over, in one interval.", Count).query(
            "sum by (node) (increase(fairlead_layer2_takeovers_total{NODES}[$__rate_interval]))",
            "{{node}}",
        ),
        panel(Lines, "Duplicate addresses", "Hosts outside the cluster that claim an address.", Count)
            .query("max by (ip) (fairlead_layer2_conflicts{NODES})", "{{ip}}"),
    ]
}

/// Quantiles that are drawn, each with its name.
const QUANTILES: [(&str, &str); 3] = [("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99")];

fn panel(kind: PanelKind, title: &'static str, description: &'static str, unit: Unit) -> Panel {
    Panel { title, description, kind, unit, queries: Vec::new() }
}

impl Panel {
    /// Adds a query, with [`NODES`], [`SERVICES`] and [`CLUSTER`] in the place of their names.
    fn query(mut self, expression: &str, legend: &'static str) -> Self {
        let selected = expression.replace("SERVICES", SERVICES).replace("NODES", NODES);
        self.queries.push(Query { expression: selected.replace("CLUSTER", CLUSTER), legend });
        self
    }

    /// Adds a query for each quantile of a histogram over all nodes.
    fn quantiles(self, metric: &str, quantiles: &[(&str, &'static str)]) -> Self {
        quantiles.iter().fold(self, |panel, (quantile, name)| {
            let rate = format!("sum by (le) (rate({metric}_bucket{{NODES}}[$__rate_interval]))");
            panel.query(&format!("histogram_quantile({quantile}, {rate})"), name)
        })
    }
}
