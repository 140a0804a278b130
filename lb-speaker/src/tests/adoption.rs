//! Sessions that survive the speaker, in a keeper that runs as a thread.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread::JoinHandle;

use lb_bgp::codec::{self, Decoding, Encoding};
use lb_bgp::message::{Capabilities, Message, Open};
use lb_bgp::value::StandardCommunity;
use lb_keeper::process::{self, KeeperError, KeeperOptions};
use lb_keeper::{ClientOptions, KeeperClient};
use tokio::runtime::Runtime;

use super::*;

/// A keeper, and the node's speaker in a runtime of its own, which can be killed.
struct Node {
    runtime: Option<Runtime>,
    speaker: Speaker,
}

struct Keeper {
    socket: PathBuf,
    /// Its end stops the keeper.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<Result<(), KeeperError>>>,
}

impl Keeper {
    fn start() -> Self {
        static NUMBER: AtomicU16 = AtomicU16::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let socket = std::env::temp_dir().join(format!("lb-speaker-{}-{number}", std::process::id()));
        let options = KeeperOptions {
            socket: socket.clone(),
            bound: PATIENCE,
            exit_when_idle: false,
            release: "test".to_owned(),
        };
        let (stopped, stop) = nix::unistd::pipe().unwrap();
        let thread = std::thread::spawn(move || process::run(&options, stopped));
        Self { socket, stop: Some(stop), thread: Some(thread) }
    }

