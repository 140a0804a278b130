//! The pin directory: `<bpffs>/fairlead/v<layout>/`.

use std::path::{Path, PathBuf};
use std::{fs, io};

use lb_common::map_table::{LAYOUT, MAPS};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

/// The pins of a map layout, in most cases this build's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    bpffs: PathBuf,
    /// The name of the directory.
    name: String,
}

impl Pins {
    /// Returns the pins below a BPF file system, in most cases `/sys/fs/bpf`.
    pub fn below(bpffs: &Path) -> Self {
        Self::of_layout(bpffs, LAYOUT)
    }

    /// Returns the pins of this layout.
    pub fn of_layout(bpffs: &Path, layout: u32) -> Self {
        Self { bpffs: bpffs.to_path_buf(), name: format!("v{layout}") }
    }

    /// Returns the directory that becomes this one when it is complete. (A BPF file system allows no dot in a
    /// name.)
    pub(crate) fn staging(&self) -> Self {
        Self { bpffs: self.bpffs.clone(), name: format!("{}{STAGING_SUFFIX}", self.name) }
    }

    /// Returns the number of the layout; `None` of a staging directory.
    pub(crate) fn layout(&self) -> Option<u32> {
        layout_number(&self.name)
    }

    /// Returns the mount point of the BPF file system.
    pub(crate) fn bpffs(&self) -> &Path {
        &self.bpffs
    }

    /// Returns whether a BPF file system is mounted there.
    pub(crate) fn is_mounted(&self) -> bool {
        statfs(&self.bpffs).is_ok_and(|stat| stat.filesystem_type() == BPF_FS_MAGIC)
    }

    /// Returns the directory of this layout's pins.
    pub fn directory(&self) -> PathBuf {
        self.bpffs.join("fairlead").join(&self.name)
    }

    /// Returns the path of a map's pin.
    pub fn map(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// Returns the path of the record of a map's fields.
    pub(crate) fn record(&self, map: &str) -> PathBuf {
        self.directory().join(format!("{map}{RECORD_SUFFIX}"))
    }

    /// Returns the path of the pin of an interface's link.
    pub fn link(&self, interface: &str) -> PathBuf {
        let name = interface.replace('%', "%25").replace('.', DOT);
        self.directory().join(format!("{LINK_PREFIX}{name}"))
    }

    /// Returns the interfaces that have a pinned link in this layout.
    ///
    /// # Errors
    /// When the directory exists and cannot be read.
    pub(crate) fn linked_interfaces(&self) -> io::Result<Vec<String>> {
        let names = entries(&self.directory())?.into_iter().filter_map(|path| interface_of(&path));
        Ok(names.collect())
    }

    /// Returns the interface and the path of every pinned link, in all layouts.
    ///
    /// # Errors
    /// When a directory exists and cannot be read.
    pub(crate) fn links(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let mut links = Vec::new();
        for layout in self.layouts()? {
            links.extend(entries(&layout)?.into_iter().filter_map(|path| Some((interface_of(&path)?, path))));
        }
        Ok(links)
    }

    /// Returns the pins of the layout whose maps to carry over: of another one that has links, while this one
    /// has none; or of another one, while this one does not exist. Of several, the highest.
    ///
    /// # Errors
    /// When a directory exists and cannot be read.
    pub(crate) fn source(&self) -> io::Result<Option<Self>> {
        let mut others = Vec::new();
        for path in self.layouts()?.into_iter().filter(|path| *path != self.directory()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let pins = Self { bpffs: self.bpffs.clone(), name };
            let has_links = !pins.linked_interfaces()?.is_empty();
            others.extend(pins.layout().map(|number| (has_links, number, pins)));
        }
        let is_live = !self.linked_interfaces()?.is_empty();
        let exists = self.directory().exists();
        let best = others.into_iter().max_by_key(|(has_links, number, _)| (*has_links, *number));
        Ok(best.filter(|(has_links, _, _)| !is_live && (*has_links || !exists)).map(|(_, _, pins)| pins))
    }

    /// Removes all pins of other layouts, which an agent of another version has left.
    ///
    /// # Errors
    /// When a pin exists and cannot be removed.
    pub(crate) fn remove_other_layouts(&self) -> io::Result<()> {
        for layout in self.layouts()?.into_iter().filter(|layout| *layout != self.directory()) {
            remove_directory(&layout)?;
        }
        Ok(())
    }

    /// Removes the directory with all that is in it.
    ///
    /// # Errors
    /// When a pin exists and cannot be removed.
    pub(crate) fn remove_directory(&self) -> io::Result<()> {
        remove_directory(&self.directory())
    }

    /// Returns the directories of all layouts, complete or not.
    fn layouts(&self) -> io::Result<Vec<PathBuf>> {
        let is_layout = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            layout_number(name.strip_suffix(STAGING_SUFFIX).unwrap_or(name)).is_some()
        };
        Ok(entries(&self.bpffs.join("fairlead"))?.into_iter().filter(is_layout).collect())
    }

