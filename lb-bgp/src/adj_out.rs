//! The routes advertised to a peer, and the fewest UPDATEs that bring it to the desired routes (Adj-RIB-Out,
//! RFC 4271, section 3.2).
//!
//! Only the difference is kept. A change costs one walk over both tables; however often the desired routes
//! change while a peer does not read, there is one entry per prefix, and the peer receives the latest state
//! only.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::sync::Arc;

use ipnet::IpNet;

use crate::codec::{self, DEFAULT_LOCAL_PREF, Encoding, MessageTooLong, UpdateWriter, family_of};
use crate::message::{Message, Update};
use crate::value::{AddressFamily, Asn, Attributes, RouteNextHop};

/// Prefixes and their attributes.
pub type Routes = BTreeMap<IpNet, Attributes>;

/// The state a peer has of a prefix that differs from the desired one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Advertised {
    /// No route.
    Nothing,
    /// A route with these attributes.
    Route(Attributes),
    /// Unknown: the peer has asked for a refresh.
    Uncertain,
}

/// Prefixes of one family that share UPDATEs.
#[derive(Clone, Debug)]
struct Batch {
    family: AddressFamily,
    /// `None` withdraws.
    attributes: Option<Attributes>,
    /// In descending order, taken from the end.
    prefixes: Vec<IpNet>,
}

/// The session's contribution to each route.
#[derive(Clone, Copy, Debug)]
pub struct UpdateTerms<'a> {
    /// Message encoding.
    pub encoding: Encoding,
    /// Next hop of each family.
    pub next_hops: &'a BTreeMap<AddressFamily, RouteNextHop>,
    /// AS_PATH.
    pub as_path: &'a [Asn],
}

/// What the peer of a session has been sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentRoutes {
    /// Its routes.
    pub routes: Routes,
    /// Those of its routes that must be sent again.
    pub uncertain: BTreeSet<IpNet>,
    /// Families whose End-of-RIB has been sent.
    pub ended: BTreeSet<AddressFamily>,
}

/// The routes advertised to a peer and the desired ones.
#[derive(Debug, Default)]
pub struct AdjOut {
    /// `None` until known: an End-of-RIB sent earlier would make a peer drop the routes it kept over our
    /// restart.
    desired: Option<Arc<Routes>>,
    /// `desired` is what the peer of an adopted session already has: the desired routes are unknown.
    is_provisional: bool,
    /// The session is internal: LOCAL_PREF is sent.
    is_internal: bool,
    /// Negotiated families; empty without a session.
    families: BTreeSet<AddressFamily>,
    /// Families whose End-of-RIB has not been sent.
    pending_end_of_rib: BTreeSet<AddressFamily>,
    /// Prefixes of these families whose advertised state is not the desired one.
    pending: BTreeMap<IpNet, Advertised>,
    /// Send plan for `pending`; built on demand, dropped when the desired routes change.
    batches: Option<VecDeque<Batch>>,
}

