//! The subcommand `fairlead detach`.

use clap::Args;
use hyper::Method;

use super::client::{self, AdminClientError};
use super::common::{PinArgs, SocketArgs};
use lb_dataplane::maps::{HAND_OVER, Maps};
use lb_dataplane::net::{blackhole, solicited};
use lb_dataplane::pins::Pins;

/// The arguments of `fairlead detach`.
#[derive(Debug, Args)]
pub struct DetachArgs {
    #[command(flatten)]
    pins: PinArgs,
    #[command(flatten)]
    socket: SocketArgs,
}

/// The reason why not everything was removed.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    /// The running agent does not detach.
    #[error("the agent on this node does not detach: {0}")]
    Agent(#[from] AdminClientError),
    /// A pin, route, rule or proxy neighbor entry cannot be removed.
    #[error("cannot remove all pins, routes, rules and proxy neighbor entries: {0}")]
    Pins(#[from] std::io::Error),
}

/// Makes a running agent detach, or removes its pinned links and maps; then removes the blackhole routes of
/// aggregates and the proxy neighbor entries of IPv6 addresses. Prints everything that it removes.
///
/// # Errors
/// See [`DetachError`].
pub fn run(args: &DetachArgs) -> Result<(), DetachError> {
    let pins = Pins::below(&args.pins.bpffs);
    let socket = &args.socket.socket;
    // A running agent holds links and maps by descriptors, and would pin them again.
    if std::os::unix::net::UnixStream::connect(socket).is_ok() {
        client::request(socket, &Method::POST, "/detach")?;
        println!("the agent has detached the XDP program; restart it to attach again");
        return remove_from_kernel();
    }
    hand_over(&pins);
    let removed = pins.remove_all()?;
    if removed.is_empty() {
        println!("nothing is pinned in {}", pins.directory().display());
    }
    for path in removed {
        println!("removed {}", path.display());
    }
    remove_from_kernel()
}

/// Makes the program state that this node drains and announces nothing, and gives the other nodes the time to
/// take over. Without it, the node's own stack would reset their connections.
fn hand_over(pins: &Pins) {
    let is_handing_over = Maps::open(pins).and_then(|mut maps| maps.leave());
    if is_handing_over.is_ok_and(|leaves| leaves) {
        std::thread::sleep(HAND_OVER);
    }
}

/// Removes blackhole routes, and leaves the multicast groups of IPv6 addresses.
fn remove_from_kernel() -> Result<(), DetachError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let removed = runtime.block_on(blackhole::remove_all())?;
    for removed in removed.into_iter().chain(runtime.block_on(solicited::leave_all())?) {
        println!("removed {removed}");
    }
    Ok(())
}
