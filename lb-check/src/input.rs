//! Input of `fairlead check`: objects from files, directories and standard input.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use lb_api::objects::{self, Object, Sourced};
use lb_api::problem::{Problem, ReadReason, Reason};

use lb_kube::directory;

/// The objects and texts that were read.
#[derive(Debug, Default)]
pub(crate) struct Input {
    pub(crate) objects: Vec<Sourced<Object>>,
    /// Files and objects that could not be read.
    pub(crate) problems: Vec<Problem>,
    /// The texts, by file name.
    pub(crate) texts: BTreeMap<String, String>,
}

/// The reason why an input cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}; use a file, a directory with .yaml, .yml or .json files, or - for standard input", .path.display())]
pub struct InputError {
    path: PathBuf,
    source: io::Error,
}

/// The API group of the configuration.
const CONFIGURATION_GROUP: &str = "metallb.io/";

/// Reads all objects. Skips unrelated kinds silently: manifests contain more than what concerns a load
/// balancer.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Input, InputError> {
    let mut input = Input::default();
    for path in paths {
        let (texts, unreadable) = texts(path)?;
        input.problems.extend(unreadable);
        for (name, text) in texts {
            let (objects, mut problems) = objects::parse(&name, &text);
            problems.retain(|problem| match &problem.reason {
                Reason::Read(ReadReason::UnknownKind { api_version, .. }) => {
                    api_version.starts_with(CONFIGURATION_GROUP)
                }
                _ => true,
            });
            input.objects.extend(objects);
            input.problems.extend(problems);
            input.texts.insert(name, text);
        }
    }
    Ok(input)
}

/// File names and texts.
type Texts = Vec<(String, String)>;

/// Reads the files of a path. Problems are files of a directory that cannot be read.
fn texts(path: &Path) -> Result<(Texts, Vec<Problem>), InputError> {
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |source| InputError { path, source }
    };
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(at(path))?;
        return Ok((vec![("-".to_owned(), text)], Vec::new()));
    }
    if !path.is_dir() {
        // A path on the command line may also be a pipe.
        let text = std::fs::read_to_string(path).map_err(at(path))?;
        return Ok((vec![(path.display().to_string(), text)], Vec::new()));
    }
    let (mut texts, mut problems) = (Vec::new(), Vec::new());
    for file in manifests(path).map_err(at(path))? {
        let name = file.display().to_string();
        match directory::read_once(&file) {
            Ok(text) => texts.push((name, text)),
            Err(error) => problems.push(Problem {
                source: Some(name),
                ..Problem::general(ReadReason::UnreadableFile { error })
            }),
        }
    }
    Ok((texts, problems))
}

/// Lists the manifests of a directory, sorted by name.
fn manifests(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|it| matches!(it, "yaml" | "yml" | "json")) {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::read;

    #[test]
    fn an_unreadable_file_of_a_directory_is_reported_and_the_others_are_read() {
        let place = tempfile::TempDir::new().unwrap();
        let path = place.path();
        fs::write(path.join("a.yaml"), "{apiVersion: v1, kind: Node, metadata: {name: a}}").unwrap();
        fs::write(path.join("b.yaml"), b"# caf\xe9\n").unwrap();
        mkfifo(&path.join("c.yaml"), Mode::S_IRWXU).unwrap();
        let input = read(&[path.to_path_buf()]).unwrap();
        assert_eq!(input.objects.len(), 1);
        let problems: Vec<_> = input.problems.iter().map(ToString::to_string).collect();
        assert!(problems[0].contains("b.yaml: line 1 is not UTF-8"), "{problems:?}");
        assert!(problems[1].contains("is a named pipe"), "{problems:?}");
        assert!(read(&[path.join("nowhere")]).is_err());
    }
}
