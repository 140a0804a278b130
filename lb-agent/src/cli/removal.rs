//! The removal of Fairlead from this node's kernel, as `fairlead detach` and `fairlead uninstall` do it.

use std::io;

use lb_dataplane::maps::{HAND_OVER, Maps};
use lb_dataplane::pins::Pins;
use lb_dataplane::traces::{self, NodeTrace, OwnPrograms, Removal};
use tokio::runtime::Runtime;

/// Makes the program state that this node drains and announces nothing, and gives the other nodes the time to
/// take over. Without it, the node's own stack would reset their connections.
pub(super) fn hand_over(pins: &Pins) {
    let is_handing_over = Maps::open(pins).and_then(|mut maps| maps.leave());
    if is_handing_over.is_ok_and(|leaves| leaves) {
        std::thread::sleep(HAND_OVER);
    }
}

/// Removes everything from the kernel.
///
/// # Errors
/// When the runtime cannot be created; other failures are in the result.
pub(super) fn remove_from_kernel(pins: &Pins) -> io::Result<Removal> {
    Ok(runtime()?.block_on(traces::remove(pins)))
}

/// Returns everything that is in the kernel.
///
/// # Errors
/// When the kernel cannot be read.
pub(super) fn find_in_kernel(pins: &Pins, programs: &OwnPrograms) -> io::Result<Vec<NodeTrace>> {
    runtime()?.block_on(traces::find(pins, programs))
}

/// Prints what was removed.
pub(super) fn print(removal: &Removal) {
    removal.removed.iter().for_each(|removed| println!("removed {removed}"));
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
