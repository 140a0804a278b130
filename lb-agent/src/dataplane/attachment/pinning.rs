//! Pins: every map and link that is held has one, as far as there is a BPF file system.

use std::fs;
use std::path::Path;

use aya::maps::MapData;
use aya::programs::links::{FdLink, PinnedLink};
use lb_common::map_table::MAPS;

use super::{AttachError, Attachment};
use crate::dataplane::pins::Pins;

/// Holds all pinned maps.
pub(super) fn open_all(pins: &Pins) -> Result<Vec<(&'static str, MapData)>, AttachError> {
    let open = |map: &'static str| {
        let path = pins.map(map);
        let opened = MapData::from_pin(&path);
        Ok((map, opened.map_err(|e| AttachError::Pin { path, reason: e.to_string() })?))
    };
    MAPS.iter().map(|map| open(map.name)).collect()
}

impl Attachment {
    /// Pins what is held and has no pin, or whose pin leads to something else, and removes pins of links that are held
    /// no more.
    pub(super) fn pin_all(&mut self) -> Result<(), AttachError> {
        if !self.pins.is_mounted() {
            return Err(AttachError::NoBpffs { path: self.pins.bpffs().to_path_buf() });
        }
        let path = self.pins.directory();
        fs::create_dir_all(&path).map_err(|source| AttachError::Directory { path, source })?;
        for (name, map) in &self.maps {
            pin_map(&self.pins.map(name), map)?;
        }
        for uplink in &mut self.uplinks {
            // A link that cannot be pinned is lost, and with it the attachment. So links come last: what keeps links
            // from being pinned has kept maps from it.
            if let Some(held) = &mut uplink.held
                && let Some(link) = held.link.take()
            {
                held.link = Some(pin_link(&self.pins.link(&uplink.name), link)?);
            }
        }
        self.remove_stale_pins();
        Ok(())
    }

    /// Removes the pins of an uplink's link.
    pub(super) fn unpin(&self, uplink: &str) {
        for (_, path) in self.pins.links().unwrap_or_default().into_iter().filter(|(name, _)| name == uplink)
        {
            let _ = fs::remove_file(path);
        }
    }

    fn remove_stale_pins(&self) {
        for (name, path) in self.pins.links().unwrap_or_default() {
            let is_held = |it: &super::Uplink| it.name == name && it.held.is_some();
            if !self.uplinks.iter().any(is_held) || path != self.pins.link(&name) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn pin_map(path: &Path, map: &MapData) -> Result<(), AttachError> {
    let id = |map: &MapData| map.info().map(|info| info.id()).ok();
    if MapData::from_pin(path).is_ok_and(|pinned| id(&pinned) == id(map)) {
        return Ok(());
    }
    clear(path)?;
    map.pin(path).map_err(|e| AttachError::Pin { path: path.into(), reason: e.to_string() })
}

fn pin_link(path: &Path, link: FdLink) -> Result<FdLink, AttachError> {
    let id = |link: &FdLink| link.info().map(|info| info.id()).ok();
    if PinnedLink::from_pin(path).is_ok_and(|pinned| id(&pinned.into()) == id(&link)) {
        return Ok(link);
    }
    clear(path)?;
    let pinned = link.pin(path).map_err(|e| AttachError::Pin { path: path.into(), reason: e.to_string() })?;
    Ok(pinned.into())
}

/// Removes a pin that leads to something else.
fn clear(path: &Path) -> Result<(), AttachError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(AttachError::Pin { path: path.into(), reason: e.to_string() })
        }
        _ => Ok(()),
    }
}
