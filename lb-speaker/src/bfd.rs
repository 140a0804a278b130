//! BFD sessions with the peers (RFC 5880 to 5883): sends packets on time, assigns received packets to
//! sessions, and reports state changes.
//!
//! Runs on a thread of its own with real-time priority if permitted: if packets are sent late, routers
//! declare this node down.

mod addresses;
mod echo;
mod kernel_sessions;
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

pub use self::kernel_sessions::BfdKernel;
pub use self::status::{BfdSessionStatus, BfdStatus};
pub use self::target::{BfdTarget, BfdTargets};
use self::thread::{BfdCommand, BfdThread};
pub use self::view::{BfdSnapshot, BfdView};
use lb_runtime::watchdog::Heart;

/// Time within which the thread answers a request.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// Handle of the BFD thread. Dropping it ends the thread; the XDP program then answers the routers for some
/// time, and the next agent adopts the sessions.
#[derive(Debug)]
pub(super) struct BfdMonitor {
    commands: Sender<BfdCommand>,
    /// A byte wakes the thread.
    waker: UnixStream,
}

impl BfdMonitor {
    /// Starts the thread. `kernel` are the maps in which the XDP program notes BFD packets, if loaded.
    /// `report` receives each change of a peer's reachability. `seed` spreads packets and derives
    /// discriminators.
    ///
    /// # Errors
    /// If the thread cannot be spawned.
    pub(super) fn start(
        seed: u64,
        kernel: Option<BfdKernel>,
        heart: Heart,
        report: impl Fn(&str, bool) + Send + 'static,
    ) -> io::Result<Self> {
        let (commands, command_rx) = channel();
        let (waker, wake_rx) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        wake_rx.set_nonblocking(true)?;
        let bfd_thread = BfdThread::new(seed, kernel, wake_rx, Box::new(report));
        std::thread::Builder::new().name("bfd".into()).spawn(move || bfd_thread.run(&command_rx, &heart))?;
        Ok(Self { commands, waker })
    }

    /// Sets all targets.
    pub(super) fn set(&self, targets: BfdTargets) {
        self.send(BfdCommand::SetTargets(targets));
    }

    /// Ends the thread, and leaves the sessions to another process.
    pub(super) fn leave(&self) {
        self.send(BfdCommand::Leave);
    }

    /// Returns a snapshot of all sessions.
    pub(super) async fn view(&self) -> BfdView {
        let (reply, reply_rx) = oneshot::channel();
        self.send(BfdCommand::View(reply));
        tokio::time::timeout(REPLY_TIMEOUT, reply_rx).await.ok().and_then(Result::ok).unwrap_or_default()
    }

    fn send(&self, command: BfdCommand) {
        if self.commands.send(command).is_err() {
            tracing::error!(
                "the BFD thread has ended; routers will declare this node down; restart the agent"
            );
        }
        // A full pipe already holds a wake-up.
        let _ = (&self.waker).write(&[0]);
    }
}

#[cfg(test)]
mod tests;
