//! The agent's metrics. Sessions have MetalLB's metric names and labels, so that its dashboards and alerts
//! work.

mod dataplane;
mod layer2;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use lb_bfd::state::BfdState;
use lb_bgp::session::BgpState;
use lb_dataplane::attach::AttachMode;
use lb_dataplane::layer2::Layer2View;
use lb_kube::client::stats;
use lb_runtime::metrics::exposition::{Exposition, ExpositionFormat, render_labels};
use lb_runtime::metrics::{
    Exporter, MetricDescription, MetricDescriptions, MetricFamily, MetricSink, MetricType, saturating,
};
use lb_speaker::bfd::BfdSnapshot;
use lb_speaker::{PeerSnapshot, Speaker, SpeakerView};
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts};
use tokio::sync::{Semaphore, watch};

use self::dataplane::{DataPlane, DataPlaneSources};
use super::ReadMaps;
use super::page::StatusPage;
use super::status::read_layer2;
use crate::measurements::Measurements;
use crate::state::AgentState;
use MetricType::{Counter, Gauge};
use lb_status::layer2::Layer2Status;

/// The agent's metrics, as of now.
#[derive(Clone)]
pub struct AgentExporter {
    /// The agent's state.
    pub state: watch::Receiver<Arc<AgentState>>,
    /// The sessions.
    pub speaker: Speaker,
    /// The announcer's view.
    pub layer2: watch::Receiver<Arc<Layer2View>>,
    /// The maps that are read.
    pub maps: Arc<ReadMaps>,
    /// Scrapes are written one at a time: a large one takes megabytes.
    pub turn: Arc<Semaphore>,
    /// What the agent has measured.
    pub measurements: Measurements,
    /// The status page, if it is served.
    pub page: Option<StatusPage>,
}

impl Exporter for AgentExporter {
    fn is_ready(&self) -> bool {
        self.state.borrow().ready
    }

    fn pages(&self) -> Router {
        self.page.as_ref().map(StatusPage::routes).unwrap_or_default()
    }

    async fn scrape(&self, format: ExpositionFormat) -> Result<Exposition, prometheus::Error> {
        let error = |error: &dyn std::error::Error| prometheus::Error::Msg(error.to_string());
        let _turn = self.turn.acquire().await.map_err(|it| error(&it))?;
        let view = self.speaker.view().await;
        let exporter = self.clone();
        // In a thread of its own: sessions do not wait for it.
        let written = tokio::task::spawn_blocking(move || exporter.write(&view, format));
        written.await.map_err(|it| error(&it))?
    }
}

impl AgentExporter {
    fn write(&self, view: &SpeakerView, format: ExpositionFormat) -> Result<Exposition, prometheus::Error> {
        let state = Arc::clone(&self.state.borrow());
        let layer2_view = Arc::clone(&self.layer2.borrow());
        let error = |error: aya::maps::MapError| {
            prometheus::Error::Msg(format!("cannot read the counters from the kernel: {error}"))
        };
        let ReadMaps { counters, flows, cells } = &*self.maps;
        let deaths = self.measurements.liveness.deaths();
        let sources = DataPlaneSources { counters, flows, cells, deaths };
        let scraped = Scraped {
            view,
            state: &state,
            layer2: &read_layer2(&state.node, &layer2_view, counters).map_err(error)?,
            data_plane: &DataPlane::read(&state, sources).map_err(error)?,
            problems: state.problems.len() + lb_status::layer2::problems(&layer2_view).len(),
            measurements: &self.measurements,
        };
        let exposition = Exposition::new(format);
        register_all(&exposition, &scraped)?;
        Ok(exposition)
    }
}

/// Everything that a scrape shows.
struct Scraped<'a> {
    view: &'a SpeakerView,
    state: &'a AgentState,
    layer2: &'a Layer2Status,
    data_plane: &'a DataPlane,
    problems: usize,
    measurements: &'a Measurements,
}

/// A metric of each session: its name, its help, its type and its value.
type Metric<Session> = (&'static str, &'static str, MetricType, fn(&Session) -> u64);

