//! Objects out of files, directories and standard input.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use lb_api::objects::{self, Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) objects: Vec<Sourced<Object>>,
    /// What could not be read.
    pub(super) problems: Vec<Problem>,
}

/// Why nothing can be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}; name a file, a directory with .yaml, .yml or .json files, or -", .path.display())]
pub struct InputError {
    path: PathBuf,
    source: io::Error,
}

/// The group of what configures the load balancer.
const OURS: &str = "metallb.io/";

/// All objects, and what of them cannot be read. Kinds that are none of a load balancer's are left out without a
/// word: manifests hold more than what concerns it.
pub(super) fn read(paths: &[PathBuf]) -> Result<Input, InputError> {
    let mut input = Input::default();
    for path in paths {
        for (name, text) in texts(path)? {
            let (objects, mut problems) = objects::parse(&name, &text);
            problems.retain(|problem| match &problem.reason {
                Reason::UnknownKind { api_version, .. } => api_version.starts_with(OURS),
                _ => true,
            });
            input.objects.extend(objects);
            input.problems.extend(problems);
        }
    }
    Ok(input)
}

/// The name and the text of every file that is meant.
fn texts(path: &Path) -> Result<Vec<(String, String)>, InputError> {
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |source| InputError { path, source }
    };
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(at(path))?;
        return Ok(vec![("-".to_owned(), text)]);
    }
    let files = if path.is_dir() { manifests(path).map_err(at(path))? } else { vec![path.to_path_buf()] };
    let text = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).map_err(at(&file))?;
        Ok((file.display().to_string(), text))
    };
    files.into_iter().map(text).collect()
}

/// The manifests of a directory, in the order of their names.
fn manifests(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|it| matches!(it, "yaml" | "yml" | "json")) && path.is_file() {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}
