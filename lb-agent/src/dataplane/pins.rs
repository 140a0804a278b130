//! Where things are pinned: `<bpffs>/fairlead/v<layout>/`.

use std::path::{Path, PathBuf};
use std::{fs, io};

use lb_common::maps::{LAYOUT, name};
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
        let entries = match fs::read_dir(self.directory()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut interfaces = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            interfaces.extend(name.to_str().and_then(|n| n.strip_prefix(LINK_PREFIX)).map(str::to_owned));
        }
        interfaces.sort();
        Ok(interfaces)
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
        for map in name::ALL {
            remove(self.map(map), &mut removed)?;
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

fn remove(path: PathBuf, removed: &mut Vec<PathBuf>) -> io::Result<()> {
    match fs::remove_file(&path) {
        Ok(()) => removed.push(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
