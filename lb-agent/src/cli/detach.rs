//! `fairlead detach`.

use clap::Args;

use super::PinArgs;
use crate::dataplane::pins::Pins;
use crate::net::blackhole;

/// Arguments of `fairlead detach`.
#[derive(Debug, Args)]
pub struct DetachArgs {
    #[command(flatten)]
    pins: PinArgs,
}

/// Removes links and maps, and the blackholes of aggregates, and says which.
///
/// # Errors
/// When a pin or a route is there and cannot be removed.
pub fn run(args: &DetachArgs) -> std::io::Result<()> {
    let pins = Pins::below(&args.pins.bpffs);
    let removed = pins.remove_all()?;
    if removed.is_empty() {
        println!("nothing is pinned in {}", pins.directory().display());
    }
    for path in removed {
        println!("removed {}", path.display());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for removed in runtime.block_on(blackhole::remove_all())? {
        println!("removed {removed}");
    }
    Ok(())
}
