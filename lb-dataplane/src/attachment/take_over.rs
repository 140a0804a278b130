//! The takeover of the links that a previous agent has left pinned.

use std::fs;

use aya::programs::links::{FdLink, PinnedLink};

use super::decide::{XdpInterface, XdpProgram, locate};
use super::links::{HeldLink, LoadedProgram};
use super::uplink::Uplink;
use crate::attach::{AttachError, AttachMode};
use crate::pins::Pins;

/// Takes over the links of a previous agent, and returns the interfaces as they are afterwards. Detaches
/// interfaces that are no longer uplinks and removes their pins.
pub(super) fn take_over(
    pins: &Pins,
    program: &mut LoadedProgram,
    uplinks: &mut [Uplink],
    mut interfaces: Vec<XdpInterface>,
) -> Result<Vec<XdpInterface>, AttachError> {
    let (mut pinned, mut links) = (Vec::new(), Vec::new());
    let mut paths = pins.links().unwrap_or_default();
    // This layout's first: an agent that was killed while it switched leaves a link pinned in both.
    paths.sort_by_key(|(name, path)| *path != pins.link(name));
    for (name, path) in paths {
        let opened = PinnedLink::from_pin(&path).ok().map(FdLink::from);
        let known = opened.and_then(|link| Some((link.info().ok()?.program_id(), link)));
        if let Some((program, link)) = known {
            pinned.push((name, program));
            links.push((path, link));
        }
    }
    for ((path, link), index) in links.into_iter().zip(locate(&pinned, &interfaces)) {
        let interface = interfaces.iter_mut().find(|it| Some(it.index) == index);
        let Some(interface) = interface else { continue };
        let Some(uplink) = uplinks.iter_mut().find(|uplink| uplink.name == interface.name) else {
            tracing::info!(interface = %interface.name, "detached: the interface is no longer an uplink");
            let _ = fs::remove_file(&path);
            interface.program = None;
            continue;
        };
        let mut held = HeldLink::new(link, interface.index, false);
        if path != pins.link(&interface.name) {
            held.other_pin = Some(path);
            uplink.link.get_or_insert(held);
            continue;
        }
        match program.restore(held, &interface.name) {
            Ok(held) => {
                uplink.link = Some(held);
                let (id, mode) = (program.id(), interface.program.map_or(AttachMode::Off, |it| it.mode));
                interface.program = Some(XdpProgram { id, mode });
                tracing::info!(interface = %interface.name, ?mode, "adopted the XDP program of the previous agent");
            }
            // The interface has just been deleted.
            Err(_) => drop(fs::remove_file(&path)),
        }
    }
    Ok(interfaces)
}
