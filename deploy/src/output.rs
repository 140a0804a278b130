//! Generated files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// Generated texts by path below `deploy/`.
pub type Files = BTreeMap<PathBuf, String>;

/// Returns the directory `deploy/` of the source tree.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Formats an object as YAML with sorted fields: the order of a map differs between builds.
///
/// # Errors
/// When it cannot be written.
pub fn yaml(object: &Value) -> anyhow::Result<String> {
    let options = serde_saphyr::ser_options! { compact_list_indent: true, prefer_block_scalars: false };
    Ok(serde_saphyr::to_string_with_options(&Sorted(object), options)?)
}

/// Formats an object as JSON with sorted fields, and a line break at the end.
///
/// # Errors
/// When it cannot be written.
pub fn json(object: &Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&Sorted(object))? + "\n")
}

/// A value whose fields are written in sorted order.
struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => {
                let fields: BTreeMap<_, _> = fields.iter().map(|(name, value)| (name, Self(value))).collect();
                serializer.collect_map(fields)
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            leaf => leaf.serialize(serializer),
        }
    }
}

/// Writes the files that differ. Returns the paths that it wrote or removed.
///
/// # Errors
/// When a file cannot be read, written or removed.
pub fn write(files: &Files, root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let stale = stale(files, root)?;
    for path in &stale {
        let place = root.join(path);
        match files.get(path) {
            Some(text) => {
                if let Some(directory) = place.parent() {
                    fs::create_dir_all(directory)?;
                }
                fs::write(&place, text).with_context(|| format!("cannot write {}", place.display()))?;
            }
            None => {
                fs::remove_file(&place).with_context(|| format!("cannot remove {}", place.display()))?;
            }
        }
    }
    Ok(stale)
}

/// The paths of files that are missing, differ, or stand in a directory of made files and are not made any
/// more.
///
/// # Errors
/// When a directory cannot be read.
pub fn stale(files: &Files, root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut stale: Vec<PathBuf> = files
        .iter()
        .filter(|(path, text)| fs::read_to_string(root.join(path)).ok().as_ref() != Some(text))
        .map(|(path, _)| path.clone())
        .collect();
    let mut directories: Vec<&Path> = files.keys().filter_map(|path| path.parent()).collect();
    directories.dedup();
    for directory in directories {
        let Ok(entries) = fs::read_dir(root.join(directory)) else { continue };
        for entry in entries {
            let path = directory.join(entry?.file_name());
            if path.extension().is_some_and(|it| it == "yaml") && !files.contains_key(&path) {
                stale.push(path);
            }
        }
    }
    Ok(stale)
}
