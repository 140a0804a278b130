//! Two hosts on a virtual clock with an unkind TCP in between: segments of any length, any delay, lost
//! connections, a slow receiver.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lb_bgp::message::Message;
use lb_bgp::session::{BgpState, ConnectionDirection, Peer, PeerAction, PeerConfig, Routes};

use crate::rib::{MessageStream, Rib};

type Connection = usize;

#[derive(Clone, Debug)]
enum NetworkEvent {
    /// A connection of `opener` reaches the other host.
    Syn {
        connection: Connection,
    },
    /// The opener's connection is established.
    SynAck {
        connection: Connection,
    },
    /// The opener's connection is refused.
    Refused {
        opener: usize,
        attempt: usize,
    },
    Segment {
        to: usize,
        connection: Connection,
        bytes: Vec<u8>,
    },
    Sent {
        host: usize,
        connection: Connection,
    },
    Fin {
        to: usize,
        connection: Connection,
    },
    Reset {
        to: usize,
        connection: Connection,
    },
}

pub(crate) struct Host {
    pub(crate) peer: Peer,
    sockets: [Option<Connection>; 2],
    attempt: usize,
    streams: BTreeMap<Connection, MessageStream>,
    /// The routes this host has received, per connection.
    pub(crate) ribs: BTreeMap<Connection, Rib>,
}

#[derive(Clone, Copy, Debug)]
struct Wire {
    opener: usize,
    attempt: usize,
    /// Arrival of the last octet towards each host.
    last: [Duration; 2],
    lost: bool,
}

pub(crate) struct Network {
    pub(crate) hosts: [Host; 2],
    pub(crate) now: Duration,
    queue: BTreeMap<(Duration, usize), NetworkEvent>,
    counter: usize,
    wires: Vec<Wire>,
    random: u64,
    longest_delay: u64,
    internal: bool,
    /// Percentage of refused connection attempts.
    refusals: u64,
}

impl Network {
    pub(crate) fn new(configs: [PeerConfig; 2], seed: u64, longest_delay_ms: u64, refusals: u64) -> Self {
        let internal = configs[0].presented_asn() == configs[1].presented_asn();
        let host = |config, seed| Host {
            peer: Peer::new(config, seed, Duration::ZERO),
            sockets: [None, None],
            attempt: 0,
            streams: BTreeMap::new(),
            ribs: BTreeMap::new(),
        };
        let [one, other] = configs;
        let mut network = Self {
            hosts: [host(one, seed), host(other, !seed)],
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            counter: 0,
            wires: Vec::new(),
            random: seed | 1,
            longest_delay: longest_delay_ms,
            internal,
            refusals,
        };
        network.drive(0);
        network.drive(1);
        network
    }