const BGP: [Metric<PeerSnapshot>; 14] = [
    ("metallb_bgp_session_up", "1 if the BGP session is established", Gauge, |it| {
        u64::from(it.view.state == BgpState::Established)
    }),
    ("metallb_bgp_announced_prefixes_total", "Prefixes advertised to the peer", Gauge, |it| {
        it.view.families.values().map(|family| family.advertised as u64).sum()
    }),
    (
        "metallb_bgp_pending_prefixes_total",
        "Prefixes not yet advertised to or withdrawn from the peer",
        Gauge,
        |it| it.view.families.values().map(|family| family.pending as u64).sum(),
    ),
    ("metallb_bgp_updates_total", "UPDATE messages sent", Counter, |it| it.view.counters.sent.update),
    ("metallb_bgp_updates_total_received", "UPDATE messages received", Counter, |it| {
        it.view.counters.received.update
    }),
    ("metallb_bgp_opens_sent", "OPEN messages sent", Counter, |it| it.view.counters.sent.open),
    ("metallb_bgp_opens_received", "OPEN messages received", Counter, |it| it.view.counters.received.open),
    ("metallb_bgp_notifications_sent", "NOTIFICATION messages sent", Counter, |it| {
        it.view.counters.sent.notification
    }),
    ("metallb_bgp_keepalives_sent", "KEEPALIVE messages sent", Counter, |it| it.view.counters.sent.keepalive),
    ("metallb_bgp_keepalives_received", "KEEPALIVE messages received", Counter, |it| {
        it.view.counters.received.keepalive
    }),
    ("metallb_bgp_route_refresh_sent", "ROUTE-REFRESH messages sent", Counter, |it| {
        it.view.counters.sent.route_refresh
    }),
    ("metallb_bgp_total_sent", "BGP messages sent", Counter, |it| it.view.counters.sent.total()),
    ("metallb_bgp_total_received", "BGP messages received", Counter, |it| it.view.counters.received.total()),
    (
        "fairlead_bgp_sessions_adopted_total",
        "Sessions of a former agent that this one has continued on the same connection",
        Counter,
        |it| it.view.counters.adopted,
    ),
];

const BFD: [Metric<BfdSnapshot>; 8] = [
    ("metallb_bfd_session_up", "1 if the BFD session is up", Gauge, |it| {
        u64::from(it.view.state == BfdState::Up)
    }),
    ("metallb_bfd_control_packet_input", "BFD control packets received", Counter, |it| {
        it.view.counters.received
    }),
    ("metallb_bfd_control_packet_output", "BFD control packets sent", Counter, |it| it.view.counters.sent),
    ("metallb_bfd_echo_packet_input", "BFD echo packets received", Counter, |it| {
        it.view.counters.echo_received
    }),
    ("metallb_bfd_echo_packet_output", "BFD echo packets sent", Counter, |it| it.view.counters.echo_sent),
    ("metallb_bfd_session_up_events", "Transitions of the BFD session to Up", Counter, |it| {
        it.view.counters.up_events
    }),
    ("metallb_bfd_session_down_events", "Transitions of the BFD session from Up to Down", Counter, |it| {
        it.view.counters.down_events
    }),
    // In FRR, bfdd notifies zebra.
    ("metallb_bfd_zebra_notifications", "State changes of the BFD session reported to BGP", Counter, |it| {
        it.view.counters.up_events.saturating_add(it.view.counters.down_events)
    }),
];

/// A metric of the whole agent: its name, its help, its type and its value.
type Single = (&'static str, &'static str, MetricType, fn(&SpeakerView, &AgentState) -> u64);

const SINGLE: [Single; 4] = [
    ("fairlead_ready", "1 if this node forwards packets", Gauge, |_, state| state.ready.into()),
    (
        "fairlead_keeper_connected",
        "1 if a keeper is connected, so that BGP sessions survive the agent",
        Gauge,
        |view, _| view.keeper.as_ref().is_some_and(|keeper| keeper.connected).into(),
    ),
    (
        "fairlead_bgp_unknown_connections_total",
        "BGP connections closed because no peer is configured for their source address",
        Counter,
        |view, _| view.unknown,
    ),
    (
        "fairlead_bfd_unknown_packets_total",
        "BFD control packets received that belong to no session",
        Counter,
        |view, _| view.bfd.unknown,
    ),
];

/// MetalLB's label for a session without a VRF.
const DEFAULT_VRF: &str = "default";

/// Describes all metrics.
///
/// # Errors
/// When a metric's name is invalid.
pub fn descriptions() -> Result<Vec<MetricDescription>, prometheus::Error> {
    let descriptions = MetricDescriptions::default();
    register_shown(&descriptions, &SpeakerView::default(), &AgentState::default(), &Layer2Status::default())?;
    Ok(descriptions.into_vec())
}

