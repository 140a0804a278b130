//! The subcommand `fairlead uninstall`.

mod files;
mod keeper;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use hyper::Method;

use self::files::NodeFiles;
use super::common::PinArgs;
use super::removal;
use crate::admin::is_served;
use lb_client::client::{self, AdminClientError};
use lb_client::common::SocketArgs;
use lb_dataplane::pins::Pins;
use lb_dataplane::traces::{NodeTrace, OwnPrograms};
use nix::sys::signal::{SigSet, Signal};

/// How long a running agent has to withdraw its routes, close its sessions and detach.
const AGENT_LIMIT: Duration = Duration::from_secs(60);
/// How long its process has to end after that.
const EXIT_LIMIT: Duration = Duration::from_secs(10);
/// How long the kernel has to release what is no longer pinned.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);
/// The interval at which its end is checked.
const EXIT_POLL: Duration = Duration::from_millis(20);

/// The arguments of `fairlead uninstall`.
#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// The file of the last-known-good configuration, if the agent had --last-good-file.
    #[arg(long, alias = "accepted-file", value_name = "FILE")]
    last_good_file: Option<PathBuf>,
    /// After a successful removal, wait for SIGTERM or SIGINT, so that a DaemonSet's pod counts as running.
    #[arg(long)]
    stay: bool,
    #[command(flatten)]
    pins: PinArgs,
    #[command(flatten)]
    socket: SocketArgs,
}

/// The reason why something of Fairlead is left on this node.
#[derive(Debug, thiserror::Error)]
pub enum UninstallError {
    /// The running agent does not end.
    #[error("the agent on this node does not uninstall: {0}; stop it, and run `fairlead uninstall` again")]
    Agent(#[source] AdminClientError),
    /// The running agent has answered, but goes on.
    #[error(
        "an agent still answers on {}: stop what restarts it (on Kubernetes, delete the DaemonSet), and run `fairlead \
         uninstall` again",
        .0.display()
    )]
    Restarted(PathBuf),
    /// The keeper of BGP sessions does not end.
    #[error(transparent)]
    Keeper(#[from] keeper::KeeperEndError),
    /// The node cannot be looked at.
    #[error("cannot list what is left on this node: {0}")]
    Look(#[from] std::io::Error),
    /// Something is left; it has been printed.
    #[error(
        "not everything of Fairlead is removed from this node: {0} left, see the lines that begin with \"left\""
    )]
    Left(usize),
    /// The wait for signals failed.
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] nix::Error),
}

/// Removes everything of Fairlead from this node, and prints each thing: makes a running agent withdraw its
/// routes and end, ends a keeper of BGP sessions, hands over to the other nodes, and removes what is in the
/// kernel and in files. Then looks for what is left.
///
/// # Errors
/// See [`UninstallError`].
pub fn run(args: &UninstallArgs) -> Result<(), UninstallError> {
    let pins = Pins::below(&args.pins.bpffs);
    let socket = &args.socket.socket;
    // Without pins, a link that a process still holds would not say whose it is.
    let programs = OwnPrograms::read(&pins);
    let keeper = args.socket.keeper();
    let last_good = args.last_good_file.clone().unwrap_or_else(|| args.socket.last_good());
    let files = NodeFiles::new(socket, keeper.clone(), last_good);
    let look = || -> std::io::Result<Vec<NodeTrace>> {
        Ok([removal::find_in_kernel(&pins, &programs)?, files.find()].concat())
    };
    if is_served(socket) {
        let before = look()?;
        end_agent(socket)?;
        let after = look()?;
        before.iter().filter(|it| !after.contains(it)).for_each(|it| println!("removed {}", it.what));
    }
    if keeper::end(&keeper)? {
        println!("ended the keeper of BGP sessions on {}", keeper.display());
    }
    removal::hand_over(&pins);
    let mut removal = removal::remove_from_kernel(&pins)?;
    files.remove(&mut removal);
    removal::print(&removal);
    removal.failures.iter().for_each(|failure| println!("failed  {failure}"));
    let left = settled(look)?;
    left.iter().for_each(|it| println!("left    {}: {}", it.what, it.reason));
    if !left.is_empty() {
        return Err(UninstallError::Left(left.len()));
    }
    println!("nothing of Fairlead is left on this node");
    if args.stay { stay().map_err(UninstallError::Signals) } else { Ok(()) }
}

/// Looks until nothing is left, or for as long as the kernel may take: it releases links and programs a
/// moment after their last pin is removed.
fn settled(look: impl Fn() -> std::io::Result<Vec<NodeTrace>>) -> std::io::Result<Vec<NodeTrace>> {
    let deadline = Instant::now() + RELEASE_LIMIT;
    loop {
        let left = look()?;
        if left.is_empty() || Instant::now() > deadline {
            return Ok(left);
        }
        std::thread::sleep(EXIT_POLL);
    }
}

/// Makes the agent withdraw its routes, close its sessions, detach and end; waits until it has ended.
fn end_agent(socket: &Path) -> Result<(), UninstallError> {
    println!("the agent withdraws its routes, closes its BGP sessions and hands over to the other nodes");
    client::request_within(socket, &Method::POST, "/uninstall", AGENT_LIMIT)
        .map_err(UninstallError::Agent)?;
    let deadline = Instant::now() + EXIT_LIMIT;
    while is_served(socket) {
        if Instant::now() > deadline {
            return Err(UninstallError::Restarted(socket.to_path_buf()));
        }
        std::thread::sleep(EXIT_POLL);
    }
    println!("the agent has detached the XDP program and ended");
    Ok(())
}

/// Waits for SIGTERM or SIGINT. As the first process of a container, this one gets no signal that it does not
/// handle or wait for.
fn stay() -> nix::Result<()> {
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    signals.thread_block()?;
    signals.wait().map(drop)
}
