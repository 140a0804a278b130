//! What a Service wants.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// An IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpFamily {
    /// Of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// `spec.ipFamilyPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FamilyPolicy {
    /// One address.
    #[default]
    Single,
    /// One of each of the Service's families where that can be had, one address otherwise.
    Prefer,
    /// One of each of two families, or none.
    Require,
}

/// What a Service wants, and what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// When it was made (RFC 3339), which sorts as text; empty if that is not known.
    pub created: String,
    /// Labels, by which pools choose.
    pub labels: BTreeMap<String, String>,
    /// Families of its cluster addresses, the primary first; none while it has no cluster address.
    pub families: Vec<IpFamily>,
    /// How many of them it wants.
    pub policy: FamilyPolicy,
    /// Addresses that it asks for.
    pub addresses: Vec<IpAddr>,
    /// Pool that it asks for, by name.
    pub pool: Option<String>,
    /// With whom it shares.
    pub sharing: Sharing,
    /// Addresses that it holds.
    pub held: Vec<IpAddr>,
    /// Addresses that it was given last, whether or not it still holds them.
    pub last: Vec<IpAddr>,
}

/// With whom a Service shares its addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Those with the same key; `None` with nobody.
    pub key: Option<String>,
    /// Its protocols and ports, which nobody else on the address may have.
    pub ports: BTreeSet<(String, u16)>,
}

impl Sharing {
    /// Why the two cannot have one address; `None` if they can.
    ///
    /// Whose pods serve them does not matter: every port of an address has endpoints of its own here, also under
    /// externalTrafficPolicy Local.
    pub(super) fn conflict(&self, other: &Self) -> Option<Conflict> {
        if self.key.is_none() || self.key != other.key {
            return Some(Conflict::Keys);
        }
        let common = self.ports.intersection(&other.ports).next()?;
        Some(Conflict::Port(common.0.clone(), common.1))
    }
}

/// Why two Services cannot have one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// They have no sharing key in common.
    Keys,
    /// Both want this port.
    Port(String, u16),
}

impl Request {
    /// Whether `other` asks for the same, whatever either holds.
    pub(super) fn asks_the_same(&self, other: &Self) -> bool {
        self.labels == other.labels
            && self.families == other.families
            && self.policy == other.policy
            && self.addresses == other.addresses
            && self.pool == other.pool
            && self.sharing == other.sharing
    }

    /// The families to look for: both, or the primary.
    pub(super) fn wanted(&self) -> &[IpFamily] {
        match self.policy {
            FamilyPolicy::Single => self.families.get(..1).unwrap_or_default(),
            FamilyPolicy::Prefer | FamilyPolicy::Require => &self.families,
        }
    }
}