impl AdjOut {
    /// Sets all desired routes.
    pub fn set_routes(&mut self, routes: Arc<Routes>) {
        self.is_provisional = false;
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
            if !known.matches(desired, self.is_internal) {
                self.pending.insert(*prefix, known);
            }
            self.batches = None;
        }
    }

    /// Starts a session with these families; the peer has no routes yet. LOCAL_PREF is sent on an internal
    /// session only.
    pub fn begin_session(&mut self, families: impl IntoIterator<Item = AddressFamily>, is_internal: bool) {
        self.end_session();
        self.is_internal = is_internal;
        self.families = families.into_iter().collect();
        self.pending_end_of_rib.clone_from(&self.families);
        let desired = self.desired.iter().flat_map(|desired| desired.keys());
        let negotiated = desired.filter(|prefix| self.families.contains(&family_of(**prefix)));
        self.pending = negotiated.map(|prefix| (*prefix, Advertised::Nothing)).collect();
    }

    /// Continues a session in which `sent` has been sent. Until the routes are known, those of the peer are
    /// the desired ones.
    pub fn adopt_session(&mut self, families: BTreeSet<AddressFamily>, is_internal: bool, sent: SentRoutes) {
        let SentRoutes { routes, uncertain, ended } = sent;
        *self = Self {
            desired: Some(Arc::new(routes)),
            is_provisional: true,
            is_internal,
            pending_end_of_rib: families.difference(&ended).copied().collect(),
            families,
            pending: uncertain.into_iter().map(|prefix| (prefix, Advertised::Uncertain)).collect(),
            batches: None,
        };
    }

    /// Returns UPDATEs that describe what the peer has been sent: its routes, and the End-of-RIB markers. A
    /// route of a family to be [refreshed](Self::refreshing) may differ from what the peer has.
    pub fn snapshot(&self, terms: &UpdateTerms<'_>) -> Vec<u8> {
        let routes: Routes = self.sent_routes().map(|(prefix, known)| (prefix, known.clone())).collect();
        let mut sent = Self {
            pending: routes.keys().map(|prefix| (*prefix, Advertised::Nothing)).collect(),
            desired: Some(Arc::new(routes)),
            pending_end_of_rib: self.families.difference(&self.pending_end_of_rib).copied().collect(),
            families: self.families.clone(),
            ..Self::default()
        };
        std::iter::from_fn(|| sent.poll_update(terms)).flatten().collect()
    }

    /// Returns the prefixes that the peer has, with the attributes last sent as far as they are known.
    fn sent_routes(&self) -> impl Iterator<Item = (IpNet, &Attributes)> {
        const UNKNOWN: &Attributes = &Attributes::NONE;
        let desired = self.desired.iter().flat_map(|desired| desired.iter());
        let desired = desired.filter(|(prefix, _)| self.families.contains(&family_of(**prefix)));
        let sent = desired.filter(|(prefix, _)| !self.pending.contains_key(*prefix));
        let pending = self.pending.iter().filter_map(|(prefix, known)| match known {
            Advertised::Nothing => None,
            Advertised::Route(known) => Some((prefix, known)),
            Advertised::Uncertain => Some((prefix, UNKNOWN)),
        });
        sent.chain(pending).map(|(prefix, known)| (*prefix, known))
    }

    /// Returns the families with routes that are sent again whatever the peer has.
    pub fn refreshing(&self) -> BTreeSet<AddressFamily> {
        let uncertain = self.pending.iter().filter(|(_, known)| **known == Advertised::Uncertain);
        uncertain.map(|(prefix, _)| family_of(*prefix)).collect()
    }

    /// Ends the session.
    pub fn end_session(&mut self) {
        if mem::take(&mut self.is_provisional) {
            self.desired = None;
        }
        self.families.clear();
        self.pending_end_of_rib.clear();
        self.pending.clear();
        self.batches = None;
    }

    /// Re-advertises all routes of a family: on a ROUTE-REFRESH (RFC 2918), or when the session's own
    /// attributes have changed.
    pub fn refresh(&mut self, family: AddressFamily) {
        if !self.families.contains(&family) {
            return;
        }
        self.batches = None;
        for prefix in self.desired.iter().flat_map(|desired| desired.keys()) {
            if family_of(*prefix) == family {
                self.pending.entry(*prefix).or_insert(Advertised::Uncertain);
            }
        }
        // A withdrawal that is still pending may be taken back.
        for (_, known) in self.pending.iter_mut().filter(|(prefix, _)| family_of(**prefix) == family) {
            known.mark_uncertain();
        }
    }

    /// Returns the next whole UPDATE and counts it as advertised; `None` once the peer is up to date.
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
        if self.is_provisional {
            return None;
        }
        self.pending_end_of_rib.pop_first().and_then(|family| end_of_rib(family, terms))
    }

    /// Returns whether the peer is up to date.
    pub fn is_synchronized(&self) -> bool {
        let has_ended = self.is_provisional || self.pending_end_of_rib.is_empty();
        self.desired.is_none() || (self.pending.is_empty() && has_ended)
    }

    /// Returns the number of prefixes of a family the peer has.
    pub fn advertised(&self, family: AddressFamily) -> usize {
        if !self.families.contains(&family) {
            return 0;
        }
        let desired = self.desired.as_deref();
        let all = desired.into_iter().flat_map(|desired| desired.keys());
        let all = all.filter(|prefix| family_of(**prefix) == family).count();
        let pending = self.pending.iter().filter(|(prefix, _)| family_of(**prefix) == family);
        pending.fold(all, |advertised, (prefix, known)| {
            let is_desired = desired.is_some_and(|desired| desired.contains_key(prefix));
            match (is_desired, known) {
                (true, Advertised::Nothing) => advertised.saturating_sub(1),
                (true, Advertised::Route(_) | Advertised::Uncertain) | (false, Advertised::Nothing) => {
                    advertised
                }
                (false, Advertised::Route(_) | Advertised::Uncertain) => advertised + 1,
            }
        })
    }

    /// Returns the number of prefixes of a family still to be advertised or withdrawn.
    pub fn pending(&self, family: AddressFamily) -> usize {
        self.pending.keys().filter(|prefix| family_of(**prefix) == family).count()
    }

    /// Returns whether the End-of-RIB of a family has been sent.
    pub fn end_of_rib_sent(&self, family: AddressFamily) -> bool {
        self.families.contains(&family) && !self.pending_end_of_rib.contains(&family)
    }

    /// Returns the number of routes whose family was not negotiated.
    pub fn unsendable(&self) -> usize {
        let desired = self.desired.iter().flat_map(|desired| desired.keys());
        desired.filter(|prefix| !self.families.contains(&family_of(**prefix))).count()
    }
}

