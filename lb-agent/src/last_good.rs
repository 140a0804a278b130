//! What was accepted last of the objects that configure the load balancer, in a file: an agent that starts while
//! one of them is wrong goes on with what the agent before it accepted.
//!
//! The file helps, and nothing depends on it: whatever is wrong with it is a warning.

mod file;

use std::path::PathBuf;
use std::sync::Arc;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;
use lb_model::Model;
use lb_model::last_good::LastGood;

use lb_kube::snapshot::{self, Snapshot};

/// What was accepted last, and the file that it stands in.
#[derive(Debug)]
pub struct LastGoodFile {
    path: PathBuf,
    /// Where the objects come from: a node may be given to another cluster.
    origin: String,
    accepted: LastGood,
    /// Whether it is known what an agent before this one accepted.
    recalled: bool,
    /// Whether the file says what is accepted.
    is_written: bool,
    /// Whether what stands at the path is somebody else's.
    is_foreign: bool,
    /// Why it could not be written, when that was last tried.
    failure: Option<String>,
}

impl LastGoodFile {
    /// The file of this path, for objects of this origin; nothing is read yet.
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

    /// Reads what an agent before this one accepted. `restarted` tells whether there was one, which should have
    /// left a file.
    pub fn read(&mut self, restarted: bool) {
        let path = self.path.display();
        match file::read(&self.path, &self.origin) {
            Ok(accepted) => {
                tracing::info!(%path, objects = accepted.objects().count(), "known from before: what was accepted last");
                self.accepted = accepted;
                self.is_written = true;
            }
            Err(file::ReadError::Missing) if !restarted => {}
            Err(error) if error.may_be_replaced() => tracing::warn!(
                %path,
                %error,
                "cannot read what was accepted before; a pool, router or advertisement that is wrong now counts for \
                 nothing until it is mended, and the file will be written anew"
            ),
            Err(error) => {
                tracing::warn!(
                    %path,
                    %error,
                    "this cannot be told to be a file of an agent and is left alone, so an agent after this one would not know what \
                     was accepted; give another --accepted-file, or remove this one and restart the agent"
                );
                self.is_foreign = true;
            }
        }
    }

    /// Puts what was accepted before in the place of objects that are there and cannot be read.
    pub fn complete(&self, snapshot: &mut Snapshot) {
        let stand_ins = self.accepted.stand_ins(&snapshot.objects, &snapshot.problems);
        for object in stand_ins {
            snapshot.problems.extend(snapshot::staying(&object));
            snapshot.objects.push(object);
        }
    }

    /// The model to go on from with these objects; only the first time, as each model has another before it then.
    pub fn recall(&mut self, objects: &[Arc<Sourced<Object>>]) -> Option<Model> {
        let is_first = !std::mem::replace(&mut self.recalled, true);
        is_first.then(|| self.accepted.model(objects))
    }

    /// Takes in what came of objects, and writes it down where that is different.
    pub fn note(&mut self, objects: &[Arc<Sourced<Object>>], problems: &[Problem], model: &Model) {
        if self.accepted.note(objects, problems, model) {
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
                // It is tried again with every change of any object.
                if self.failure.as_ref() != Some(&failure) {
                    tracing::warn!(
                        path = %self.path.display(),
                        error = failure,
                        "cannot write what is accepted, so an agent after this one would not know it; let the agent \
                         write there, or give another --accepted-file"
                    );
                }
                self.failure = Some(failure);
            }
        }
    }
}

#[cfg(test)]
mod tests;
