//! `fairlead detach`.

use clap::Args;
use hyper::Method;

use super::client::{self, ClientError};
use super::{PinArgs, SocketArgs};
use lb_dataplane::net::blackhole;
use lb_dataplane::pins::Pins;

/// Arguments of `fairlead detach`.
#[derive(Debug, Args)]
pub struct DetachArgs {
    #[command(flatten)]
    pins: PinArgs,
    #[command(flatten)]
    socket: SocketArgs,
}

/// Why not all is removed.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    /// The agent does not let go.
    #[error("the agent that runs here does not detach: {0}")]
    Agent(#[from] ClientError),
    /// A pin or a route is there and cannot be removed.
    #[error("cannot remove all pins and routes: {0}")]
    Pins(#[from] std::io::Error),
}

/// Has an agent that runs let go, removes links and maps, and the blackholes of aggregates, and says which.
///
/// # Errors
/// When the agent does not let go, or a pin or a route is there and cannot be removed.
pub fn run(args: &DetachArgs) -> Result<(), DetachError> {
    let pins = Pins::below(&args.pins.bpffs);
    let socket = &args.socket.socket;
    // An agent holds what it has attached, and would pin it again.
    if std::os::unix::net::UnixStream::connect(socket).is_ok() {
        client::ask(socket, &Method::POST, "/detach")?;
        println!("the agent has detached; it attaches again when it is restarted");
        return remove_blackholes();
    }
    let removed = pins.remove_all()?;
    if removed.is_empty() {
        println!("nothing is pinned in {}", pins.directory().display());
    }
    for path in removed {
        println!("removed {}", path.display());
    }
    remove_blackholes()
}

fn remove_blackholes() -> Result<(), DetachError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for removed in runtime.block_on(blackhole::remove_all())? {
        println!("removed {removed}");
    }
    Ok(())
}
