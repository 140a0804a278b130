//! Everything that Fairlead keeps in the kernel of a node, in all map layouts: found, and removed.
//!
//! Nothing of others is touched: pins count by their directory and name, routes, rules and neighbor entries
//! by their protocol number.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fmt, fs, io};

use aya::programs::links::{FdLink, PinnedLink};

use crate::net::{blackhole, link, solicited};
use crate::object::{PROGRAM, TRACE_PROGRAM};
use crate::pins::Pins;

/// The XDP programs of Fairlead, by their IDs.
///
/// A link without a pin is held by a process and does not say whose it is, so the IDs are read while the pins
/// exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnPrograms(BTreeSet<u32>);

/// Something of Fairlead that is on the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeTrace {
    /// A description of it.
    pub what: String,
    /// Why it would be there after a removal.
    pub reason: &'static str,
}

impl NodeTrace {
    /// Describes what can be removed, unless the kernel refuses it.
    pub fn new(what: impl fmt::Display) -> Self {
        Self { what: what.to_string(), reason: "it cannot be removed, or a process has put it back" }
    }
}

/// The result of a removal.
#[derive(Debug, Default)]
pub struct Removal {
    /// A description of each removed object, in order.
    pub removed: Vec<String>,
    /// What could not be removed.
    pub failures: Vec<RemovalError>,
}

/// A failed removal.
#[derive(Debug, thiserror::Error)]
#[error("cannot remove {what}: {source}")]
pub struct RemovalError {
    /// What stays.
    what: String,
    /// The kernel's error.
    source: io::Error,
}

impl RemovalError {
    /// Describes the object that stays, and why.
    pub fn new(what: impl fmt::Display, source: io::Error) -> Self {
        Self { what: what.to_string(), source }
    }
}

impl OwnPrograms {
    /// Reads the programs of the pinned links of all layouts, and those that are known by their name, which
    /// takes CAP_SYS_ADMIN.
    pub fn read(pins: &Pins) -> Self {
        let named = aya::programs::loaded_programs()
            .filter_map(Result::ok)
            .filter(|program| matches!(program.name_as_str(), Some(PROGRAM | TRACE_PROGRAM)))
            .map(|program| program.id());
        let Self(pinned) = Self::pinned(pins);
        Self(pinned.into_iter().chain(named).collect())
    }

    /// Reads the programs of the pinned links of all layouts, which the next agent adopts.
    pub fn pinned(pins: &Pins) -> Self {
        let links = pins.links().unwrap_or_default().into_iter();
        let programs = links.filter_map(|(_, path)| {
            let link = FdLink::from(PinnedLink::from_pin(path).ok()?);
            Some(link.info().ok()?.program_id())
        });
        programs.collect()
    }

    /// Returns whether the program with this ID is one of them.
    pub fn has(&self, id: u32) -> bool {
        self.0.contains(&id)
    }
}

impl FromIterator<u32> for OwnPrograms {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Self {
        Self(ids.into_iter().collect())
    }
}

/// Removes the pins of all layouts, links first, so that no packet reaches a program whose maps are gone;
/// then blackhole routes with their rules, and proxy neighbor entries, which leaves their multicast groups. A
/// failure affects nothing else. Must be called inside a runtime.
pub async fn remove(pins: &Pins) -> Removal {
    let mut removal = Removal::default();
    removal.remove_pins(pins);
    removal.note("the blackhole routes and their rules", blackhole::remove_all().await);
    removal.note("the proxy neighbor entries", solicited::leave_all().await);
    removal
}

/// Returns everything in the kernel that is of Fairlead. `programs` were read before any
/// removal. Must be called inside a runtime.
///
/// # Errors
/// When a directory of pins or the kernel's tables cannot be read.
pub async fn find(pins: &Pins, programs: &OwnPrograms) -> io::Result<Vec<NodeTrace>> {
    let own = pins.of_all_layouts()?;
    let mut found = attached(programs).await?;
    found.extend(own.pins.iter().chain(&own.directories).map(|path| NodeTrace::new(path.display())));
    found.extend(blackhole::describe_all().await?.into_iter().map(NodeTrace::new));
    found.extend(solicited::describe_all().await?.into_iter().map(NodeTrace::new));
    Ok(found)
}

/// Returns the attached programs of Fairlead.
async fn attached(programs: &OwnPrograms) -> io::Result<Vec<NodeTrace>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    let devices = link::all(&handle).await.map_err(io::Error::other)?;
    let own = devices.iter().filter_map(|device| {
        let program = device.program.filter(|program| programs.has(program.id))?;
        let what = format!("XDP program {} on {}", program.id, device.name);
        Some(NodeTrace { what, reason: "a process holds its link, perhaps an agent with another --socket" })
    });
    Ok(own.collect())
}

impl Removal {
    fn remove_pins(&mut self, pins: &Pins) {
        let own = match pins.of_all_layouts() {
            Ok(own) => own,
            Err(error) => {
                return self.failures.push(RemovalError::new("the pins of the maps and links", error));
            }
        };
        for pin in own.pins {
            self.note_path(&pin, fs::remove_file(&pin));
        }
        for directory in own.directories {
            self.note_path(&directory, fs::remove_dir(&directory));
        }
    }

    /// Notes the result of the removal of a path; a missing path is no error.
    pub fn note_path(&mut self, path: &Path, result: io::Result<()>) {
        match result {
            Ok(()) => self.removed.push(path.display().to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.failures.push(RemovalError::new(path.display(), error)),
        }
    }

    fn note(&mut self, what: &str, result: io::Result<Vec<String>>) {
        match result {
            Ok(removed) => self.removed.extend(removed),
            Err(error) => self.failures.push(RemovalError::new(what, error)),
        }
    }
}
