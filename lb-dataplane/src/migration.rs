//! Migration: the maps of another layout, carried into this one while the old program forwards.
//!
//! ```text
//! v6/ (links, maps, records) ── decide ──→ v7_new/ ── a map with the same fields: pinned here too
//!                                             │     ├─ a map with other fields: new, entries converted
//!                                             │     └─ any other map: new and empty, written from the plan
//!                                             └─ complete: renamed v7/
//! ```
//!
//! The links stay with the old program until the new maps hold a plan. A crash at any point leaves either no
//! `v7/` or a `v7/` without links; the next agent starts from the beginning in both cases. The agent of the
//! lower layout takes the same path back.

mod copy;
mod fate;
mod record;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use aya::EbpfError;
use aya::maps::{MapData, MapError};
use lb_common::map_table::{MapSpec, name};

use self::fate::{Fate, Left, OldMap, decide};
use self::record::Record;
use crate::attach::MapSizes;
use crate::pins::Pins;

/// The reason why nothing of another layout is carried over.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A file or directory below the pins is in the way.
    #[error("cannot {action} {}: {source}", .path.display())]
    Path {
        /// What the agent tried.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The new maps cannot be created.
    #[error("cannot create the maps of this layout: {0}")]
    Create(#[source] Box<EbpfError>),
    /// A pin that the agent has just made is missing.
    #[error("cannot open the new map {map}: {source}")]
    Open {
        /// The map.
        map: &'static str,
        /// The kernel's error.
        source: Box<MapError>,
    },
}

/// The layout that the maps are carried into.
pub struct Target<'a> {
    /// Its pins.
    pub pins: &'a Pins,
    /// Its maps.
    pub maps: &'a [MapSpec],
    /// The sizes of its maps, unless the other layout has maps whose sizes to keep.
    pub sizes: MapSizes,
    /// Creates and pins the maps that are not pinned yet.
    pub create: &'a dyn Fn(&Pins, MapSizes) -> Result<(), EbpfError>,
}

/// What was carried over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The layout that the maps are from.
    pub from: u32,
    /// The maps that both layouts use.
    pub shared: Vec<&'static str>,
    /// The maps whose entries were copied.
    pub copied: Vec<&'static str>,
    /// The maps that are written from the plan, with the reason.
    pub left: Vec<(&'static str, String)>,
}

/// A step towards the new directory that failed.
enum Failure {
    /// This map cannot be carried over; the others may be.
    Map(&'static str, String),
    All(MigrationError),
}

impl From<MigrationError> for Failure {
    fn from(error: MigrationError) -> Self {
        Self::All(error)
    }
}

/// Carries the maps of another layout over, if there is one that forwards and this one does not. Returns
/// what was carried, or `None` if there is nothing to carry.
///
/// # Errors
/// When the new directory cannot be made; then nothing has changed.
pub fn carry_over(target: &Target<'_>) -> Result<Option<Carried>, MigrationError> {
    let pins = target.pins;
    let read = |path: PathBuf| move |source| MigrationError::Path { action: "read", path, source };
    discard(&pins.staging())?;
    let Some(from) = pins.source().map_err(read(pins.directory()))? else { return Ok(None) };
    let Some(layout) = from.layout() else { return Ok(None) };
    let old = OldMaps::open(&from, target.maps);
    let mut failed = BTreeMap::new();
    loop {
        let fates =
            decide((layout, pins.layout().unwrap_or_default()), target.maps, &old.described(), &failed);
        match build(target, &old, &fates) {
            Ok(()) => {
                replace(pins)?;
                return Ok(Some(carried(layout, fates)));
            }
            // Once for each map at most: one that has failed is left behind the next time.
            Err(Failure::Map(map, reason)) => drop(failed.insert(map, reason)),
            Err(Failure::All(error)) => {
                let _ = discard(&pins.staging());
                return Err(error);
            }
        }
        discard(&pins.staging())?;
    }
}

/// Writes the records of the maps beside their pins, where they are missing.
///
/// # Errors
/// When one cannot be written.
pub fn write_records(pins: &Pins, maps: &[MapSpec]) -> io::Result<()> {
    for map in maps {
        let (path, text) = (pins.record(map.name), Record::of(map).to_string());
        match std::os::unix::fs::symlink(&text, &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => result?,
        }
    }
    Ok(())
}

/// Returns the first map whose record or kernel object is not of this build, though its layout has the same
/// number.
pub(crate) fn foreign_map(pins: &Pins, maps: &[MapSpec]) -> Option<&'static str> {
    let is_foreign = |map: &MapSpec| {
        let Ok(data) = MapData::from_pin(pins.map(map.name)) else { return false };
        let Ok(old) = OldMap::of(&data, pins, map.name) else { return false };
        let other_fields = match &old.record {
            Ok(record) => *record != Record::of(map),
            Err(Left::NoRecord) => false,
            Err(_) => true,
        };
        let sizes = [fate::kernel_key_size(map), map.sizes[1]];
        other_fields || old.kind != fate::kernel_kind(map.kind) || old.sizes != sizes
    };
    maps.iter().find(|map| is_foreign(map)).map(|map| map.name)
}

/// The maps of the other layout that have the name of one of this layout.
struct OldMaps<'a>(BTreeMap<&'a str, (MapData, OldMap)>);

