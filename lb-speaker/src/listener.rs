//! Who may connect, and to whom a connection belongs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::net::if_::if_nametoindex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::bfd::is_link_local;
use super::socket;
use super::wanted::{Key, Transport};
use lb_runtime::descriptors::AcceptErrors;

/// What a listener is bound to: all addresses of a family, and a VRF if there is one.
type Place = (IpAddr, Option<String>);

/// A neighbour that may connect.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) transport: Transport,
    pub(super) connections: mpsc::Sender<TcpStream>,
}

/// The listeners: one for each family and VRF that there are neighbours in.
#[derive(Debug)]
pub(super) struct Listeners {
    port: u16,
    listening: BTreeMap<Place, Listening>,
    directory: Arc<Directory>,
    /// Places that cannot be listened at, and why.
    failures: BTreeMap<Place, String>,
}

#[derive(Debug)]
struct Listening {
    listener: Arc<TcpListener>,
    keys: BTreeMap<IpAddr, Key>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Directory {
    expected: Mutex<Vec<Expected>>,
    unknown: AtomicU64,
}

impl Listeners {
    /// None yet. With port 0 there never will be any.
    pub(super) fn new(port: u16) -> Self {
        Self { port, listening: BTreeMap::new(), directory: Arc::default(), failures: BTreeMap::new() }
    }

    /// These may connect from now on, and nobody else. Must be called inside a runtime.
    pub(super) fn set(&mut self, expected: Vec<Expected>) {
        if self.port == 0 {
            return;
        }
        let places: BTreeSet<Place> = expected.iter().map(|one| place(&one.transport)).collect();
        self.listening.retain(|place, _| places.contains(place));
        self.failures.retain(|place, _| places.contains(place));
        for place in places {
            self.listen(place);
        }
        for (place, listening) in &mut self.listening {
            listening.set_keys(keys(&expected, place), place.1.as_deref());
        }
        *self.directory.expected.lock().unwrap_or_else(PoisonError::into_inner) = expected;
    }

    /// Connections of strangers that were closed.
    pub(super) fn unknown(&self) -> u64 {
        self.directory.unknown.load(Ordering::Relaxed)
    }

    /// What cannot be listened at, a sentence each.
    pub(super) fn failures(&self) -> Vec<String> {
        self.failures.values().cloned().collect()
    }

    fn listen(&mut self, place: Place) {
        if self.listening.contains_key(&place) {
            return;
        }
        match socket::listen(place.0, self.port, place.1.as_deref()) {
            Ok(listener) => {
                self.failures.remove(&place);
                let listener = Arc::new(listener);
                let serving = serve(Arc::clone(&listener), place.1.clone(), Arc::clone(&self.directory));
                let task = tokio::spawn(serving);
                self.listening.insert(place, Listening { listener, keys: BTreeMap::new(), task });
            }
            Err(error) => {
                let failure =
                    format!("neighbours cannot connect, sessions are only opened from here: {error}");
                if self.failures.get(&place) != Some(&failure) {
                    tracing::warn!("{failure}");
                }
                self.failures.insert(place, failure);
            }
        }
    }
}

impl Listening {
    fn set_keys(&mut self, wanted: BTreeMap<IpAddr, Key>, device: Option<&str>) {
        let gone = self.keys.keys().filter(|address| !wanted.contains_key(*address)).map(|a| (*a, None));
        let new = wanted.iter().filter(|(address, key)| self.keys.get(*address) != Some(*key));
        let changes: Vec<_> = gone.chain(new.map(|(address, key)| (*address, Some(key.clone())))).collect();
        for (address, key) in changes {
            match socket::sign(&self.listener, address, key.as_ref(), device) {
                Ok(()) => drop(match key {
                    Some(key) => self.keys.insert(address, key),
                    None => self.keys.remove(&address),
                }),
                Err(error) => {
                    tracing::warn!(%address, %error, "the kernel refuses the password for connections from there")
                }
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes connections and gives them to whom they belong.
async fn serve(listener: Arc<TcpListener>, device: Option<String>, directory: Arc<Directory>) {
    let mut errors = AcceptErrors::default();
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                errors.succeeded();
                directory.dispatch(stream, remote, device.as_deref());
            }
            Err(error) => tokio::time::sleep(errors.failed("the BGP port", &error)).await,
        }
    }
}

impl Directory {
    /// A connection that nobody expects, or more than its neighbour can have use for, is closed.
    fn dispatch(&self, stream: TcpStream, remote: SocketAddr, device: Option<&str>) {
        let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        match expected.iter().find(|one| is_from(&one.transport, remote, device)) {
            Some(one) => drop(one.connections.try_send(stream)),
            None => {
                self.unknown.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%remote, "closed a connection of a stranger");
            }
        }
    }
}

/// A link-local neighbour's device is its interface, of which the listener at all of them hears, too.
fn place(transport: &Transport) -> Place {
    (socket::any(transport.address), transport.vrf().map(str::to_owned))
}

fn keys(expected: &[Expected], at: &Place) -> BTreeMap<IpAddr, Key> {
    let here = expected.iter().filter(|one| place(&one.transport) == *at);
    here.filter_map(|one| Some((one.transport.address, one.transport.key.clone()?))).collect()
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
