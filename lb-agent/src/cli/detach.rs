//! `fairlead detach`.

use clap::Args;

use super::PinArgs;
use crate::dataplane::pins::Pins;

/// Arguments of `fairlead detach`.
#[derive(Debug, Args)]
pub struct DetachArgs {
    #[command(flatten)]
    pins: PinArgs,
}

/// Removes links and maps, and says which.
///
/// # Errors
/// When a pin is there and cannot be removed.
pub fn run(args: &DetachArgs) -> std::io::Result<()> {
    let pins = Pins::below(&args.pins.bpffs);
    let removed = pins.remove_all()?;
    if removed.is_empty() {
        println!("nothing is pinned in {}", pins.directory().display());
    }
    for path in removed {
        println!("removed {}", path.display());
    }
    Ok(())
}
