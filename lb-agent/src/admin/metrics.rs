//! Metrics and health over HTTP, for machines. Sessions have the names that MetalLB's have, so that its
//! dashboards and alerts go on.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::State as Extracted;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use lb_bfd::state::State as BfdState;
use lb_bgp::session::State as BgpState;
use lb_model::NodeName;
use prometheus::{
    GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TEXT_FORMAT, TextEncoder,
};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::state::State;
use lb_dataplane::attach::Mode;
use lb_kube::client::stats;
use lb_runtime::http::health;
use lb_runtime::http::{HttpServer, Limits};
use lb_runtime::watchdog::Watchdog;
use lb_speaker::bfd::BfdViewed;
use lb_speaker::{Speaker, SpeakerView, Viewed};

/// What the answers are made from.
#[derive(Clone)]
pub struct Source {
    /// The loops that must go on.
    pub watchdog: Watchdog,
    /// The agent's state.
    pub state: watch::Receiver<Arc<State>>,
    /// The sessions.
    pub speaker: Speaker,
}

/// What is counted from nothing on, and what goes up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

use Kind::{Counter, Gauge};

/// A metric of each session: its name, what it says, what it is, and how it is read.
type Metric<Session> = (&'static str, &'static str, Kind, fn(&Session) -> u64);

const BGP: [Metric<Viewed>; 13] = [
    ("metallb_bgp_session_up", "Whether the session is established", Gauge, |it| {
        u64::from(it.view.state == BgpState::Established)
    }),
    ("metallb_bgp_announced_prefixes_total", "Prefixes that the peer has been told", Gauge, |it| {
        it.view.families.values().map(|family| family.told as u64).sum()
    }),
    ("metallb_bgp_pending_prefixes_total", "Prefixes that the peer is still to be told", Gauge, |it| {
        it.view.families.values().map(|family| family.pending as u64).sum()
    }),
    ("metallb_bgp_updates_total", "UPDATEs sent", Counter, |it| it.view.counters.sent.update),
    ("metallb_bgp_updates_total_received", "UPDATEs received", Counter, |it| {
        it.view.counters.received.update
    }),
    ("metallb_bgp_opens_sent", "OPENs sent", Counter, |it| it.view.counters.sent.open),
    ("metallb_bgp_opens_received", "OPENs received", Counter, |it| it.view.counters.received.open),
    ("metallb_bgp_notifications_sent", "NOTIFICATIONs sent", Counter, |it| {
        it.view.counters.sent.notification
    }),
    ("metallb_bgp_keepalives_sent", "KEEPALIVEs sent", Counter, |it| it.view.counters.sent.keepalive),
    ("metallb_bgp_keepalives_received", "KEEPALIVEs received", Counter, |it| {
        it.view.counters.received.keepalive
    }),
    ("metallb_bgp_route_refresh_sent", "ROUTE-REFRESHes sent", Counter, |it| {
        it.view.counters.sent.route_refresh
    }),
    ("metallb_bgp_total_sent", "Messages sent", Counter, |it| it.view.counters.sent.total()),
    ("metallb_bgp_total_received", "Messages received", Counter, |it| it.view.counters.received.total()),
];

const BFD: [Metric<BfdViewed>; 8] = [
    ("metallb_bfd_session_up", "Whether the session is up", Gauge, |it| {
        u64::from(it.view.state == BfdState::Up)
    }),
    ("metallb_bfd_control_packet_input", "Control packets received", Counter, |it| it.view.counters.received),
    ("metallb_bfd_control_packet_output", "Control packets sent", Counter, |it| it.view.counters.sent),
    ("metallb_bfd_echo_packet_input", "Echo packets received", Counter, |it| it.view.counters.echo_received),
    ("metallb_bfd_echo_packet_output", "Echo packets sent", Counter, |it| it.view.counters.echo_sent),
    ("metallb_bfd_session_up_events", "Times that the session came up", Counter, |it| {
        it.view.counters.up_events
    }),
    ("metallb_bfd_session_down_events", "Times that the session went down", Counter, |it| {
        it.view.counters.down_events
    }),
    // In FRR these go to its daemon zebra.
    (
        "metallb_bfd_zebra_notifications",
        "Times that BGP was notified of the session's state",
        Counter,
        |it| it.view.counters.up_events.saturating_add(it.view.counters.down_events),
    ),
];

/// A metric of the whole agent: its name, what it says, what it is, and how it is read.
type Single = (&'static str, &'static str, Kind, fn(&SpeakerView, &State) -> u64);

