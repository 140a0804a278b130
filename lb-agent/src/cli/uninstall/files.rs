//! The files of an agent on its node: sockets, last-known-good configuration, and their directory.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::admin::is_served;
use lb_dataplane::traces::{NodeTrace, Removal, RemovalError};
use lb_kube::last_good::LastGoodFile;

/// The name of a directory that Fairlead creates.
const DIRECTORY: &str = "fairlead";

/// The files of this node.
#[derive(Debug)]
pub(super) struct NodeFiles {
    sockets: [PathBuf; 2],
    /// Files that no other program writes.
    plain: [PathBuf; 2],
    last_good: PathBuf,
    /// The directory of the sockets, if Fairlead has created it.
    directory: Option<PathBuf>,
}

impl NodeFiles {
    /// Returns the files of the agent and the keeper with these sockets.
    pub(super) fn new(agent: &Path, keeper: PathBuf, last_good: PathBuf) -> Self {
        let with = |path: &Path, suffix: &str| -> PathBuf {
            let mut path = path.as_os_str().to_owned();
            path.push(suffix);
            path.into()
        };
        let directory = agent.parent().filter(|it| it.file_name() == Some(OsStr::new(DIRECTORY)));
        Self {
            plain: [with(&keeper, ".lock"), with(&last_good, ".draft")],
            sockets: [agent.to_path_buf(), keeper],
            last_good,
            directory: directory.map(Path::to_path_buf),
        }
    }

    /// Removes the files, and their directory if it is empty then. A socket that a process listens on stays.
    pub(super) fn remove(&self, removal: &mut Removal) {
        for socket in &self.sockets {
            if is_served(socket) {
                let error = io::Error::other("a process listens on it");
                removal.failures.push(RemovalError::new(socket.display(), error));
            } else {
                removal.note_path(socket, fs::remove_file(socket));
            }
        }
        for file in &self.plain {
            removal.note_path(file, fs::remove_file(file));
        }
        if self.is_last_good_own() {
            removal.note_path(&self.last_good, fs::remove_file(&self.last_good));
        }
        if let Some(directory) = self.directory.as_ref().filter(|it| is_empty(it)) {
            removal.note_path(directory, fs::remove_dir(directory));
        }
    }

    /// Returns what is there.
    pub(super) fn find(&self) -> Vec<NodeTrace> {
        let files = self.sockets.iter().chain(&self.plain).filter(|path| path.symlink_metadata().is_ok());
        let last_good = self.is_last_good_own().then_some(&self.last_good);
        let directory = self.directory.as_ref().filter(|it| is_empty(it));
        files.chain(last_good).chain(directory).map(|path| NodeTrace::new(path.display())).collect()
    }

    /// Returns whether the file is there and an agent has written it.
    fn is_last_good_own(&self) -> bool {
        LastGoodFile::is_at(&self.last_good)
    }
}

/// Returns whether a directory exists and is empty.
fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Returns the run directory, and the files in it.
    fn node(root: &Path) -> io::Result<(PathBuf, NodeFiles)> {
        let directory = root.join("fairlead");
        fs::create_dir(&directory)?;
        let files = NodeFiles::new(
            &directory.join("agent.sock"),
            directory.join("keeper.sock"),
            directory.join("agent.accepted.json"),
        );
        Ok((directory, files))
    }

    #[test]
    fn own_files_are_removed_with_their_directory() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let (directory, files) = node(root.path())?;
        drop(UnixListener::bind(directory.join("agent.sock"))?);
        fs::write(directory.join("keeper.sock.lock"), "")?;
        fs::write(directory.join("agent.accepted.json"), "{\"format\":1}")?;
        fs::write(directory.join("agent.accepted.json.draft"), "{")?;
        assert_eq!(files.find().len(), 4);
        let mut removal = Removal::default();
        files.remove(&mut removal);
        assert_eq!((removal.removed.len(), removal.failures.len()), (5, 0), "{removal:?}");
        assert!(files.find().is_empty() && !directory.exists());
        Ok(())
    }

    #[test]
    fn files_of_others_stay_and_so_does_the_directory() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let (directory, files) = node(root.path())?;
        fs::write(directory.join("agent.accepted.json"), "not written by an agent")?;
        let mut removal = Removal::default();
        files.remove(&mut removal);
        assert_eq!((removal.removed.len(), removal.failures.len()), (0, 0), "{removal:?}");
        assert!(files.find().is_empty() && directory.join("agent.accepted.json").exists());
        Ok(())
    }

    #[test]
    fn a_socket_in_use_stays_and_is_found() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let (directory, files) = node(root.path())?;
        let _listener = UnixListener::bind(directory.join("keeper.sock"))?;
        let mut removal = Removal::default();
        files.remove(&mut removal);
        assert!(removal.failures[0].to_string().contains("a process listens on it"), "{removal:?}");
        assert_eq!(files.find(), [NodeTrace::new(directory.join("keeper.sock").display())]);
        Ok(())
    }

    #[test]
    fn a_directory_that_fairlead_has_not_created_stays() {
        let files = NodeFiles::new(Path::new("/tmp/x.sock"), "/tmp/keeper.sock".into(), "/tmp/x.json".into());
        assert_eq!(files.directory, None);
    }
}
