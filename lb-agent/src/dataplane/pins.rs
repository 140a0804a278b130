//! Where things are pinned: `<bpffs>/fairlead/v<layout>/`.

use std::path::{Path, PathBuf};
use std::{fs, io};

use lb_common::map_table::{LAYOUT, MAPS};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

/// The directory of this layout's pins. An agent never looks into another layout's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    bpffs: PathBuf,
}

impl Pins {
    /// Pins below a BPF file system, mostly `/sys/fs/bpf`.
    pub fn below(bpffs: &Path) -> Self {
        Self { bpffs: bpffs.to_path_buf() }
    }

    /// The file system itself.
    pub fn bpffs(&self) -> &Path {
        &self.bpffs
    }

    /// Whether it is a BPF file system.
    pub fn is_mounted(&self) -> bool {
        statfs(&self.bpffs).is_ok_and(|stat| stat.filesystem_type() == BPF_FS_MAGIC)
    }

    /// The directory.
    pub fn directory(&self) -> PathBuf {
        self.bpffs.join("fairlead").join(format!("v{LAYOUT}"))
    }

    /// Where a map is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// Where the link of an uplink is pinned.
    pub fn link(&self, interface: &str) -> PathBuf {
        self.directory().join(format!("{LINK_PREFIX}{interface}"))
    }

    /// Interfaces that a link is pinned for.
    ///
    /// # Errors
    /// When the directory exists and cannot be read.
    pub fn linked_interfaces(&self) -> io::Result<Vec<String>> {
        let names = entries(&self.directory())?.into_iter().filter_map(|path| linked(&path));
        Ok(names.collect())
    }

    /// Every pinned link, of other layouts too: the interface that it is pinned for, and its path.
    ///
    /// # Errors
    /// When a directory exists and cannot be read.
    pub fn links(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let mut links = Vec::new();
        for layout in self.layouts()? {
            links.extend(entries(&layout)?.into_iter().filter_map(|path| Some((linked(&path)?, path))));
        }
        Ok(links)
    }

    /// Removes all that is pinned in other layouts: what an agent of another version has left.
    ///
    /// # Errors
    /// When a pin is there and cannot be removed.
    pub fn remove_other_layouts(&self) -> io::Result<()> {
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

    /// Removes every pin of this layout, links first, so that no packet meets half a program; then the
    /// directories, as far as they are empty. Returns what was removed.
    ///
    /// # Errors
    /// When a pin is there and cannot be removed.
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
            // Not empty: somebody else's pins, or another layout's, which are not ours to remove.
            let _ = fs::remove_dir(directory);
        }
        Ok(removed)
    }
}

const LINK_PREFIX: &str = "link_";

/// What is in a directory, in order; nothing where there is no such directory.
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

/// The interface whose link is pinned there.
fn linked(path: &Path) -> Option<String> {
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