    /// Runs for a time.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let deadlines = self.hosts.each_ref().map(|host| host.peer.next_deadline());
            let timer = deadlines.iter().flatten().min().copied();
            let arrival = self.queue.keys().next().map(|(at, _)| *at);
            let Some(next) = [timer, arrival].into_iter().flatten().min().filter(|next| *next <= end) else {
                break;
            };
            assert!(next >= self.now || timer == Some(next), "time runs backwards");
            self.now = self.now.max(next);
            if arrival == Some(next) {
                let (_, event) = self.queue.pop_first().unwrap();
                self.handle(event);
            } else {
                for host in 0..2 {
                    self.hosts[host].peer.handle_time(self.now);
                    self.drive(host);
                    let deadline = self.hosts[host].peer.next_deadline();
                    assert!(deadline.is_none_or(|at| at > self.now), "deadline missed: {deadline:?}");
                }
            }
        }
        self.now = end;
    }

    pub(crate) fn set_routes(&mut self, host: usize, routes: Routes) {
        self.hosts[host].peer.set_routes(Arc::new(routes));
        self.drive(host);
    }

    /// Loses all connections.
    pub(crate) fn lose_all(&mut self) {
        for connection in 0..self.wires.len() {
            if !std::mem::replace(&mut self.wires[connection].lost, true) {
                for to in 0..2 {
                    self.later(NetworkEvent::Reset { to, connection });
                }
            }
        }
    }

    /// Loses all connections, and only one host notices: what the other sends is dropped.
    pub(crate) fn lose_half(&mut self, to: usize) {
        for connection in 0..self.wires.len() {
            if !std::mem::replace(&mut self.wires[connection].lost, true) {
                self.later(NetworkEvent::Reset { to, connection });
            }
        }
    }

    pub(crate) fn shut_down(&mut self, host: usize, shutdown: lb_bgp::session::Shutdown) {
        let now = self.now;
        self.hosts[host].peer.shut_down(shutdown, now);
        self.drive(host);
    }

    pub(crate) fn start(&mut self, host: usize) {
        self.hosts[host].peer.start(self.now);
        self.drive(host);
    }

    /// Returns the connection if both hosts are Established on the same and only one.
    pub(crate) fn settled(&self) -> Option<Connection> {
        let [one, other] = self.hosts.each_ref().map(|host| {
            let connections: Vec<_> = host.sockets.iter().flatten().copied().collect();
            (host.peer.state() == BgpState::Established && connections.len() == 1).then(|| connections[0])
        });
        one.filter(|_| one == other)
    }

    fn handle(&mut self, event: NetworkEvent) {
        let now = self.now;
        match event {
            NetworkEvent::Syn { connection } => self.accept(connection),
            NetworkEvent::SynAck { connection } => {
                let Wire { opener, attempt, lost, .. } = self.wires[connection];
                let host = &mut self.hosts[opener];
                if lost || host.attempt != attempt {
                    self.send(connection, 1 - opener, NetworkEvent::Fin { to: 1 - opener, connection });
                } else if host.peer.handle_connected(
                    ConnectionDirection::Outgoing,
                    address(opener),
                    address(1 - opener),
                    now,
                ) {
                    host.sockets[0] = Some(connection);
                } else {
                    self.send(connection, 1 - opener, NetworkEvent::Fin { to: 1 - opener, connection });
                }
                self.drive(opener);
            }
            NetworkEvent::Refused { opener, attempt } => {
                if self.hosts[opener].attempt == attempt {
                    self.hosts[opener].peer.handle_connect_failed("refused".to_owned(), now);
                    self.drive(opener);
                }
            }
            NetworkEvent::Segment { to, connection, bytes } => self.deliver(to, connection, &bytes),
            NetworkEvent::Sent { host, connection } => {
                if let Some(direction) = self.direction(host, connection) {
                    self.hosts[host].peer.handle_sent(direction, now);
                    self.drive(host);
                }
            }
            // Data in flight is lost with the connection.
            NetworkEvent::Fin { connection, .. } if self.wires[connection].lost => {}
            NetworkEvent::Fin { to, connection } => self.close(to, connection, None),
            NetworkEvent::Reset { to, connection } => self.close(to, connection, Some("reset".to_owned())),
        }
    }

    fn accept(&mut self, connection: Connection) {
        let Wire { opener, .. } = self.wires[connection];
        let to = 1 - opener;
        self.send(connection, opener, NetworkEvent::SynAck { connection });
        if self.hosts[to].peer.handle_connected(
            ConnectionDirection::Incoming,
            address(to),
            address(opener),
            self.now,
        ) {
            if let Some(former) = self.hosts[to].sockets[1].replace(connection) {
                self.send(former, opener, NetworkEvent::Fin { to: opener, connection: former });
            }
        } else {
            self.send(connection, opener, NetworkEvent::Fin { to: opener, connection });
        }
        self.drive(to);
    }

    fn deliver(&mut self, to: usize, connection: Connection, bytes: &[u8]) {
        let Some(direction) = self.direction(to, connection).filter(|_| !self.wires[connection].lost) else {
            return;
        };
        let host = &mut self.hosts[to];
        for message in host.streams.entry(connection).or_default().read(bytes, self.internal) {
            if let Message::Update(update) = message {
                host.ribs.entry(connection).or_default().apply(update);
            }
        }
        host.peer.handle_bytes(direction, bytes, self.now);
        self.drive(to);
    }

    fn close(&mut self, to: usize, connection: Connection, why: Option<String>) {
        if let Some(direction) = self.direction(to, connection) {
            self.hosts[to].sockets[direction as usize] = None;
            self.hosts[to].peer.handle_closed(direction, why, self.now);
            self.drive(to);
        }
    }

    fn direction(&self, host: usize, connection: Connection) -> Option<ConnectionDirection> {
        ConnectionDirection::BOTH
            .into_iter()
            .find(|direction| self.hosts[host].sockets[*direction as usize] == Some(connection))
    }

    /// The driver: actions, then octets.
    fn drive(&mut self, host: usize) {
        while let Some(action) = self.hosts[host].peer.poll_action() {
            match action {
                PeerAction::Connect => self.connect(host),
                PeerAction::Close(direction) => {
                    self.hosts[host].attempt += usize::from(direction == ConnectionDirection::Outgoing);
                    self.transmit(host, direction);
                    if let Some(connection) = self.hosts[host].sockets[direction as usize].take() {
                        self.send(connection, 1 - host, NetworkEvent::Fin { to: 1 - host, connection });
                    }
                }
                PeerAction::Established(_) | PeerAction::Adopted(_) => {}
                PeerAction::Down(_) | PeerAction::CapabilitiesRefused(_) => {}
            }
        }
        for direction in ConnectionDirection::BOTH {
            self.transmit(host, direction);
        }
    }

    fn connect(&mut self, opener: usize) {
        self.hosts[opener].attempt += 1;
        let attempt = self.hosts[opener].attempt;
        if self.number(100) < self.refusals {
            return self.later(NetworkEvent::Refused { opener, attempt });
        }
        self.wires.push(Wire { opener, attempt, last: [Duration::ZERO; 2], lost: false });
        self.later(NetworkEvent::Syn { connection: self.wires.len() - 1 });
    }

    fn transmit(&mut self, host: usize, direction: ConnectionDirection) {
        let now = self.now;
        let Some(connection) = self.hosts[host].sockets[direction as usize] else { return };
        let Some(bytes) = self.hosts[host].peer.poll_bytes(direction, now) else { return };
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let length = 1 + self.number(rest.len() as u64) as usize;
            let (piece, following) = rest.split_at(length.min(rest.len()));
            rest = following;
            let segment = NetworkEvent::Segment { to: 1 - host, connection, bytes: piece.to_vec() };
            self.send(connection, 1 - host, segment);
        }
        self.later(NetworkEvent::Sent { host, connection });
    }

    /// Delivers in order on the connection.
    fn send(&mut self, connection: Connection, to: usize, event: NetworkEvent) {
        let arrival = self.now + self.delay();
        let last = &mut self.wires[connection].last[to];
        *last = arrival.max(*last);
        let at = *last;
        self.at(at, event);
    }

    fn later(&mut self, event: NetworkEvent) {
        let at = self.now + self.delay();
        self.at(at, event);
    }

    fn at(&mut self, at: Duration, event: NetworkEvent) {
        self.counter += 1;
        self.queue.insert((at, self.counter), event);
    }

    fn delay(&mut self) -> Duration {
        let max_length = self.longest_delay;
        Duration::from_micros(self.number(max_length * 1000 + 1))
    }

    fn number(&mut self, below: u64) -> u64 {
        // Xorshift (Marsaglia 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below.max(1)
    }
}

fn address(host: usize) -> SocketAddr {
    SocketAddr::new([192, 0, 2, 1 + host as u8].into(), 179)
}
