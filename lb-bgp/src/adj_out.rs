//! What a neighbour has been told and what it shall know, and the fewest UPDATEs between the two
//! (Adj-RIB-Out, RFC 4271 section 3.2).
//!
//! Kept is only where the two differ. So a change costs one walk over both tables, and however often the
//! wish changes while a neighbour does not read, there is one entry a prefix, and the neighbour is told the
//! latest only.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::sync::Arc;

use ipnet::IpNet;

use crate::codec::{self, Encoding, MessageTooLong, UpdateWriter, family_of};
use crate::message::{Message, Update};
use crate::value::{Asn, Attributes, Family, NextHop};

/// Prefixes and what is said about each.
pub type Routes = BTreeMap<IpNet, Attributes>;

/// What a neighbour knows of a prefix that it shall know otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Advertised {
    /// Nothing.
    Nothing,
    /// These attributes.
    Route(Attributes),
    /// It has asked to be told again, whatever it knows.
    Uncertain,
}

/// Prefixes of one family that go into UPDATEs together.
#[derive(Clone, Debug)]
struct Batch {
    family: Family,
    /// `None` withdraws.
    attributes: Option<Attributes>,
    /// In descending order: they are taken from the end.
    prefixes: Vec<IpNet>,
}

/// What a session adds to each route.
#[derive(Clone, Copy, Debug)]
pub struct UpdateTerms<'a> {
    /// How long messages may be, and the like.
    pub encoding: Encoding,
    /// Where routes of each family lead to.
    pub next_hops: &'a BTreeMap<Family, NextHop>,
    /// AS_PATH.
    pub as_path: &'a [Asn],
}

/// What a neighbour has been told and what it shall know.
#[derive(Debug, Default)]
pub struct AdjOut {
    /// `None` until somebody knows: before that an End-of-RIB would make a neighbour forget routes that it
    /// kept over our restart.
    desired: Option<Arc<Routes>>,
    /// Families of the session; empty without one.
    families: BTreeSet<Family>,
    /// Families whose End-of-RIB has not been sent.
    pending_end_of_rib: BTreeSet<Family>,
    /// Prefixes of these families, as far as the neighbour does not know what is wanted.
    pending: BTreeMap<IpNet, Advertised>,
    /// How `pending` is to be sent; made when it is asked for, forgotten when the wish changes.
    batches: Option<VecDeque<Batch>>,
}

impl AdjOut {
    /// The whole that the neighbour shall know.
    pub fn set_routes(&mut self, routes: Arc<Routes>) {
        let former = self.desired.replace(Arc::clone(&routes)).unwrap_or_default();
        if self.families.is_empty() || Arc::ptr_eq(&former, &routes) {
            return;
        }
        for (prefix, former, desired) in differences(&former, &routes) {
            if !self.families.contains(&family_of(*prefix)) {
                continue;
            }
            let known = self.pending.remove(prefix);
            let known =
                known.unwrap_or_else(|| former.cloned().map_or(Advertised::Nothing, Advertised::Route));
            if !known.matches(desired) {
                self.pending.insert(*prefix, known);
            }
            self.batches = None;
        }
    }

    /// A session is there that speaks these families; the neighbour knows nothing.
    pub fn begin(&mut self, families: impl IntoIterator<Item = Family>) {
        self.end();
        self.families = families.into_iter().collect();
        self.pending_end_of_rib.clone_from(&self.families);
        let desired = self.desired.iter().flat_map(|desired| desired.keys());
        let spoken = desired.filter(|prefix| self.families.contains(&family_of(**prefix)));
        self.pending = spoken.map(|prefix| (*prefix, Advertised::Nothing)).collect();
    }

    /// The session is over.
    pub fn end(&mut self) {
        self.families.clear();
        self.pending_end_of_rib.clear();
        self.pending.clear();
        self.batches = None;
    }

    /// The neighbour wants to hear all routes of a family again (RFC 2918), or what the session itself says
    /// about them has changed.
    pub fn refresh(&mut self, family: Family) {
        if !self.families.contains(&family) {
            return;
        }
        self.batches = None;
        for prefix in self.desired.iter().flat_map(|desired| desired.keys()) {
            if family_of(*prefix) == family {
                let known = self.pending.entry(*prefix).or_insert(Advertised::Uncertain);
                known.mark_uncertain();
            }
        }
    }

    /// The next UPDATE, whole, if the neighbour does not know everything; it counts as told.
    pub fn poll_update(&mut self, terms: &UpdateTerms<'_>) -> Option<Vec<u8>> {
        let desired = self.desired.as_deref()?;
        let batches = self.batches.get_or_insert_with(|| batches(&self.pending, desired));
        while let Some(batch) = batches.front_mut() {
            let (message, prefixes) = batch.pack(terms);
            for prefix in prefixes {
                self.pending.remove(&prefix);
            }
            if batch.prefixes.is_empty() {
                batches.pop_front();
            }
            if message.is_some() {
                return message;
            }
        }
        self.pending_end_of_rib.pop_first().and_then(|family| end_of_rib(family, terms))
    }

    /// Whether the neighbour knows everything.
    pub fn is_synchronized(&self) -> bool {
        self.desired.is_none() || (self.pending.is_empty() && self.pending_end_of_rib.is_empty())
    }

