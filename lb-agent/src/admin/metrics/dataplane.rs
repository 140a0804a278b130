//! Metrics of the data plane: what the program counts, the flow table, the nodes and the rings.

use std::collections::BTreeMap;
use std::net::IpAddr;

use aya::maps::MapError;
use lb_common::flows::FlowState;
use lb_common::maps::Traffic;
use lb_common::verdict::{COUNTERS, Outcome};
use lb_dataplane::counters::{Counters, FlowEvents, VerdictCount, VipCount, VipCounts};
use lb_dataplane::mapped_tables::{FlowTable, LivenessCells};
use lb_plan::plan::{NodeState, ServiceState};
use lb_runtime::metrics::exposition::render_labels;
use lb_runtime::metrics::{MetricFamily, MetricSink, MetricType, register, saturating};
use prometheus::{Gauge, IntCounterVec, IntGaugeVec, Opts};

use crate::admin::status::liveness_state;
use crate::state::AgentState;

/// What the data plane has counted, as of now.
#[derive(Clone, Debug, Default)]
pub(super) struct DataPlane {
    outcomes: Vec<VerdictCount>,
    vips: VipCounts,
    nodes: Vec<Traffic>,
    flow_events: FlowEvents,
    /// By the number of the state.
    flows: [u64; 8],
    flow_capacity: usize,
    /// By the indices of the other nodes.
    liveness: BTreeMap<u16, &'static str>,
    /// By address.
    deaths: BTreeMap<IpAddr, u64>,
}

/// What is read for it.
pub(super) struct DataPlaneSources<'a> {
    pub(super) counters: &'a Counters,
    pub(super) flows: &'a FlowTable,
    pub(super) cells: &'a LivenessCells,
    pub(super) deaths: BTreeMap<IpAddr, u64>,
}

impl DataPlane {
    pub(super) fn read(state: &AgentState, sources: DataPlaneSources<'_>) -> Result<Self, MapError> {
        let DataPlaneSources { counters, flows, cells, deaths } = sources;
        let numbers = state.services.iter().flat_map(|service| &service.vips).filter_map(|vip| vip.number);
        let clock = cells.clock();
        let others = state.nodes.iter().filter(|node| !node.is_self && state.liveness_limit != 0);
        let liveness = |node: &NodeState| {
            (node.index, liveness_state(cells.of(node.index), clock, state.liveness_limit))
        };
        Ok(Self {
            outcomes: counters.outcomes()?,
            vips: counters.vips(numbers)?,
            nodes: counters.nodes()?,
            flow_events: counters.flow_events()?,
            flows: flows.by_state(),
            flow_capacity: flows.capacity(),
            liveness: others.map(liveness).collect(),
            deaths,
        })
    }
}

/// A metric of each VIP: its name, its help and its value.
type VipMetric = (&'static str, &'static str, fn(VipCount) -> u64);

const VIPS: [VipMetric; 4] = [
    ("fairlead_vip_packets_total", "Packets received for the VIP, also from other nodes", |it| it.packets),
    ("fairlead_vip_bytes_total", "Bytes of IP packets received for the VIP, also from other nodes", |it| {
        it.bytes
    }),
    ("fairlead_vip_new_flows_total", "Flows to the VIP that began at this node", |it| it.new_flows),
    (
        "fairlead_vip_source_refused_packets_total",
        "Packets for the VIP dropped because their clients are outside the Service's source ranges",
        |it| it.source_refused,
    ),
];

/// The liveness states of a node.
const LIVENESS: [&str; 3] = ["alive", "draining", "dead"];

/// Registers all metrics of the data plane.
pub(super) fn register_all(
    sink: &impl MetricSink,
    state: &AgentState,
    read: &DataPlane,
) -> Result<(), prometheus::Error> {
    vips(sink, &state.services, &read.vips)?;
    verdicts(sink, &read.outcomes)?;
    forwarded(sink, state, &read.nodes)?;
    flow_table(sink, read)?;
    nodes(sink, state, read)?;
    rings(sink, state)?;
    maps(sink, state)?;
    register(
        sink,
        "fairlead_bfd_answers_total",
        "BFD packets of routers that the XDP program answered because the agent was silent",
        MetricType::Counter,
        packets(&read.outcomes, Outcome::BfdAnswered),
    )
}

/// Returns the number of packets with an outcome.
fn packets(counts: &[VerdictCount], outcome: Outcome) -> u64 {
    let rows = COUNTERS.iter().zip(counts);
    rows.filter(|((number, ..), _)| *number == outcome as u32).map(|(_, count)| count.packets).sum()
}

fn vips(
    sink: &impl MetricSink,
    services: &[ServiceState],
    counts: &VipCounts,
) -> Result<(), prometheus::Error> {
    // Rendered once: a scrape of ten thousand Services has as many labels four times.
    let mut series = Vec::new();
    for service in services {
        let name = service.service.to_string();
        for vip in &service.vips {
            let Some(number) = vip.number else { continue };
            let (address, port) = (vip.address.to_string(), vip.port.to_string());
            let protocol = vip.protocol.name();
            let labels =
                [("ip", address.as_str()), ("port", &port), ("protocol", protocol), ("service", &name)];
            series.push((render_labels(labels), counts.of(number)));
        }
    }
    for (name, help, value) in VIPS {
        let labels = &["service", "ip", "port", "protocol"];
        let family = MetricFamily { name, help, of_type: MetricType::Counter, labels };
        sink.register_series(&family, series.iter().map(|(labels, count)| (labels.as_str(), value(*count))))?;
    }
    Ok(())
}

