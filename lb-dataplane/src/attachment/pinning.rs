//! Pins: every map and link that the agent holds is pinned while a BPF file system is mounted.

use std::fs;
use std::path::Path;

use aya::maps::MapData;
use aya::programs::links::{FdLink, PinnedLink};
use lb_common::map_table::MAPS;

use super::uplink::Uplink;
use crate::attach::AttachError;
use crate::pins::Pins;

/// The maps of the program, with their names.
pub(super) type HeldMaps = Vec<(&'static str, MapData)>;

/// Opens all pinned maps.
pub(super) fn open_all(pins: &Pins) -> Result<HeldMaps, AttachError> {
    let open = |map: &'static str| {
        let path = pins.map(map);
        let opened = MapData::from_pin(&path);
        Ok((map, opened.map_err(|e| AttachError::Pin { path, reason: e.to_string() })?))
    };
    MAPS.iter().map(|map| open(map.name)).collect()
}

/// Pins all maps and links whose pin is missing or leads to another object, and removes pins of links that
/// are no longer held.
pub(super) fn pin_all(pins: &Pins, maps: &HeldMaps, uplinks: &mut [Uplink]) -> Result<(), AttachError> {
    if !pins.is_mounted() {
        return Err(AttachError::NoBpffs { path: pins.bpffs().to_path_buf() });
    }
    let path = pins.directory();
    fs::create_dir_all(&path).map_err(|source| AttachError::Directory { path, source })?;
    for (name, map) in maps {
        pin_map(&pins.map(name), map)?;
    }
    for uplink in uplinks.iter_mut() {
        // A link that cannot be pinned is closed, and the program detached. So links come last: whatever
        // prevents a pin has already failed for a map.
        if let Some(held) = &mut uplink.link
            && held.other_pin.is_none()
            && let Some(link) = held.link.take()
        {
            held.link = Some(pin_link(&pins.link(&uplink.name), link)?);
        }
    }
    remove_stale(pins, uplinks);
    Ok(())
}

/// Pins a pinned link under a second path.
pub(super) fn pin_again(pin: &Path, path: &Path) -> Result<(), AttachError> {
    let error = |reason| AttachError::Pin { path: path.into(), reason };
    let link = FdLink::from(PinnedLink::from_pin(pin).map_err(|e| error(e.to_string()))?);
    pin_link(path, link).map(drop)
}

/// Removes the pins of an uplink's link, in all layouts.
pub(super) fn unpin(pins: &Pins, uplink: &str) {
    for (_, path) in pins.links().unwrap_or_default().into_iter().filter(|(name, _)| name == uplink) {
        let _ = fs::remove_file(path);
    }
}

fn remove_stale(pins: &Pins, uplinks: &[Uplink]) {
    for (name, path) in pins.links().unwrap_or_default() {
        let is_held = |it: &Uplink| match it.link.as_ref().map(|link| &link.other_pin) {
            Some(Some(other)) => *other == path,
            Some(None) => it.name == name && path == pins.link(&name),
            None => false,
        };
        if !uplinks.iter().any(is_held) {
            let _ = fs::remove_file(path);
        }
    }
}

fn pin_map(path: &Path, map: &MapData) -> Result<(), AttachError> {
    let id = |map: &MapData| map.info().map(|info| info.id()).ok();
    if MapData::from_pin(path).is_ok_and(|pinned| id(&pinned) == id(map)) {
        return Ok(());
    }
    remove(path)?;
    map.pin(path).map_err(|e| AttachError::Pin { path: path.into(), reason: e.to_string() })
}

fn pin_link(path: &Path, link: FdLink) -> Result<FdLink, AttachError> {
    let id = |link: &FdLink| link.info().map(|info| info.id()).ok();
    if PinnedLink::from_pin(path).is_ok_and(|pinned| id(&pinned.into()) == id(&link)) {
        return Ok(link);
    }
    remove(path)?;
    let pinned = link.pin(path).map_err(|e| AttachError::Pin { path: path.into(), reason: e.to_string() })?;
    Ok(pinned.into())
}

/// Removes a pin that leads to another object.
fn remove(path: &Path) -> Result<(), AttachError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(AttachError::Pin { path: path.into(), reason: e.to_string() })
        }
        _ => Ok(()),
    }
}