/// Registers these states, beside a data plane that has counted nothing.
fn register_shown(
    sink: &impl MetricSink,
    view: &SpeakerView,
    state: &AgentState,
    layer2: &Layer2Status,
) -> Result<(), prometheus::Error> {
    let (data_plane, measurements) = (&DataPlane::default(), &Measurements::new()?);
    register_all(sink, &Scraped { view, state, layer2, data_plane, problems: 0, measurements })
}

fn register_all(sink: &impl MetricSink, scraped: &Scraped<'_>) -> Result<(), prometheus::Error> {
    let Scraped { view, state, layer2, data_plane, problems, measurements } = scraped;
    let bgp: Vec<_> = view.peers.iter().map(|it| (bgp_labels(it), it)).collect();
    let bfd: Vec<_> = view.bfd.sessions.iter().map(|it| (bfd_labels(it), it)).collect();
    BGP.iter().try_for_each(|metric| register(sink, metric, &bgp))?;
    unread(sink, view)?;
    down(sink, view)?;
    BFD.iter().try_for_each(|metric| register(sink, metric, &bfd))?;
    for (name, help, of_type, read) in SINGLE {
        lb_runtime::metrics::register(sink, name, help, of_type, read(view, state))?;
    }
    let help = "Problems that `fairlead status` shows";
    lb_runtime::metrics::register(sink, "fairlead_problems", help, Gauge, *problems as u64)?;
    state.reading.register(sink)?;
    announced(sink, view, state, layer2)?;
    layer2::register(sink, layer2)?;
    uplinks(sink, state)?;
    dataplane::register_all(sink, state, data_plane)?;
    measurements.register(sink)?;
    stats().register(sink)
}

fn register<Session>(
    registry: &impl MetricSink,
    (name, help, of_type, read): &Metric<Session>,
    sessions: &[([String; 2], &Session)],
) -> Result<(), prometheus::Error> {
    let options = Opts::new(*name, *help);
    let labels = ["peer", "vrf"];
    match of_type {
        Counter => {
            let counters = IntCounterVec::new(options, &labels)?;
            for (values, session) in sessions {
                counters.with_label_values(values).inc_by(read(session));
            }
            registry.register(Box::new(counters))
        }
        Gauge => {
            let gauges = IntGaugeVec::new(options, &labels)?;
            for (values, session) in sessions {
                gauges.with_label_values(values).set(saturating(read(session)));
            }
            registry.register(Box::new(gauges))
        }
    }
}

/// Registers for how long each peer has read nothing: zero for most, so that an alert has a series for each.
fn unread(registry: &impl MetricSink, view: &SpeakerView) -> Result<(), prometheus::Error> {
    let options = Opts::new(
        "fairlead_bgp_unread_seconds",
        "Seconds for which the peer has read nothing of what was sent to it",
    );
    let gauges = GaugeVec::new(options, &["peer", "vrf"])?;
    for viewed in &view.peers {
        let unread = viewed.view.send_stall.map(|unread| view.at.saturating_sub(unread.since));
        gauges.with_label_values(&bgp_labels(viewed)).set(unread.unwrap_or_default().as_secs_f64());
    }
    registry.register(Box::new(gauges))
}

/// Registers the reason of each session that is not established.
fn down(registry: &impl MetricSink, view: &SpeakerView) -> Result<(), prometheus::Error> {
    let options =
        Opts::new("fairlead_bgp_session_down", "1 for the reason why the BGP session is not established");
    let gauges = IntGaugeVec::new(options, &["peer", "vrf", "reason"])?;
    for viewed in view.peers.iter().filter(|it| it.view.state != BgpState::Established) {
        let [peer, vrf] = bgp_labels(viewed);
        let reason = viewed.view.last_close.as_ref().map_or("not_tried", |ending| ending.reason.label());
        gauges.with_label_values(&[peer.as_str(), vrf.as_str(), reason]).set(1);
    }
    registry.register(Box::new(gauges))
}

