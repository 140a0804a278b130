//! BFD with the neighbours (RFC 5880 to 5883): packets out at their time, packets in to their session, and
//! what changes to whom it concerns.
//!
//! A thread of its own, before the rest of the agent where the system allows that: a packet that is sent late
//! is a router that takes this node for dead.

mod addresses;
mod drive;
mod driven;
mod echo;
mod notes;
mod priority;
mod socket;
mod stamps;
mod status;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use lb_bfd::session::{Hops, SessionProfile, SessionView};
use tokio::sync::oneshot;

use self::drive::Driver;
pub use self::status::{BfdSessionStatus, BfdStatus};
use lb_dataplane::bfd::BfdMaps;
use lb_runtime::watchdog::Heart;

/// A neighbour that the way to is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Its address.
    pub address: IpAddr,
    /// Our address; the one that the route takes if `None`.
    pub source: Option<IpAddr>,
    /// The VRF, or the interface that a link-local address is on.
    pub device: Option<String>,
    /// How far it is.
    pub hops: Hops,
    /// How fast. Echo packets are sent over one hop of IPv4 only, whatever it says.
    pub profile: SessionProfile,
}

impl Watched {
    /// Whether echoes are to be sent. IPv6 has no form of them that routers agree on.
    fn wants_echo(&self) -> bool {
        self.profile.echo.is_some() && self.address.is_ipv4() && self.hops == Hops::Single
    }
}

/// All sessions as they are now.
#[derive(Clone, Debug, Default)]
pub struct BfdView {
    /// The sessions.
    pub sessions: Vec<BfdViewed>,
    /// Packets that came in and were of no session.
    pub unknown: u64,
}

/// A session as it is now.
#[derive(Clone, Debug)]
pub struct BfdViewed {
    /// The neighbour's object.
    pub name: String,
    /// What is wanted.
    pub watched: Watched,
    /// How it stands.
    pub view: SessionView,
    /// When; counted from the same start as the times in the view.
    pub at: std::time::Duration,
}

impl BfdViewed {
    /// The VRF: of a link-local neighbour, the device is just its interface.
    pub fn vrf(&self) -> Option<&str> {
        self.watched.device.as_deref().filter(|_| !is_link_local(self.watched.address))
    }
}

pub(super) const fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// All sessions, by the names of the neighbours' objects.
pub type Watch = BTreeMap<String, Watched>;

/// The thread's handle: dropped, the thread ends, and routers are left to find that out.
#[derive(Debug)]
pub(super) struct Monitor {
    orders: Sender<Order>,
    /// A byte wakes the thread.
    alarm: UnixStream,
}

/// What the thread is told or asked.
#[derive(Debug)]
enum Order {
    /// Watch these from now on, and nobody else.
    Watch(Watch),
    /// How do they stand?
    View(oneshot::Sender<BfdView>),
}

impl Monitor {
    /// Starts the thread. `noted` is where the program in the kernel notes packets, if it does. `report` is told of each neighbour whether the way to it is there, whenever that has
    /// changed. `seed` spreads packets and numbers sessions.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        seed: u64,
        noted: Option<BfdMaps>,
        heart: Heart,
        report: impl Fn(&str, bool) + Send + 'static,
    ) -> io::Result<Self> {
        let (orders, ordered) = channel();
        let (alarm, alarmed) = UnixStream::pair()?;
        alarm.set_nonblocking(true)?;
        alarmed.set_nonblocking(true)?;
        let driver = Driver::new(seed, noted, alarmed, Box::new(report));
        thread::Builder::new().name("bfd".into()).spawn(move || driver.run(&ordered, &heart))?;
        Ok(Self { orders, alarm })
    }

    /// Watches these from now on, and nobody else.
    pub(super) fn set(&self, watch: Watch) {
        self.order(Order::Watch(watch));
    }

    /// All sessions as they are now.
    pub(super) async fn view(&self) -> BfdView {
        let (answer, answered) = oneshot::channel();
        self.order(Order::View(answer));
        tokio::time::timeout(super::ANSWER_WITHIN, answered)
            .await
            .ok()
            .and_then(Result::ok)
            .unwrap_or_default()
    }

    fn order(&self, order: Order) {
        if self.orders.send(order).is_err() {
            tracing::error!("the BFD thread has ended: routers will take this node for dead");
        }
        // A full pipe is an alarm that has not been heard yet.
        let _ = (&self.alarm).write(&[0]);
    }
}

#[cfg(test)]
mod tests;
