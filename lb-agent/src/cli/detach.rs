//! The subcommand `fairlead detach`.

use clap::Args;
use hyper::Method;

use super::common::PinArgs;
use super::removal;
use crate::admin::is_served;
use lb_client::client::{self, AdminClientError};
use lb_client::common::SocketArgs;
use lb_dataplane::pins::Pins;
use lb_dataplane::traces::RemovalError;

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
    /// The keeper of BGP sessions does not end them.
    #[error("the keeper on this node does not end the BGP sessions: {0}")]
    Keeper(#[source] std::io::Error),
    /// Pins, routes, rules or proxy neighbor entries cannot be removed.
    #[error("{0}")]
    Removal(String),
    /// The runtime cannot be created.
    #[error("cannot start the runtime: {0}")]
    Runtime(#[from] std::io::Error),
}

/// Makes a running agent detach, or closes its BGP sessions and hands over in its place; then removes the
/// pinned links and maps of all layouts, the blackhole routes of aggregates and the proxy neighbor entries of
/// IPv6 addresses. Prints everything that it removes.
///
/// # Errors
/// See [`DetachError`].
pub fn run(args: &DetachArgs) -> Result<(), DetachError> {
    let pins = Pins::below(&args.pins.bpffs);
    let socket = &args.socket.socket;
    // A running agent holds links and maps by descriptors, and would pin them again.
    let is_running = is_served(socket);
    if is_running {
        client::request(socket, &Method::POST, "/detach")?;
        println!("the agent has detached the XDP program; restart it to attach again");
    } else {
        // Routers must not send packets to a node without the program. They remove its routes while others
        // take over.
        lb_keeper::dismiss_all(&args.socket.keeper(), env!("CARGO_PKG_VERSION"))
            .map_err(DetachError::Keeper)?;
        removal::hand_over(&pins);
    }
    let removal = removal::remove_from_kernel(&pins)?;
    removal::print(&removal);
    if removal.removed.is_empty() && !is_running {
        println!("nothing is pinned in {}", pins.directory().display());
    }
    if removal.failures.is_empty() { Ok(()) } else { Err(DetachError::Removal(sentence(&removal.failures))) }
}

/// Joins the failures to one line.
fn sentence(failures: &[RemovalError]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