const SINGLE: [Single; 7] = [
    ("fairlead_ready", "Whether this node carries packets", Gauge, |_, state| state.ready.into()),
    (
        "fairlead_bgp_unknown_connections_total",
        "Connections that no peer is configured for, closed",
        Counter,
        |view, _| view.unknown,
    ),
    (
        "fairlead_bfd_unknown_packets_total",
        "BFD control packets received that are of no session",
        Counter,
        |view, _| view.bfd.unknown,
    ),
    ("metallb_k8s_client_updates_total", "Times that the objects were read", Counter, |_, state| {
        state.reading.updates
    }),
    (
        "metallb_k8s_client_update_errors_total",
        "Times that the objects could not be read, or something in them not be done",
        Counter,
        |_, state| state.reading.errors,
    ),
    ("metallb_k8s_client_config_loaded_bool", "Whether the objects have been read", Gauge, |_, state| {
        state.reading.loaded.into()
    }),
    (
        "metallb_k8s_client_config_stale_bool",
        "Whether what is in force is older than what is written, because that is wrong or cannot be read",
        Gauge,
        |_, state| state.reading.stale.into(),
    ),
];

/// What MetalLB calls the VRF of a session without one.
const DEFAULT_VRF: &str = "default";

/// Answers until the task is ended.
pub async fn serve(listener: TcpListener, source: Source, limits: Limits) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .with_state(source);
    HttpServer::new("the metrics port", limits).serve(listener, router).await;
}

async fn healthy(Extracted(source): Extracted<Source>) -> Response {
    health(&source.watchdog)
}

