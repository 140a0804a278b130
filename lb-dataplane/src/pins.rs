//! The pin directory: `<bpffs>/fairlead/v<layout>/`.

use std::path::{Path, PathBuf};
use std::{fs, io};

use lb_common::map_table::{LAYOUT, MAPS};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

/// The pins of this map layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    bpffs: PathBuf,
}

impl Pins {
    /// Returns the pins below a BPF file system, in most cases `/sys/fs/bpf`.
    pub fn below(bpffs: &Path) -> Self {
        Self { bpffs: bpffs.to_path_buf() }
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
        self.bpffs.join("fairlead").join(format!("v{LAYOUT}"))
    }

    /// Returns the path of a map's pin.
    pub fn map(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// Returns the path of the pin of an interface's link.
    pub fn link(&self, interface: &str) -> PathBuf {
        self.directory().join(format!("{LINK_PREFIX}{interface}"))
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

    /// Removes all pins of other layouts, which an agent of another version has left.
    ///
    /// # Errors
    /// When a pin exists and cannot be removed.
    pub(crate) fn remove_other_layouts(&self) -> io::Result<()> {
        for layout in self.layouts()?.into_iter().filter(|layout| *layout != self.directory()) {
            for path in entries(&layout)? {
                remove(path, &mut Vec::new())?;
            }
            fs::remove_dir(layout)?;
        }
        Ok(())
    }

    fn layouts(&self) -> io::Result<Vec<PathBuf>> {
        let is_layout = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| name.strip_prefix('v')).is_some_and(|number| number.parse::<u32>().is_ok())
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
        }
        let directory = self.directory();
        for directory in [Some(directory.as_path()), directory.parent()].into_iter().flatten() {
            // Fails if it holds pins of another layout, or files that Fairlead has not created.
            let _ = fs::remove_dir(directory);
        }
        Ok(removed)
    }
}

const LINK_PREFIX: &str = "link_";

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
    path.file_name()?.to_str()?.strip_prefix(LINK_PREFIX).map(str::to_owned)
}

fn remove(path: PathBuf, removed: &mut Vec<PathBuf>) -> io::Result<()> {
    match fs::remove_file(&path) {
        Ok(()) => removed.push(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