    /// How many prefixes of a family the neighbour knows.
    pub fn advertised(&self, family: Family) -> usize {
        if !self.families.contains(&family) {
            return 0;
        }
        let desired = self.desired.as_deref();
        let all = desired.into_iter().flat_map(|desired| desired.keys());
        let all = all.filter(|prefix| family_of(**prefix) == family).count();
        let pending = self.pending.iter().filter(|(prefix, _)| family_of(**prefix) == family);
        pending.fold(all, |advertised, (prefix, known)| {
            let is_wanted = desired.is_some_and(|desired| desired.contains_key(prefix));
            match (is_wanted, known) {
                (true, Advertised::Nothing) => advertised.saturating_sub(1),
                (true, Advertised::Route(_) | Advertised::Uncertain) | (false, Advertised::Nothing) => {
                    advertised
                }
                (false, Advertised::Route(_) | Advertised::Uncertain) => advertised + 1,
            }
        })
    }

    /// How many prefixes of a family the neighbour is still to be told about.
    pub fn pending(&self, family: Family) -> usize {
        self.pending.keys().filter(|prefix| family_of(**prefix) == family).count()
    }

    /// Whether the End-of-RIB of a family has been sent.
    pub fn end_of_rib_sent(&self, family: Family) -> bool {
        self.families.contains(&family) && !self.pending_end_of_rib.contains(&family)
    }

    /// How many routes are of families that the session does not speak.
    pub fn unsendable(&self) -> usize {
        let desired = self.desired.iter().flat_map(|desired| desired.keys());
        desired.filter(|prefix| !self.families.contains(&family_of(**prefix))).count()
    }
}

impl Advertised {
    /// Whether this is what is wanted.
    fn matches(&self, desired: Option<&Attributes>) -> bool {
        match self {
            Self::Nothing => desired.is_none(),
            Self::Route(known) => desired == Some(known),
            Self::Uncertain => false,
        }
    }

    fn mark_uncertain(&mut self) {
        match self {
            Self::Nothing | Self::Uncertain => {}
            Self::Route(_) => *self = Self::Uncertain,
        }
    }
}

impl Batch {
    /// One UPDATE with as many of the prefixes as it holds.
    fn pack(&mut self, terms: &UpdateTerms<'_>) -> (Option<Vec<u8>>, Vec<IpNet>) {
        let Ok(mut writer) = self.writer(terms) else {
            // Not even a withdrawal fits, which no length that BGP allows leads to.
            return (None, mem::take(&mut self.prefixes));
        };
        let mut packed = Vec::new();
        while let Some(prefix) = self.prefixes.pop_if(|prefix| writer.add(*prefix)) {
            packed.push(prefix);
        }
        (writer.take(), packed)
    }

    fn writer(&self, terms: &UpdateTerms<'_>) -> Result<UpdateWriter, MessageTooLong> {
        let (family, context) = (self.family, &terms.encoding);
        let withdraw = || UpdateWriter::withdraw(family, context);
        let Some((attributes, next_hop)) = self.attributes.as_ref().zip(terms.next_hops.get(&family)) else {
            return withdraw();
        };
        // Attributes that leave no room for a prefix cannot be told; then the neighbour shall not know others.
        UpdateWriter::advertise(family, *next_hop, terms.as_path, attributes, context).or_else(|_| withdraw())
    }
}

fn end_of_rib(family: Family, terms: &UpdateTerms<'_>) -> Option<Vec<u8>> {
    let update = Update { end_of_rib: Some(family), ..Update::default() };
    let mut message = Vec::new();
    codec::encode(&Message::Update(update), &terms.encoding, &mut message).ok().map(|()| message)
}

/// Withdrawals first, so that a router with full tables has room for what follows; then one family after the other.
fn batches(pending: &BTreeMap<IpNet, Advertised>, desired: &Routes) -> VecDeque<Batch> {
    let mut groups: BTreeMap<(bool, Family, Option<&Attributes>), Vec<IpNet>> = BTreeMap::new();
    for prefix in pending.keys().rev() {
        let attributes = desired.get(prefix);
        let key = (attributes.is_some(), family_of(*prefix), attributes);
        groups.entry(key).or_default().push(*prefix);
    }
    let batch = |((_, family, attributes), prefixes): ((_, _, Option<&Attributes>), _)| Batch {
        family,
        attributes: attributes.cloned(),
        prefixes,
    };
    groups.into_iter().map(batch).collect()
}

type Difference<'a> = (&'a IpNet, Option<&'a Attributes>, Option<&'a Attributes>);

/// Prefixes that are not the same in both, with what either says: one walk over both.
fn differences<'a>(former: &'a Routes, desired: &'a Routes) -> impl Iterator<Item = Difference<'a>> {
    let mut former = former.iter().peekable();
    let mut desired = desired.iter().peekable();
    std::iter::from_fn(move || {
        loop {
            let order = match (former.peek(), desired.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((one, _)), Some((other, _))) => one.cmp(other),
            };
            let old = if order.is_le() { former.next() } else { None };
            let new = if order.is_ge() { desired.next() } else { None };
            let (prefix, _) = old.or(new)?;
            let (old, new) = (old.map(|(_, attributes)| attributes), new.map(|(_, attributes)| attributes));
            if old != new {
                return Some((prefix, old, new));
            }
        }
    })
}
