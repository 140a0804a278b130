//! Objects out of files, directories and standard input.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use lb_api::objects::{self, Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// Name of what comes from standard input.
const STANDARD_INPUT: &str = "-";

/// Texts by the names of their files.
pub(super) type Texts = BTreeMap<String, String>;

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// The objects.
    pub objects: Vec<Sourced<Object>>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    pub(super) texts: Texts,
}

/// Something that cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}", .path.display())]
pub struct ReadError {
    path: PathBuf,
    source: io::Error,
}

/// Reads files, the files of directories and of those below them, and standard input for `-`.
///
/// # Errors
/// When a file or directory cannot be read; what is wrong within one is a problem.
pub fn read(paths: &[String]) -> Result<Read, ReadError> {
    let mut read = Read::default();
    for path in paths {
        let error = |source| ReadError { path: path.into(), source };
        if path == STANDARD_INPUT {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map_err(error)?;
            read.take("stdin".to_owned(), text);
        } else if Path::new(path).is_dir() {
            for file in files(Path::new(path))? {
                read.file(&file)?;
            }
        } else {
            read.file(Path::new(path))?;
        }
    }
    Ok(read)
}

impl Read {
    /// Reads the objects of a text; `name` is its name in problems.
    pub fn take(&mut self, name: String, text: String) {
        let (objects, problems) = objects::parse(&name, &text);
        self.objects.extend(objects);
        self.problems.extend(problems.into_iter().filter(concerns));
        self.texts.insert(name, text);
    }

    fn file(&mut self, path: &Path) -> Result<(), ReadError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| ReadError { path: path.to_path_buf(), source })?;
        self.take(path.display().to_string(), text);
        Ok(())
    }
}

/// Beside what configures a load balancer there is much else in a directory of manifests.
fn concerns(problem: &Problem) -> bool {
    !matches!(&problem.reason, Reason::UnknownKind { api_version, .. } if !api_version.starts_with("metallb.io/"))
}

/// The files of a directory and of those below it, by name.
fn files(directory: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let error = |source| ReadError { path: directory.to_path_buf(), source };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(error)? {
        entries.push(entry.map_err(error)?.path());
    }
    entries.sort();
    let mut found = Vec::new();
    for path in entries {
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if is_manifest(&path) {
            found.push(path);
        }
    }
    Ok(found)
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| matches!(extension, "yaml" | "yml" | "json"))
}
