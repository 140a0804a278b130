//! Archives that the kernel unpacks as its first file system: cpio in the "new ASCII" format
//! (`Documentation/driver-api/early-userspace/buffer-format.rst`). Several may follow each other.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const DIRECTORY: u32 = 0o04_0755;
const REGULAR: u32 = 0o10_0000;
/// The name of the last entry.
const TRAILER: &str = "TRAILER!!!";

/// The builder of an archive. Directories are added implicitly, in front of their content.
#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    directories: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
}

impl Archive {
    /// Adds a directory.
    pub(super) fn directory(&mut self, path: &Path) {
        let path = path.strip_prefix("/").unwrap_or(path);
        let Some(parent) = path.parent() else { return };
        self.directory(parent);
        if self.directories.insert(path.to_owned()) {
            self.entry(&path.to_string_lossy(), DIRECTORY, &[]);
        }
    }

    /// Adds a file with this content, unless the path exists.
    pub(super) fn file(&mut self, path: &Path, mode: u32, content: &[u8]) {
        let path = path.strip_prefix("/").unwrap_or(path);
        if self.files.insert(path.to_owned()) {
            self.directory(path.parent().unwrap_or(Path::new("")));
            self.entry(&path.to_string_lossy(), REGULAR | mode, content);
        }
    }

    /// Adds a file of this machine.
    pub(super) fn copy(&mut self, from: &Path, to: &Path) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        let mode = fs::metadata(from)?.permissions().mode() & 0o777;
        self.file(to, mode, &content);
        Ok(())
    }

    /// Returns the archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry(TRAILER, 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        let number = self.directories.len() + self.files.len();
        let links = if mode == DIRECTORY { 2 } else { 1 };
        // Magic; inode, mode, owner, group, links, time, size, device, device of a node, length of the name,
        // sum.
        let fields =
            [number as u32, mode, 0, 0, links, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Archive;

    #[test]
    fn directories_precede_their_files_and_each_path_is_added_once() {
        let mut archive = Archive::default();
        archive.file(Path::new("/usr/bin/tool"), 0o755, b"five!");
        archive.file(Path::new("/usr/bin/tool"), 0o755, b"again");
        archive.directory(Path::new("/usr"));
        let bytes = archive.finish();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let places: Vec<usize> = ["usr\0", "usr/bin\0", "usr/bin/tool\0", "five!", "TRAILER!!!\0"]
            .iter()
            .map(|it| text.find(it).unwrap())
            .collect();
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!(text.matches("070701").count(), 4);
        assert!(!text.contains("again"));
        assert_eq!(bytes.len() % 4, 0);
        let header = text.find("usr/bin/tool\0").unwrap() - 110;
        assert_eq!(&text[header..header + 22], "07070100000003000081ed", "inode and mode");
    }
}