impl<'a> OldMaps<'a> {
    /// Opens those that can be opened.
    fn open(from: &Pins, maps: &'a [MapSpec]) -> Self {
        let open = |map: &'a MapSpec| {
            let path = from.map(map.name);
            let data = match MapData::from_pin(&path) {
                Ok(data) => data,
                Err(error) => {
                    if path.exists() {
                        tracing::warn!(path = %path.display(), %error, "not a map: it is left behind");
                    }
                    return None;
                }
            };
            let old = OldMap::of(&data, from, map.name).ok()?;
            Some((map.name, (data, old)))
        };
        Self(maps.iter().filter_map(open).collect())
    }

    fn described(&self) -> BTreeMap<&str, OldMap> {
        self.0.iter().map(|(name, (_, old))| (*name, old.clone())).collect()
    }

    /// Returns the sizes that the maps of this layout get: pinned maps keep theirs.
    fn sizes(&self, configured: MapSizes) -> MapSizes {
        let entries = |name| self.0.get(name).and_then(|(_, old)| u32::try_from(old.entries).ok());
        MapSizes {
            ring_slots: entries(name::RINGS).unwrap_or(configured.ring_slots),
            flow_sets: entries(name::FLOWS).unwrap_or(configured.flow_sets),
        }
    }
}

impl OldMap {
    fn of(data: &MapData, pins: &Pins, name: &str) -> Result<Self, MapError> {
        let info = data.info()?;
        let sizes = [info.key_size() as usize, info.value_size() as usize];
        let record = match std::fs::read_link(pins.record(name)) {
            Ok(text) => text.to_str().and_then(|text| text.parse::<Record>().ok()).ok_or(Left::Damaged),
            Err(_) => Err(Left::NoRecord),
        };
        let fits = |record: &Record| record.key.end() <= sizes[0] && record.value.end() <= sizes[1];
        let record = record.and_then(|record| if fits(&record) { Ok(record) } else { Err(Left::Damaged) });
        let kind = info.map_type().map_or(0, |kind| kind as u32);
        Ok(Self { kind, sizes, entries: info.max_entries() as usize, flags: info.map_flags(), record })
    }
}

/// Makes the new directory under its temporary name.
fn build(
    target: &Target<'_>,
    old: &OldMaps<'_>,
    fates: &BTreeMap<&'static str, Fate>,
) -> Result<(), Failure> {
    let staging = target.pins.staging();
    let path = staging.directory();
    let error = |action, path: &Path| {
        let path = path.to_path_buf();
        move |source| MigrationError::Path { action, path, source }
    };
    std::fs::create_dir_all(&path).map_err(error("create", &path))?;
    write_records(&staging, target.maps).map_err(error("write the records in", &path))?;
    for (map, fate) in fates {
        if let (Fate::Shared, Some((data, _))) = (fate, old.0.get(map)) {
            data.pin(staging.map(map)).map_err(|error| Failure::Map(map, error.to_string()))?;
        }
    }
    (target.create)(&staging, old.sizes(target.sizes)).map_err(|e| MigrationError::Create(Box::new(e)))?;
    for (map, fate) in fates {
        if let (Fate::Copied(moves), Some((data, _))) = (fate, old.0.get(map)) {
            let open = |source| MigrationError::Open { map, source: Box::new(source) };
            let new = MapData::from_pin(staging.map(map)).map_err(open)?;
            copy::copy(data, &new, moves).map_err(|error| Failure::Map(map, error.to_string()))?;
        }
    }
    Ok(())
}

/// Puts the new directory in place of one that no link belongs to.
fn replace(pins: &Pins) -> Result<(), MigrationError> {
    discard(pins)?;
    let (from, to) = (pins.staging().directory(), pins.directory());
    std::fs::rename(&from, &to).map_err(|source| MigrationError::Path {
        action: "rename",
        path: from,
        source,
    })
}

/// Removes a directory with all its pins.
fn discard(pins: &Pins) -> Result<(), MigrationError> {
    let path = pins.directory();
    pins.remove_directory().map_err(|source| MigrationError::Path { action: "remove", path, source })
}

fn carried(from: u32, fates: BTreeMap<&'static str, Fate>) -> Carried {
    let mut carried = Carried { from, shared: Vec::new(), copied: Vec::new(), left: Vec::new() };
    for (map, fate) in fates {
        match fate {
            Fate::Shared => carried.shared.push(map),
            Fate::Copied(_) => carried.copied.push(map),
            Fate::Left(reason) => carried.left.push((map, reason.to_string())),
        }
    }
    carried
}

impl Carried {
    /// Logs it, with the consequence of everything that is left behind.
    pub(crate) fn log(&self) {
        let Self { from, shared, copied, left } = self;
        tracing::info!(
            from,
            shared = shared.len(),
            copied = copied.len(),
            "carried the maps of another layout over: its program forwards until the new maps hold a plan"
        );
        for (map, reason) in left {
            let consequence = consequence(map);
            tracing::warn!(map, reason, consequence, "did not carry a map over: it is written from the plan");
        }
    }
}

/// Returns what it means to lose the entries of a map.
fn consequence(map: &str) -> &'static str {
    match map {
        name::FLOWS => "flows that have moved are searched for at the kernels of the nodes",
        name::FRAGMENTS => "packets whose fragments are in transit are lost",
        name::LIVENESS => "a node counts as dead until it answers a probe",
        name::RINGS | name::VIPS4 | name::VIPS6 | name::VIPS_MORE => {
            "former leaders are forgotten: connections that have moved may break"
        }
        name::BFD | name::BFD_ADDRESSES => "BFD sessions begin anew",
        name::VERDICTS
        | name::VIP_STATS
        | name::VIP_FLOWS
        | name::NODE_STATS
        | name::L2_STATS
        | name::SOURCE_REFUSED
        | name::FLOW_EVENTS => "counters begin at zero",
        _ => "none",
    }
}