/// Registers the addresses advertised to a peer, now or as soon as its session is established (not those of a
/// family that was not negotiated), and those that this node announces on the local network.
fn announced(
    registry: &impl MetricSink,
    view: &SpeakerView,
    state: &AgentState,
    layer2: &Layer2Status,
) -> Result<(), prometheus::Error> {
    let mut series = Vec::new();
    for announced in state.announced.iter() {
        let service = format!("{}/{}", announced.service.namespace, announced.service.name);
        let takes =
            |address: &&IpAddr| announced.peers.iter().any(|peer| view.may_advertise(peer, **address));
        let addresses = announced.addresses.iter().filter(takes);
        series.extend(addresses.map(|address| announced_labels(*address, &state.node, "bgp", &service)));
    }
    layer2::announced(&mut series, layer2);
    let family = MetricFamily {
        name: "metallb_speaker_announced",
        help: "1 for each address of a Service that this node announces",
        of_type: Gauge,
        labels: &["service", "protocol", "node", "ip"],
    };
    registry.register_series(&family, series.iter().map(|labels| (labels.as_str(), 1)))
}

fn announced_labels(address: IpAddr, node: &str, protocol: &str, service: &str) -> String {
    let address = address.to_string();
    render_labels([("ip", address.as_str()), ("node", node), ("protocol", protocol), ("service", service)])
}

/// Registers whether the program runs on each uplink.
fn uplinks(registry: &impl MetricSink, state: &AgentState) -> Result<(), prometheus::Error> {
    let options = Opts::new("fairlead_uplink_attached", "1 if the XDP program runs on the uplink");
    let gauges = IntGaugeVec::new(options, &["interface"])?;
    for uplink in &state.interfaces {
        gauges.with_label_values(&[&uplink.interface]).set(i64::from(uplink.mode != AttachMode::Off));
    }
    registry.register(Box::new(gauges))
}

fn bgp_labels(viewed: &PeerSnapshot) -> [String; 2] {
    let transport = &viewed.desired.transport;
    [SocketAddr::new(transport.address, transport.port).to_string(), vrf(transport.vrf())]
}

fn bfd_labels(viewed: &BfdSnapshot) -> [String; 2] {
    [viewed.target.address.to_string(), vrf(viewed.vrf())]
}