fn verdicts(sink: &impl MetricSink, outcomes: &[VerdictCount]) -> Result<(), prometheus::Error> {
    let packets = counters("fairlead_packets_total", "Packets by verdict", &["verdict", "dropped"])?;
    for VerdictCount { name, dropped, packets: count } in outcomes {
        packets.with_label_values(&[name.as_ref(), if *dropped { "true" } else { "false" }]).inc_by(*count);
    }
    sink.register(Box::new(packets))
}

fn forwarded(
    sink: &impl MetricSink,
    state: &AgentState,
    traffic: &[Traffic],
) -> Result<(), prometheus::Error> {
    let labels = ["destination", "mode"];
    let packets = counters("fairlead_forwarded_packets_total", "Packets forwarded to the node", &labels)?;
    let bytes = counters(
        "fairlead_forwarded_bytes_total",
        "Bytes of IP packets forwarded to the node, without encapsulation",
        &labels,
    )?;
    for node in state.nodes.iter().filter(|node| !node.is_self) {
        let count = traffic.get(usize::from(node.index)).copied().unwrap_or_default();
        let labels = [node.name.as_str(), node.way.as_str()];
        packets.with_label_values(&labels).inc_by(count.packets);
        bytes.with_label_values(&labels).inc_by(count.bytes);
    }
    sink.register(Box::new(packets))?;
    sink.register(Box::new(bytes))
}

fn flow_table(sink: &impl MetricSink, read: &DataPlane) -> Result<(), prometheus::Error> {
    let entries = gauges("fairlead_flow_table_entries", "Entries of the flow table by state", &["state"])?;
    let evictions = counters(
        "fairlead_flow_table_evictions_total",
        "Entries evicted for other flows, by their state; `closed` includes entries that were idle for hours",
        &["state"],
    )?;
    for state in FlowState::ALL {
        let count = read.flows.get(state as usize).copied().unwrap_or_default();
        entries.with_label_values(&[state.as_str()]).set(saturating(count));
        evictions.with_label_values(&[state.as_str()]).inc_by(read.flow_events.evicted(state));
    }
    sink.register(Box::new(entries))?;
    register(
        sink,
        "fairlead_flow_table_capacity",
        "Entries that the flow table has room for",
        MetricType::Gauge,
        read.flow_capacity as u64,
    )?;
    sink.register(Box::new(evictions))?;
    register(
        sink,
        "fairlead_flow_delegations_total",
        "Flows recorded as another node's",
        MetricType::Counter,
        read.flow_events.delegated(),
    )
}

fn nodes(sink: &impl MetricSink, state: &AgentState, read: &DataPlane) -> Result<(), prometheus::Error> {
    let liveness =
        gauges("fairlead_node_liveness", "1 for the liveness state of the node", &["destination", "state"])?;
    let failovers = counters(
        "fairlead_failovers_total",
        "Deaths of the node, as this node has detected them since its agent started",
        &["destination"],
    )?;
    for node in state.nodes.iter().filter(|node| !node.is_self) {
        if let Some(current) = read.liveness.get(&node.index) {
            for state in LIVENESS {
                liveness.with_label_values(&[node.name.as_str(), state]).set((state == *current).into());
            }
        }
        if let Some(deaths) = read.deaths.get(&node.address) {
            failovers.with_label_values(&[node.name.as_str()]).inc_by(*deaths);
        }
    }
    sink.register(Box::new(liveness))?;
    sink.register(Box::new(failovers))
}

fn rings(sink: &impl MetricSink, state: &AgentState) -> Result<(), prometheus::Error> {
    let count = state.rings.count as u64;
    register(sink, "fairlead_rings", "Rings in the maps", MetricType::Gauge, count)?;
    let imbalance = Gauge::new(
        "fairlead_ring_imbalance_ratio",
        "Slots that the fullest node leads to its fair share, in the least balanced ring; 1 if all are balanced",
    )?;
    imbalance.set(state.rings.imbalance);
    sink.register(Box::new(imbalance))
}

fn maps(sink: &impl MetricSink, state: &AgentState) -> Result<(), prometheus::Error> {
    let entries = gauges("fairlead_map_entries", "Entries of the map", &["map"])?;
    let capacities = gauges("fairlead_map_capacity", "Entries that the map has room for", &["map"])?;
    for fill in &state.map_fill {
        entries.with_label_values(&[fill.map]).set(saturating(fill.entries as u64));
        capacities.with_label_values(&[fill.map]).set(saturating(fill.capacity as u64));
    }
    sink.register(Box::new(entries))?;
    sink.register(Box::new(capacities))
}

fn counters(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}
