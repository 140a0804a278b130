//! Speakers connected over loopback.

mod adoption;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use lb_bgp::session::{BackOff, BgpState, NextHops, PeerAs, PeerConfig, PeerView, Routes};
use lb_bgp::value::{AddressFamily, Asn, Attributes, HoldTime, RouterId};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::Speaker;
use super::desired::{DesiredPeer, Md5Key, Transport};
use lb_runtime::watchdog::Watchdog;

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const SILENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
/// Everything is local: what takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The connecting side and the listening side.
struct Pair {
    node: Speaker,
    router: Speaker,
    port: u16,
}

impl Pair {
    async fn established(routes: Routes) -> Self {
        let pair = Self {
            node: Speaker::new(0, "node", None, None, &Watchdog::default()).unwrap(),
            router: Speaker::new(0, "router", None, None, &Watchdog::default()).unwrap(),
            port: 0,
        }
        .listeners();
        pair.router.set(
            [("node".into(), DesiredPeer { routes: Some(Arc::default()), ..peer(OURS, 0, 2, 1) })].into(),
        );
        pair.set_routes(routes);
        pair.router_sees(|view| view.state == BgpState::Established).await;
        pair
    }

    fn listeners(self) -> Self {
        let port = port();
        Self { router: Speaker::new(port, "router", None, None, &Watchdog::default()).unwrap(), port, ..self }
    }

    fn set_routes(&self, routes: Routes) {
        let router = DesiredPeer { routes: Some(Arc::new(routes)), ..peer(ROUTER, self.port, 1, 2) };
        self.node.set([("router".into(), router)].into());
    }

    async fn router_sees(&self, condition: impl Fn(&PeerView) -> bool) -> PeerView {
        seen(&self.router, "node", condition).await
    }
}

/// Returns a port for this test: below the ephemeral range, from which a connection could have taken it.
fn port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    const PORTS: u16 = 16;
    let of_process = (std::process::id() % 512) as u16;
    20_000 + of_process * PORTS + TAKEN.fetch_add(1, Ordering::Relaxed) % PORTS
}

async fn seen(speaker: &Speaker, name: &str, condition: impl Fn(&PeerView) -> bool) -> PeerView {
    let look = async {
        loop {
            let view = speaker.view().await;
            let found = view.peers.into_iter().find(|it| it.name == name && condition(&it.view));
            match found {
                Some(found) => return found.view,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    match timeout(PATIENCE, look).await {
        Ok(view) => view,
        Err(_) => panic!("{name}: {:#?}", speaker.view().await),
    }
}

/// Returns a desired peer. `ours` and `theirs` are AS numbers; without a port it only accepts.
fn peer(address: IpAddr, port: u16, ours: u32, theirs: u32) -> DesiredPeer {
    let source = Some(if address == OURS { ROUTER } else { OURS });
    DesiredPeer {
        transport: Transport { address, port, source, device: None, key: None, minimum_ttl: None },
        config: PeerConfig {
            local_asn: Asn::new(ours).unwrap(),
            presented_asn: None,
            remote: PeerAs::Exactly(Asn::new(theirs).unwrap()),
            router_id: RouterId::new(Ipv4Addr::from_bits(ours)).unwrap(),
            hold_time: HoldTime::DEFAULT,
            keepalive: None,
            families: vec![AddressFamily::Ipv4],
            // Routes with a loopback next hop would be rejected as malformed.
            next_hops: NextHops { v4: Some(Ipv4Addr::new(192, 0, 2, 1)), ..NextHops::default() },
            graceful_restart: None,
            restarted: false,
            passive: port == 0,
            host_name: String::new(),
            connect_timeout: Duration::from_secs(10),
            back_off: BackOff { initial: Duration::from_millis(50), max: Duration::from_millis(200) },
        },
        bfd: None,
        multihop: false,
        routes: None,
    }
}

fn routes(count: u8) -> Routes {
    let prefix = |number| IpNet::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, number)), 32).unwrap();
    (0..count).map(|number| (prefix(number), Attributes::default())).collect()
}

#[tokio::test]
async fn a_change_of_routes_is_one_update_in_the_same_session() {
    let pair = Pair::established(routes(3)).await;
    let before = pair.router_sees(|view| view.counters.prefixes.ends_of_rib == 1).await.counters;
    assert_eq!(before.prefixes.accepted, 3);
    pair.set_routes(routes(4));
    let after = pair.router_sees(|view| view.counters.prefixes.accepted == 4).await.counters;
    assert_eq!(after.received.update, before.received.update + 1);
    pair.set_routes(routes(0));
    let last = pair.router_sees(|view| view.counters.prefixes.withdrawn == 4).await.counters;
    assert_eq!((last.received.update, last.established), (after.received.update + 1, 1));
}