impl Advertised {
    /// Returns whether this is the desired state.
    fn matches(&self, desired: Option<&Attributes>, is_internal: bool) -> bool {
        match self {
            Self::Nothing => desired.is_none(),
            Self::Route(known) => desired.is_some_and(|desired| is_sent_alike(known, desired, is_internal)),
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

/// Returns whether the peer receives the same attributes.
fn is_sent_alike(one: &Attributes, other: &Attributes, is_internal: bool) -> bool {
    let preference = |it: &Attributes| it.local_pref.unwrap_or(DEFAULT_LOCAL_PREF);
    one.communities == other.communities
        && one.large_communities == other.large_communities
        && (!is_internal || preference(one) == preference(other))
}

impl Batch {
    /// Packs as many prefixes as fit into one UPDATE.
    fn pack(&mut self, terms: &UpdateTerms<'_>) -> (Option<Vec<u8>>, Vec<IpNet>) {
        let Ok(mut writer) = self.writer(terms) else {
            // Not even a withdrawal fits; no message length that BGP allows leads here.
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
        // If the attributes leave no room for a prefix, withdraw it: the peer must not keep the old ones.
        UpdateWriter::advertise(family, *next_hop, terms.as_path, attributes, context).or_else(|_| withdraw())
    }
}

fn end_of_rib(family: AddressFamily, terms: &UpdateTerms<'_>) -> Option<Vec<u8>> {
    let update = Update { end_of_rib: Some(family), ..Update::default() };
    let mut message = Vec::new();
    codec::encode(&Message::Update(update), &terms.encoding, &mut message).ok().map(|()| message)
}

/// Groups prefixes into batches: withdrawals first, to free space in routers with full tables; then family by
/// family.
fn batches(pending: &BTreeMap<IpNet, Advertised>, desired: &Routes) -> VecDeque<Batch> {
    let mut groups: BTreeMap<(bool, AddressFamily, Option<&Attributes>), Vec<IpNet>> = BTreeMap::new();
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

/// Returns the prefixes that differ between the tables, with the attributes in each: one walk over both.
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
