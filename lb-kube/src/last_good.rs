//! The last-known-good configuration in a file: an agent that starts while an object is invalid goes on with
//! the last valid one.
//!
//! The file is best effort: any failure to read or write it is a warning.

mod file;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;
use lb_model::Model;
use lb_model::last_good::LastGood;

use crate::snapshot::{self, Snapshot};

/// The last-known-good configuration, and its file.
#[derive(Debug)]
pub struct LastGoodFile {
    path: PathBuf,
    /// The source of the objects: a node may be moved to another cluster.
    origin: String,
    accepted: LastGood,
    /// Whether the first model has been asked for.
    recalled: bool,
    /// Whether the file is up to date.
    is_written: bool,
    /// Whether the path holds a file of another program.
    is_foreign: bool,
    /// The error of the last write.
    failure: Option<String>,
}

impl LastGoodFile {
    /// Returns the file at `path` for objects of `origin`, unread.
    pub fn at(path: PathBuf, origin: String) -> Self {
        Self {
            path,
            origin,
            accepted: LastGood::default(),
            recalled: false,
            is_written: false,
            is_foreign: false,
            failure: None,
        }
    }

    /// Returns whether there is a file at `path` that an agent has written.
    pub fn is_at(path: &Path) -> bool {
        file::is_own(path)
    }

    /// Reads what an earlier agent saved. `restarted` is whether there was one, so that a file is expected.
    pub fn read(&mut self, restarted: bool) {
        let path = self.path.display();
        match file::read(&self.path, &self.origin) {
            Ok(accepted) => {
                tracing::info!(%path, objects = accepted.objects().count(), "loaded the last-known-good configuration");
                self.accepted = accepted;
                self.is_written = true;
            }
            Err(file::ReadError::Missing) if !restarted => {}
            Err(error) if error.may_be_replaced() => tracing::warn!(
                %path,
                %error,
                "cannot read the last-known-good configuration; objects that are invalid now are ignored until they are \
                 corrected; the file will be replaced"
            ),
            Err(error) => {
                tracing::warn!(
                    %path,
                    %error,
                    "not overwriting a file that the agent may not have written, so the last-known-good configuration is not \
                     saved; set another --last-good-file, or remove this file and restart the agent"
                );
                self.is_foreign = true;
            }
        }
    }

    /// Replaces objects that exist and cannot be read by their last valid version.
    pub fn complete(&self, snapshot: &mut Snapshot) {
        let fallbacks = self.accepted.fallbacks(&snapshot.objects, &snapshot.problems);
        for object in fallbacks {
            snapshot.problems.extend(snapshot::stale_problem(&object));
            snapshot.objects.push(object);
        }
    }

    /// Returns the model to start from with these objects. Only the first call returns one: later models
    /// follow another.
    pub fn recall(&mut self, objects: &[Arc<Sourced<Object>>]) -> Option<Model> {
        let is_first = !std::mem::replace(&mut self.recalled, true);
        is_first.then(|| self.accepted.model(objects))
    }

    /// Notes which objects are valid, and writes the file if that changed.
    pub fn note(&mut self, objects: &[Arc<Sourced<Object>>], problems: &[Problem], model: &Model) {
        if self.accepted.record(objects, problems, model) {
            self.is_written = false;
        }
        if !self.is_written && !self.is_foreign {
            self.write();
        }
    }

    fn write(&mut self) {
        match file::write(&self.path, &self.origin, &self.accepted) {
            Ok(()) => {
                self.is_written = true;
                self.failure = None;
            }
            Err(error) => {
                let failure = error.to_string();
                // Retried with every change of any object.
                if self.failure.as_ref() != Some(&failure) {
                    tracing::warn!(
                        path = %self.path.display(),
                        error = failure,
                        "cannot save the last-known-good configuration, so the next agent starts without it; make the path \
                         writable, or set another --last-good-file"
                    );
                }
                self.failure = Some(failure);
            }
        }
    }
}

#[cfg(test)]
mod tests;