#[tokio::test]
async fn a_removed_peer_receives_a_deconfigured_notification() {
    let pair = Pair::established(routes(1)).await;
    pair.node.set([].into());
    let view = pair.router_sees(|view| view.counters.flaps == 1).await;
    let reason = view.last_close.unwrap().reason.to_string();
    assert!(reason.contains("peer deconfigured"), "{reason}");
}

#[tokio::test]
async fn another_transport_is_another_session() {
    let pair = Pair::established(routes(1)).await;
    let key = Md5Key::new(b"secret");
    let signed = |it: DesiredPeer| DesiredPeer {
        transport: Transport { key: key.clone(), ..it.transport.clone() },
        ..it
    };
    pair.router.set([("node".into(), signed(peer(OURS, 0, 2, 1)))].into());
    let router = DesiredPeer { routes: Some(Arc::new(routes(2))), ..peer(ROUTER, pair.port, 1, 2) };
    pair.node.set([("router".into(), signed(router))].into());
    pair.router_sees(|view| view.counters.prefixes.accepted == 2).await;
}

#[tokio::test]
async fn handing_over_sends_graceful_shutdown_before_closing() {
    let pair = Pair::established(routes(2)).await;
    let before = pair.router_sees(|view| view.counters.prefixes.ends_of_rib == 1).await.counters;
    pair.node.hand_over(Duration::from_millis(200)).await;
    let view = pair.router_sees(|view| view.counters.flaps == 1).await;
    assert_eq!(view.counters.prefixes.accepted, before.prefixes.accepted + 2, "the community on both routes");
    let reason = view.last_close.unwrap().reason.to_string();
    assert!(reason.contains("administrative reset"), "{reason}");
}

/// Returns a pair with graceful restart.
async fn graceful() -> Pair {
    let graceful = |it: DesiredPeer| DesiredPeer {
        config: PeerConfig { graceful_restart: Some(8), ..it.config.clone() },
        routes: Some(Arc::new(routes(2))),
        ..it
    };
    let pair = Pair {
        node: Speaker::new(0, "node", None, None, &Watchdog::default()).unwrap(),
        router: Speaker::new(0, "router", None, None, &Watchdog::default()).unwrap(),
        port: 0,
    }
    .listeners();
    pair.router.set([("node".into(), graceful(peer(OURS, 0, 2, 1)))].into());
    pair.node.set([("router".into(), graceful(peer(ROUTER, pair.port, 1, 2)))].into());
    pair
}

#[tokio::test]
async fn handing_over_sends_no_notification_to_a_peer_that_keeps_our_routes() {
    let pair = graceful().await;
    let before = pair.router_sees(|view| view.counters.prefixes.ends_of_rib == 1).await.counters;
    pair.node.hand_over(Duration::from_millis(200)).await;
    let after = pair.router_sees(|view| view.counters.flaps == 1).await.counters;
    assert_eq!(after.received.notification, 0);
    assert_eq!(after.received.update, before.received.update);
}

#[tokio::test]
async fn shutting_down_notifies_a_peer_that_would_keep_our_routes() {
    let pair = graceful().await;
    let before = pair.router_sees(|view| view.counters.prefixes.ends_of_rib == 1).await.counters;
    pair.node.shut_down(Duration::from_millis(200)).await;
    let view = pair.router_sees(|view| view.counters.flaps == 1).await;
    assert_eq!(view.counters.prefixes.accepted, before.prefixes.accepted + 2, "the community on both routes");
    let reason = view.last_close.unwrap().reason.to_string();
    assert!(reason.contains("administrative shutdown") && reason.contains("drained"), "{reason}");
}

#[tokio::test]
async fn a_peer_that_never_reads_blocks_no_other() {
    let silent = TcpListener::bind((SILENT, 0)).await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let pair = Pair::established(routes(0)).await;
    let desired = |count| {
        let of = |address, port| DesiredPeer {
            routes: Some(Arc::new(routes(count))),
            ..peer(address, port, 1, 2)
        };
        [("silent".into(), of(SILENT, port)), ("router".into(), of(ROUTER, pair.port))].into()
    };
    pair.node.set(desired(0));
    let (_held, _) = timeout(PATIENCE, silent.accept()).await.unwrap().unwrap();
    pair.node.set(desired(200));
    pair.router_sees(|view| view.counters.prefixes.accepted == 200).await;
    timeout(PATIENCE, pair.node.hand_over(Duration::ZERO)).await.unwrap();
}

#[tokio::test]
async fn connections_from_unknown_peers_are_closed_and_counted() {
    let pair = Pair::established(routes(0)).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((SILENT, 0).into()).unwrap();
    let mut unknown: TcpStream = socket.connect((ROUTER, pair.port).into()).await.unwrap();
    let outcome = timeout(PATIENCE, unknown.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(outcome, Ok(0) | Err(_)), "{outcome:?}");
    assert_eq!(pair.router.view().await.unknown, 1);
}
