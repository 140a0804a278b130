//! One peer, with the test in the role of the router.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use lb_bgp::codec::{self, Encoding};
use lb_bgp::message::{Capabilities, GracefulRestartCapability, Message, Notification, Open};
use lb_bgp::session::{BgpState, ConnectionDirection, Peer, PeerAction, PeerConfig, Routes, SessionClose};
use lb_bgp::value::{AddressFamily, Asn, HoldTime, RouterId};

use crate::pair;
use crate::rib::{MessageStream, Rib};

pub(crate) struct Bench {
    pub(crate) peer: Peer,
    pub(crate) now: Duration,
    /// Whether the router reads.
    pub(crate) reads: bool,
    streams: [MessageStream; 2],
    actions: Vec<PeerAction>,
    received: Vec<(ConnectionDirection, Message)>,
}

/// AS 65001 here, AS 65002 there; the router has the higher identifier.
pub(crate) fn config() -> PeerConfig {
    pair::config(65001, 65002, 1)
}

pub(crate) fn open() -> Open {
    Open {
        asn: Asn::new(65002).unwrap(),
        hold_time: HoldTime::new(30).unwrap(),
        router_id: RouterId::new([10, 0, 0, 2].into()).unwrap(),
        capabilities: Capabilities {
            families: vec![AddressFamily::Ipv4, AddressFamily::Ipv6],
            route_refresh: true,
            four_octet_asn: true,
            ..Capabilities::default()
        },
    }
}

/// The same with graceful restart.
pub(crate) fn graceful_open() -> Open {
    let graceful_restart = GracefulRestartCapability {
        notification: true,
        restart_time: 120,
        ..GracefulRestartCapability::default()
    };
    let mut open = open();
    open.capabilities.graceful_restart = Some(graceful_restart);
    open
}

impl Bench {
    pub(crate) fn new(config: PeerConfig) -> Self {
        let mut bench = Self {
            peer: Peer::new(config, 42, Duration::ZERO),
            now: Duration::ZERO,
            reads: true,
            streams: Default::default(),
            actions: Vec::new(),
            received: Vec::new(),
        };
        bench.pump();
        bench
    }

    /// Returns a peer in Established on an outgoing connection, with an empty table; earlier actions and
    /// messages are cleared.
    pub(crate) fn established(config: PeerConfig, open: Open) -> Self {
        let mut bench = Self::new(config);
        bench.set_routes(Routes::new());
        bench.establish(ConnectionDirection::Outgoing, open);
        bench.forget();
        bench
    }

    pub(crate) fn establish(&mut self, direction: ConnectionDirection, open: Open) {
        assert!(self.connect(direction));
        self.say(direction, Message::Open(open));
        self.say(direction, Message::Keepalive);
        assert_eq!(self.peer.state(), BgpState::Established);
    }

    pub(crate) fn connect(&mut self, direction: ConnectionDirection) -> bool {
        let (local, remote) = ("192.0.2.1:179".parse().unwrap(), "192.0.2.2:179".parse().unwrap());
        let desired = self.peer.handle_connected(direction, local, remote, self.now);
        if desired {
            self.streams[direction as usize] = MessageStream::default();
        }
        self.pump();
        desired
    }

    pub(crate) fn say(&mut self, direction: ConnectionDirection, message: Message) {
        let mut bytes = Vec::new();
        let context = Encoding { internal: false, four_octet_asn: true, max_length: 4096 };
        codec::encode(&message, &context, &mut bytes).unwrap();
        self.say_bytes(direction, &bytes);
    }

    pub(crate) fn say_bytes(&mut self, direction: ConnectionDirection, bytes: &[u8]) {
        self.peer.handle_bytes(direction, bytes, self.now);
        self.pump();
    }

    pub(crate) fn close(&mut self, direction: ConnectionDirection) {
        self.peer.handle_closed(direction, None, self.now);
        self.pump();
    }

    pub(crate) fn set_routes(&mut self, routes: Routes) {
        self.peer.set_routes(Arc::new(routes));
        self.pump();
    }

    /// Advances the time, deadline by deadline.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.peer.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline.max(self.now);
            self.peer.handle_time(self.now);
            self.pump();
        }
        self.now = end;
    }

    /// Advances the time while the router sends keepalives.
    pub(crate) fn live(&mut self, direction: ConnectionDirection, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.say(direction, Message::Keepalive);
            self.wait(Duration::from_secs(1));
        }
    }

    pub(crate) fn pump(&mut self) {
        while let Some(action) = self.peer.poll_action() {
            if let PeerAction::Close(direction) = action {
                self.read(direction);
            }
            self.actions.push(action);
        }
        for direction in ConnectionDirection::BOTH {
            self.read(direction);
        }
    }

    fn read(&mut self, direction: ConnectionDirection) {
        while let Some(bytes) = self.peer.poll_bytes(direction, self.now) {
            let messages = self.streams[direction as usize].read(&bytes, false);
            self.received.extend(messages.into_iter().map(|message| (direction, message)));
            if self.reads {
                self.peer.handle_sent(direction, self.now);
            }
        }
    }

    pub(crate) fn forget(&mut self) {
        self.actions.clear();
        self.received.clear();
    }

    /// Takes the actions since the last call.
    pub(crate) fn actions(&mut self) -> Vec<PeerAction> {
        mem::take(&mut self.actions)
    }

    /// Takes the messages since the last call.
    pub(crate) fn heard(&mut self) -> Vec<Message> {
        mem::take(&mut self.received).into_iter().map(|(_, message)| message).collect()
    }

    /// Takes the only NOTIFICATION since the last call, if there was one.
    pub(crate) fn notification(&mut self) -> Option<Notification> {
        let mut all = self.heard().into_iter().filter_map(|message| match message {
            Message::Notification(sent) => Some(sent),
            _ => None,
        });
        let first = all.next();
        assert_eq!(all.next(), None);
        first
    }

    /// Takes the routes advertised since the last call.
    pub(crate) fn rib(&mut self) -> Rib {
        let mut rib = Rib::default();
        for message in self.heard() {
            if let Message::Update(update) = message {
                rib.apply(update);
            }
        }
        rib
    }

    pub(crate) fn last_close(&self) -> SessionClose {
        self.peer.view(self.now).last_close.unwrap()
    }

    /// Advances to the next connection attempt and returns the time until then.
    pub(crate) fn time_to_connect(&mut self) -> Duration {
        let before = self.now;
        self.actions();
        while !self.actions().contains(&PeerAction::Connect) {
            let deadline = self.peer.next_deadline().expect("no further attempt");
            self.wait(deadline.saturating_sub(self.now));
        }
        self.now - before
    }
}