fn vrf(device: Option<&str>) -> String {
    device.unwrap_or(DEFAULT_VRF).to_owned()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use lb_bfd::session::{Discriminator, Hops, Session, SessionConfig, SessionProfile};
    use lb_bgp::session::{BackOff, FamilyView, NextHops, Peer, PeerAs, PeerConfig};
    use lb_bgp::value::{AddressFamily, Asn, HoldTime, RouterId};
    use lb_model::ServiceName;

    use super::*;
    use lb_kube::reading::Reading;
    use lb_speaker::ServiceRoutes;
    use lb_speaker::bfd::{BfdTarget, BfdView};
    use lb_speaker::desired::{DesiredPeer, Transport};

    fn text_of(view: &SpeakerView, state: &AgentState) -> Result<String, prometheus::Error> {
        let exposition = Exposition::default();
        register_shown(&exposition, view, state, &Layer2Status::default())?;
        Ok(exposition.into_text())
    }

    fn session(address: Ipv4Addr) -> BfdSnapshot {
        let profile = SessionProfile::default();
        let config = SessionConfig {
            local: Discriminator::MIN,
            hops: Hops::Single,
            profile,
            control_plane_independent: false,
            echo_receive: Duration::ZERO,
        };
        let mut session = Session::new(config, 1, Duration::ZERO);
        session.poll_packet(Duration::from_secs(1));
        let address = address.into();
        let target = BfdTarget { address, source: None, device: None, hops: Hops::Single, profile };
        BfdSnapshot {
            name: "router".into(),
            target,
            view: session.view(),
            is_kept: false,
            at: Duration::from_secs(1),
        }
    }

    #[test]
    fn sessions_have_the_names_and_labels_of_metallb() {
        let bfd = BfdView { sessions: vec![session(Ipv4Addr::new(192, 0, 2, 1))], unknown: 5 };
        let text =
            text_of(&SpeakerView { bfd, unknown: 3, ..SpeakerView::default() }, &AgentState::default())
                .unwrap();
        let line = "metallb_bfd_control_packet_output{peer=\"192.0.2.1\",vrf=\"default\"} 1";
        assert!(text.lines().any(|it| it == line), "{text}");
        assert!(text.contains("# TYPE metallb_bfd_control_packet_output counter"), "{text}");
        assert!(text.contains("# TYPE metallb_bfd_session_up gauge"), "{text}");
        assert!(text.contains("fairlead_bgp_unknown_connections_total 3"), "{text}");
        assert!(text.contains("fairlead_bfd_unknown_packets_total 5"), "{text}");
    }

    #[test]
    fn announced_addresses_and_the_state_of_the_configuration_have_metallbs_names() {
        let service = ServiceName { namespace: "shop".into(), name: "web".into() };
        let addresses = vec![Ipv4Addr::new(192, 0, 2, 1).into()];
        let announced = ServiceRoutes { service, peers: ["tor".into()].into(), addresses, silence: None };
        let reading = Reading { loaded: true, updates: 7, errors: 2, ..Reading::default() };
        let state = AgentState {
            node: "n1".into(),
            announced: vec![announced].into(),
            reading,
            ..AgentState::default()
        };
        let text = text_of(&SpeakerView::default(), &state).unwrap();
        for line in [
            "metallb_speaker_announced{ip=\"192.0.2.1\",node=\"n1\",protocol=\"bgp\",service=\"shop/web\"} 1",
            "# TYPE metallb_k8s_client_updates_total counter",
            "metallb_k8s_client_updates_total 7",
            "metallb_k8s_client_update_errors_total 2",
            "metallb_k8s_client_config_loaded_bool 1",
            "metallb_k8s_client_config_stale_bool 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}: {text}");
        }
    }

    /// A peer of two families whose session is up with these.
    fn up_with(families: &[AddressFamily]) -> PeerSnapshot {
        let asn = Asn::new(64_512).unwrap();
        let config = PeerConfig {
            local_asn: asn,
            presented_asn: None,
            remote: PeerAs::Internal,
            router_id: RouterId::new(Ipv4Addr::LOCALHOST).unwrap(),
            hold_time: HoldTime::DEFAULT,
            keepalive: None,
            families: vec![AddressFamily::Ipv4, AddressFamily::Ipv6],
            next_hops: NextHops::default(),
            graceful_restart: None,
            restarted: false,
            passive: false,
            host_name: String::new(),
            connect_timeout: Duration::from_secs(1),
            back_off: BackOff::DEFAULT,
        };
        let mut view = Peer::new(config.clone(), 1, Duration::ZERO).view(Duration::ZERO);
        view.state = BgpState::Established;
        view.families = families.iter().map(|family| (*family, FamilyView::default())).collect();
        let address = Ipv4Addr::LOCALHOST.into();
        let transport =
            Transport { address, port: 179, source: None, device: None, key: None, minimum_ttl: None };
        let desired = DesiredPeer { transport, config, bfd: None, multihop: false, routes: None };
        PeerSnapshot { name: "tor".into(), desired, view }
    }

    #[test]
    fn an_address_of_a_family_that_was_not_negotiated_is_not_announced() {
        let service = ServiceName { namespace: "shop".into(), name: "web".into() };
        let addresses = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let announced = ServiceRoutes { service, peers: ["tor".into()].into(), addresses, silence: None };
        let state =
            AgentState { node: "n1".into(), announced: vec![announced].into(), ..AgentState::default() };
        let lines = |viewed: PeerSnapshot| {
            let view = SpeakerView { peers: vec![viewed], ..SpeakerView::default() };
            let text = text_of(&view, &state).unwrap();
            let lines = text.lines().filter(|line| line.starts_with("metallb_speaker_announced{"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let of_both = lines(up_with(&[AddressFamily::Ipv4, AddressFamily::Ipv6]));
        assert_eq!(of_both.len(), 2, "{of_both:?}");
        let of_one = lines(up_with(&[AddressFamily::Ipv4]));
        assert!(of_one.len() == 1 && of_one[0].contains("192.0.2.1"), "{of_one:?}");
        let mut down = up_with(&[]);
        down.view.state = BgpState::Active;
        assert_eq!(lines(down), of_both, "as soon as the session is up");
    }

    #[test]
    fn two_objects_for_one_address_are_counted_together() {
        let sessions = vec![session(Ipv4Addr::LOCALHOST), session(Ipv4Addr::LOCALHOST)];
        let bfd = BfdView { sessions, unknown: 0 };
        let text = text_of(&SpeakerView { bfd, ..SpeakerView::default() }, &AgentState::default()).unwrap();
        assert!(
            text.contains("metallb_bfd_control_packet_output{peer=\"127.0.0.1\",vrf=\"default\"} 2"),
            "{text}"
        );
    }
}