    fn client(&self) -> KeeperClient {
        KeeperClient::start(self.socket.clone(), ClientOptions::default()).unwrap()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop = None;
        let ended = self.thread.take().unwrap().join();
        let _ = std::fs::remove_file(self.socket.with_extension("lock"));
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

impl Node {
    fn start(keeper: &Keeper, port: u16) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = keeper.client();
        let speaker = {
            let _guard = runtime.enter();
            Speaker::new(port, "node", None, Some(client), &Watchdog::default()).unwrap()
        };
        Self { runtime: Some(runtime), speaker }
    }

    fn set(&self, peer: DesiredPeer) {
        let _guard = self.runtime.as_ref().unwrap().enter();
        self.speaker.set([("router".into(), peer)].into());
        self.speaker.settle(Duration::ZERO);
    }

    async fn sees(&self, condition: impl Fn(&PeerView) -> bool) -> PeerView {
        seen(&self.speaker, "router", condition).await
    }

    /// Ends all tasks where they are: sockets are closed, nothing is sent.
    async fn kill(mut self) {
        let runtime = self.runtime.take().unwrap();
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE)).await.unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn to_router(port: u16, routes: Option<Routes>) -> DesiredPeer {
    DesiredPeer { routes: routes.map(Arc::new), ..peer(ROUTER, port, 1, 2) }
}

/// A router, and a node with an established session of these routes.
async fn established(keeper: &Keeper, routes: Routes) -> (Node, Speaker, u16) {
    let port = port();
    let router = Speaker::new(port, "router", None, None, &Watchdog::default()).unwrap();
    router.set([("node".into(), DesiredPeer { routes: Some(Arc::default()), ..peer(OURS, 0, 2, 1) })].into());
    let node = Node::start(keeper, 0);
    node.set(to_router(port, Some(routes)));
    seen(&router, "node", |view| view.counters.prefixes.ends_of_rib == 1).await;
    node.sees(|view| view.counters.received.update == 1).await;
    (node, router, port)
}

#[tokio::test]
async fn a_successor_continues_the_session_and_sends_only_the_difference() {
    let keeper = Keeper::start();
    let (former, router, port) = established(&keeper, routes(3)).await;
    let before = seen(&router, "node", |view| view.counters.prefixes.accepted == 3).await.counters;
    former.kill().await;
    let successor = Node::start(&keeper, 0);
    successor.set(to_router(port, None));
    let view = successor.sees(|view| view.state == BgpState::Established).await;
    assert!(view.is_adopted, "{view:#?}");
    assert_eq!((view.counters.adopted, view.counters.established), (1, 0));
    successor.set(to_router(port, Some(routes(4))));
    let after = seen(&router, "node", |view| view.counters.prefixes.accepted == 4).await.counters;
    assert_eq!(after.received.update, before.received.update + 1);
    assert_eq!((after.received.open, after.established, after.flaps), (1, 1, 0));
    assert_eq!(
        (after.received.notification, after.prefixes.withdrawn, after.prefixes.ends_of_rib),
        (0, 0, 1)
    );
    successor.kill().await;
    let third = Node::start(&keeper, 0);
    third.set(to_router(port, Some(routes(1))));
    let last = seen(&router, "node", |view| view.counters.prefixes.withdrawn == 3).await.counters;
    assert_eq!((last.prefixes.accepted, last.established, last.flaps), (4, 1, 0), "adopted twice");
}

#[tokio::test]
async fn another_password_is_another_session_and_the_former_one_is_closed() {
    let keeper = Keeper::start();
    let (former, router, port) = established(&keeper, routes(3)).await;
    former.kill().await;
    let key = Md5Key::new(b"secret");
    let signed = |it: DesiredPeer| DesiredPeer {
        transport: Transport { key: key.clone(), ..it.transport.clone() },
        ..it
    };
    let successor = Node::start(&keeper, 0);
    successor.set(signed(to_router(port, Some(routes(3)))));
    let view = seen(&router, "node", |view| view.counters.flaps == 1).await;
    let reason = view.last_close.unwrap().reason.to_string();
    assert!(reason.contains("administrative shutdown"), "{reason}");
    router.set([("node".into(), signed(peer(OURS, 0, 2, 1)))].into());
    let view = successor.sees(|view| view.state == BgpState::Established).await;
    assert_eq!((view.counters.adopted, view.is_adopted), (0, false));
}

#[tokio::test]
async fn handing_over_leaves_the_session_to_the_keeper() {
    let keeper = Keeper::start();
    let (former, router, port) = established(&keeper, routes(3)).await;
    former.speaker.hand_over(PATIENCE).await;
    former.kill().await;
    let successor = Node::start(&keeper, 0);
    successor.set(to_router(port, Some(routes(3))));
    successor.sees(|view| view.is_adopted).await;
    let view = seen(&router, "node", |view| view.state == BgpState::Established).await;
    assert_eq!((view.counters.flaps, view.counters.prefixes.accepted), (0, 3));
}

#[tokio::test]
async fn shutting_down_closes_the_session_in_spite_of_the_keeper() {
    let keeper = Keeper::start();
    let (former, router, _) = established(&keeper, routes(3)).await;
    former.speaker.shut_down(Duration::ZERO).await;
    seen(&router, "node", |view| view.counters.received.notification == 1).await;
    assert_eq!(keeper.client().names().await, [].into());
}

/// A router made of a blocking socket and the codec.
struct RawRouter {
    stream: StdTcpStream,
    received: Vec<u8>,
}

impl RawRouter {
    /// Connects to the node and establishes a session.
    fn connect(port: u16) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.bind(&SocketAddr::new(ROUTER, 0).into()).unwrap();
        let node = SocketAddr::new(OURS, port);
        let connected = std::iter::repeat_with(|| socket.connect(&node.into())).take(200).find(|connected| {
            std::thread::sleep(Duration::from_millis(10));
            connected.is_ok()
        });
        connected.unwrap().unwrap();
        let mut router = Self { stream: socket.into(), received: Vec::new() };
        router.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let open = Open {
            asn: Asn::new(2).unwrap(),
            hold_time: HoldTime::DEFAULT,
            router_id: RouterId::new(Ipv4Addr::new(0, 0, 0, 2)).unwrap(),
            capabilities: Capabilities {
                families: vec![AddressFamily::Ipv4],
                four_octet_asn: true,
                ..Capabilities::default()
            },
        };
        router.send(&encoded(&Message::Open(open)));
        router.send(&encoded(&Message::Keepalive));
        assert!(matches!(router.next(), Message::Open(_)));
        assert_eq!(router.next(), Message::Keepalive);
        router
    }

    fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).unwrap();
    }

    fn next(&mut self) -> Message {
        let context = Decoding {
            internal: false,
            four_octet_asn: true,
            extended_next_hop: false,
            families: &[AddressFamily::Ipv4],
            max_length: 4096,
        };
        loop {
            if let Some(length) = codec::frame(&self.received, 4096).unwrap() {
                let message: Vec<u8> = self.received.drain(..length).collect();
                return codec::decode(&message, &context).unwrap();
            }
            let mut buffer = [0; 4096];
            let octets = self.stream.read(&mut buffer).unwrap();
            assert!(octets > 0, "the node has closed the connection");
            self.received.extend(&buffer[..octets]);
        }
    }

    /// Reads UPDATEs until the End-of-RIB.
    fn table(&mut self) -> Routes {
        let mut routes = Routes::new();
        loop {
            match self.next() {
                Message::Update(update) if update.end_of_rib.is_some() => return routes,
                Message::Update(update) => {
                    let reach = update.reach.unwrap();
                    for prefix in reach.prefixes {
                        let former = routes.insert(prefix, reach.attributes.clone());
                        assert_eq!(former, None, "{prefix} is sent twice");
                    }
                }
                Message::Keepalive => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    let context = Encoding { internal: false, four_octet_asn: true, max_length: 4096 };
    codec::encode(message, &context, &mut out).unwrap();
    out
}

fn passive(routes: Option<Routes>) -> DesiredPeer {
    let mut peer = to_router(0, routes);
    peer.transport.source = None;
    peer
}

/// Returns so many routes that no socket has room for them, each in an UPDATE of its own.
fn many_routes() -> Routes {
    let route = |number: u32| {
        let prefix = IpNet::new(Ipv4Addr::from_bits(0x0a00_0000 + number).into(), 32).unwrap();
        let communities = (0..200).map(|it| StandardCommunity(number << 8 | it)).collect();
        (prefix, Attributes { communities, ..Attributes::default() })
    };
    (0..12_000).map(route).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_written_message_is_completed() {
    let (keeper, port, routes) = (Keeper::start(), port(), many_routes());
    let former = Node::start(&keeper, port);
    former.set(passive(Some(routes.clone())));
    let mut router = RawRouter::connect(port);
    // The router does not read, so the node is stuck in the middle of the table.
    former
        .sees(|view| {
            view.send_stall
                .is_some_and(|stall| stall.since + Duration::from_millis(300) < view.since + view.state_age)
        })
        .await;
    former.kill().await;
    let successor = Node::start(&keeper, port);
    successor.set(passive(Some(routes.clone())));
    successor.sees(|view| view.is_adopted).await;
    let table = tokio::task::spawn_blocking(move || router.table()).await.unwrap();
    assert_eq!(table.len(), routes.len());
    assert_eq!(table, routes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_received_message_is_left_to_the_successor() {
    let (keeper, port) = (Keeper::start(), port());
    let former = Node::start(&keeper, port);
    former.set(passive(Some(routes(1))));
    let mut router = RawRouter::connect(port);
    assert_eq!(router.table(), routes(1));
    let refresh = encoded(&Message::RouteRefresh(Some(AddressFamily::Ipv4)));
    let stream = [encoded(&Message::Keepalive), refresh].concat();
    let before = former.sees(|view| view.state == BgpState::Established).await.counters.received.keepalive;
    router.send(&stream[..30]);
    former.sees(|view| view.counters.received.keepalive == before + 1).await;
    former.kill().await;
    let successor = Node::start(&keeper, port);
    successor.set(passive(Some(routes(1))));
    successor.sees(|view| view.is_adopted).await;
    router.send(&stream[30..]);
    let view = successor.sees(|view| view.counters.received.route_refresh == 1).await;
    assert_eq!((view.counters.received.keepalive, view.counters.malformed), (0, 0));
    assert!(matches!(router.next(), Message::Keepalive));
    assert!(matches!(router.next(), Message::Update(_)), "the answer to the refresh");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_within_a_message_closes_the_session() {
    let (keeper, port) = (Keeper::start(), port());
    let node = Node::start(&keeper, port);
    node.set(passive(Some(routes(1))));
    let mut router = RawRouter::connect(port);
    router.table();
    router.send(&encoded(&Message::Keepalive)[..7]);
    drop(router);
    let view = node.sees(|view| view.counters.flaps == 1).await;
    let reason = view.last_close.unwrap().reason.to_string();
    assert!(reason.contains("without a NOTIFICATION") || reason.contains("lost"), "{reason}");
}
