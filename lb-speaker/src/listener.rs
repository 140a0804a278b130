//! Listeners, and the assignment of incoming connections to peers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::net::if_::if_nametoindex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::address::{is_link_local, unspecified};
use super::desired::{Md5Key, Transport};
use super::socket;
use lb_runtime::descriptors::AcceptErrors;

/// What a listener is bound to: all addresses of a family, in a VRF if given.
type ListenKey = (IpAddr, Option<String>);

/// A peer that may connect.
#[derive(Clone, Debug)]
pub(super) struct ExpectedPeer {
    pub(super) transport: Transport,
    pub(super) connections: mpsc::Sender<TcpStream>,
}

/// The listeners, one per family and VRF with peers.
#[derive(Debug)]
pub(super) struct Listeners {
    port: u16,
    listeners: BTreeMap<ListenKey, ActiveListener>,
    expected_peers: Arc<ExpectedPeers>,
    /// Listeners that could not be opened, and why.
    failures: BTreeMap<ListenKey, String>,
}

#[derive(Debug)]
struct ActiveListener {
    listener: Arc<TcpListener>,
    keys: BTreeMap<IpAddr, Md5Key>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct ExpectedPeers {
    expected: Mutex<Vec<ExpectedPeer>>,
    unknown: AtomicU64,
}

impl Listeners {
    /// Returns an empty set. With port 0 it stays empty.
    pub(super) fn new(port: u16) -> Self {
        Self { port, listeners: BTreeMap::new(), expected_peers: Arc::default(), failures: BTreeMap::new() }
    }

    /// Sets all peers that may connect. Must be called inside a runtime.
    pub(super) fn set(&mut self, expected: Vec<ExpectedPeer>) {
        if self.port == 0 {
            return;
        }
        let listen_keys: BTreeSet<ListenKey> =
            expected.iter().map(|peer| listen_key(&peer.transport)).collect();
        self.listeners.retain(|listen_key, _| listen_keys.contains(listen_key));
        self.failures.retain(|listen_key, _| listen_keys.contains(listen_key));
        for listen_key in listen_keys {
            self.listen(listen_key);
        }
        for (listen_key, listener) in &mut self.listeners {
            listener.set_keys(keys(&expected, listen_key), listen_key.1.as_deref());
        }
        *self.expected_peers.expected.lock().unwrap_or_else(PoisonError::into_inner) = expected;
    }

    /// Returns the number of connections from unknown peers that were closed.
    pub(super) fn unknown(&self) -> u64 {
        self.expected_peers.unknown.load(Ordering::Relaxed)
    }

    /// Returns the listeners that could not be opened, a sentence each.
    pub(super) fn failures(&self) -> Vec<String> {
        self.failures.values().cloned().collect()
    }

    fn listen(&mut self, listen_key: ListenKey) {
        if self.listeners.contains_key(&listen_key) {
            return;
        }
        match socket::listen(listen_key.0, self.port, listen_key.1.as_deref()) {
            Ok(listener) => {
                self.failures.remove(&listen_key);
                let listener = Arc::new(listener);
                let serving =
                    serve(Arc::clone(&listener), listen_key.1.clone(), Arc::clone(&self.expected_peers));
                let task = tokio::spawn(serving);
                self.listeners.insert(listen_key, ActiveListener { listener, keys: BTreeMap::new(), task });
            }
            Err(error) => {
                let failure = format!(
                    "cannot listen for BGP connections: {error}; sessions are only opened from this node"
                );
                if self.failures.get(&listen_key) != Some(&failure) {
                    tracing::warn!("{failure}");
                }
                self.failures.insert(listen_key, failure);
            }
        }
    }
}

impl ActiveListener {
    fn set_keys(&mut self, desired: BTreeMap<IpAddr, Md5Key>, device: Option<&str>) {
        let gone = self.keys.keys().filter(|address| !desired.contains_key(*address)).map(|a| (*a, None));
        let new = desired.iter().filter(|(address, key)| self.keys.get(*address) != Some(*key));
        let changes: Vec<_> = gone.chain(new.map(|(address, key)| (*address, Some(key.clone())))).collect();
        for (address, key) in changes {
            match socket::set_md5_key(&self.listener, address, key.as_ref(), device) {
                Ok(()) => drop(match key {
                    Some(key) => self.keys.insert(address, key),
                    None => self.keys.remove(&address),
                }),
                Err(error) => {
                    tracing::warn!(%address, %error, "cannot set the TCP-MD5 password for connections from this address")
                }
            }
        }
    }
}

impl Drop for ActiveListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts connections and passes them to their peers.
async fn serve(listener: Arc<TcpListener>, device: Option<String>, expected_peers: Arc<ExpectedPeers>) {
    let mut errors = AcceptErrors::default();
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                errors.succeeded();
                expected_peers.dispatch(stream, remote, device.as_deref());
            }
            Err(error) => tokio::time::sleep(errors.failed("the BGP port", &error)).await,
        }
    }
}

impl ExpectedPeers {
    /// Closes a connection from an unknown peer, or one more than its peer can use.
    fn dispatch(&self, stream: TcpStream, remote: SocketAddr, device: Option<&str>) {
        let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        match expected.iter().find(|peer| is_from(&peer.transport, remote, device)) {
            Some(peer) => drop(peer.connections.try_send(stream)),
            None => {
                self.unknown.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%remote, "closed a connection from an unknown peer");
            }
        }
    }
}

/// The device of a link-local peer is its interface; the common listener receives its connections, too.
fn listen_key(transport: &Transport) -> ListenKey {
    (unspecified(transport.address), transport.vrf().map(str::to_owned))
}

fn keys(expected: &[ExpectedPeer], at: &ListenKey) -> BTreeMap<IpAddr, Md5Key> {
    let here = expected.iter().filter(|peer| listen_key(&peer.transport) == *at);
    here.filter_map(|peer| Some((peer.transport.address, peer.transport.key.clone()?))).collect()
}

fn is_from(transport: &Transport, remote: SocketAddr, device: Option<&str>) -> bool {
    if transport.address != remote.ip() {
        return false;
    }
    match (remote, &transport.device) {
        (SocketAddr::V6(remote), Some(interface)) if is_link_local(transport.address) => {
            if_nametoindex(interface.as_str()).is_ok_and(|index| index == remote.scope_id())
        }
        (_, configured) => configured.as_deref() == device,
    }
}
