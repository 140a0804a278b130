//! What is announced by BGP, and to whom.

mod advertisement;
mod community;
mod peer;
mod profile;

pub use advertisement::BgpAdvertisement;
pub use peer::{Endpoint, Password, Peer, RemoteAs};
pub use profile::BfdProfile;

use std::collections::BTreeMap;

use super::node::Node;
use super::pool::Pools;
use super::{NodeName, Unique};
use crate::objects::{Object, Sourced};
use crate::problem::{Problem, Reason};

/// What is announced by BGP, and to whom: valid, with references resolved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bgp {
    /// Routers, by the names of their objects.
    pub peers: BTreeMap<String, Peer>,
    /// What they are told, in the order of the objects' names.
    pub advertisements: Vec<BgpAdvertisement>,
}

impl Bgp {
    pub(super) fn build(
        unique: &Unique<'_>,
        pools: &Pools,
        nodes: &BTreeMap<NodeName, Node>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let objects = || unique.values().copied();
        let aliases = community::aliases(objects(), problems);
        let profiles = profile::build(objects(), problems);
        let peers = peer::build(objects(), &profiles, problems);
        let context = advertisement::Context { aliases: &aliases, pools, nodes };
        let advertisements = advertisement::build(objects(), &context, problems);
        Self { peers, advertisements }
    }
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

    fn refuse(&mut self, field: impl Into<String>, reason: Reason) {
        self.sound = false;
        self.problems.push(Problem::at(self.object, field, reason));
    }

    /// A value that must be sound where it is there.
    fn value<T>(&mut self, field: &str, value: Result<T, Reason>) -> Option<T> {
        value.map_err(|reason| self.refuse(field, reason)).ok()
    }

    /// Entries of a list, none of which may be there twice.
    fn distinct<T: PartialEq + std::fmt::Debug>(
        &mut self,
        field: &str,
        entries: &[T],
        words: impl Fn(&T) -> String,
    ) {
        for (i, entry) in entries.iter().enumerate() {
            if entries.get(..i).is_some_and(|before| before.contains(entry)) {
                self.refuse(format!("{field}[{i}]"), Reason::DuplicateEntry { written: words(entry) });
            }
        }
    }
}