    /// Removes every pin of this layout, links first, so that no packet reaches a program whose maps are
    /// gone; then empty directories. Returns the removed pins.
    ///
    /// # Errors
    /// When a pin exists and cannot be removed.
    pub fn remove_all(&self) -> io::Result<Vec<PathBuf>> {
        let mut removed = Vec::new();
        for interface in self.linked_interfaces()? {
            remove(self.link(&interface), &mut removed)?;
        }
        for map in MAPS {
            remove(self.map(map.name), &mut removed)?;
            remove(self.record(map.name), &mut Vec::new())?;
        }
        let directory = self.directory();
        for directory in [Some(directory.as_path()), directory.parent()].into_iter().flatten() {
            // Fails if it holds pins of another layout, or files that Fairlead has not created.
            let _ = fs::remove_dir(directory);
        }
        Ok(removed)
    }

    /// Returns Fairlead's pins of all layouts, links first, and then the directories that hold nothing else.
    ///
    /// # Errors
    /// When a directory exists and cannot be read.
    pub fn of_all_layouts(&self) -> io::Result<OwnPins> {
        let root = self.bpffs.join("fairlead");
        let layouts = self.layouts()?;
        let mut own = OwnPins::default();
        let is_other = |path: &PathBuf| !layouts.contains(path);
        let mut is_shared = entries(&root)?.iter().any(is_other);
        for layout in &layouts {
            let (pins, others): (Vec<_>, Vec<_>) =
                entries(layout)?.into_iter().partition(|path| is_pin(path));
            own.pins.extend(pins);
            if others.is_empty() {
                own.directories.push(layout.clone());
            }
            is_shared |= !others.is_empty();
        }
        own.pins.sort_by_key(|path| interface_of(path).is_none());
        own.directories.extend((root.is_dir() && !is_shared).then_some(root));
        Ok(own)
    }
}

/// The pins of all layouts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnPins {
    /// Links, then maps.
    pub pins: Vec<PathBuf>,
    /// Directories that hold nothing else, the inner ones first.
    pub directories: Vec<PathBuf>,
}

const LINK_PREFIX: &str = "link_";
/// A dot in the name of an interface, such as `eth0.100`: a BPF file system permits none.
const DOT: &str = "%2e";
const STAGING_SUFFIX: &str = "_new";
const RECORD_SUFFIX: &str = "-fields";
/// The beginning of every map's name, in every layout.
const MAP_PREFIX: &str = "lb_";

fn layout_number(name: &str) -> Option<u32> {
    name.strip_prefix('v')?.parse().ok()
}

/// Returns the sorted entries of a directory; none if it does not exist.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Returns the interface whose link is pinned at this path.
fn interface_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_prefix(LINK_PREFIX)?;
    Some(name.replace(DOT, ".").replace("%25", "%"))
}

/// Removes a directory with all that is in it; a missing one is no error.
fn remove_directory(directory: &Path) -> io::Result<()> {
    for path in entries(directory)? {
        remove(path, &mut Vec::new())?;
    }
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns whether Fairlead pins something under this name, in any layout.
fn is_pin(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(LINK_PREFIX) || name.starts_with(MAP_PREFIX))
}

fn remove(path: PathBuf, removed: &mut Vec<PathBuf>) -> io::Result<()> {
    match fs::remove_file(&path) {
        Ok(()) => removed.push(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_of_all_layouts_are_found_and_those_of_others_are_not() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let root = directory.path().join("fairlead");
        let files =
            ["v3/lb_vips4", "v3/link_eth0", "v6/lb_config", "v6/theirs", "notes/lb_x", "../lb_others"];
        for file in files.map(|file| root.join(file)) {
            fs::create_dir_all(file.parent().unwrap_or(&root))?;
            fs::write(file, "")?;
        }
        let own = Pins::below(directory.path()).of_all_layouts()?;
        let expected = ["v3/link_eth0", "v3/lb_vips4", "v6/lb_config"].map(|name| root.join(name));
        assert_eq!(own.pins, expected);
        assert_eq!(own.directories, [root.join("v3")]);
        Ok(())
    }

    #[test]
    fn a_link_of_any_interface_can_be_pinned_and_found() {
        let pins = Pins::below(Path::new("/sys/fs/bpf"));
        for (interface, name) in
            [("eth0", "link_eth0"), ("bond0.100", "link_bond0%2e100"), ("a%2e.b", "link_a%252e%2eb")]
        {
            let path = pins.link(interface);
            assert!(path.ends_with(name), "{path:?}");
            assert_eq!(interface_of(&path).as_deref(), Some(interface));
        }
    }

    #[test]
    fn directories_without_others_are_removed_inner_ones_first() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let pins = Pins::below(directory.path());
        assert_eq!(pins.of_all_layouts()?, OwnPins::default());
        let root = directory.path().join("fairlead");
        fs::create_dir_all(root.join("v9"))?;
        assert_eq!(pins.of_all_layouts()?.directories, [root.join("v9"), root]);
        Ok(())
    }
}
