//! BFD with the neighbours (RFC 5880 to 5883): packets out at their time, packets in to their session, and
//! what changes to whom it concerns.
//!
//! A thread of its own, before the rest of the agent where the system allows that: a packet that is sent late
//! is a router that takes this node for dead.

mod addresses;
mod echo;
mod kernel_stamps;
mod priority;
mod rx_timestamps;
mod session_io;
mod socket;
mod status;
mod thread;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Sender, channel};

use lb_bfd::session::{Hops, SessionProfile, SessionView};
use tokio::sync::oneshot;

pub use self::status::{BfdSessionStatus, BfdStatus};
use self::thread::BfdThread;
use lb_dataplane::bfd::BfdMaps;
use lb_runtime::watchdog::Heart;

/// A neighbour that the way to is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdTarget {
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

impl BfdTarget {
    /// Whether echoes are to be sent. IPv6 has no form of them that routers agree on.
    fn uses_echo(&self) -> bool {
        self.profile.echo.is_some() && self.address.is_ipv4() && self.hops == Hops::Single
    }
}

/// All sessions as they are now.
#[derive(Clone, Debug, Default)]
pub struct BfdView {
    /// The sessions.
    pub sessions: Vec<BfdSnapshot>,
    /// Packets that came in and were of no session.
    pub unknown: u64,
}

/// A session as it is now.
#[derive(Clone, Debug)]
pub struct BfdSnapshot {
    /// The neighbour's object.
    pub name: String,
    /// What is wanted.
    pub target: BfdTarget,
    /// How it stands.
    pub view: SessionView,
    /// When; counted from the same start as the times in the view.
    pub at: std::time::Duration,
}

impl BfdSnapshot {
    /// The VRF: of a link-local neighbour, the device is just its interface.
    pub fn vrf(&self) -> Option<&str> {
        self.target.device.as_deref().filter(|_| !is_link_local(self.target.address))
    }
}

pub(super) const fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// All sessions, by the names of the neighbours' objects.
pub type BfdTargets = BTreeMap<String, BfdTarget>;

/// The thread's handle: dropped, the thread ends, and routers are left to find that out.
#[derive(Debug)]
pub(super) struct BfdMonitor {
    commands: Sender<BfdCommand>,
    /// A byte wakes the thread.
    waker: UnixStream,
}

/// What the thread is told or asked.
#[derive(Debug)]
enum BfdCommand {
    /// Watch these from now on, and nobody else.
    SetTargets(BfdTargets),
    /// How do they stand?
    View(oneshot::Sender<BfdView>),
}

impl BfdMonitor {
    /// Starts the thread. `kernel_sessions` is where the program in the kernel notes packets, if it does. `report` is told of each neighbour whether the way to it is there, whenever that has
    /// changed. `seed` spreads packets and numbers sessions.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        seed: u64,
        kernel_sessions: Option<BfdMaps>,
        heart: Heart,
        report: impl Fn(&str, bool) + Send + 'static,
    ) -> io::Result<Self> {
        let (commands, command_rx) = channel();
        let (waker, wake_rx) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        wake_rx.set_nonblocking(true)?;
        let bfd_thread = BfdThread::new(seed, kernel_sessions, wake_rx, Box::new(report));
        std::thread::Builder::new().name("bfd".into()).spawn(move || bfd_thread.run(&command_rx, &heart))?;
        Ok(Self { commands, waker })
    }

    /// Watches these from now on, and nobody else.
    pub(super) fn set(&self, targets: BfdTargets) {
        self.send(BfdCommand::SetTargets(targets));
    }

    /// All sessions as they are now.
    pub(super) async fn view(&self) -> BfdView {
        let (reply, reply_rx) = oneshot::channel();
        self.send(BfdCommand::View(reply));
        tokio::time::timeout(super::ANSWER_WITHIN, reply_rx)
            .await
            .ok()
            .and_then(Result::ok)
            .unwrap_or_default()
    }

    fn send(&self, command: BfdCommand) {
        if self.commands.send(command).is_err() {
            tracing::error!("the BFD thread has ended: routers will take this node for dead");
        }
        // A full pipe is an alarm that has not been heard yet.
        let _ = (&self.waker).write(&[0]);
    }
}

#[cfg(test)]
mod tests;
