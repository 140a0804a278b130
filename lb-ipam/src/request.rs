//! The request of a Service.

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
    /// Returns the family of an address.
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
    /// One of each of the Service's families if available, one address otherwise.
    Prefer,
    /// One of each of two families, or none.
    Require,
}

/// What a Service requests, and what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Its creation time (RFC 3339), which sorts as text; empty if unknown.
    pub created: String,
    /// Labels, which pools select by.
    pub labels: BTreeMap<String, String>,
    /// Families of its cluster addresses, the primary first; empty without a cluster address.
    pub families: Vec<IpFamily>,
    /// How many of them it requests.
    pub policy: FamilyPolicy,
    /// Requested addresses.
    pub addresses: Vec<IpAddr>,
    /// Name of the requested pool.
    pub pool: Option<String>,
    /// The Services that it shares addresses with.
    pub sharing: Sharing,
    /// Addresses that it holds.
    pub held: Vec<IpAddr>,
    /// Its last addresses, whether or not it still holds them.
    pub last: Vec<IpAddr>,
}

/// The Services that share addresses with a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Those with the same key; `None` for none.
    pub key: Option<String>,
    /// Its protocols and ports, which must be unique on the address.
    pub ports: BTreeSet<(String, u16)>,
}

impl Sharing {
    /// Returns why two Services cannot share an address; `None` if they can.
    ///
    /// They need not have the same pods: every port of an address has its own endpoints here, even with
    /// externalTrafficPolicy Local.
    pub(super) fn conflict(&self, other: &Self) -> Option<Conflict> {
        if self.key.is_none() || self.key != other.key {
            return Some(Conflict::Keys);
        }
        let common = self.ports.intersection(&other.ports).next()?;
        Some(Conflict::Port(common.0.clone(), common.1))
    }
}

/// Why two Services cannot share an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// They have no common sharing key.
    Keys,
    /// Both have this port.
    Port(String, u16),
}

impl Request {
    /// Returns whether `other` requests the same, whatever either holds.
    pub(super) fn asks_the_same(&self, other: &Self) -> bool {
        self.labels == other.labels
            && self.families == other.families
            && self.policy == other.policy
            && self.addresses == other.addresses
            && self.pool == other.pool
            && self.sharing == other.sharing
    }

    /// Returns the families to allocate: both, or the primary.
    pub(super) fn wanted(&self) -> &[IpFamily] {
        match self.policy {
            FamilyPolicy::Single => self.families.get(..1).unwrap_or_default(),
            FamilyPolicy::Prefer | FamilyPolicy::Require => &self.families,
        }
    }
}