async fn ready(Extracted(source): Extracted<Source>) -> StatusCode {
    if source.state.borrow().ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn metrics(Extracted(source): Extracted<Source>) -> Response {
    let view = source.speaker.view().await;
    let state = Arc::clone(&source.state.borrow());
    match render(&view, &state) {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// All metrics as text. They are made anew each time: so a session that is gone leaves nothing behind.
fn render(view: &SpeakerView, state: &State) -> Result<String, prometheus::Error> {
    let registry = Registry::new();
    let bgp: Vec<_> = view.neighbours.iter().map(|it| (bgp_labels(it), it)).collect();
    let bfd: Vec<_> = view.bfd.sessions.iter().map(|it| (bfd_labels(it), it)).collect();
    BGP.iter().try_for_each(|metric| register(&registry, metric, &bgp))?;
    unread(&registry, view)?;
    down(&registry, view)?;
    BFD.iter().try_for_each(|metric| register(&registry, metric, &bfd))?;
    for (name, help, kind, read) in &SINGLE {
        single(&registry, name, help, *kind, read(view, state))?;
    }
    announced(&registry, view, state)?;
    uplinks(&registry, state)?;
    stats().register(&registry)?;
    TextEncoder::new().encode_to_string(&registry.gather())
}

fn register<Session>(
    registry: &Registry,
    (name, help, kind, read): &Metric<Session>,
    sessions: &[([String; 2], &Session)],
) -> Result<(), prometheus::Error> {
    let options = Opts::new(*name, *help);
    let labels = ["peer", "vrf"];
    match kind {
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
                gauges.with_label_values(values).set(i64::try_from(read(session)).unwrap_or(i64::MAX));
            }
            registry.register(Box::new(gauges))
        }
    }
}

/// How long routers have not read what they are sent. It is told of each, so that an alert finds it.
fn unread(registry: &Registry, view: &SpeakerView) -> Result<(), prometheus::Error> {
    let options =
        Opts::new("fairlead_bgp_unread_seconds", "For how long the peer has read nothing of what it is sent");
    let gauges = GaugeVec::new(options, &["peer", "vrf"])?;
    for viewed in &view.neighbours {
        let unread = viewed.view.unread.map(|unread| view.at.saturating_sub(unread.since));
        gauges.with_label_values(&bgp_labels(viewed)).set(unread.unwrap_or_default().as_secs_f64());
    }
    registry.register(Box::new(gauges))
}

/// The sessions that are not up, and why.
fn down(registry: &Registry, view: &SpeakerView) -> Result<(), prometheus::Error> {
    let options = Opts::new("fairlead_bgp_session_down", "Why the session is not established");
    let gauges = IntGaugeVec::new(options, &["peer", "vrf", "reason"])?;
    for viewed in view.neighbours.iter().filter(|it| it.view.state != BgpState::Established) {
        let [peer, vrf] = bgp_labels(viewed);
        let reason = viewed.view.last_ending.as_ref().map_or("not_tried", |ending| ending.cause.label());
        gauges.with_label_values(&[peer.as_str(), vrf.as_str(), reason]).set(1);
    }
    registry.register(Box::new(gauges))
}

fn single(
    registry: &Registry,
    name: &str,
    help: &str,
    kind: Kind,
    value: u64,
) -> Result<(), prometheus::Error> {
    match kind {
        Counter => {
            let counter = IntCounter::new(name, help)?;
            counter.inc_by(value);
            registry.register(Box::new(counter))
        }
        Gauge => {
            let gauge = IntGauge::new(name, help)?;
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            registry.register(Box::new(gauge))
        }
    }
}

/// The addresses that are advertised to a router, or will be when its session is up: not those of a family that was not
/// negotiated. And those for which this node answers ARP.
fn announced(registry: &Registry, view: &SpeakerView, state: &State) -> Result<(), prometheus::Error> {
    let options = Opts::new("metallb_speaker_announced", "Addresses of Services that this node announces");
    let gauges = IntGaugeVec::new(options, &["service", "protocol", "node", "ip"])?;
    for announced in state.announced.iter() {
        let service = format!("{}/{}", announced.service.namespace, announced.service.name);
        let takes =
            |address: &&IpAddr| announced.peers.iter().any(|peer| view.may_advertise(peer, **address));
        for address in announced.addresses.iter().filter(takes) {
            gauges.with_label_values(&[&service, "bgp", &state.node, &address.to_string()]).set(1);
        }
    }
    for served in &state.services {
        let service = format!("{}/{}", served.service.namespace, served.service.name);
        let is_own = |name: &NodeName| name.as_str() == state.node;
        // An address is there with each port of its Service.
        for vip in served.vips.iter().filter(|vip| vip.announcer.as_ref().is_some_and(is_own)) {
            gauges.with_label_values(&[&service, "layer2", &state.node, &vip.address.to_string()]).set(1);
        }
    }
    registry.register(Box::new(gauges))
}

/// Whether the program runs on each uplink.
fn uplinks(registry: &Registry, state: &State) -> Result<(), prometheus::Error> {
    let options = Opts::new("fairlead_uplink_attached", "Whether the XDP program runs on the uplink");
    let gauges = IntGaugeVec::new(options, &["interface"])?;
    for uplink in &state.interfaces {
        gauges.with_label_values(&[&uplink.interface]).set(i64::from(uplink.mode != Mode::Off));
    }
    registry.register(Box::new(gauges))
}

fn bgp_labels(viewed: &Viewed) -> [String; 2] {
    let transport = &viewed.neighbour.transport;
    [SocketAddr::new(transport.address, transport.port).to_string(), vrf(transport.vrf())]
}

fn bfd_labels(viewed: &BfdViewed) -> [String; 2] {
    [viewed.watched.address.to_string(), vrf(viewed.vrf())]
}

fn vrf(device: Option<&str>) -> String {
    device.unwrap_or(DEFAULT_VRF).to_owned()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use lb_bfd::session::{Config, Discriminator, Hops, Profile, Session};
    use lb_bgp::session::{BackOff, Config as SessionConfig, FamilyView, NextHops, Peer, RemoteAs};
    use lb_bgp::value::{Asn, Family, HoldTime, RouterId};
    use lb_model::{Protocol, ServiceName, TrafficPolicy};
    use lb_plan::plan::{ServiceState, VipState};

    use super::*;
    use lb_kube::reading::Reading;
    use lb_speaker::Announced;
    use lb_speaker::bfd::{BfdView, Watched};
    use lb_speaker::wanted::{Neighbour, Transport};

    fn session(address: Ipv4Addr) -> BfdViewed {
        let profile = Profile::default();
        let config = Config {
            local: Discriminator::MIN,
            hops: Hops::Single,
            profile,
            control_plane_independent: false,
            echo_receive: Duration::ZERO,
        };
        let mut session = Session::new(config, 1, Duration::ZERO);
        session.poll_packet(Duration::from_secs(1));
        let address = address.into();
        let watched = Watched { address, source: None, device: None, hops: Hops::Single, profile };
        BfdViewed { name: "router".into(), watched, view: session.view(), at: Duration::from_secs(1) }
    }

    #[test]
    fn sessions_have_the_names_and_labels_of_metallb() {
        let bfd = BfdView { sessions: vec![session(Ipv4Addr::new(192, 0, 2, 1))], unknown: 5 };
        let text =
            render(&SpeakerView { bfd, unknown: 3, ..SpeakerView::default() }, &State::default()).unwrap();
        let line = "metallb_bfd_control_packet_output{peer=\"192.0.2.1\",vrf=\"default\"} 1";
        assert!(text.lines().any(|it| it == line), "{text}");
        assert!(text.contains("# TYPE metallb_bfd_control_packet_output counter"), "{text}");
        assert!(text.contains("# TYPE metallb_bfd_session_up gauge"), "{text}");
        assert!(text.contains("fairlead_bgp_unknown_connections_total 3"), "{text}");
        assert!(text.contains("fairlead_bfd_unknown_packets_total 5"), "{text}");
    }

    #[test]
    fn what_is_announced_and_whether_the_objects_are_in_force_is_told_as_metallb_tells_it() {
        let service = ServiceName { namespace: "shop".into(), name: "web".into() };
        let addresses = vec![Ipv4Addr::new(192, 0, 2, 1).into()];
        let told = Announced { service, peers: ["tor".into()].into(), addresses, silence: None };
        let reading = Reading { loaded: true, updates: 7, errors: 2, ..Reading::default() };
        let state = State { node: "n1".into(), announced: vec![told].into(), reading, ..State::default() };
        let text = render(&SpeakerView::default(), &state).unwrap();
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
    fn up_with(families: &[Family]) -> Viewed {
        let asn = Asn::new(64_512).unwrap();
        let config = SessionConfig {
            local_asn: asn,
            shown_asn: None,
            remote: RemoteAs::Internal,
            router_id: RouterId::new(Ipv4Addr::LOCALHOST).unwrap(),
            hold_time: HoldTime::DEFAULT,
            keepalive: None,
            families: vec![Family::Ipv4, Family::Ipv6],
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
        let neighbour = Neighbour { transport, config, bfd: None, multihop: false, routes: None };
        Viewed { name: "tor".into(), neighbour, view }
    }

    #[test]
    fn an_address_of_a_family_that_was_not_negotiated_is_not_announced() {
        let service = ServiceName { namespace: "shop".into(), name: "web".into() };
        let addresses = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let told = Announced { service, peers: ["tor".into()].into(), addresses, silence: None };
        let state = State { node: "n1".into(), announced: vec![told].into(), ..State::default() };
        let lines = |viewed: Viewed| {
            let view = SpeakerView { neighbours: vec![viewed], ..SpeakerView::default() };
            let text = render(&view, &state).unwrap();
            let lines = text.lines().filter(|line| line.starts_with("metallb_speaker_announced{"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let of_both = lines(up_with(&[Family::Ipv4, Family::Ipv6]));
        assert_eq!(of_both.len(), 2, "{of_both:?}");
        let of_one = lines(up_with(&[Family::Ipv4]));
        assert!(of_one.len() == 1 && of_one[0].contains("192.0.2.1"), "{of_one:?}");
        let mut down = up_with(&[]);
        down.view.state = BgpState::Active;
        assert_eq!(lines(down), of_both, "as soon as the session is up");
    }

    #[test]
    fn an_address_is_announced_on_layer_2_by_the_node_that_answers_arp() {
        let service = ServiceName { namespace: "shop".into(), name: "web".into() };
        let vip = |last: u8, port: u16, announcer: Option<&str>| VipState {
            address: Ipv4Addr::new(192, 0, 2, last).into(),
            port,
            protocol: Protocol::Tcp,
            number: None,
            ring: None,
            announcer: announcer.map(Into::into),
            source_ranges: None,
        };
        let vips =
            vec![vip(1, 80, Some("n1")), vip(1, 443, Some("n1")), vip(2, 80, Some("n2")), vip(3, 80, None)];
        let service = ServiceState { service, policy: TrafficPolicy::Cluster, affinity: false, vips };
        let state = State { node: "n1".into(), services: vec![service], ..State::default() };
        let text = render(&SpeakerView::default(), &state).unwrap();
        let lines: Vec<_> = text.lines().filter(|it| it.starts_with("metallb_speaker_announced{")).collect();
        assert_eq!(
            lines,
            [
                "metallb_speaker_announced{ip=\"192.0.2.1\",node=\"n1\",protocol=\"layer2\",service=\"shop/web\"} 1"
            ]
        );
    }

    #[test]
    fn two_objects_for_one_address_are_counted_together() {
        let sessions = vec![session(Ipv4Addr::LOCALHOST), session(Ipv4Addr::LOCALHOST)];
        let bfd = BfdView { sessions, unknown: 0 };
        let text = render(&SpeakerView { bfd, ..SpeakerView::default() }, &State::default()).unwrap();
        assert!(
            text.contains("metallb_bfd_control_packet_output{peer=\"127.0.0.1\",vrf=\"default\"} 2"),
            "{text}"
        );
    }
}
