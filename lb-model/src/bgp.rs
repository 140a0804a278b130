//! What is announced by BGP, and to whom.

mod advertisement;
mod community;
mod peer;
mod profile;

pub use advertisement::BgpAdvertisement;
pub use peer::{Endpoint, Password, Peer, RemoteAs};
pub use peer::{SECRET_KEY, SECRET_TYPE};
pub use profile::BfdProfile;

use std::collections::BTreeMap;

use super::NodeName;
use super::lists;
use super::node::Node;
use super::pool::Pools;
use lb_api::objects::{Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// What is announced by BGP, and to whom: valid, with references resolved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bgp {
    /// Routers, by the names of their objects.
    pub peers: BTreeMap<String, Peer>,
    /// Their names. Of several that are one router to a node, the one that comes first here counts on it.
    pub precedence: Vec<String>,
    /// What they are told, in the order of the objects' names.
    pub advertisements: Vec<BgpAdvertisement>,
}

impl Bgp {
    pub(super) fn build(
        ordered: &[&Sourced<Object>],
        pools: &Pools,
        nodes: &BTreeMap<NodeName, Node>,
        before: &Self,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let objects = || ordered.iter().copied();
        let aliases = community::aliases(objects(), problems);
        let profiles = profile::build(objects(), problems);
        let (peers, precedence) = peer::build(objects(), &profiles, &before.peers, problems);
        let context = advertisement::Context { aliases: &aliases, pools, nodes };
        let advertisements = advertisement::build(objects(), &context, &before.advertisements, problems);
        Self { peers, precedence, advertisements }
    }
}

/// Objects of a kind by the names that others refer to them by.
type Names<'a> = BTreeMap<&'a str, &'a Sourced<Object>>;

/// Whether no object before has the name of this one.
fn takes_name<'a>(object: &'a Sourced<Object>, names: &mut Names<'a>, problems: &mut Vec<Problem>) -> bool {
    let first = *names.entry(&object.value.metadata().name).or_insert(object);
    let is_first = std::ptr::eq(first, object);
    if !is_first {
        let by = first.value.reference().to_string();
        problems.push(Problem::at(object, "metadata.name", Reason::NameTaken { by }));
    }
    is_first
}

/// Collects what is wrong with one object.
struct Judge<'a> {
    object: &'a Sourced<Object>,
    problems: &'a mut Vec<Problem>,
    /// Whether nothing has been wrong so far.
    sound: bool,
}

impl<'a> Judge<'a> {
    fn of(object: &'a Sourced<Object>, problems: &'a mut Vec<Problem>) -> Self {
        Self { object, problems, sound: true }
    }

    /// What was accepted of the object before, if anything was.
    fn former<T: Clone>(&mut self, former: Option<&T>) -> Option<T> {
        let former = former?.clone();
        self.problems.push(Problem::of(self.object, Reason::StaysAsBefore));
        Some(former)
    }

    fn refuse(&mut self, field: impl Into<String>, reason: Reason) {
        self.sound = false;
        self.problems.push(Problem::at(self.object, field, reason));
    }

    /// Something that is of no effect, while the object counts.
    fn warn(&mut self, field: impl Into<String>, reason: Reason) {
        self.problems.push(Problem::at(self.object, field, reason));
    }

    /// A value that must be sound where it is there.
    fn value<T>(&mut self, field: &str, value: Result<T, Reason>) -> Option<T> {
        value.map_err(|reason| self.refuse(field, reason)).ok()
    }

    /// Looks at the lists and selectors of the object.
    fn lists(&mut self) {
        let faults = lists::problems(self.object);
        self.sound &= faults.is_empty();
        self.problems.extend(faults);
    }
}

#[cfg(test)]
mod tests;
