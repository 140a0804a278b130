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
mod target;
mod thread;
mod view;

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use tokio::sync::oneshot;

pub use self::status::{BfdSessionStatus, BfdStatus};
pub use self::target::{BfdTarget, BfdTargets};
use self::thread::{BfdCommand, BfdThread};
pub use self::view::{BfdSnapshot, BfdView};
use lb_dataplane::bfd::BfdMaps;
use lb_runtime::watchdog::Heart;

/// The thread answers a request at once.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// The thread's handle: dropped, the thread ends, and routers are left to find that out.
#[derive(Debug)]
pub(super) struct BfdMonitor {
    commands: Sender<BfdCommand>,
    /// A byte wakes the thread.
    waker: UnixStream,
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
        tokio::time::timeout(REPLY_TIMEOUT, reply_rx).await.ok().and_then(Result::ok).unwrap_or_default()
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
